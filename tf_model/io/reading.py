"""Open a user's file, check all of it, and read it in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model.errors import DataError, UsageError
from tf_model.io import formats, text_files
from tf_model.io.files import explain_read_errors
from tf_model.io.parquet import Parquet
from tf_model.io.text_column import choose_text_column
from tf_model.io.workbooks import Workbook

if TYPE_CHECKING:
    import pandas

STANDARD_INPUT = "-"
SAMPLE_ROWS = 1_000  # rows looked at to choose the text column

_SOURCES = {**text_files.SOURCES, ".xlsx": Workbook, ".parquet": Parquet}
INPUT_SUFFIXES = tuple(_SOURCES)


@dataclass
class Table:
    """An input, checked and ready to be read in chunks. It is a context manager that closes what it holds.

    Attributes:
        name: What to call the input in messages.
        columns: Column names in the order of the file. They may repeat, as CSV allows.
        text_column: The column that holds the texts.
        reason: Why that column, in words.
        total_rows: Number of rows, or None where only the end of the input will tell.
        first_row: The number that the file itself gives to its first row: 2 below a header, else 1.
        notes: Remarks for the user: bytes that were not UTF-8, blank rows, which sheet.
    """

    name: str
    columns: list[str]
    text_column: str
    reason: str
    total_rows: int | None
    first_row: int
    notes: list[str]
    _text_position: int
    _source: formats.Source

    def chunks(self, rows: int = formats.CHUNK_ROWS) -> Iterator[pandas.DataFrame]:
        """Yield the rows in order, at most ``rows`` at a time; at least one frame, which may be empty.

        Text files give strings only ("007", "1e5" and "NA" stay what they are), Parquet its own types, workbooks
        and JSON lines the values of each cell as objects.

        Raises:
            DataError: The input cannot be read on.
        """
        nothing = True
        for frame in self._source.frames(rows):
            nothing = False
            yield frame
        if nothing:
            yield self._source.empty()

    def texts(self, frame: pandas.DataFrame) -> list[Any]:
        """The texts of one chunk; a missing one is None, NaN or NA."""
        return frame.iloc[:, self._text_position].tolist()

    def row_numbers(self) -> Iterator[int]:
        """The number of each row in the file, for which it is read once more.

        Text files and workbooks are counted as a spreadsheet shows them, JSON lines by the line; blank rows and lines
        count, though :meth:`chunks` leaves them out.
        """
        return self._source.row_numbers()

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __enter__(self) -> Table:
        """Return the table itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def open_table(
    path: Path | str,
    column: str | None = None,
    sheet: str | None = None,
    limits: formats.Limits | None = None,
    *,
    sheet_option: str = "--sheet",
) -> Table:
    """Open a user's file, check all of it, and find its column of texts.

    Args:
        path: A .csv, .tsv, .xlsx, .parquet, .jsonl or .txt file, or "-" for standard input, one text a line.
        column: The column of texts. None: see :func:`tf_model.io.text_column.choose_text_column`.
        sheet: The sheet of a workbook. None: the first.
        limits: For a file of somebody else. None: any size, in chunks.
        sheet_option: What a user names the sheet with, for messages.

    Returns:
        The table; use it in a ``with`` block.

    Raises:
        DataError: The file is missing, empty, of an unknown kind, corrupt, or has no column of text.
        TooLargeError: It is beyond the limits.
        UsageError: There is no such column or sheet.
    """
    source = _open_source(path, sheet, sheet_option)
    try:
        source.limits = limits
        source.check()
        sample = next(source.frames(SAMPLE_ROWS), None) if source.rereadable else None
        sample = source.empty() if sample is None else sample
        position, reason = choose_text_column(sample, column, source.name)
    except BaseException:
        source.close()
        raise
    return _table(source, position, reason)


def table_of_texts(texts: Sequence[str]) -> Table:
    """A table with the one column ``text``, from texts in memory."""
    return _table(formats.TextsInMemory(texts), 0, "given one by one")


def _table(source: formats.Source, position: int, reason: str) -> Table:
    columns = [str(name) for name in source.columns]
    return Table(
        source.name,
        columns,
        columns[position],
        reason,
        source.total_rows,
        source.first_row,
        source.notes,
        position,
        source,
    )


def _open_source(path: Path | str, sheet: str | None, option: str) -> formats.Source:
    name, suffix = str(path), Path(path).suffix.lower()
    if sheet is not None and suffix != ".xlsx":
        raise UsageError(f"{option} chooses a sheet of an .xlsx workbook, and {name} is none; leave {option} out")
    if name == STANDARD_INPUT:
        return text_files.StandardInput(name)
    _refuse_unreadable(Path(path))
    if suffix not in _SOURCES:
        raise DataError(
            f"{name}: expected a file whose name ends in {', '.join(INPUT_SUFFIXES)}, "
            f"found {suffix or 'no ending'!r}; save it as one of these"
        )
    return Workbook(path, sheet, option) if suffix == ".xlsx" else _SOURCES[suffix](path)


def _refuse_unreadable(path: Path) -> None:
    with explain_read_errors(path):
        if path.is_dir():
            raise DataError(f"{path} is a folder; give the name of a file in it")
        if not path.exists():
            raise DataError(f"{path} does not exist; check the name, or give - to read standard input")
        if not path.is_file():
            raise DataError(f"{path} is not an ordinary file, and it must be read twice; give - to read standard input")
        if path.stat().st_size == 0:
            raise DataError(formats.explain_empty(str(path), "at least one text"))
        path.open("rb").close()  # the permission
