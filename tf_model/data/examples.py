"""The rows of a dataset that a task can learn from, with the ids of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tf_model import tasks
from tf_model.data.dataset import Dataset
from tf_model.errors import DataError, listed, plural

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def examples(dataset: Dataset, task: tasks.Task) -> pd.DataFrame:
    """The rows that a task can learn from, in file order.

    Returns:
        The columns ``row`` (int64), ``text`` (str), ``label`` (str) and ``label_id`` (int64, the position of the
        label in ``task.labels``), indexed from 0. Rows without a label, or with one that the task ignores, are left
        out.

    Raises:
        DataError: No row has a label of this task.
    """
    frame = select(dataset.labelled, task)
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
    ignored = {task.name: count_ignored(dataset.labelled, task) for task in chosen if task.ignored_labels}
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


def count_ignored(frame: pd.DataFrame, task: tasks.Task) -> dict[str, int]:
    """The number of rows with each label that the task ignores."""
    return {label: int((frame[task.column] == label).sum()) for label in task.ignored_labels}


def select(labelled: pd.DataFrame, task: tasks.Task) -> pd.DataFrame:
    """The rows with a class of the task: ``row``, ``text``, ``label``."""
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
    counts = count_labels(frame, task)
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


def count_labels(frame: pd.DataFrame, task: tasks.Task) -> dict[str, int]:
    """The number of examples of each class, in the order of the task."""
    counts = frame["label"].value_counts()
    return {label: int(counts.get(label, 0)) for label in task.labels}
