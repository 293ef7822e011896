"""What was counted in a span of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tf_model.monitor import tally
from tf_model.monitor.events import RIGHT, VERDICTS

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Window:
    """Sums of one span of time.

    Attributes:
        since: Its beginning, in seconds since 1970 (UTC).
        until: Its end, exclusive.
        counts: See :mod:`tf_model.monitor.tally`.
    """

    since: float
    until: float
    counts: tally.Counts = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Calls, those that failed included."""
        return tally.total(self.counts, tally.REQUESTS)[0]

    @property
    def failures(self) -> int:
        """Calls that failed."""
        return self.counts.get((tally.REQUESTS, tally.ERROR), (0, 0.0))[0]

    @property
    def predictions(self) -> int:
        """Texts that were answered."""
        return round(self.counts.get((tally.REQUESTS, tally.OK), (0, 0.0))[1])

    @property
    def dropped(self) -> int:
        """Records that the log lost because they could not be written: too many waited, or they never can be."""
        return tally.total(self.counts, tally.DROPPED)[0]

    @property
    def feedback(self) -> tuple[int, int]:
        """How many answers users called right, and how many they judged at all; "Not sure" is none."""
        found = self.labels(tally.FEEDBACK)
        return found.get(RIGHT, 0), sum(found.get(verdict, 0) for verdict in VERDICTS)

    def labels(self, name: str) -> dict[str, int]:
        """How often each label came, the most frequent first; of ``"product"``, ``"emotion"``, ``"outcome"``,
        ``"errors"`` or ``"feedback"``."""
        return tally.by_label(self.counts, name)

    def histogram(self, name: str) -> tally.Histogram:
        """One of :data:`tf_model.monitor.tally.BINS`, such as ``"seconds"`` or ``"product_confidence"``."""
        return tally.histogram(self.counts, name)

    def mean(self, name: str) -> float | None:
        """Mean of a sampled figure; None without a sample.

        Args:
            name: ``"cpu"`` (cores), ``"memory"`` (bytes), ``"gpu_utilization"`` (0 to 1) or ``"gpu_memory"`` (bytes).
        """
        count, total = tally.total(self.counts, name)
        return total / count if count else None


def table(windows: Iterable[Window]) -> pandas.DataFrame:
    """The signals as time series, one row a window, missing where there was nothing to measure.

    Returns:
        ``time`` (beginning, UTC), ``predictions``, ``p50_seconds``, ``p95_seconds`` and ``p99_seconds`` of a request,
        ``cpu`` (cores), ``memory`` (bytes), ``gpu_utilization`` (0 to 1), ``gpu_memory`` (bytes).
    """
    import pandas

    rows = []
    for window in windows:
        seconds = window.histogram(tally.SECONDS)
        rows.append(
            {
                "time": pandas.Timestamp(window.since, unit="s", tz="UTC"),
                "predictions": window.predictions,
                **{f"p{share}_seconds": seconds.quantile(share / 100) for share in (50, 95, 99)},
                **{name: window.mean(name) for name in tally.SAMPLED},
            }
        )
    frame = pandas.DataFrame(rows)
    figures = [name for name in frame.columns if name != "time"]
    return frame.astype(dict.fromkeys(figures, "float64"))
