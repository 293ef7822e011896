"""Read and write workbooks (.xlsx) cell by cell: a text stays a text, never a formula, a number or an error.

python-calamine is faster, but holds a whole sheet in memory, turns 1 into 1.0 and leaves out error cells.
"""

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

from tf_model.errors import DataError, OutputError, UsageError, listed
from tf_model.io.base import Table, TableWriter, as_text, explain_empty, rows_of, values_of
from tf_model.io.characters import well_formed

# Limits of the format: "Excel specifications and limits", support.microsoft.com.
MOST_ROWS, MOST_COLUMNS = 1_048_576, 16_384
MOST_CHARACTERS = 32_767  # in a cell, in UTF-16 units
MOST_WIDTH, WIDTH_ROWS = 60, 1_000  # of a column in characters, and the rows that decide it
HEADER_ROWS = 1_000  # in which the header of a sheet is looked for, if there are several sheets
MOST_BYTES = 2**62  # of a member of the archive
EXACT_DIGITS = 15  # that a spreadsheet keeps of a number; longer ids are written as text

# Control characters are written as _xHHHH_, and an underscore that begins such a pattern as _x005F_ (ECMA-376, 22.9).
_TO_ESCAPE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


class Workbook(Table):
    """One sheet of a workbook: its first non-blank row names the columns."""

    first_row = 2
    expected, advice = "an .xlsx workbook", "save it again as .xlsx, without a password"
    book: Any = None

    def __init__(
        self, path: Path | str, sheet: str | None, sheet_option: str, is_text_column: Callable[[str], bool]
    ) -> None:
        super().__init__(path)
        self.sheet_name, self.sheet_option, self.is_text_column = sheet, sheet_option, is_text_column

    def check(self) -> None:
        """Find the sheet, and read every row once."""
        import openpyxl

        warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")  # of styles that it does not read
        with self.explain_damage():
            self._unpack()
            self.book = openpyxl.load_workbook(self.path, read_only=True, data_only=True)
            self.sheet = self._find_sheet()
        super().check()

    def _unpack(self) -> None:
        """Count the unpacked bytes, and let zipfile compare their size and checksum with the archive's index."""
        with zipfile.ZipFile(self.path) as archive:
            unpacked = 0
            for member in archive.infolist():
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError("it is compressed in another way than workbooks are")
                # By the index alone, zipfile would unpack at once what lies beyond the size that a file claims.
                claimed, member.file_size = member.file_size, MOST_BYTES
                with archive.open(member) as file:
                    size = 0
                    while piece := file.read(2**16):
                        size += len(piece)
                        self.refuse_beyond_limits(unpacked=unpacked + size)
                if size != claimed:
                    raise ValueError("it unpacks to another size than it says")
                unpacked += size

    def records(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield every non-blank row of the sheet; the first is the header."""
        name, header, characters = f"{self.name}, sheet {self.sheet.title!r}", [], 0
        for number, row in self._filled_rows(self.sheet):
            characters += sum(len(value) for value in row if isinstance(value, str))
            self.refuse_beyond_limits(unpacked=characters)  # the file stores a text once for many cells
            header = header or row
            if len(row) > len(header):
                reason = f"a value is to the right of the last heading, {header[-1]!r}"
                advice = "name its column, or delete the rows above the header"
                raise DataError(f"{name}, row {number}: {reason}; {advice}")
            yield number, row + [None] * (len(header) - len(row))
        if not header:
            raise DataError(explain_empty(name, "a header and one row for each text"))

    def close(self) -> None:
        """Close the workbook, and free its texts, which openpyxl holds in memory."""
        if self.book is not None:
            self.book.close()
            self.book = self.sheet = None

    def _find_sheet(self) -> Any:
        """The named sheet, else the first with a column for texts, else the first with several columns, else the first.

        A sheet with a single column may be a cover page. A hidden sheet must be named.
        """
        sheets = {sheet.title: sheet for sheet in self.book.worksheets}
        if self.sheet_name is not None:
            if self.sheet_name not in sheets:
                raise UsageError(f"{self.name} has no sheet {self.sheet_name!r}; its sheets are {listed(sheets)}")
            return sheets[self.sheet_name]
        visible = {name: sheet for name, sheet in sheets.items() if sheet.sheet_state == "visible"} or sheets
        headers = {name: next(self._filled_rows(sheet, HEADER_ROWS), (0, []))[1] for name, sheet in visible.items()}
        with_texts = [name for name, header in headers.items() if any(map(self.is_text_column, map(as_text, header)))]
        with_columns = [name for name, header in headers.items() if len(header) > 1]
        name, *_ = (*with_texts, *with_columns, *headers)
        if len(sheets) > 1:
            self.notes.append(f"reading the sheet {name!r} of {listed(sheets)}; {self.sheet_option} chooses another")
        return sheets[name]

    def _filled_rows(self, sheet: Any, last: int | None = None) -> Iterator[tuple[int, list[Any]]]:
        """Yield (number, cells) of each non-blank row up to ``last``, without the empty cells at its end."""
        from openpyxl.utils.escape import unescape

        # Some programs write wrong dimensions, which openpyxl would trust.
        sheet.reset_dimensions()
        with self.explain_damage():
            for number, cells in enumerate(sheet.iter_rows(max_row=last, values_only=True), 1):
                if number > MOST_ROWS:  # openpyxl counts up to any row number that a cell claims
                    raise ValueError(f"more than {MOST_ROWS:,} rows")
                row = [well_formed(unescape(value)) if isinstance(value, str) else value for value in cells]
                while row and row[-1] is None:
                    row.pop()
                if row:
                    yield number, row


class WorkbookWriter(TableWriter):
    """Writes a workbook with one sheet, row by row; its header has filters and stays in sight."""

    def __init__(self, path: Path) -> None:
        import openpyxl

        super().__init__()
        self.path = path
        self.book = openpyxl.Workbook(write_only=True)
        self.sheet = self.book.create_sheet("Predictions")
        self.sheet.freeze_panes = "A2"
        self.rows = self.shortened = 0

    def write(self, frame: Any) -> None:
        """Append the rows of ``frame``, after a header if it is the first."""
        if not self.rows:
            if (count := frame.shape[1]) > MOST_COLUMNS:
                raise OutputError(
                    f"a sheet holds {MOST_COLUMNS:,} columns, there are {count:,}; write .csv or .parquet"
                )
            self._set_widths(frame)
        for row in chain([] if self.rows else [frame.columns], rows_of(frame)):
            self.rows += 1
            if self.rows > MOST_ROWS:
                raise OutputError(explain_too_many("there are more"))
            self.sheet.append([self._cell(value) for value in row])

    def _set_widths(self, frame: Any) -> None:
        """Make each column as wide as the longest of its first values; the format needs widths before any row."""
        from openpyxl.utils import get_column_letter

        for number, name in enumerate(map(str, frame.columns)):
            self.letter = get_column_letter(number + 1)  # after the loop, that of the last column
            values = [name, *map(as_text, values_of(frame.iloc[:WIDTH_ROWS, number]))]
            self.sheet.column_dimensions[self.letter].width = min(max(map(len, values)) + 3, MOST_WIDTH)

    def _cell(self, value: Any) -> Any:
        from openpyxl.cell import WriteOnlyCell

        value = _exact(value)
        if not isinstance(value, str):
            return value
        units = value.encode("utf-16-le")
        if len(units) > 2 * MOST_CHARACTERS:
            self.shortened += 1
            value = units[: 2 * MOST_CHARACTERS].decode("utf-16-le", "ignore")
        cell = WriteOnlyCell(self.sheet, value=_TO_ESCAPE.sub(lambda match: f"_x{ord(match[0]):04X}_", value))
        cell.data_type = "s"
        return cell

    def finish(self) -> None:
        """Save the workbook."""
        if self.rows:
            self.sheet.auto_filter.ref = f"A1:{self.letter}{self.rows}"
        # Saved in memory first: on a full disk openpyxl would leave the file open, and Python print a traceback later.
        content = BytesIO()
        self.book.save(content)
        self.path.write_bytes(content.getbuffer())
        if self.shortened:
            limit = f"{MOST_CHARACTERS:,} characters, the most that a cell of a workbook holds"
            self.notes.append(f"texts cut to {limit}: {self.shortened}; write a .csv file to keep them whole")

    def __exit__(self, *_: object) -> None:
        """Close the sheet and its temporary file."""
        if not self.sheet.closed:
            self.sheet.close()


def explain_too_many(how_many: str) -> str:
    """The message for too many rows for a sheet."""
    return (
        f"a sheet of a workbook holds {MOST_ROWS - 1:,} rows below its header, but {how_many}; write .csv or .parquet"
    )


def _exact(value: Any) -> Any:
    """A value in a type that a workbook has; a value that it cannot hold exactly becomes text."""
    if isinstance(value, date | time):  # a datetime is a date
        is_exact = getattr(value, "tzinfo", None) is None and getattr(value, "year", 1900) >= 1900
        return value if is_exact else value.isoformat()
    if isinstance(value, int):
        return value if abs(value) < 10**EXACT_DIGITS else str(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, Decimal):
        return value if len(value.as_tuple().digits) <= EXACT_DIGITS else str(value)
    return value if value is None or isinstance(value, timedelta) else as_text(value)
