"""A model in plain Python for the pages, and the pages run on it."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy
import pandas
import pytest
import streamlit as st
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest

from streamlit_app.components import loading, products, recording, runs
from streamlit_app.components.runs import Run
from tf_model import paths, tasks
from tf_model.data import DATA_VARIABLE
from tf_model.data.products import Products, write_products
from tf_model.inference.attribution import _WORD, MOST_WORDS, Attribution, Explanation
from tf_model.inference.predictor import BATCH_SIZE, Measured, Predictor, TablePredictor, columns_of, probability_column
from tf_model.model_dir import training_of
from tf_model.modeling.joint_label import NOT_SURE, answer_outputs, answer_text
from tf_model.monitor.store import Store
from tf_model.preprocessing.cleaning import unmark
from tf_model.tasks import NO_EMOTION

APP = paths.ROOT / "streamlit_app" / "app.py"
THRESHOLD = 0.5
MARKUP = "<b>bold</b> **strong** [link](http://127.0.0.1) :smile: $x$"
SCRIPTS = ScriptCache()


@dataclass
class StubPredictor(TablePredictor):
    """Finds a product, "love", "hate" and "hmm" (not sure) in a text; its output follows the contract of a model."""

    tasks: tuple[str, ...] = ("product", "emotion")
    metrics: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    runtime: str = "tensorflow"
    folder: Path | None = None
    calls: list[list[Any]] = field(default_factory=list)
    explained: list[str] = field(default_factory=list)
    before_batch: Callable[[], None] | None = None
    fails: BaseException | None = None
    threshold: float | None = THRESHOLD
    no_emotion: str = NO_EMOTION
    name, is_sample, reads_english = Predictor.name, Predictor.is_sample, Predictor.reads_english

    @property
    def version(self) -> str:
        return training_of(self.folder) if self.folder else ""

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        return {name: tasks.ALL_TASKS[name].labels for name in self.tasks}

    def columns(self, probabilities: bool = False) -> dict[str, str]:
        return columns_of(self.labels, probabilities)

    def row(self, text: Any) -> dict[str, Any]:
        return _row(text)

    def predict_measured(
        self, texts: Sequence[Any], on_progress: Callable[[int], None] | None = None, threshold: float | None = None
    ) -> Measured:
        """As :meth:`~tf_model.inference.predictor.Predictor.predict_measured`."""
        began, columns = time.perf_counter(), self.columns(probabilities=True)
        if tuple(texts) != loading.WARM_UP:
            self.calls.append(list(texts))
            if self.fails is not None:
                raise self.fails
            for start in range(0, len(texts), BATCH_SIZE):
                if self.before_batch:
                    self.before_batch()
                if on_progress:
                    on_progress(len(texts[start : start + BATCH_SIZE]))
        frame = pandas.DataFrame([self.row(text) for text in texts], columns=list(columns)).astype(columns)
        return Measured(frame, {"model": time.perf_counter() - began}, None)

    def explain(self, text: str) -> Explanation:
        if text not in loading.WARM_UP:
            self.explained.append(text)
        words = tuple(text.split()[:MOST_WORDS])
        weights = tuple(1.0 if word == "love" else -0.5 if word == "the" else 0.0 for word in words)
        row = _row(text)
        by_task = {"product": weights[::-1], "emotion": weights}
        return Explanation(words, {task: Attribution(row[task], by_task[task]) for task in self.tasks})


def _row(text: Any) -> dict[str, Any]:
    text = str(text).lower()
    product = next((name for name in tasks.PRODUCTS if name.lower() in text), "Apple")
    emotion = tasks.POSITIVE if "love" in text else tasks.NEGATIVE if "hate" in text else tasks.NO_EMOTION
    sure = 0.4 if "hmm" in text else 0.94
    best = answer_text(emotion, product)
    row = {"product": product, "product_confidence": 0.9, "emotion": emotion, "emotion_confidence": sure}
    row |= {"answer": best if sure >= THRESHOLD else NOT_SURE, "answer_confidence": sure, "best_guess": best}
    row["second_guess"] = answer_text(tasks.NEGATIVE, "Google")
    for task in (tasks.PRODUCT, tasks.EMOTION):
        top = row[f"{task.name}_confidence"]
        rest = (1 - top) / (len(task.labels) - 1)
        row |= {probability_column(task.name, each): top if each == row[task.name] else rest for each in task.labels}
    return row


@dataclass
class StubTargets(StubPredictor):
    """Finds "love", "hate" and "hmm" (not sure) in the words before a marked mention."""

    tasks: tuple[str, ...] = ("target",)

    def explain(self, text: str) -> Explanation:
        if text not in loading.WARM_UP:
            self.explained.append(text)
        words = tuple(unmark(match.group()) for match in _WORD.finditer(text))[:MOST_WORDS]
        weights = tuple(float(word == "love") for word in words)
        return Explanation(words, {"target": Attribution(tasks.POSITIVE, weights)})

    def row(self, text: Any) -> dict[str, Any]:
        row = _row(text.partition("\x02")[0].split(",")[-1])
        row = {name.replace("emotion", "target", 1): value for name, value in row.items()}
        row["best_guess"] = row["second_guess"] = row["target"]
        return row if row["answer"] == NOT_SURE else row | {"answer": row["target"]}


def make_model(models: Path, name: str = "answer") -> Path:
    """A folder that looks like a model's."""
    folder = models / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(name.encode())
    return folder


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty folder of models, with the caches of other tests cleared."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setattr(paths, "SAVED_MODELS", folder)
    # Otherwise each AppTest reads the metadata of every installed package, in search of components; this app has none.
    monkeypatch.setattr("streamlit.components.v2.manifest_scanner.scan_component_manifests", list)
    # Otherwise each load of a model and each run of a page collects the garbage of all that the tests have imported:
    # once by Streamlit itself, and once by Keras' clear_session if another test of the process has imported Keras.
    monkeypatch.setattr(loading, "gc", Mock())
    st.config.set_option("runner.postScriptGC", False)
    monkeypatch.setattr("streamlit.runtime.scriptrunner.script_runner._clean_problem_modules", Mock())
    # Otherwise each run compiles the app and its page again; a real server compiles them once, too.
    for module in ("app_test", "local_script_runner"):
        monkeypatch.setattr(f"streamlit.testing.v1.{module}.ScriptCache", lambda: SCRIPTS)
    monkeypatch.setattr(runs, "owner", lambda: "the browser")  # AppTest sends no cookies
    _forget()
    yield folder
    _forget()


@pytest.fixture
def sample(models, monkeypatch) -> None:
    """The sample corpus is the only dataset, whatever else the checkout holds."""
    monkeypatch.setenv(DATA_VARIABLE, str(paths.SAMPLE_CORPUS))


def _forget() -> None:
    st.cache_data.clear()
    loading._load.clear()
    recording._recorder.clear()


@pytest.fixture
def stub(models, monkeypatch) -> StubPredictor:
    """The model ``answer``, in plain Python."""
    made = StubPredictor(folder=make_model(models))
    monkeypatch.setattr(Predictor, "load", lambda folder=None: made)
    return made


@pytest.fixture
def offered(monkeypatch) -> dict[str, Callable[[], Any]]:
    """The content of each download that a page offers, by its label."""
    contents: dict[str, Callable[[], Any]] = {}
    monkeypatch.setattr(st, "download_button", lambda label, data, **_: contents.update({label: data}))
    return contents


OWN_LABELS = {"product": ("Kindle", "Xbox"), "emotion": ("bad", "good", "meh")}


@pytest.fixture
def own_model(models, monkeypatch) -> Predictor:
    """A model with its own labels: a text with "good" directs an emotion at the Xbox, any other text none."""

    def score(batch: Sequence[bytes]) -> dict[str, numpy.ndarray]:
        emotion = [int(b"good" not in text) + 1 for text in batch]
        scores = [numpy.eye(2)[[1] * len(batch)], 0.85 * numpy.eye(3)[emotion] + 0.05]
        scores = [each.astype(numpy.float32) for each in scores]
        return answer_outputs(scores, tasks.of_model(OWN_LABELS, "meh"), THRESHOLD)

    folder = make_model(models)
    made = Predictor(OWN_LABELS, score, folder, no_emotion="meh", version=training_of(folder))
    monkeypatch.setattr(Predictor, "load", lambda folder=None: made)
    return made


@pytest.fixture
def targets(stub, models, monkeypatch) -> StubTargets:
    """The models ``target``, which looks for two brands, and ``answer``, in plain Python."""
    made = StubTargets(folder=make_model(models, "target"))
    write_products(Products({"Kindle": ("e-reader",), "Xbox": ()}), made.folder / "products.csv")
    monkeypatch.setattr(Predictor, "load", lambda folder: made if Path(folder).name == "target" else stub)
    return made


def open_app(page: str | None = None) -> AppTest:
    """The app on its first page, or on ``page``."""
    app = AppTest.from_file(str(APP), default_timeout=120)
    if page:
        app.switch_page(f"views/{page}.py")
    assert not app.run().exception, app.exception
    return app


def upload(content: bytes | str, name: str = "a.csv") -> AppTest:
    """The page Batch with an uploaded file."""
    app = open_app("batch")
    content = content.encode() if isinstance(content, str) else content
    app.file_uploader(key="batch_file").set_value((name, content, "application/octet-stream")).run()
    assert not app.exception, app.exception
    return app


def ask(text: str, app: AppTest | None = None) -> AppTest:
    """The page Ask with the answer to ``text``."""
    if app is None:
        app = AppTest.from_file(str(APP), default_timeout=120)
        app.session_state["ask_text"] = text
        app.run()
    else:
        app.text_area(key="ask_text").set_value(text).run()
    assert not app.exception, app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    """Press the button with this label."""
    next(each for each in app.button if each.label.replace("\\", "") == label).click().run()
    assert not app.exception, app.exception
    return app


def start(name: str, content: bytes, column: str | None = None) -> Run:
    """Start the run of a file as the page does, by default with the column that the page proposes."""
    run, state = runs.store(name, content), loading.current_model()
    runs.start(run, state, column or run.contents()[0].text_column, None, products.known_to(state, None))
    return run


def wait(run: Run, seconds: float = 120) -> Run:
    """Wait until the run has ended, and return it."""
    if job := run.job:
        job.join(seconds)
    return runs.find(run.id)


def run_of(app: AppTest) -> Run:
    """The run that a page shows."""
    return runs.find("".join(app.query_params["run"]))


def open_run(run: Run, tab: str = "Labels") -> AppTest:
    """Open the page of a run by its address, as a browser does."""
    app = AppTest.from_file(str(APP), default_timeout=120).switch_page("views/batch.py")
    app.query_params["run"] = run.id
    app.session_state[f"{run.id}_tab"] = tab
    assert not app.run().exception, app.exception
    return app


def answered(content: bytes, name: str = "a.csv") -> AppTest:
    """The page of a file that was answered."""
    return open_run(wait(start(name, content)))


def answer(app: AppTest) -> AppTest:
    """Press the button that answers a file, and wait until the run has ended."""
    [label] = [each.label for each in app.button if each.label.startswith("Answer ")]
    wait(run_of(press(app, label)))
    assert not app.run().exception, app.exception
    return app


def log_of(models: Path, name: str = "answer") -> Store:
    """The log, with all that the model ``name`` has answered."""
    recorder = recording._recorder(str(loading.monitor_log()), name, training_of(models / name))
    assert recorder.flush()
    return Store(loading.monitor_log())


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file that is to be written whole find no space."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tf_model.io.files.tempfile.mkdtemp", full)


def words_of(app: AppTest) -> str:
    """All text of a page outside its widgets."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "text", "info", "warning", "error", "success")
    return "\n".join(str(each.value) for kind in kinds for each in getattr(app, kind))


def said(app: AppTest) -> str:
    """The same, without the backslashes that keep it from being read as Markdown."""
    return words_of(app).replace("\\", "")


def figures(app: AppTest) -> dict[str, str]:
    """The figures of a page by their labels."""
    return {metric.label: metric.value for metric in app.metric}
