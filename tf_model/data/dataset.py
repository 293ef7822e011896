"""Read the dataset's file, workbook or text, and check its columns, its texts and its labels.

In messages a row is numbered as a spreadsheet shows it (the header is row 1); the ``row`` column counts from 0 in the
data part, so row 0 is row :data:`FIRST_ROW` of the file.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tf_model import paths, tasks
from tf_model.errors import DataError, listed, nearest, plural, quoted
from tf_model.io import characters
from tf_model.io.files import explain_read_errors
from tf_model.io.text_files import csv_rows, find_separator
from tf_model.io.workbooks import explain_damage, from_cell
from tf_model.tasks import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".xlsx", ".csv", ".tsv")
LABELLED_SHEET = "Train"
UNLABELLED_SHEET = "Test"
UNLABELLED_COLUMN = "Tweet"
FIRST_ROW = 2
LONGEST_TEXT = 100_000  # characters; a longer cell is not a short text but a file pasted into one

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


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset that was read and checked.

    Attributes:
        name: ``"assignment"`` for the report's workbook (known by its sha256), ``"sample"`` for the sample corpus,
            else ``"custom"``.
        path: The file.
        sha256: Of the file, in hexadecimal.
        labelled: One line per usable row, in file order, with the columns ``row`` (int64, counted from 0 in the data
            part), :data:`tf_model.tasks.TEXT_COLUMN` (str, as in the file, never blank), and the product and the
            emotion column (str, stripped, missing where there is no label).
        unlabelled: The sheet ``Test``: the column ``Tweet`` (str; an empty cell is an empty string), every row, in
            file order. ``None`` where the file has no such sheet.
        dropped: Rows that ``labelled`` leaves out.
        warnings: What a user should know and need not act on, one line each.
        first_row: The number that the file itself gives to row 0: 2 below a header, else 1.
    """

    name: str
    path: Path
    sha256: str
    labelled: pd.DataFrame
    unlabelled: pd.DataFrame | None = None
    dropped: tuple[Dropped, ...] = ()
    warnings: tuple[str, ...] = ()
    first_row: int = FIRST_ROW


def read(path: Path | str, sample: Path = paths.SAMPLE_CORPUS) -> Dataset:
    """Read and check a dataset.

    A workbook (.xlsx) holds the labelled rows in a sheet ``Train``, or in its only sheet, and may hold unlabelled ones
    in a sheet ``Test``. A .csv or .tsv file holds labelled rows. UTF-8, Windows-1252, files that mix the two, and
    UTF-16 with a byte order mark are understood. Column names are compared without case and surrounding spaces; other
    columns are ignored. Exact duplicates are kept, as the report kept them, and counted in a warning.

    Args:
        path: The file.
        sample: Which file is the sample corpus.

    Raises:
        DataError: The file cannot be read, has not the columns of :data:`COLUMNS`, no usable row, an unknown label, a
            text over :data:`LONGEST_TEXT` characters or, in a text file, a NUL character.
    """
    path = Path(path)
    check_file(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"expected an .xlsx, .csv or .tsv file, got {path}; save it as one of these")
    with explain_read_errors(path):
        content = path.read_bytes()
    if not content.removeprefix(codecs.BOM_UTF8).strip():
        raise DataError(f"{path} is empty; expected a file with the columns {', '.join(COLUMNS)}")
    notes: list[str] = []
    if path.suffix.lower() == ".xlsx":
        table, unlabelled = _read_workbook(path, content, notes)
    else:
        table, unlabelled = _read_text(path, content, notes), None
    labelled, dropped = _drop_unusable(path, _tidy(table, notes))
    _check_schema(path, labelled)
    sha256 = hashlib.sha256(content).hexdigest()
    notes += _describe_repeats(labelled)
    return Dataset(_name(path, sha256, sample), path, sha256, labelled, unlabelled, dropped, tuple(notes))


def _name(path: Path, sha256: str, sample: Path) -> str:
    if sha256 == ASSIGNMENT_SHA256:
        return ASSIGNMENT
    return SAMPLE if is_same_file(path, sample) else CUSTOM


def check_file(path: Path, origin: str | None = None) -> None:
    """Raise :class:`DataError` unless ``path`` is a file. ``origin`` says who named it."""
    shown = f"{path} ({origin})" if origin else str(path)
    with explain_read_errors(shown):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DataError(f"no file {shown}; give the path of an existing .xlsx, .csv or .tsv file") from error
    if stat.S_ISDIR(mode):
        raise DataError(f"expected a file, {shown} is a folder; give the path of an .xlsx, .csv or .tsv file in it")
    if not stat.S_ISREG(mode):
        raise DataError(f"expected a file, {shown} is a device or a pipe; save the data as a file first")


def is_same_file(one: Path, other: Path) -> bool:
    """Whether both paths lead to one file that exists."""
    try:
        return one.samefile(other)
    except OSError:
        return False


# ---------------------------------------------------------------- workbook


def _read_workbook(path: Path, content: bytes, notes: list[str]) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The labelled table, header included, and the unlabelled texts."""
    sheets = _parse_workbook(path, content)
    by_name = {name.strip().lower(): name for name in sheets}
    if LABELLED_SHEET.lower() in by_name:
        labelled = sheets[by_name[LABELLED_SHEET.lower()]]
    elif len(sheets) == 1:
        labelled = next(iter(sheets.values()))
    else:
        raise DataError(
            f"expected a sheet {LABELLED_SHEET!r} in {path}, found {listed(sheets)}; rename the one with the labelled "
            "rows"
        )
    _check_columns(path, labelled)
    name = by_name.get(UNLABELLED_SHEET.lower())
    if name is None or len(sheets) == 1:
        return labelled, None
    return labelled, _read_unlabelled(sheets[name], notes)


def _parse_workbook(path: Path, content: bytes) -> dict[str, pd.DataFrame]:
    import pandas as pd

    with explain_damage(str(path)):
        sheets = pd.read_excel(
            io.BytesIO(content), sheet_name=None, header=None, dtype=str, na_filter=False, engine="openpyxl"
        )
        # Error cells such as #N/A are missing.
        return {name: sheet.fillna("").map(from_cell) for name, sheet in sheets.items()}


def _read_unlabelled(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame | None:
    names = _column_names(table)
    if UNLABELLED_COLUMN.lower() not in names:
        notes.append(f"the sheet {UNLABELLED_SHEET!r} has no column {UNLABELLED_COLUMN!r} and is ignored")
        return None
    texts = table.iloc[1:, [names.index(UNLABELLED_COLUMN.lower())]]
    return texts.set_axis([UNLABELLED_COLUMN], axis=1).reset_index(drop=True)


# ---------------------------------------------------------------- text file


def _read_text(path: Path, content: bytes, notes: list[str]) -> pd.DataFrame:
    """The table of a .csv or .tsv file, header included."""
    import pandas as pd

    text = _decode(path, content, notes)
    separator = find_separator(io.StringIO(text, newline=""))  # whatever the suffix: many spreadsheets write ";"
    options = {"sep": separator, "header": None, "dtype": str, "na_filter": False, "skip_blank_lines": False}
    try:
        _check_columns(path, pd.read_csv(io.StringIO(text), nrows=1, **options))
        table = pd.read_csv(io.StringIO(text), **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path} is no table: {_explain_parser(str(error))}") from error
    _check_lengths(path, text, separator)
    return table


def _check_lengths(path: Path, text: str, separator: str) -> None:
    """pandas fills short rows up without a word: a text with an unquoted line break would become two others."""
    fields = 0
    with suppress(csv.Error):  # pandas has its own words for what is no CSV
        for number, row in enumerate(csv_rows(io.StringIO(text, newline=""), separator), start=1):
            fields = fields or len(row)
            if len(row) < fields and any(map(str.strip, row)):
                found = f"{len(row)} {plural(len(row), 'field', 'fields')}"
                raise DataError(
                    f"{path} is no table: row {number} of the file has {found}, the header {fields}; put texts "
                    "that hold a line break in quotes, and write every separator"
                )


def _explain_parser(message: str) -> str:
    """The advice for a message of pandas' reader, which calls a record a line, or, counted from 0, a row."""
    if match := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        expected, row, saw = match.groups()
        return (
            f"row {row} of the file has {saw} fields, the header {expected}; put texts that hold a separator in quotes"
        )
    if match := re.search(r"EOF inside string starting at row (\d+)", message):
        return f'the quote (") that opens in row {int(match.group(1)) + 1} of the file is never closed; close it'
    return f"{' '.join(message.split())}; save it again as CSV in UTF-8"


def _decode(path: Path, content: bytes, notes: list[str]) -> str:
    try:
        lines = characters.numbered_lines(characters.decoded(io.BytesIO(content), strict=True), str(path))
        text = "".join(line for _, line in lines)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} starts like UTF-16 or UTF-32 and is not; save it again as UTF-8") from error
    if not characters.is_unicode(io.BytesIO(content)):
        foreign = sum(not _is_utf8(line) for line in content.splitlines())
        notes.append(f"{foreign:,} {plural(foreign, 'line is', 'lines are')} not UTF-8 and read as Windows-1252")
    return text


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# ---------------------------------------------------------------- columns, texts and labels


def _column_names(table: pd.DataFrame) -> list[str]:
    return [] if table.empty else [name.strip("\ufeff \t\r\n").lower() for name in table.iloc[0]]


def _tidy(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Columns ``row`` and :data:`COLUMNS`, labels stripped and missing where empty; texts as they are."""
    import pandas as pd

    names = _column_names(table)
    extra = [str(name) for name, key in zip(table.iloc[0], names, strict=True) if key and key not in COLUMNS]
    if extra:
        notes.append(f"ignored {plural(len(extra), 'column', 'columns')}: {listed(extra)}")
    frame = table.iloc[1:, [names.index(column) for column in COLUMNS]].set_axis(list(COLUMNS), axis=1)
    frame = frame.reset_index(drop=True)
    frame.insert(0, "row", range(len(frame)))
    for task in tasks.TASKS.values():
        frame[task.column] = pd.Series([label.strip() or None for label in frame[task.column]], dtype="str")
    is_filled = (frame[tasks.TEXT_COLUMN] != "") | frame[[tasks.PRODUCT_COLUMN, tasks.EMOTION_COLUMN]].notna().any(
        axis=1
    )
    # Blank lines at the end are no rows; those in the middle are counted as dropped, so that row numbers stay true.
    return frame.iloc[: frame.index[is_filled].max() + 1] if is_filled.any() else frame.iloc[:0]


def _check_columns(path: Path, table: pd.DataFrame) -> None:
    names = _column_names(table)
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        shown = [] if table.empty else list(table.iloc[0])
        near = {column: nearest(column, names) for column in missing}
        hints = "".join(f"; {match[0]!r} looks like {column!r}" for column, match in near.items() if match)
        raise DataError(
            f"expected the columns {listed(COLUMNS)} in {path}, found {listed(shown)}: {listed(missing)} "
            f"{plural(len(missing), 'is', 'are')} missing{hints}; rename or add {plural(len(missing), 'it', 'them')}"
        )
    for column in COLUMNS:
        if names.count(column) > 1:
            raise DataError(f"the column {column!r} occurs {names.count(column)} times in {path}; keep one of them")


def _drop_unusable(path: Path, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Dropped, ...]]:
    if frame.empty:
        raise DataError(f"expected rows below the header of {path}, found none; add labelled texts")
    texts = frame[tasks.TEXT_COLUMN]
    is_missing = texts == ""
    is_blank = ~is_missing & (texts.map(str.strip) == "")
    kept = frame[~(is_missing | is_blank)].reset_index(drop=True)
    if kept.empty:
        raise DataError(
            f"expected texts in the column {tasks.TEXT_COLUMN!r} of {path}, all {len(frame):,} are empty; fill it in"
        )
    masks = {"the text is missing": is_missing, "the text is white space only": is_blank}
    dropped = tuple(
        Dropped(reason, int(mask.sum()), tuple(frame["row"][mask].head().tolist()))
        for reason, mask in masks.items()
        if mask.any()
    )
    return kept, dropped


def _check_schema(path: Path, frame: pd.DataFrame) -> None:
    """Raise :class:`DataError` for the first row whose text or label cannot be used."""
    import pandera.pandas as pa

    labels = {
        task.column: pa.Column(str, pa.Check.isin(task.labels + task.ignored_labels), nullable=True)
        for task in tasks.TASKS.values()
    }
    text = pa.Column(str, pa.Check.str_length(min_value=1, max_value=LONGEST_TEXT))
    columns = {"row": pa.Column(int, unique=True), tasks.TEXT_COLUMN: text, **labels}
    try:
        pa.DataFrameSchema(columns, strict=True).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        failures = error.failure_cases.sort_values("index", kind="stable")
        raise DataError(_explain_failure(path, frame, failures)) from None


def _explain_failure(path: Path, frame: pd.DataFrame, failures: pd.DataFrame) -> str:
    first = failures.iloc[0]
    row = f"row {frame['row'][int(first['index'])] + FIRST_ROW} of the file {path}"
    if first["column"] == tasks.TEXT_COLUMN:
        length = len(first["failure_case"])
        return f"{row} has a text of {length:,} characters, expected at most {LONGEST_TEXT:,}; shorten or remove it"
    task = next(task for task in tasks.TASKS.values() if task.column == first["column"])
    others = int((failures["column"] == task.column).sum()) - 1
    more = f" (and {others:,} more {plural(others, 'row', 'rows')})" if others else ""
    return (
        f"{row} has {quoted(first['failure_case'])} in {task.column!r}{more}, which is no known label; "
        f"{_suggest_label(first['failure_case'], task)}"
    )


def _suggest_label(value: str, task: tasks.Task) -> str:
    known = task.labels + task.ignored_labels
    near = nearest(value, known)
    if near:
        return f"did you mean {near[0]!r}? Correct it, or empty the cell"
    return f"use one of {listed(known)}, or empty the cell"


def count_repeats(frame: pd.DataFrame) -> int:
    """How many rows repeat the exact text of an earlier one."""
    return int(frame.duplicated(tasks.TEXT_COLUMN).sum())


def count_conflicts(frame: pd.DataFrame) -> dict[str, int]:
    """Per task, how many texts occur with two or more different labels; a missing label contradicts nothing."""
    texts = frame[frame.duplicated(tasks.TEXT_COLUMN, keep=False)].groupby(tasks.TEXT_COLUMN)
    return {name: int((texts[task.column].nunique() > 1).sum()) for name, task in tasks.TASKS.items()}


def _describe_repeats(frame: pd.DataFrame) -> list[str]:
    repeats = count_repeats(frame)
    notes = []
    if repeats:
        notes.append(
            f"{repeats:,} {plural(repeats, 'row repeats', 'rows repeat')} the exact text of an earlier row; kept"
        )
    for name, count in count_conflicts(frame).items():
        if count:
            notes.append(f"{count:,} repeated {plural(count, 'text has', 'texts have')} different {name} labels; kept")
    return notes
