"""Text files in and out: CSV, TSV, JSON lines, one text a line, and standard input."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tf_model.errors import DataError
from tf_model.io import characters
from tf_model.io.files import explain_read_errors
from tf_model.io.formats import Source, TableWriter, explain_empty
from tf_model.io.values import as_json, as_text, rows_of, unique_names

if TYPE_CHECKING:
    import pandas


# ---------------------------------------------------------------- in


def find_separator(lines: Iterable[str]) -> str:
    """The separator of a CSV file: comma, semicolon or tab, whichever is most frequent in the header outside of quotes.

    Args:
        lines: The lines of the file; only the header is read, which may go over several. A comma where there is none.
    """
    header = ""
    for line in islice(lines, 1_000):
        header += line
        if header.strip() and header.count('"') % 2 == 0:
            break
    return max(",;\t", key=re.sub('"[^"]*"', "", header).count)


def csv_rows(lines: Iterable[str], delimiter: str, **options: Any) -> Any:
    """A ``csv.reader`` with these options for fields of any length: the module itself stops at 131,072 characters."""
    csv.field_size_limit(sys.maxsize)
    return csv.reader(lines, delimiter=delimiter, **options)


class _TextFile(Source):
    """A file of lines. Only CR, LF and CR LF end a line: U+0085 and U+2028 do not."""

    def numbered_lines(self) -> Iterator[tuple[int, str]]:
        """Yield (number from 1, line with its ending)."""
        with explain_read_errors(self.path), self.path.open("rb") as stream:
            yield from characters.numbered_lines(characters.decoded(stream), self.name)

    def check(self) -> None:
        """Read every row once, and note whether there are bytes that are not UTF-8."""
        with explain_read_errors(self.path), self.path.open("rb") as stream:
            if not characters.is_unicode(stream):
                self.notes.append("not all of it is UTF-8: the other bytes were read as Windows-1252")
        self.check_rows()

    def check_rows(self) -> None:
        """Find the columns and read every row once."""
        super().check()


class Lines(_TextFile):
    """One text a line."""

    dtype = "str"

    def check_rows(self) -> None:
        """Count the lines."""
        self.columns = ["text"]
        super().check_rows()
        if not self.total_rows:
            raise DataError(explain_empty(self.name, "one text a line"))

    def rows(self) -> Iterator[Sequence[Any]]:
        """One line a row, without its ending."""
        return ([line.rstrip("\r\n")] for _, line in self.numbered_lines())


class StandardInput(Source):
    """Standard input, one text a line: it can be read only once."""

    rereadable = False
    dtype = "str"

    def check(self) -> None:
        """Read nothing: what is wrong is found on the way."""
        self.name = "standard input"
        self.columns = ["text"]

    def rows(self) -> Iterator[Sequence[Any]]:
        """One line a row, without its ending."""
        stream = characters.decoded(sys.stdin.buffer)
        nothing = True
        try:
            for _, line in characters.numbered_lines(stream, self.name):
                nothing = False
                yield [line.rstrip("\r\n")]
        finally:
            stream.detach()
        if nothing:
            raise DataError(explain_empty(self.name, "one text a line"))


class Delimited(_TextFile):
    """CSV or TSV. Rows that do not fit the header are refused rather than guessed at."""

    dtype = "str"
    first_row = 2
    delimiter = ","
    quoting: Any = csv.QUOTE_MINIMAL

    def check_rows(self) -> None:
        """Find the separator, the kind of quoting and the header, and read every row once."""
        if self.path.suffix.lower() == ".csv":
            self.delimiter = find_separator(line for _, line in self.numbered_lines())
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
        """Every record below the header, without blank lines."""
        width = len(self.columns)
        for line, row in islice(self._records(), 1, None):
            if len(row) != width:
                kind = "tab" if self.delimiter == "\t" else repr(self.delimiter)
                raise DataError(
                    f"{self.name}, line {line}: expected {width} fields, as in the header, found {len(row)}; "
                    f"put texts that hold a {kind}, a quote or a line break in double quotes, their own quotes doubled"
                )
            yield row

    def row_numbers(self) -> Iterator[int]:
        """As a spreadsheet shows the rows: a blank line is one, a text of several lines is one."""
        return (number + self.blank_lines for number in super().row_numbers())

    def _count(self) -> None:
        self.columns = next((row for _, row in self._records()), [])
        if not self.columns:
            raise DataError(explain_empty(self.name, "a header line and one row for each text"))
        super().check_rows()
        if self.blank_lines:
            self.notes.append(f"blank lines were left out: {self.blank_lines}")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line on which the record begins, fields), the header first, without blank lines."""
        lines = (line for _, line in self.numbered_lines())
        reader = csv_rows(lines, self.delimiter, quoting=self.quoting, strict=True)
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


class JsonLines(_TextFile):
    """One JSON object a line. The columns are the fields of all lines; a field that a line lacks is missing there."""

    def check_rows(self) -> None:
        """Collect the fields of all lines, and count the lines."""
        fields: dict[str, None] = {}
        self.total_rows = 0
        for _, record in self._records():
            fields.update(dict.fromkeys(record))
            self.total_rows += 1
            self._refuse_beyond_limits(rows=self.total_rows, columns=len(fields))
        self.columns = list(fields)
        if not self.columns:
            raise DataError(explain_empty(self.name, 'one JSON object a line, such as {"text": "..."}'))

    def rows(self) -> Iterator[Sequence[Any]]:
        """One object a row."""
        return ([record.get(field) for field in self.columns] for _, record in self._records())

    def row_numbers(self) -> Iterator[int]:
        """The line of every object."""
        return (line for line, _ in self._records())

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (line, object), without blank lines."""
        for number, line in self.numbered_lines():
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
            yield number, record


SOURCES: dict[str, type[Source]] = {
    ".csv": Delimited,
    ".tsv": Delimited,
    ".tab": Delimited,
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": JsonLines,
    ".txt": Lines,
}


# ---------------------------------------------------------------- out


class _TextWriter(TableWriter):
    """Rows to a text stream, which it closes."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def finish(self) -> None:
        """Close the stream."""
        self.stream.close()

    def abandon(self) -> None:
        """Close the stream, whatever it still holds."""
        with suppress(OSError):
            self.stream.close()


class CsvWriter(_TextWriter):
    """Rows to a text stream that was opened with ``newline=""``, quoted only where needed."""

    def __init__(self, stream: TextIO, delimiter: str = ",") -> None:
        super().__init__(stream)
        self._writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        # The csv module quotes a cell for the characters of its own line ending only, and CR is not among them.
        self._quoting = csv.writer(stream, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._header_written = False

    def write(self, frame: pandas.DataFrame) -> None:
        """Append the rows of ``frame``, after a header if it is the first."""
        if not self._header_written:
            self._row([as_text(name) for name in frame.columns])
            self._header_written = True
        for row in rows_of(frame):
            self._row([as_text(value) for value in row])

    def _row(self, cells: list[str]) -> None:
        writer = self._quoting if any("\r" in cell for cell in cells) else self._writer
        writer.writerow(cells)


class JsonLinesWriter(_TextWriter):
    """One JSON object a line to a text stream."""

    def write(self, frame: pandas.DataFrame) -> None:
        """Append the rows of ``frame``."""
        names = unique_names(frame, "JSON lines")
        for row in rows_of(frame):
            self.stream.write(json_line(dict(zip(names, row, strict=True))) + "\n")


def json_line(record: Mapping[str, Any]) -> str:
    """One JSON object as one line that any file and any terminal takes."""
    record = {name: as_json(value) for name, value in record.items()}
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, default=as_text)
    # Python escapes C0 only; DEL and C1 would reach a terminal as they are, and half a pair no file.
    return re.sub("[\x7f-\x9f\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def open_csv(path: Path) -> TableWriter:
    """A new CSV file."""
    return CsvWriter(path.open("w", encoding="utf-8", newline=""))


def open_tsv(path: Path) -> TableWriter:
    """A new TSV file."""
    return CsvWriter(path.open("w", encoding="utf-8", newline=""), delimiter="\t")


def open_json_lines(path: Path) -> TableWriter:
    """A new file of JSON lines."""
    return JsonLinesWriter(path.open("w", encoding="utf-8", newline=""))
