"""Read a labelled table and check its columns, its texts and its labels.

In messages a row is numbered as a spreadsheet shows it; the ``row`` column counts from 0 below the header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import paths, tasks
from tf_model.errors import DataError, UsageError, listed, nearest, plural, quoted
from tf_model.io import tables
from tf_model.io.files import explain_read_errors
from tf_model.model_dir import SAMPLE
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

ASSIGNMENT, CUSTOM = "assignment", "custom"
# Of the workbook that the report worked from; data/README.md says where it comes from.
ASSIGNMENT_SHA256 = "4c5b5c09f5197f005ccc33b57547bb4491e59611fde6545ad5f503995d66b447"


@dataclass(frozen=True)
class Dropped:
    """Rows that were left out for one reason: how many, and the first five (numbered as in the ``row`` column)."""

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

    ``labelled`` has the column ``row`` (int64), the text (as in the file, never blank) and a column of each task (str,
    stripped, missing where there is no label), in file order.
    """

    name: str  # ASSIGNMENT for the report's workbook (known by its sha256), SAMPLE, else CUSTOM
    path: Path
    sha256: str
    labelled: pd.DataFrame
    unlabelled: pd.DataFrame | None = None  # the sheet "Test": the column "Tweet", an empty cell is an empty string
    dropped: tuple[Dropped, ...] = ()  # rows that ``labelled`` leaves out
    warnings: tuple[str, ...] = ()  # one line each
    first_row: int = FIRST_ROW  # what the file itself calls row 0: 2 below a header, else 1
    tasks: tuple[tasks.Task, ...] = tuple(tasks.TASKS.values())


def read(path: Path | str, keep: Sequence[str] = ()) -> Dataset:
    """Read and check a dataset; ``keep`` names other columns to keep. Duplicates are kept, as the report kept them.

    Raises :class:`DataError` where the file, a column, a text or a label cannot be used, and :class:`UsageError` where
    a column of ``keep`` is not there.
    """
    import pandas as pd

    path = Path(path)
    check_file(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"expected an .xlsx, .csv or .tsv file, got {path}; save it as one of these")
    table, frame = _load_sheet(path, LABELLED_SHEET) or _load(path, sheet_option=f"the name {LABELLED_SHEET!r}")
    try:
        columns = _columns(path, frame, COLUMNS)
    except UsageError as error:
        raise DataError(f"expected the columns {listed(COLUMNS)}, but {error}; rename or add it") from error
    labelled, dropped = _tidy(path, frame.index, columns | _columns(path, frame, keep))
    _check_schema(path, labelled)
    sheet = _load_sheet(path, UNLABELLED_SHEET, UNLABELLED_COLUMN)
    unlabelled = pd.DataFrame({UNLABELLED_COLUMN: _as_texts(sheet[0].texts(sheet[1]))}) if sheet else None
    sha256 = _sha256(path)
    name = ASSIGNMENT if sha256 == ASSIGNMENT_SHA256 else SAMPLE if is_sample(path) else CUSTOM
    return Dataset(name, path, sha256, labelled, unlabelled, dropped, tuple(table.notes))


def read_labelled(
    path: Path | str,
    label_columns: Sequence[str],
    text_column: str | None = None,
    split_column: str | None = None,
    sheet: str | None = None,
    sheet_option: str = "--sheet",
) -> Dataset:
    """Read any .csv, .tsv, .xlsx, .parquet or .jsonl table for an audit; each label column is a task of its own.

    Raises :class:`DataError` where there are no texts, no labels or too many different ones, and :class:`UsageError`
    where a column or the sheet is not there. ``sheet_option`` is what messages call the option for the sheet.
    """
    path = Path(path)
    table, frame = _load(path, text_column, sheet, sheet_option)
    named = _columns(path, frame, [*label_columns, *filter(None, [split_column])])
    labelled, dropped = _tidy(path, frame.index, {TEXT_COLUMN: _as_texts(table.texts(frame)), **named})
    notes = *table.notes, f"texts: the column {table.text_column!r} ({table.reason})"
    of_tasks = tuple(_task(path, name, labelled[name].dropna().unique().tolist()) for name in label_columns)
    return Dataset(CUSTOM, path, _sha256(path), labelled, None, dropped, notes, table.first_row, of_tasks)


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


def _load_sheet(path: Path, sheet: str, text_column: str | None = None) -> tuple[tables.Table, pd.DataFrame] | None:
    """A sheet of a workbook; None where there is no such sheet, or no such column in it."""
    if path.suffix.lower() != ".xlsx":
        return None
    try:
        return _load(path, text_column, sheet)
    except UsageError:
        return None


def _columns(path: Path, frame: pd.DataFrame, names: Sequence[str]) -> dict[str, list[str]]:
    """The cells of the named columns; case, and what stands between the words of a name, do not matter."""
    if "row" in names:
        raise UsageError(f"the column 'row' of {path} cannot hold labels or a split here; rename it")
    positions = [tables.choose_text_column(frame.head(0), name, str(path))[0] for name in names]
    return {name: _as_texts(frame.iloc[:, at].tolist()) for name, at in zip(names, positions, strict=True)}


def _tidy(path: Path, rows: pd.Index, columns: dict[str, list[str]]) -> tuple[pd.DataFrame, tuple[Dropped, ...]]:
    """The column ``row``, the text, and the other columns, stripped; and the rows that are left out."""
    import pandas as pd

    tidy = pd.DataFrame({"row": rows, TEXT_COLUMN: columns[TEXT_COLUMN]})
    for name, cells in columns.items():
        if name != TEXT_COLUMN:
            tidy[name] = pd.Series([cell.strip() or None for cell in cells], dtype="str")
    is_blank = tidy[TEXT_COLUMN].map(str.strip) == ""
    if is_blank.all():
        raise DataError(f"expected rows with a text below the header of {path}, got none; add labelled texts")
    blank = tidy["row"][is_blank].tolist()
    dropped = (Dropped("the text is missing", len(blank), tuple(blank[:5])),) if blank else ()
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

    known = {task.column: task.labels + task.ignored_labels for task in tasks.TASKS.values()}
    columns = {column: pa.Column(str, pa.Check.isin(labels), nullable=True) for column, labels in known.items()}
    columns[TEXT_COLUMN] = pa.Column(str, pa.Check.str_length(max_value=LONGEST_TEXT))
    try:
        pa.DataFrameSchema(columns).validate(frame, lazy=True)
        return
    except pa.errors.SchemaErrors as error:
        failures = error.failure_cases.sort_values("index", kind="stable")
    first = failures.iloc[0]
    column, value = first["column"], first["failure_case"]
    row = f"row {frame['row'][int(first['index'])] + FIRST_ROW} of the file {path}"
    if column == TEXT_COLUMN:
        raise DataError(
            f"{row} has a text of {len(value):,} characters, expected at most {LONGEST_TEXT:,}; shorten or remove it"
        )
    others = int((failures["column"] == column).sum()) - 1
    more = f" (and {others:,} more {plural(others, 'row', 'rows')})" if others else ""
    near = nearest(value, known[column])
    advice = f"did you mean {near[0]!r}? Correct it" if near else f"use one of {listed(known[column])}"
    raise DataError(
        f"{row} has {quoted(value)} in {column!r}{more}, which is no known label; {advice}, or empty the cell"
    )


def _task(path: Path, name: str, labels: list[str]) -> tasks.Task:
    if not labels:
        raise DataError(f"expected labels in the column {name!r} of {path}, got none; fill it in, or name another")
    if len(labels) > MOST_CLASSES:
        raise DataError(
            f"the column {name!r} of {path} has {len(labels):,} different values, of which at most {MOST_CLASSES} can "
            "be classes; name the column of the labels"
        )
    return tasks.Task(name, name, tuple(sorted(labels)))
