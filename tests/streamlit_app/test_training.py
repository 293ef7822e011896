"""A training from a page: a process that prints, ends, fails or is stopped, and what the page says of it."""

import json
import os
import shutil
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from app_stub import make_model, words_of
from streamlit.testing.v1 import AppTest

from streamlit_app.components import runs, training
from tests.monitor.made_up import wait_until
from tf_model import paths

# In place of tf_model.train: it says which options it got, then does what a test asks for.
SAYS = "import json, pathlib, sys; options = sys.argv[1:]; print(json.dumps(options), flush=True); "
SAVES = "(pathlib.Path(options[5]) / options[7]).mkdir(); "


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
        each.process.wait(120)


def pressed(words="Train a model"):
    app = AppTest.from_function(page, default_timeout=120).run()
    next(each for each in app.button if each.label == words).click().run()
    assert not app.exception, app.exception
    return app


def ended(app):
    training._trainings[-1].process.wait(120)
    return app.run()


def test_the_labels_train_a_model_beside_the_others(train, models, monkeypatch):
    make_model(models, "retrained")
    train(SAVES)
    monkeypatch.setattr(paths, "SAVED_MODELS", models.parent / "saved_models")
    monkeypatch.chdir(models.parent)
    monkeypatch.setattr(sys, "argv", ["app", "--models", models.name])  # the process runs in another folder
    app = ended(pressed())
    assert "The new model is retrained\\-2: Evaluate shows" in app.success[0].value
    assert app.code[0].value == "python -m tf_model.promote models/retrained-2 --to models/answer"
    options = json.loads(training._trainings[-1].last_line)
    extra = Path(options[3])
    private = [stat.S_IMODE(folder.stat().st_mode) for folder in (extra.parent, extra.parent.parent)]
    assert private == [0o700, 0o700], "nobody else can list them"
    assert options == [
        *("--task", "answer", "--extra", str(extra), "--output-dir", str(models), "--name", "retrained-2", "--restart")
    ]
    assert extra.read_text("utf-8") == "text,emotion\nI love it,Positive emotion\n"
    week_ago = time.time() - runs.KEPT_SECONDS - 1
    os.utime(extra.parent, (week_ago, week_ago))
    runs.clear_up()
    assert not extra.exists(), "it holds texts"


def test_a_training_says_how_far_it_is_and_can_be_stopped_from_another_window(train, models):
    train("import time; print('epoch 1/3'); sys.stdout.flush(); time.sleep(600)")
    app = pressed()
    wait_until(lambda: training._trainings[-1].last_line == "epoch 1/3")
    assert "Training retrained on this machine:\nepoch 1/3" in words_of(app.run())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: training._start("answer", lambda: "text\n"), range(4)))
    assert len(training._trainings) == 1, "one at a time"
    other = pressed("Stop")
    assert "The training was stopped. There is no new model." in words_of(ended(other))
    assert [each.label for each in app.run().button] == ["Train a model"]


def test_a_training_that_fails_says_why(train):
    train("print('error: expected new rows to train on'); sys.exit(1)")
    words = words_of(ended(pressed()))
    assert "The training failed." in words
    assert "error: expected new rows to train on" in words
    training._trainings[-1].log.unlink()
    later = words_of(AppTest.from_function(page, default_timeout=120).run())
    assert "The training failed." in later, "its output is deleted after a week"


def test_a_new_model_that_is_gone_was_no_failure(train, models):
    train(SAVES)
    app = ended(pressed())
    shutil.rmtree(models / "retrained")
    assert [each.label for each in app.run().button] == ["Train a model"]
    assert "The training failed." not in words_of(app)


def test_a_training_that_is_killed_says_why(train):
    train("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert "The system ended it, perhaps for lack of memory." in words_of(ended(pressed()))


def test_a_model_that_is_there_was_not_stopped_in_time(train):
    train(SAVES)
    app = pressed()
    training._trainings[-1].process.wait(120)
    training._trainings[-1].stop()
    assert "The new model is retrained:" in words_of(app.run())


def test_no_training_is_offered_without_tensorflow(monkeypatch):
    assert training.can_train()
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    assert not training.can_train()
