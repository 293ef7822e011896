"""A training from a page: a process that prints, ends, fails or is stopped, and what the page says of it."""

import json
import sys
import time
from pathlib import Path

import pytest
from app_stub import make_model, words_of
from streamlit.testing.v1 import AppTest

from streamlit_app.components import training

# In place of tf_model.train: it says which options it got, then does what a test asks for.
SAYS = "import json, sys; print(json.dumps(sys.argv[1:]), flush=True); "


def page():
    from streamlit_app.components.training import offer_training

    offer_training("answer", lambda: "text,emotion\nI love it,Positive emotion\n", "here")


@pytest.fixture
def train(models, monkeypatch):
    """Sets what a training does."""
    monkeypatch.setattr(training, "_trainings", [])
    yield lambda code: monkeypatch.setattr(training, "TRAIN", (sys.executable, "-c", SAYS + code))
    for each in training._trainings:
        each.stop()
        each.process.wait(30)


def pressed(words="Train a model"):
    app = AppTest.from_function(page).run()
    next(each for each in app.button if each.label == words).click().run()
    assert not app.exception, app.exception
    return app


def ended(app):
    training._trainings[-1].process.wait(30)
    return app.run()


def test_the_labels_train_a_model_beside_the_others(train, models):
    make_model(models, "candidate")
    train("")
    app = ended(pressed())
    assert "The new model is candidate\\-2: Evaluate shows" in app.success[0].value
    assert app.code[0].value.startswith("python -m tf_model.promote ")
    assert app.code[0].value.endswith("models/candidate-2")
    options = json.loads(training._trainings[-1].last_line)
    assert options[:3] == ["--task", "answer", "--extra"]
    assert options[4:] == ["--output-dir", str(models), "--name", "candidate-2", "--restart"]
    assert Path(options[3]).read_text("utf-8") == "text,emotion\nI love it,Positive emotion\n"


def test_a_training_says_how_far_it_is_and_can_be_stopped_from_another_window(train, models):
    train("import time; print('epoch 1/3'); sys.stdout.flush(); time.sleep(60)")
    app = pressed()
    until = time.monotonic() + 30
    while training._trainings[-1].last_line != "epoch 1/3":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert "Training candidate on this machine:\nepoch 1/3" in words_of(app.run())
    training._start("answer", lambda: "text\n")
    assert len(training._trainings) == 1, "one at a time"
    other = pressed("Stop")
    assert "The training was stopped. Nothing was saved." in words_of(ended(other))
    assert [each.label for each in app.run().button] == ["Train a model"]


def test_a_training_that_fails_says_why(train):
    train("print('error: expected new rows to train on'); sys.exit(1)")
    words = words_of(ended(pressed()))
    assert "The training failed." in words
    assert "error: expected new rows to train on" in words


def test_no_training_is_offered_without_tensorflow(train, monkeypatch):
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    assert not AppTest.from_function(page).run().button
