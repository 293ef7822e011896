"""The events that are recorded: an answered call, a failed call, a user's correction."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas

from tf_model import tasks
from tf_model.inference.predictor import model_input
from tf_model.modeling.joint_label import NOT_SURE

STAGES = ("tokenize", "model", "rest")
ABSTAINED = "not_sure"  # an outcome; the others are "no_emotion" and "answered"

PROCESS = "process"  # the source of counts that belong to no call: CPU, memory, lost records
# Files of thousands of texts are not judged by their latency: only a person who waits for one answer finds it slow.
BULK_SOURCES = ("batch", "predict")

LABEL_COLUMNS = (*tasks.TASKS, tasks.ANSWER)
DIRECTED_CONFIDENCE = "directed_confidence"  # in the product, for texts with an emotion toward a product
CONFIDENCE_COLUMNS = tuple(f"{name}_confidence" for name in LABEL_COLUMNS)


@dataclass(frozen=True)
class Stream:
    """Predictions that belong together: of one model, one version and one source."""

    model: str  # the name of its folder
    version: str
    source: str  # "app", "batch", "predict", ...


@dataclass(frozen=True)
class Answered:
    """One call that was answered, with one or more texts."""

    time: float  # seconds since 1970 (UTC), here and below
    stream: Stream
    seconds: Mapping[str, float]  # of the whole call, by stage
    columns: Mapping[str, Sequence[Any]]  # see counted_columns

    @property
    def rows(self) -> int:
        """The number of texts."""
        return len(self.columns["length"])


@dataclass(frozen=True)
class Failed:
    """One call that failed."""

    time: float
    stream: Stream
    kind: str
    message: str  # one line, shown on the page Monitor: it quotes no text


@dataclass(frozen=True)
class Corrected:
    """A user's judgement of one prediction. It keeps the text, without which a correction is useless."""

    time: float
    stream: Stream
    text: str
    prediction: Mapping[str, Any]  # labels and confidences, where known
    is_correct: bool | None  # None takes back the last judgement of the same answer until ``time``
    product: str | None  # according to the user, None if not given; likewise the emotion
    emotion: str | None
    start: int | None = None  # of a mention of the product, in characters of the text; None: the whole text
    end: int | None = None


Event = Answered | Failed | Corrected


def counted_columns(
    texts: Sequence[Any],
    predictions: pandas.DataFrame,
    unk_rates: Sequence[float | None] | None = None,
    no_emotion: str | None = tasks.NO_EMOTION,
) -> dict[str, list[Any]]:
    """What is counted of N texts and their predictions, N values each, None where unknown: the labels, confidences,
    outcomes, lengths in characters and, if given, UNK rates (0 to 1)."""
    values = predictions.to_numpy(dtype=object)  # all at once: for one row several times as fast as by column
    columns: dict[str, list[Any]] = {}
    for index, name in enumerate(predictions.columns):
        if name in LABEL_COLUMNS:
            columns[name] = [label_or_none(value) for value in values[:, index]]
        elif name in CONFIDENCE_COLUMNS:
            columns[name] = [number_or_none(value) for value in values[:, index]]
    columns["length"] = [len(model_input(text).decode()) for text in texts]
    if unk_rates is not None:
        columns["unk_rate"] = [number_or_none(rate) for rate in unk_rates]
    missing = [None] * len(texts)
    answers, emotions = (columns.get(name, missing) for name in (tasks.ANSWER, tasks.EMOTION.name))
    columns["outcome"] = [  # a model of the product alone always answers
        ABSTAINED if answer == NOT_SURE else "no_emotion" if emotion and emotion == no_emotion else "answered"
        for answer, emotion in zip(answers, emotions, strict=True)
    ]
    sure = columns.get(f"{tasks.PRODUCT.name}_confidence", missing)
    # Apart for texts whose best guess is an emotion: the others have no product to be sure of.
    columns[DIRECTED_CONFIDENCE] = [
        None if emotion in (None, no_emotion) else share for share, emotion in zip(sure, emotions, strict=True)
    ]
    assert all(len(values) == len(texts) for values in columns.values()), "the columns differ in length"
    return columns


def label_or_none(value: Any) -> str | None:
    """A label, None for anything that is not a string."""
    return value if isinstance(value, str) else None


def number_or_none(value: Any) -> float | None:
    """A finite number, None for anything else."""
    try:
        converted = float(value)
    except (TypeError, ValueError):  # None and NA
        return None
    return converted if math.isfinite(converted) else None
