"""``python -m tf_model.monitor``: a report on the log of predictions, its corrections as a file, and making room."""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tf_model import cli, paths

HOUR, DAY, MEGABYTE = 3600.0, 86_400.0, 10**6
MOST = 1e6  # hours, days, megabytes or seconds: more is a typing error


def main(argv: list[str] | None = None) -> int:
    """Report, export or prune; ``report`` returns 1 if there is an alarm."""
    arguments = _parser().parse_args(argv)
    return {"report": _report, "export": _export, "prune": _prune}[arguments.command](arguments)


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.monitor", "Look into the log of predictions.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=what, formatter_class=parser.formatter_class)
        added.add_argument(
            "--log", type=Path, metavar="PATH", help=f"the log; if not given, {paths.shown(paths.MONITOR_LOG)}"
        )
        return added

    # The defaults are those of `report.Limits` and `store`, and a test holds them to these: asking them would load
    # numpy and sqlite3 for --help.
    report = command("report", "Say how the model is doing; exit code 1 if there is an alarm.")
    report.add_argument("--hours", type=_below(MOST), default=24.0, metavar="H", help="how far to look back")
    report.add_argument("--model", metavar="NAME", help="which model; the one that was used last if not given")
    report.add_argument(
        "--reference", type=Path, metavar="DIR", help="folder with reference.json; the model's own if not given"
    )
    report.add_argument("--max-error-share", type=_below(1), default=0.01, metavar="X", help="of the requests")
    report.add_argument(
        "--max-p95", type=_below(MOST), default=1.0, metavar="S", help="seconds of a request, files aside"
    )
    report.add_argument("--max-accuracy-drop", type=_below(1), default=0.05, metavar="X", help="below the reference")
    report.add_argument("--json", action="store_true", help="print JSON on standard output instead of tables")

    export = command("export", "Write the corrections as a file to train with.")
    export.add_argument("output", type=Path, metavar="OUTPUT", help="the file to write, such as corrections.csv")
    export.add_argument("--days", type=_below(MOST), metavar="D", help="only those of the last D days")
    export.add_argument("--overwrite", action="store_true", help="replace OUTPUT if it exists")

    prune = command("prune", "Remove what is old, or more than there is room for.")
    prune.add_argument("--days", type=_below(MOST), default=90.0, metavar="D", help="keep what is younger")
    prune.add_argument(
        "--megabytes", type=_below(MOST), default=2 * 2**30 / MEGABYTE, metavar="M", help="keep the newest M megabytes"
    )
    prune.add_argument("--corrections", action="store_true", help="remove old corrections as well")
    return parser


def _below(most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < most:
            raise argparse.ArgumentTypeError(f"expected a number above 0 and below {most:,.0f}, got {text!r}")
        return value

    return parse


def _report(arguments: argparse.Namespace) -> int:
    from tf_model.monitor import report
    from tf_model.monitor.print_report import print_report
    from tf_model.monitor.store import Store

    store = Store(arguments.log)
    model, version = _which_model(store, arguments.model)
    limits = report.Limits(
        error_share=arguments.max_error_share,
        p95_seconds=arguments.max_p95,
        accuracy_drop=arguments.max_accuracy_drop,
    )
    now = time.time()
    reference = _reference(arguments.reference, model, version)
    judged = report.make(store, now - arguments.hours * HOUR, now, reference, limits, model, version)
    if arguments.json:
        print(json.dumps({"model": model, "version": version, **judged.to_json()}, indent=2, ensure_ascii=False))
    else:
        if model:
            cli.say(f"model {model}, version {version}, in {paths.shown(store.path)}")
        print_report(cli.stdout(), judged)
    return 1 if judged.alarms else 0


def _which_model(store: Any, name: str | None) -> tuple[str | None, str | None]:
    """Model and version to report on: one version only, so that a reference fits; None, None: nothing was asked."""
    from tf_model.errors import DataError, listed

    newest = store.newest(name)
    if newest is None and name is not None:
        known = listed(sorted({model for model, _, _ in store.versions()}))
        raise DataError(f"expected predictions of the model {name!r} in {store.path}, got those of {known}")
    return newest or (None, None)


def _reference(folder: Path | None, model: str | None, version: str | None) -> Any:
    from tf_model.errors import ModelError
    from tf_model.monitor import reference

    if folder is None:
        return reference.load(paths.SAVED_MODELS / model, version) if model else None
    given = reference.load(folder)
    if given is None:
        raise ModelError(f"expected {reference.FILE} in {folder}, got none; give the folder of a model that has it")
    return given


def _export(arguments: argparse.Namespace) -> int:
    from tf_model.errors import plural
    from tf_model.monitor.export import export
    from tf_model.monitor.store import Store

    since = time.time() - arguments.days * DAY if arguments.days else 0.0
    rows, left_out, notes = export(Store(arguments.log), arguments.output, since, overwrite=arguments.overwrite)
    cli.say(
        f"wrote {paths.shown(arguments.output)} ({rows:,} {plural(rows, 'text', 'texts')}; left out: {left_out:,} "
        f"{plural(left_out, 'correction', 'corrections')} without a label or of the same text)"
    )
    for note in notes:
        cli.say(note)
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    from tf_model.errors import DataError
    from tf_model.monitor.store import Store, size

    store = Store(arguments.log)
    if not store.exists:
        raise DataError(f"there is no prediction log at {paths.shown(store.path)}; name one with --log PATH")
    kept = arguments.days * DAY, round(arguments.megabytes * MEGABYTE), arguments.corrections
    total = sum(iter(lambda: store.prune(*kept), 0))
    cli.say(f"removed {total:,} rows; the log now holds {size(store.open()) / MEGABYTE:,.1f} MB")
    store.close()
    return 0


if __name__ == "__main__":
    cli.run(main)
