"""Uploads, and downloads that no spreadsheet reads as formulas."""

import csv
import re
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from tf_model.analysis.changes import Dates
from tf_model.errors import DataError, TweetTargetError, first_line
from tf_model.io import tables

# More would fill the server's memory.
LIMITS = tables.Limits(rows=200_000, columns=1_000, cells=10_000_000, bytes=250_000_000)
COMMAND_LINE = "python -m tf_model.predict FILE --output answers.csv"  # takes files of any size
REPORT = "python -m tf_model.report FILE --output report.html"  # too, as far as they fit into memory
MOST_SHOWN = 2**53  # a browser shows no greater number
FIRST_ROWS = 5  # rows to show
TYPES = [suffix.removeprefix(".") for suffix in tables.INPUT_SUFFIXES]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # without it Excel reads UTF-8 as Windows-1252
# Spreadsheets read text that begins so as a formula (OWASP, "CSV injection"), Japanese ones also with full-width signs.
FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_INVISIBLE = "\t\r \0\ufeff"  # but for newlines, each of which begins a search: a run would take quadratic time
# In locales with semicolons as list separators, such as German, Excel starts a new cell after each.
_FORMULA_WITHIN = re.compile(rf"([;\n][{_INVISIBLE}\"]*)(?=[=＝])")
# Not 007, nor an ID so long that a spreadsheet would round it, nor 1.299, which may be German for 1,299.
_PLAIN_NUMBER = re.compile(r"-?(?![1-9]\d{0,2}\.\d{3}$)(0|[1-9]\d{0,14}|(0|[1-9]\d{0,8})\.\d{1,6})")
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")


# ---------------------------------------------------------------- in


def read_upload(path: Path, name: str) -> tuple[tables.Table, pd.DataFrame]:
    """The table of an uploaded file, checked and closed, and its first rows, as a page can show them.

    :class:`DataError` calls the file by the user's ``name``.
    """
    try:
        with tables.open_table(path, limits=LIMITS, sheet_option="a file without it") as table:
            if not table.total_rows:
                raise DataError(f"{name} has no rows; give a file with texts")
            tables.refuse_without_texts(table)
            tables.named_column(table, table.text_column)  # refuses two columns of this name
            return table, displayable(next(table.chunks(FIRST_ROWS)))
    except TweetTargetError as error:
        more = f" here; for files of any size: {COMMAND_LINE}" * isinstance(error, tables.TooLargeError)
        raise DataError(user_message(error, path, name) + more) from error
    except Exception as error:  # on a damaged file, a library may raise anything
        problem = f"{name} cannot be read ({first_line(error)[:200]}); save it again, or as .csv"
        raise DataError(problem) from error


def user_message(error: Exception, path: Path, name: str) -> str:
    """The message of an error, with the user's name for the file."""
    return str(error).replace(str(path), name)


def displayable(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` as a page can show it: unique column names, and one type of value in each column."""
    columns: dict[str, pd.Series] = {}
    originals = list(map(str, frame.columns))
    for position, original in enumerate(originals):
        name, number = original, 1
        while name in columns or (number > 1 and name in originals):
            number += 1
            name = f"{original} ({number})"
        column = frame.iloc[:, position]
        is_long = column.dtype.kind in "iu" and bool((column.dropna().abs() > MOST_SHOWN).any())
        # Also bytes and mappings from Parquet, and lists, of which map() would make arrays.
        if is_long or (column.dtype.kind == "O" and column.dtype.type is not Decimal):
            values = pd.Series(column.tolist(), column.index, object)
            column = values.map(tables.as_text, na_action="ignore").astype("str")
        columns[name] = column
    return pd.DataFrame(columns, index=frame.index)


# ---------------------------------------------------------------- out


def as_csv(frame: pd.DataFrame, mentions_in: str | None = None) -> bytes:
    """``frame`` as a CSV file in UTF-8; text that looks like a formula gets a leading apostrophe.

    ``start`` and ``end`` of mentions in the column ``mentions_in`` count these apostrophes.
    """
    frame = frame.copy()
    if mentions_in:
        pairs = zip(frame[mentions_in].map(tables.as_text), frame["start"], strict=True)
        shifts = [0 if pd.isna(start) else _apostrophes_before(text, int(start)) for text, start in pairs]
        frame[["start", "end"]] = frame[["start", "end"]].add(shifts, axis=0)
    for position, dtype in enumerate(frame.dtypes):
        if dtype.kind not in "biufcmM":
            values = [escape_formulas(value) for value in frame.iloc[:, position]]
            # Not map(), which would turn integers beside a missing value into floats.
            frame.isetitem(position, pd.Series(values, frame.index, object))
    frame.columns = [escape_formulas(str(name)) for name in frame.columns]
    return BYTE_ORDER_MARK + _file_content(frame, ".csv")


def as_xlsx(frame: pd.DataFrame, dates: Dates | None = None) -> bytes:
    """``frame`` as a workbook; text that looks like a formula is stored unchanged in a text cell.

    Columns of plain numbers, read as text from a CSV file, have real ones. With the ``dates`` of ``frame``, or of a
    table with more rows, so has the column of dates.
    """
    frame = frame.copy(deep=False)
    for position in range(frame.shape[1]):
        values = frame.iloc[:, position].dropna().tolist()
        if values and all(isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value or "0") for value in values):
            different = set(filter(None, values))
            if len(set(map(float, different))) < len(different):  # such as the versions 4.1 and 4.10
                continue
            frame.isetitem(position, pd.to_numeric(frame.iloc[:, position].astype(object).replace("", None)))
    if dates:
        position, values = dates.position, dates.values
        is_day = (values.dropna() == values.dropna().dt.normalize()).all()
        real_dates = (values.dt.date if is_day else values).astype(object)[frame.index]
        frame.isetitem(position, real_dates.where(real_dates.notna(), frame.iloc[:, position]))
        if dates.is_utc:  # workbooks cannot store offsets
            frame.columns = [f"{name} (UTC)" if column == position else name for column, name in enumerate(frame)]
    return _file_content(frame, ".xlsx")


def as_training_csv(frame: pd.DataFrame) -> str:
    """``frame`` as a CSV file for ``train --extra``, with texts unchanged."""
    # QUOTE_ALL: before Python 3.13, a text is not quoted for a carriage return in it, which would end the row.
    return frame.to_csv(index=False, quoting=csv.QUOTE_ALL)


def escape_formulas(value: Any) -> Any:
    """``value`` with an apostrophe before anything that a spreadsheet would take for a formula; numbers stay."""
    if isinstance(value, bytes | list | dict):
        value = tables.as_text(value)
    if not isinstance(value, str):
        return value
    value = _FORMULA_WITHIN.sub(r"\1'", value)
    if value.lstrip(_INVISIBLE + "\n").startswith(FORMULA_SIGNS) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _apostrophes_before(text: str, place: int) -> int:
    """How many apostrophes :func:`escape_formulas` adds before a character of a text."""
    before = text[: place + 1]
    is_formula = escape_formulas(text)[:1] != text[:1]
    return len(_FORMULA_WITHIN.sub(r"\1'", before)) - len(before) + is_formula


def _file_content(frame: pd.DataFrame, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="tweet-target-") as folder:
        path = Path(folder) / f"answers{suffix}"
        with tables.table_writer(path) as writer:
            for start in range(0, max(len(frame), 1), tables.CHUNK_ROWS):
                writer.write(frame.iloc[start : start + tables.CHUNK_ROWS])
        return path.read_bytes()
