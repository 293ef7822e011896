"""What every format provides, a :class:`Table` to read and a :class:`TableWriter`, and the values in them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model.errors import DataError, OutputError, listed
from tf_model.io.characters import well_formed

if TYPE_CHECKING:
    import pandas

CHUNK_ROWS = 8_192
CHUNK_CHARACTERS = 2**25  # a chunk of huge cells ends early, so that rows of 10 MB need no 80 GB


@dataclass(frozen=True)
class Limits:
    """How much of other people's files is read at most, so that none takes the whole machine.

    Attributes:
        rows: Below the header.
        columns: Of the table.
        bytes: Of the table when it is unpacked: workbooks and Parquet may hold a thousand times of what they weigh.
    """

    rows: int
    columns: int
    bytes: int


class TooLargeError(DataError):
    """A file is whole, and larger than the limits."""


@dataclass(frozen=True)
class BadRow:
    """A row of a CSV file that cannot be read.

    Attributes:
        line: The line on which it begins, from 1.
        reason: What is wrong with it.
        record: The row as it stands in the file.
    """

    line: int
    reason: str
    record: str


class Table:
    """An input, read in chunks. It is a context manager that closes what it holds.

    Attributes:
        name: What to call the input in messages.
        columns: Column names in the order of the file. They may repeat, as CSV allows.
        text_column: The column that holds the texts.
        reason: Why that column, in words.
        total_rows: Number of rows, or None where only the end of the input will tell.
        first_row: The number that the file itself gives to its first row: 2 below a header, else 1.
        notes: Remarks for the user: bytes that were not UTF-8, blank rows, which sheet.
        limits: For a file of somebody else; None: any size.
        on_bad_row: Is given the rows of a CSV file that cannot be read; None: such a row is an error.
    """

    first_row = 1
    dtype: Any = object  # of every column of the chunks
    blank = "blank lines"  # what is left out

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.name = str(path)
        self.columns: list[str] = []
        self.text_column, self.text_position, self.reason = "", 0, ""
        self.total_rows: int | None = None
        self.notes: list[str] = []
        self.limits: Limits | None = None
        self.on_bad_row: Callable[[BadRow], None] | None = None

    def check(self) -> None:
        """Find the columns, count the rows, and raise :class:`DataError` for what is wrong with any of them."""
        self.find_columns()
        self.refuse_beyond_limits(columns=len(self.columns))
        if self.on_bad_row:
            return
        self.total_rows = blank = 0
        for number, _ in self.rows():
            blank = number - self.first_row - self.total_rows
            self.total_rows += 1
            self.refuse_beyond_limits(rows=self.total_rows)
        if blank:
            self.notes.append(f"{self.blank} were left out: {blank}")
        if self.total_rows == 0:
            self.notes.append("there is a header and not one row")

    def find_columns(self) -> None:
        """Set ``columns``, and whatever else must be known to read the rows."""
        raise NotImplementedError

    def rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """The number of every row as whoever opens the file finds it, and its values in the order of ``columns``.

        Numbers are those of a spreadsheet, of JSON the lines. Blank rows are left out and counted.
        """
        raise NotImplementedError

    def row_numbers(self) -> Iterator[int]:
        """The number of each row in the file, for which it is read once more; see :meth:`rows`."""
        return (number for number, _ in self.rows())

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[pandas.DataFrame]:
        """Yield the rows in order, at most ``rows`` at a time; at least one frame, which may be empty.

        Text files give strings only ("007", "1e5" and "NA" stay what they are), Parquet its own types, workbooks
        and JSON lines the values of each cell as objects.

        Raises:
            DataError: The input cannot be read on.
        """
        chunk: list[Sequence[Any]] = []
        characters, is_first = 0, True
        for _, row in self.rows():
            chunk.append(row)
            characters += sum(len(value) for value in row if isinstance(value, str))
            if len(chunk) >= rows or characters >= CHUNK_CHARACTERS:
                yield self.frame(chunk)
                chunk, characters, is_first = [], 0, False
        if chunk or is_first:
            yield self.frame(chunk)

    def texts(self, frame: pandas.DataFrame) -> list[Any]:
        """The texts of one chunk; a missing one is None, NaN or NA."""
        return frame.iloc[:, self.text_position].tolist()

    def frame(self, rows: list[Sequence[Any]]) -> pandas.DataFrame:
        """Rows of values as a frame."""
        import pandas

        return pandas.DataFrame(rows, columns=self.columns, dtype=self.dtype)

    def refuse_beyond_limits(self, *, rows: int = 0, columns: int = 0, unpacked: int = 0) -> None:
        """Raise :class:`TooLargeError` for what is more than the limits."""
        if not self.limits:
            return
        for size, limit, what in (
            (rows, self.limits.rows, f"{self.limits.rows:,} rows"),
            (columns, self.limits.columns, f"{self.limits.columns:,} columns"),
            (unpacked, self.limits.bytes, f"{self.limits.bytes / 1e6:,.0f} MB when it is unpacked"),
        ):
            if size > limit:
                raise TooLargeError(f"{self.name} has more than {what}, and no more are taken")

    def close(self) -> None:
        """Close the file, if it is held open."""

    def __enter__(self) -> Table:
        """Return the table itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


class TextsInMemory(Table):
    """Texts that were given one by one."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__("the given texts")
        self.columns = ["text"]
        self.text_column, self.reason = "text", "given one by one"
        self.total_rows = len(texts)
        self._texts = texts

    def rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """One text a row."""
        return ((number, [text]) for number, text in enumerate(self._texts, 1))


class TableWriter:
    """Writes frames of one shape, one after the other.

    Attributes:
        notes: Remarks for the user, known when the last frame is written.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def write(self, frame: pandas.DataFrame) -> None:
        """Append the rows of ``frame``; the first frame, which may be empty, also gives the header."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what is still held back, and close the file."""

    def abandon(self) -> None:
        """Let go of the file after an error."""


def explain_empty(name: str, expected: str) -> str:
    """The message for an input that holds nothing."""
    return f"{name} is empty: expected {expected}; check that this is the right input"


# ---------------------------------------------------------------- values


def rows_of(frame: pandas.DataFrame) -> Iterator[tuple[Any, ...]]:
    """The rows of ``frame`` as Python values; a missing one is None."""
    return zip(*(values_of(frame.iloc[:, position]) for position in range(frame.shape[1])), strict=True)


def values_of(column: pandas.Series) -> list[Any]:
    """The values of ``column`` as Python values; a missing one is None."""
    values = column.tolist()
    if column.dtype.kind == "f" and column.dtype.itemsize == 4:
        # 0.9 as float32 is 0.9, not the 0.8999999761581421 of its float64 neighbour.
        values = [float(str(value)) for value in column.to_numpy("float32", na_value=float("nan"))]
    return [None if gone else value for value, gone in zip(values, column.isna().to_numpy(), strict=True)]


def as_text(value: Any) -> str:
    """A value as a cell of a text file: a missing one is empty, a list or a mapping is JSON."""
    if isinstance(value, str):
        return well_formed(value)
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict | list):
        return well_formed(json.dumps(as_json(value), ensure_ascii=False, default=as_text))
    return str(value)


def as_json(value: Any) -> Any:
    """A value as the types that JSON has; what has no word there, NaN and infinity, is None."""
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, datetime | time):
        return value.isoformat()
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def unique_names(frame: pandas.DataFrame, kind: str) -> list[str]:
    """The names of the columns; :class:`OutputError` if two are the same, for a format that must tell them apart."""
    names = [str(name) for name in frame.columns]
    twice = repeated(names)
    if twice:
        raise OutputError(
            f"{kind} cannot hold two columns of the same name, and the input has {listed(twice)} more than once; "
            "write .csv, or rename them"
        )
    return names


def repeated(names: list[str]) -> list[str]:
    """The names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1]
