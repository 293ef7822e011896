"""Read and write text files: CSV, TSV, JSON lines, one text per line, and standard input.

CSV is not read with pyarrow.csv, which takes the rest of the file as one value after a quote that is never closed,
fails at bytes that are not UTF-8, and does not count blank lines.
"""

import csv
import json
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, islice
from typing import Any, TextIO

from tf_model.errors import DataError, quoted
from tf_model.io import characters
from tf_model.io.base import Table, TableWriter, as_json, as_text, explain_empty, rows_of, unique_names
from tf_model.io.characters import well_formed
from tf_model.io.files import explain_read_errors

_NUL = "expected text, found a NUL character, as in UTF-16"
MOST_CHARACTERS = 2**24  # of a line, or of a cell of several lines; more is not a text, and would fill the memory
_NOT_UTF_8 = "not all of it is UTF-8: the other bytes were read as Windows-1252"
_JOINED = 'some rows have several lines, each like a row of its own: if they are, write each " in a text twice'
_LONGEST = 20  # lines of a text; a longer one began with a quote that was not closed
_UNCLOSED = "unexpected end of data"  # the csv module's words for a quote that is never closed


class _TextFile(Table):
    """A file of lines. Only CR, LF and CR LF end a line: U+0085 and U+2028 do not."""

    def lines(self) -> Iterator[str]:
        """Yield the lines with their endings."""
        with explain_read_errors(self.path), self.path.open("rb") as stream:
            yield from self.limited_lines(characters.text_stream(stream))

    def note_separators(
        self, advice: str, signs: Mapping[str, str] = {"\t": "tabs", ";": "semicolons", "|": "|"}
    ) -> None:
        """Note if the first two texts have as many of a sign as each other, like rows of several columns."""
        texts = [text for _, (text,) in islice(self.rows(), 2)]
        for sign, name in signs.items():
            if len(texts) == 2 and texts[0].count(sign) == texts[1].count(sign) > 0:
                words = f"each line is read as one text, but the first two have {name}"
                self.notes.append(f"{words}; if they separate columns, {advice}")

    def limited_lines(self, stream: TextIO) -> Iterator[str]:
        """Yield the decoded lines of ``stream``; :class:`DataError` if a line is too long."""
        for number in count(1):
            line = stream.readline(MOST_CHARACTERS + 1)
            if len(line) > MOST_CHARACTERS:
                advice = "is there one text per line?"
                raise DataError(f"{self.name}, line {number}: longer than {MOST_CHARACTERS:,} characters; {advice}")
            if not line:
                return
            text = characters.decode_other_bytes(line)
            if text != line and _NOT_UTF_8 not in self.notes:
                self.notes.append(_NOT_UTF_8)
            yield text


class Lines(_TextFile):
    """A file with one text per line."""

    dtype = "str"

    def check(self) -> None:
        """Read every line once, and say if the first two look like columns, as Excel's "Unicode Text" does."""
        super().check()
        self.note_separators("let the name of the file end in .tsv", {"\t": "tabs"})

    def records(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield the name of the only column, then one row per line, without the line ending."""
        yield 0, ["text"]
        number = 0
        for number, line in enumerate(self.lines(), 1):
            if "\0" in line:
                raise DataError(f"{self.name}, line {number}: {_NUL}; save it as UTF-8")
            yield number, [line.rstrip("\r\n")]
        if number == 0:
            raise DataError(explain_empty(self.name, "one text per line"))


class StandardInput(Lines):
    """Standard input, one text per line. It can be read only once, so errors show up while it is used."""

    def check(self) -> None:
        """Set the column, and read nothing."""
        self.name, self.columns = "standard input", ["text"]

    def lines(self) -> Iterator[str]:
        """Yield the lines with their endings."""
        stream = characters.text_stream(sys.stdin.buffer)
        try:
            yield from self.limited_lines(stream)
        finally:
            stream.detach()


class Delimited(_TextFile):
    """CSV or TSV. Rows that do not fit the header are refused or set aside, never guessed."""

    dtype = "str"
    first_row = 2
    delimiter = "\t"
    quoting: Any = csv.QUOTE_MINIMAL

    def check(self) -> None:
        """Find the separator, and read every row once.

        The separator of a CSV file is the most frequent one in its header, outside quotes; of two, not the
        comma. If the quotes of a TSV file do not pair up, as many tools write it, quoting is ignored.
        """
        is_csv = self.path.suffix.lower() == ".csv"
        if is_csv:
            lines = filter(str.strip, self.lines())
            header = next(lines, "")
            if re.fullmatch("(?i)sep=.?", header.strip()):
                raise DataError(f"{self.name}: its first line, {header.strip()!r}, is only for Excel; delete it")
            if re.search('(^|[,;\t])"', re.sub('"[^"]*"', "", header)):  # a heading goes on in the next line
                for line in lines:
                    header += line
                    if line.count('"') % 2 or len(header) > MOST_CHARACTERS:
                        break
            bare = re.sub('"[^"]*("|$)', "", header)
            self.delimiter = max(",;\t", key=lambda sign: (bare.count(sign), sign != "," and sign in bare))
        try:
            super().check()
            if len(self.columns) == 1 and not self.on_bad_row:
                self.note_separators("delete the lines above the header, or save it with commas")
        except DataError as error:
            if is_csv:
                raise
            self.quoting = csv.QUOTE_NONE
            self.notes = ['its double quotes do not pair up, so each " was read as an ordinary character']
            try:
                super().check()
            except DataError:
                raise error from None  # the later one may be of a text of several lines

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the header, then the rows, without blank lines. A text of several lines is one row."""
        width = 0
        for number, (line, lines, fields, reason) in enumerate(self._records(), 1):
            if fields and len(fields) != (width or len(fields)):
                reason = f"expected {width} fields, as in the header, found {len(fields)}"
            if any("\0" in each for each in lines):
                reason = _NUL
            if not width and not reason and len(fields) > 1 and not any(map(str.strip, fields)):
                continue  # ;;; is how Excel writes a blank row above the header
            if not reason and fields:
                width = len(fields)
                is_like_rows = len(lines) > 1 and width > 1 + (self.delimiter == ",")
                if is_like_rows and all(each.count(self.delimiter) == width - 1 for each in lines):
                    self.notes += [_JOINED] if _JOINED not in self.notes else []
                yield number, fields
            elif reason and self.on_bad_row and width and reason != _UNCLOSED:
                self.on_bad_row(line, reason, "".join(lines).rstrip("\r\n"))
            elif reason:
                advice = (
                    "save it as UTF-8, without lines above the header, with each text in double quotes and the quotes "
                    "in it doubled"
                )
                raise DataError(f"{self.name}, line {line}: {reason}; {advice}")
        if not width:
            raise DataError(explain_empty(self.name, "a header line and one row for each text"))

    def _records(self) -> Iterator[tuple[int, list[str], list[str], str]]:
        """Yield the number of the first line of each record, its lines, and its fields or why it cannot be read.

        If bad rows are set aside, a long record that cannot be read ends after its first line: other records follow.
        """
        lines: list[str] = []  # of one record
        again: deque[str] = deque()  # to be read once more
        file_lines = self.lines()

        def remember() -> Iterator[str]:
            while (each := again.popleft() if again else next(file_lines, None)) is not None:
                lines.append(each)
                yield each

        csv.field_size_limit(MOST_CHARACTERS)  # the module's default is 131,072
        options = {"delimiter": self.delimiter, "quoting": self.quoting, "strict": True}
        reader, line = csv.reader(remember(), **options), 1
        while True:
            fields, reason = [], ""
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = str(error)
                if self.on_bad_row and len(lines) > _LONGEST:
                    again.extendleft(reversed(lines[1:]))
                    del lines[1:]
                    if reason == _UNCLOSED:  # then the reader is at its end
                        reason, reader = "a quote is never closed", csv.reader(remember(), **options)
            yield line, lines, fields, reason
            line += len(lines)
            lines.clear()


class JsonLines(_TextFile):
    """One JSON object per line. The columns are the fields of all lines; a line without a field has a missing value."""

    def records(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield the names of all fields, then one row per object."""
        if not self.columns:
            fields: dict[str, None] = {}
            cells = 0
            for _, record in self._objects():
                fields.update(dict.fromkeys(record))
                cells += _cells(record)
                self.refuse_beyond_limits(columns=len(fields), cells=cells)
            self.columns = list(fields)
        if not self.columns:
            raise DataError(explain_empty(self.name, 'one JSON object per line, such as {"text": "..."}'))
        yield 0, self.columns
        for line, record in self._objects():
            yield line, [record.get(field) for field in self.columns]

    def _objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (line, object), without blank lines."""
        for number, line in enumerate(self.lines(), 1):
            if not line.strip():
                continue
            self.characters += len(line)
            try:
                record = json.loads(line, parse_constant=lambda _: None)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise DataError(
                    f'{self.name}, line {number}: expected a JSON object on each line, such as {{"text": "..."}}, '
                    f"found {quoted(line.strip())}; turn an array into lines with jq -c '.[]'"
                )
            yield number, {well_formed(name): value for name, value in record.items()}


def _cells(record: dict[str, Any]) -> int:
    """The number of values in a JSON object, at any depth."""
    cells, nested = 0, [record]
    while nested:
        value = nested.pop()
        values = value.values() if isinstance(value, dict) else value
        cells += len(values)
        nested += [each for each in values if isinstance(each, dict | list)]
    return cells


class _TextWriter(TableWriter):
    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        self.stream.close()


class CsvWriter(_TextWriter):
    """Writes rows to a text stream opened with ``newline=""``, and quotes only where needed."""

    def __init__(self, stream: TextIO, delimiter: str = ",") -> None:
        super().__init__(stream)
        self._writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        # Before Python 3.13, the csv module quotes a cell for CR only if its own line ending has one.
        self._quoting = csv.writer(stream, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._header_written = False

    def write(self, frame: Any) -> None:
        """Append the rows of ``frame``, after a header if it is the first."""
        header = [] if self._header_written else [frame.columns]
        self._header_written = True
        for row in chain(header, rows_of(frame)):
            cells = [as_text(value) for value in row]
            writer = self._quoting if any("\r" in cell for cell in cells) else self._writer
            writer.writerow(cells)


class JsonLinesWriter(_TextWriter):
    """Writes one JSON object per line to a text stream."""

    def write(self, frame: Any) -> None:
        """Append the rows of ``frame``."""
        names = unique_names(frame, "JSON lines")
        for row in rows_of(frame):
            self.stream.write(json_line(dict(zip(names, row, strict=True))) + "\n")


def json_line(record: Mapping[str, Any]) -> str:
    """A JSON object as one line that is safe in any file and on any terminal."""
    # Python escapes only C0; DEL and C1 would reach a terminal, and half a surrogate pair cannot be written to a file.
    return re.sub("[\x7f-\x9f\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", as_json(record))
