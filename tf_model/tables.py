"""Users' files in and out: rows are read and written in chunks, and their values stay as they are.

A file is read once from end to end before anything is made of it: a broken last line is then known in the first
second and not after an hour of predictions, and so is the number of rows. Both passes keep one chunk in memory.
(A workbook also keeps its table of shared strings: that is how the format works.)
"""

import codecs
import csv
import difflib
import json
import re
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from tf_model.errors import DataError, OutputError, TweetTargetError, UsageError
from tf_model.files import refuse_to_overwrite, whole_file

if TYPE_CHECKING:
    import pandas
    import pyarrow

STANDARD_INPUT = "-"
CHUNK_ROWS = 8_192
CHUNK_CHARACTERS = 2**25  # a chunk of huge cells ends early, so that rows of 10 MB need no 80 GB
SAMPLE_ROWS = 1_000  # rows looked at to choose the text column

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

# Limits of the format: "Excel specifications and limits", support.microsoft.com.
XLSX_ROWS = 1_048_576
XLSX_CHARACTERS = 32_767
XLSX_EXACT_INTEGER = 10**15  # a spreadsheet keeps 15 significant digits; longer ids are written as text


# ---------------------------------------------------------------------------------------------------- reading


@dataclass
class Table:
    """An input, checked and ready to be read in chunks. It is a context manager that closes what it holds.

    Attributes:
        name: What to call the input in messages.
        columns: Column names in the order of the file. They may repeat, as CSV allows.
        text_column: The column that holds the texts.
        reason: Why that column, in words.
        total_rows: Number of rows, or None where only the end of the input will tell.
        notes: Remarks for the user: bytes that were not UTF-8, blank rows, which sheet.
    """

    name: str
    columns: list[str]
    text_column: str
    reason: str
    total_rows: int | None
    notes: list[str]
    _text_position: int
    _source: "_Source"

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator["pandas.DataFrame"]:
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

    def texts(self, frame: "pandas.DataFrame") -> list[Any]:
        """The texts of one chunk; a missing one is None, NaN or NA."""
        return frame.iloc[:, self._text_position].tolist()

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __enter__(self) -> "Table":
        """Return the table itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def open_table(path: Path | str, column: str | None = None, sheet: str | None = None) -> Table:
    """Open a user's file, check all of it, and find its column of texts.

    Args:
        path: A .csv, .tsv, .xlsx, .parquet, .jsonl or .txt file, or "-" for standard input, one text a line.
        column: The column of texts. None: a usual name (:data:`TEXT_NAMES`), else the longest texts on average.
        sheet: The sheet of a workbook. None: the first.

    Returns:
        The table; use it in a ``with`` block.

    Raises:
        DataError: The file is missing, empty, of an unknown kind, corrupt, or has no column of text.
        UsageError: There is no such column or sheet.
    """
    source = _open_source(path, sheet)
    try:
        source.check()
        sample = next(source.frames(SAMPLE_ROWS), None) if source.rereadable else None
        sample = source.empty() if sample is None else sample
        position, reason = choose_text_column(sample, column, source.name)
    except BaseException:
        source.close()
        raise
    columns = [str(name) for name in source.columns]
    return Table(source.name, columns, columns[position], reason, source.total_rows, source.notes, position, source)


def table_of_texts(texts: Sequence[str]) -> Table:
    """A table with the one column ``text``, from texts in memory."""
    source = _Memory(texts)
    return Table(source.name, source.columns, "text", "given one by one", len(texts), [], 0, source)


def choose_text_column(sample: "pandas.DataFrame", column: str | None, name: str) -> tuple[int, str]:
    """Find the column of texts.

    Args:
        sample: The first rows.
        column: The name that the user gave, or None.
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
        raise DataError(f"{name}: expected a column of texts, but none of {_listed(columns)} holds text")
    if len(columns) == 1:
        return 0, "the only column"
    names = {_plain_name(columns[position]): position for position in reversed(textual)}
    for usual in TEXT_NAMES:
        if usual in names:
            return names[usual], "by its name"
    means = {position: _mean_length(sample.iloc[:, position]) for position in textual}
    longest = max(textual, key=means.__getitem__)
    return longest, f"no column has a usual name; its texts are the longest, {means[longest]:.0f} characters on average"


def refuse_collisions(table: Table, ours: Iterable[str]) -> None:
    """Raise :class:`DataError` if the input already has a column that the predictions will be called."""
    taken = [name for name in ours if name in table.columns]
    if taken:
        raise DataError(
            f"{table.name} already has a column called {_listed(taken)}, which the predictions use; "
            "rename it in the input and run the command again"
        )


def _named_column(columns: list[str], column: str, name: str) -> int:
    matches = [position for position, each in enumerate(columns) if each == column]
    matches = matches or [position for position, each in enumerate(columns) if _plain_name(each) == _plain_name(column)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{name} has {len(matches)} columns called {column!r}; rename all but one")
    near = difflib.get_close_matches(column, columns, n=3)
    hint = f"did you mean {_listed(near)}? " if near else ""
    raise UsageError(f"{name} has no column {column!r}; {hint}The columns are {_listed(columns)}")


def _plain_name(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def _holds_text(column: "pandas.Series") -> bool:
    present = column[column.notna()]
    return len(present) == 0 or any(isinstance(value, str) for value in present)


def _mean_length(column: "pandas.Series") -> float:
    lengths = [len(value) for value in column if isinstance(value, str)]
    return sum(lengths) / len(lengths) if lengths else 0.0


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


class _Source:
    """One kind of input. ``check`` finds the columns, counts the rows and raises what is wrong with them."""

    rereadable = True
    dtype: Any = object

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.name = str(path)
        self.columns: list[str] = []
        self.total_rows: int | None = None
        self.notes: list[str] = []

    def check(self) -> None:
        self.total_rows = sum(1 for _ in self.rows())
        if self.total_rows == 0:
            self.notes.append("there is a header and not one row")

    def rows(self) -> Iterator[Sequence[Any]]:
        """Every row, as values in the order of ``columns``."""
        raise NotImplementedError

    def frames(self, rows: int) -> Iterator["pandas.DataFrame"]:
        for batch in _batched(self.rows(), rows):
            yield self._frame(batch)

    def empty(self) -> "pandas.DataFrame":
        return self._frame([])

    def close(self) -> None:
        pass

    def _frame(self, rows: list[Sequence[Any]]) -> "pandas.DataFrame":
        import pandas

        return pandas.DataFrame(rows, columns=self.columns, dtype=self.dtype)


class _Memory(_Source):
    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__("the given texts")
        self.columns = ["text"]
        self.texts = texts

    def rows(self) -> Iterator[Sequence[Any]]:
        return ([text] for text in self.texts)


class _Lines(_Source):
    """A text file, one text a line."""

    dtype = "str"

    def check(self) -> None:
        self.columns = ["text"]
        self.notes += _encoding_notes(self.path)
        super().check()
        if not self.total_rows:
            raise DataError(_empty(self.name, "one text a line"))

    def rows(self) -> Iterator[Sequence[Any]]:
        for _, line in _text_lines(self.path):
            yield [line.rstrip("\r\n")]


class _StandardInput(_Source):
    """Standard input, one text a line: it can be read only once."""

    rereadable = False
    dtype = "str"

    def check(self) -> None:
        self.name = "standard input"
        self.columns = ["text"]

    def rows(self) -> Iterator[Sequence[Any]]:
        stream = _decoded(sys.stdin.buffer)
        nothing = True
        try:
            for _, line in _without_nul(stream, self.name):
                nothing = False
                yield [line.rstrip("\r\n")]
        finally:
            stream.detach()
        if nothing:
            raise DataError(_empty(self.name, "one text a line"))


class _Delimited(_Source):
    """CSV or TSV. Rows that do not fit the header are refused rather than guessed at."""

    dtype = "str"
    delimiter = ","
    quoting: Any = csv.QUOTE_MINIMAL

    def check(self) -> None:
        self.notes += _encoding_notes(self.path)
        if self.path.suffix.lower() == ".csv":
            self.delimiter = self._sniff()
            self._count()
            return
        self.delimiter = "\t"
        try:
            self._count()
        except DataError as error:
            # Many .tsv files know no quoting: a quote is a character like any other there.
            self.quoting = csv.QUOTE_NONE
            with suppress(DataError):
                self._count()
                self.notes.append('its double quotes do not pair up, so each " was read as an ordinary character')
                return
            raise error

    def rows(self) -> Iterator[Sequence[Any]]:
        width = len(self.columns)
        for line, row in islice(self._records(), 1, None):
            if len(row) != width:
                kind = "tab" if self.delimiter == "\t" else repr(self.delimiter)
                raise DataError(
                    f"{self.name}, line {line}: expected {width} fields, as in the header, found {len(row)}; "
                    f"put texts that hold a {kind}, a quote or a line break in double quotes, their own quotes doubled"
                )
            yield row

    def _count(self) -> None:
        self.columns = next((row for _, row in self._records()), [])
        if not self.columns:
            raise DataError(_empty(self.name, "a header line and one row for each text"))
        super().check()
        if self.blank_lines:
            self.notes.append(f"blank lines were left out: {self.blank_lines}")

    def _sniff(self) -> str:
        """The separator that is most frequent in the header outside of quotes; a comma where there is none."""
        header = ""
        for _, line in islice(_text_lines(self.path), 1_000):
            header += line
            if header.strip() and header.count('"') % 2 == 0:
                break
        return max(",;\t", key=re.sub('"[^"]*"', "", header).count)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line on which the record begins, fields), the header first, without blank lines."""
        csv.field_size_limit(sys.maxsize)
        lines = (line for _, line in _text_lines(self.path))
        reader = csv.reader(lines, delimiter=self.delimiter, quoting=self.quoting, strict=True)
        self.blank_lines = blank = 0
        while True:
            begins = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DataError(
                    f"{self.name}: the row that begins on line {begins} cannot be read ({error}); "
                    "write a quote inside a quoted text twice, and close each quoted text"
                ) from error
            if row:
                self.blank_lines += blank
                blank = 0
                yield begins, row
            else:
                blank += 1


class _JsonLines(_Source):
    """One JSON object a line. The columns are the fields of all lines; a field that a line lacks is missing there."""

    def check(self) -> None:
        self.notes += _encoding_notes(self.path)
        fields: dict[str, None] = {}
        self.total_rows = 0
        for record in self._records():
            fields.update(dict.fromkeys(record))
            self.total_rows += 1
        self.columns = list(fields)
        if not self.columns:
            raise DataError(_empty(self.name, 'one JSON object a line, such as {"text": "..."}'))

    def rows(self) -> Iterator[Sequence[Any]]:
        return ([record.get(field) for field in self.columns] for record in self._records())

    def _records(self) -> Iterator[dict[str, Any]]:
        for number, line in _text_lines(self.path):
            if not line.strip():
                continue
            try:
                record = json.loads(line, parse_constant=lambda _: None)
            except (ValueError, RecursionError) as error:
                reason = getattr(error, "msg", "too large or too deep")
                raise DataError(
                    f"{self.name}, line {number}: expected a JSON object, but this line is not JSON ({reason}); "
                    "correct it, with one whole object on each line"
                ) from error
            if not isinstance(record, dict):
                raise DataError(
                    f'{self.name}, line {number}: expected a JSON object such as {{"text": "..."}}, found a '
                    f"{type(record).__name__}; turn an array into lines with jq -c '.[]'"
                )
            yield record


class _Workbook(_Source):
    """One sheet of an .xlsx workbook: its first row that is not blank names the columns."""

    def __init__(self, path: Path | str, sheet: str | None) -> None:
        super().__init__(path)
        self.sheet_name = sheet
        self.book: Any = None

    def check(self) -> None:
        import openpyxl

        with _explain_workbook(self.name), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            self.book = openpyxl.load_workbook(self.path, read_only=True, data_only=True)
        self.sheet = self._find_sheet()
        header = next(self._rows_of_sheet(), None)
        if header is None:
            raise DataError(_empty(f"{self.name}, sheet {self.sheet.title!r}", "a header and one row for each text"))
        self.columns = ["" if value is None else str(value) for value in header]
        self.blank_rows = 0
        super().check()
        if self.blank_rows:
            self.notes.append(f"blank rows were left out: {self.blank_rows}")

    def rows(self) -> Iterator[Sequence[Any]]:
        width = len(self.columns)
        rows = self._rows_of_sheet()
        next(rows, None)
        for number, row in enumerate(rows, 2):
            if len(row) > width:
                raise DataError(
                    f"{self.name}, sheet {self.sheet.title!r}, row {number + self.blank_rows}: a value stands to the "
                    f"right of the last heading, {self.columns[-1]!r}; give that column a heading or delete the value"
                )
            yield row + [None] * (width - len(row))

    def close(self) -> None:
        if self.book is not None:
            self.book.close()

    def _find_sheet(self) -> Any:
        sheets = {sheet.title: sheet for sheet in self.book.worksheets}
        if self.sheet_name is not None:
            if self.sheet_name not in sheets:
                raise UsageError(f"{self.name} has no sheet {self.sheet_name!r}; its sheets are {_listed([*sheets])}")
            return sheets[self.sheet_name]
        if not sheets:
            raise DataError(f"{self.name}: expected a workbook with a sheet, found none")
        first = next(iter(sheets))
        if len(sheets) > 1:
            self.notes.append(f"reading the first sheet, {first!r}, of {_listed([*sheets])}; --sheet chooses another")
        return sheets[first]

    def _rows_of_sheet(self) -> Iterator[list[Any]]:
        """Rows without blank ones, each without the empty cells at its end."""
        self.blank_rows = blank = 0
        # Writers of workbooks get the dimensions wrong, and openpyxl would believe them.
        self.sheet.reset_dimensions()
        with _explain_workbook(self.name), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            for cells in self.sheet.iter_rows(values_only=True):
                row = [_from_excel(value) for value in cells]
                while row and row[-1] is None:
                    row.pop()
                if row:
                    self.blank_rows += blank
                    blank = 0
                    yield row
                else:
                    blank += 1


class _Parquet(_Source):
    """Parquet: each column keeps its Arrow type."""

    def check(self) -> None:
        import pyarrow
        import pyarrow.parquet

        try:
            self.file = pyarrow.parquet.ParquetFile(self.path)
            for _ in self.file.iter_batches(CHUNK_ROWS):
                pass
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(self._broken(error)) from error
        self.columns = self.file.schema_arrow.names
        self.total_rows = self.file.metadata.num_rows
        if not self.columns:
            raise DataError(_empty(self.name, "a column of texts"))
        twice = [name for name, count in Counter(self.columns).items() if count > 1]
        if twice:
            raise DataError(f"{self.name} has more than one column called {_listed(twice)}; rename all but one")

    def frames(self, rows: int) -> Iterator["pandas.DataFrame"]:
        import pyarrow

        try:
            for batch in self.file.iter_batches(rows):
                yield self._to_pandas(pyarrow.Table.from_batches([batch]))
        except pyarrow.ArrowException as error:
            raise DataError(self._broken(error)) from error

    def empty(self) -> "pandas.DataFrame":
        return self._to_pandas(self.file.schema_arrow.empty_table())

    def close(self) -> None:
        if hasattr(self, "file"):
            self.file.close()

    def _to_pandas(self, table: "pyarrow.Table") -> "pandas.DataFrame":
        import pandas

        return table.to_pandas(types_mapper=pandas.ArrowDtype, ignore_metadata=True)

    def _broken(self, error: Exception) -> str:
        return f"{self.name}: expected a Parquet file, but it cannot be read ({first_line(error)}); make it anew"


_TEXT_SOURCES = {
    ".csv": _Delimited,
    ".tsv": _Delimited,
    ".tab": _Delimited,
    ".jsonl": _JsonLines,
    ".ndjson": _JsonLines,
    ".json": _JsonLines,
    ".txt": _Lines,
}
INPUT_SUFFIXES = (*_TEXT_SOURCES, ".xlsx", ".parquet")


def _open_source(path: Path | str, sheet: str | None) -> _Source:
    name, suffix = str(path), Path(path).suffix.lower()
    if sheet is not None and suffix != ".xlsx":
        raise UsageError(f"--sheet chooses a sheet of an .xlsx workbook, and {name} is none; leave --sheet out")
    if name == STANDARD_INPUT:
        return _StandardInput(name)
    _refuse_unreadable(Path(path))
    if suffix == ".xlsx":
        return _Workbook(path, sheet)
    if suffix == ".parquet":
        return _Parquet(path)
    if suffix in _TEXT_SOURCES:
        return _TEXT_SOURCES[suffix](path)
    raise DataError(
        f"{name}: expected a file whose name ends in {', '.join(INPUT_SUFFIXES)}, found {suffix or 'no ending'!r}; "
        "save it as one of these"
    )


def _refuse_unreadable(path: Path) -> None:
    with _explain_read_errors(path):
        if path.is_dir():
            raise DataError(f"{path} is a folder; give the name of a file in it")
        if not path.exists():
            raise DataError(f"{path} does not exist; check the name, or give - to read standard input")
        if not path.is_file():
            raise DataError(f"{path} is not an ordinary file, and it must be read twice; give - to read standard input")
        if path.stat().st_size == 0:
            raise DataError(_empty(str(path), "at least one text"))


def _empty(name: str, expected: str) -> str:
    return f"{name} is empty: expected {expected}; check that this is the right input"


@contextmanager
def _explain_read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise DataError(f"cannot read {path}: {reason}; check the file and its permissions") from error


@contextmanager
def _explain_workbook(name: str) -> Iterator[None]:
    """Whatever openpyxl meets in a file that is not a workbook, as one :class:`DataError`."""
    try:
        yield
    except TweetTargetError:
        raise
    except PermissionError as error:
        raise DataError(f"cannot read {name}: {error.strerror}; check its permissions") from error
    except Exception as error:  # zip, XML, key and value errors: the ways to be corrupt have no common base
        reason = "not a zip archive" if isinstance(error, zipfile.BadZipFile) else type(error).__name__
        raise DataError(
            f"{name}: expected an .xlsx workbook, but it cannot be read ({reason}); "
            "open it in a spreadsheet program and save it again as .xlsx"
        ) from error


def first_line(error: BaseException) -> str:
    """What an exception says, without the lines below the first."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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


# ------------------------------------------------------------------------------------------------ characters

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FALLBACK = "tf_model_windows_1252"


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line with its ending). Only CR, LF and CR LF end a line: U+0085 and U+2028 do not."""
    with _explain_read_errors(path), path.open("rb") as stream:
        yield from _without_nul(_decoded(stream), str(path))


def _without_nul(lines: Iterable[str], name: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise DataError(
                f"{name}, line {number}: expected text, found a NUL character: this is not a text file, it is UTF-16 "
                "without a byte order mark, or it is damaged; save it as UTF-8"
            )
        yield number, line


def _decoded(stream: BinaryIO) -> TextIO:
    """The characters of ``stream``: UTF-8, or what its byte order mark says.

    Bytes that are not UTF-8 are read as Windows-1252, one by one, so that a file in which both are mixed is right.
    """
    import io

    codecs.register_error(_FALLBACK, _as_windows_1252)
    if not hasattr(stream, "peek"):
        stream = io.BufferedReader(stream)  # type: ignore[arg-type]
    beginning = stream.peek(4)[:4]  # type: ignore[attr-defined]
    for mark, encoding in _BYTE_ORDER_MARKS:
        if beginning.startswith(mark):
            return io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors=_FALLBACK, newline="")


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    characters = []
    for byte in error.object[error.start : error.end]:
        one = bytes([byte])
        try:
            characters.append(one.decode("cp1252"))
        except UnicodeDecodeError:  # five bytes have no meaning in Windows-1252
            characters.append(one.decode("latin-1"))
    return "".join(characters), error.end


def _encoding_notes(path: Path) -> list[str]:
    """A remark if the file is not UTF-8 throughout."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _explain_read_errors(path), path.open("rb") as stream:
        block = stream.read(2**20)
        if any(block.startswith(mark) for mark, _ in _BYTE_ORDER_MARKS):
            return []
        try:
            while block:
                decoder.decode(block)
                block = stream.read(2**20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return ["not all of it is UTF-8: the other bytes were read as Windows-1252"]
    return []


def well_formed(text: str) -> str:
    """``text`` with surrogate pairs joined and lone surrogates as U+FFFD, so that it can be encoded as UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


# ---------------------------------------------------------------------------------------------------- writing


class TableWriter:
    """Writes frames of one shape, one after the other.

    Attributes:
        notes: Remarks for the user, known when the last frame is written.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def write(self, frame: "pandas.DataFrame") -> None:
        """Append the rows of ``frame``; the first frame, which may be empty, also gives the header."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what is still held back, and close the file."""

    def abandon(self) -> None:
        """Let go of the file after an error."""


class CsvWriter(TableWriter):
    """Rows to a text stream that was opened with ``newline=""``, quoted only where needed."""

    def __init__(self, stream: TextIO, delimiter: str = ",") -> None:
        super().__init__()
        self.stream = stream
        self._writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        # The csv module quotes a cell for the characters of its own line ending only, and CR is not among them.
        self._quoting = csv.writer(stream, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._header_written = False

    def write(self, frame: "pandas.DataFrame") -> None:
        """Append the rows of ``frame``, after a header if it is the first."""
        if not self._header_written:
            self._row([as_text(name) for name in frame.columns])
            self._header_written = True
        for row in _rows(frame):
            self._row([as_text(value) for value in row])

    def _row(self, cells: list[str]) -> None:
        writer = self._quoting if any("\r" in cell for cell in cells) else self._writer
        writer.writerow(cells)

    def finish(self) -> None:
        """Close the stream."""
        self.stream.close()

    def abandon(self) -> None:
        """Close the stream, whatever it still holds."""
        with suppress(OSError):
            self.stream.close()


class JsonLinesWriter(TableWriter):
    """One JSON object a line to a text stream."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def write(self, frame: "pandas.DataFrame") -> None:
        """Append the rows of ``frame``."""
        names = _unique_names(frame, "JSON lines")
        for row in _rows(frame):
            record = {name: _as_json(value) for name, value in zip(names, row, strict=True)}
            text = json.dumps(record, ensure_ascii=False, allow_nan=False, default=as_text)
            # Python escapes C0 only; DEL and C1 would reach a terminal as they are, and half a pair no file.
            self.stream.write(re.sub("[\x7f-\x9f\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")

    def finish(self) -> None:
        """Close the stream."""
        self.stream.close()

    def abandon(self) -> None:
        """Close the stream, whatever it still holds."""
        with suppress(OSError):
            self.stream.close()


class _ParquetWriter(TableWriter):
    """Parquet, with the types that the first frame shows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.writer: Any = None

    def write(self, frame: "pandas.DataFrame") -> None:
        import pyarrow
        import pyarrow.parquet

        names = _unique_names(frame, "Parquet")
        columns = [frame.iloc[:, position] for position in range(len(names))]
        if self.writer is None:
            self.schema = pyarrow.schema([(n, _arrow_type(c)) for n, c in zip(names, columns, strict=True)])
            self.writer = pyarrow.parquet.ParquetWriter(self.path, self.schema)
        arrays = [_to_arrow(column, field) for column, field in zip(columns, self.schema, strict=True)]
        if len(frame):
            self.writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self.schema))

    def finish(self) -> None:
        self.writer.close()

    def abandon(self) -> None:
        if self.writer is not None:
            with suppress(OSError, ValueError):
                self.writer.close()


class _WorkbookWriter(TableWriter):
    """A workbook with one sheet, written row by row. Texts stay texts: none becomes a formula or an error."""

    def __init__(self, path: Path) -> None:
        import openpyxl

        super().__init__()
        self.path = path
        self.book = openpyxl.Workbook(write_only=True)
        self.sheet = self.book.create_sheet("Predictions")
        self.rows = 0
        self.cut = 0

    def write(self, frame: "pandas.DataFrame") -> None:
        if self.rows == 0:
            self._append(frame.columns)
        for row in _rows(frame):
            self._append(row)

    def _append(self, row: Iterable[Any]) -> None:
        self.rows += 1
        if self.rows > XLSX_ROWS:
            raise OutputError(too_many_rows(None))
        self.sheet.append([self._cell(value) for value in row])

    def _cell(self, value: Any) -> Any:
        from openpyxl.cell import WriteOnlyCell

        value = _as_excel(value)
        if not isinstance(value, str):
            return value
        text, whole = _fit_cell(value)
        self.cut += not whole
        cell = WriteOnlyCell(self.sheet, value=text)
        cell.data_type = "s"
        return cell

    def finish(self) -> None:
        self.book.save(self.path)
        if self.cut:
            self.notes.append(
                f"texts cut to {XLSX_CHARACTERS:,} characters, the most that a cell of a workbook holds: {self.cut}; "
                "write a .csv file to keep them whole"
            )

    def abandon(self) -> None:
        if not self.sheet.closed:
            with suppress(OSError, ValueError):
                self.sheet.close()


def _open_csv(path: Path) -> TableWriter:
    return CsvWriter(path.open("w", encoding="utf-8", newline=""))


def _open_tsv(path: Path) -> TableWriter:
    return CsvWriter(path.open("w", encoding="utf-8", newline=""), delimiter="\t")


def _open_json_lines(path: Path) -> TableWriter:
    return JsonLinesWriter(path.open("w", encoding="utf-8", newline=""))


_WRITERS: dict[str, Callable[[Path], TableWriter]] = {
    ".csv": _open_csv,
    ".tsv": _open_tsv,
    ".xlsx": _WorkbookWriter,
    ".parquet": _ParquetWriter,
    ".jsonl": _open_json_lines,
    ".ndjson": _open_json_lines,
}
OUTPUT_SUFFIXES = tuple(_WRITERS)


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
    if table is not None and output.exists() and Path(table.name).exists() and output.samefile(table.name):
        raise UsageError(f"{output} is the input itself, which is never changed; choose another name for --output")
    refuse_to_overwrite(output, overwrite)
    rows = table.total_rows if table else None
    if output.suffix.lower() == ".xlsx" and (rows or 0) >= XLSX_ROWS:
        raise OutputError(too_many_rows(rows))


def too_many_rows(rows: int | None) -> str:
    """The message for an input that is longer than a sheet."""
    found = "there are more" if rows is None else f"there are {rows:,}"
    return f"a sheet of a workbook holds {XLSX_ROWS - 1:,} rows below its header, and {found}; write .csv or .parquet"


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


def _rows(frame: "pandas.DataFrame") -> Iterator[tuple[Any, ...]]:
    """The rows of ``frame`` as Python values; a missing one is None."""
    return zip(*(_values(frame.iloc[:, position]) for position in range(frame.shape[1])), strict=True)


def _values(column: "pandas.Series") -> list[Any]:
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
        return well_formed(json.dumps(_as_json(value), ensure_ascii=False, default=as_text))
    return str(value)


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    if isinstance(value, datetime | time):
        return value.isoformat()
    if isinstance(value, float) and value - value != 0:  # NaN and infinity: JSON has no word for them
        return None
    return value


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED_CONTROL = re.compile("_x(00[01][0-9A-Fa-f]|FFF[EFef]|fff[ef])_|_x005F_(?=x[0-9A-Fa-f]{4}_)")


def _fit_cell(text: str) -> tuple[str, bool]:
    """The text as a workbook holds it, and whether it is whole.

    XML has no control characters: Office Open XML writes them as ``_xHHHH_`` (ECMA-376 part 1, 22.9.2.19), and a text
    that looks like that with its first underscore so escaped. Length is counted in UTF-16 units.
    """
    units = text.encode("utf-16-le")
    whole = len(units) <= 2 * XLSX_CHARACTERS
    text = text if whole else units[: 2 * XLSX_CHARACTERS].decode("utf-16-le", "ignore")
    return _CONTROL.sub(lambda found: f"_x{ord(found[0]):04X}_", text), whole


def _from_excel(value: Any) -> Any:
    if not isinstance(value, str) or "_x" not in value:
        return value
    return _ESCAPED_CONTROL.sub(lambda found: chr(int(found[1], 16)) if found[1] else "_", value)


def _as_excel(value: Any) -> Any:
    """A value as a type that a workbook knows; what it could not hold exactly becomes text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < XLSX_EXACT_INTEGER else str(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, datetime | time):
        return value if value.tzinfo is None and getattr(value, "year", 1900) >= 1900 else value.isoformat()
    if type(value).__module__ == "datetime":
        return value
    return as_text(value)


def _unique_names(frame: "pandas.DataFrame", kind: str) -> list[str]:
    names = [str(name) for name in frame.columns]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise OutputError(
            f"{kind} cannot hold two columns of the same name, and the input has {_listed(twice)} more than once; "
            "write .csv, or rename them"
        )
    return names


def _arrow_type(column: "pandas.Series") -> "pyarrow.DataType":
    """The Arrow type of a column: its own where it has one, and text where its objects are of several kinds."""
    import pyarrow

    if column.dtype == "str":
        return pyarrow.string()
    try:
        found = pyarrow.array(_arrow_values(column), from_pandas=True).type
    except (pyarrow.ArrowException, OverflowError):
        return pyarrow.string()
    return pyarrow.string() if column.dtype == object and pyarrow.types.is_null(found) else found


def _to_arrow(column: "pandas.Series", field: "pyarrow.Field") -> "pyarrow.ChunkedArray":
    import pyarrow

    values = _arrow_values(column)
    if column.dtype == object and field.type == pyarrow.string():
        values = [None if value is None else as_text(value) for value in values]
    try:
        array = pyarrow.array(values, type=field.type, from_pandas=True)
    except (pyarrow.ArrowException, OverflowError) as error:
        raise OutputError(
            f"column {field.name!r} began as {field.type}, and a later value is of another kind "
            f"({first_line(error)}); Parquet wants one type in a column: write .jsonl or .csv"
        ) from error
    return array if isinstance(array, pyarrow.ChunkedArray) else pyarrow.chunked_array([array])


def _arrow_values(column: "pandas.Series") -> Any:
    if column.dtype != object:
        return column
    return [well_formed(value) if isinstance(value, str) else value for value in _values(column)]
