"""``python -m tf_model.data``: find the dataset, check it and say what is in it; ``--audit``: what is wrong with it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tf_model import cli, tasks
from tf_model.data.dataset import FIRST_ROW, UNLABELLED_SHEET, read
from tf_model.data.source import DATA_VARIABLE, announce, resolve
from tf_model.data.summary import Summary, TaskSummary, summarize
from tf_model.errors import UsageError, plural

SEARCHED = object()  # --audit without a file: the one of --data, or the one that is found


def main(argv: list[str] | None = None) -> int | None:
    """``python -m tf_model.data``: print what the dataset holds."""
    parser = cli.parser("tf_model.data", "Find the dataset, check it and say what is in it.")
    parser.add_argument(
        "--data", metavar="PATH", help=f"an .xlsx, .csv or .tsv file; else {DATA_VARIABLE}, else search"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on standard output instead of tables")
    group = parser.add_argument_group("audit: what is wrong with the data; exit code 1 if a validation part leaks")
    group.add_argument(
        "--audit",
        metavar="FILE",
        nargs="?",
        const=SEARCHED,
        help="look for near-duplicates, conflicting and suspicious labels, small classes, and leakage across a split, "
        "in FILE or in the file of --data",
    )
    group.add_argument(
        "--against",
        metavar="FILE",
        help="the training examples, where the audited file validates; with --label-column it needs texts only",
    )
    group.add_argument(
        "--split-column", metavar="COLUMN", help="column that says which rows train (train); else the report's split"
    )
    group.add_argument(
        "--label-column",
        metavar="COLUMN",
        action="append",
        help="of a table with other columns or labels than this project's: a column of labels, whatever they are; may "
        "be given several times",
    )
    group.add_argument("--text-column", metavar="COLUMN", help="its column of texts; found by itself if not given")
    group.add_argument("--sheet", metavar="NAME", help="its sheet, of a workbook; the first if not given")
    group.add_argument(
        "--against-sheet", metavar="NAME", help="the sheet of --against, of a workbook; the first if not given"
    )
    group.add_argument("--show-texts", action="store_true", help="show the texts of the rows that are named")
    args = parser.parse_args(argv)
    _check_usage(args)
    source = resolve(args.data) if args.audit in (None, SEARCHED) else resolve(args.audit, option="--audit")
    announce(source)
    if args.audit is not None:
        return _audit(source.path, args)
    dataset = read(source.path)
    summary = summarize(dataset, source.reason)
    if args.json:
        print(json.dumps(asdict(summary), indent=2, ensure_ascii=False))
    else:
        _print_summary(summary)
    return 0


def _check_usage(args: argparse.Namespace) -> None:
    if args.data == "":
        raise UsageError("expected a path after --data, got nothing; name a file, or leave --data out")
    options = ("against", "split_column", "label_column", "text_column", "sheet", "against_sheet", "show_texts")
    if args.audit is None and any(getattr(args, option) for option in options):
        named = [f"--{option.replace('_', '-')}" for option in options]
        raise UsageError(f"{', '.join(named[:-1])} and {named[-1]} belong to --audit; add --audit")
    if args.against_sheet and not args.against:
        raise UsageError("--against-sheet chooses a sheet of the file of --against; name the file too")
    if (args.text_column or args.sheet or args.against_sheet) and not args.label_column:
        raise UsageError(
            "--text-column, --sheet and --against-sheet go with --label-column; name the column of the labels too"
        )
    if args.audit == "":
        raise UsageError("expected a path after --audit, got nothing; name a file")
    if args.audit not in (None, SEARCHED) and args.data:
        raise UsageError("--audit and --data both name a file; name it once")


def _audit(path: Path, args: argparse.Namespace) -> int:
    from tf_model.data import audit, print_audit
    from tf_model.data.labelled_table import read_labelled

    of_tasks, against = None, None
    if args.label_column:
        dataset, of_tasks = read_labelled(path, args.label_column, args.text_column, args.split_column, args.sheet)
        for note in dataset.warnings:
            cli.say(f"note: {note}")
        if args.against:
            against, _ = read_labelled(
                args.against, (), args.text_column, sheet=args.against_sheet, sheet_option="--against-sheet"
            )
            for note in against.warnings:
                cli.say(f"note: {args.against}: {note}")
    else:
        dataset, against = read(path), read(args.against) if args.against else None
    cli.say(f"auditing {len(dataset.labelled):,} rows: near-duplicates, then a words model for each task (minutes)")
    found = audit.audit(dataset, against=against, split_column=args.split_column, of_tasks=of_tasks)
    texts = dict(zip(dataset.labelled["row"], dataset.labelled[tasks.TEXT_COLUMN], strict=True))
    shown = texts if args.show_texts else None
    if args.json:
        print(json.dumps(audit.to_json(found, shown), indent=2, ensure_ascii=False))
    else:
        print_audit.print_audit(cli.stdout(), found, shown)
    if found.leaks:
        cli.say("leak: rows that validate have near-duplicates that train; a figure from this split says too much")
    return 1 if found.leaks else 0


def _print_summary(summary: Summary) -> None:
    from rich.console import Console

    stdout = Console(highlight=False, markup=False, soft_wrap=True)
    stdout.print(f"dataset   {summary.dataset}")
    stdout.print(f"file      {summary.path}")
    stdout.print(f"sha256    {summary.sha256}")
    stdout.print(f"rows      {summary.rows:,}")
    if summary.unlabelled_rows is not None:
        stdout.print(f"to label  {summary.unlabelled_rows:,} rows in the sheet {UNLABELLED_SHEET}")
    for dropped in summary.dropped:
        numbers = ", ".join(str(row + FIRST_ROW) for row in dropped.rows)
        rest = ", ..." if dropped.count > len(dropped.rows) else ""
        rows = plural(dropped.count, "row", "rows")
        stdout.print(f"dropped   {dropped.count:,} {rows}: {dropped.reason} ({rows} {numbers}{rest} of the file)")
    for note in summary.warnings:
        stdout.print(f"note      {note}")
    for name, task in summary.tasks.items():
        stdout.print(_table(name, task))


def _table(name: str, task: TaskSummary) -> Any:
    from rich.table import Table

    table = Table(title=f"{name}: {task.examples:,} examples", title_justify="left", show_footer=False)
    table.add_column("label")
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    for label, count in task.labels.items():
        table.add_row(label, f"{count:,}", f"{count / task.examples:.1%}" if task.examples else "")
    table.add_section()
    for label, count in task.ignored.items():
        table.add_row(f"{label} (left out)", f"{count:,}", "")
    table.add_row("no label (left out)", f"{task.unlabelled:,}", "")
    return table


if __name__ == "__main__":
    cli.run(main)
