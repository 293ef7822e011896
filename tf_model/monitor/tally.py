"""Counts that can be added up: how often each label came, and histograms of times, confidences and lengths.

The same counting makes the roll-ups of the log and the reference of a model, so that the two can be compared. A tally
maps (name, key) to a count and a sum. The key is a label, or the number of a bin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tf_model import tasks
from tf_model.monitor.events import STAGES, UNSURE, Answered, Corrected, Event, Failed, outcome

Key = str | int
Counts = dict[tuple[str, Key], tuple[int, float]]

# Names of what is counted. The sum of a histogram is that of its values, so that means are exact.
REQUESTS = "requests"  # key: status; the sum is that of the texts
OK, ERROR = "ok", "error"
ERRORS = "errors"  # key: the kind
FEEDBACK = "feedback"  # key: the verdict, or "not_sure" where nothing was answered that could be judged
DROPPED = "dropped"  # records that the log lost; key: ""
CPU, MEMORY = "cpu", "memory"  # cores in use, bytes; the count is that of the samples
GPU_UTILIZATION, GPU_MEMORY = "gpu_utilization", "gpu_memory"  # share of the time, mean of all GPUs; bytes of them all
SAMPLED = (CPU, MEMORY, GPU_UTILIZATION, GPU_MEMORY)
BATCH_SIZE = "batch_size"
SECONDS = "seconds"  # of a whole call; of its stages: see stage_name
DIRECTED_CONFIDENCE = "directed_confidence"  # in the product, of the texts that direct an emotion at one
LABELS = ("product", "emotion", "outcome")  # the sum is that of the confidences


@dataclass(frozen=True)
class LinearBins:
    """Bins of one width from 0 on; the last one takes what is beyond."""

    width: float
    last: int

    def key(self, value: float) -> int:
        """The number of the bin that holds ``value``."""
        return min(max(int(value / self.width + 1e-9), 0), self.last)

    def edges(self, key: int) -> tuple[float, float]:
        """Lower and upper bound of a bin."""
        return key * self.width, (key + 1) * self.width


@dataclass(frozen=True)
class LogBins:
    """Bins whose width grows with the value: ``per_double`` of them for each factor of 2, without an end."""

    per_double: int
    smallest: float

    def key(self, value: float) -> int:
        """The number of the bin that holds ``value``."""
        return math.floor(math.log2(max(value, self.smallest)) * self.per_double + 1e-9)

    def edges(self, key: int) -> tuple[float, float]:
        """Lower and upper bound of a bin."""
        return 2 ** (key / self.per_double), 2 ** ((key + 1) / self.per_double)


Bins = LinearBins | LogBins
_SHARE = LinearBins(0.02, 49)
_TIME = LogBins(8, 1e-6)  # a bin is 9% wide: percentiles are within that


def stage_name(stage: str) -> str:
    """What the histogram of a stage's seconds is called."""
    return f"{stage}_seconds"


BINS: Mapping[str, Bins] = {
    "product_confidence": _SHARE,
    "emotion_confidence": _SHARE,
    "answer_confidence": _SHARE,
    DIRECTED_CONFIDENCE: _SHARE,
    "unknown_share": _SHARE,
    "length": LinearBins(10, 100),
    BATCH_SIZE: LogBins(1, 1),
    SECONDS: _TIME,
    **{stage_name(stage): _TIME for stage in STAGES},
}


@dataclass(frozen=True)
class Histogram:
    """Counts by bin.

    Attributes:
        bins: How values are put into bins.
        counts: The number of values in each bin that has any, by its number.
        totals: The sum of the values in each bin.
    """

    bins: Bins
    counts: Mapping[int, int]
    totals: Mapping[int, float]

    @property
    def count(self) -> int:
        """The number of values."""
        return sum(self.counts.values())

    @property
    def mean(self) -> float | None:
        """Mean of the values, None without any."""
        return sum(self.totals.values()) / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The value that ``share`` (0 to 1) of the values stay below, within the width of a bin; None without any."""
        left = share * self.count
        for key in sorted(self.counts):
            if left <= self.counts[key]:
                low, high = self.bins.edges(key)
                return low + (high - low) * left / self.counts[key]
            left -= self.counts[key]
        return None


def histogram(counts: Counts, name: str) -> Histogram:
    """The histogram ``name`` of a tally, one of :data:`BINS`."""
    found = {key: value for (each, key), value in counts.items() if each == name}
    bins = {int(key): value for key, value in sorted(found.items())}
    return Histogram(
        BINS[name], {key: count for key, (count, _) in bins.items()}, {key: total for key, (_, total) in bins.items()}
    )


def by_label(counts: Counts, name: str) -> dict[str, int]:
    """How often each label came under ``name``, the most frequent first."""
    found = {str(key): count for (each, key), (count, _) in counts.items() if each == name}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def total(counts: Counts, name: str) -> tuple[int, float]:
    """Count and sum of everything under ``name``."""
    found = [value for (each, _), value in counts.items() if each == name]
    return sum(count for count, _ in found), math.fsum(value for _, value in found)


def add(counts: Counts, name: str, key: Key, value: float = 0.0, count: int = 1) -> None:
    """Count ``key`` under ``name`` once more, or ``count`` times, with the sum ``value``."""
    before, summed = counts.get((name, key), (0, 0.0))
    counts[name, key] = before + count, summed + value


def merge(counts: Counts, more: Counts) -> None:
    """Add the sums of ``more`` to ``counts``."""
    for (name, key), (count, value) in more.items():
        add(counts, name, key, value, count)


def count_columns(counts: Counts, columns: Mapping[str, Iterable[Any]]) -> None:
    """Count N predictions: labels with the sum of their confidences, and a histogram of each number.

    The confidence in the product is counted once more for the texts with an emotion, by the best guess: the others have
    no product to be right about.

    Args:
        counts: The tally to add to.
        columns: As in :attr:`tf_model.monitor.events.Answered.columns`.
    """
    for name in LABELS:
        labels = columns.get(name, ())
        sure = columns.get(f"{name}_confidence") or [0.0] * len(labels)  # type: ignore[arg-type]
        for label, confidence in zip(labels, sure, strict=True):
            if label is not None:
                add(counts, name, label, confidence or 0.0)
    for name in ("product_confidence", "emotion_confidence", "answer_confidence", "length", "unknown_share"):
        bins = BINS[name]
        for value in columns.get(name, ()):
            if value is not None:
                add(counts, name, bins.key(value), value)
    pairs = zip(columns.get("product_confidence", ()), columns.get("emotion", ()), strict=False)
    for value, emotion in pairs:  # none of a model of one task
        if value is not None and emotion not in (None, tasks.NO_EMOTION):
            add(counts, DIRECTED_CONFIDENCE, BINS[DIRECTED_CONFIDENCE].key(value), value)


def count_event(counts: Counts, event: Event) -> None:
    """Count one event of any kind."""
    if isinstance(event, Failed):
        add(counts, REQUESTS, ERROR)
        add(counts, ERRORS, event.kind)
    elif isinstance(event, Corrected):
        unsure = outcome(event.prediction.get("answer"), None) == UNSURE
        add(counts, FEEDBACK, UNSURE if unsure else event.verdict)
    elif isinstance(event, Answered):
        add(counts, REQUESTS, OK, event.rows)
        add(counts, BATCH_SIZE, BINS[BATCH_SIZE].key(event.rows), event.rows)
        times = {stage_name(stage): event.seconds[stage] for stage in STAGES if stage in event.seconds}
        if times:
            times[SECONDS] = sum(times.values())
        for name, seconds in times.items():
            add(counts, name, BINS[name].key(seconds), seconds)
        count_columns(counts, event.columns)
