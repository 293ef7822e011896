"""``python -m tf_model.monitor``: report on the log of predictions, export its corrections, and prune it."""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from tf_model import cli, paths

HOUR, DAY, MEGABYTE = 3600.0, 86_400.0, 10**6
MAX_SPAN = 1e6  # hours or days; more is a typing error


def main(argv: list[str] | None = None) -> int:
    """Report, export or prune; ``report`` returns 1 if there is an alarm, of any model."""
    arguments = _parser().parse_args(argv)
    return {"report": _report, "export": _export, "prune": _prune}[arguments.command](arguments)


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.monitor", "Report on the log of predictions, export its corrections, or prune it.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, description: str) -> argparse.ArgumentParser:
        command_parser = commands.add_parser(
            name, help=description, description=description, formatter_class=parser.formatter_class
        )
        default = str(paths.shown(paths.MONITOR_LOG)).replace("%", "%%")
        command_parser.add_argument("--log", type=Path, metavar="PATH", help=f"the log (default: {default})")
        return command_parser

    report = command("report", "Report how the model is doing; exit code 1 if there is an alarm.")
    report.add_argument("--hours", type=_number, default=24.0, metavar="H", help="hours to look back")
    report.add_argument("--model", metavar="NAME", help="the only model to judge (default: each used in this time)")
    report.add_argument("--json", action="store_true", help="print JSON instead of tables")

    export = command("export", "Write the corrections to a file to train with.")
    export.add_argument("output", type=Path, metavar="OUTPUT", help="the file to write, such as corrections.csv")
    export.add_argument("--model", metavar="NAME", help="the model whose answers were corrected (default: any)")
    export.add_argument("--overwrite", action="store_true", help="replace OUTPUT if it exists")

    # The default equals that of `store`, which a test checks: importing it would load sqlite3 for --help.
    prune = command("prune", "Remove old records.")
    prune.add_argument("--days", type=_number, default=90.0, metavar="D", help="days of records to keep")
    prune.add_argument("--corrections", action="store_true", help="remove old corrections as well")
    return parser


def _number(text: str) -> float:
    if not text.replace(".", "", 1).isdecimal() or not 0 < float(text) < MAX_SPAN:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and below {MAX_SPAN:,.0f}, got {text!r}")
    return float(text)


def _report(arguments: argparse.Namespace) -> int:
    from tf_model.errors import DataError, ModelError, listed
    from tf_model.monitor import reference, report
    from tf_model.monitor.print_report import print_alarms, print_report
    from tf_model.monitor.store import Store

    store = Store(arguments.log)
    versions = store.versions()
    chosen = [each for each in versions if arguments.model in (None, each[0])]
    if arguments.model and not chosen:
        names = listed(sorted({model for model, _, _ in versions}))
        raise DataError(
            f"no predictions of the model {arguments.model!r} in {store.path}; choose with --model from: {names}"
        )
    now = time.time()
    since = now - arguments.hours * HOUR

    def report_on(model: str | None, version: str | None) -> report.Report:
        """Of one version only, so that a reference fits; without a version the log has no calls."""
        model_reference = None
        try:
            model_reference = reference.load(paths.SAVED_MODELS / model, version) if model else None
        except ModelError as error:
            cli.say(f"warning: drift and accuracy are not judged: {error}")
        return report.make(store, since, now, model_reference, model, version)

    model, version, _ = chosen[0] if chosen else (None, None, None)
    latest = report_on(model, version)
    others = {(name, each): report_on(name, each).alarms for name, each, last in chosen[1:] if last > since}
    if arguments.json:
        content = {"model": model, "version": version, **latest.to_json()}
        if others:
            content["others"] = [
                {"model": name, "version": each, "alarms": [asdict(alarm) for alarm in alarms]}
                for (name, each), alarms in others.items()
            ]
        print(json.dumps(content, indent=2))
    else:
        if model:
            cli.say(f"model {model}, version {version}, in {paths.shown(store.path)}")
        print_report(cli.stdout(), latest)
        for (name, each), alarms in others.items():
            print_alarms(cli.stdout(), alarms, f"{name}, version {each}: ")
    return 1 if latest.alarms or any(others.values()) else 0


def _export(arguments: argparse.Namespace) -> int:
    from tf_model.data.dataset import SUFFIXES
    from tf_model.errors import DataError, UsageError, count_of
    from tf_model.io import tables
    from tf_model.monitor.export import labelled_rows
    from tf_model.monitor.store import Store

    output, model = arguments.output, arguments.model
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{output}: expected a name that ends in {', '.join(SUFFIXES)}, which `python -m tf_model.train --extra` "
            f"reads, got {output.suffix or 'no ending'!r}; choose one of these"
        )
    tables.check_output(output, arguments.overwrite)
    corrections = Store(arguments.log).rows("corrections", streams=(model,))
    rows = labelled_rows(corrections)
    if rows.empty:
        of_model = f" of the model {model!r}" if model else ""
        raise DataError(
            f"none of the {len(corrections):,} corrections{of_model} names a product or an emotion; correct some "
            "answers in the app first"
        )
    with tables.table_writer(output, arguments.overwrite) as writer:
        writer.write(rows)
    left_out = len(corrections) - len(rows)
    cli.say(
        f"wrote {paths.shown(output)} ({count_of(len(rows), 'row')}; left out: {count_of(left_out, 'correction')} "
        f"without a label, or repeated)"
    )
    for note in writer.notes:
        cli.say(note)
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    from tf_model.errors import DataError
    from tf_model.monitor.store import Store

    store = Store(arguments.log)
    if not store.exists:
        raise DataError(f"there is no prediction log at {paths.shown(store.path)}; name one with --log PATH")
    removed = store.prune(arguments.days * DAY, corrections=arguments.corrections)
    cli.say(f"removed {removed:,} rows; the log now holds {store.path.stat().st_size / MEGABYTE:,.1f} MB")
    return 0


if __name__ == "__main__":
    cli.run(main)
