"""Counts that can be added up: the frequency of each label, and histograms of times, confidences and lengths.

The log adds up those of predictions by minute and by hour, and counts errors and corrections when it is read. The
reference of a model holds the same counts, so the two can be compared. They map (name, key) to a count and a sum; the
key is a label or the number of a bin.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tf_model.monitor.events import BULK_SOURCES, CONFIDENCE_COLUMNS, DIRECTED_CONFIDENCE, STAGES, Answered

Key = str | int
Counts = dict[tuple[str, Key], tuple[int, float]]

# Names of the counts. A histogram also keeps the sum of its values, so means are exact.
REQUESTS, OK = "requests", "ok"  # calls that were answered; the sum is the number of texts
ERRORS = "errors"  # calls that failed; key: the kind
FEEDBACK = "feedback"  # of users on answers, which "Not sure" is not; key:
CORRECT, WRONG = "correct", "wrong"
DROPPED = "dropped"  # records that the log lost; key: ""
CPU, MEMORY = "cpu", "memory"  # cores in use, bytes; the count is the number of samples
SECONDS = "waited_seconds"  # of a whole call; calls for files are left out: nobody waits for them
STAGE_SECONDS = {stage: f"waited_{stage}_seconds" for stage in STAGES}  # of its stages
LABELS = ("product", "emotion", "outcome")


_SHARES = [each / 50 for each in range(51)]
_SECONDS = [2 ** (each / 8) for each in range(-160, 137)]  # a bin is 9% wide, which bounds the error of percentiles
# The edges of bins by name. A bin includes its lower edge; values beyond all edges belong to the first or last bin.
NUMERIC_BINS: Mapping[str, Sequence[float]] = {
    **dict.fromkeys(CONFIDENCE_COLUMNS, _SHARES),
    "unk_rate": _SHARES,
    "length": [*range(0, 1001, 10), math.inf],
}
BINS: Mapping[str, Sequence[float]] = {
    **NUMERIC_BINS,
    DIRECTED_CONFIDENCE: _SHARES,
    **dict.fromkeys((SECONDS, *STAGE_SECONDS.values()), _SECONDS),
}


def bin_of(name: str, value: float) -> int:
    """The number of the bin of :data:`BINS` that holds ``value``."""
    edges = BINS[name]
    return min(max(bisect_right(edges, value), 1), len(edges) - 1) - 1


def call_counts(event: Answered) -> Counts:
    """The counts of one answered call."""
    counts = prediction_counts(event.columns) | {(REQUESTS, OK): (1, event.rows)}
    if event.seconds and event.stream.source not in BULK_SOURCES:
        times = {STAGE_SECONDS[stage]: seconds for stage, seconds in event.seconds.items()}
        for name, seconds in (times | {SECONDS: sum(times.values())}).items():
            counts[name, bin_of(name, seconds)] = (1, seconds)
    return counts


def prediction_counts(columns: Mapping[str, Sequence[Any]]) -> Counts:
    """The counts of predictions, from their :func:`~tf_model.monitor.events.counted_columns`."""
    counts: Counts = {}
    for name in LABELS:
        for label, count in Counter(columns.get(name, ())).items():
            if label is not None:
                counts[name, label] = (count, 0.0)
    for name in (*NUMERIC_BINS, DIRECTED_CONFIDENCE):
        for value in columns.get(name, ()):
            if value is not None:
                merge(counts, {(name, bin_of(name, value)): (1, value)})
    return counts


def merge(counts: Counts, other: Counts) -> None:
    """Add ``other`` to ``counts``."""
    for key, (count, total) in other.items():
        old_count, old_total = counts.get(key, (0, 0.0))
        counts[key] = old_count + count, old_total + total


@dataclass(frozen=True)
class Histogram:
    """The count and sum of the values in each non-empty bin, by bin number."""

    edges: Sequence[float]
    sums: Mapping[int, tuple[int, float]]

    @property
    def count(self) -> int:
        """The number of values."""
        return sum(count for count, _ in self.sums.values())

    @property
    def mean(self) -> float | None:
        """Mean of the values; None without any."""
        return sum(total for _, total in self.sums.values()) / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The ``share`` quantile (0 to 1) of the values, to within a bin; None without any."""
        remaining = share * self.count
        for key, (count, _) in sorted(self.sums.items()):
            if remaining <= count:
                low, high = self.edges[key : key + 2]
                return low + (high - low) * remaining / count
            remaining -= count
        return None


@dataclass(frozen=True)
class Window:
    """The counts from ``since`` to ``until``, exclusive, in seconds since 1970 (UTC)."""

    since: float
    until: float
    counts: Counts = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """All calls, including failed ones."""
        return self._sums(REQUESTS, OK)[0] + self.failures

    @property
    def failures(self) -> int:
        """Calls that failed."""
        return sum(self.labels(ERRORS).values())

    @property
    def predictions(self) -> int:
        """Texts that were answered."""
        return round(self._sums(REQUESTS, OK)[1])

    @property
    def dropped(self) -> int:
        """Records that the log lost, because too many waited or they could never be written."""
        return self._sums(DROPPED)[0]

    @property
    def feedback(self) -> tuple[int, int]:
        """How many answers users called correct, and how many they judged; "Not sure" is not an answer."""
        correct, wrong = (self._sums(FEEDBACK, verdict)[0] for verdict in (CORRECT, WRONG))
        return correct, correct + wrong

    def labels(self, name: str) -> dict[str, int]:
        """The count of each label, most frequent first, of one of :data:`LABELS`, ``"errors"`` or ``"feedback"``."""
        counts = {str(key): count for (each, key), (count, _) in self.counts.items() if each == name}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def histogram(self, name: str) -> Histogram:
        """The histogram of one of :data:`BINS`, such as :data:`SECONDS` or ``"product_confidence"``."""
        return Histogram(BINS[name], {key: value for (each, key), value in self.counts.items() if each == name})

    def mean(self, name: str) -> float | None:
        """Mean of :data:`CPU` or :data:`MEMORY`; None without a sample."""
        count, total = self._sums(name)
        return total / count if count else None

    def _sums(self, name: str, key: Key = "") -> tuple[int, float]:
        return self.counts.get((name, key), (0, 0.0))


def join(windows: Iterable[Window]) -> Window:
    """Join one or more consecutive windows, in order of time, into one."""
    windows, counts = list(windows), {}
    for window in windows:
        merge(counts, window.counts)
    return Window(windows[0].since, windows[-1].until, counts)
