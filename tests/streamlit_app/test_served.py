"""The app with a model on a server: the same answers, and one line where the server is down."""

import json
import sys

import pytest
import stand_in
from app_stub import ask, make_model, open_app, press, run_of, said, upload, wait, words_of
from ports import free_ports
from stand_in import VERSION, StandIn
from stub_model import target_stub

from streamlit_app.components import loading, recording, run_explorer, runs
from tf_model import tasks
from tf_model.data.products import Products
from tf_model.inference.predictor import Predictor
from tf_model.inference.targets import TargetPredictor
from tf_model.monitor.store import Store
from tf_model.serving.remote import RemotePredictor


@pytest.fixture
def server(models, monkeypatch):
    """A stand-in serving the joint model, named on the app's command line; loading a model here fails the test."""
    monkeypatch.setattr(Predictor, "load", lambda *_: pytest.fail("a model was loaded"))
    loading._connect.clear()
    with StandIn(models=("answer",)).running() as running:
        monkeypatch.setattr(sys, "argv", ["app.py", "--server", running.url])
        yield running
    loading._connect.clear()


def test_a_question_is_answered_by_the_server(server, models):
    make_model(models)  # ignored
    app = ask("the new ipad is great")
    assert "Positive emotion" in words_of(app)
    assert "The stronger the colour, the more the word counted." in words_of(app), "the words are weighed, too"
    posted = [body for method, _, body in server.requests if method == "POST"]
    assert any(b"the new ipad is great" in body for body in posted)
    beside = " ".join(caption.value for caption in app.sidebar.caption)
    assert "answer" in beside
    assert VERSION in beside
    assert "Model in use" not in [each.label for each in app.sidebar.selectbox]


def test_a_copy_of_the_model_tells_labels_of_its_own(server, models, monkeypatch):
    server.change = lambda outputs: outputs | {"emotion": ["good"]}
    assert "give the folder of the same model with --model DIR" in words_of(ask("the new ipad is great"))
    copy = make_model(models, "mine")
    labels = {"product": tasks.PRODUCTS, "emotion": ["bad", "meh", "good"]}
    (copy / "labels.json").write_text(json.dumps({"task": "answer", "labels": labels, "no_emotion": "meh"}))
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--model", str(copy)])
    app = ask("the new ipad is great")
    assert app.get("plotly_chart")[0].proto.alt.startswith("Probability of each emotion. good 50%, ")
    assert loading.current_model().folder == copy, "of which a model of targets has its products"


def test_shares_are_not_corrected_for_the_errors_of_another_model(server, models, monkeypatch):
    make_model(models)
    monkeypatch.setattr(run_explorer, "correction_of", lambda _: pytest.fail("of a model that did not answer"))
    app = upload("text\nthe new ipad is great\n")
    wait(run_of(press(app, "Answer 1 row")))
    assert not app.run().exception, app.exception
    assert "1 row answered" in app.success[0].value
    assert "Shares are not corrected: the server's model" in said(app)


def test_a_file_outlasts_a_restart_of_the_server_but_not_another_version(server, models, monkeypatch):
    def answer(app):
        wait(run_of(press(app, "Answer 1 row")))
        return words_of(app.run())

    app = upload("text\nthe new ipad is great\n")
    server.faults += [503, 503, 503]
    assert "1 row answered" in answer(app)
    app = upload("text\nthe new ipad is great\n")
    monkeypatch.setattr(stand_in, "VERSION", "1795488001")
    assert f"had version {VERSION} of the model at the beginning and has 1795488001 at the end" in answer(app)


def test_a_served_model_of_targets_answers_a_file_for_each_product(models, monkeypatch):
    remote = RemotePredictor(labels={"target": tasks.EMOTIONS}, score=target_stub().score, version=VERSION)
    monkeypatch.setattr(RemotePredictor, "connect", lambda *_: remote)
    monkeypatch.setattr(RemotePredictor, "check_version", lambda _: None)
    products = Products({"iPad": (), "Kindle": ()})
    state = loading.ModelState("target", models, VERSION, remote, server_url="http://server")
    run = runs.store("a.csv", b"text\nmy iPad is great but my Kindle is bad\n")
    runs.start(run, state, "text", TargetPredictor(remote, products), products)
    run = wait(run)
    assert (run.status, run.problem) == (runs.DONE, "")
    answers = run.answers().table[["product", "emotion"]].values.tolist()
    assert answers == [["iPad", tasks.POSITIVE], ["Kindle", tasks.NEGATIVE]]


def test_what_the_server_answered_is_in_the_log_with_its_version(server, models):
    state = loading.current_model()
    assert (state.name, state.version) == ("answer", VERSION)
    ask("the new ipad is great")
    recording.recorder(state).flush(10)
    assert Store(loading.monitor_log()).versions()[0][:2] == ("answer", VERSION)


def test_a_server_that_is_down_is_named_and_nothing_else_is_offered(models, monkeypatch):
    url = f"http://127.0.0.1:{free_ports()[0]}"
    monkeypatch.setattr(sys, "argv", ["app.py", f"--server={url}"])
    app = open_app()
    assert not app.exception
    said = words_of(app)
    assert "The model server cannot be used." in said
    assert f"no model server answers at {url}" in said
    assert "make answer" not in said


def test_a_server_that_fails_later_says_so_on_the_page(server):
    loading.current_model()
    server.faults += [500]
    said = words_of(ask("the new ipad is great"))
    assert "This text could not be answered." in said
    assert "refused the request (status 500)" in said
