"""A report on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tf_model.errors import plural
from tf_model.io.characters import visible
from tf_model.monitor import accuracy, drift
from tf_model.monitor.aggregates import CPU, ERRORS, MEMORY
from tf_model.monitor.report import PERCENTILES, Report

if TYPE_CHECKING:
    from rich.console import Console

NOTHING = "-"
LABELS = {"outcome": "outcomes", "emotion": "emotions", "product": "products", ERRORS: "errors"}


def print_report(console: Console, report: Report) -> None:
    """Print a report for a person: the alarms last, where the eye is."""
    window = report.window
    begin, end = (f"{datetime.fromtimestamp(each, UTC):%Y-%m-%d %H:%M}" for each in (window.since, window.until))
    requests, predictions = window.requests, window.predictions
    _line(console, f"{begin} to {end} UTC")
    _line(
        console,
        f"{requests:,} {plural(requests, 'request', 'requests')}, {window.failures:,} failed; "
        f"{predictions:,} {plural(predictions, 'prediction', 'predictions')}, {window.dropped:,} not logged",
    )
    cpu, memory = window.mean(CPU), window.mean(MEMORY)
    if cpu is not None and memory is not None:
        _line(console, f"on average {cpu:.2f} cores and {memory / 2**20:,.0f} MiB of memory in use")
    times = [
        (stage, *(_figure(each.quantile(share / 100)) for share in PERCENTILES), _figure(each.mean))
        for stage, each in report.seconds().items()
    ]
    _table(console, "seconds of a request", ("stage", *(f"p{share}" for share in PERCENTILES), "mean"), times)
    for name, title in LABELS.items():
        counts = window.labels(name)
        total = sum(counts.values())
        rows = [(visible(label), f"{count:,}", f"{count / total:.1%}") for label, count in counts.items()]
        _table(console, title, ("", "", ""), rows)
    figures = {"judged by users": report.corrected}
    figures |= {f"estimated, {task}": each for task, each in report.estimated.items()}
    rows = []
    for name, each in figures.items():
        interval = NOTHING if each.low is None else f"{_figure(each.low)} to {_figure(each.high)}"
        rows.append((name, _figure(each.accuracy), interval, f"{each.rows:,}"))
    _table(console, "accuracy", ("", "accuracy", "95% interval", "of"), rows)
    if report.estimated:
        _line(console, f"The estimate {accuracy.ASSUMPTION}.")
    _print_drift(console, report)
    count = len(report.alarms)
    _line(console, f"{count} {plural(count, 'ALARM', 'ALARMS')}" if count else "no alarm")
    for alarm in report.alarms:
        _line(console, f"  {alarm.signal}: {alarm.words}")


def _print_drift(console: Console, report: Report) -> None:
    if report.reference is None:
        _line(console, "drift: not judged, because there is no reference.json of this version of the model")
    elif not report.drifts:
        _line(console, f"drift: not judged, because that takes {drift.MINIMUM_ROWS} predictions at least")
    else:
        states = {True: "ALARM", False: "ok"}
        rows = [
            (each.feature, _figure(each.index), _figure(each.bound), f"{each.p_value:.1g}", states[bool(each.alarm)])
            for each in report.drifts
        ]
        columns = ("feature", "index", "alarm from", "p", "")
        _table(console, f"drift from {visible(report.reference.origin)}", columns, rows)


def _table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, unless it has no rows."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False, show_header=any(columns))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=bool(index))
    for row in rows:
        table.add_row(*row)
    if table.row_count:
        console.print(table)


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _line(console: Console, text: str) -> None:
    console.print(visible(text), markup=False, highlight=False, soft_wrap=True)
