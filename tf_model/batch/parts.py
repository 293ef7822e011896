"""Cut files of texts into parts that are read, scored and written on their own.

A part is a range of rows of one file. Which rows it holds, and what it is called, depends on the input alone, so that
a job that is run again finds its finished parts.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model.batch.csv_records import UNCLOSED, decoded, file_records, records
from tf_model.errors import DataError, UsageError, listed
from tf_model.io.files import explain_read_errors
from tf_model.io.formats import explain_empty
from tf_model.io.parquet import Parquet
from tf_model.io.reading import SAMPLE_ROWS
from tf_model.io.tables import CHUNK_ROWS, choose_text_column
from tf_model.io.text_files import Delimited, find_separator

if TYPE_CHECKING:
    import pandas

SUFFIXES = (".csv", ".parquet")
# A part is what is done again after a worker is lost, and what a worker holds in memory.
PART_ROWS = CHUNK_ROWS
PART_BYTES = 2**25


@dataclass(frozen=True)
class Part:
    """A range of rows of one file.

    Attributes:
        name: What its output is called, without an ending.
        file: The input file.
        first_row: The number of its first row in the file, from 0.
        rows: Number of rows, bad ones included.
        first_line: The number of its first line in a CSV file, from 1; 0 in a Parquet file.
        offset: Its first byte in a CSV file; 0 in a Parquet file.
        length: Its length in bytes in a CSV file; 0 in a Parquet file.
    """

    name: str
    file: str
    first_row: int
    rows: int
    first_line: int = 0
    offset: int = 0
    length: int = 0


@dataclass(frozen=True)
class Plan:
    """What a job reads.

    Attributes:
        name: What to call the input in messages.
        parts: All parts, in the order of the input.
        columns: Column names of every file.
        text_column: The column that holds the texts.
        reason: Why that column, in words.
        delimiter: What separates the fields of CSV files.
        suffix: The kind of all files: one of :data:`SUFFIXES`.
    """

    name: str
    parts: tuple[Part, ...]
    columns: tuple[str, ...]
    text_column: str
    reason: str
    delimiter: str
    suffix: str

    @property
    def rows(self) -> int:
        """Rows of all parts, bad ones included."""
        return sum(part.rows for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read or scored.

    Attributes:
        row: Its number in the file, from 0.
        line: The line on which it begins, from 1; None in a Parquet file, and where it was read but not scored.
        reason: What is wrong with it.
        record: The row as it stands in a CSV file, or its text.
    """

    row: int
    line: int | None
    reason: str
    record: str


# ---------------------------------------------------------------- planning


def plan(source: Path | str, column: str | None = None, part_rows: int = PART_ROWS) -> Plan:
    """Cut a file, or all files of a folder, into parts; every row is looked at once.

    Args:
        source: A .csv or .parquet file, or a folder of files of one of these kinds with the same columns. Files whose
            names begin with ``.`` or ``_`` are left out, as every tool for partitioned tables does.
        column: The column of texts. None: see :func:`tf_model.io.tables.choose_text_column`.
        part_rows: The most rows in a part, at least 1.

    Raises:
        DataError: A file is missing, empty, of another kind, or its columns differ from those of the first.
        UsageError: There is no such column, or ``part_rows`` is below 1.
    """
    if part_rows < 1:
        raise UsageError(f"expected parts of at least 1 row, got {part_rows}")
    files = _input_files(Path(source))
    suffix = files[0].suffix.lower()
    cut = _cut_csv if suffix == ".csv" else _cut_parquet
    parts: list[Part] = []
    first: _File | None = None
    for file in files:
        opened = _open(file)
        if first is None:
            first = opened
        elif (opened.columns, opened.delimiter) != (first.columns, first.delimiter):
            raise DataError(
                f"{file}: expected the columns of {files[0].name}, {listed(first.columns)}, found "
                f"{listed(opened.columns)}; put files of one shape into the folder"
            )
        for rows in cut(opened, part_rows):
            parts.append(Part(f"part-{len(parts):06}", str(file), *rows))
    assert first is not None
    if not parts:
        raise DataError(explain_empty(str(source), "at least one row below the header"))
    position, reason = choose_text_column(_sample(first), column, first.path.name)
    return Plan(str(source), tuple(parts), first.columns, first.columns[position], reason, first.delimiter, suffix)


@dataclass(frozen=True)
class _File:
    path: Path
    columns: tuple[str, ...]
    delimiter: str


def _input_files(source: Path) -> list[Path]:
    with explain_read_errors(source):
        if not source.exists():
            raise DataError(f"{source} does not exist; give a .csv or .parquet file, or a folder of them")
        if not source.is_dir():
            files = [source]
        else:
            found = sorted(source.rglob("*"), key=lambda path: path.relative_to(source).parts)
            shown = (path for path in found if not any(p[0] in "._" for p in path.relative_to(source).parts))
            files = [path for path in shown if path.is_file()]
    suffixes = sorted({file.suffix.lower() for file in files})
    if len(suffixes) != 1 or suffixes[0] not in SUFFIXES:
        raise DataError(
            f"{source}: expected files that all end in .csv or all in .parquet, found {listed(suffixes)}; "
            "convert them first, or give a folder that holds nothing else"
        )
    return [file.resolve() for file in files]


def _open(file: Path) -> _File:
    """The columns of a file, and what separates them in CSV."""
    if file.suffix.lower() == ".parquet":
        return _File(file, tuple(_parquet(file).schema_arrow.names), "")
    with explain_read_errors(file), file.open("rb") as stream:
        if stream.read(4).startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
            raise DataError(f"{file} is UTF-16 or UTF-32, which cannot be cut into parts; save it as UTF-8")
    delimiter = find_separator(line for _, line in Delimited(file).numbered_lines())
    header = next(file_records(file, delimiter), None)
    if header is None:
        raise DataError(explain_empty(str(file), "a header line and one row for each text"))
    if header.fields is None:
        raise DataError(f"{file}: the header cannot be read ({header.reason}); write one row of column names first")
    return _File(file, tuple(header.fields), delimiter)


def _sample(file: _File) -> pandas.DataFrame:
    """The first rows, from which the column of texts is chosen."""
    import pandas

    if file.path.suffix.lower() == ".parquet":
        opened = _parquet(file.path)
        batch = next(opened.iter_batches(SAMPLE_ROWS), None)
        return (opened.schema_arrow.empty_table() if batch is None else batch).to_pandas()
    first = islice(file_records(file.path, file.delimiter), 1, SAMPLE_ROWS)
    rows = [record.fields for record in first if record.fields and len(record.fields) == len(file.columns)]
    return pandas.DataFrame(rows, columns=list(file.columns), dtype="str")


def _cut_csv(file: _File, part_rows: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(first row, rows, first line, offset, length) of each part: whole records only."""
    first_row = rows = first_line = offset = length = 0
    for record in islice(file_records(file.path, file.delimiter), 1, None):
        if record.reason == UNCLOSED:
            raise DataError(
                f"{file.path}: the quoted text that begins in the row on line {record.line} is never closed, so that "
                "the rest of the file would be one row; close it"
            )
        if rows and (rows >= part_rows or length + record.length > PART_BYTES):
            yield first_row, rows, first_line, offset, length
            first_row, rows, length = first_row + rows, 0, 0
        if not rows:
            first_line, offset = record.line, record.offset
        rows += 1
        length = record.offset + record.length - offset
    if rows:
        yield first_row, rows, first_line, offset, length


def _cut_parquet(file: _File, part_rows: int) -> Iterator[tuple[int, int]]:
    """(first row, rows) of each part."""
    total = _parquet(file.path).metadata.num_rows
    for first in range(0, total, part_rows):
        yield first, min(part_rows, total - first)


def _parquet(file: Path) -> Any:
    source = Parquet(file)
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(source._broken(error)) from error


# ---------------------------------------------------------------- reading


def read(part: Part, columns: Iterable[str], delimiter: str) -> tuple[pandas.DataFrame, list[int], list[BadRow]]:
    """The rows of a part.

    Returns:
        The good rows, as :meth:`tf_model.io.tables.Table.chunks` gives them (a Parquet file keeps its types, a CSV file
        has strings only); the number of each in the file, from 0; and the bad rows.

    Raises:
        DataError: The file cannot be read, or is another one than the parts were made from.
    """
    if Path(part.file).suffix.lower() == ".parquet":
        return _read_parquet(part)
    return _read_csv(part, list(columns), delimiter)


def _read_parquet(part: Part) -> tuple[pandas.DataFrame, list[int], list[BadRow]]:
    import pyarrow

    source = Parquet(part.file)
    file, skipped, wanted, groups = _parquet(Path(part.file)), part.first_row, part.rows, 0
    while groups < file.num_row_groups and file.metadata.row_group(groups).num_rows <= skipped:
        skipped -= file.metadata.row_group(groups).num_rows
        groups += 1
    batches = []
    try:
        # Batch by batch, so that a file of one huge row group needs no more memory than one of many small ones.
        for batch in file.iter_batches(PART_ROWS, row_groups=range(groups, file.num_row_groups)):
            piece = batch.slice(min(skipped, len(batch)), wanted)
            skipped, wanted = max(skipped - len(batch), 0), wanted - len(piece)
            batches.append(piece)
            if not wanted:
                break
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(source._broken(error)) from error
    if wanted:
        raise _changed(part)
    frame = source._to_pandas(pyarrow.Table.from_batches(batches))
    return frame, list(range(part.first_row, part.first_row + part.rows)), []


def _read_csv(part: Part, columns: list[str], delimiter: str) -> tuple[pandas.DataFrame, list[int], list[BadRow]]:
    import pandas

    with explain_read_errors(part.file), Path(part.file).open("rb") as stream:
        stream.seek(part.offset)
        content = stream.read(part.length)
    rows, numbers, bad, row = [], [], [], part.first_row
    for record in records(io.BytesIO(content), delimiter, part.first_line, part.offset):
        reason = record.reason
        if record.fields is not None and len(record.fields) != len(columns):
            reason = f"expected {len(columns)} fields, as in the header, found {len(record.fields)}"
        if reason:
            start = record.offset - part.offset
            raw = decoded(content[start : start + record.length])
            bad.append(BadRow(row, record.line, reason, raw.rstrip("\r\n")))
        else:
            rows.append(record.fields)
            numbers.append(row)
        row += 1
    if row - part.first_row != part.rows:
        raise _changed(part)
    return pandas.DataFrame(rows, columns=columns, dtype="str"), numbers, bad


def _changed(part: Part) -> DataError:
    return DataError(f"{part.file} has changed since the job began; add --overwrite to begin again")
