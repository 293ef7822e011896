"""Read and write Parquet: each column keeps its Arrow type."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tf_model.errors import DataError, OutputError
from tf_model.io.base import CHUNK_ROWS, Table, TableWriter, as_text, explain_empty, unique_names, values_of

INT96_UNIT = "us"  # nanoseconds would turn dates before 1677 and after 2262, such as Spark's 9999-12-31, into others


class Parquet(Table):
    """A Parquet file."""

    expected, advice = "a Parquet file", "create it again"
    file: Any = None

    def check(self) -> None:
        """Read every batch once."""
        import pyarrow.parquet

        with self.explain_damage():
            self.file = pyarrow.parquet.ParquetFile(self.path, coerce_int96_timestamp_unit=INT96_UNIT)
            metadata = self.file.metadata
            self.columns, self.total_rows = self.file.schema_arrow.names, metadata.num_rows
            self.refuse_beyond_limits(self.total_rows, len(self.columns))
            if not self.columns:
                raise DataError(explain_empty(self.name, "a column of texts"))
            groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
            self.refuse_beyond_limits(unpacked=sum(group.total_byte_size for group in groups))
            # scan_contents() unpacks, and raises for damage that would make the code below end the process.
            if {self.file.scan_contents(), sum(group.num_rows for group in groups)} != {self.total_rows}:
                raise ValueError("its number of rows is wrong")
            chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
            self.refuse_beyond_limits(
                cells=sum(chunk.num_values for chunk in chunks),
                unpacked=sum(chunk.total_uncompressed_size for chunk in chunks),
            )
            self._count_bytes(chunks)
        if len(set(self.columns)) < len(self.columns):
            raise DataError(f"{self.name} has two columns of the same name; rename one of them")

    def _count_bytes(self, chunks: list[Any]) -> None:
        """Read the whole file and count its unpacked bytes, with repeated texts held in memory only once."""
        import pyarrow.parquet

        text_columns = {chunk.path_in_schema for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"}
        # These columns' decoders return every text in full, so few rows are read at a time.
        delta_columns = {chunk.path_in_schema for chunk in chunks if "BYTE_ARRAY" in str(chunk.encodings)}
        unpacked = 0
        repeated = text_columns - delta_columns
        with pyarrow.parquet.ParquetFile(
            self.path, read_dictionary=repeated, coerce_int96_timestamp_unit=INT96_UNIT
        ) as file:
            rows = 16 if delta_columns else self._chunk_rows(CHUNK_ROWS)
            for group in range(file.num_row_groups):  # a batch over two groups cannot hold lists of such texts
                for batch in file.iter_batches(rows, row_groups=[group]):
                    batch.validate(full=True)  # else bytes that are not UTF-8 are only found when a text is used
                    unpacked += sum(map(_unpacked_bytes, batch.columns))
                    self.refuse_beyond_limits(unpacked=unpacked)

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[Any]:
        """Yield the rows in order with their types; string_view and binary_view become large_string, large_binary."""
        import pandas
        import pyarrow

        with self.explain_damage():
            rows, schema = self._chunk_rows(rows), self.file.schema_arrow
            fields = [field.with_type(_without_views(field.type)) for field in schema]
            target = pyarrow.schema(fields, schema.metadata)
            for batch in self.file.iter_batches(rows) if self.total_rows else [schema.empty_table()]:
                self.refuse_changed()
                yield batch.cast(target).to_pandas(types_mapper=pandas.ArrowDtype, ignore_metadata=True)

    def close(self) -> None:
        """Close the file, and free its metadata, which is large if it has many row groups."""
        if self.file:
            self.file.close()
            self.file = None


def _without_views(arrow_type: Any) -> Any:
    """The type with string_view and binary_view, which Polars writes and pyarrow cannot filter, replaced by others."""
    import pyarrow
    from pyarrow import types

    if "_view" not in str(arrow_type):
        return arrow_type
    if types.is_list(arrow_type) or types.is_large_list(arrow_type):
        return pyarrow.large_list(_without_views(arrow_type.value_type))
    if types.is_fixed_size_list(arrow_type):
        return pyarrow.list_(_without_views(arrow_type.value_type), arrow_type.list_size)
    if types.is_map(arrow_type):
        return pyarrow.map_(_without_views(arrow_type.key_type), _without_views(arrow_type.item_type))
    if types.is_struct(arrow_type):
        return pyarrow.struct([field.with_type(_without_views(field.type)) for field in arrow_type])
    large_types = {pyarrow.string_view(): pyarrow.large_string(), pyarrow.binary_view(): pyarrow.large_binary()}
    return large_types.get(arrow_type, arrow_type)


def _unpacked_bytes(array: Any) -> int:
    from pyarrow import ListArray, compute, types

    if types.is_map(array.type):  # maps have no flatten() of their own
        array = ListArray.from_arrays(array.offsets, array.values)
    if types.is_dictionary(array.type):
        lengths = compute.binary_length(array.dictionary)
        return compute.sum(lengths.take(array.indices)).as_py() or 0
    if types.is_struct(array.type):
        return sum(map(_unpacked_bytes, array.flatten()))
    if types.is_temporal(array.type) and not types.is_interval(array.type):
        # OverflowError for what Python cannot hold, such as the year 10000. compute.min_max() takes no durations.
        sorted_values = array.take(compute.array_sort_indices(array)).drop_null()
        for extreme in (sorted_values[:1], sorted_values[-1:]):
            extreme.to_pylist()
    return _unpacked_bytes(array.flatten()) if types.is_nested(array.type) else array.nbytes


class ParquetWriter(TableWriter):
    """Writes a Parquet file with the types of the first frame."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.writer: Any = None

    def write(self, frame: Any) -> None:
        """Append the rows of ``frame``; the first frame also gives the names and types."""
        import pyarrow.parquet

        names = unique_names(frame, "Parquet")
        arrow_types = self.writer.schema.types if self.writer else [None] * len(names)
        arrays = [_to_arrow(frame.iloc[:, position], arrow_type) for position, arrow_type in enumerate(arrow_types)]
        table = pyarrow.Table.from_arrays(arrays, names)
        if self.writer is None:
            self.writer = pyarrow.parquet.ParquetWriter(self.path, table.schema)
        if len(frame):
            self.writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        """Write the footer, and close the file."""
        if self.writer:
            self.writer.close()


def _to_arrow(column: Any, arrow_type: Any) -> Any:
    """A column as ``arrow_type``; None: its own type, or for objects their common type, or text if mixed or nested."""
    import pyarrow
    from pyarrow import types

    text = pyarrow.string()
    if column.dtype != object:  # all frames of a file have the same type
        return pyarrow.array(column, text if column.dtype == "str" else None, from_pandas=True)
    values = values_of(column)
    kinds = set(map(type, values)) - {type(None)}
    numbers = kinds & {int, float}
    try:
        array = pyarrow.array(values)
        target = arrow_type or array.type
        is_number = types.is_integer(target) or types.is_floating(target)
        is_changed = (numbers and not is_number) or (kinds - numbers and (is_number or array.type != target))
        is_changed = is_changed or {date, datetime} <= kinds  # as dates, they would lose their times
        if is_changed or types.is_null(target) or types.is_nested(target):
            raise pyarrow.ArrowInvalid  # a cast would turn true into 1, "007" into 7, a number into a time
        return array.cast(target)
    except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError) as error:
        if arrow_type not in (None, text):
            raise OutputError(f"column {column.name!r} is not all {arrow_type}; write .jsonl or .csv") from error
        return pyarrow.array([None if value is None else as_text(value) for value in values], text)
