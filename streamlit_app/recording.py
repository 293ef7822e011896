"""Give the monitor's log what the app answered and what people said of it; without a log the app still answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from streamlit_app import loading
from streamlit_app.loading import ModelState
from tf_model.errors import TweetTargetError
from tf_model.messages import first_line

if TYPE_CHECKING:
    import pandas

    from tf_model.monitor.recorder import Recorder

APP, BATCH = "app", "batch"
WRITING_SECONDS = 3.0  # that a person waits for a correction to be written


def recorder(state: ModelState) -> Recorder | None:
    """The recorder of this model's predictions, shared by all sessions; None where there can be none."""
    try:
        return _recorder(str(loading.monitor_log()), state.name, loading.training_of(state.folder))
    except (ImportError, OSError, TweetTargetError):
        return None


@st.cache_resource(max_entries=2, show_spinner=False, on_release=lambda made: made.close())
def _recorder(path: str, model: str, version: str) -> Recorder:
    from tf_model.monitor.recorder import Recorder

    return Recorder(path, model=model, version=version)


def record(
    log: Recorder | None, texts: Sequence[Any], predictions: pandas.DataFrame, seconds: float, source: str
) -> None:
    """Keep predictions, if there is a log."""
    if log is not None:
        log.record(texts, predictions, {"model": seconds}, source)


def record_error(log: Recorder | None, error: BaseException, source: str) -> None:
    """Keep that something failed, if there is a log."""
    if log is not None:
        log.record_error(type(error).__name__, first_line(error), source)


def correct(
    log: Recorder,
    text: str,
    prediction: Mapping[str, Any],
    *,
    is_right: bool,
    product: str | None = None,
    emotion: str | None = None,
) -> bool:
    """Keep what a person said of an answer; returns whether it is safely written."""
    log.correct(text, prediction, verdict="right" if is_right else "wrong", product=product, emotion=emotion)
    return log.flush(WRITING_SECONDS)
