"""A model on a server is used like a local one, and says in one line what is wrong with the server."""

import json
import socket
import subprocess
import sys
import threading
import time

import numpy
import pytest
from stand_in import ANSWERS, MODELS, VERSION, StandIn, metadata, product_outputs

from tf_model import paths, tasks
from tf_model.errors import ModelError, UsageError
from tf_model.serving.remote import RemotePredictor

QUICK = {"timeout": 5.0, "retries": 2, "backoff": 0.001}


@pytest.fixture
def server():
    with StandIn().running() as stand_in:
        yield stand_in


def connect(server, *arguments, **options):
    return RemotePredictor.connect(server.url, *arguments, **QUICK | options)


# ---------------------------------------------------------------- like a local one


def test_it_scores_as_a_local_model_does(server):
    predictor = connect(server)
    assert predictor.labels == {"product": tasks.PRODUCTS}
    assert (predictor.has_answer, predictor.can_explain, predictor.warning) == (False, False, None)
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
    frame = predictor.predict(["an ipad"], guesses=True, threshold=0.4)
    assert list(frame.columns) == list(predictor.columns(guesses=True))
    assert frame["answer"].tolist() == ["Not sure"]
    assert frame["best_guess"].tolist() == [ANSWERS["best_guess"]]


@pytest.mark.parametrize("path", ["/v1/models/product", f"/v1/models/product/versions/{VERSION}", "/"])
def test_the_address_may_name_the_model_and_its_version(server, path):
    server.models = ("product", "answer")
    predictor = RemotePredictor.connect(server.url + path, "product" if path == "/" else None, **QUICK)
    assert set(predictor.labels) == {"product"}
    assert {found.split(":")[0] for _, found, _ in server.requests} == {
        f"{path}/metadata".replace("//", "/v1/models/product/")
    }


def test_the_names_of_other_classes_come_from_a_local_folder(server, tmp_path, monkeypatch):
    def two_classes(texts):
        outputs = product_outputs(texts)
        return outputs | {"probabilities": [[row[0], row[2]] for row in outputs["probabilities"]]}

    monkeypatch.setitem(MODELS, "product", two_classes)
    with pytest.raises(ModelError, match=r"returns 'label', 'confidence', 'probabilities'.*--model DIR"):
        connect(server, "product")
    (tmp_path / "saved_model.pb").touch()
    (tmp_path / "labels.json").write_text('{"task": "product", "labels": ["iPhone", "iPad"]}')
    (tmp_path / "metrics.json").write_text('{"dataset": "sample"}')
    predictor = connect(server, "product", tmp_path)
    assert predictor.predict(["ipad", "x"])["product"].tolist() == ["iPad", "iPhone"]
    assert "sample corpus" in predictor.warning


def test_many_threads_share_one_client(server):
    predictor, found = connect(server), []
    ask = lambda number: found.append((number, predictor.predict(["ipad"] * number)["product"].tolist()))  # noqa: E731
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [(number, ["iPad"] * number) for number in range(1, 13)]


def test_a_client_needs_no_tensorflow(server):
    script = f"""
import sys
from tf_model.serving.remote import RemotePredictor
assert predict_texts(RemotePredictor.connect("{server.url}"), ["an ipad"])["product"][0] == "iPad"
print({{"tensorflow", "ray", "grpc"}} & {{*sys.modules}})
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=paths.ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr


# ---------------------------------------------------------------- what goes wrong for a moment


@pytest.mark.parametrize("fault", [503, 502, 504, 429, "close"])
def test_a_server_that_is_busy_or_restarts_is_asked_again(server, fault):
    predictor = connect(server)
    server.faults += [fault, fault]
    assert predictor.predict(["ipad"])["product"].tolist() == ["iPad"]
    assert len([path for _, path, _ in server.requests if path.endswith(":predict")]) == 3


def test_a_server_that_starts_late_is_waited_for():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    found = []
    thread = threading.Thread(
        target=lambda: found.append(RemotePredictor.connect(f"http://127.0.0.1:{port}", retries=8, backoff=0.05))
    )
    thread.start()
    time.sleep(0.3)
    from http.server import ThreadingHTTPServer

    import stand_in

    late = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", port), lambda *arguments: stand_in._Handler(late, *arguments))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    thread.join(30)
    server.shutdown()
    server.server_close()
    assert [predictor.version for predictor in found] == [VERSION]


# ---------------------------------------------------------------- what goes wrong for good


def failure(server, faults, **options):
    predictor = connect(server, **options)
    server.faults += faults
    with pytest.raises(ModelError) as error:
        predictor.predict(["ipad"])
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_server_that_stays_busy(server):
    message = failure(server, [503] * 9)
    assert f"the model server at {server.url}/v1/models/product is busy or starting" in message
    assert "made to fail with 503; tried 3 times" in message


def test_a_server_that_is_too_slow_is_asked_once(server):
    message = failure(server, [1.5] * 9, timeout=0.3)
    assert "did not answer within 0.3 s; give a smaller --batch-size" in message
    assert len([path for _, path, _ in server.requests if path.endswith(":predict")]) == 1


def test_a_server_that_breaks_every_connection(server):
    assert "tried 3 times); check --server" in failure(server, ["close"] * 9)


@pytest.mark.parametrize("status", [400, 500])
def test_a_server_that_refuses_is_asked_once(server, status):
    assert f"refused (made to fail with {status}); its log says why" in failure(server, [status] * 9)
    assert len([path for _, path, _ in server.requests if path.endswith(":predict")]) == 1


def test_a_model_that_was_unloaded(server):
    assert "has no model at" in failure(server, [404])


def test_nobody_is_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ModelError, match=rf"no model server answers at {url}/.*refused.*tried 3 times.*check --server"):
        RemotePredictor.connect(url, **QUICK)


def test_a_server_without_our_models(server):
    server.models = ("other",)
    with pytest.raises(ModelError, match=r"has no model at .*/product \(Servable not found for request"):
        connect(server)


# ---------------------------------------------------------------- replies that make no sense


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"<html>hello</html>", r"expected JSON, found 'text/html'.*usually 8501"),
        (b"", "expected JSON"),
        (b'{"outputs": {"label": ["iPad"]', "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b"[1, 2]", "expected JSON"),
        (b'{"predictions": ["iPad"]}', "expected outputs by name"),
        (b'{"outputs": ["iPad"]}', "expected outputs by name"),
        (b'{"outputs": {"label": ["iPad"]}}', "the reply lacks 'confidence', 'probabilities'"),
    ],
)
def test_a_malformed_reply(server, reply, message):
    predictor = connect(server)
    server.faults.append(reply)
    with pytest.raises(ModelError, match=message) as error:
        predictor.predict(["ipad"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": ["iPad", "iPad"]}, "expected 1 values of 'label'"),
        ({"label": [1.0]}, "expected 1 values of 'label'|names of its classes"),
        ({"confidence": []}, "expected 1 values of 'confidence'"),
        ({"confidence": [float("nan")]}, "all finite numbers"),
        ({"confidence": [None]}, "expected 1 values of 'confidence'"),
        ({"probabilities": [[0.5, 0.5]]}, "names of its classes are not"),
        ({"probabilities": [[0.5], [0.5, 1]]}, "expected 1 values of 'probabilities'"),
        ({"label": ["Nokia"]}, "names of its classes are not"),
    ],
)
def test_outputs_that_cannot_be_right(server, changes, message):
    server.change = lambda outputs: outputs | changes
    with pytest.raises(ModelError, match=message):
        connect(server).predict(["ipad"])


def test_metadata_that_makes_no_sense(server):
    server.faults.append(b'{"model_spec": {}, "metadata": {}}')
    with pytest.raises(ModelError, match="expected the signature serving_default"):
        connect(server, "product")


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8501",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host/v1/model/x",
        "http://host/v1/models/x/versions/newest",
        "http://host/v1/models/x/versions/9223372036854775808",
        f"grpc://host:1/v1/models/x/versions/{'9' * 5000}",
        "http://[::1",
        "http://u:p@host",
        "",
        "x",
    ],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UsageError, match=r"expected the address of a TensorFlow Serving server, such as http"):
        RemotePredictor.connect(address)


# ---------------------------------------------------------------- the published messages


def published(module):
    """A module of the published messages; the test is skipped where they are not installed."""
    return pytest.importorskip(f"tensorflow_serving.apis.{module}", reason="tensorflow-serving-api is not installed")


@pytest.mark.parametrize("name", MODELS)
def test_the_stand_in_speaks_the_published_messages(name):
    apis = published("get_model_metadata_pb2")
    from google.protobuf import json_format

    found = metadata(name)
    json_format.ParseDict(found["model_spec"], apis.GetModelMetadataResponse().model_spec)
    signatures = json_format.ParseDict(found["metadata"]["signature_def"], apis.SignatureDefMap()).signature_def
    signature = json_format.MessageToDict(signatures["serving_default"])
    assert signature["inputs"]["text"]["dtype"] == "DT_STRING"
    assert {output["tensorShape"]["dim"][0]["size"] for output in signature["outputs"].values()} == {"-1"}


def test_a_grpc_server_is_used_alike():
    published("predict_pb2")
    from concurrent import futures

    import grpc
    import tensorflow as tf
    from google.protobuf import json_format
    from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        tries = 0

        def GetModelMetadata(self, request, context):
            if request.model_spec.name != "answer":
                context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
            found = metadata("answer")
            reply = get_model_metadata_pb2.GetModelMetadataResponse()
            reply.model_spec.version.value = int(VERSION)
            signatures = get_model_metadata_pb2.SignatureDefMap()
            json_format.ParseDict(found["metadata"]["signature_def"], signatures)
            reply.metadata["signature_def"].Pack(signatures)
            return reply

        def Predict(self, request, context):
            Service.tries += 1
            if Service.tries == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
            texts = [text.decode() for text in tf.make_ndarray(request.inputs["text"])]
            if "slow" in texts:
                time.sleep(1)
            reply = predict_pb2.PredictResponse()
            for name, values in MODELS["answer"](texts).items():
                array = numpy.array(values)
                array = array.astype(object if array.dtype.kind == "U" else "float32")
                reply.outputs[name].CopyFrom(tf.make_tensor_proto(array))
                if "broken" in texts and array.dtype == "float32":
                    reply.outputs[name].tensor_shape.dim[0].size = 1000
            return reply

    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        predictor = RemotePredictor.connect(f"grpc://127.0.0.1:{port}", **QUICK | {"backoff": 0.01})
        assert predictor.version == VERSION
        frame = predictor.predict(["my iPad ☕", "x"], guesses=True)
        assert frame["product"].tolist() == ["iPad", "iPhone"]
        assert frame["answer"].tolist() == [ANSWERS["answer"]] * 2
        assert Service.tries == 2
        quick = RemotePredictor.connect(f"grpc://127.0.0.1:{port}", **QUICK | {"timeout": 0.3})
        with pytest.raises(ModelError, match=r"did not answer within 0\.3 s"):
            quick.predict(["slow"])
        with pytest.raises(ModelError, match=r"one of the reply cannot be read \(.*serve the model"):
            predictor.predict(["broken"])
        with pytest.raises(ModelError, match="has no model at"):
            RemotePredictor.connect(f"grpc://127.0.0.1:{port}", "other", **QUICK)
    finally:
        server.stop(None)
    with pytest.raises(ModelError, match="no model server answers at grpc://"):
        predictor.predict(["x"])


# ---------------------------------------------------------------- the command


def test_the_command_asks_a_server_and_records_what_it_said(server, tmp_path, monkeypatch, capsys):
    from tf_model import predict
    from tf_model.monitor.store import Store

    monkeypatch.setattr(paths, "MONITOR_LOG", tmp_path / "log.sqlite")
    assert predict.main(["--text", "my ipad", "--server", server.url, "--format", "csv", "--record"]) == 0
    assert capsys.readouterr().out.splitlines() == ["text,product,product_confidence", "my ipad,iPad,0.75"]
    assert Store(tmp_path / "log.sqlite").newest() == ("product", VERSION)


def test_the_command_does_not_ask_a_server_for_what_it_cannot_tell(server, tmp_path, monkeypatch):
    from tf_model import predict

    monkeypatch.setattr(paths, "MONITOR_LOG", tmp_path / "log.sqlite")
    with pytest.raises(UsageError, match="--explain needs the model itself, not a server"):
        predict.main(["--text", "my ipad", "--server", server.url, "--explain"])
    with pytest.raises(UsageError, match="a threshold is for answers, which product does not give"):
        predict.main(["--text", "my ipad", "--server", server.url, "--threshold", "0.5", "--format", "csv"])
    for record in ([], ["--record"]):
        with pytest.raises(UsageError, match="guesses are for answers, which product does not give"):
            predict.main(["--text", "my ipad", "--server", server.url, "--guesses", "--format", "csv", *record])
    assert not list(tmp_path.iterdir())  # wrong usage is no error of the model's
