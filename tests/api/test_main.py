"""The command: what it refuses, and how it ends."""

import gc
import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from dataclasses import replace

import pytest
import uvicorn
from model_folders import write_answer, write_single
from starlette.testclient import TestClient
from stub_model import stub, target_stub

from tf_model import paths
from tf_model.api.__main__ import CONNECTIONS, _listen, main
from tf_model.errors import ModelError, OutputError, UsageError
from tf_model.inference.predictor import Predictor
from tf_model.monitor.store import Store

# The real command with a model in plain Python, which takes a while for each batch.
SERVER = """
import sys, time
from dataclasses import replace
from pathlib import Path

from stub_model import stub
from tf_model import cli, paths
from tf_model.api import batching
from tf_model.api.__main__ import main
from tf_model.inference.predictor import Predictor

def score(batch):
    print("scoring", flush=True)
    time.sleep(1)
    return model.score(batch)

model = stub()
batching.GATHER_SECONDS = 1  # enough for all clients to connect before the first batch
paths.SAVED_MODELS = Path("nowhere")
Predictor.load = lambda folder, **_: replace(model, score=score, version="1", folder=Path("slow"))
cli.run(main)
"""


@pytest.mark.parametrize("keys", ["", " , "])
def test_a_variable_without_keys_does_not_open_the_api(keys, monkeypatch):
    monkeypatch.setenv("TWEETS_API_KEYS", keys)
    with pytest.raises(UsageError, match="TWEETS_API_KEYS holds no key, so anybody could ask; set it to KEY,KEY"):
        main(["--port", "0"])


def test_sigterm_lets_what_has_begun_be_answered():
    command = [sys.executable, "-c", SERVER, "--port", "0"]
    environment = {"PYTHONPATH": f"{paths.ROOT}:{paths.ROOT / 'tests'}", "TWEETS_API_KEYS": " one, two "}
    answers = []

    def ask():
        body = json.dumps({"texts": ["iPad"]}).encode()
        headers = {"Content-Type": "application/json", "Authorization": "Bearer two"}
        with urllib.request.urlopen(urllib.request.Request(f"{address}/predict", body, headers), timeout=60) as reply:
            answers.append(json.load(reply))

    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        address = process.stderr.readline().rpartition(" at ")[2].strip()
        assert process.stdout.readline() == "scoring\n"  # the warm-up
        clients = [threading.Thread(target=ask) for _ in range(3)]
        for client in clients:
            client.start()
        assert process.stdout.readline() == "scoring\n"
        process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join()
        lines = process.stderr.read().splitlines()
        assert process.wait(60) == 143
    assert [answer["predictions"][0]["product"] for answer in answers] == ["iPad"] * 3
    assert [json.loads(line)["status"] for line in lines[:-1]] == [200] * 3
    assert lines[-1] == "terminated"


def test_no_packet_of_an_answer_waits_for_another():
    with (
        _listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OutputError, match="cannot listen at"):
        main(["--port", str(taken.getsockname()[1])])


def test_an_empty_name_does_not_open_the_api_to_anybody():
    with pytest.raises(UsageError, match="--host is empty, which would let anybody connect"):
        main(["--host", ""])


@pytest.mark.parametrize("options", [["--port", "70000"], ["--host", "no.such.name.invalid"]])
def test_an_address_that_cannot_be_is_said(options):
    with pytest.raises(OutputError, match="cannot listen at"):
        main(options)


def test_a_model_of_targets_does_not_answer_for_whole_texts(monkeypatch):
    monkeypatch.setattr(Predictor, "load", lambda folder, **_: target_stub())
    with pytest.raises(UsageError, match="--targets DIR"):
        main(["--port", "0"])


@pytest.mark.parametrize("given", ["model", "targets"])
def test_a_model_that_does_not_verify_is_not_served(monkeypatch, keys, tmp_path, given):
    def load(folder, verify):
        if folder == tmp_path / given:
            raise ModelError(f"{folder} is not signed by {verify}")
        return stub()

    monkeypatch.setattr(Predictor, "load", load)
    (write_single(tmp_path, "target", name="targets") / "products.csv").write_text("name\nXbox\n")
    options = ["--model", str(tmp_path / "model"), "--targets", str(tmp_path / "targets"), "--verify", str(keys[1])]
    with pytest.raises(ModelError, match=rf"{given} is not signed by {keys[1]}"):
        main(["--port", "0", *options])


@pytest.mark.parametrize(
    ("place", "options", "expected"),
    [
        (".", [], [["Xbox"], []]),
        (".", ["--products", "mine.csv"], [[], ["iPad"]]),
        ("mine", ["--targets", "mine/target"], [["Xbox"], []]),
    ],
)
def test_targets_are_only_of_products_that_a_text_names(monkeypatch, tmp_path, place, options, expected):
    """The model of whole texts makes no guesses for the others."""
    models = {"answer": stub(has_emotion=True), "target": target_stub()}
    monkeypatch.setattr(Predictor, "load", lambda folder, **_: replace(models[folder.name], folder=folder, version="1"))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path)
    monkeypatch.chdir(tmp_path)
    write_answer(tmp_path)
    (write_single(tmp_path / place, "target") / "products.csv").write_text("name\nXbox\n")
    (tmp_path / "mine.csv").write_text("name\niPad\n")
    found = []

    def run(server, sockets):
        client = TestClient(server.config.app, base_url="http://localhost")
        found.extend(client.post("/targets", json={"texts": ["my Xbox is bad", "an iPad"]}).json()["targets"])

    monkeypatch.setattr(uvicorn.Server, "run", run)
    assert main(["--port", "0", "--model", "answer", *options]) == 0
    assert [[target["mention"] for target in each] for each in found] == expected


@pytest.mark.parametrize("name", ["a*", "*a", "*.*", "a.example:8443", "2001:db8::1", "https://a.example"])
def test_a_name_of_a_host_has_a_star_in_front_only_and_no_port(name, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--allow-host", name])
    assert "expected NAME" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--record"]], ids=["without a log", "with a log"])
def test_predictions_are_counted_with_a_log_only(monkeypatch, tmp_path, options):
    """Otherwise an alert would report an unused API. Keys and the names of hosts hold for both."""
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path)
    monkeypatch.setattr(paths, "MONITOR_LOG", tmp_path / "log.sqlite")
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: replace(stub(), folder=tmp_path, version="1"))
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setenv("TWEETS_API_KEYS", "secret")
    seen = []

    def run(server, sockets):
        assert server.config.limit_concurrency == CONNECTIONS
        assert server.config.timeout_keep_alive == 75, "as the docs say; proxies use a connection again for 60 s"
        client = TestClient(server.config.app, base_url="http://api.example")
        assert client.get("/metrics").status_code == 401
        assert TestClient(server.config.app, base_url="http://127.0.0.2").get("/health/live").status_code == 200
        client.headers["Authorization"] = "Bearer secret"
        client.post("/predict", json={"texts": ["a"]})
        seen.append(client.get("/metrics").text)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    assert main(["--port", "0", "--host", "127.0.0.2", "--allow-host", "*.example", *options]) == 0
    assert not options or Store(tmp_path / "log.sqlite").window(0, 2**40).predictions == 1
    assert "process_resident_memory_bytes" in seen[0]
    assert ("tweet_target_requests_total" in seen[0]) == ("tweet_target_model_info" in seen[0]) == bool(options)
