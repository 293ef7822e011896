"""What every format provides: a :class:`Source` of rows, and a :class:`TableWriter`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model.errors import DataError

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

    def check(self, name: str, *, rows: int = 0, columns: int = 0, unpacked: int = 0) -> None:
        """Raise :class:`TooLargeError` for what is more."""
        for found, most, what in (
            (rows, self.rows, f"{self.rows:,} rows"),
            (columns, self.columns, f"{self.columns:,} columns"),
            (unpacked, self.bytes, f"{self.bytes / 1e6:,.0f} MB when it is unpacked"),
        ):
            if found > most:
                raise TooLargeError(f"{name} has more than {what}, and no more are taken")


class TooLargeError(DataError):
    """A file is whole, and larger than somebody takes."""


class Source:
    """One input, not yet checked.

    Attributes:
        rereadable: Whether the rows can be read more than once.
        first_row: The number that the file itself gives to its first row: 2 below a header, else 1.
        dtype: Of every column of the frames.
        path: The file.
        name: What to call the input in messages.
        columns: Column names in the order of the file, known after :meth:`check`.
        total_rows: Number of rows, known after :meth:`check`, None where only the end of the input will tell.
        notes: Remarks for the user, complete after :meth:`check`.
        limits: For a file of somebody else; None: any size.
    """

    rereadable = True
    first_row = 1
    dtype: Any = object

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.name = str(path)
        self.columns: list[str] = []
        self.total_rows: int | None = None
        self.notes: list[str] = []
        self.limits: Limits | None = None

    def check(self) -> None:
        """Find the columns, count the rows, and raise what is wrong with any of them."""
        self._refuse_beyond_limits(columns=len(self.columns))
        self.total_rows = 0
        for _ in self.rows():
            self.total_rows += 1
            self._refuse_beyond_limits(rows=self.total_rows)
        if self.total_rows == 0:
            self.notes.append("there is a header and not one row")

    def rows(self) -> Iterator[Sequence[Any]]:
        """Every row, as values in the order of ``columns``."""
        raise NotImplementedError

    def row_numbers(self) -> Iterator[int]:
        """The number of every row as whoever opens the file finds it: of JSON the line, else the row of a sheet.

        What :meth:`rows` leaves out is counted.
        """
        return (number for number, _ in enumerate(self.rows(), self.first_row))

    def frames(self, rows: int) -> Iterator[pandas.DataFrame]:
        """The rows in order, at most ``rows`` at a time."""
        for batch in _batched(self.rows(), rows):
            yield self._frame(batch)

    def empty(self) -> pandas.DataFrame:
        """A frame with the columns and no row."""
        return self._frame([])

    def close(self) -> None:
        """Close the file, if it is held open."""

    def _refuse_beyond_limits(self, **found: int) -> None:
        if self.limits:
            self.limits.check(self.name, **found)

    def _frame(self, rows: list[Sequence[Any]]) -> pandas.DataFrame:
        import pandas

        return pandas.DataFrame(rows, columns=self.columns, dtype=self.dtype)


class TextsInMemory(Source):
    """Texts that were given one by one."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__("the given texts")
        self.columns = ["text"]
        self.total_rows = len(texts)
        self.texts = texts

    def rows(self) -> Iterator[Sequence[Any]]:
        """One text a row."""
        return ([text] for text in self.texts)


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


def _batched(rows: Iterable[Sequence[Any]], most: int) -> Iterator[list[Sequence[Any]]]:
    """Lists of at most ``most`` rows, and of about :data:`CHUNK_CHARACTERS` characters."""
    batch: list[Sequence[Any]] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += sum(len(value) for value in row if isinstance(value, str))
        if len(batch) >= most or characters >= CHUNK_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
