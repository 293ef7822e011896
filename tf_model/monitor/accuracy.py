"""The accuracy of answers, as far as it can be known while the model is in use.

**From corrections**: the share of judged answers that users called correct. Users choose which answers
to judge, and a thumbs down counts only once the right emotion or product is given, so the figure may be off in either
direction. It can be compared with itself over time.

**Without labels**: the mean confidence (:data:`ASSUMPTION`), the "average confidence" of S. Garg et al., "Leveraging
unlabeled data to predict out-of-distribution performance", ICLR 2022. If the probabilities are calibrated, an
answer with confidence 0.8 is correct with probability 0.8. The estimate follows drops that the model notices, such as
harder texts. It misses a change in the meaning of labels. Far from the training texts, probabilities are not
calibrated; :mod:`~tf_model.monitor.drift` detects such texts.
"""

import math
from dataclasses import dataclass

from tf_model import tasks
from tf_model.evaluation.metrics import Z, wilson_interval
from tf_model.monitor.aggregates import DIRECTED_CONFIDENCE, Window

MINIMUM = 30  # corrections or predictions; with fewer, there is no figure
ASSUMPTION = (
    "assumes that the probabilities are calibrated on texts like these and that the labels mean what they meant in "
    "training; it cannot notice that labels were redefined"
)
DRIFT_WARNING = "There is a drift alarm, and the estimate assumes no drift: it may be far off."


@dataclass(frozen=True)
class Accuracy:
    """Accuracy, 0 to 1, with its 95% interval; all three are None if there are too few rows."""

    rows: int  # number of judged predictions, or of predictions for an estimate
    correct: int | None = None  # how many were called correct; None for an estimate
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None


def from_corrections(window: Window, minimum: int = MINIMUM) -> Accuracy:
    """Share of the judged answers that users called correct, with Wilson's interval; "Not sure" is not an answer."""
    correct, judged = window.feedback
    if judged < minimum:
        return Accuracy(judged, correct)
    return Accuracy(judged, correct, correct / judged, *wilson_interval(correct, judged))


def from_confidence(window: Window, task: str, minimum: int = MINIMUM) -> Accuracy:
    """The accuracy of a task, or of the answer, estimated from confidences; see :data:`ASSUMPTION`.

    If the model also predicts the emotion, the accuracy of the product is that of the texts with an emotion: the others
    have no product. The interval is the normal approximation for independent trials, each correct with a probability
    equal to its confidence.
    """
    predicts_emotion = any(name == tasks.EMOTION.name for name, _ in window.counts)
    only_directed = task == tasks.PRODUCT.name and predicts_emotion
    histogram = window.histogram(DIRECTED_CONFIDENCE if only_directed else f"{task}_confidence")
    rows, mean = histogram.count, histogram.mean
    if rows < minimum:
        return Accuracy(rows)
    # Sum of p(1 - p) over the values p, with the mean of each bin for its values: bins are 0.02 wide.
    means = ((count, total / count) for count, total in histogram.sums.values())
    variance = sum(count * share * (1 - share) for count, share in means)
    margin = Z * math.sqrt(max(variance, 0.0)) / rows
    return Accuracy(rows, None, mean, max(mean - margin, 0.0), min(mean + margin, 1.0))
