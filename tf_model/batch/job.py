"""A batch job and its output folder: the shards of its input, and which of them are done.

::

    answers/
      shard-000000.parquet     the rows of the first shard with their predictions, written whole; others follow
      _manifest.json           the job's input, model and settings; the shards; whether the job is complete
      _bad/rows.jsonl          the rows that could not be read, with the reason, if there are any
      _input/                  the input shards, until the job is complete

Readers of a folder as one table (pyarrow, Spark, Ray, DuckDB) skip names that begin with ``_``.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tf_model import cli
from tf_model.errors import DataError, OutputError, UsageError, listed
from tf_model.io import tables
from tf_model.io.characters import well_formed
from tf_model.io.files import explain_read_errors, explain_write_errors, json_text, whole_folder, write_json

MANIFEST, INPUT, BAD = "_manifest.json", "_input", "_bad"
SUFFIXES = (".csv", ".parquet")
BAD_ROWS = "rows.jsonl"
SHARD_ROWS = tables.CHUNK_ROWS  # redone after a worker is lost, and held in memory by a worker


@dataclass(frozen=True)
class Shards:
    """The shards of an input."""

    text_column: str
    reason: str  # why this column was chosen, in words
    sizes: tuple[int, ...]  # rows of each shard
    bad: int  # rows that could not be read

    @property
    def rows(self) -> int:
        """The number of rows in all shards."""
        return sum(self.sizes)


def shard_name(index: int, suffix: str) -> str:
    """The file name of a shard."""
    return f"shard-{index:06}{suffix}"


def input_suffix(suffix: str) -> str:
    """The suffix of input shards: .tsv for .csv, so that the separator need not be guessed again, else the same."""
    return ".tsv" if suffix == ".csv" else suffix


def input_files(source: Path | str) -> list[Path]:
    """The file ``source``, or the .csv or .parquet files in the folder ``source`` and below, sorted by name.

    Files and folders whose names begin with ``.`` or ``_`` are skipped, as by every tool for partitioned tables.
    Raises :class:`DataError` if there are no files, or not all are of one kind.
    """
    source = Path(source)
    with explain_read_errors(source):
        if not source.exists():
            raise DataError(f"{source} does not exist; give a .csv or .parquet file, or a folder of them")
        files = sorted(_below(source)) if source.is_dir() else [source]
        if partitions := [part for file in files for part in file.relative_to(source).parts[:-1] if "=" in part]:
            column, _, _ = partitions[0].partition("=")
            raise DataError(
                f"{source}: the column {column!r} is in the names of folders, such as {partitions[0]}, which are not "
                "read; write it into the files, if it is not there, and rename the folders"
            )
    suffixes = sorted({file.suffix.lower() for file in files})
    if len(suffixes) != 1 or suffixes[0] not in SUFFIXES:
        expected = "expected files that all end in .csv or all in .parquet"
        raise DataError(f"{source}: {expected}, found {listed(suffixes)}; convert them, or give another folder")
    return [file.parent.resolve() / file.name for file in files]  # a link keeps its own name, which says the format


def _below(folder: Path) -> Iterator[Path]:
    """The visible files in a folder and below; :class:`DataError` for a link or folder that would be left out."""

    def refuse(error: OSError) -> None:
        reason = f"cannot read {error.filename}: {error.strerror}"
        raise DataError(f"{reason}; change its permissions, or let its name begin with _") from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [each for each in folders if each[0] not in "._"]
        for path in (Path(parent, each) for each in (*folders, *names) if each[0] not in "._"):
            if path.is_file():
                yield path
            elif path.is_symlink():
                raise DataError(f"{path} is a link to a folder, or to nothing; put files or links to files there")


def open_first(files: Sequence[Path], column: str | None) -> tables.Table:
    """Open and close the first file with a row, or the last file: its columns and text column are those of all files.

    Raises :class:`DataError` if no column holds texts, see :func:`tf_model.io.tables.refuse_without_texts`.
    """
    for file in files:
        with tables.open_table(file, column, on_bad_row=lambda *_: None) as table:
            tables.refuse_without_texts(table)
            if len(next(table.chunks(1))):
                break
    return table


def write_shards(files: Sequence[Path], first_table: tables.Table, shard_rows: int, folder: Path) -> Shards:
    """Copy the rows of the files into shards in ``folder``, and the rows that cannot be read into :data:`BAD_ROWS`.

    ``first_table`` comes from :func:`open_first`. The bad rows are JSON lines with file, line, reason and record.
    Raises :class:`DataError` if a file cannot be read, its columns differ from those of the first, or there is no row.
    """
    sizes: list[int] = []
    notes: set[str] = set()
    bad = 0
    suffix = input_suffix(files[0].suffix.lower())
    with (folder / BAD_ROWS).open("w", encoding="utf-8") as stream:

        def set_aside(line: int, reason: str, record: str) -> None:
            nonlocal bad
            bad += 1
            row = {"file": str(file), "line": line, "reason": reason, "record": record}
            stream.write(well_formed(json.dumps(row, ensure_ascii=False)) + "\n")

        for file in files:
            with tables.open_table(file, first_table.text_column, on_bad_row=set_aside) as table:
                if table.columns != first_table.columns:
                    expected = f"expected the columns of {first_table.path.name}, {listed(first_table.columns)}"
                    raise DataError(
                        f"{file}: {expected}, found {listed(table.columns)}; give files with the same columns"
                    )
                for chunk in table.chunks(shard_rows):
                    if len(chunk):
                        with tables.table_writer(folder / shard_name(len(sizes), suffix)) as writer:
                            writer.write(chunk)
                        sizes.append(len(chunk))
                cli.say_notes(f"{file.name}: {note}" for note in table.notes if note not in notes)
                notes.update(table.notes)
    if not sizes:
        raise DataError(f"{first_table.name}: expected at least one readable row below the header, found none")
    return Shards(first_table.text_column, first_table.reason, tuple(sizes), bad)


class Job:
    """A job and its output folder; ``settings``, JSON-ready, is all that decides the output besides the input."""

    def __init__(self, folder: Path, files: Sequence[Path], settings: Mapping[str, Any]) -> None:
        self.folder, self.files, self.suffix = folder, files, files[0].suffix.lower()
        inputs = []
        for file in files:
            with explain_read_errors(file):
                status = file.stat()
            inputs.append([str(file), status.st_size, status.st_mtime_ns])
        self._identity = json.loads(json_text({"settings": settings, "input": inputs}))

    def resume(self, overwrite: bool = False) -> Shards | None:
        """The shards of an earlier run of the same job to resume; None to begin anew. Changes nothing.

        ``overwrite`` replaces the output of another job (else :class:`UsageError`), or of a complete run of this job.
        Raises :class:`OutputError` if the folder holds anything else, or cannot be read.
        """
        with explain_write_errors(self.folder):
            names = sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []
        manifest = self._read_manifest()
        if manifest is None:
            # The leftovers of a run that was killed before it wrote its manifest begin with one of these.
            if others := [name for name in names if name[0] not in "._"]:
                raise OutputError(f"{self.folder} holds other files, {listed(others)}; choose another folder")
        elif manifest["job"] != self._identity:
            if not overwrite:
                other = "another job (another model, setting or input)"
                raise UsageError(
                    f"{self.folder} holds the output of {other}; choose another folder, or add --overwrite"
                )
        elif not (overwrite and manifest["complete"]):
            shards = Shards(**manifest["shards"] | {"sizes": tuple(manifest["shards"]["sizes"])})
            if not self.missing(shards) or (self.folder / INPUT).is_dir():
                return shards
        return None

    def begin(self, first_table: tables.Table, shard_rows: int) -> Shards:
        """Cut the input, remove the output of an earlier job, and write the manifest; see :func:`write_shards`."""
        with whole_folder(self.folder / INPUT, overwrite=True) as part:
            shards = write_shards(self.files, first_table, shard_rows, part)
            for old in self.folder.glob("shard-[0-9]*"):
                old.unlink()
            for old in (self.folder / BAD, *self.folder.glob(".shard-*")):
                shutil.rmtree(old, ignore_errors=True)
            (self.folder / MANIFEST).unlink(missing_ok=True)  # last, so that shards never lie there without a manifest
            if shards.bad:
                (self.folder / BAD).mkdir()
                (part / BAD_ROWS).rename(self.folder / BAD / BAD_ROWS)
        self._write_manifest(shards, complete=False)
        return shards

    def missing(self, shards: Shards) -> list[int]:
        """The indices of the shards whose output is missing or empty."""
        files = map(self.output, range(len(shards.sizes)))
        return [index for index, file in enumerate(files) if not file.is_file() or not file.stat().st_size]

    def input(self, index: int) -> Path:
        """The input file of a shard."""
        return self.folder / INPUT / shard_name(index, input_suffix(self.suffix))

    def output(self, index: int) -> Path:
        """The output file of a shard."""
        return self.folder / shard_name(index, self.suffix)

    def finalize(self, shards: Shards) -> None:
        """Mark the job as complete and remove the copy of the input; :class:`OutputError` if a shard is missing."""
        missing, count = len(self.missing(shards)), len(shards.sizes)
        if missing:
            raise OutputError(f"{self.folder}: {missing} of {count} shards are missing; run the same command again")
        self._write_manifest(shards, complete=True)
        shutil.rmtree(self.folder / INPUT, ignore_errors=True)

    def _read_manifest(self) -> dict[str, Any] | None:
        path = self.folder / MANIFEST
        if not path.is_file():
            return None
        with explain_read_errors(path):
            manifest = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(manifest, dict) or not {"job", "shards", "complete"} <= manifest.keys():
                raise ValueError("it is not the manifest of a batch job")
        return manifest

    def _write_manifest(self, shards: Shards, complete: bool) -> None:
        write_json(self.folder / MANIFEST, {"complete": complete, "job": self._identity, "shards": asdict(shards)})
