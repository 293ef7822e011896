"""Made-up predictions, events and logs for the tests of the monitor."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy
import pandas

from tf_model import tasks
from tf_model.monitor import tally
from tf_model.monitor.events import Answered, Stream
from tf_model.monitor.rows import columns_of
from tf_model.monitor.store import Store
from tf_model.monitor.window import Window

APP = Stream("answer", "v1", "app")
NOON = time.time() // 86_400 * 86_400 - 43_200  # of yesterday: recent, whole minutes, far from the end of a day


def predictions(rows: int = 1, product="iPad", emotion=tasks.POSITIVE, sure=0.9, answer=None) -> pandas.DataFrame:
    """Predictions as ``predict_texts`` gives them; every argument is one value, or one for each row."""

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
    columns = columns_of(list(texts), predictions(len(texts), **options))
    hashes = [hash(text) for text in texts]
    return Answered(when, stream, {"tokenize": seconds / 10, "model": seconds * 0.9}, columns, hashes)


def window_of(frame: pandas.DataFrame, texts: Sequence[str] | None = None) -> Window:
    """A window in which these predictions were made."""
    counts: tally.Counts = {}
    tally.count_columns(counts, columns_of(texts or ["x" * 90] * len(frame), frame))
    return Window(0, 60, counts)


def store_with(path: Path, events) -> Store:
    """A log that holds these events."""
    store = Store(path)
    store.write(list(events))
    store.close()
    return store


def random_generator(seed: int = 0) -> numpy.random.Generator:
    """Numbers that are the same in every run."""
    return numpy.random.default_rng(seed)


def join(windows: Iterable[Window]) -> Window:
    """One window over several."""
    windows = list(windows)
    counts: tally.Counts = {}
    for window in windows:
        tally.merge(counts, window.counts)
    return Window(min(window.since for window in windows), max(window.until for window in windows), counts)
