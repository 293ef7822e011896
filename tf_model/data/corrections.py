"""Labelled texts beside the dataset, such as the corrections of users: they train, and never validate.

The split of the dataset stays what it is without them, so that a model trained with them can be compared with one that
was not. To be honest the comparison needs more: none of them may be a near-duplicate of a text that validates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import data, paths, tasks
from tf_model.data import dataset as dataset_file
from tf_model.data import splits
from tf_model.data.dataset import Dataset, Dropped
from tf_model.errors import DataError, plural

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Extra:
    """Labelled texts that were read and checked.

    Attributes:
        path: The file.
        sha256: Of the file, in hexadecimal.
        labelled: The rows to train with, columns as in :attr:`tf_model.data.dataset.Dataset.labelled`.
        dropped: Rows of the file that are left out, by reason.
    """

    path: Path
    sha256: str
    labelled: pd.DataFrame
    dropped: tuple[Dropped, ...] = ()

    def describe(self) -> list[str]:
        """What is used and what is left out, one line each."""
        count = len(self.labelled)
        lines = [f"extra: {count:,} {plural(count, 'row', 'rows')} of {paths.shown(self.path)} to train with"]
        for dropped in self.dropped:
            numbers = ", ".join(str(row + dataset_file.FIRST_ROW) for row in dropped.rows)
            more = ", ..." if dropped.count > len(dropped.rows) else ""
            rows = plural(dropped.count, "row", "rows")
            lines.append(f"extra: {dropped.count:,} {rows} left out: {dropped.reason} ({rows} {numbers}{more})")
        return lines

    def to_json(self) -> dict[str, Any]:
        """For ``metrics.json``: the file's name and sha256, and how many rows are used and left out; no text."""
        return {
            "file": self.path.name,
            "sha256": self.sha256,
            "rows": len(self.labelled),
            "left_out": {dropped.reason: dropped.count for dropped in self.dropped},
        }


def read_extra(path: Path | str, dataset: Dataset) -> Extra:
    """Read labelled texts to train with, and leave out what would be there twice.

    The file has the columns of the dataset, as ``python -m tf_model.monitor export`` writes them. Of several rows with
    one text the last counts. A text of the dataset is left out whatever its labels: those of the dataset are corrected
    in the dataset.

    Args:
        path: The file.
        dataset: What the model is trained on besides.

    Raises:
        DataError: The file cannot be used (see :func:`tf_model.data.dataset.read`), has an unknown label, or holds
            nothing that is new.
    """
    found = dataset_file.read(path)
    frame = found.labelled
    text = frame[tasks.TEXT_COLUMN].str.strip()
    has_label = np.zeros(len(frame), bool)
    for task in tasks.TASKS.values():
        has_label |= frame[task.column].isin(task.labels).to_numpy()
    known = set(dataset.labelled[tasks.TEXT_COLUMN].str.strip())
    extra = Extra(found.path, found.sha256, frame, found.dropped)
    # A row without a label corrects nothing, so it must not hide one before it.
    repeated = np.zeros(len(frame), bool)
    repeated[has_label] = text[has_label].duplicated(keep="last").to_numpy()
    extra = _without(
        extra,
        {
            "there is no label to learn": ~has_label,
            "a later row has the same text": repeated,
            "the text is in the dataset, whose label counts": text.isin(known).to_numpy(),
        },
    )
    if extra.labelled.empty:
        reasons = "; ".join(f"{dropped.count:,} {dropped.reason}" for dropped in extra.dropped)
        raise DataError(f"expected labelled texts in {paths.shown(found.path)} that are new, found none ({reasons})")
    return extra


def without_near_duplicates(extra: Extra, texts: Sequence[str], dataset: Dataset) -> Extra:
    """Leave out the rows that are near-duplicates of texts that validate.

    Args:
        extra: The rows.
        texts: The texts that validate, at least one.
        dataset: Where they are from; the weights of the n-grams are those over all of its texts and the extra ones.

    Returns:
        The other rows, possibly none; :attr:`Extra.dropped` says how many were left out.
    """
    given = extra.labelled[tasks.TEXT_COLUMN].tolist()
    if not given:
        return extra
    everything = [*given, *texts, *dataset.labelled[tasks.TEXT_COLUMN]]
    rows, validation = np.arange(len(given)), len(given) + np.arange(len(texts))
    similarity, _ = splits.nearest(everything, rows, validation)
    return _without(extra, {"it is a near-duplicate of a text that validates": similarity >= splits.THRESHOLD})


@dataclass(frozen=True)
class Joined:
    """Rows of the dataset followed by extra ones.

    Attributes:
        rows: All of them; the first ones are those of the dataset, in their places.
        split: That of the dataset, with the extra rows in the training part.
        extra: What was read, with what was left out.
    """

    rows: data.TrainingRows
    split: splits.Split
    extra: Extra = field(repr=False)


def join(path: Path | str, dataset: Dataset, rows: data.TrainingRows, split: splits.Split) -> Joined:
    """Read extra rows and add them to the training part of a split.

    Args:
        path: See :func:`read_extra`.
        dataset: The dataset.
        rows: What :func:`tf_model.data.training_rows` made of it.
        split: Of these rows.

    Returns:
        Rows and split to train with. An extra row that has no label of the tasks of ``rows`` is left out.

    Raises:
        DataError: See :func:`read_extra`; or no extra row is left.
    """
    extra = read_extra(path, dataset)
    is_labelled = np.zeros(len(extra.labelled), bool)
    for task in rows.tasks:
        is_labelled |= extra.labelled[task.column].isin(task.labels).to_numpy()
    extra = _without(extra, {"it has no label of the task": ~is_labelled})
    extra = without_near_duplicates(extra, [rows.texts[position] for position in split.validation], dataset)
    if extra.labelled.empty:
        raise DataError(f"expected rows to train with, {'; '.join(extra.describe())}")
    name = rows.tasks[0].name if len(rows.tasks) == 1 else tasks.ANSWER
    together = data.training_rows(_together(dataset, extra), name)
    added = np.arange(len(rows), len(together))
    return Joined(together, splits.Split(np.concatenate([split.train, added]), split.validation), extra)


def _together(dataset: Dataset, extra: Extra) -> Dataset:
    """The dataset with the extra rows at its end, numbered on."""
    import pandas as pd

    first = int(dataset.labelled["row"].max()) + 1
    numbered = extra.labelled.assign(row=np.arange(first, first + len(extra.labelled)))
    return replace(dataset, labelled=pd.concat([dataset.labelled, numbered], ignore_index=True))


def _without(extra: Extra, masks: dict[str, np.ndarray]) -> Extra:
    """The rows that no mask holds; each row that goes is counted under the first reason that holds it."""
    left, dropped = np.ones(len(extra.labelled), bool), list(extra.dropped)
    for reason, mask in masks.items():
        going = left & mask
        if going.any():
            rows = extra.labelled["row"].to_numpy()[going]
            dropped.append(Dropped(reason, len(rows), tuple(rows[:5].tolist())))
        left &= ~mask
    return replace(extra, labelled=extra.labelled[left].reset_index(drop=True), dropped=tuple(dropped))
