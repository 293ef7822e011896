"""What a dataset holds, in counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tf_model import tasks
from tf_model.data.dataset import Dataset, Dropped, count_conflicts, count_repeats
from tf_model.data.examples import count_ignored, count_labels, select

if TYPE_CHECKING:
    import pandas as pd


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
    chosen = select(frame, task)
    return TaskSummary(
        examples=len(chosen),
        labels=count_labels(chosen, task),
        ignored=count_ignored(frame, task),
        unlabelled=int(frame[task.column].isna().sum()),
        conflicts=conflicts,
    )
