"""What is recorded: a call that answered, a call that failed, a correction by a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf_model import tasks

STAGES = ("tokenize", "model", "rest")
RIGHT = "right"
VERDICTS = (RIGHT, "wrong")
ANSWERED, NO_EMOTION, UNSURE = OUTCOMES = ("answered", "no_emotion", "not_sure")

PROCESS = "process"  # source of what belongs to no call: processor, memory, lost records

# What a row of predictions may have, beside its outcome, its length and its share of unknown tokens.
LABEL_COLUMNS = ("product", "emotion", "answer")
CONFIDENCE_COLUMNS = ("product_confidence", "emotion_confidence", "answer_confidence")
COLUMNS = (*LABEL_COLUMNS, *CONFIDENCE_COLUMNS, "outcome", "length", "unknown_share")


def outcome(answer: str | None, emotion: str | None) -> str:
    """What came of a prediction, one of :data:`OUTCOMES`; a model of the product alone always answers."""
    from tf_model.modeling.joint_label import NOT_SURE

    if answer == NOT_SURE:
        return UNSURE
    return NO_EMOTION if emotion == tasks.NO_EMOTION else ANSWERED


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
        columns: One list of N values for each of :data:`COLUMNS`; None where a value is not known. ``length`` is in
            characters, ``unknown_share`` 0 to 1.
        text_hashes: N salted hashes, 64 bits each.
        texts: The N texts where the user wants them kept, else None. Observers must not publish them.
    """

    time: float
    stream: Stream
    seconds: Mapping[str, float]
    columns: Mapping[str, Sequence[Any]]
    text_hashes: Sequence[int]
    texts: Sequence[str] | None = None

    @property
    def rows(self) -> int:
        """The number of texts."""
        return len(self.text_hashes)


@dataclass(frozen=True)
class Failed:
    """One call that failed.

    Attributes:
        time: When it was recorded, in seconds since 1970 (UTC).
        stream: Model, version and source.
        kind: Name of the error's class, or another word from a short list.
        message: Its first line; it may quote a text, so it is shown to the owner of the log only.
    """

    time: float
    stream: Stream
    kind: str
    message: str


@dataclass(frozen=True)
class Corrected:
    """What a user said of one prediction.

    Attributes:
        time: When it was recorded, in seconds since 1970 (UTC).
        stream: Model, version and source.
        text: The text: a correction is worth nothing without it.
        text_hash: Its salted hash.
        prediction: What the model had said: ``product``, ``emotion``, ``answer`` and confidences, where known.
        verdict: ``"right"`` or ``"wrong"``.
        product: What it is about according to the user, None if that was not said.
        emotion: The emotion according to the user, None if that was not said.
    """

    time: float
    stream: Stream
    text: str
    text_hash: int
    prediction: Mapping[str, Any]
    verdict: str
    product: str | None
    emotion: str | None


Event = Answered | Failed | Corrected
