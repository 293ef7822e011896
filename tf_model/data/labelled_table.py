"""Any labelled table as a dataset: the user names the columns, and the classes are those that occur.

Nothing is trained on it; it is what ``python -m tf_model.data --audit FILE --label-column COLUMN`` looks at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tf_model import tasks
from tf_model.data.dataset import CUSTOM, Dataset, Dropped
from tf_model.errors import DataError, UsageError, listed, plural
from tf_model.io.files import explain_read_errors
from tf_model.io.tables import as_text, choose_text_column, open_table

MOST_CLASSES = 100  # a column of more is no label but a number or a name of each row


def read_labelled(
    path: Path | str,
    label_columns: Sequence[str],
    text_column: str | None = None,
    split_column: str | None = None,
    sheet: str | None = None,
    *,
    sheet_option: str = "--sheet",
) -> tuple[Dataset, tuple[tasks.Task, ...]]:
    """Read a table that has other columns or labels than the dataset of this project.

    Args:
        path: A .csv, .tsv, .xlsx, .parquet or .jsonl file.
        label_columns: Each is a task; its classes are the values that occur, sorted. An empty cell is no label. None at
            all: only the texts are wanted.
        text_column: The column of texts; None: found as :func:`tf_model.io.tables.choose_text_column` does it.
        split_column: A column that is kept as it is, by its name, in :attr:`Dataset.labelled`.
        sheet: Of a workbook; None: the first.
        sheet_option: What a user names the sheet with, for messages.

    Returns:
        The dataset, whose ``labelled`` has the columns ``row`` (blank rows and lines are counted as well),
        :data:`tf_model.tasks.TEXT_COLUMN`, those of the labels and of the split; and one task for each label column.

    Raises:
        DataError: The file cannot be read, has no texts or no labels, or a label column has too many values.
        UsageError: A column or the sheet is not there, or a column is named twice.
    """
    import pandas

    named = [*label_columns, *filter(None, [split_column])]
    if len({name.casefold() for name in named}) < len(named):
        raise UsageError(f"a column is named twice: {listed(named)}; name each once")
    if taken := {"row", tasks.TEXT_COLUMN}.intersection(named):
        raise UsageError(f"{listed(taken)} cannot hold labels or a split here; rename the column")
    with explain_read_errors(path):
        sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    with open_table(path, text_column, sheet, sheet_option=sheet_option) as table:
        frame = pandas.concat(list(table.chunks()), ignore_index=True)
        texts = [as_text(text) if _is_there(text) else "" for text in table.texts(frame)]
        rows = [number - table.first_row for number in table.row_numbers()]
        notes = [*table.notes, f"texts: the column {table.text_column!r} ({table.reason})"]
    places = {name: choose_text_column(frame.head(0), name, str(path))[0] for name in named}
    columns: dict[str, Any] = {"row": rows, tasks.TEXT_COLUMN: texts}
    for name, place in places.items():
        values = [as_text(value).strip() if _is_there(value) else "" for value in frame.iloc[:, place].tolist()]
        columns[name] = pandas.Series([value or None for value in values], dtype="str")
    labelled = pandas.DataFrame(columns)
    is_blank = labelled[tasks.TEXT_COLUMN].map(str.strip) == ""
    if is_blank.all():
        raise DataError(f"expected texts in the column {table.text_column!r} of {path}, found none; fill it in")
    dropped = Dropped("the text is missing", int(is_blank.sum()), tuple(labelled["row"][is_blank].head().tolist()))
    if dropped.count:
        notes.append(f"{dropped.count:,} {plural(dropped.count, 'row has', 'rows have')} no text: left out")
    kept = labelled[~is_blank].reset_index(drop=True)
    of_tasks = tuple(_task(path, name, kept[name].dropna().unique().tolist()) for name in label_columns)
    left_out = (dropped,) if dropped.count else ()
    dataset = Dataset(CUSTOM, Path(path), sha256, kept, None, left_out, tuple(notes), table.first_row)
    return dataset, of_tasks


def _task(path: Path | str, name: str, found: list[str]) -> tasks.Task:
    if not found:
        raise DataError(f"expected labels in the column {name!r} of {path}, found none; fill it in, or name another")
    if len(found) > MOST_CLASSES:
        raise DataError(
            f"the column {name!r} of {path} has {len(found):,} different values, of which at most {MOST_CLASSES} can "
            "be classes; name the column of the labels"
        )
    return tasks.Task(name, name, tuple(sorted(found)))


def _is_there(value: Any) -> bool:
    import pandas

    return isinstance(value, list | dict) or not pandas.isna(value)
