"""All that a page shows of a span of time, read from the log at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_model.monitor import report
from tf_model.monitor.reference import Reference
from tf_model.monitor.report import Report
from tf_model.monitor.schema import DAY, HOUR, MINUTE
from tf_model.monitor.store import Store
from tf_model.monitor.window import Window

if TYPE_CHECKING:
    import pandas

# What is offered to look back over, in seconds.
SPANS: Mapping[str, float] = {
    "15 min": 15 * MINUTE,
    "1 hour": HOUR,
    "6 hours": 6 * HOUR,
    "24 hours": DAY,
    "7 days": 7 * DAY,
    "30 days": 30 * DAY,
}
POINTS = 60  # of each chart
MOST_ERRORS = 50
MOST_CORRECTIONS = 200


@dataclass(frozen=True)
class Overview:
    """A span of time.

    Attributes:
        report: The whole of it, judged.
        windows: The same in pieces, in the order of time.
        interactive: The pieces without whole files.
        errors: The newest errors, the newest first; see :meth:`tf_model.monitor.store.Store.errors`.
        corrections: The newest corrections, the oldest of them first.
    """

    report: Report
    windows: list[Window]
    interactive: list[Window]
    errors: pandas.DataFrame
    corrections: pandas.DataFrame


def read(store: Store, since: float, until: float, reference: Reference | None, model: str, version: str) -> Overview:
    """Read everything from ``since`` to ``until`` (seconds since 1970) of one version of a model.

    Args:
        store: The log.
        since: Beginning.
        until: End.
        reference: Of this version, if there is one.
        model: Its name.
        version: Which training of it.

    Raises:
        DataError: The log cannot be read.
    """
    step = (until - since) / POINTS
    return Overview(
        report.make(store, since, until, reference, None, model, version),
        store.series(since, until, step, model, version),
        store.series(since, until, step, model, version, report.interactive_sources(store)),
        store.errors(since, until, MOST_ERRORS, model, version),
        store.corrections(since, until, MOST_CORRECTIONS, model, version),
    )
