"""The model that the pages ask: found, loaded once, warmed up, and loaded anew when its folder is replaced.

``streamlit run streamlit_app/app.py -- --models DIR`` looks for models in another folder than ``saved_models/``;
``-- --server URL`` asks the model of a TensorFlow Serving instead, and loads none.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from tf_model import paths
from tf_model.errors import ModelError, TweetTargetError, first_line
from tf_model.inference.predictor import DEFAULT_MODELS, MAX_CHARACTERS, Predictor
from tf_model.model_dir import GRAPH

if TYPE_CHECKING:
    from tf_model.inference.attribution import Explanation
    from tf_model.inference.predictor import Measured

READY, MISSING, BROKEN = "ready", "missing", "broken"
SAMPLE_MODEL = "sample"  # what the app's own training makes, so that it is never in the way of a real model
WARM_UP = ("My iPad is great!", "ok")
SERVED_SECONDS = 60.0  # after which a server is asked again which version it has
KEPT_ANSWERS = 512  # distinct texts whose answer is remembered, over all sessions
_CHOICE = "chosen_model"
_EXPLAINING = threading.Lock()


@dataclass(frozen=True)
class ModelState:
    """The model as the pages see it.

    Attributes:
        kind: :data:`READY`, :data:`MISSING` (no model at all) or :data:`BROKEN` (there is one that cannot be used).
        name: The folder's name; empty if there is none.
        folder: The model's folder, or the folder of models.
        version: Changes when the model is replaced: the change time and the inode of its graph.
        predictor: The model, if ready.
        message: What is wrong, in one line, if it is not.
        served: The address of the model on its server; empty for one that is loaded here.
    """

    kind: str
    name: str
    folder: Path
    version: str = ""
    predictor: Predictor | None = None
    message: str = ""
    served: str = ""

    @property
    def on_sample(self) -> bool:
        """Whether it was trained on the sample corpus, so that its answers mean nothing."""
        return self.predictor is not None and self.predictor.metrics.get("dataset") == "sample"

    @property
    def which(self) -> str:
        """Which training of the model it is: ``Saved 25 November 2026, 20:04``, or its version on a server."""
        if self.served:
            return f"Version {self.version}"
        return f"Saved {datetime.fromtimestamp((self.folder / GRAPH).stat().st_mtime):%d %B %Y, %H:%M}"


@dataclass(frozen=True)
class Answer:
    """What the model says of one text.

    Attributes:
        measured: One prediction with all probabilities, and how it came about.
        made: When, on the clock of this process.
        remembered: Whether it was asked before and nothing was computed.
    """

    measured: Measured
    made: float = 0.0
    remembered: bool = False

    @property
    def row(self) -> dict[str, Any]:
        """The columns of :meth:`~tf_model.inference.predictor.Predictor.predict` with all probabilities."""
        return self.measured.predictions.iloc[0].to_dict()

    @property
    def seconds(self) -> float:
        """How long scoring took."""
        return sum(self.measured.seconds.values())


# ---------------------------------------------------------------- which model


def models_folder() -> Path:
    """The folder of models: that of ``--models DIR``, else ``saved_models/``."""
    given = _option("--models")
    return Path(given) if given else paths.SAVED_MODELS


def server() -> str | None:
    """The address that ``--server URL`` names."""
    return _option("--server")


def _option(name: str) -> str | None:
    given = sys.argv[1:]
    for position, argument in enumerate(given):
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
        if argument == name and position + 1 < len(given):
            return given[position + 1]
    return None


def monitor_log() -> Path:
    """The database of predictions and corrections, beside the models."""
    return models_folder().joinpath(*paths.MONITOR_LOG.parts[-2:])


def model_names() -> list[str]:
    """The models that can be chosen: those that are looked for by default first, the rest by name; none of a server."""
    if server():
        return []
    folder = models_folder()
    found = {each.parent.name for each in folder.glob(f"*/{GRAPH}") if not each.parent.name.startswith(".")}
    # A folder by a default name without a model in it is broken, and that is to be said rather than passed over.
    found |= {name for name in DEFAULT_MODELS if (folder / name).is_dir()}
    first = [name for name in (*DEFAULT_MODELS, SAMPLE_MODEL) if name in found]
    return first + sorted(found.difference(first))


def choose(name: str) -> None:
    """Ask the model ``name`` from now on, in this session."""
    st.session_state[_CHOICE] = name


def chosen(names: Sequence[str]) -> str:
    """Which of the models is asked in this session: the one that was chosen if it is still there, else the first."""
    name = st.session_state.get(_CHOICE)
    return name if name in names else names[0]


def current() -> ModelState:
    """The model of this session, loaded if need be: about 4 seconds the first time, nothing after that."""
    address = server()
    if address:
        return _served(address)
    names = model_names()
    if not names:
        time.sleep(0.2)  # a folder that is just being replaced is gone for the time between two renames
        names = model_names()
    if not names:
        return ModelState(MISSING, "", models_folder())
    name = chosen(names)
    folder = models_folder() / name
    try:
        version = _version(folder)
        predictor = _load(str(folder), version)
    except TweetTargetError as error:
        return ModelState(BROKEN, name, folder, message=str(error))
    except Exception as error:  # whatever a damaged model makes TensorFlow raise when it is first asked
        return ModelState(BROKEN, name, folder, message=f"{name} cannot be asked ({first_line(error)[:300]})")
    return ModelState(READY, name, folder, version, predictor)


def _served(address: str) -> ModelState:
    try:
        predictor = _connect(address)
    except TweetTargetError as error:
        return ModelState(BROKEN, "", models_folder(), message=str(error), served=address)
    folder = models_folder() / predictor.name
    return ModelState(READY, predictor.name, folder, predictor.version, predictor, served=predictor.url)


@st.cache_resource(ttl=SERVED_SECONDS, show_spinner="Looking for the model server…")
def _connect(address: str) -> Predictor:
    from tf_model.serving.remote import RemotePredictor

    return RemotePredictor.connect(address, retries=1)  # a page is waiting; it asks again by itself


def _version(folder: Path) -> str:
    for _ in range(3):
        try:
            found = (folder / GRAPH).stat()
        except FileNotFoundError:
            time.sleep(0.1)
            continue
        return f"{found.st_mtime_ns:x}-{found.st_ino:x}"
    raise ModelError(f"{folder} holds no whole model: {GRAPH} is missing; export it again")


# Two models at most stay in memory: the one in use, and the one that replaces it.
@st.cache_resource(max_entries=2, show_spinner="Loading the model…")
def _load(folder: str, version: str) -> Predictor:

    gc.unfreeze()  # so that a model that was replaced can go
    predictor = Predictor.load(folder)
    predictor.predict_measured(WARM_UP)  # as it is asked later
    _spare_the_collector()
    if getattr(predictor, "can_explain", False):
        # The first explanation takes seconds to set up. Nobody is to wait for that: beside the page, not before it.
        threading.Thread(target=_warm_up_explaining, args=(predictor,), daemon=True, name="warm-up").start()
    return predictor


def _warm_up_explaining(predictor: Predictor) -> None:
    with _EXPLAINING, suppress(Exception):  # what is wrong is said to whom it concerns, when somebody asks
        predictor.explain(WARM_UP[0])
    _spare_the_collector()


def _spare_the_collector() -> None:
    """Leave what is in memory now out of every later collection of garbage, until the next model is loaded.

    Streamlit collects after each run of a page, and nobody else's page moves meanwhile. Looking through TensorFlow's
    hundreds of thousands of objects took a quarter of a second each time, and found nothing.
    """
    gc.collect()
    gc.freeze()


# ---------------------------------------------------------------- asking it


@contextmanager
def _failures_of(name: str) -> Iterator[None]:
    """Whatever TensorFlow raises, as an error that a page can show."""
    try:
        yield
    except TweetTargetError:
        raise
    except Exception as error:
        raise ModelError(f"{name} fails at this text ({first_line(error)[:300]})") from error


def ask(state: ModelState, text: str) -> Answer:
    """What the model says of ``text``; asked again, it is remembered and nothing is computed.

    Raises:
        ModelError: The model fails.
    """
    asked = time.perf_counter()
    with _failures_of(state.name):
        answer = _ask(state.predictor, str(state.folder), state.version, text[:MAX_CHARACTERS])
    return replace(answer, remembered=answer.made < asked)


@st.cache_data(max_entries=KEPT_ANSWERS, show_spinner=False)
def _ask(_predictor: Predictor, folder: str, version: str, text: str) -> Answer:

    return Answer(_predictor.predict_measured([text]), time.perf_counter())


def explain(state: ModelState, text: str) -> Explanation | None:
    """The words that spoke for and against, or None where the model cannot tell.

    Raises:
        ModelError: The model fails.
    """
    if not getattr(state.predictor, "can_explain", False):
        return None
    with _failures_of(state.name):
        return _explain(state.predictor, str(state.folder), state.version, text[:MAX_CHARACTERS])


@st.cache_data(max_entries=KEPT_ANSWERS, show_spinner=False)
def _explain(_predictor: Predictor, folder: str, version: str, text: str) -> Explanation:
    # An explanation costs as much as dozens of answers: one at a time, or the answers of others wait for many.
    with _EXPLAINING:
        return _predictor.explain(text)
