"""A model on a server is used like a local one, and says in one line what is wrong with the server."""

import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pandas
import pytest
import stand_in
from ports import free_ports
from stand_in import ANSWERS, MODELS, VERSION, StandIn, metadata, product_outputs

from tf_model import data, paths, predict, tasks
from tf_model.errors import ModelError, UsageError
from tf_model.monitor.store import Store
from tf_model.serving import remote
from tf_model.serving.remote import RemotePredictor

QUICK = {"retries": 2}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(remote, "TIMEOUT", 5.0)
    monkeypatch.setattr(remote, "BACKOFF", 0.001)


@pytest.fixture
def server():
    with StandIn().running() as stand_in:
        yield stand_in


def connect(server, model="", folder=None):
    address = f"{server.url}/v1/models/{model}" if model else server.url
    return RemotePredictor.connect(address, folder, **QUICK)


# ---------------------------------------------------------------- like a local one


def test_it_scores_as_a_local_model_does(server):
    predictor = connect(server)
    assert predictor.labels == {"product": tasks.PRODUCTS}
    assert predictor.metrics == {}
    assert (predictor.url, predictor.version) == (f"{server.url}/v1/models/product", VERSION)
    texts = ["my iPad ☕", None, "a phone\ud83d", "my iPad ☕"]
    frame = predictor.predict(texts, probabilities=True)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == predictor.columns(probabilities=True)
    assert frame["product"].tolist() == ["iPad", "iPhone", "iPhone", "iPad"]
    assert frame["product_probability_iPad"].tolist() == [0.75, 0.03125, 0.03125, 0.75]
    [request] = [json.loads(body) for method, _, body in server.requests if method == "POST"]
    assert sorted(request["inputs"]["text"]) == ["", "a phone\ufffd", "my iPad ☕"]  # each text once


def test_the_answer_is_preferred_and_has_all_its_columns(server):
    server.models = ("product", "answer")
    predictor = connect(server)
    assert predictor.url.endswith("/v1/models/answer")
    assert predictor.labels == {"product": tasks.PRODUCTS, "emotion": tasks.EMOTIONS}
    frame = predictor.predict(["an ipad"], probabilities=True, threshold=0.4)
    assert list(frame.columns) == list(predictor.columns(probabilities=True))
    assert frame["answer"].tolist() == ["Not sure"]
    assert frame["best_guess"].tolist() == [ANSWERS["best_guess"]]


@pytest.mark.parametrize("path", ["/v1/models/product", f"/v1/models/product/versions/{VERSION}"])
def test_the_address_may_name_the_model_and_its_version(server, path):
    server.models = ("product", "answer")
    for address in (server.url + path, f"{server.url}{path}/"):
        assert set(RemotePredictor.connect(address, **QUICK).labels) == {"product"}
    assert {asked for _, asked, _ in server.requests} == {f"{path}/metadata"}


def test_the_names_of_other_classes_come_from_a_local_folder(server, tmp_path, monkeypatch):
    def two_classes(texts):
        outputs = product_outputs(texts)
        return outputs | {"product_probabilities": [[row[0], row[2]] for row in outputs["probabilities"]]}

    monkeypatch.setitem(MODELS, "product", two_classes)
    with pytest.raises(ModelError, match=r"does not answer like a model of product with these classes: .*--model DIR"):
        connect(server, "product").predict(["ipad"])
    (tmp_path / "saved_model.pb").touch()
    (tmp_path / "labels.json").write_text('{"task": "product", "labels": {"product": ["iPhone", "iPad"]}}')
    (tmp_path / "metrics.json").write_text('{"dataset": "sample"}')
    predictor = connect(server, "product", tmp_path)
    assert predictor.predict(["ipad", "x"])["product"].tolist() == ["iPad", "iPhone"]
    assert predictor.metrics == {}, "another training's"
    monkeypatch.setattr(remote, "training_of", lambda folder: VERSION)
    assert connect(server, "product", tmp_path).metrics == {"dataset": "sample"}
    address = f"{server.url}/v1/models/product"
    assert predict.main(["--text", "ipad", "--server", address, "--model", str(tmp_path), "--format", "csv"]) == 0


def test_many_threads_share_one_client(server):
    predictor = connect(server)
    with ThreadPoolExecutor(12) as pool:
        found = pool.map(lambda number: predictor.predict(["ipad"] * number)["product"].tolist(), range(1, 13))
    assert list(found) == [["iPad"] * number for number in range(1, 13)]


def test_a_client_needs_no_tensorflow(server):
    script = f"""
import sys
from tf_model.serving.remote import RemotePredictor
assert RemotePredictor.connect("{server.url}").predict(["an ipad"])["product"][0] == "iPad"
print({{"tensorflow", "ray", "grpc"}} & {{*sys.modules}})
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=paths.ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr


# ---------------------------------------------------------------- what goes wrong for a moment


@pytest.mark.parametrize("fault", [503, 502, 504, 429, "close", "half"])
def test_a_server_that_is_busy_or_restarts_is_asked_again(server, fault):
    predictor = connect(server)
    server.faults += [fault, fault]
    assert predictor.predict(["ipad"])["product"].tolist() == ["iPad"]
    assert len([path for _, path, _ in server.requests if path.endswith(":predict")]) == 3


def test_a_server_that_never_answered_is_given_up_sooner(server, monkeypatch):
    monkeypatch.setattr(remote, "BACKOFF", 0.01)
    server.faults += [503] * 5
    with pytest.raises(ModelError, match="tried 5 times"):
        RemotePredictor.connect(server.url)


def test_a_server_has_half_a_minute_to_restart(server, monkeypatch):
    pauses = []
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: pauses.append(seconds / remote.BACKOFF * 0.25))
    predictor = RemotePredictor.connect(server.url)
    server.faults += [503] * 8
    assert predictor.predict(["ipad"])["product"].tolist() == ["iPad"]
    assert sum(pauses) == pytest.approx(31.75)


# ---------------------------------------------------------------- what goes wrong for good


def failure(server, faults):
    predictor = connect(server)
    server.faults += faults
    with pytest.raises(ModelError) as error:
        predictor.predict(["ipad"])
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_server_that_stays_busy(server):
    message = failure(server, [503] * 9)
    assert f"the model server at {server.url}/v1/models/product is busy or starting" in message
    assert "(status 503; tried 3 times); try later" in message


def test_a_server_that_is_too_slow_is_asked_once(server, monkeypatch):
    monkeypatch.setattr(remote, "TIMEOUT", 1.0)
    message = failure(server, [3.0] * 9)
    assert "did not answer within 1 s; check its load" in message
    assert len([path for _, path, _ in server.requests if path.endswith(":predict")]) == 1


@pytest.mark.parametrize("status", [302, 400, 500])
def test_a_server_that_refuses_is_asked_once(server, status):
    message = failure(server, [status] * 9)
    assert message.endswith(f"refused the request (status {status}); see its log"), (
        "the server's words may quote a text"
    )
    assert len([path for _, path, _ in server.requests if path.endswith(":predict")]) == 1


def test_a_model_that_was_unloaded(server):
    assert "has no model at" in failure(server, [404])


def test_nobody_is_there():
    url = f"http://127.0.0.1:{free_ports()[0]}"
    with pytest.raises(ModelError, match=rf"no model server answers at {url}/.*refused.*tried 3 times.*check --server"):
        RemotePredictor.connect(url, **QUICK)


@pytest.mark.parametrize("host", ["a" * 70, "host:99999"])
def test_a_host_that_cannot_be(host):
    with pytest.raises(ModelError, match="no model server answers at http://"):
        RemotePredictor.connect(f"http://{host}", **QUICK)


def test_a_server_without_our_models(server):
    server.models = ("other",)
    with pytest.raises(ModelError, match=r"has no model at .*/product \(Servable not found for request"):
        connect(server)


# ---------------------------------------------------------------- replies that make no sense


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"<html>hello</html>", r"expected a JSON object, got another reply.*usually 8000"),
        (b"", "expected a JSON object"),
        (b'{"outputs": {"label": ["iPad"]', "expected a JSON object"),
        (b"[1, 2]", "expected a JSON object"),
        (b'{"predictions": ["iPad"]}', "does not answer like a model of product"),
        (b'{"outputs": ["iPad"]}', "does not answer like a model of product"),
        (b'{"outputs": {"product": ["iPad"]}}', "does not answer like a model of product"),
    ],
)
def test_a_malformed_reply(server, reply, message):
    predictor = connect(server)
    server.faults.append(reply)
    with pytest.raises(ModelError, match=message) as error:
        predictor.predict(["ipad"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"product": ["iPad", "iPad"]},
        {"product": [1.0]},
        {"product": [None]},
        {"product": [["iPad"]]},
        {"product": ["Nokia"]},
        {"product_confidence": []},
        {"product_confidence": [[0.75]]},
        {"product_confidence": ["high"]},
        {"product_probabilities": [[0.5, 0.5]]},
        {"product_probabilities": [[0.5], [0.5, 1]]},
    ],
)
def test_outputs_of_another_model(server, changes):
    server.change = lambda outputs: outputs | changes
    with pytest.raises(ModelError, match="does not answer like a model of product with these classes: 'iPhone', "):
        connect(server).predict(["ipad"])


def test_metadata_that_makes_no_sense_or_is_of_a_model_that_takes_something_else(server):
    of_ids = json.dumps(metadata("product")).replace('"text"', '"ids"')
    for reply in ('{"model_spec": {}, "metadata": {}}', of_ids):
        server.faults.append(reply.encode())
        with pytest.raises(ModelError, match=r"expected the signature serving_default\(text: string\[N\]\)"):
            connect(server, "product")


def test_an_answer_without_its_guesses_is_refused(server, monkeypatch):
    complete = MODELS["answer"]
    monkeypatch.setitem(
        MODELS, "answer", lambda texts: {name: complete(texts)[name] for name in complete(texts) if "guess" not in name}
    )
    server.models = ("answer",)
    with pytest.raises(ModelError, match="unlike a model of the usual tasks"):
        connect(server)


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8501",
        "ftp://host",
        "grpc://127.0.0.1:8500",
        "http://",
        "http://host:port",
        "http://host/v1/model/x",
        "http://host/v1/models/x/versions/newest",
        "http://host/v1/models/x/versions/9223372036854775808",
        f"http://host:1/v1/models/x/versions/{'9' * 5000}",
        "http://host/?a",
        "http://host:1:2",
        "http://[::1",
        "http://u:p@host",
        "",
        "x",
    ],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UsageError, match=r"expected the REST address of a server, such as http"):
        RemotePredictor.connect(address)


# ---------------------------------------------------------------- the published message


@pytest.mark.parametrize("name", MODELS)
def test_the_stand_in_speaks_the_published_message(name):
    from google.protobuf import json_format
    from tensorflow.core.protobuf import meta_graph_pb2

    found = metadata(name)["metadata"]["signature_def"]["signature_def"]["serving_default"]
    signature = json_format.ParseDict(found, meta_graph_pb2.SignatureDef())
    assert signature.inputs["text"].dtype == 7  # a string
    assert {output.tensor_shape.dim[0].size for output in signature.outputs.values()} == {-1}


# ---------------------------------------------------------------- the command


def test_the_command_asks_a_server_and_records_what_it_said(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "MONITOR_LOG", tmp_path / "log.sqlite")
    assert predict.main(["--text", "my ipad", "--server", server.url, "--format", "csv", "--record"]) == 0
    assert capsys.readouterr().out.splitlines() == ["text,product,product_confidence", "my ipad,iPad,0.75"]
    assert Store(tmp_path / "log.sqlite").versions()[0][:2] == ("product", VERSION)


@pytest.mark.parametrize("texts", [["--text", "my ipad"], ["--test-predictions"]])
def test_the_command_keeps_and_doubts_the_answers_of_a_model_that_was_replaced(server, tmp_path, monkeypatch, texts):
    tweets = SimpleNamespace(unlabelled=pandas.DataFrame({"Tweet": ["my ipad"]}))
    monkeypatch.setattr(data, "resolve", lambda _: data.Source(tmp_path / "data.xlsx", "because"))
    monkeypatch.setattr(data, "read", lambda _: tweets)

    def replaced(outputs):
        monkeypatch.setattr(stand_in, "VERSION", "1795488001")
        return outputs

    server.change = replaced
    command = [*texts, "--server", server.url, "--output", str(tmp_path / "out.csv")]
    with pytest.raises(ModelError, match=rf"had version {VERSION} of the model .* and has 1795488001 at the end"):
        predict.main(command)
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == ["my ipad,iPad,0.75"]
    assert predict.main([*command, "--overwrite"]) == 0


def test_the_command_explains_by_asking_the_server_once_for_each_word(server, capsys):
    assert predict.main(["--text", "my ipad broke", "--server", server.url, "--explain", "--format", "json"]) == 0
    explanation = json.loads(capsys.readouterr().out)["explanation"]
    [attribution] = explanation["tasks"].values()
    assert explanation["words"] == ["my", "ipad", "broke"]
    assert attribution["label"] == "iPad"
    assert attribution["weights"] == pytest.approx([0, math.log(0.75 / 0.03125), 0])
    asked = [json.loads(body)["inputs"]["text"] for method, _, body in server.requests if method == "POST"]
    assert sorted(asked[-1]) == sorted(["my ipad broke", " ipad broke", "my  broke", "my ipad "])


def test_the_command_does_not_ask_a_server_for_what_it_cannot_tell(server, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "MONITOR_LOG", tmp_path / "log.sqlite")
    with pytest.raises(UsageError, match='only a model that says "Not sure" has a threshold, unlike product'):
        predict.main(["--text", "my ipad", "--server", server.url, "--threshold", "0.5", "--format", "csv"])
    with pytest.raises(UsageError, match="--threshold cannot be used with --record"):
        predict.main(["--text", "my ipad", "--server", server.url, "--threshold", "0.5", "--record"])
    assert not list(tmp_path.iterdir())  # wrong usage is not recorded as a model error
