"""The model behind the pages: found, loaded once, loaded again when replaced, and each way it can be missing."""

import errno
import gc
import os
import sys
import weakref
from pathlib import Path

import pytest
from app_stub import StubPredictor, make_model

from streamlit_app.components import loading, runs
from tf_model import paths
from tf_model.errors import DataError
from tf_model.inference.predictor import Predictor
from tf_model.monitor.store import Store


@pytest.fixture
def loaded(models, monkeypatch):
    """The folder's name for each load of a model."""
    names = []

    def load(folder):
        names.append(Path(folder).name)
        return StubPredictor(folder=Path(folder))

    monkeypatch.setattr(Predictor, "load", load)
    return names


def test_no_model_at_all(models):
    state = loading.current_model()
    assert (state.name, state.problem, state.predictor) == ("", "", None)
    models.rmdir()
    assert loading.current_model() == state


def test_a_model_is_loaded_once_and_warmed_up(models, loaded, monkeypatch):
    warmed = []
    monkeypatch.setattr(StubPredictor, "predict_measured", lambda predictor, texts, **_: warmed.append(tuple(texts)))
    make_model(models)
    first, second = loading.current_model(), loading.current_model()
    assert first.predictor is second.predictor
    assert (loaded, warmed) == (["answer"], [loading.WARM_UP])


def test_a_loaded_model_is_no_matter_of_later_collections_of_garbage(models, loaded, monkeypatch):
    monkeypatch.setattr(loading, "gc", gc)

    class Ring:
        """Garbage that only the collector can free."""

        def __init__(self):
            self.itself = self

    gone = []
    try:
        make_model(models)
        predictor = loading.current_model().predictor
        assert gc.get_freeze_count() > 10_000
        assert not any(each is predictor for each in gc.get_objects())
        ring = Ring()
        weakref.finalize(ring, gone.append, 1)
        gc.freeze()  # as if the replaced model were in a ring
        del ring
        gc.collect()
        assert not gone
        loading._load.clear()
        loading.current_model()
        assert gone
    finally:
        gc.unfreeze()


def test_a_replaced_model_is_picked_up_and_its_old_answers_are_not(models, loaded):
    folder = make_model(models)
    before = loading.current_model()
    before.predictor.predict_measured(["I love the iPad"])
    assert len(before.predictor.calls) == 1
    new = make_model(models.parent / "elsewhere")
    folder.rename(models.parent / "old")
    new.rename(folder)
    after = loading.current_model()
    assert loaded == ["answer", "answer"]
    assert after.version != before.version
    assert after.predictor is not before.predictor
    after.predictor.predict_measured(["I love the iPad"])
    assert len(after.predictor.calls) == 1


def test_a_model_replaced_while_it_is_loaded_is_not_kept_for_the_old_one(models, loaded, monkeypatch):
    graph, load = make_model(models) / "saved_model.pb", Predictor.load

    def replaced(folder):
        os.utime(graph, ns=(1, 1))
        return load(folder)

    monkeypatch.setattr(Predictor, "load", replaced)
    assert "was replaced while it was being loaded; reload the page" in loading.current_model().problem
    assert not loading.current_model().problem


def test_broken_models_say_what_is_wrong_and_recover(models, monkeypatch):
    folder = models / "answer"
    folder.mkdir()
    state = loading.current_model()
    assert (state.name, state.predictor) == ("answer", None)
    assert "saved_model.pb is missing" in state.problem
    make_model(models)
    state = loading.current_model()  # really loads, from a file that is no graph
    assert state.predictor is None
    assert state.problem.startswith(f"{folder} holds no complete model: labels.json is missing")
    monkeypatch.setattr(Predictor, "load", lambda folder: StubPredictor())
    assert loading.current_model().predictor


def test_a_model_that_fails_when_first_asked_is_broken(models, loaded, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no such operation\nand more")

    monkeypatch.setattr(StubPredictor, "predict_measured", fail)
    make_model(models)
    state = loading.current_model()
    assert state.predictor is None
    assert state.problem == "answer cannot be loaded (no such operation)"


def test_the_joint_model_comes_first_then_product_then_that_of_the_sample(models, loaded):
    for name in ("tuned", "sample", ".hidden"):
        make_model(models, name)
    assert loading.model_names() == ["sample", "tuned"]
    make_model(models, "product")
    assert loading.current_model().name == "product"
    make_model(models, "answer")
    assert loading.current_model().name == "answer"
    assert loading.model_names() == ["answer", "product", "sample", "tuned"]


def test_of_what_this_user_may_not_read_no_page_fails(models, monkeypatch):
    make_model(models)

    stat, unreadable = os.stat, ("saved_model.pb", "predictions.sqlite", "runs")

    def refuse(path, *arguments, **options):
        if str(path).endswith(unreadable):
            raise PermissionError(errno.EACCES, "Permission denied")
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", refuse)
    assert loading.model_names() == ["answer"]
    assert loading.current_model().problem.endswith(
        "saved_model.pb cannot be read: Permission denied; check its permissions"
    )
    monkeypatch.setattr(Path, "glob", lambda path, _: refuse(path))
    runs.clear_up()
    with pytest.raises(DataError, match="Permission denied; check the file and its permissions"):
        Store(loading.monitor_log()).exists  # noqa: B018


@pytest.mark.parametrize("arguments", [["--models", "{}"], ["--models={}"]])
def test_another_folder_of_models(models, monkeypatch, tmp_path, arguments):
    folder = tmp_path / "run=5"
    monkeypatch.setattr(sys, "argv", ["app.py", *(each.format(folder) for each in arguments)])
    assert loading.models_folder() == folder
    assert loading.monitor_log() == folder / ".monitor" / "predictions.sqlite"
    monkeypatch.setattr(sys, "argv", ["app.py"])
    assert loading.models_folder() == models


def test_by_default_the_log_is_the_one_that_the_commands_write(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py"])
    assert loading.monitor_log() == paths.MONITOR_LOG
