"""Made-up predictions, events and logs for the tests of the monitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas

from tf_model import tasks
from tf_model.inference.predictor import Measured
from tf_model.monitor.aggregates import Window, prediction_counts
from tf_model.monitor.events import Answered, Corrected, Stream, counted_columns
from tf_model.monitor.store import DAY, Store

APP = Stream("answer", "v1", "app")
NOON = time.time() // 86_400 * 86_400 - 43_200  # yesterday's: recent, a whole minute, far from the end of the day


def predictions(rows: int = 1, product="iPad", emotion=tasks.POSITIVE, sure=0.9, answer=None) -> pandas.DataFrame:
    """Predictions as ``Predictor.predict`` gives them; every argument is one value, or one for each row."""

    def column(value, dtype):
        values = [value] * rows if isinstance(value, str | float) else list(value)
        return pandas.Series(values, dtype=dtype)

    given = emotion if answer is None else answer
    return pandas.DataFrame(
        {
            "product": column(product, "str"),
            "product_confidence": column(sure, "float32"),
            "emotion": column(emotion, "str"),
            "emotion_confidence": column(sure, "float32"),
            "answer": column(given, "str"),
            "answer_confidence": column(sure, "float32"),
        }
    )


def answered(when: float, texts: Sequence[str] = ("a text",), seconds=0.01, stream=APP, **options) -> Answered:
    """One call that was answered at ``when``."""
    columns = counted_columns(list(texts), predictions(len(texts), **options))
    return Answered(when, stream, {"tokenize": seconds / 10, "model": seconds * 0.9}, columns)


def window_of(frame: pandas.DataFrame, texts: Sequence[str] | None = None, unk_rates=None) -> Window:
    """A window in which these predictions were made."""
    return window_of_columns(counted_columns(texts or ["x" * 90] * len(frame), frame, unk_rates))


def window_of_columns(columns, chosen: Iterable[int] | None = None) -> Window:
    """A window of the predictions in these columns, or of the ``chosen`` ones."""
    if chosen is not None:
        chosen = list(chosen)
        columns = {name: [values[each] for each in chosen] for name, values in columns.items()}
    return Window(0, 60, prediction_counts(columns))


def corrected(is_correct: bool | None, when: float = NOON, text: str = "t", stream=APP, **options) -> Corrected:
    """A user's correction of an answer."""
    given = {"prediction": {}, "product": None, "emotion": None} | options
    return Corrected(when, stream, text, is_correct=is_correct, **given)


def record(recorder, texts, frame: pandas.DataFrame, seconds, source: str = "app", unk_rates=None) -> None:
    """Record predictions as if a model had made them."""
    recorder.record_measured(texts, Measured(frame, seconds, unk_rates), source)


def store_with(path: Path, events) -> Store:
    """A log that holds these events."""
    store = Store(path)
    store.write(list(events))
    return store


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> None:
    """Wait until a condition holds, or the seconds are over."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def counts_of(path: Path, source: str | None = None) -> Window:
    """All counts of a log, or those of a source; a clock that was ahead may have dated some in the future."""
    return Store(path).window(0, time.time() + 7 * DAY, (None, None, source))
