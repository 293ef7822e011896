"""Find the dataset, read it, check it, and say what is in it.

``python -m tf_model.data`` prints which file was chosen and why, how many examples each label has, and which rows
could not be used. What a file must hold is in :mod:`tf_model.dataset_file`. With ``--audit`` it also prints what is
wrong with the data: see :mod:`tf_model.audit`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import console, paths, tasks
from tf_model.dataset_file import (
    ASSIGNMENT,
    ASSIGNMENT_SHA256,
    CUSTOM,
    FIRST_ROW,
    SAMPLE,
    SUFFIXES,
    UNLABELLED_SHEET,
    Dataset,
    Dropped,
    check_file,
    count_conflicts,
    count_repeats,
    is_same_file,
    read,
)
from tf_model.download import download
from tf_model.errors import DataError, TweetTargetError, UsageError
from tf_model.files import explain_read_errors
from tf_model.messages import listed, plural

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = [
    "ASSIGNMENT",
    "CUSTOM",
    "SAMPLE",
    "Dataset",
    "Locations",
    "Source",
    "Summary",
    "TrainingRows",
    "announce",
    "answer_examples",
    "check_classes",
    "describe_ignored",
    "examples",
    "main",
    "read",
    "resolve",
    "summarize",
    "training_rows",
]

# The workbook that the report worked from; data/README.md says where it comes from.
ADDRESS = (
    "https://raw.githubusercontent.com/GargPriyanshu1112/Wysa_NLP_Engineer_Assignment/"
    "8b353af3ec79f8b577796a73eb7cf5db96b2ebc3/dataset.xlsx"
)
WORKBOOK = "assignment.xlsx"
JUDGE_CSV = "judge-1377884607_tweet_product_company.csv"

DATA_VARIABLE = "TWEETS_DATA"
SEARCHED = object()  # --audit without a file: the one of --data, or the one that is found
OFFLINE_VARIABLES = ("TWEETS_OFFLINE", "HF_HUB_OFFLINE")


# ---------------------------------------------------------------- find


@dataclass(frozen=True)
class Locations:
    """Where data is looked for when the user names no file.

    Attributes:
        raw: Folder for the user's copy, and for a download.
        shared: Folder beside the checkout that may hold the workbook.
        sample: The sample corpus, the last resort.
        address: Where the workbook can be downloaded.
        sha256: What the download must be, in hexadecimal.
    """

    raw: Path = paths.RAW_DATA
    shared: Path = paths.SHARED_DATA
    sample: Path = paths.SAMPLE_CORPUS
    address: str = ADDRESS
    sha256: str = ASSIGNMENT_SHA256


@dataclass(frozen=True)
class Source:
    """The file that was chosen.

    Attributes:
        path: The file.
        reason: Why this one.
        is_sample: Whether it is the sample corpus, whose figures say nothing about real tweets.
    """

    path: Path
    reason: str
    is_sample: bool = False

    def describe(self) -> str:
        """What was chosen and why: one line, or several that cannot be overlooked for the sample corpus."""
        if not self.is_sample:
            return f"data: {paths.shown(self.path)} ({self.reason})"
        return (
            "THIS IS NOT THE REAL DATASET: the sample corpus is used.\n"
            f"file: {paths.shown(self.path)}\n"
            f"why: {self.reason}\n"
            "Its texts were made up to try the commands out: no figure or model made from it says anything about real "
            f"tweets.\nTo use real data, put {WORKBOOK} into data/raw/, set {DATA_VARIABLE}, or add --data PATH."
        )


def resolve(path: Path | str | None = None, locations: Locations | None = None, *, option: str = "--data") -> Source:
    """Choose the data file; the first hit wins.

    In order: ``path``; the environment variable ``TWEETS_DATA``; ``data/raw/``; ``../shared/data/``; a download into
    ``data/raw/``, unless ``TWEETS_OFFLINE=1`` or ``HF_HUB_OFFLINE=1``; the sample corpus.

    Args:
        path: A file that the user named. If it is missing, that is an error: nothing else is tried.
        locations: Where to look; the project's own folders by default.
        option: What the user named ``path`` with, for messages.

    Raises:
        DataError: The named file is missing, ``data/raw/`` holds several candidates, or there is no data at all.
    """
    locations = locations or Locations()
    for named, origin in ((path, option), (os.environ.get(DATA_VARIABLE) or None, DATA_VARIABLE)):
        if named is not None:
            chosen = _expand(named)
            check_file(chosen, origin)
            return Source(chosen, f"named by {origin}", is_same_file(chosen, locations.sample))
    with explain_read_errors(locations.raw):
        found = _find_raw(locations.raw)
    if found:
        return Source(found, "found in data/raw/")
    shared = locations.shared / WORKBOOK
    if shared.is_file():
        return Source(shared, "found in ../shared/data/")
    return _download_or_sample(locations)


def announce(source: Source) -> None:
    """Print on standard error which data is used and why; the sample corpus gets a red panel."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    stderr = Console(stderr=True, highlight=False)
    if source.is_sample:
        stderr.print(Panel(Text(source.describe()), title="SAMPLE DATA", border_style="bold red", style="red"))
    else:
        stderr.print(Text(source.describe()), soft_wrap=True)


def _expand(named: Path | str) -> Path:
    try:
        return Path(named).expanduser()
    except RuntimeError:  # "~someone" who has no home: take it as it is, the check says that it is missing
        return Path(named)


def _find_raw(folder: Path) -> Path | None:
    for name in (WORKBOOK, JUDGE_CSV):
        if (folder / name).is_file():
            return folder / name
    if not folder.is_dir():
        return None
    # "~$name.xlsx" is the lock file of an open spreadsheet.
    found = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith((".", "~$")) and file.is_file()
    )
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:5])
        raise DataError(
            f"expected one data file in {folder}, found {len(found)} ({names}); say which one with --data PATH, or "
            f"rename it to {WORKBOOK}"
        )
    return found[0] if found else None


def _download_or_sample(locations: Locations) -> Source:
    offline = next((name for name in OFFLINE_VARIABLES if _is_on(os.environ.get(name))), None)
    if offline:
        why = f"nothing in data/raw/ or ../shared/data/, and {offline} forbids a download"
    else:
        try:
            target = download(locations.address, locations.raw / WORKBOOK, locations.sha256)
            return Source(target, f"downloaded from {locations.address}, sha256 checked")
        except TweetTargetError as error:
            why = f"nothing in data/raw/ or ../shared/data/; {error}"
    if not locations.sample.is_file():
        raise DataError(f"no data: {why}; put {WORKBOOK} into {locations.raw}, or add --data PATH")
    return Source(locations.sample, why, is_sample=True)


def _is_on(value: str | None) -> bool:
    return (value or "").strip().lower() in ("1", "true", "yes", "on")


# ---------------------------------------------------------------- use


def examples(dataset: Dataset, task: tasks.Task) -> pd.DataFrame:
    """The rows that a task can learn from, in file order.

    Returns:
        The columns ``row`` (int64), ``text`` (str), ``label`` (str) and ``label_id`` (int64, the position of the
        label in ``task.labels``), indexed from 0. Rows without a label, or with one that the task ignores, are left
        out.

    Raises:
        DataError: No row has a label of this task.
    """
    frame = _select(dataset.labelled, task)
    if frame.empty:
        raise DataError(
            f"expected labels of the task {task.name!r} in the column {task.column!r} of {dataset.path}, found none; "
            "add labels, or choose another task"
        )
    return frame


def answer_examples(dataset: Dataset) -> pd.DataFrame:
    """The rows that a model of product and emotion can learn from, in file order: those with a label of either task.

    A tweet with an emotion but without a product label has an *unknown* product, not none.

    Returns:
        The columns ``row`` (int64), ``text`` (str), ``product_id`` and ``emotion_id`` (int64, positions in the labels
        of the task, -1 without a label that the task knows) and ``stratum`` (int64: the product where there is a label
        of it, else the emotion, for folds that are alike), indexed from 0.

    Raises:
        DataError: A task has no row.
    """
    frame = dataset.labelled[["row", tasks.TEXT_COLUMN]].set_axis(["row", "text"], axis=1)
    for task in tasks.ANSWER_TASKS:
        known = examples(dataset, task).set_index("row")["label_id"]
        ids = frame["row"].map(known).fillna(tasks.NO_LABEL).astype("int64")
        frame = frame.assign(**{f"{task.name}_id": ids})
    product, emotion = frame["product_id"], frame["emotion_id"]
    labelled = (product != tasks.NO_LABEL) | (emotion != tasks.NO_LABEL)
    stratum = product.where(product != tasks.NO_LABEL, len(tasks.PRODUCTS) + emotion)
    return frame.assign(stratum=stratum)[labelled].reset_index(drop=True)


@dataclass(frozen=True)
class TrainingRows:
    """What a model is trained on and judged by.

    Attributes:
        tasks: What it answers: one task, or both.
        rows: Row numbers in the file, int64 [N].
        texts: N raw texts.
        label_ids: int64 [N] for one task; [N, tasks] for both, -1 where a text has no label of a task.
        strata: Groups that the parts of a split should hold in equal shares, int64 [N].
        strata_names: Their names, for messages.
        ignored: How many rows of the dataset have a label that no model learns, by task and label; they are not
            examples of that task.
    """

    tasks: tuple[tasks.Task, ...]
    rows: np.ndarray
    texts: list[str]
    label_ids: np.ndarray
    strata: np.ndarray
    strata_names: tuple[str, ...]
    ignored: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, positions: np.ndarray) -> TrainingRows:
        """Only the rows at these positions, in their order."""
        return replace(
            self,
            rows=self.rows[positions],
            texts=[self.texts[position] for position in positions],
            label_ids=self.label_ids[positions],
            strata=self.strata[positions],
        )


def training_rows(dataset: Dataset, name: str) -> TrainingRows:
    """The rows for the task ``name`` (:func:`examples`), or for ``answer`` (:func:`answer_examples`)."""
    if name == tasks.ANSWER:
        frame = answer_examples(dataset)
        chosen, strata_names = tasks.ANSWER_TASKS, (*tasks.PRODUCTS, *tasks.EMOTIONS)
        label_ids = frame[[f"{task.name}_id" for task in chosen]].to_numpy()
        strata = frame["stratum"].to_numpy()
    else:
        frame = examples(dataset, tasks.TASKS[name])
        chosen, strata_names = (tasks.TASKS[name],), tasks.TASKS[name].labels
        label_ids = strata = frame["label_id"].to_numpy()
    ignored = {task.name: _count_ignored(dataset.labelled, task) for task in chosen if task.ignored_labels}
    return TrainingRows(
        chosen, frame["row"].to_numpy(), frame["text"].tolist(), label_ids, strata, strata_names, ignored
    )


def describe_ignored(ignored: Mapping[str, Mapping[str, int]]) -> list[str]:
    """:attr:`TrainingRows.ignored` in words, one line for each label that occurs."""
    return [
        f"{count:,} {plural(count, 'row is', 'rows are')} {label!r}: no example of the task {task}"
        for task, counts in ignored.items()
        for label, count in counts.items()
        if count
    ]


def _count_ignored(frame: pd.DataFrame, task: tasks.Task) -> dict[str, int]:
    return {label: int((frame[task.column] == label).sum()) for label in task.ignored_labels}


def _select(labelled: pd.DataFrame, task: tasks.Task) -> pd.DataFrame:
    rows = labelled[labelled[task.column].isin(task.labels)]
    frame = rows[["row", tasks.TEXT_COLUMN, task.column]].set_axis(["row", "text", "label"], axis=1)
    ids = {label: number for number, label in enumerate(task.labels)}
    return frame.assign(label_id=frame["label"].map(ids).astype("int64")).reset_index(drop=True)


def check_classes(frame: pd.DataFrame, task: tasks.Task, minimum: int = 2) -> tuple[str, ...]:
    """Check that every class that occurs in ``examples(...)`` has enough examples to be split.

    Args:
        frame: What :func:`examples` returned.
        task: The same task.
        minimum: The fewest examples that a class may have.

    Returns:
        The classes that do not occur at all: a model can be trained without them and will never predict them.

    Raises:
        DataError: A class has fewer than ``minimum`` examples, or there is only one class.
    """
    counts = _count_labels(frame, task)
    scarce = [f"{label!r} ({count})" for label, count in counts.items() if 0 < count < minimum]
    if scarce:
        raise DataError(
            f"expected at least {minimum} examples of each class of the task {task.name!r}, found too few of "
            f"{', '.join(scarce)}; add more, or leave {plural(len(scarce), 'this class', 'these classes')} out"
        )
    present = [label for label, count in counts.items() if count]
    if len(present) < 2:
        raise DataError(
            f"expected examples of at least two classes of the task {task.name!r}, found {listed(present)} only; add "
            "examples of another class"
        )
    return tuple(label for label, count in counts.items() if not count)


def _count_labels(frame: pd.DataFrame, task: tasks.Task) -> dict[str, int]:
    counts = frame["label"].value_counts()
    return {label: int(counts.get(label, 0)) for label in task.labels}


@dataclass(frozen=True)
class TaskSummary:
    """What a dataset holds for one task.

    Attributes:
        examples: Rows that the task can learn from.
        labels: The number of examples of each class, in the order of the task.
        ignored: The number of rows with each label that the task ignores.
        unlabelled: Rows without a label.
        conflicts: Exact texts that occur with different labels.
    """

    examples: int
    labels: dict[str, int]
    ignored: dict[str, int]
    unlabelled: int
    conflicts: int


@dataclass(frozen=True)
class Summary:
    """What a dataset holds, without any of its texts.

    Attributes:
        dataset: :attr:`Dataset.name`.
        path: The file.
        reason: Why this file was chosen.
        sha256: Of the file.
        rows: Usable rows.
        unlabelled_rows: Rows of the sheet ``Test``, ``None`` where there is none.
        dropped: Rows that were left out.
        repeats: Rows that repeat the exact text of an earlier one.
        tasks: One entry per task, by its name.
        warnings: :attr:`Dataset.warnings`.
    """

    dataset: str
    path: str
    reason: str
    sha256: str
    rows: int
    unlabelled_rows: int | None
    dropped: tuple[Dropped, ...]
    repeats: int
    tasks: dict[str, TaskSummary] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def summarize(dataset: Dataset, reason: str = "") -> Summary:
    """Count what is in a dataset; ``reason`` says why this file was chosen."""
    frame = dataset.labelled
    conflicts = count_conflicts(frame)
    return Summary(
        dataset=dataset.name,
        path=str(dataset.path),
        reason=reason,
        sha256=dataset.sha256,
        rows=len(frame),
        unlabelled_rows=None if dataset.unlabelled is None else len(dataset.unlabelled),
        dropped=dataset.dropped,
        repeats=count_repeats(frame),
        tasks={name: _summarize_task(frame, task, conflicts[name]) for name, task in tasks.TASKS.items()},
        warnings=dataset.warnings,
    )


def _summarize_task(frame: pd.DataFrame, task: tasks.Task, conflicts: int) -> TaskSummary:
    chosen = _select(frame, task)
    return TaskSummary(
        examples=len(chosen),
        labels=_count_labels(chosen, task),
        ignored=_count_ignored(frame, task),
        unlabelled=int(frame[task.column].isna().sum()),
        conflicts=conflicts,
    )


# ---------------------------------------------------------------- command line


def main(argv: list[str] | None = None) -> int | None:
    """``python -m tf_model.data``: print what the dataset holds."""
    parser = console.parser("tf_model.data", "Find the dataset, check it and say what is in it.")
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
    from tf_model import audit, print_audit
    from tf_model.labelled_table import read_labelled

    of_tasks, against = None, None
    if args.label_column:
        dataset, of_tasks = read_labelled(path, args.label_column, args.text_column, args.split_column, args.sheet)
        for note in dataset.warnings:
            console.say(f"note: {note}")
        if args.against:
            against, _ = read_labelled(
                args.against, (), args.text_column, sheet=args.against_sheet, sheet_option="--against-sheet"
            )
            for note in against.warnings:
                console.say(f"note: {args.against}: {note}")
    else:
        dataset, against = read(path), read(args.against) if args.against else None
    console.say(f"auditing {len(dataset.labelled):,} rows: near-duplicates, then a words model for each task (minutes)")
    found = audit.audit(dataset, against=against, split_column=args.split_column, of_tasks=of_tasks)
    texts = dict(zip(dataset.labelled["row"], dataset.labelled[tasks.TEXT_COLUMN], strict=True))
    shown = texts if args.show_texts else None
    if args.json:
        print(json.dumps(audit.to_json(found, shown), indent=2, ensure_ascii=False))
    else:
        print_audit.print_audit(console.stdout(), found, shown)
    if found.leaks:
        console.say("leak: rows that validate have near-duplicates that train; a figure from this split says too much")
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
    console.run(main)
