"""``python -m tf_model.data``: find the dataset, check it and describe it; with ``--audit``, list its problems."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from tf_model import cli, tasks
from tf_model.data.dataset import UNLABELLED_SHEET, Dataset, read
from tf_model.data.source import add_data_arguments, announce, options_of, resolve
from tf_model.errors import UsageError
from tf_model.io.characters import visible

AUDIT_OPTIONS = ("against", "split_column", "show_texts", "json")


def main(argv: list[str] | None = None) -> int:
    """Print what the dataset holds, or its problems; return 1 if a validation part leaks."""
    parser = cli.parser("tf_model.data", "Find and check the dataset, and show what it holds.")
    add_data_arguments(parser)
    group = parser.add_argument_group("audit: what is wrong with the data; exit code 1 if a validation part leaks")
    group.add_argument(
        "--audit",
        metavar="FILE",
        nargs="?",
        const="",
        help="find near-duplicates, conflicting labels, label errors, rare classes, and leakage across a split, in "
        "FILE or in the file of --data",
    )
    split = group.add_mutually_exclusive_group()
    split.add_argument("--against", metavar="FILE", help="training examples, to find leakage into the audited file")
    split.add_argument(
        "--split-column",
        metavar="COLUMN",
        help="column with `train` in training rows (default: the random split of a model of one task)",
    )
    output = group.add_mutually_exclusive_group()
    output.add_argument("--show-texts", action="store_true", help="print the texts of the reported rows")
    output.add_argument("--json", action="store_true", help="print JSON, with the row numbers of all that is found")
    args = parser.parse_args(argv)
    _check_usage(args)
    source = resolve(args.audit, option="--audit") if args.audit else resolve(args.data)
    announce(source)
    if args.audit is not None:
        return _audit(source.path, args)
    print("\n".join(map(visible, describe(read(source.path, **options_of(args))))))
    return 0


def _check_usage(args: argparse.Namespace) -> None:
    if args.audit is None and any(getattr(args, option) for option in AUDIT_OPTIONS):
        options = ", ".join(f"--{option.replace('_', '-')}" for option in AUDIT_OPTIONS)
        raise UsageError(f"{options} need --audit; add it")
    if args.audit and args.data:
        raise UsageError("--audit and --data both name a file; give only one")


def _audit(path: Path, args: argparse.Namespace) -> int:
    from tf_model.data import audit

    dataset = read(path, [args.split_column] if args.split_column else [], **options_of(args))
    against = read(args.against, **options_of(args)) if args.against else None
    cli.say_notes([*dataset.notes, *(f"{args.against}: {note}" for note in (against.notes if against else ()))])
    cli.say(f"auditing {len(dataset.labelled):,} rows: near-duplicates, then a TF-IDF baseline for each task (minutes)")
    results = audit.audit(dataset, against, args.split_column)
    texts = dict(zip(dataset.labelled["row"], dataset.labelled[tasks.TEXT_COLUMN], strict=True))
    if args.json:
        print(json.dumps(results, indent=2))
    else:
        print("\n".join(map(visible, audit.describe(results, texts if args.show_texts else None))))
    if results["leaks"]:
        cli.say(
            "leak: validation rows have near-duplicates in the training part; metrics from this split can be too high"
        )
    return int(results["leaks"])


def describe(dataset: Dataset) -> Iterator[str]:
    """Describe a dataset in lines of counts, without any of its texts."""
    yield f"dataset   {dataset.name}"
    yield f"file      {dataset.path}"
    yield f"sha256    {dataset.sha256}"
    yield f"columns   {dataset.columns.describe()}"
    yield f"rows      {len(dataset.labelled):,}"
    if dataset.unlabelled is not None:
        yield f"to label  {len(dataset.unlabelled):,} rows in the sheet {UNLABELLED_SHEET}"
    for note in dataset.notes:
        yield f"note      {note}"
    for task in dataset.tasks:
        column = dataset.labelled[task.column]
        examples = int(column.isin(task.labels).sum())
        yield f"{task.name}: {examples:,} examples"
        counts = {label: int((column == label).sum()) for label in task.labels}
        left_out_counts = {f"{label} (left out)": int((column == label).sum()) for label in task.ignored_labels}
        left_out_counts["no label (left out)"] = int(column.isna().sum())
        width = max(map(len, counts | left_out_counts))
        for label, count in counts.items():
            share = f"{count / examples:>7.1%}" if examples else ""
            neutral_note = "  no emotion" if label == task.no_emotion else ""
            refused_note = "  refused in training: a single example" if count == 1 else ""
            if count == examples > 1:
                refused_note = "  refused in training: the only class"
            yield f"  {label:<{width}} {count:>7,} {share}{neutral_note}{refused_note}".rstrip()
        for label, count in left_out_counts.items():
            yield f"  {label:<{width}} {count:>7,}"


if __name__ == "__main__":
    cli.run(main)
