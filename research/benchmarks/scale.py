"""``python -m research.benchmarks.scale``: rows a second and memory of ``--engine ray`` beside the plain command.

Both score the same rows of Parquet on the same cores, one after the other. The rows are made from real tweets, so that
hardly any two are alike: a text that occurs twice in a window is scored once, which would flatter both. Startup is
measured by a run over few rows and left out of the rates.
"""

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pyarrow.parquet

from research import study
from research.benchmarks import harness
from research.runs import show
from tf_model import cli, data, paths, tasks
from tf_model.errors import TweetTargetError
from tf_model.inference.predictor import find_model

ROWS = 1_000_000
FEW_ROWS = 2_000  # to measure startup
FILE_ROWS = 50_000
SECONDS_BETWEEN = 2.0
# After this share of the run, startup and model loading are over, and memory is that of a long run.
WARM_SHARE = 0.2


def main(argv: list[str] | None = None) -> int:
    """Make the rows, run both, print and record the results."""
    parser = study.parser("benchmarks.scale", "Compare the distributed engine with the plain command.")
    parser.add_argument("--rows", type=int, default=ROWS, help="number of rows")
    parser.add_argument("--model", type=Path, metavar="DIR", help="the model; by default, answer or product")
    parser.add_argument("--record", action="store_true", help="write the result into research/runs/")
    arguments = parser.parse_args(argv)
    model = find_model(arguments.model)
    tweets = [text for text in data.load(arguments.data).labelled[tasks.TEXT_COLUMN].dropna() if text.strip()]
    runs = {}
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as name:
        scratch = Path(name)
        write_rows(scratch / "few", tweets, FEW_ROWS)
        for engine in ("plain", "ray"):
            source, output = scratch / f"{engine}-rows", scratch / f"{engine}-output"
            write_rows(source, tweets, arguments.rows, one_file=engine == "plain")
            cli.say(f"{engine}: {arguments.rows:,} rows, after {FEW_ROWS:,} to measure startup")
            short_run = measure(_command(engine, model, scratch / "few", scratch / f"{engine}-few"), FEW_ROWS)
            runs[engine] = rates(short_run, measure(_command(engine, model, source, output), arguments.rows))
            show(engine, runs[engine])
            files = (*scratch.glob(f"{output.name}.parquet"), *output.glob("*.parquet"))  # one of plain, several of ray
            written = sum(pyarrow.parquet.read_metadata(file).num_rows for file in files)
            if written != arguments.rows:
                raise TweetTargetError(f"{engine}: expected {arguments.rows:,} rows in the output, found {written:,}")
    ratio = runs["ray"]["rows_per_second"] / runs["plain"]["rows_per_second"]
    print(f"ray: {ratio:.2f} times the plain command's rows a second")
    if arguments.record:
        harness.record("scale", argv, {"model": model.name, "runs": runs, "ratio": ratio})
    return 0


def rates(short_run: Mapping[str, Any], full_run: Mapping[str, Any]) -> dict[str, Any]:
    """``full_run`` with ``start_seconds``, and ``rows_per_second`` without startup, which ``short_run`` tells."""
    per_second = (full_run["rows"] - short_run["rows"]) / max(full_run["seconds"] - short_run["seconds"], 1e-9)
    start = max(short_run["seconds"] - short_run["rows"] / per_second, 0.0)
    return {**full_run, "rows_per_second": per_second, "start_seconds": start}


def texts(tweets: Sequence[str], rows: int) -> Iterator[str]:
    """``rows`` texts: the beginning of one tweet and the end of another."""
    generator = random.Random(0)
    for _ in range(rows):
        first, second = generator.choice(tweets).split(), generator.choice(tweets).split()
        yield " ".join(first[: (len(first) + 1) // 2] + second[len(second) // 2 :])


def write_rows(folder: Path, tweets: Sequence[str], rows: int, one_file: bool = False) -> None:
    """Write the rows as Parquet files of :data:`FILE_ROWS` rows, or as one if ``one_file``."""
    folder.mkdir(parents=True)
    source, size = texts(tweets, rows), rows if one_file else FILE_ROWS
    for number, start in enumerate(range(0, rows, size)):
        ids = list(range(start, min(start + size, rows)))
        table = pyarrow.table({"id": ids, "text": [next(source) for _ in ids]})
        pyarrow.parquet.write_table(table, folder / f"{number:04}.parquet", row_group_size=10_000)


def _command(engine: str, model: Path, source: Path, output: Path) -> list[str]:
    if engine == "plain":  # it takes one file
        source, output = source / "0000.parquet", output.with_suffix(".parquet")
    options = ["tf_model.predict", source, "--column", "text", "--model", model, "--output", output]
    return [sys.executable, "-m", *map(str, options), *(["--engine", "ray"] if engine == "ray" else [])]


def measure(command: list[str], rows: int) -> dict[str, Any]:
    """Run a command, watch the memory of all its processes, and return ``rows``, ``seconds`` and bytes."""
    began, samples = time.perf_counter(), []
    process = subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        samples.append(_memory(process.pid))
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_BETWEEN)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise TweetTargetError(f"{command[1:3]} ended with {process.returncode}; see its message above")
    warm_samples = samples[int(len(samples) * WARM_SHARE) :]
    third = max(len(warm_samples) // 3, 1)
    return {
        "rows": rows,
        "seconds": seconds,
        "early_bytes": statistics.median(warm_samples[:third]),
        "late_bytes": statistics.median(warm_samples[-third:]),
        "peak_bytes": max(samples),
    }


def _memory(pid: int) -> int:
    """Bytes of a process and its children, with shared memory counted once; 0 once it has ended."""
    total = 0
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for each in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):  # it ended in between
                info = each.memory_full_info()
                total += getattr(info, "pss", info.uss)  # macOS does not tell how much is shared
    return total


if __name__ == "__main__":
    cli.run(main)
