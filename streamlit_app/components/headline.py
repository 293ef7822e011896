"""An answer in words: the sentence that stands first, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tf_model import tasks
from tf_model.modeling.joint_label import NOT_SURE as NOT_SURE_TEXT

# Kinds of answers.
ANSWERED, NO_EMOTION, NOT_SURE, PARTIAL = "answered", "no emotion", "not sure", "partial"
MOST_DIGITS = 4  # after the point of a percentage; a float32 has no more


@dataclass(frozen=True)
class Headline:
    """What stands first.

    Attributes:
        kind: :data:`ANSWERED`, :data:`NO_EMOTION`, :data:`NOT_SURE` or, from a model of one task, :data:`PARTIAL`.
        text: The answer: ``"Positive emotion → iPad"``.
        confidence: 0 to 1, of ``text``, or of the first of the guesses.
        guesses: Where not sure, the best guess and the second.
    """

    kind: str
    text: str
    confidence: float
    guesses: tuple[str, ...] = ()

    @property
    def sure(self) -> str:
        """The confidence in words: ``"94% sure"``."""
        return f"{percent(self.confidence)} sure"


def headline(row: Mapping[str, Any]) -> Headline:
    """The answer of one row of predictions.

    Args:
        row: The columns of ``predict``; with ``guesses`` where the model gives answers.
    """
    answer = row.get("answer")
    if answer is None:
        task = next(name for name in tasks.TASKS if name in row)
        return Headline(PARTIAL, str(row[task]), float(row[f"{task}_confidence"]))
    confidence = float(row.get("answer_confidence", row["emotion_confidence"]))
    if answer == NOT_SURE_TEXT:
        guesses = tuple(str(row[name]) for name in ("best_guess", "second_guess") if row.get(name))
        return Headline(NOT_SURE, str(answer), confidence, guesses)
    kind = NO_EMOTION if answer == tasks.NO_EMOTION else ANSWERED
    return Headline(kind, str(answer), confidence)


def told_apart(share: float, limit: float) -> tuple[str, str]:
    """A share and the limit that it misses, with as many digits as tell them apart: ``("60.7%", "61.0%")``."""
    said = percent(share), percent(limit)
    digits = 1
    while said[0] == said[1] and digits <= MOST_DIGITS:
        said = f"{share:.{digits}%}", f"{limit:.{digits}%}"
        digits += 1
    return said


def percent(share: float) -> str:
    """``0.94`` as ``"94%"``; never 100% or 0%, which no model can promise."""
    if share >= 0.995:
        return "over 99%"
    return "under 1%" if share < 0.005 else f"{share:.0%}"
