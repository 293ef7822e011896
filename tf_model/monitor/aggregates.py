"""Counts that can be added up: how often each label came, and histograms of times, confidences and lengths.

The log adds them up by the minute and by the hour (:mod:`~tf_model.monitor.store`), and the reference of a model holds
the same, so that the two can be compared. They map (name, key) to a count and a sum; the key is a label or the number
of a bin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tf_model.modeling.joint_label import NOT_SURE
from tf_model.monitor.events import ABSTAINED, BULK_SOURCES, STAGES, Corrected, Event, Failed

Key = str | int
Counts = dict[tuple[str, Key], tuple[int, float]]

# Names of what is counted. The sum of a histogram is that of its values, so that means are exact.
REQUESTS = "requests"  # key: status; the sum is that of the texts
OK, ERROR = "ok", "error"
ERRORS = "errors"  # key: the kind
FEEDBACK = "feedback"  # key: "correct" or "wrong", or "not_sure" where nothing was answered that could be judged
CORRECT, WRONG = "correct", "wrong"
DROPPED = "dropped"  # records that the log lost; key: ""
CPU, MEMORY = "cpu", "memory"  # cores in use, bytes; the count is that of the samples
GPU_UTILIZATION, GPU_MEMORY = "gpu_utilization", "gpu_memory"  # share of the time, mean of all GPUs; bytes of them all
SAMPLED = (CPU, MEMORY, GPU_UTILIZATION, GPU_MEMORY)
SECONDS = "seconds"  # of a whole call; of its stages: "<stage>_seconds"
DIRECTED_CONFIDENCE = "directed_confidence"  # in the product, of the texts that direct an emotion at one
LABELS = ("product", "emotion", "outcome")


@dataclass(frozen=True)
class LinearBins:
    """Bins of one width from 0 on; the last one takes what is beyond."""

    width: float
    last: int

    def key(self, value: float) -> int:
        """The number of the bin that holds ``value``."""
        return min(max(int(value / self.width + 1e-9), 0), self.last)

    def sql(self, column: str) -> str:
        """The same in SQL, for the values of a column."""
        return f"min(max(CAST({column} / {self.width!r} + 1e-9 AS INTEGER), 0), {self.last})"

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


def waited(name: str) -> str:
    """The name of a histogram of seconds without the calls for whole files."""
    return f"waited_{name}"


_SHARE = LinearBins(0.02, 49)
_TIME = LogBins(8, 1e-6)  # a bin is 9% wide: percentiles are within that
_TIMES = (SECONDS, *(f"{stage}_seconds" for stage in STAGES))
# Of each prediction, counted in SQL.
NUMBERS: Mapping[str, LinearBins] = {
    "product_confidence": _SHARE,
    "emotion_confidence": _SHARE,
    "answer_confidence": _SHARE,
    "unk_rate": _SHARE,
    "length": LinearBins(10.0, 100),
}
BINS: Mapping[str, LinearBins | LogBins] = {
    **NUMBERS,
    DIRECTED_CONFIDENCE: _SHARE,
    **dict.fromkeys((*_TIMES, *map(waited, _TIMES)), _TIME),
}


def of_event(event: Event) -> Counts:
    """What one event counts for, without its predictions, which the log counts in SQL."""
    if isinstance(event, Failed):
        return {(REQUESTS, ERROR): (1, 0.0), (ERRORS, event.kind): (1, 0.0)}
    if isinstance(event, Corrected):
        is_answer = event.prediction.get("answer") != NOT_SURE
        key = ABSTAINED if not is_answer else CORRECT if event.is_correct else WRONG
        return {(FEEDBACK, key): (1, 0.0)}
    stages = {f"{stage}_seconds": event.seconds[stage] for stage in STAGES if stage in event.seconds}
    times = stages | ({SECONDS: sum(stages.values())} if stages else {})
    counts: Counts = {(REQUESTS, OK): (1, event.rows)}
    for name, seconds in times.items():
        counts[name, _TIME.key(seconds)] = (1, seconds)
        if event.stream.source not in BULK_SOURCES:
            counts[waited(name), _TIME.key(seconds)] = (1, seconds)
    return counts


def merge(counts: Counts, more: Counts) -> None:
    """Add ``more`` to ``counts``."""
    for key, (count, total) in more.items():
        before, summed = counts.get(key, (0, 0.0))
        counts[key] = before + count, summed + total


@dataclass(frozen=True)
class Histogram:
    """Counts by bin.

    Attributes:
        bins: How values are put into bins.
        counts: The number of values in each bin that has any, by its number.
        totals: The sum of the values in each bin.
    """

    bins: LinearBins | LogBins
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


@dataclass(frozen=True)
class Window:
    """What was counted in a span of time.

    Attributes:
        since: Its beginning, in seconds since 1970 (UTC).
        until: Its end, exclusive.
        counts: By name and key.
    """

    since: float
    until: float
    counts: Counts = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Calls, those that failed included."""
        return self._total(REQUESTS)[0]

    @property
    def failures(self) -> int:
        """Calls that failed."""
        return self.counts.get((REQUESTS, ERROR), (0, 0.0))[0]

    @property
    def predictions(self) -> int:
        """Texts that were answered."""
        return round(self.counts.get((REQUESTS, OK), (0, 0.0))[1])

    @property
    def dropped(self) -> int:
        """Records that the log lost because they could not be written: too many waited, or they never can be."""
        return self._total(DROPPED)[0]

    @property
    def feedback(self) -> tuple[int, int]:
        """How many answers users called correct, and how many they judged at all; "Not sure" is none."""
        judged = self.labels(FEEDBACK)
        return judged.get(CORRECT, 0), judged.get(CORRECT, 0) + judged.get(WRONG, 0)

    def labels(self, name: str) -> dict[str, int]:
        """How often each label came, the most frequent first; of ``"product"``, ``"emotion"``, ``"outcome"``,
        ``"errors"`` or ``"feedback"``."""
        counts = {str(key): count for (each, key), (count, _) in self.counts.items() if each == name}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def histogram(self, name: str) -> Histogram:
        """One of :data:`BINS`, such as ``"seconds"`` or ``"product_confidence"``."""
        bins = {int(key): sums for (each, key), sums in self.counts.items() if each == name}
        counts = {key: count for key, (count, _) in bins.items()}
        return Histogram(BINS[name], counts, {key: total for key, (_, total) in bins.items()})

    def mean(self, name: str) -> float | None:
        """Mean of one of :data:`SAMPLED`; None without a sample."""
        count, total = self._total(name)
        return total / count if count else None

    def _total(self, name: str) -> tuple[int, float]:
        sums = [value for (each, _), value in self.counts.items() if each == name]
        return sum(count for count, _ in sums), math.fsum(total for _, total in sums)


def join(windows: Iterable[Window]) -> Window:
    """One window over several, at least one, in the order of time."""
    windows, counts = list(windows), {}
    for window in windows:
        merge(counts, window.counts)
    return Window(windows[0].since, windows[-1].until, counts)
