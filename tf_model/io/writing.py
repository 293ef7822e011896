"""Write a table, whole or not at all, in the format that the name of the file asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tf_model.errors import DataError, OutputError, UsageError, listed
from tf_model.io import text_files, workbooks
from tf_model.io.files import explain_write_errors, refuse_to_overwrite, whole_file
from tf_model.io.formats import TableWriter
from tf_model.io.parquet import ParquetWriter
from tf_model.io.reading import Table

_WRITERS: dict[str, Callable[[Path], TableWriter]] = {
    ".csv": text_files.open_csv,
    ".tsv": text_files.open_tsv,
    ".xlsx": workbooks.WorkbookWriter,
    ".parquet": ParquetWriter,
    ".jsonl": text_files.open_json_lines,
    ".ndjson": text_files.open_json_lines,
}
OUTPUT_SUFFIXES = tuple(_WRITERS)


def refuse_collisions(table: Table, ours: Iterable[str]) -> None:
    """Raise :class:`DataError` if the input already has a column that the predictions will be called."""
    taken = [name for name in ours if name in table.columns]
    if taken:
        raise DataError(
            f"{table.name} already has a column called {listed(taken)}, which the predictions use; "
            "rename it in the input and run the command again"
        )


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
    with explain_write_errors(output):
        is_input = table is not None and output.exists() and Path(table.name).exists() and output.samefile(table.name)
    if is_input:
        raise UsageError(f"{output} is the input itself, which is never changed; choose another name for --output")
    refuse_to_overwrite(output, overwrite)
    rows = table.total_rows if table else None
    if output.suffix.lower() == ".xlsx" and (rows or 0) >= workbooks.MOST_ROWS:
        raise OutputError(workbooks.explain_too_many(rows))


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
