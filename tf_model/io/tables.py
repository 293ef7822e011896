"""Users' files in and out: rows are read and written in chunks, and their values stay as they are.

A file is read once from end to end before anything is made of it: a broken last line is then known in the first
second and not after an hour of predictions, and so is the number of rows. Both passes keep one chunk in memory.
(A workbook also keeps its table of shared strings: that is how the format works.)

Each format has a module of its own with both its directions: text_files, workbooks, parquet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tf_model.errors import DataError, OutputError, UsageError, listed, nearest
from tf_model.io import workbooks
from tf_model.io.files import explain_read_errors, explain_write_errors, refuse_to_overwrite, whole_file
from tf_model.io.formats import (
    CHUNK_ROWS,
    BadRow,
    Limits,
    Table,
    TableWriter,
    TextsInMemory,
    TooLargeError,
    as_text,
    explain_empty,
)
from tf_model.io.parquet import Parquet, ParquetWriter
from tf_model.io.text_files import CsvWriter, Delimited, JsonLines, JsonLinesWriter, Lines, StandardInput
from tf_model.io.workbooks import Workbook, WorkbookWriter

if TYPE_CHECKING:
    import pandas

# Of the formats, handed on.
__all__ = ["CHUNK_ROWS", "BadRow", "CsvWriter", "JsonLinesWriter", "Limits", "Table", "TooLargeError", "as_text"]

STANDARD_INPUT = "-"
SAMPLE_ROWS = 1_000  # rows looked at to choose the text column

_READERS: dict[str, type[Table]] = {
    ".csv": Delimited,
    ".tsv": Delimited,
    ".tab": Delimited,
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": JsonLines,
    ".txt": Lines,
    ".xlsx": Workbook,
    ".parquet": Parquet,
}
INPUT_SUFFIXES = tuple(_READERS)


# ---------------------------------------------------------------- in


def open_table(
    path: Path | str,
    column: str | None = None,
    sheet: str | None = None,
    limits: Limits | None = None,
    *,
    sheet_option: str = "--sheet",
    on_bad_row: Callable[[BadRow], None] | None = None,
) -> Table:
    """Open a user's file, check all of it, and find its column of texts.

    Args:
        path: A .csv, .tsv, .xlsx, .parquet, .jsonl or .txt file, or "-" for standard input, one text a line.
        column: The column of texts. None: see :func:`choose_text_column`.
        sheet: The sheet of a workbook. None: the first.
        limits: For a file of somebody else. None: any size, in chunks.
        sheet_option: What a user names the sheet with, for messages.
        on_bad_row: Is given each row of a CSV file that cannot be read, as the chunks are read; the rows are then not
            checked beforehand. None: such a row is an error.

    Returns:
        The table; use it in a ``with`` block.

    Raises:
        DataError: The file is missing, empty, of an unknown kind, corrupt, or has no column of text.
        TooLargeError: It is beyond the limits.
        UsageError: There is no such column or sheet.
    """
    table = _reader(path, sheet, sheet_option)
    table.limits = limits
    table.on_bad_row = (lambda _: None) if on_bad_row else None
    try:
        table.check()
        is_stream = isinstance(table, StandardInput)
        sample = table.frame([]) if is_stream else next(table.chunks(SAMPLE_ROWS))
        table.text_position, table.reason = choose_text_column(sample, column, table.name)
        table.text_column = table.columns[table.text_position]
    except BaseException:
        table.close()
        raise
    table.on_bad_row = on_bad_row
    return table


def table_of_texts(texts: Sequence[str]) -> Table:
    """A table with the one column ``text``, from texts in memory."""
    return TextsInMemory(texts)


def _reader(path: Path | str, sheet: str | None, sheet_option: str) -> Table:
    name, suffix = str(path), Path(path).suffix.lower()
    if sheet is not None and suffix != ".xlsx":
        raise UsageError(
            f"{sheet_option} chooses a sheet of an .xlsx workbook, and {name} is none; leave {sheet_option} out"
        )
    if name == STANDARD_INPUT:
        return StandardInput(name)
    path = Path(path)
    with explain_read_errors(path):
        if path.is_dir():
            raise DataError(f"{path} is a folder; give the name of a file in it")
        if not path.exists():
            raise DataError(f"{path} does not exist; check the name, or give - to read standard input")
        if not path.is_file():
            raise DataError(f"{path} is not an ordinary file, and it must be read twice; give - to read standard input")
        if path.stat().st_size == 0:
            raise DataError(explain_empty(name, "at least one text"))
        path.open("rb").close()  # the permission
    if suffix not in _READERS:
        raise DataError(
            f"{name}: expected a file whose name ends in {', '.join(INPUT_SUFFIXES)}, "
            f"found {suffix or 'no ending'!r}; save it as one of these"
        )
    return Workbook(path, sheet, sheet_option) if suffix == ".xlsx" else _READERS[suffix](path)


# ---------------------------------------------------------------- the column of texts

# Usual names of the column of texts, the surest first.
TEXT_NAMES = (
    "text",
    "tweet",
    "tweet_text",
    "full_text",
    "content",
    "message",
    "body",
    "comment",
    "review",
    "post",
    "sentence",
)


def choose_text_column(sample: pandas.DataFrame, column: str | None, name: str) -> tuple[int, str]:
    """Find the column of texts.

    Args:
        sample: The first rows.
        column: The name that the user gave. None: a usual name (:data:`TEXT_NAMES`), else the longest texts on
            average.
        name: What to call the input in messages.

    Returns:
        The column's position and the reason for choosing it, in words.

    Raises:
        UsageError: ``column`` is not there, or is there more than once.
        DataError: No column holds text.
    """
    columns = [str(each) for each in sample.columns]
    if column is not None:
        return _named_column(columns, column, name), "as asked"
    textual = [position for position in range(len(columns)) if _holds_text(sample.iloc[:, position])]
    if not textual:
        raise DataError(f"{name}: expected a column of texts, but none of {listed(columns)} holds text")
    if len(columns) == 1:
        return 0, "the only column"
    names = {_plain_name(columns[position]): position for position in reversed(textual)}
    for usual in TEXT_NAMES:
        if usual in names:
            return names[usual], "by its name"
    means = {position: _mean_length(sample.iloc[:, position]) for position in textual}
    longest = max(textual, key=means.__getitem__)
    return longest, f"no column has a usual name; its texts are the longest, {means[longest]:.0f} characters on average"


def _named_column(columns: list[str], column: str, name: str) -> int:
    matches = [position for position, each in enumerate(columns) if each == column]
    matches = matches or [position for position, each in enumerate(columns) if _plain_name(each) == _plain_name(column)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{name} has {len(matches)} columns called {column!r}; rename all but one")
    near = nearest(column, columns, most=3)
    hint = f"did you mean {listed(near)}? The" if near else "the"
    raise UsageError(f"{name} has no column {column!r}; {hint} columns are {listed(columns)}")


def _plain_name(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def _holds_text(column: pandas.Series) -> bool:
    present = column[column.notna()]
    return len(present) == 0 or any(isinstance(value, str) for value in present)


def _mean_length(column: pandas.Series) -> float:
    lengths = [len(value) for value in column if isinstance(value, str)]
    return sum(lengths) / len(lengths) if lengths else 0.0


# ---------------------------------------------------------------- out


def _text(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")


_WRITERS: dict[str, Callable[[Path], TableWriter]] = {
    ".csv": lambda path: CsvWriter(_text(path)),
    ".tsv": lambda path: CsvWriter(_text(path), delimiter="\t"),
    ".xlsx": WorkbookWriter,
    ".parquet": ParquetWriter,
    ".jsonl": lambda path: JsonLinesWriter(_text(path)),
    ".ndjson": lambda path: JsonLinesWriter(_text(path)),
}
OUTPUT_SUFFIXES = tuple(_WRITERS)


def refuse_collisions(table: Table, ours: Iterable[str]) -> None:
    """Raise :class:`DataError` if the input already has a column that the predictions will be called."""
    taken = [name for name in ours if name in table.columns]
    if taken:
        raise DataError(
            f"{table.name} already has a column called {listed(taken)}, which the predictions use; "
            "rename it in the input and run the command again"
        )


def check_output(output: Path, overwrite: bool = False, table: Table | None = None) -> None:
    """Refuse, before any work is done, an output that could not be written in the end.

    Raises:
        UsageError: The suffix is unknown, or ``output`` is the input itself.
        OutputError: ``output`` exists and ``overwrite`` is false, or a workbook cannot hold that many rows.
    """
    if output.suffix.lower() not in _WRITERS:
        raise UsageError(
            f"{output}: expected an output whose name ends in {', '.join(OUTPUT_SUFFIXES)}, "
            f"found {output.suffix or 'no ending'!r}; choose one of these"
        )
    with explain_write_errors(output):
        is_input = table is not None and output.exists() and table.path.exists() and output.samefile(table.path)
    if is_input:
        raise UsageError(f"{output} is the input itself, which is never changed; choose another name for --output")
    refuse_to_overwrite(output, overwrite)
    rows = table.total_rows if table else None
    if output.suffix.lower() == ".xlsx" and (rows or 0) >= workbooks.MOST_ROWS:
        raise OutputError(workbooks.explain_too_many(rows))


@contextmanager
def table_writer(output: Path, overwrite: bool = False) -> Iterator[TableWriter]:
    """Write a table, whole or not at all, in the format that the suffix of ``output`` names.

    Yields:
        The writer. After an error or an interrupt inside the block, ``output`` is as it was.

    Raises:
        UsageError: The suffix is unknown.
        OutputError: ``output`` exists and ``overwrite`` is false, or it cannot be written.
    """
    output = Path(output)
    check_output(output, overwrite)
    with whole_file(output, overwrite) as part:
        writer = _WRITERS[output.suffix.lower()](part)
        try:
            yield writer
            writer.finish()
        finally:
            writer.abandon()
