"""A job in its output folder: what it is, and which of its shards are done.

::

    answers/
      shard-000000.parquet     the rows of the first shard with their predictions; more of these. It appears whole
      _manifest.json           what the job is: input, model and settings; the shards; whether it is complete
      _bad/rows.jsonl          the rows that could not be read, with the reason, where there are any
      _input/                  the shards that are read, until the job is complete

Names that begin with ``_`` are left out by everything that reads a folder as one table (pyarrow, Spark, Ray, DuckDB).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tf_model.batch.shards import BAD_ROWS, Shards, cut, input_suffix, shard_name
from tf_model.errors import OutputError, UsageError, listed
from tf_model.io.files import explain_read_errors, explain_write_errors, whole_folder, write_json
from tf_model.io.tables import Table
from tf_model.model_dir import CALIBRATION, GRAPH, LABELS, RECIPE

MANIFEST, INPUT, BAD = "_manifest.json", "_input", "_bad"
# A dot in front: of a process that was killed while it wrote.
_MADE_BY_A_JOB = re.compile(rf"\.?(shard-\d+\..+|{MANIFEST}(\..+)?|{INPUT}(\..+)?)|{BAD}")


class Job:
    """A job and its output folder.

    Args:
        folder: The output folder.
        files: The input files, all of one kind.
        settings: What else decides what the output holds: model, options. JSON-ready.
    """

    def __init__(self, folder: Path, files: Sequence[Path], settings: Mapping[str, Any]) -> None:
        self.folder, self.files, self.suffix = folder, files, files[0].suffix.lower()
        inputs = []
        for file in files:
            with explain_read_errors(file):
                status = file.stat()
            inputs.append([str(file), status.st_size, status.st_mtime_ns])
        self._identity = json.loads(json.dumps({"settings": settings, "input": inputs}))

    def resume(self, overwrite: bool = False) -> Shards | None:
        """What an earlier run of the same job left to go on with; None where it is to be begun. Nothing is touched.

        Args:
            overwrite: Whether the output of another job, or of a complete run of this one, may be replaced. A run of
                this job that is not complete is gone on with all the same. What no job made is never touched.

        Raises:
            OutputError: The folder holds something else, or cannot be read.
            UsageError: It holds the output of another job, and ``overwrite`` is false.
        """
        with explain_write_errors(self.folder):
            if self.folder.exists() and not self.folder.is_dir():
                raise OutputError(f"{self.folder} is a file; give the name of a folder for the shards")
            held = sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []
        manifest = self._read_manifest()
        if manifest and manifest["job"] == self._identity and not (overwrite and manifest["complete"]):
            shards = Shards(**manifest["shards"] | {"sizes": tuple(manifest["shards"]["sizes"])})
            if not self.left(shards) or (self.folder / INPUT).is_dir():
                return shards
        elif manifest and not overwrite:
            words = {"settings": "model or setting", "input": "input"}
            different = [words[name] for name in words if manifest["job"].get(name) != self._identity[name]]
            raise UsageError(
                f"{self.folder} holds the output of another job (another {' and another '.join(different)}); choose "
                "another folder, or add --overwrite to replace it"
            )
        others = [name for name in held if not _MADE_BY_A_JOB.fullmatch(name)]
        if others:
            raise OutputError(
                f"{self.folder} holds {listed(others)}, which no job made; move that away, or choose another folder"
            )
        return None

    def begin(self, first: Table, shard_rows: int) -> Shards:
        """Cut the input, remove what an earlier job left, and write the manifest; see :func:`~.shards.cut`."""
        with whole_folder(self.folder / INPUT, overwrite=True) as part:
            shards = cut(self.files, first, shard_rows, part)
            (self.folder / MANIFEST).unlink(missing_ok=True)
            for old in self.folder.glob("shard-*"):
                old.unlink()
            for old in (self.folder / BAD, *self.folder.glob(".shard-*")):
                shutil.rmtree(old, ignore_errors=True)
            if shards.bad:
                (self.folder / BAD).mkdir()
                (part / BAD_ROWS).rename(self.folder / BAD / BAD_ROWS)
        self._write_manifest(shards, complete=False)
        return shards

    def left(self, shards: Shards) -> list[int]:
        """The indices of the shards that are not written."""
        return [index for index in range(len(shards.sizes)) if not self.output(index).is_file()]

    def input(self, index: int) -> Path:
        """The file that a shard is read from."""
        return self.folder / INPUT / shard_name(index, input_suffix(self.suffix))

    def output(self, index: int) -> Path:
        """The file that a shard is written to."""
        return self.folder / shard_name(index, self.suffix)

    def finalize(self, shards: Shards) -> None:
        """Say in the manifest that the job is complete, and remove the copy of the input.

        Raises:
            OutputError: A shard is missing.
        """
        left, count = len(self.left(shards)), len(shards.sizes)
        if left:
            raise OutputError(f"{self.folder}: {left} of {count} shards are missing; run the same command again")
        self._write_manifest(shards, complete=True)
        shutil.rmtree(self.folder / INPUT, ignore_errors=True)

    def _read_manifest(self) -> dict[str, Any] | None:
        """The manifest of the job whose output lies there; None where there is none, or none of a job."""
        file = self.folder / MANIFEST
        if not file.is_file():
            return None
        with explain_read_errors(file):
            manifest = json.loads(file.read_text(encoding="utf-8"))
        is_one = isinstance(manifest, dict) and {"job", "shards", "complete"} <= manifest.keys()
        return manifest if is_one else None

    def _write_manifest(self, shards: Shards, complete: bool) -> None:
        write_json(self.folder / MANIFEST, {"complete": complete, "job": self._identity, "shards": asdict(shards)})


def model_fingerprint(folder: Path) -> str:
    """A sha256 over what decides a model's predictions: its graph, its variables and its labels."""
    digest = hashlib.sha256()
    files = [folder / GRAPH, folder / LABELS, *sorted((folder / "variables").glob("*"))]
    files += [file for file in (folder / CALIBRATION, folder / RECIPE) if file.is_file()]
    for file in files:
        with explain_read_errors(file), file.open("rb") as stream:
            digest.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
