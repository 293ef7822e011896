"""Corrections as a file to train with: the columns and labels of the dataset."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tf_model import tasks
from tf_model.errors import DataError, UsageError
from tf_model.io import tables
from tf_model.monitor.events import RIGHT
from tf_model.monitor.store import Store
from tf_model.tasks import COLUMNS

if TYPE_CHECKING:
    import pandas


class Exported(NamedTuple):
    """What became of an export.

    Attributes:
        rows: Rows that were written.
        left_out: Corrections that had no label to learn from or were repeated.
        notes: Remarks for the user, such as texts that did not fit into a cell of a workbook.
    """

    rows: int
    left_out: int
    notes: tuple[str, ...]


def labelled(corrections: pandas.DataFrame) -> pandas.DataFrame:
    """What can be learned from corrections.

    A correction gives the labels that the user named. "Right" gives those that were predicted, unless the answer was
    "Not sure", which confirms nothing. A text without emotion has no product, as in the dataset. Of several
    corrections of one text the last that has a label counts: one without says nothing against it, except that "wrong"
    takes back a "right".

    Args:
        corrections: What :meth:`tf_model.monitor.store.Store.corrections` returns.

    Returns:
        The three columns of the dataset, in the order of time; a label that was not said is missing. Texts with
        neither label, and blank ones, are left out.
    """
    from tf_model.modeling.joint_label import NOT_SURE

    frame = corrections
    confirmed = (frame["verdict"] == RIGHT) & (frame["answer"] != NOT_SURE)
    labels = {
        task.column: frame[f"correct_{task.name}"].where(
            frame[f"correct_{task.name}"].notna() | ~confirmed, frame[task.name]
        )
        for task in (tasks.PRODUCT, tasks.EMOTION)
    }
    # A NUL character cannot stand in a text file.
    rows = frame[["text"]].rename(columns={"text": tasks.TEXT_COLUMN}).assign(**labels)
    rows[tasks.TEXT_COLUMN] = rows[tasks.TEXT_COLUMN].str.replace("\0", " ")
    without_target = rows[tasks.EMOTION_COLUMN] == tasks.NO_EMOTION
    rows[tasks.PRODUCT_COLUMN] = rows[tasks.PRODUCT_COLUMN].mask(without_target)
    has_label = rows[tasks.PRODUCT_COLUMN].notna() | rows[tasks.EMOTION_COLUMN].notna()
    usable = has_label & (rows[tasks.TEXT_COLUMN].str.strip() != "")
    counts: dict[int, int] = {}  # position of the correction that counts, by text, in the order of time
    for place, (text, verdict) in enumerate(zip(frame["text_hash"], frame["verdict"], strict=True)):
        if usable.iloc[place]:
            counts.pop(text, None)
            counts[text] = place
        elif verdict != RIGHT and text in counts and frame["verdict"].iloc[counts[text]] == RIGHT:
            del counts[text]
    return rows.iloc[list(counts.values())][list(COLUMNS)].reset_index(drop=True)


def export(store: Store, output: Path, since: float = 0, until: float = math.inf, overwrite: bool = False) -> Exported:
    """Write the corrections of a span of time as a file that ``python -m tf_model.train`` reads.

    The file holds the texts as they are, for a program; a spreadsheet may take one that begins with ``=`` for a
    formula.

    Args:
        store: The log.
        output: The file to write, of a format that its suffix names, one of
            :data:`tf_model.data.dataset.SUFFIXES`.
        since: Beginning, in seconds since 1970.
        until: End.
        overwrite: Whether the file may be replaced.

    Raises:
        DataError: There is nothing to export, or the log cannot be read.
        OutputError: The file exists and ``overwrite`` is false, or it cannot be written.
        UsageError: Its suffix is none that training reads.
    """
    from tf_model.data.dataset import SUFFIXES

    output = Path(output)
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{output}: expected a name that ends in {', '.join(SUFFIXES)}, which `python -m tf_model.train --extra` "
            f"reads, found {output.suffix or 'no ending'!r}; choose one of these"
        )
    tables.check_output(output, overwrite)
    corrections = store.corrections(since, until)
    rows = labelled(corrections)
    if rows.empty:
        raise DataError(
            f"expected corrections that name a product or an emotion, found {len(corrections):,} corrections and none "
            "that does; correct some answers in the app first"
        )
    with tables.table_writer(output, overwrite) as writer:
        writer.write(rows)
    return Exported(len(rows), len(corrections) - len(rows), tuple(writer.notes))
