"""Text files in and out: CSV, TSV, JSON lines, one text a line, and standard input.

CSV is read by Python's csv module and not by pyarrow.csv, which takes a quote that is never closed for the rest of the
file, fails at a cell beyond its block and at bytes that are not UTF-8, and does not count blank lines.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count, islice
from typing import TYPE_CHECKING, Any, TextIO

from tf_model.errors import DataError
from tf_model.io import characters
from tf_model.io.files import explain_read_errors
from tf_model.io.formats import BadRow, Table, TableWriter, as_json, as_text, explain_empty, rows_of, unique_names

if TYPE_CHECKING:
    import pandas

_UNCLOSED = "unexpected end of data"  # the csv module's words for a quote that is never closed


# ---------------------------------------------------------------- in


def _find_separator(lines: Iterable[str]) -> str:
    """Comma, semicolon or tab, whichever is most frequent outside of quotes in the header, which is a line or more."""
    header = ""
    for line in islice(lines, 1_000):
        header += line
        if header.strip() and header.count('"') % 2 == 0:
            break
    return max(",;\t", key=re.sub('"[^"]*"', "", header).count)


class _TextFile(Table):
    """A file of lines. Only CR, LF and CR LF end a line: U+0085 and U+2028 do not."""

    def numbered_lines(self) -> Iterator[tuple[int, str]]:
        """Yield (number from 1, line with its ending)."""
        with explain_read_errors(self.path), self.path.open("rb") as stream:
            yield from self._number(characters.decoded(stream))

    def _number(self, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(lines, 1):
            if "\0" in line and not self.on_bad_row:
                raise DataError(
                    f"{self.name}, line {number}: expected text, found a NUL character: this is not a text file, it is "
                    "UTF-16 without a byte order mark, or it is damaged; save it as UTF-8"
                )
            yield number, line

    def check(self) -> None:
        """Read every row once, and note whether there are bytes that are not UTF-8."""
        with explain_read_errors(self.path), self.path.open("rb") as stream:
            if not characters.is_unicode(stream):
                self.notes.append("not all of it is UTF-8: the other bytes were read as Windows-1252")
        super().check()


class Lines(_TextFile):
    """One text a line."""

    dtype = "str"

    def find_columns(self) -> None:
        """There is but one."""
        self.columns = ["text"]

    def rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """One line a row, without its ending."""
        number = 0
        for number, line in self.numbered_lines():
            yield number, [line.rstrip("\r\n")]
        if number == 0:
            raise DataError(explain_empty(self.name, "one text a line"))


class StandardInput(Lines):
    """Standard input, one text a line: it can be read only once, so what is wrong with it is seen on the way."""

    def check(self) -> None:
        """Read nothing."""
        self.name = "standard input"
        self.find_columns()

    def numbered_lines(self) -> Iterator[tuple[int, str]]:
        """Yield (number from 1, line with its ending)."""
        stream = characters.decoded(sys.stdin.buffer)
        try:
            yield from self._number(stream)
        finally:
            stream.detach()


class Delimited(_TextFile):
    """CSV or TSV. Rows that do not fit the header are refused, or set aside, rather than guessed at."""

    dtype = "str"
    first_row = 2
    delimiter = "\t"
    quoting: Any = csv.QUOTE_MINIMAL

    def check(self) -> None:
        """Read every row once, of a TSV file that knows no quoting without it."""
        try:
            super().check()
        except DataError as error:
            if self.path.suffix.lower() == ".csv":
                raise
            self.notes.clear()
            self.quoting = csv.QUOTE_NONE
            try:
                super().check()
            except DataError:
                raise error from None
            self.notes.append('its double quotes do not pair up, so each " was read as an ordinary character')

    def find_columns(self) -> None:
        """Find the separator and the header."""
        if self.path.suffix.lower() == ".csv":
            self.delimiter = _find_separator(line for _, line in self.numbered_lines())
        _, self.columns = next(self._records(), (0, []))
        if not self.columns:
            raise DataError(explain_empty(self.name, "a header line and one row for each text"))

    def rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """Every record below the header, without blank lines. A text of several lines is one row of a spreadsheet."""
        return islice(self._records(), 1, None)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (number as a spreadsheet counts, fields), the header first."""
        lines: list[str] = []  # of one record

        def remember() -> Iterator[str]:
            for _, each in self.numbered_lines():
                lines.append(each)
                yield each

        csv.field_size_limit(sys.maxsize)  # the module itself stops at 131,072 characters
        reader = csv.reader(remember(), delimiter=self.delimiter, quoting=self.quoting, strict=True)
        width = 0
        for number in count(1):
            lines.clear()
            line = reader.line_num + 1
            set_aside = self.on_bad_row if width else None  # without its header no row can be read
            try:
                fields = next(reader, None)
            except csv.Error as error:
                if not set_aside or str(error) == _UNCLOSED:
                    raise DataError(
                        f"{self.name}: the row that begins on line {line} cannot be read ({error}); "
                        "write a quote inside a quoted text twice, and close each quoted text"
                    ) from error
                set_aside(BadRow(line, str(error), "".join(lines).rstrip("\r\n")))
                continue
            if fields is None:
                return
            if not fields:
                continue
            width = width or len(fields)
            reason = ""
            if len(fields) != width:
                reason = f"expected {width} fields, as in the header, found {len(fields)}"
            elif self.on_bad_row and any("\0" in field for field in fields):
                reason = "it holds a NUL character"
            if not reason:
                yield number, fields
            elif set_aside:
                set_aside(BadRow(line, reason, "".join(lines).rstrip("\r\n")))
            else:
                kind = "tab" if self.delimiter == "\t" else repr(self.delimiter)
                raise DataError(
                    f"{self.name}, line {line}: {reason}; put texts that hold a {kind}, a quote or a line break in "
                    "double quotes, their own quotes doubled"
                )


class JsonLines(_TextFile):
    """One JSON object a line. The columns are the fields of all lines; a field that a line lacks is missing there."""

    def find_columns(self) -> None:
        """Collect the fields of all lines."""
        fields: dict[str, None] = {}
        for _, record in self._records():
            fields.update(dict.fromkeys(record))
            self.refuse_beyond_limits(columns=len(fields))
        self.columns = list(fields)
        if not self.columns:
            raise DataError(explain_empty(self.name, 'one JSON object a line, such as {"text": "..."}'))

    def rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """One object a row."""
        return ((line, [record.get(field) for field in self.columns]) for line, record in self._records())

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
            self._row(frame.columns)
            self._header_written = True
        for row in rows_of(frame):
            self._row(row)

    def _row(self, row: Iterable[Any]) -> None:
        cells = [as_text(value) for value in row]
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
    return re.sub("[\x7f-\x9f\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)
