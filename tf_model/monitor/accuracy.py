"""How often the answers are right, as far as that can be known while the model is in use.

**From corrections**: the share of judged answers that users called right, with its interval. "Not sure" is no answer:
what is said of it confirms nothing and counts neither way, so that the figure stands beside the accuracy of what is
answered. It needs nobody's assumption but one: that what is judged is like what is not. Users click on mistakes more
readily than on what is right, so it is rather too low than too high, and it is comparable with itself over time.

**Without labels**: the mean confidence (:data:`ASSUMPTION`). If the probabilities are calibrated, a text that is
answered with 0.8 is right with probability 0.8, so the mean over a window is the accuracy that is to be expected in it.
That of the product, where the model also tells the emotion, is taken over the texts with an emotion: the others have no
product, and the probabilities were calibrated on texts that have one.
It follows a drop that the model notices: harder texts, more of a class that it finds hard. It is blind to a change of
what is right: where labels come to mean something else, the confidence stays as it was. And far from the texts of the
training no probability is calibrated: the model is sure that broken texts carry no emotion, also where they did, which
:mod:`~tf_model.monitor.drift` notices (``tests/model/test_monitor.py`` has both on real tweets). It is the "average
confidence" of S. Garg et al., "Leveraging unlabeled data to predict out-of-distribution performance", ICLR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tf_model import tasks
from tf_model.evaluation.metrics import wilson_interval
from tf_model.monitor import tally
from tf_model.monitor.window import Window

MINIMUM = 30  # corrections, or predictions, below which no figure is given
ASSUMPTION = (
    "assumes that the probabilities are calibrated on texts like these and that the labels mean what they meant in "
    "training; it cannot notice that labels were redefined"
)
_STANDARD_NORMAL = 1.959964  # of a two-sided 95% interval
TASKS = ("product", "emotion", "answer")


@dataclass(frozen=True)
class Accuracy:
    """One figure for a span of time.

    Attributes:
        since: Beginning, in seconds since 1970.
        until: End, exclusive.
        rows: What it is computed from: judged predictions, or predictions.
        right: How many were called right; None for an estimate.
        accuracy: 0 to 1, None where there are fewer than the minimum.
        low: Lower bound of the 95% interval, None likewise.
        high: Upper bound, None likewise.
    """

    since: float
    until: float
    rows: int
    right: int | None = None
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def from_corrections(window: Window, minimum: int = MINIMUM) -> Accuracy:
    """Share of the judged answers that users called right, with Wilson's 95% interval.

    Args:
        window: The span of time in which they were judged.
        minimum: The fewest judgements that make a figure.
    """
    right, judged = window.feedback
    if judged < max(minimum, 1):
        return Accuracy(window.since, window.until, judged, right)
    low, high = wilson_interval(right, judged)
    return Accuracy(window.since, window.until, judged, right, right / judged, low, high)


def from_confidence(window: Window, task: str, minimum: int = MINIMUM) -> Accuracy:
    """The accuracy that the confidences promise; see :data:`ASSUMPTION`.

    Args:
        window: The predictions. A log, or a reference, of before the confidence in the product was counted by emotion
            makes no figure of the product.
        task: One of :data:`TASKS`.
        minimum: The fewest predictions that make a figure.

    Returns:
        The mean confidence. The interval holds the true share of right answers in 95% of such windows, if the
        assumption holds: the sum of independent trials, each right with the probability of its confidence, by the
        normal approximation.
    """
    tells_emotion = any(name == tasks.EMOTION.name for name, _ in window.counts)
    directed = task == tasks.PRODUCT.name and tells_emotion
    found = window.histogram(tally.DIRECTED_CONFIDENCE if directed else f"{task}_confidence")
    rows = found.count
    if rows < max(minimum, 1):
        return Accuracy(window.since, window.until, rows)
    mean = sum(found.totals.values()) / rows
    spread = _STANDARD_NORMAL * math.sqrt(_variance(found)) / rows
    return Accuracy(window.since, window.until, rows, None, mean, max(mean - spread, 0.0), min(mean + spread, 1.0))


def _variance(found: tally.Histogram) -> float:
    """Sum of p(1 - p) over the values p, with the mean of each bin for its values: bins are 0.02 wide."""
    means = ((count, found.totals[key] / count) for key, count in found.counts.items() if count)
    return sum(count * mean * (1 - mean) for count, mean in means)


def over_time(windows: Iterable[Window], task: str | None = None, minimum: int = MINIMUM) -> list[Accuracy]:
    """One figure a window: from corrections, or estimated for ``task``."""
    return [
        from_corrections(window, minimum) if task is None else from_confidence(window, task, minimum)
        for window in windows
    ]
