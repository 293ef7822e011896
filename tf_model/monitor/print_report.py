"""A report on the terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tf_model.errors import plural
from tf_model.io.characters import visible
from tf_model.monitor import accuracy, drift, tally
from tf_model.monitor.report import PERCENTILES, Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

NOTHING = "-"


def print_report(console: Console, report: Report) -> None:
    """Print a report for a person: the alarms last, where the eye is."""
    window = report.window
    begin, end = (f"{datetime.fromtimestamp(each, UTC):%Y-%m-%d %H:%M}" for each in (window.since, window.until))
    _line(console, f"{begin} to {end} UTC")
    _line(
        console,
        f"{window.requests:,} {plural(window.requests, 'request', 'requests')}, {window.failures:,} failed; "
        f"{window.predictions:,} {plural(window.predictions, 'prediction', 'predictions')}, "
        f"{window.dropped:,} not logged",
    )
    cpu, memory = window.mean(tally.CPU), window.mean(tally.MEMORY)
    if cpu is not None and memory is not None:
        _line(console, f"on average {cpu:.2f} cores and {memory / 2**20:,.0f} MiB of memory in use")
    if report.seconds():
        console.print(_seconds(report))
    for name in ("outcome", "emotion", "product", tally.ERRORS):
        if window.labels(name):
            console.print(_labels(report, name))
    console.print(_accuracy(report))
    if report.estimated:
        _line(console, f"The estimate {accuracy.ASSUMPTION}.")
    _print_drift(console, report)
    if report.alarms:
        count = len(report.alarms)
        _line(console, f"{count} {plural(count, 'ALARM', 'ALARMS')}")
        for alarm in report.alarms:
            _line(console, f"  {alarm.signal}: {alarm.words}")
    else:
        _line(console, "no alarm")


def _seconds(report: Report) -> Table:
    table = _table("seconds of a request", "stage", *(f"p{share}" for share in PERCENTILES), "mean")
    for stage, found in report.seconds().items():
        quantiles = (_figure(found.quantile(share / 100)) for share in PERCENTILES)
        table.add_row(stage, *quantiles, _figure(found.mean))
    return table


def _labels(report: Report, name: str) -> Table:
    found = report.window.labels(name)
    table = _table({"outcome": "outcomes", "emotion": "emotions", "product": "products"}.get(name, name), "", "", "")
    for label, count in found.items():
        table.add_row(visible(label), f"{count:,}", f"{count / sum(found.values()):.1%}")
    return table


def _accuracy(report: Report) -> Table:
    table = _table("accuracy", "", "accuracy", "95% interval", "of")
    rows = {
        "judged by users": report.corrected,
        **{f"estimated, {task}": each for task, each in report.estimated.items()},
    }
    for name, found in rows.items():
        interval = NOTHING if found.low is None else f"{found.low:.3f} to {found.high:.3f}"
        table.add_row(name, _figure(found.accuracy, 3), interval, f"{found.rows:,}")
    return table


def _print_drift(console: Console, report: Report) -> None:
    if report.reference is None:
        _line(console, "drift: not judged, because there is no reference.json of this version of the model")
        return
    if not report.drifts:
        _line(console, f"drift: not judged, because that takes {drift.MINIMUM_ROWS} predictions at least")
        return
    table = _table(f"drift from {report.reference.origin}", "feature", "index", "alarm from", "p", "")
    for found in report.drifts:
        mark = "ALARM" if found.alarm else "ok"
        table.add_row(found.feature, _figure(found.index), _figure(found.bound), f"{found.p_value:.1g}", mark)
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=visible(title), title_justify="left", box=SIMPLE, pad_edge=False, show_header=any(columns))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=bool(place))
    return table


def _figure(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def _line(console: Console, text: str) -> None:
    console.print(visible(text), markup=False, highlight=False, soft_wrap=True)
