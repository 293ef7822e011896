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
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tf_model.batch.shards import BAD_ROWS, Shards, cut, input_suffix, shard_name
from tf_model.errors import OutputError, UsageError, listed
from tf_model.io.files import explain_read_errors, explain_write_errors, whole_folder, write_json
from tf_model.io.tables import Table
from tf_model.model_dir import CALIBRATION, LABELS, RECIPE, training_of

MANIFEST, INPUT, BAD = "_manifest.json", "_input", "_bad"


class Job:
    """A job and its output folder; ``settings`` is what decides the output besides the input files, JSON-ready."""

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

        With ``overwrite`` the output of another job, or of a complete run of this one, is to be replaced. A run of
        this job that is not complete is gone on with all the same.

        Raises:
            OutputError: The folder holds something else, or cannot be read.
            UsageError: It holds the output of another job, and ``overwrite`` is false.
        """
        with explain_write_errors(self.folder):
            names = sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []
        manifest = self._read_manifest()
        if manifest is None:
            # What a run leaves that is killed before it writes its manifest begins with one of these.
            if others := [name for name in names if name[0] not in "._"]:
                raise OutputError(f"{self.folder} holds {listed(others)}, which no job made; choose another folder")
        elif manifest["job"] != self._identity:
            if not overwrite:
                raise UsageError(
                    f"{self.folder} holds the output of another job (another model, setting or input); choose another "
                    "folder, or add --overwrite to replace it"
                )
        elif not (overwrite and manifest["complete"]):
            shards = Shards(**manifest["shards"] | {"sizes": tuple(manifest["shards"]["sizes"])})
            if not self.left(shards) or (self.folder / INPUT).is_dir():
                return shards
        return None

    def begin(self, first: Table, shard_rows: int) -> Shards:
        """Cut the input, remove what an earlier job left, and write the manifest; see :func:`~.shards.cut`."""
        with whole_folder(self.folder / INPUT, overwrite=True) as part:
            shards = cut(self.files, first, shard_rows, part)
            for old in self.folder.glob("shard-[0-9]*"):
                old.unlink()
            for old in (self.folder / BAD, *self.folder.glob(".shard-*")):
                shutil.rmtree(old, ignore_errors=True)
            (self.folder / MANIFEST).unlink(missing_ok=True)  # the last, so that shards never lie there without one
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
        file = self.folder / MANIFEST
        if not file.is_file():
            return None
        with explain_read_errors(file):
            manifest = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(manifest, dict) or not {"job", "shards", "complete"} <= manifest.keys():
                raise ValueError("it is no manifest of such a job")
        return manifest

    def _write_manifest(self, shards: Shards, complete: bool) -> None:
        write_json(self.folder / MANIFEST, {"complete": complete, "job": self._identity, "shards": asdict(shards)})


def model_fingerprint(folder: Path) -> str:
    """A sha256 over what decides a model's predictions: its training, labels, calibration and settings."""
    digest = hashlib.sha256(training_of(folder).encode())
    for file in (folder / LABELS, folder / CALIBRATION, folder / RECIPE):
        with explain_read_errors(file):
            digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()
