"""What the API answers, what it refuses, and what it keeps to itself."""

import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pandas
import pytest
import uvicorn
from starlette.testclient import TestClient
from stub_model import stub, target_stub

from tf_model import paths
from tf_model.api import app as api
from tf_model.api.__main__ import CONNECTIONS
from tf_model.api.batching import GATHER_SECONDS
from tf_model.data.products import Products
from tf_model.errors import ModelError
from tf_model.inference.predictor import MAX_CHARACTERS, Predictor
from tf_model.inference.targets import TargetPredictor
from tf_model.monitor.prometheus import Exporter, process_registry
from tf_model.monitor.recorder import Recorder
from tf_model.serving.remote import RemotePredictor

SECRET = "zebra crossing"
SERVING = (paths.ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
MODEL = replace(stub(has_emotion=True), folder=Path("answer"), version="1")
TARGETS = TargetPredictor(target_stub(), Products({"Xbox": ["xbone"], "Kindle": []}))


def client(model=MODEL, targets=TARGETS, host="localhost", **options) -> TestClient:
    made = api.make_app(model, targets, **{"registry": process_registry()} | options)
    return TestClient(made, base_url=f"http://{host}")


def failing(error: Exception) -> Predictor:
    def score(batch):
        raise error

    return replace(MODEL, score=score)


def test_predictions_are_those_of_the_predictor():
    texts = ["My iPad", "", "caf\u00e9 \U0001f600", "a\0b"]
    answer = client().post("/predict", json={"texts": texts})
    assert answer.status_code == 200
    expected = MODEL.predict(texts)
    found = pandas.DataFrame(answer.json()["predictions"]).astype(expected.dtypes)
    pandas.testing.assert_frame_equal(found, expected)


@contextmanager
def served(app):
    """Serve ``app`` over a socket; yields the address."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def test_what_asks_a_model_server_can_ask_the_api(answer_model):
    """Over a socket, with more than fits in one request."""
    model = Predictor.load(answer_model)
    with served(api.make_app(model, registry=process_registry())) as url:
        remote = RemotePredictor.connect(f"{url}/v1/models/{model.name}")
        texts = ["My iPad", "", *("x" * 19_000 + str(number) for number in range(30))]
        found = remote.predict(texts, probabilities=True)
    assert (remote.name, remote.version, remote.labels) == (model.name, model.version, model.labels)
    pandas.testing.assert_frame_equal(found, model.predict(texts, probabilities=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keys": ["secret"]}, r"refused the request \(A key is needed: .*\); see its log"),
        ({"hosts": ["api.example"]}, "is not reached by this name; start it with --allow-host NAME"),
    ],
)
def test_what_asks_a_model_server_says_what_the_api_needs(options, words):
    app = api.make_app(MODEL, registry=process_registry(), **options)
    with served(app) as url, pytest.raises(ModelError, match=words):
        RemotePredictor.connect(url)


def test_targets_are_listed_for_each_text():
    answer = client().post("/targets", json={"texts": ["the Kindle is great, my xbone bad", "nothing"]})
    kindle = {"product": "Kindle", "mention": "Kindle", "start": 4, "end": 10, "emotion": "Positive emotion"}
    xbox = {"product": "Xbox", "mention": "xbone", "start": 24, "end": 29, "emotion": "Negative emotion"}
    assert answer.json() == {"targets": [[each | {"emotion_confidence": 0.6} for each in (kindle, xbox)], []]}


@pytest.mark.parametrize("path", ["/predict", "/targets", "/explain"])
def test_what_a_request_cannot_choose_is_refused(path):
    texts = {"text": "my Zune"} if path == "/explain" else {"texts": ["my Zune"]}
    answer = client().post(path, json=texts | {"products": ["Zune"]})
    assert answer.status_code == 422
    [detail] = answer.json()["detail"]
    assert (detail["loc"], detail["msg"]) == (["body", "products"], "Extra inputs are not permitted")


def test_an_explanation_comes_with_its_prediction():
    answer = client().post("/explain", json={"text": "My iPad"}).json()
    assert answer["prediction"] == client().post("/predict", json={"texts": ["My iPad"]}).json()["predictions"][0]
    assert answer["explanation"] == json.loads(json.dumps(asdict(MODEL.explain("My iPad"))))


def test_the_emotion_at_one_mention_is_explained_as_targets_gives_it():
    text, ask = "the Kindle is great, my xbone bad", client()
    [[_, xbox]] = ask.post("/targets", json={"texts": [text]}).json()["targets"]
    answer = ask.post("/explain", json={"text": text, "start": xbox["start"], "end": xbox["end"]}).json()
    assert answer["prediction"] == xbox
    explanation = TARGETS.model.explain("the Kindle is great, my \x02xbone\x03 bad")
    assert answer["explanation"]["words"] == ["the", "Kindle", "is", "great,", "my", "xbone", "bad"]
    assert answer["explanation"]["tasks"]["emotion"]["weights"] == list(explanation.tasks["target"].weights)
    for place in ({"start": 24, "end": 28}, {"start": 24}, {"end": 29}):
        refused = ask.post("/explain", json={"text": text, **place})
        assert (refused.status_code, refused.json()["detail"][0]["msg"]) == (422, "/targets finds no mention there")


def test_a_trained_model_answers(target_model):
    model = Predictor.load(target_model)
    text = "My Xbox is great and my Kindle is bad"
    explanation = model.explain(text)
    with client(model, TargetPredictor(model, TARGETS.products)) as ask:
        [rows] = ask.post("/targets", json={"texts": [text]}).json()["targets"]
        found = ask.post("/explain", json={"text": text}).json()["explanation"]
        about = ask.get("/model").json()
    assert [row["mention"] for row in rows] == ["Xbox", "Kindle"]
    assert found == json.loads(json.dumps(asdict(explanation)))
    assert about["predict"]["version"] == about["targets"]["version"] == model.version != ""
    assert about["targets"]["products"] == ["Xbox", "Kindle"]
    assert about["predict"]["runtime"] == model.runtime


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"texts": []}, 422),
        ({"texts": ["a"] * (api.MOST_TEXTS + 1)}, 422),
        ({"texts": ["a" * (MAX_CHARACTERS + 1)]}, 422),
        ({"texts": [None]}, 422),
        ({"text": "a"}, 422),
        ({"texts": ["a"], "k" * 200_000: 1}, 422),
        ({"texts": ["a"]} | {f"{number:060}": 1 for number in range(3000)}, 422),
        (b'{"texts": ["a"], "\\ud800": 1}', 422),
        (b'{"texts": ["\\ud800"]}', 422),
        (b'{"texts": ["a"', 422),
        (b"[" * 100_000, 400),
        (b"1" * 10_000, 400),
        (b"\xff", 400),
        (b" " * (api.MOST_BYTES + 1), 413),
        (iter([b" " * api.MOST_BYTES, b" "]), 413),  # of undeclared length
        ({"texts": ["\U0001f600" * MAX_CHARACTERS]}, 200),  # escaped: the longest body of one text
    ],
)
def test_limits(body, status):
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    answer = client().post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert len(answer.content) < 500, "what was sent is not sent back"


def test_what_names_too_many_products_is_refused(monkeypatch):
    monkeypatch.setattr(api, "MOST_MENTIONS", 3)
    three = {"texts": ["my Kindle is great", "my xbone, and Kindle, Kindle, Kindle"]}
    assert sum(map(len, client().post("/targets", json=three).json()["targets"])) == 3
    answer = client().post("/targets", json={"texts": [*three["texts"], "an Xbox"]})
    [detail] = answer.json()["detail"]
    assert (answer.status_code, detail["loc"]) == (422, ["body", "texts"])
    assert detail["msg"] == "the texts name 4 products, expected at most 3; send fewer texts"


def test_a_page_of_another_site_cannot_ask_without_being_noticed_by_the_browser():
    plain = client().post("/predict", content=b'{"texts": ["a"]}', headers={"Content-Type": "text/plain"})
    assert plain.status_code == 422
    assert "the header Content-Type: application/json" in plain.json()["detail"][0]["msg"]
    assert client().options("/predict", headers={"Origin": "http://evil.example"}).status_code == 405


def test_what_would_be_ignored_is_refused():
    inputs = {"inputs": {"text": ["a"]}}
    for more, status in (({"signature_name": "targets"}, 422), ({"threshold": 1}, 422), ({}, 200)):
        assert client().post("/v1/models/answer:predict", json=inputs | more).status_code == status
    assert client().post("/predict/", json={"texts": ["a"]}, follow_redirects=False).status_code == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:8000", 200), ("evil.example", 400), ("localhost.evil", 400)],
)
def test_only_names_of_this_machine_are_answered_to(host, status):
    assert client(host=host).get("/model").status_code == status


@pytest.mark.parametrize(("path", "status"), [("/health/live", 200), ("/health/ready", 200), ("/metrics", 400)])
def test_a_health_check_may_ask_by_any_name(path, status):
    assert client(host="10.244.1.7:8000").get(path).status_code == status


def test_errors_are_counted_from_zero():
    assert 'duration_seconds_count{path="/predict",status="504"} 0.0' in client().get("/metrics").text


def test_what_is_too_much_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(api, "MOST_WAITING", 1)
    answer = client().post("/predict", json={"texts": ["a", "b"]})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert client().get("/health/ready").status_code == client().head("/health/ready").status_code == 200
    assert client().post("/explain", json={"text": "a"}).status_code == 200
    monkeypatch.setattr(api, "MOST_EXPLANATIONS", 0)
    assert client().post("/explain", json={"text": "a"}).status_code == 429
    monkeypatch.setattr(api, "MOST_WAITING", 0)
    assert client().get("/health/ready").status_code == 503
    assert client().get("/health/live").status_code == 200


def test_what_may_wait_is_what_the_docs_say():
    page = " ".join(SERVING.split())
    size = f"{api.MOST_TEXTS} texts, {MAX_CHARACTERS:,} characters in each, {api.MOST_BYTES // 2**10} KiB in all"
    assert f"A request has at most {size}" in page
    assert f"its texts together name at most {api.MOST_MENTIONS:,} products" in page
    assert f"arrive within {1000 * GATHER_SECONDS:g} ms, or while others are scored" in page
    assert f"with `Retry-After`; after {api.TIMEOUT:g} seconds it is 504" in page
    assert "closed after 75 idle seconds" in page, "as test_main.py checks"
    assert f"If more than {api.MOST_WAITING} texts wait for one path ({api.MOST_EXPLANATIONS} for `/explain`)" in page
    assert f"With {CONNECTIONS:,} connections open, any further request gets 503" in page


def test_the_client_of_the_docs_is_answered():
    names, texts = {}, ["My iPad", "b"]
    exec(re.search(r"```python\n(.*?)```", SERVING, re.DOTALL)[1], names)
    with served(api.make_app(MODEL, registry=process_registry())) as url:
        found = names["predict"](texts, f"{url}/predict")
    assert found == client().post("/predict", json={"texts": texts}).json()["predictions"]


def test_a_late_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(api, "TIMEOUT", 0.05)
    given_up = threading.Event()
    slow = replace(MODEL, score=lambda batch: (given_up.wait(10), MODEL.score(batch))[1])
    answer = client(slow).post("/predict", json={"texts": ["a"]})
    given_up.set()
    assert answer.status_code == 504
    assert answer.json()["detail"].startswith("No answer within")


def test_requests_for_targets_that_fill_a_batch_are_not_joined():
    """The time of a call is that of all mentions in it, and a request that was given up would still take its share."""
    sizes, all_wait = [], threading.Event()

    class Targets(TargetPredictor):
        def predict(self, texts):
            sizes.append(len(texts))
            assert all_wait.wait(30)
            return super().predict(texts)

    with client(targets=Targets(TARGETS.model, TARGETS.products)) as ask, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(ask.post, "/targets", json={"texts": ["my xbone"] * 100}) for _ in range(3)]
        time.sleep(0.5)
        beside = ask.post("/predict", json={"texts": ["a"]})
        all_wait.set()
        assert [answer.result().status_code for answer in answers] == [200] * 3
    assert sizes == [100] * 3
    assert beside.status_code == 200, "an answer for a text need not wait for them"


def test_a_model_that_fails_says_nothing_of_the_text(capsys):
    answer = client(failing(ValueError(f"cannot read {SECRET}"))).post("/predict", json={"texts": [SECRET]})
    assert (answer.status_code, answer.json()) == (500, {"detail": "The model failed on these texts."})
    printed = capsys.readouterr()
    line = json.loads(printed.err)
    assert line["error"].startswith("ValueError at ")
    assert SECRET not in printed.out + printed.err


def test_the_log_has_a_line_for_each_request_and_no_text(capsys):
    ask = client()
    ask.post("/predict", json={"texts": [SECRET, "b"]})
    ask.post("/explain", json={"text": SECRET})
    ask.post("/predict", json={"texts": SECRET})
    ask.get(f"/{SECRET}?text={SECRET}")
    printed = capsys.readouterr().err
    lines = [json.loads(line) for line in printed.splitlines()]
    found = [(line["path"], line["status"], line["texts"]) for line in lines]
    assert found == [("/predict", 200, 2), ("/explain", 200, 1), ("/predict", 422, 0), ("other", 404, 0)]
    assert SECRET.split()[0] not in printed


def test_with_keys_a_request_needs_one_of_them():
    ask = client(keys=["first", "second"])
    for header in (None, "first", "Bearer third", "Bearer", "Basic first", "Bearer \xe9"):
        headers = {"Authorization": header.encode("latin-1")} if header else {}
        answer = ask.post("/predict", json={"texts": ["a"]}, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), header
    for path in ("/metrics", "/model", "/openapi.json"):
        assert ask.get(path).status_code == 401
    for path in ("/health/live", "/health/ready"):
        assert ask.get(path).status_code == 200
    for key in ("first", "second"):
        assert ask.get("/model", headers={"Authorization": f"bearer {key}"}).status_code == 200


def test_what_the_models_cannot_do_is_said():
    ask, mention = client(targets=None), {"text": "my xbone", "start": 3, "end": 8}
    assert ask.post("/targets", json={"texts": ["a"]}).status_code == 404
    assert ask.post("/explain", json=mention).status_code == 404
    assert "no `target` model" in ask.post("/explain", json=mention).json()["detail"]
    assert ask.get("/model").json()["targets"] is None


def test_metrics_count_requests_and_with_a_log_predictions(tmp_path):
    exporter = Exporter()
    with Recorder(tmp_path / "log.sqlite", model="answer", version="1") as recorder:
        exporter.attach(recorder)
        ask = client(registry=exporter.registry, recorder=recorder)
        ask.post("/predict", json={"texts": ["a", "b"]})
        ask.post("/predict", json={})
        client(failing(ValueError()), recorder=recorder).post("/predict", json={"texts": ["a"]})
        recorder.flush()
        lines = ask.get("/metrics").text.splitlines()
    assert 'tweet_target_http_request_duration_seconds_count{path="/predict",status="200"} 1.0' in lines
    assert 'tweet_target_http_request_duration_seconds_count{path="/predict",status="422"} 1.0' in lines
    assert 'tweet_target_requests_total{source="api",status="ok"} 1.0' in lines
    assert 'tweet_target_requests_total{source="api",status="error"} 1.0' in lines
    assert "tweet_target_batch_size_sum 2.0" in lines


def test_the_examples_of_the_description_are_answered_as_described():
    ask = client(targets=TargetPredictor(TARGETS.model, Products({"iPad": []})))
    description = ask.get("/openapi.json").json()
    schemas = description["components"]["schemas"]
    assert set(description["paths"]) == {
        *("/predict", "/targets", "/explain", "/health/live", "/health/ready", "/model", "/metrics"),
        *("/v1/models/answer:predict", "/v1/models/answer/metadata"),
    }
    for path, request, response in (
        ("/predict", "Texts", "Predictions"),
        ("/targets", "Texts", "Targets"),
        ("/explain", "OneText", "Explained"),
    ):
        body = {name: field["examples"][0] for name, field in schemas[request]["properties"].items()}
        answer = ask.post(path, json=body)
        assert answer.status_code == 200
        assert list(answer.json()) == list(schemas[response]["properties"])
    [row, *_] = ask.post("/predict", json={"texts": ["a"]}).json()["predictions"]
    assert list(row) == list(schemas["Prediction"]["properties"])
