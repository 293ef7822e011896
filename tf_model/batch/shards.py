"""Cut files of texts into shards: small files that are read, scored and written on their own.

The input is copied once, chunk by chunk, by the one reader of tables. A worker then does with a shard what the plain
command does with a file. Which rows a shard holds, and its name, depends on the input alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tf_model.errors import DataError, listed
from tf_model.io import tables
from tf_model.io.files import explain_read_errors

SUFFIXES = (".csv", ".parquet")
BAD_ROWS = "rows.jsonl"
SHARD_ROWS = tables.CHUNK_ROWS  # what is done again after a worker is lost, and what a worker holds in memory


@dataclass(frozen=True)
class Shards:
    """What an input was cut into."""

    text_column: str
    reason: str  # why that column, in words
    sizes: tuple[int, ...]  # rows of each shard
    bad: int  # rows that could not be read

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(self.sizes)


def shard_name(index: int, suffix: str) -> str:
    """The file name of a shard."""
    return f"shard-{index:06}{suffix}"


def input_suffix(suffix: str) -> str:
    """How the shards of .csv or .parquet files end: as .tsv the separator of a CSV file need not be guessed again."""
    return ".tsv" if suffix == ".csv" else suffix


def input_files(source: Path | str) -> list[Path]:
    """The file ``source``, or the .csv or .parquet files in the folder ``source`` and below, by their names.

    Files whose names begin with ``.`` or ``_`` are left out, as every tool for partitioned tables does.

    Raises:
        DataError: There is none, or they are not all of one of these kinds.
    """
    source = Path(source)
    with explain_read_errors(source):
        if not source.exists():
            raise DataError(f"{source} does not exist; give a .csv or .parquet file, or a folder of them")
        below = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
        shown = [source / path for path in below if not any(part[0] in "._" for part in path.parts)]
        files = shown if source.is_dir() else [source]
    suffixes = sorted({file.suffix.lower() for file in files})
    if len(suffixes) != 1 or suffixes[0] not in SUFFIXES:
        raise DataError(
            f"{source}: expected files that all end in .csv or all in .parquet, found {listed(suffixes)}; "
            "convert them first, or give a folder that holds nothing else"
        )
    return [file.resolve() for file in files]


def open_first(files: Sequence[Path], column: str | None, ours: Iterable[str]) -> tables.Table:
    """The first of the files, closed again: its columns and its column of texts are those of all.

    Raises:
        DataError: It cannot be read, or has a column whose name is one of ``ours``.
        UsageError: There is no such column.
    """
    with tables.open_table(files[0], column, on_bad_row=lambda _: None) as table:
        tables.refuse_collisions(table, ours)
    return table


def cut(files: Sequence[Path], first: tables.Table, shard_rows: int, folder: Path) -> Shards:
    """Copy the rows of the files into shards in ``folder``, and the rows that cannot be read into :data:`BAD_ROWS`.

    ``first`` is that of :func:`open_first`. The bad rows are JSON lines with file, line, reason and record.

    Raises:
        DataError: A file cannot be read, its columns differ from those of the first, or there is no row.
    """
    sizes: list[int] = []
    bad = 0
    suffix = input_suffix(files[0].suffix.lower())
    with (folder / BAD_ROWS).open("w", encoding="utf-8") as stream:

        def set_aside(row: tables.BadRow) -> None:
            nonlocal bad
            bad += 1
            stream.write(json.dumps({"file": str(file), **asdict(row)}, ensure_ascii=False) + "\n")

        for file in files:
            with tables.open_table(file, first.text_column, on_bad_row=set_aside) as table:
                if table.columns != first.columns:
                    raise DataError(
                        f"{file}: expected the columns of {files[0].name}, {listed(first.columns)}, found "
                        f"{listed(table.columns)}; put files of one shape into the folder"
                    )
                for chunk in table.chunks(shard_rows):
                    if len(chunk):
                        with tables.table_writer(folder / shard_name(len(sizes), suffix)) as writer:
                            writer.write(chunk)
                        sizes.append(len(chunk))
    if not sizes:
        raise DataError(f"{first.name}: expected at least one row below the header that can be read, found none")
    return Shards(first.text_column, first.reason, tuple(sizes), bad)
