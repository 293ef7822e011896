"""What is recorded: a call that was answered, a call that failed, a correction by a user."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tf_model import tasks

if TYPE_CHECKING:
    import pandas

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
    """Which predictions belong together.

    Attributes:
        model: Name of the model, as its folder is called.
        version: Which training of it; a reference belongs to one version.
        source: Who asked: ``"app"``, ``"batch"``, ``"predict"``, ...
    """

    model: str
    version: str
    source: str


@dataclass(frozen=True)
class Answered:
    """One call that was answered.

    Attributes:
        time: When it was recorded, in seconds since 1970 (UTC).
        stream: Model, version and source.
        seconds: How long each stage took, keys among :data:`STAGES`; for the whole call, however many texts it had.
        columns: One list of N values for each of :data:`COLUMNS` that is known.
        text_hashes: N salted hashes, 64 bits each. The texts themselves are not kept.
    """

    time: float
    stream: Stream
    seconds: Mapping[str, float]
    columns: Mapping[str, Sequence[Any]]
    text_hashes: Sequence[int]

    @property
    def rows(self) -> int:
        """The number of texts."""
        return len(self.text_hashes)


@dataclass(frozen=True)
class Failed:
    """One call that failed. The message is one line; it may quote a text, so only the owner of the log sees it."""

    time: float
    stream: Stream
    kind: str
    message: str


@dataclass(frozen=True)
class Corrected:
    """What a user thinks of one prediction.

    Attributes:
        text: The text: a correction is worth nothing without it.
        prediction: What the model answered: labels and confidences, where known.
        is_correct: Whether the user agrees.
        product: According to the user, None if that was not told.
        emotion: Likewise.
    """

    time: float
    stream: Stream
    text: str
    text_hash: int
    prediction: Mapping[str, Any]
    is_correct: bool
    product: str | None
    emotion: str | None


Event = Answered | Failed | Corrected


def outcome(answer: str | None, emotion: str | None) -> str:
    """What came of a prediction, one of :data:`OUTCOMES`; a model of the product alone always answers."""
    from tf_model.modeling.joint_label import NOT_SURE

    if answer == NOT_SURE:
        return ABSTAINED
    return NO_EMOTION if emotion == tasks.NO_EMOTION else ANSWERED


def columns_of(
    texts: Sequence[Any], predictions: pandas.DataFrame, unk_rates: Sequence[float | None] | None = None
) -> dict[str, list[Any]]:
    """The columns of :data:`COLUMNS` that can be had, N values each, None for missing ones.

    Args:
        texts: N texts of any kind that can be predicted.
        predictions: N rows; columns that are not recorded are left out.
        unk_rates: For each text the share of its tokens that are [UNK], 0 to 1.

    Raises:
        ValueError: The lengths differ.
    """
    from tf_model.inference.predictor import model_input

    if len(texts) != len(predictions) or (unk_rates is not None and len(unk_rates) != len(texts)):
        raise ValueError(f"expected a prediction, and a rate, for each of {len(texts)} texts")
    values = predictions.to_numpy(dtype=object)  # at once: for one row several times as fast as column by column
    columns: dict[str, list[Any]] = {}
    for index, name in enumerate(predictions.columns):
        if name in _CONVERT:
            columns[name] = [_CONVERT[name](value) for value in values[:, index]]
    columns["length"] = [len(model_input(text).decode()) for text in texts]
    if unk_rates is not None:
        columns["unk_rate"] = [number(rate) for rate in unk_rates]
    nothing = [None] * len(texts)
    pairs = zip(columns.get(tasks.ANSWER, nothing), columns.get(tasks.EMOTION.name, nothing), strict=True)
    columns["outcome"] = [outcome(answer, emotion) for answer, emotion in pairs]
    return columns


def label(value: Any) -> str | None:
    """A label, None for anything that is no text."""
    return value if isinstance(value, str) else None


def number(value: Any) -> float | None:
    """A finite number, None for anything else."""
    with suppress(TypeError, ValueError):  # None and NA are no numbers
        converted = float(value)
        if math.isfinite(converted):
            return converted
    return None


_CONVERT = dict.fromkeys(LABEL_COLUMNS, label) | dict.fromkeys(CONFIDENCE_COLUMNS, number)
