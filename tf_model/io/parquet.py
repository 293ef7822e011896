"""Parquet in and out: each column keeps its Arrow type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model.errors import DataError, OutputError, first_line, listed
from tf_model.io.characters import well_formed
from tf_model.io.formats import CHUNK_ROWS, Source, TableWriter, explain_empty
from tf_model.io.values import as_text, repeated, unique_names, values_of

if TYPE_CHECKING:
    import pandas
    import pyarrow

FEW_ROWS = 16


class Parquet(Source):
    """A Parquet file."""

    def check(self) -> None:
        """Read every batch once, and refuse two columns of one name."""
        import pyarrow
        import pyarrow.parquet

        try:
            self.file = pyarrow.parquet.ParquetFile(self.path)
            if self.limits:
                self._check_size()
            for _ in self.file.iter_batches(CHUNK_ROWS):
                pass
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(self._broken(error)) from error
        self.columns = self.file.schema_arrow.names
        self.total_rows = self.file.metadata.num_rows
        if not self.columns:
            raise DataError(explain_empty(self.name, "a column of texts"))
        twice = repeated(self.columns)
        if twice:
            raise DataError(f"{self.name} has more than one column called {listed(twice)}; rename all but one")

    def _check_size(self) -> None:
        """By the footer, then by the texts, of which one that occurs a thousand times is read but once."""
        import pyarrow.parquet

        metadata, schema = self.file.metadata, self.file.schema_arrow
        self._refuse_beyond_limits(rows=metadata.num_rows, columns=len(schema))
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
        # Values within lists count too, as if each took one byte.
        for sizes in ("total_uncompressed_size", "num_values"):
            self._refuse_beyond_limits(unpacked=sum(getattr(chunk, sizes) for chunk in chunks))
        texts = [field.name for field in schema if _is_text(field.type)]
        nested = any(pyarrow.types.is_nested(field.type) for field in schema)  # whose texts are read one by one
        with pyarrow.parquet.ParquetFile(self.path, read_dictionary=texts) as file:
            unpacked = 0
            for batch in file.iter_batches(FEW_ROWS if nested else CHUNK_ROWS):
                unpacked += sum(_bytes(column) for column in batch.columns)
                self._refuse_beyond_limits(unpacked=unpacked)

    def row_numbers(self) -> Iterator[int]:
        """From 1."""
        return iter(range(self.first_row, self.first_row + self.file.metadata.num_rows))

    def frames(self, rows: int) -> Iterator[pandas.DataFrame]:
        """The rows in order, at most ``rows`` at a time."""
        import pyarrow

        try:
            for batch in self.file.iter_batches(rows):
                yield self._to_pandas(pyarrow.Table.from_batches([batch]))
        except pyarrow.ArrowException as error:
            raise DataError(self._broken(error)) from error

    def empty(self) -> pandas.DataFrame:
        """A frame with the columns, their types and no row."""
        return self._to_pandas(self.file.schema_arrow.empty_table())

    def close(self) -> None:
        """Close the file."""
        if hasattr(self, "file"):
            self.file.close()

    def _to_pandas(self, table: pyarrow.Table) -> pandas.DataFrame:
        import pandas

        return table.to_pandas(types_mapper=pandas.ArrowDtype, ignore_metadata=True)

    def _broken(self, error: Exception) -> str:
        return f"{self.name}: expected a Parquet file, but it cannot be read ({first_line(error)}); make it anew"


def _is_text(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind) or types.is_large_binary(kind)


def _bytes(column: pyarrow.Array) -> int:
    """What a column takes once each row has its own copy of its value."""
    import pyarrow
    from pyarrow import compute

    if not isinstance(column, pyarrow.DictionaryArray):
        return column.nbytes
    lengths = compute.take(compute.binary_length(column.dictionary), column.indices)
    return compute.sum(lengths).as_py() or 0


class ParquetWriter(TableWriter):
    """A Parquet file, with the types that the first frame shows."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.writer: Any = None

    def write(self, frame: pandas.DataFrame) -> None:
        """Append the rows of ``frame``; the first frame also gives the names and types."""
        import pyarrow
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

    Text for objects of several kinds, and for records, whose fields may differ from row to row.
    """
    import pyarrow

    if column.dtype == "str":
        return pyarrow.string()
    try:
        found = pyarrow.array(_arrow_values(column), from_pandas=True).type
    except (pyarrow.ArrowException, OverflowError):
        return pyarrow.string()
    return pyarrow.string() if column.dtype == object and not _is_certain(found) else found


def _is_certain(found: pyarrow.DataType) -> bool:
    """Whether later values of a column can be expected to be of the type that its first ones have."""
    from pyarrow import types

    inner = found.value_type if types.is_list(found) else found
    return not (types.is_null(inner) or types.is_nested(inner))


def _to_arrow(column: pandas.Series, field: pyarrow.Field) -> pyarrow.ChunkedArray:
    import pyarrow

    values = _arrow_values(column)
    if column.dtype == object and field.type == pyarrow.string():
        values = [None if value is None else as_text(value) for value in values]
    try:
        array = pyarrow.array(values, from_pandas=True)
        if array.type != field.type:
            array = _cast(array, field.type)
    except (pyarrow.ArrowException, OverflowError) as error:
        raise OutputError(
            f"column {field.name!r} began as {field.type}, and a later value is of another kind "
            f"({first_line(error)}); Parquet wants one type in a column: write .jsonl or .csv"
        ) from error
    return array if isinstance(array, pyarrow.ChunkedArray) else pyarrow.chunked_array([array])


def _cast(array: pyarrow.Array | pyarrow.ChunkedArray, wanted: pyarrow.DataType) -> Any:
    """The same values as another type; pyarrow makes numbers of true and false, and drops the time of a day."""
    import pyarrow
    from pyarrow import types

    cast = array.cast(wanted)
    if types.is_null(array.type) or (types.is_list(array.type) and types.is_null(array.type.value_type)):
        return cast  # nothing is there that could be lost
    if types.is_boolean(array.type) != types.is_boolean(wanted) or not cast.cast(array.type).equals(array):
        raise pyarrow.ArrowInvalid(f"it is {array.type}")
    return cast


def _arrow_values(column: pandas.Series) -> Any:
    if column.dtype != object:
        return column
    return [well_formed(value) if isinstance(value, str) else value for value in values_of(column)]
