"""The rows of a dataset that a model can learn from, with the ids of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tf_model import cli, tasks
from tf_model.data.dataset import Dataset
from tf_model.errors import DataError, listed, plural

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainingRows:
    """What a model is trained on and judged by.

    Attributes:
        tasks: What it answers, one task or several.
        rows: Row numbers in the file, int64 [N].
        texts: N raw texts.
        label_ids: int64 [N, tasks], -1 where a text has no label of a task.
        strata: Groups that the parts of a split should hold in equal shares, int64 [N]: the class of the first task
            that a row has a label of, numbered through all tasks.
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
    """The rows with a label of the task ``name``, or, for ``answer``, of either task, in file order.

    A tweet with an emotion but without a product label has an *unknown* product, not none.

    Raises:
        DataError: A task has no row.
    """
    chosen = tasks.ANSWER_TASKS if name == tasks.ANSWER else (tasks.TASKS[name],)
    frame = dataset.labelled
    label_ids = np.stack([_label_ids(dataset, task) for task in chosen], axis=1)
    labelled = (label_ids != tasks.NO_LABEL).any(axis=1)
    frame, label_ids = frame[labelled], label_ids[labelled]
    names = [task.labels for task in chosen]
    first = (label_ids != tasks.NO_LABEL).argmax(axis=1)
    offsets = np.cumsum([0, *map(len, names)])
    strata = offsets[first] + label_ids[np.arange(len(first)), first]
    ignored = {task.name: count_ignored(dataset.labelled, task) for task in chosen if task.ignored_labels}
    texts = frame[tasks.TEXT_COLUMN].tolist()
    return TrainingRows(chosen, frame["row"].to_numpy(), texts, label_ids, strata, sum(names, ()), ignored)


def examples(dataset: Dataset, task: tasks.Task) -> pd.DataFrame:
    """The rows with a label of one task, in file order.

    Returns:
        The columns ``row`` (int64), ``text`` (str), ``label`` (str) and ``label_id`` (int64, the position of the
        label in ``task.labels``), indexed from 0. Rows without a label, or with one that the task ignores, are left
        out.

    Raises:
        DataError: No row has a label of this task.
    """
    ids = _label_ids(dataset, task)
    frame = dataset.labelled[["row", tasks.TEXT_COLUMN, task.column]].set_axis(["row", "text", "label"], axis=1)
    return frame.assign(label_id=ids)[ids != tasks.NO_LABEL].reset_index(drop=True)


def _label_ids(dataset: Dataset, task: tasks.Task) -> np.ndarray:
    """int64 [rows of the dataset], -1 without a label that the task knows."""
    id_of = {label: number for number, label in enumerate(task.labels)}
    label_ids = dataset.labelled[task.column].map(id_of).fillna(tasks.NO_LABEL).to_numpy(np.int64)
    if (label_ids == tasks.NO_LABEL).all():
        raise DataError(
            f"expected labels of the task {task.name!r} in the column {task.column!r} of {dataset.path}, got none; "
            "add labels, or choose another task"
        )
    return label_ids


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


def count_labels(frame: pd.DataFrame, task: tasks.Task) -> dict[str, int]:
    """The number of rows of :attr:`Dataset.labelled` with each class, in the order of the task."""
    return {label: int((frame[task.column] == label).sum()) for label in task.labels}


def check_classes(frame: pd.DataFrame, task: tasks.Task) -> tuple[str, ...]:
    """Check that every class that occurs in ``examples(...)`` has enough examples to be split.

    Args:
        frame: What :func:`examples` returned.
        task: The same task.

    Returns:
        The classes that do not occur at all: a model can be trained without them and will never predict them.

    Raises:
        DataError: A class has a single example, or there is only one class.
    """
    counts = {label: int((frame["label"] == label).sum()) for label in task.labels}
    rare = [label for label, count in counts.items() if count == 1]
    if rare:
        raise DataError(
            f"expected at least 2 examples of each class of the task {task.name!r}, got a single one of "
            f"{listed(rare)}; add more, or leave {plural(len(rare), 'this class', 'these classes')} out"
        )
    present = [label for label, count in counts.items() if count]
    if len(present) < 2:
        raise DataError(
            f"expected examples of at least two classes of the task {task.name!r}, got {listed(present)} only; add "
            "examples of another class"
        )
    return tuple(label for label, count in counts.items() if not count)


def checked_rows(dataset: Dataset, name: str) -> TrainingRows:
    """:func:`training_rows` for a training; what it will not learn is said on standard error.

    Raises:
        DataError: A class has a single example, or there is only one class.
    """
    rows = training_rows(dataset, name)
    for task in rows.tasks:
        absent = check_classes(examples(dataset, task), task)
        if absent:
            cli.say(f"note: no example of {', '.join(absent)}; the model will hardly ever answer so")
    for line in describe_ignored(rows.ignored):
        cli.say(f"note: {line}")
    return rows
