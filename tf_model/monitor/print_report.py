"""Print a report on the terminal."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from tf_model import paths
from tf_model.errors import count_of, plural
from tf_model.evaluation.metrics import decimal, table_of_numbers
from tf_model.io.characters import visible
from tf_model.monitor import accuracy, drift
from tf_model.monitor.aggregates import CPU, ERRORS, MEMORY
from tf_model.monitor.report import PERCENTILES, SIGNALS, Alarm, Report

TITLES = {"outcome": "outcomes", "emotion": "emotions", "product": "products", ERRORS: "errors"}


def print_report(console: Console, report: Report) -> None:
    """Print a report for a person, with the alarms last, where they are seen first."""
    window = report.window
    begin, end = (f"{datetime.fromtimestamp(each, UTC):%Y-%m-%d %H:%M}" for each in (window.since, window.until))
    requests, predictions = window.requests, window.predictions
    _print_line(console, f"{begin} to {end} UTC")
    _print_line(
        console,
        f"{count_of(requests, 'request')}, {window.failures:,} failed; "
        f"{count_of(predictions, 'prediction')}, {window.dropped:,} not logged",
    )
    cpu, memory = window.mean(CPU), window.mean(MEMORY)
    if cpu is not None and memory is not None:
        _print_line(console, f"on average {cpu:.2f} cores and {memory / 10**6:,.0f} MB of memory in use by a process")
    times = {
        stage: [*(decimal(each.quantile(share / 100), 3) for share in PERCENTILES), decimal(each.mean, 3)]
        for stage, each in report.seconds().items()
    }
    columns = ("stage", *(f"p{share}" for share in PERCENTILES), "mean")
    _print_table(console, "seconds per request, without whole files", columns, times)
    for name, title in TITLES.items():
        counts = window.labels(name)
        total = sum(counts.values())
        rows = {key: (f"{count:,}", f"{count / total:.1%}") for key, count in counts.items()}
        _print_table(console, title, ("", "count", "share"), rows)
    accuracies = {"judged by users": report.user_accuracy}
    accuracies |= {f"estimated, {task}": each for task, each in report.estimates.items()}
    rows = {}
    for name, each in accuracies.items():
        interval = "-" if each.low is None else f"{each.low:.3f} to {each.high:.3f}"
        rows[name] = (decimal(each.accuracy, 3), interval, f"{each.rows:,}")
    _print_table(console, "accuracy", ("", "accuracy", "95% interval", "of"), rows)
    if report.estimates:
        _print_line(console, f"The estimate {accuracy.ASSUMPTION}.")
        if report.signals["drift"]:
            _print_line(console, accuracy.DRIFT_WARNING)
    if report.reference is None:
        models_folder = f"{paths.SAVED_MODELS.name}/"  # where the log's names of models are looked for
        _print_line(console, f"drift: not judged: no reference.json for this version of the model in {models_folder}")
    elif not report.drifts:
        _print_line(console, f"drift: not judged: at least {drift.MINIMUM_ROWS} predictions are needed")
    else:
        rows = {
            drift.FEATURE_NAMES[each.feature]: (
                *(decimal(each.index, 3), decimal(each.bound, 3), f"{each.p_value:.1g}"),
                "" if report.is_by_source else "ALARM" if each.alarm else "ok",
            )
            for each in report.drifts
        }
        title = f"drift from {report.reference.origin}{', all sources together' if report.is_by_source else ''}"
        _print_table(console, title, ("feature", "change", "alarm at", "chance", ""), rows)
    if not_judged := [signal for signal in SIGNALS if signal not in report.judged_signals]:
        _print_line(console, f"not judged: {', '.join(not_judged)} (too few records, or no reference)")
    print_alarms(console, report.alarms)


def print_alarms(console: Console, alarms: Sequence[Alarm], whose: str = "") -> None:
    """Print the number of alarms, and each on a line."""
    count = len(alarms)
    _print_line(console, whose + (f"{count} {plural(count, 'ALARM', 'ALARMS')}" if count else "no alarm"))
    for alarm in alarms:
        _print_line(console, f"  {alarm.signal}: {alarm.words}")


def _print_table(console: Console, title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    table = table_of_numbers(columns, visible(title))
    for name, values in rows.items():
        table.add_row(Text(visible(name)), *values)
    if rows:
        console.print(table)


def _print_line(console: Console, text: str) -> None:
    console.print(visible(text), markup=False, highlight=False, soft_wrap=True)
