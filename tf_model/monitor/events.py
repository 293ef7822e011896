"""What is recorded: a call that was answered, a call that failed, a correction by a user."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas

from tf_model import tasks
from tf_model.inference.predictor import model_input
from tf_model.modeling.joint_label import NOT_SURE

STAGES = ("tokenize", "model", "rest")
ANSWERED, NO_EMOTION, ABSTAINED = OUTCOMES = ("answered", "no_emotion", "not_sure")

PROCESS = "process"  # source of what belongs to no call: processor, memory, lost records
# A file of thousands of texts takes as long as it takes: only somebody who waits for one answer can find it slow.
BULK_SOURCES = ("batch", "predict")

LABEL_COLUMNS = (*tasks.TASKS, tasks.ANSWER)
CONFIDENCE_COLUMNS = tuple(f"{name}_confidence" for name in LABEL_COLUMNS)
# Of one prediction; None where a value is not known. ``length`` is in characters, ``unk_rate`` 0 to 1.
COLUMNS = (*LABEL_COLUMNS, *CONFIDENCE_COLUMNS, "outcome", "length", "unk_rate")


@dataclass(frozen=True)
class Stream:
    """Which predictions belong together: the model, which training of it, and who asked."""

    model: str  # as its folder is called
    version: str
    source: str  # "app", "batch", "predict", ...


@dataclass(frozen=True)
class Answered:
    """One call that was answered, with one or more texts."""

    time: float  # seconds since 1970 (UTC), here and below
    stream: Stream
    seconds: Mapping[str, float]  # of the whole call, by stage
    columns: Mapping[str, Sequence[Any]]  # one list of N values for each of COLUMNS that is known
    text_hashes: Sequence[int]  # N salted hashes, 64 bits each; the texts themselves are not kept
    no_emotion: str | None = tasks.NO_EMOTION  # the label of the model that says so

    @property
    def rows(self) -> int:
        """The number of texts."""
        return len(self.text_hashes)


@dataclass(frozen=True)
class Failed:
    """One call that failed."""

    time: float
    stream: Stream
    kind: str
    message: str  # one line; it may quote a text, so only the owner of the log sees it


@dataclass(frozen=True)
class Corrected:
    """What a user thinks of one prediction. It keeps the text: a correction is worth nothing without it."""

    time: float
    stream: Stream
    text: str
    text_hash: int
    prediction: Mapping[str, Any]  # labels and confidences, where known
    is_correct: bool | None  # None takes back what was said last of the same answer
    product: str | None  # according to the user, None if that was not told; likewise the emotion
    emotion: str | None
    start: int | None = None  # of one mention of the product, in characters of the text; None: of the whole text
    end: int | None = None


Event = Answered | Failed | Corrected


def outcome(answer: str | None, emotion: str | None, no_emotion: str | None = tasks.NO_EMOTION) -> str:
    """What came of a prediction, one of :data:`OUTCOMES`; a model of the product alone always answers."""
    if answer == NOT_SURE:
        return ABSTAINED
    return NO_EMOTION if emotion and emotion == no_emotion else ANSWERED


def columns_of(
    texts: Sequence[Any],
    predictions: pandas.DataFrame,
    unk_rates: Sequence[float | None] | None = None,
    no_emotion: str | None = tasks.NO_EMOTION,
) -> dict[str, list[Any]]:
    """The values of :data:`COLUMNS` for N texts and their predictions, and the UNK rate of each where it is known."""
    values = predictions.to_numpy(dtype=object)  # at once: for one row several times as fast as column by column
    columns: dict[str, list[Any]] = {}
    for index, name in enumerate(predictions.columns):
        if name in LABEL_COLUMNS:
            columns[name] = [label(value) for value in values[:, index]]
        elif name in CONFIDENCE_COLUMNS:
            columns[name] = [number(value) for value in values[:, index]]
    columns["length"] = [len(model_input(text).decode()) for text in texts]
    if unk_rates is not None:
        columns["unk_rate"] = [number(rate) for rate in unk_rates]
    unknown = [None] * len(texts)
    pairs = zip(columns.get(tasks.ANSWER, unknown), columns.get(tasks.EMOTION.name, unknown), strict=True)
    columns["outcome"] = [outcome(answer, emotion, no_emotion) for answer, emotion in pairs]
    return columns


def label(value: Any) -> str | None:
    """A label, None for anything that is no text."""
    return value if isinstance(value, str) else None


def number(value: Any) -> float | None:
    """A finite number, None for anything else."""
    try:
        converted = float(value)
    except (TypeError, ValueError):  # None and NA
        return None
    return converted if math.isfinite(converted) else None
