"""Read a labelled table and check its columns, its texts and its labels.

In messages a row is numbered as a spreadsheet shows it (the header is row 1); the ``row`` column counts from 0 in the
data part, so row 0 is row :data:`FIRST_ROW` of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import paths, tasks
from tf_model.errors import DataError, UsageError, listed, nearest, plural, quoted
from tf_model.io import tables
from tf_model.io.files import explain_read_errors
from tf_model.tasks import COLUMNS, TEXT_COLUMN

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".xlsx", ".csv", ".tsv")
LABELLED_SHEET = "Train"
UNLABELLED_SHEET = "Test"
UNLABELLED_COLUMN = "Tweet"
FIRST_ROW = 2
LONGEST_TEXT = 100_000  # characters; a longer cell is not a short text but a file pasted into one
MOST_CLASSES = 100  # a column of more is no label but a number or a name of each row

ASSIGNMENT, SAMPLE, CUSTOM = "assignment", "sample", "custom"
# Of the workbook that the report worked from; data/README.md says where it comes from.
ASSIGNMENT_SHA256 = "4c5b5c09f5197f005ccc33b57547bb4491e59611fde6545ad5f503995d66b447"


@dataclass(frozen=True)
class Dropped:
    """Rows that were left out for one reason.

    Attributes:
        reason: Why, in words.
        count: How many rows.
        rows: The first five of them, as in the ``row`` column (counted from 0).
    """

    reason: str
    count: int
    rows: tuple[int, ...]

    def describe(self) -> str:
        """Count, reason, and the numbers that the file gives to the rows."""
        rows = plural(self.count, "row", "rows")
        numbers = ", ".join(str(row + FIRST_ROW) for row in self.rows)
        more = ", ..." if self.count > len(self.rows) else ""
        return f"{self.count:,} {rows} left out: {self.reason} ({rows} {numbers}{more} of the file)"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled table that was read and checked.

    Attributes:
        name: ``"assignment"`` for the report's workbook (known by its sha256), ``"sample"`` for the sample corpus,
            else ``"custom"``.
        path: The file.
        sha256: Of the file, in hexadecimal.
        labelled: One line per usable row, in file order, with the columns ``row`` (int64, counted from 0 in the data
            part), :data:`tf_model.tasks.TEXT_COLUMN` (str, as in the file, never blank), and the column of each task
            (str, stripped, missing where there is no label).
        unlabelled: The sheet ``Test``: the column ``Tweet`` (str; an empty cell is an empty string), in file order.
            ``None`` where the file has no such sheet.
        dropped: Rows that ``labelled`` leaves out.
        warnings: What a user should know and need not act on, one line each.
        first_row: The number that the file itself gives to row 0: 2 below a header, else 1.
        tasks: What its labels are of.
    """

    name: str
    path: Path
    sha256: str
    labelled: pd.DataFrame
    unlabelled: pd.DataFrame | None = None
    dropped: tuple[Dropped, ...] = ()
    warnings: tuple[str, ...] = ()
    first_row: int = FIRST_ROW
    tasks: tuple[tasks.Task, ...] = tuple(tasks.TASKS.values())


def read(path: Path | str, keep: Sequence[str] = ()) -> Dataset:
    """Read and check a dataset.

    A workbook (.xlsx) holds the labelled rows in a sheet ``Train``, else in its first sheet, and may hold unlabelled
    ones in a sheet ``Test``. A .csv or .tsv file holds labelled rows. Case and spaces of column names do not matter;
    other columns are ignored. Duplicates are kept, as the report kept them; the audit names them.

    Args:
        path: The file.
        keep: Other columns to keep in :attr:`Dataset.labelled`, by these names.

    Raises:
        DataError: The file cannot be read, has not the columns of :data:`COLUMNS`, no usable row, an unknown label, or
            a text over :data:`LONGEST_TEXT` characters.
        UsageError: A column of ``keep`` is not there.
    """
    path = Path(path)
    check_file(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"expected an .xlsx, .csv or .tsv file, got {path}; save it as one of these")
    table, frame = _load_labelled(path)
    try:
        positions = _positions(path, frame, COLUMNS)
    except UsageError as error:
        raise DataError(f"expected the columns {listed(COLUMNS)}, but {error}; rename or add it") from error
    positions |= _positions(path, frame, keep)
    texts = frame.iloc[:, positions.pop(TEXT_COLUMN)].tolist()
    labelled, dropped = _tidy(path, frame, texts, positions)
    _check_schema(path, labelled)
    sha256 = _sha256(path)
    name = ASSIGNMENT if sha256 == ASSIGNMENT_SHA256 else SAMPLE if is_sample(path) else CUSTOM
    return Dataset(name, path, sha256, labelled, _read_unlabelled(path), dropped, tuple(table.notes))


def read_labelled(
    path: Path | str,
    label_columns: Sequence[str],
    text_column: str | None = None,
    split_column: str | None = None,
    sheet: str | None = None,
    sheet_option: str = "--sheet",
) -> Dataset:
    """Read a table that has other columns or labels than the dataset of this project.

    Nothing is trained on it; it is what ``python -m tf_model.data --audit FILE --label-column COLUMN`` looks at.

    Args:
        path: A .csv, .tsv, .xlsx, .parquet or .jsonl file.
        label_columns: Each is a task; its classes are the values that occur, sorted. An empty cell is no label. None at
            all: only the texts are wanted.
        text_column: The column of texts; None: found as :func:`tf_model.io.tables.choose_text_column` does it.
        split_column: A column that is kept by its name.
        sheet: Of a workbook; None: the first.
        sheet_option: What a user names the sheet with, for messages.

    Raises:
        DataError: The file cannot be read, has no texts or no labels, or a label column has too many values.
        UsageError: A column or the sheet is not there, or has a name that cannot be used here.
    """
    path = Path(path)
    named = [*label_columns, *filter(None, [split_column])]
    table, frame = _load(path, text_column, sheet, sheet_option)
    labelled, dropped = _tidy(path, frame, table.texts(frame), _positions(path, frame, named))
    notes = [*table.notes, f"texts: the column {table.text_column!r} ({table.reason})"]
    of_tasks = tuple(_task(path, name, labelled[name].dropna().unique().tolist()) for name in label_columns)
    return Dataset(
        CUSTOM, path, _sha256(path), labelled, None, dropped, tuple(notes), first_row=table.first_row, tasks=of_tasks
    )


def check_file(path: Path, origin: str = "") -> None:
    """Raise :class:`DataError` unless ``path`` is a file. ``origin`` says who named it."""
    shown = f"{path} ({origin})" if origin else str(path)
    with explain_read_errors(shown):
        if not path.exists():
            raise DataError(f"no file {shown}; give the path of an existing .xlsx, .csv or .tsv file")
        if not path.is_file():
            raise DataError(f"{shown} is a folder or a device; give the path of an .xlsx, .csv or .tsv file")


def is_sample(path: Path) -> bool:
    """Whether ``path`` leads to the sample corpus."""
    return paths.SAMPLE_CORPUS.is_file() and path.samefile(paths.SAMPLE_CORPUS)


# ---------------------------------------------------------------- the table


def _load(
    path: Path, text_column: str | None = None, sheet: str | None = None, sheet_option: str = "--sheet"
) -> tuple[tables.Table, pd.DataFrame]:
    """A table, closed again, and all its rows, indexed by their places in the file, counted from 0."""
    import pandas as pd

    with tables.open_table(path, text_column, sheet, sheet_option=sheet_option) as table:
        frame = pd.concat(list(table.chunks()))
        return table, frame.set_axis([number - table.first_row for number in table.row_numbers()])


def _load_labelled(path: Path) -> tuple[tables.Table, pd.DataFrame]:
    if path.suffix.lower() == ".xlsx":
        with suppress(UsageError):  # it has no such sheet
            return _load(path, sheet=LABELLED_SHEET)
    return _load(path, sheet_option=f"the name {LABELLED_SHEET!r}")


def _read_unlabelled(path: Path) -> pd.DataFrame | None:
    import pandas as pd

    if path.suffix.lower() != ".xlsx":
        return None
    try:
        table, frame = _load(path, UNLABELLED_COLUMN, UNLABELLED_SHEET)
    except UsageError:  # it has no such sheet, or the sheet no such column
        return None
    return pd.DataFrame({UNLABELLED_COLUMN: _as_texts(table.texts(frame))})


def _positions(path: Path, frame: pd.DataFrame, names: Sequence[str]) -> dict[str, int]:
    """Where the named columns are; case, and what stands between words, do not matter."""
    if "row" in names:
        raise UsageError(f"the column 'row' of {path} cannot hold labels or a split here; rename it")
    return {name: tables.choose_text_column(frame.head(0), name, str(path))[0] for name in names}


def _tidy(
    path: Path, frame: pd.DataFrame, texts: list[Any], positions: dict[str, int]
) -> tuple[pd.DataFrame, tuple[Dropped, ...]]:
    """The columns ``row``, text, and those of ``positions``, stripped; and the rows that are left out."""
    import pandas as pd

    columns: dict[str, Any] = {"row": frame.index, TEXT_COLUMN: _as_texts(texts)}
    for name, position in positions.items():
        cells = [cell.strip() or None for cell in _as_texts(frame.iloc[:, position].tolist())]
        columns[name] = pd.Series(cells, dtype="str")
    tidy = pd.DataFrame(columns)
    is_blank = tidy[TEXT_COLUMN].map(str.strip) == ""
    if is_blank.all():
        raise DataError(f"expected rows with a text below the header of {path}, got none; add labelled texts")
    rows = tidy["row"][is_blank].tolist()
    dropped = (Dropped("the text is missing", len(rows), tuple(rows[:5])),) if rows else ()
    return tidy[~is_blank].reset_index(drop=True), dropped


def _as_texts(cells: Iterable[Any]) -> list[str]:
    import pandas as pd

    column = pd.Series(cells, dtype=object)
    return ["" if missing else tables.as_text(cell) for cell, missing in zip(column, column.isna(), strict=True)]


def _sha256(path: Path) -> str:
    with explain_read_errors(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()


# ---------------------------------------------------------------- labels


def _check_schema(path: Path, frame: pd.DataFrame) -> None:
    """Raise :class:`DataError` for the first row whose text or label cannot be used."""
    import pandera.pandas as pa

    labels = {
        task.column: pa.Column(str, pa.Check.isin(task.labels + task.ignored_labels), nullable=True)
        for task in tasks.TASKS.values()
    }
    text = pa.Column(str, pa.Check.str_length(min_value=1, max_value=LONGEST_TEXT))
    try:
        pa.DataFrameSchema({"row": pa.Column(int, unique=True), TEXT_COLUMN: text, **labels}).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        failures = error.failure_cases.sort_values("index", kind="stable")
        raise DataError(_explain_failure(path, frame, failures)) from None


def _explain_failure(path: Path, frame: pd.DataFrame, failures: pd.DataFrame) -> str:
    first = failures.iloc[0]
    value, row = first["failure_case"], f"row {frame['row'][int(first['index'])] + FIRST_ROW} of the file {path}"
    if first["column"] == TEXT_COLUMN:
        return f"{row} has a text of {len(value):,} characters, expected at most {LONGEST_TEXT:,}; shorten or remove it"
    task = next(task for task in tasks.TASKS.values() if task.column == first["column"])
    others = int((failures["column"] == task.column).sum()) - 1
    more = f" (and {others:,} more {plural(others, 'row', 'rows')})" if others else ""
    known = task.labels + task.ignored_labels
    near = nearest(value, known)
    advice = f"did you mean {near[0]!r}? Correct it" if near else f"use one of {listed(known)}"
    return f"{row} has {quoted(value)} in {task.column!r}{more}, which is no known label; {advice}, or empty the cell"


def _task(path: Path, name: str, labels: list[str]) -> tasks.Task:
    if not labels:
        raise DataError(f"expected labels in the column {name!r} of {path}, got none; fill it in, or name another")
    if len(labels) > MOST_CLASSES:
        raise DataError(
            f"the column {name!r} of {path} has {len(labels):,} different values, of which at most {MOST_CLASSES} can "
            "be classes; name the column of the labels"
        )
    return tasks.Task(name, name, tuple(sorted(labels)))
