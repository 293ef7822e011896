"""The model in use: chosen by the user, loaded once for all sessions, and reloaded when its folder is replaced.

``streamlit run streamlit_app/app.py -- --models DIR`` looks for models in DIR, not in ``saved_models/``.
``-- --server URL`` asks an API or a TensorFlow Serving and loads no model; ``--model DIR`` names a copy of its model.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import streamlit as st

from tf_model import paths, tasks
from tf_model.errors import ModelError, TweetTargetError, first_line
from tf_model.inference.attribution import Explanation
from tf_model.inference.predictor import DEFAULT_MODELS, Predictor
from tf_model.io.files import is_file
from tf_model.model_dir import GRAPH, model_folders

CHOICE = "model_in_use"  # the model chosen in this session
WARM_UP = ("My iPad is great!", "ok")
SERVER_SECONDS = 60.0  # between two checks of a server's model version
KEPT_EXPLANATIONS = 512  # texts, over all sessions


@dataclass(frozen=True)
class ModelState:
    """The model as the pages see it."""

    name: str  # of its folder; empty if there is no model
    folder: Path  # of the model; of all models if there is none
    version: str = ""  # changes with the model: time (ns) and inode of its graph, or the server's version
    predictor: Predictor | None = None  # None if it cannot be used
    problem: str = ""  # why it cannot be used, in one line; empty if there is no model
    server_url: str = ""  # the address of the model server; empty for a model loaded here

    @property
    def is_of_targets(self) -> bool:
        """Whether the model answers for each product in a text, not for the whole text."""
        return self.predictor is not None and tasks.TARGET.name in self.predictor.labels

    @property
    def version_label(self) -> str:
        """When the model was saved, ``Saved 25 November 2026, 20:04``, or its version on a server."""
        if self.server_url:
            return f"Version {self.version}"
        return f"Saved {datetime.fromtimestamp(int(self.version.partition('-')[0], 16) / 1e9):%d %B %Y, %H:%M}"


BY_VERSION = {ModelState: lambda state: (str(state.folder), state.version)}  # how a cache tells models apart


# ---------------------------------------------------------------- which model


def models_folder() -> Path:
    """The folder of models: ``--models DIR``, else ``saved_models/``."""
    return Path(_option("--models") or paths.SAVED_MODELS)


def monitor_log() -> Path:
    """The database of predictions and corrections, beside the models."""
    return models_folder().joinpath(*paths.MONITOR_LOG.parts[-2:])


def _option(name: str) -> str | None:
    """The value of an option of the app, given as ``--name VALUE`` or ``--name=VALUE``."""
    words = [word for each in sys.argv[1:] for word in (each.split("=", 1) if each.startswith("--") else [each])]
    return words[words.index(name) + 1] if name in words[:-1] else None


def model_names() -> list[str]:
    """The models to choose from, the default ones first; empty with ``--server``."""
    if _option("--server"):
        return []
    # A default model without a graph is broken: list it, so that the app says so.
    folders = model_folders(models_folder())
    return [each.name for each in folders if is_file(each / GRAPH) or each.name in DEFAULT_MODELS]


def chosen_name(names: Sequence[str]) -> str:
    """The model chosen in this session, else the one in the address (``?model=``), else the first."""
    name = st.session_state.get(CHOICE) or st.query_params.get("model")
    return name if name in names else names[0]


def current_model() -> ModelState:
    """The model of this session; it is loaded once."""
    if address := _option("--server"):
        return _server_state(address)
    names = model_names()
    return _local_state(chosen_name(names)) if names else ModelState("", models_folder())


def target_model(state: ModelState) -> ModelState | None:
    """The model of targets: ``state`` itself, else the model ``target`` if it exists."""
    return state if state.is_of_targets else _other_model(state, tasks.TARGET.name)


def text_model(state: ModelState) -> ModelState | None:
    """The model of whole texts: ``state`` itself or, if that is a model of targets, ``answer`` if it can be used."""
    if not state.is_of_targets:
        return state
    other = _other_model(state, tasks.ANSWER)
    return other if other and other.predictor else None


def _other_model(state: ModelState, name: str) -> ModelState | None:
    return _local_state(name) if not state.server_url and is_file(models_folder() / name / GRAPH) else None


def _local_state(name: str) -> ModelState:
    folder = models_folder() / name
    try:
        version = _version(folder)
        with as_model_error(f"{name} cannot be loaded"):
            predictor = _load(str(folder), version)
    except TweetTargetError as error:
        return ModelState(name, folder, problem=str(error))
    return ModelState(name, folder, version, predictor)


def _server_state(address: str) -> ModelState:
    try:
        predictor = _connect(address, _option("--model"))
    except TweetTargetError as error:
        return ModelState("", models_folder(), problem=str(error), server_url=address)
    folder = predictor.folder or models_folder() / predictor.name
    return ModelState(predictor.name, folder, predictor.version, predictor, server_url=predictor.url)


@st.cache_resource(ttl=SERVER_SECONDS, show_spinner="Looking for the model server…")
def _connect(address: str, folder: str | None) -> Predictor:
    from tf_model.serving.remote import RemotePredictor

    return RemotePredictor.connect(address, folder, retries=1)  # a page is waiting, and will try again


def _version(folder: Path) -> str:
    try:
        status = (folder / GRAPH).stat()
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no complete model: {GRAPH} is missing; train it again") from None
    except OSError as error:
        raise ModelError(f"{folder / GRAPH} cannot be read: {error.strerror}; check its permissions") from error
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}"


# At most three models in memory: one of texts, one of targets, and one that replaces either.
@st.cache_resource(max_entries=3, show_spinner="Loading the model…")
def _load(folder: str, version: str) -> Predictor:
    gc.unfreeze()  # lets a replaced model be collected
    predictor = Predictor.load(folder)
    predictor.predict_measured(WARM_UP)
    if _version(Path(folder)) != version:  # kept for the old version, it would answer after a rollback to that
        raise ModelError(f"{folder} was replaced while it was being loaded; reload the page")
    gc.collect()
    gc.freeze()  # keeps the model's objects out of Streamlit's garbage collection after each page (0.25 s each)
    return predictor


# ---------------------------------------------------------------- asking it


@contextmanager
def as_model_error(words: str) -> Iterator[None]:
    """Turn any exception into an error that a page can show."""
    try:
        yield
    except TweetTargetError:
        raise
    except Exception as error:
        raise ModelError(f"{words} ({first_line(error)[:300]})") from error


@st.cache_data(max_entries=KEPT_EXPLANATIONS, show_spinner=False, hash_funcs=BY_VERSION)
def explain(state: ModelState, text: str) -> Explanation:
    """How much each word of ``text`` supports the answer; cached, since it takes as long as dozens of predictions."""
    with as_model_error(f"{state.name} failed on this text"):
        return state.predictor.explain(text)
