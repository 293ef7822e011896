"""The interface of every format: a :class:`Table` to read, a :class:`TableWriter`, and the values in them."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, time
from itertools import count, islice
from pathlib import Path
from typing import Any

from tf_model.errors import DataError, OutputError, TweetTargetError, first_line
from tf_model.io.characters import well_formed
from tf_model.io.files import explain_read_errors

CHUNK_ROWS = 8_192
CHUNK_CELLS = 2**22  # per chunk: fewer rows of a wide table are held at once
CHUNK_CHARACTERS = 2**22  # of JSON per chunk, which as Python objects take up to 40 times their size


@dataclass(frozen=True)
class Limits:
    """The most that is read of a file; uploads have lower limits."""

    rows: float = math.inf  # below the header
    columns: float = 16_384  # as many as a workbook has
    cells: float = math.inf  # a list or an object counts as its values
    bytes: float = math.inf  # unpacked: a workbook or Parquet file may hold a thousand times its size


class TooLargeError(DataError):
    """A file exceeds the limits."""


class Table(AbstractContextManager["Table"]):
    """An input, read in chunks; a context manager that closes the file."""

    first_row = 1  # the number of the first row in the file: 2 below a header
    dtype: Any = object  # of every column of the chunks
    expected = advice = ""  # for a damaged file: what is expected, and what to do

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.name = str(path)  # in messages
        self.columns: list[str] = []  # in the order of the file; names may repeat, as CSV allows
        self.text_column, self.text_position = "", 0  # the column that holds the texts
        self.reason = ""  # why this column was chosen, in words
        self.total_rows: int | None = None  # None: unknown until the end of the input
        self.notes: list[str] = []  # remarks for the user
        self.characters = 0  # of JSON, read so far
        self.limits = Limits()
        self.checked_stamp: tuple[int, ...] | None = None  # `stamp` of the checked file; None: it has none
        # Gets the line where a row that cannot be read begins, the reason, and the row itself; None: it is an error.
        self.on_bad_row: Callable[[int, str, str], None] | None = None

    def check(self) -> None:
        """Find the columns, count the rows, and raise :class:`DataError` if any is invalid."""
        records = self.records()
        self.columns = [as_text(name) for name in next(records)[1]]
        self.refuse_beyond_limits(columns=len(self.columns))
        if self.on_bad_row:
            return
        self.total_rows = blank_rows = 0
        # But for the first column, which may hold row numbers.
        unnamed = {at for at, name in enumerate(self.columns) if at and not name.strip()}
        with_values: set[int] = set()
        for number, row in records:
            if unnamed:
                with_values.update(at for at in unnamed - with_values if row[at] not in (None, ""))
            blank_rows = number - self.first_row - self.total_rows
            self.total_rows += 1
            self.refuse_beyond_limits(rows=self.total_rows)
        if blank_rows:
            self.notes.append(f"blank rows were left out: {blank_rows}")
        if with_values:
            advice = "if the header has two rows, make one of them"
            self.notes.append(f"columns with values, but without a heading: {len(with_values)}; {advice}")
        if self.total_rows == 0:
            self.notes.append("there is a header, but no rows")

    def records(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield the names of the columns, then each non-blank row, with its number in a spreadsheet (JSON: line)."""
        raise NotImplementedError

    def rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield each non-blank row: its number, and its values."""
        return islice(self.records(), 1, None)

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[Any]:
        """Yield data frames of at most ``rows`` rows in order; at least one, which may be empty.

        CSV, TSV and .txt give strings only ("007" and "NA" stay as they are), Parquet its own types, others objects.
        """
        values = (row for _, row in self.rows())
        rows = self._chunk_rows(rows)
        for number in count():
            begin, chunk = self.characters, []
            for row in islice(values, rows):
                chunk.append(row)
                if self.characters - begin >= CHUNK_CHARACTERS:
                    break
            self.refuse_changed()
            if not chunk and number:
                return
            yield self.frame(chunk)

    def stamp(self) -> tuple[int, ...]:
        """Inode, size and time of the file, which change when the file does."""
        with explain_read_errors(self.path):
            status = self.path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns

    def refuse_changed(self) -> None:
        """Raise :class:`DataError` if the file has changed since it was checked."""
        if self.checked_stamp and self.checked_stamp != self.stamp():
            raise DataError(f"{self.name} changed while it was being read; wait until it is written, and start again")

    def _chunk_rows(self, rows: int) -> int:
        return max(min(rows, CHUNK_CELLS // max(len(self.columns), 1)), 1)

    def texts(self, frame: Any) -> list[Any]:
        """The texts of one chunk; a missing one is None, NaN or NA."""
        return frame.iloc[:, self.text_position].tolist()

    def frame(self, rows: list[Sequence[Any]]) -> Any:
        """Make a frame of rows of values."""
        import pandas

        return pandas.DataFrame(rows, columns=self.columns, dtype=self.dtype)

    def refuse_beyond_limits(self, rows: int = 0, columns: int = 0, cells: int = 0, unpacked: int = 0) -> None:
        """Raise :class:`TooLargeError` if a number exceeds its limit."""
        for size, limit, unit in (
            (rows, self.limits.rows, "rows"),
            (columns, self.limits.columns, "columns"),
            (max(cells, rows * len(self.columns)), self.limits.cells, "cells"),
            (unpacked, self.limits.bytes, "bytes when unpacked"),
        ):
            if size > limit:
                raise TooLargeError(f"{self.name} has more than {limit:,} {unit}, the most allowed")

    @contextmanager
    def explain_damage(self) -> Iterator[None]:
        """Turn any error of a library that reads the file into a :class:`DataError`."""
        try:
            yield
        except TweetTargetError:
            raise
        except Exception as error:  # the libraries' errors have no common base
            reason = f"cannot be read ({type(error).__name__}: {first_line(error)})"
            raise DataError(f"{self.name}: expected {self.expected}, but it {reason}; {self.advice}") from error

    def close(self) -> None:
        """Close the file if it is open."""

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


class TextsInMemory(Table):
    """Texts in memory as a table with the single column ``text``."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__("the given texts")
        self.columns, self.text_column, self.reason = ["text"], "text", "the only column"
        self.total_rows = len(texts)
        self._texts = texts

    def records(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield the header, then one row per text."""
        return enumerate([["text"], *([text] for text in self._texts)])


class TableWriter(AbstractContextManager["TableWriter"]):
    """Writes frames of one shape, one after the other; a context manager that closes the file."""

    def __init__(self) -> None:
        self.notes: list[str] = []  # for the user, complete when the last frame is written

    def write(self, frame: Any) -> None:
        """Append the rows of ``frame``; the first frame, which may be empty, also gives the header."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what is still buffered."""


def explain_empty(name: str, expected: str) -> str:
    """The message for an empty input."""
    return f"{name} is empty: expected {expected}; check that this is the right input"


def rows_of(frame: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of ``frame`` as Python values; a missing one is None."""
    return zip(*(values_of(frame.iloc[:, position]) for position in range(frame.shape[1])), strict=True)


def values_of(column: Any) -> list[Any]:
    """The values of ``column`` as Python values; a missing one is None."""
    values = column.tolist()
    if column.dtype.kind == "f" and column.dtype.itemsize == 4:
        # 0.9 as float32 is 0.9, not the 0.8999999761581421 of its float64 neighbour.
        values = [float(str(value)) for value in column.to_numpy("float32", na_value=float("nan"))]
    return [None if is_missing else value for value, is_missing in zip(values, column.isna().to_numpy(), strict=True)]


def as_text(value: Any) -> str:
    """A value as a cell of a text file: None is empty, a list or a mapping is JSON."""
    if isinstance(value, str):
        return well_formed(value)
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return well_formed(as_json(value)) if isinstance(value, dict | list) else str(value)


def as_json(value: Any) -> str:
    """A value as JSON on one line; NaN and infinity, which JSON lacks, become null."""

    def plain(value: Any) -> str:
        return value.isoformat() if isinstance(value, datetime | time) else as_text(value)

    # NaN can only be replaced when JSON is read.
    value = json.loads(json.dumps(value, default=plain), parse_constant=lambda _: None)
    return json.dumps(value, ensure_ascii=False)


def unique_names(frame: Any, kind: str) -> list[str]:
    """The names of the columns; :class:`OutputError` if two are equal, for formats that do not allow this."""
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise OutputError(f"{kind} cannot hold two columns of the same name; write .csv, or rename them in the input")
    return names
