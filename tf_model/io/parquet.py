"""Parquet in and out: each column keeps its Arrow type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model.errors import DataError, OutputError, first_line, listed
from tf_model.io.characters import well_formed
from tf_model.io.formats import (
    CHUNK_ROWS,
    Table,
    TableWriter,
    as_text,
    explain_empty,
    repeated,
    unique_names,
    values_of,
)

if TYPE_CHECKING:
    import pandas
    import pyarrow

FEW_ROWS = 16  # which may unpack to much, where a text that occurs in many rows is kept once


class Parquet(Table):
    """A Parquet file."""

    file: Any = None

    def check(self) -> None:
        """Read every batch once, and refuse two columns of one name."""
        import pyarrow.parquet

        with self._explain_damage():
            self.file = pyarrow.parquet.ParquetFile(self.path)
            metadata = self.file.metadata
            self.columns, self.total_rows = self.file.schema_arrow.names, metadata.num_rows
            self.refuse_beyond_limits(rows=self.total_rows, columns=len(self.columns))
            groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
            chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
            # Values within lists count too, as if each took one byte.
            for sizes in ("total_uncompressed_size", "num_values"):
                self.refuse_beyond_limits(unpacked=sum(getattr(chunk, sizes) for chunk in chunks))
            unpacked = 0
            for batch in self.file.iter_batches(FEW_ROWS if self.limits else CHUNK_ROWS):
                unpacked += batch.nbytes
                self.refuse_beyond_limits(unpacked=unpacked)
        if not self.columns:
            raise DataError(explain_empty(self.name, "a column of texts"))
        if twice := repeated(self.columns):
            raise DataError(f"{self.name} has more than one column called {listed(twice)}; rename all but one")

    def row_numbers(self) -> Iterator[int]:
        """From 1."""
        return iter(range(1, self.file.metadata.num_rows + 1))

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[pandas.DataFrame]:
        """Yield the rows in order, at most ``rows`` at a time, with their types; at least one frame."""
        import pandas
        import pyarrow

        empty = self.file.schema_arrow.empty_table()
        tables = (pyarrow.Table.from_batches([batch]) for batch in self.file.iter_batches(rows))
        with self._explain_damage():
            for table in tables if self.total_rows else [empty]:
                yield table.to_pandas(types_mapper=pandas.ArrowDtype, ignore_metadata=True)

    def close(self) -> None:
        """Close the file."""
        if self.file:
            self.file.close()

    @contextmanager
    def _explain_damage(self) -> Iterator[None]:
        import pyarrow

        try:
            yield
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(
                f"{self.name}: expected a Parquet file, but it cannot be read ({first_line(error)}); make it anew"
            ) from error


class ParquetWriter(TableWriter):
    """A Parquet file, with the types that the first frame shows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.writer: Any = None

    def write(self, frame: pandas.DataFrame) -> None:
        """Append the rows of ``frame``; the first frame also gives the names and types."""
        import pyarrow.parquet

        names = unique_names(frame, "Parquet")
        columns = [frame.iloc[:, position] for position in range(len(names))]
        if self.writer is None:
            self.schema = pyarrow.schema([(n, _arrow_type(c)) for n, c in zip(names, columns, strict=True)])
            try:
                self.writer = pyarrow.parquet.ParquetWriter(self.path, self.schema)
            except pyarrow.ArrowException as error:
                raise OutputError(f"Parquet has no place for {first_line(error)}; write .jsonl or .csv") from error
        arrays = [_to_arrow(column, field) for column, field in zip(columns, self.schema, strict=True)]
        if len(frame):
            self.writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self.schema))

    def finish(self) -> None:
        """Write the footer, and close the file."""
        self.writer.close()

    def abandon(self) -> None:
        """Close the file, whatever it holds."""
        if self.writer is not None:
            with suppress(OSError, ValueError):
                self.writer.close()


def _arrow_type(column: pandas.Series) -> pyarrow.DataType:
    """The Arrow type of a column: its own where it has one, else what its objects are.

    Text for objects of several kinds, and where later values may be of another type: nothing but missing values, empty
    lists, and records, whose fields may differ from row to row.
    """
    import pyarrow
    from pyarrow import types

    if column.dtype == "str":
        return pyarrow.string()
    try:
        kind = pyarrow.array(_arrow_values(column), from_pandas=True).type
    except (pyarrow.ArrowException, OverflowError):
        return pyarrow.string()
    inner = kind.value_type if types.is_list(kind) else kind
    is_open = column.dtype == object and (types.is_null(inner) or types.is_nested(inner))
    return pyarrow.string() if is_open else kind


def _to_arrow(column: pandas.Series, field: pyarrow.Field) -> pyarrow.Array | pyarrow.ChunkedArray:
    import pyarrow
    from pyarrow import types

    values = _arrow_values(column)
    if column.dtype == object and field.type == pyarrow.string():
        values = [None if value is None else as_text(value) for value in values]
    try:
        array = pyarrow.array(values, from_pandas=True)
        if types.is_boolean(array.type) != types.is_boolean(field.type) and not types.is_null(array.type):
            raise pyarrow.ArrowInvalid(f"it is {array.type}")  # a cast would make numbers of true and false
        return array.cast(field.type)
    except (pyarrow.ArrowException, OverflowError) as error:
        raise OutputError(
            f"column {field.name!r} began as {field.type}, and a later value is of another kind "
            f"({first_line(error)}); Parquet wants one type in a column: write .jsonl or .csv"
        ) from error


def _arrow_values(column: pandas.Series) -> Any:
    if column.dtype != object:
        return column
    return [well_formed(value) if isinstance(value, str) else value for value in values_of(column)]
