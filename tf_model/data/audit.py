"""What is wrong with a labelled dataset before anything is trained on it.

``python -m tf_model.data --audit FILE`` prints near-duplicates, repeated texts whose labels disagree, how much of a
validation part leaks from the training part, classes too small to be cross-validated, and labels that look wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import data, tasks
from tf_model.data import dataset as dataset_file
from tf_model.data import label_errors, splits
from tf_model.data.dataset import Dataset
from tf_model.errors import DataError, UsageError, first_line, listed, nearest

if TYPE_CHECKING:
    import pandas as pd

TRAINING_NAMES = ("train", "training")


@dataclass(frozen=True)
class Repeats:
    """Texts that occur more than once.

    Attributes:
        groups: Texts, or clusters of near-duplicates, that occur more than once.
        rows: Rows in these groups.
        members: The rows of each group, as in the ``row`` column.
    """

    groups: int
    rows: int
    members: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Conflict:
    """Near-duplicates with different labels.

    Attributes:
        rows: As in the ``row`` column.
        labels: The label of each, in the same order.
        exact: Whether rows with the very same text disagree.
    """

    rows: tuple[int, ...]
    labels: tuple[str, ...]
    exact: bool


@dataclass(frozen=True)
class ClassCount:
    """How much there is of one class.

    Attributes:
        rows: Its examples.
        groups: Its examples, near-duplicates counted once.
        too_small: Whether it has too few groups to be in every one of :data:`tf_model.data.label_errors.FOLDS` folds.
    """

    rows: int
    groups: int
    too_small: bool


@dataclass(frozen=True)
class Doubt:
    """A label that confident learning takes for wrong.

    Attributes:
        row: As in the ``row`` column.
        label: The label in the file.
        probability: What the words model gives to it, 0 to 1.
        suggested: The class that the words model finds most probable.
    """

    row: int
    label: str
    probability: float
    suggested: str


@dataclass(frozen=True)
class TaskAudit:
    """What was found for one task.

    Attributes:
        examples: Rows with a label of this task.
        classes: One entry per class, in the order of the task.
        conflicts: Groups of near-duplicates that disagree.
        doubts: Suspicious labels, the most doubtful first; None where they were not looked for.
        remark: Why ``doubts`` is None, or what is to know of it.
    """

    examples: int
    classes: dict[str, ClassCount]
    conflicts: tuple[Conflict, ...]
    doubts: tuple[Doubt, ...] | None
    remark: str = ""


@dataclass(frozen=True)
class Leak:
    """A validation row with a near-duplicate in the training part.

    Attributes:
        row: As in the ``row`` column.
        training_row: Its nearest training row, numbered in the file that it is in.
        similarity: Their cosine, 0 to 1; 1 for the same words.
    """

    row: int
    training_row: int
    similarity: float


@dataclass(frozen=True)
class Leakage:
    """How much of a validation part was seen in training.

    Attributes:
        split: Which split, in words.
        training_rows: Rows that train.
        validation_rows: Rows that validate.
        share: Of the validation rows that leak, 0 to 1.
        label_agreement: Share of the leaking rows that have the label of their nearest training row; None where the
            split belongs to no task, or nothing leaks.
        leaks: The rows that leak, the most similar first.
        first_training_row: As :attr:`Audit.first_row`, of the file that the training rows are in.
    """

    split: str
    training_rows: int
    validation_rows: int
    share: float
    label_agreement: float | None
    leaks: tuple[Leak, ...]
    first_training_row: int


@dataclass(frozen=True)
class Audit:
    """Everything that was found. It holds row numbers, counted from 0 in the data part, and no text.

    Attributes:
        dataset: :attr:`tf_model.data.dataset.Dataset.name`.
        path: The file.
        sha256: Of the file.
        rows: Usable rows.
        threshold: Least cosine of a near-duplicate.
        exact: Texts that occur more than once, character by character.
        near: Near-duplicates, see :func:`tf_model.data.splits.near_duplicate_groups`.
        leakage: One entry per split that was looked at.
        tasks: One entry per task with examples, by its name.
        first_row: The number that the file itself gives to row 0: 2 below a header, 1 in JSON lines and Parquet.
        remarks: What was left out, and why.
    """

    dataset: str
    path: str
    sha256: str
    rows: int
    threshold: float
    exact: Repeats
    near: Repeats
    leakage: tuple[Leakage, ...]
    tasks: dict[str, TaskAudit]
    first_row: int
    remarks: tuple[str, ...] = ()

    @property
    def leaks(self) -> bool:
        """Whether any row of a validation part has a near-duplicate in training."""
        return any(found.leaks for found in self.leakage)


# ---------------------------------------------------------------- look


def audit(
    dataset: Dataset,
    *,
    against: Dataset | None = None,
    split_column: str | None = None,
    of_tasks: Sequence[tasks.Task] | None = None,
) -> Audit:
    """Look for everything that makes a figure from this dataset worth less than it seems.

    Args:
        dataset: What is audited.
        against: The dataset that trains, where ``dataset`` is the part that validates.
        split_column: Column of ``dataset`` that says of each row whether it trains ("train" or "training", whatever
            the case); rows where it is empty take no part, all others validate. Without it and ``against`` the report's
            split is looked at.
        of_tasks: The tasks of a table of other columns, from ``read_labelled``. Where no
            split is given, none is looked at: nobody knows how such a table will be split.

    Raises:
        DataError: The split column is not there or names no training or no validation row.
        UsageError: Both ``against`` and ``split_column`` are given.
    """
    if against is not None and split_column is not None:
        raise UsageError("a file to compare with and a split column are two splits; give one of them")
    frame = dataset.labelled
    texts = frame[tasks.TEXT_COLUMN].tolist()
    rows = frame["row"].to_numpy()
    groups = splits.near_duplicate_groups(texts)
    remarks: list[str] = []
    if against is not None:
        leakage = [_leakage_between(dataset, against)]
    elif split_column is not None:
        split = _split_by_column(dataset, split_column)
        leakage = [_leakage(texts, rows, split, f"column {split_column!r}", dataset.first_row)]
    elif of_tasks is None:
        leakage = list(_leakage_of_report_split(dataset, remarks))
    else:
        leakage = []
        remarks.append("leakage was not looked for: name the split with --split-column or --against")
    found = {}
    for task in of_tasks or tasks.TASKS.values():
        name = task.name
        of_task = frame[task.column].isin(task.labels).to_numpy()
        if of_task.any():
            found[name] = _audit_task(data.examples(dataset, task), groups[of_task], task)
        else:
            remarks.append(f"no row has a label of the task {name}")
    return Audit(
        dataset=dataset.name,
        path=str(dataset.path),
        sha256=dataset.sha256,
        rows=len(frame),
        threshold=splits.THRESHOLD,
        exact=_repeats(np.unique(np.array(texts, dtype=object), return_inverse=True)[1], rows),
        near=_repeats(groups, rows),
        leakage=tuple(leakage),
        tasks=found,
        first_row=dataset.first_row,
        remarks=tuple(remarks),
    )


def _repeats(groups: np.ndarray, rows: np.ndarray) -> Repeats:
    members = tuple(tuple(rows[positions].tolist()) for positions in _groups_of_several(groups))
    return Repeats(len(members), sum(map(len, members)), members)


def _groups_of_several(groups: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of each group that has more than one member, by its first member."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    yield from sorted((part for part in parts if len(part) > 1), key=lambda part: part[0])


def _audit_task(examples: pd.DataFrame, groups: np.ndarray, task: tasks.Task) -> TaskAudit:
    texts, label_ids = examples["text"].tolist(), examples["label_id"].to_numpy()
    classes = {}
    for number, label in enumerate(task.labels):
        own = groups[label_ids == number]
        count = len(np.unique(own))
        classes[label] = ClassCount(len(own), count, 0 < count < label_errors.FOLDS)
    doubts, remark = _doubts(examples, texts, label_ids, groups, task, classes)
    return TaskAudit(len(examples), classes, tuple(_conflicts(examples, groups)), doubts, remark)


def _conflicts(examples: pd.DataFrame, groups: np.ndarray) -> Iterator[Conflict]:
    rows, labels = examples["row"].to_numpy(), examples["label"].to_numpy()
    disagree_exactly = examples.groupby("text")["label"].transform("nunique").to_numpy() > 1
    for positions in _groups_of_several(groups):
        if len(set(labels[positions])) > 1:
            exact = bool(disagree_exactly[positions].any())
            yield Conflict(tuple(rows[positions].tolist()), tuple(labels[positions].tolist()), exact)


def _doubts(
    examples: pd.DataFrame,
    texts: Sequence[str],
    label_ids: np.ndarray,
    groups: np.ndarray,
    task: tasks.Task,
    classes: Mapping[str, ClassCount],
) -> tuple[tuple[Doubt, ...] | None, str]:
    """Suspicious labels, or None and why they were not looked for. Classes with fewer than 2 groups are left out."""
    if not label_errors.is_available():
        return None, "suspicious labels need the package cleanlab: `pip install cleanlab==2.9.0`"
    lonely = [label for label, count in classes.items() if count.groups == 1]
    kept = np.flatnonzero(~examples["label"].isin(lonely).to_numpy())
    remark = f"too few to be judged: {listed(lonely)}" if lonely else ""
    if not len(kept):
        return None, f"suspicious labels were not looked for: {remark}"
    try:
        folds = splits.grouped_folds(label_ids[kept], groups[kept], label_errors.FOLDS, labels=task.labels)
        texts = [texts[position] for position in kept]
        probabilities = label_errors.out_of_fold(texts, label_ids[kept], folds, len(task.labels))
    except (DataError, ValueError) as error:  # ValueError: one class only, or no word that occurs twice
        return None, f"suspicious labels were not looked for: {first_line(error)}"
    found = label_errors.doubted(label_ids[kept], probabilities)
    confidence = label_errors.label_confidence(label_ids[kept], probabilities)
    rows, labels = examples["row"].to_numpy()[kept], examples["label"].to_numpy()[kept]
    best = probabilities.argmax(axis=1)
    doubts = (
        Doubt(int(rows[at]), str(labels[at]), round(float(confidence[at]), 4), task.labels[best[at]]) for at in found
    )
    return tuple(doubts), remark


# ---------------------------------------------------------------- leakage


def _leakage_of_report_split(dataset: Dataset, remarks: list[str]) -> Iterator[Leakage]:
    for name, task in tasks.TASKS.items():
        if not dataset.labelled[task.column].isin(task.labels).any():
            continue
        examples = data.examples(dataset, task)
        try:
            split = splits.report_split(examples["label_id"].to_numpy(), labels=task.labels)
        except DataError as error:
            remarks.append(f"the report's split of the task {name} cannot be made: {error}")
            continue
        yield _leakage(
            examples["text"].tolist(),
            examples["row"].to_numpy(),
            split,
            f"the report's split of {name}",
            dataset.first_row,
            examples["label_id"].to_numpy(),
        )


def _leakage_between(dataset: Dataset, against: Dataset) -> Leakage:
    frames = (against.labelled, dataset.labelled)
    texts = [text for frame in frames for text in frame[tasks.TEXT_COLUMN]]
    rows = np.concatenate([frame["row"].to_numpy() for frame in frames])
    positions = np.arange(len(texts))
    split = splits.Split(positions[: len(against.labelled)], positions[len(against.labelled) :])
    return _leakage(texts, rows, split, f"trained on {against.path}", against.first_row)


def _leakage(
    texts: Sequence[str],
    rows: np.ndarray,
    split: splits.Split,
    name: str,
    first_training_row: int,
    label_ids: np.ndarray | None = None,
) -> Leakage:
    """As :func:`tf_model.data.splits.leakage`, which counts; here each leaking row is named."""
    similarity, training = splits.nearest(texts, split.validation, split.train)
    is_leak = similarity >= splits.THRESHOLD
    order = np.flatnonzero(is_leak)[np.argsort(-similarity[is_leak], kind="stable")]
    leaks = tuple(
        Leak(int(rows[split.validation[at]]), int(rows[training[at]]), min(round(float(similarity[at]), 4), 1.0))
        for at in order
    )
    agreement = None
    if label_ids is not None and len(order):
        agreement = float((label_ids[training[order]] == label_ids[split.validation[order]]).mean())
    share = float(is_leak.mean())
    return Leakage(name, len(split.train), len(split.validation), share, agreement, leaks, first_training_row)


def _split_by_column(dataset: Dataset, column: str) -> splits.Split:
    if column in set(dataset.labelled.columns) - {"row", *dataset_file.COLUMNS}:
        values = dataset.labelled[column].fillna("").str.strip().str.lower().tolist()
    else:
        values = _read_column(dataset, column)
    is_filled = np.array([value != "" for value in values])
    is_training = np.array([value in TRAINING_NAMES for value in values])
    split = splits.Split(np.flatnonzero(is_training), np.flatnonzero(is_filled & ~is_training))
    if not len(split.train) or not len(split.validation):
        raise DataError(
            f"expected rows to train ({listed(TRAINING_NAMES)}) and others to validate in the column {column!r} of "
            f"{dataset.path}, found {listed(sorted(set(values) - {''}))}; rename them"
        )
    return split


def _read_column(dataset: Dataset, column: str) -> list[str]:
    """The values of any column for the usable rows, stripped and in lower case."""
    content = dataset.path.read_bytes()
    if dataset.path.suffix.lower() == ".xlsx":
        table, _ = dataset_file._read_workbook(dataset.path, content, [])
    else:
        table = dataset_file._read_text(dataset.path, content, [])
    names = dataset_file._column_names(table)
    if column.strip().lower() not in names:
        near = nearest(column, [name for name in names if name])
        hint = f"did you mean {near[0]!r}?" if near else f"it has {listed(name for name in names if name)}"
        raise DataError(f"expected the split column {column!r} in {dataset.path}, which has none of this name; {hint}")
    values = table.iloc[1:, names.index(column.strip().lower())]
    return [str(values.iloc[row]).strip().lower() for row in dataset.labelled["row"]]


def to_json(found: Audit, texts: Mapping[int, str] | None = None) -> dict[str, Any]:
    """Plain values, ready for JSON: row numbers and labels; with ``texts`` (by row) also those of all rows named."""
    value = {
        **asdict(found),
        "leaks": found.leaks,
        "rows_are_counted": "from 0; first_row is what the file calls row 0",
    }
    if texts is not None:
        named = {row for repeats in (found.exact, found.near) for members in repeats.members for row in members}
        named |= {leak.row for leakage in found.leakage for leak in leakage.leaks}
        named |= {doubt.row for task in found.tasks.values() for doubt in task.doubts or ()}
        value["texts"] = {str(row): texts[row] for row in sorted(named)}
    return value
