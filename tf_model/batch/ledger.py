"""The account of a job in its output folder: what it is, which parts are done, which rows were set aside.

::

    answers/
      part-000000.parquet      the rows of the first part with their predictions; more of these
      _manifest.json           what the job is: input, model, settings and parts; at the end, the counts
      _done/part-000000.json   written last, when the part is whole: its counts
      _bad/part-000000.jsonl   the rows of the part that were set aside, with the reason

Names that begin with ``_`` are left out by everything that reads a folder as one table (pyarrow, Spark, Ray, DuckDB).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model.batch.parts import BadRow, Part, Plan
from tf_model.errors import OutputError, UsageError, listed
from tf_model.io.files import explain_read_errors, explain_write_errors, whole_file, write_json
from tf_model.io.tables import table_writer
from tf_model.model_dir import CALIBRATION, GRAPH, LABELS, RECIPE

if TYPE_CHECKING:
    import pandas

MANIFEST = "_manifest.json"
DONE = "_done"
BAD = "_bad"
# A dot in front: of a worker that was killed while it wrote.
_MADE_BY_A_JOB = re.compile(rf"\.?(part-\d+\..+|{MANIFEST}(\..+)?)|{DONE}|{BAD}")


@dataclass(frozen=True)
class Done:
    """What became of one part.

    Attributes:
        part: Its name.
        rows: Rows of the input.
        written: Rows of the output; those of ``rows`` that are not here are bad.
        bad: Rows that were set aside.
        seconds: Time that it took to read, score and write.
        worker: Who did it: host and process.
    """

    part: str
    rows: int
    written: int
    bad: int
    seconds: float
    worker: str


@dataclass(frozen=True)
class Summary:
    """What a job did.

    Attributes:
        folder: The output.
        parts: Number of parts.
        resumed: Parts of these that an earlier run had done.
        rows: Rows of the input.
        written: Rows of the output.
        bad: Rows that were set aside.
    """

    folder: Path
    parts: int
    resumed: int
    rows: int
    written: int
    bad: int


class Ledger:
    """The account of one job.

    Args:
        folder: The output folder.
        plan: The parts.
        settings: What else decides what the output holds: model, kind of files, options. JSON-ready.
    """

    def __init__(self, folder: Path | str, plan: Plan, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.plan = plan
        job = {"settings": dict(settings), "input": _files(plan), "plan": plan.to_dict()}
        self._job = json.loads(json.dumps(job))

    def look(self, overwrite: bool = False) -> list[Part]:
        """What :meth:`begin` will return or raise, without touching anything yet.

        Args:
            overwrite: Whether the output of another job, or of a run of this one that was concluded, may be removed. A
                run of this job that was not is gone on with all the same; to begin it anew, delete the folder. What no
                job made is never touched.

        Returns:
            The parts that are still to be done.

        Raises:
            OutputError: The folder holds something else, or cannot be written to.
            UsageError: It holds the output of another job, and ``overwrite`` is false.
        """
        with explain_write_errors(self.folder):
            if self.folder.exists() and not self.folder.is_dir():
                raise OutputError(f"{self.folder} is a file; give the name of a folder for the parts")
            held = self.folder.is_dir() and any(self.folder.iterdir())
        manifest = self._read_manifest()
        if held and manifest is None:
            raise OutputError(f"{self.folder} is not empty and no job made it; choose another folder")
        if manifest is None or self._is_replaced(manifest, overwrite):
            return list(self.plan.parts)
        if manifest["job"] != self._job:
            different = [_WORDS[name] for name in self._job if manifest["job"].get(name) != self._job[name]]
            raise UsageError(
                f"{self.folder} holds the output of another job (another {' and another '.join(different)}); choose "
                "another folder, or add --overwrite to replace it"
            )
        done = self.done()
        return [part for part in self.plan.parts if part.name not in done]

    def begin(self, overwrite: bool = False) -> list[Part]:
        """Make the folder, or find what an earlier run of the same job left in it; see :meth:`look`."""
        left = self.look(overwrite)
        with explain_write_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        manifest = self._read_manifest()
        if manifest is not None and self._is_replaced(manifest, overwrite):
            self._remove_job()
            manifest = None
        if manifest is None:
            self._write_manifest(complete=False)
        return left

    def _is_replaced(self, manifest: Mapping[str, Any], overwrite: bool) -> bool:
        """Whether a job's output goes; what the same command leaves when its workers are lost does not."""
        return overwrite and (manifest["job"] != self._job or bool(manifest.get("complete")))

    def done(self) -> dict[str, Done]:
        """The parts that are whole, by name."""
        found = {}
        for part in self.plan.parts:
            record = self.folder / DONE / f"{part.name}.json"
            if record.is_file() and self._file(part).is_file():
                with explain_read_errors(record):
                    found[part.name] = Done(**json.loads(record.read_text(encoding="utf-8")))
        return found

    def write(
        self,
        part: Part,
        frames: Iterable[pandas.DataFrame],
        bad: Iterable[BadRow],
        *,
        seconds: float,
        worker: str,
    ) -> Done:
        """Write a part: its bad rows, its rows, and last the word that it is whole. Doing it twice does no harm.

        Raises:
            OutputError: Something cannot be written.
        """
        bad = list(bad)
        if bad:
            with whole_file(self.folder / BAD / f"{part.name}.jsonl", overwrite=True) as file:
                lines = (json.dumps({"file": part.file, **asdict(row)}, ensure_ascii=False) + "\n" for row in bad)
                file.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
        written = 0
        with table_writer(self._file(part), overwrite=True) as writer:
            for frame in frames:
                writer.write(frame)
                written += len(frame)
        done = Done(part.name, part.rows, written, len(bad), seconds, worker)
        write_json(self.folder / DONE / f"{part.name}.json", asdict(done))
        return done

    def conclude(self, resumed: int) -> Summary:
        """Check that every row of the input is either written or set aside, and say so in the manifest.

        Raises:
            OutputError: Some are neither.
        """
        done = self.done()
        written, bad = sum(each.written for each in done.values()), sum(each.bad for each in done.values())
        if len(done) < len(self.plan.parts) or written + bad != self.plan.rows:
            raise OutputError(
                f"{self.folder}: {len(done)} of {len(self.plan.parts)} parts are there, with {written + bad:,} of "
                f"{self.plan.rows:,} rows; run the same command again to do the rest"
            )
        summary = Summary(self.folder, len(done), resumed, self.plan.rows, written, bad)
        self._write_manifest(complete=True, parts=len(done), rows=summary.rows, written=written, bad=bad)
        return summary

    def _file(self, part: Part) -> Path:
        return self.folder / f"{part.name}{self._job['settings']['suffix']}"

    def _remove_job(self) -> None:
        """Remove what a job made; the folder stays.

        Raises:
            OutputError: Something else lies there as well.
        """
        with explain_write_errors(self.folder):
            # The manifest goes last: what is left after an interruption is still the output of a job.
            held = sorted(self.folder.iterdir(), key=lambda path: (path.name == MANIFEST, path.name))
            others = [path.name for path in held if not _MADE_BY_A_JOB.fullmatch(path.name)]
            if others:
                raise OutputError(
                    f"{self.folder} also holds {listed(others)}, which no job made; move that away, or choose another "
                    "folder"
                )
            for path in held:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def _read_manifest(self) -> dict[str, Any] | None:
        """The manifest of the job whose output lies there; None where there is none, or none of a job."""
        file = self.folder / MANIFEST
        if not file.is_file():
            return None
        with explain_read_errors(file):
            found = json.loads(file.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) and isinstance(found.get("job"), dict) else None

    def _write_manifest(self, complete: bool, **counts: int) -> None:
        write_json(self.folder / MANIFEST, {"complete": complete, **counts, "job": self._job})


_WORDS = {"settings": "model or setting", "input": "input", "plan": "cut into parts"}


def _files(plan: Plan) -> list[list[Any]]:
    """Name, size and time of change of each input file."""
    found = []
    for file in dict.fromkeys(part.file for part in plan.parts):
        with explain_read_errors(file):
            status = Path(file).stat()
        found.append([file, status.st_size, status.st_mtime_ns])
    return found


def model_fingerprint(folder: Path | str) -> str:
    """A sha256 over what decides a model's predictions: its graph, its variables and its labels."""
    folder, digest = Path(folder), hashlib.sha256()
    files = [folder / GRAPH, folder / LABELS, *sorted((folder / "variables").glob("*"))]
    files += [file for file in (folder / CALIBRATION, folder / RECIPE) if file.is_file()]
    for file in files:
        with explain_read_errors(file), file.open("rb") as stream:
            digest.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
