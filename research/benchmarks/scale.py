"""``python -m research.benchmarks.scale``: rows a second and memory of ``--engine ray`` beside the plain command.

Both score the same Parquet files on the same cores, the one after the other, each in processes of its own. The rows
are made from real tweets, the beginning of one and the end of another, so that hardly two are alike: a text that
occurs twice within a window is scored once, which would flatter both. What either needs to start and to load the model
is measured by a run over few rows and left out of the rates: it says nothing of millions of rows. The exit code is 1
where a target is missed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from research.runs import record
from tf_model import cli, data, device, paths, tasks
from tf_model.batch.ray_data import predict_files
from tf_model.errors import TweetTargetError
from tf_model.inference.predictor import DEFAULT_MODELS

ROWS = 1_000_000
PLAIN_ROWS = 100_000
FEW_ROWS = 2_000  # what starting takes is measured with these
FILE_ROWS = 50_000
LEAST_RATIO = 0.85  # of the plain command's rows a second
MOST_GROWTH = 0.05  # of the memory, from the first third of a warm run to the last
SECONDS_BETWEEN = 2.0
# Starting and loading the model are over by then; what is compared after it is what a long run needs.
WARM_SHARE = 0.2


def main(argv: list[str] | None = None) -> int:
    """Make the rows, run both, print and record."""
    arguments = _parser().parse_args(argv)
    model = arguments.model or next(
        (folder for name in DEFAULT_MODELS if (folder := paths.SAVED_MODELS / name).is_dir()), paths.SAVED_MODELS
    )
    tweets = _tweets(arguments.data)
    with tempfile.TemporaryDirectory(prefix="bench-scale-", dir=arguments.scratch) as name:
        scratch = Path(name)
        write_rows(scratch / "rows", tweets, arguments.rows)
        plain_rows = min(arguments.plain_rows, arguments.rows)
        write_rows(scratch / "plain", tweets, plain_rows, whole=True)
        write_rows(scratch / "few", tweets, FEW_ROWS)
        options = [str(arguments.workers or ""), str(arguments.shard_rows)]
        few, one = scratch / "few", "0000.parquet"
        wanted = {
            "plain": (
                plain_rows,
                _plain(model, few / one, scratch / "plain-few.parquet"),
                _plain(model, scratch / "plain" / one, scratch / "plain.parquet"),
            ),
            "ray": (
                arguments.rows,
                _ray(model, few, scratch / "ray-few", options),
                _ray(model, scratch / "rows", scratch / "ray", options),
            ),
        }
        runs = {}
        for name, (rows, of_few, of_all) in wanted.items():
            cli.say(f"{name}: {rows:,} rows, after {FEW_ROWS:,} to see what starting takes")
            runs[name] = rates(measure(of_few, FEW_ROWS), measure(of_all, rows))
            _print(name, runs[name])
        written = sum(_rows(file) for file in (scratch / "ray").glob("shard-*.parquet"))
    if written != arguments.rows:
        raise TweetTargetError(f"expected {arguments.rows:,} rows in the output, found {written:,}")
    ratio = runs["ray"]["rows_per_second"] / runs["plain"]["rows_per_second"]
    results = {"model": model.name, "cores": device.cores(), "runs": runs, "ratio": ratio}
    missed = missed_targets(results)
    print(f"ray does {ratio:.2f} of the plain command's rows a second")
    for words in missed:
        print(f"MISSED {words}")
    if arguments.record:
        path = record("bench_scale", "make bench-scale", results | {"missed": missed, "remark": arguments.remark})
        cli.say(f"written to {paths.shown(path)}")
    return 1 if missed else 0


def missed_targets(results: dict[str, Any]) -> list[str]:
    """What the results miss of what was to be reached, in words."""
    missed, ray = [], results["runs"]["ray"]
    if results["ratio"] < LEAST_RATIO:
        missed.append(f"ray: {results['ratio']:.2f} of the plain command's rows a second, the target is {LEAST_RATIO}")
    growth = ray["late_bytes"] / max(ray["early_bytes"], 1) - 1
    if growth > MOST_GROWTH:
        missed.append(f"ray: memory grew by {growth:.1%}, the target is {MOST_GROWTH:.0%}")
    return missed


def rates(few: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """``whole`` with ``rows_per_second``, and ``start_seconds``, both without what the ``few`` rows took as well."""
    per_second = (whole["rows"] - few["rows"]) / max(whole["seconds"] - few["seconds"], 1e-9)
    start = max(few["seconds"] - few["rows"] / per_second, 0.0)
    return whole | {"rows_per_second": per_second, "start_seconds": start}


def _print(name: str, run: dict[str, Any]) -> None:
    print(
        f"{name}: {run['rows']:,} rows in {run['seconds']:.0f} s, {run['start_seconds']:.0f} s of it to start, then "
        f"{run['rows_per_second']:.0f} rows/s; memory {run['early_bytes'] / 1e9:.2f} GB early, "
        f"{run['late_bytes'] / 1e9:.2f} GB late, {run['peak_bytes'] / 1e9:.2f} GB at most",
        flush=True,
    )


def section(run: dict[str, Any]) -> str:
    """The recorded run as a section of benchmarks.md."""
    rows = "\n".join(
        f"| {name} | {found['rows']:,} | {found['start_seconds']:.0f} s | {found['rows_per_second']:,.0f} | "
        f"{' | '.join(f'{found[each] / 1e9:.2f} GB' for each in ('early_bytes', 'late_bytes', 'peak_bytes'))} |"
        for name, found in run["runs"].items()
    )
    remark = f" {run['remark']}" if run.get("remark") else ""
    return f"""## Many tweets

`{run["command"]}`, {run["date"]}, {run["machine"]}: Parquet in and out, rows made from real tweets, the model
`{run["model"]}`; the plain command and `--engine ray`, one after the other on the same cores. Memory is that of all
processes together, shared pages counted once: the median of the first and of the last third of a warm run.

| | rows | starting | rows a second after it | memory early | late | at most |
|---|---|---|---|---|---|---|
{rows}

The engine does {run["ratio"]:.2f} of the plain command's rows a second (target: at least {LEAST_RATIO}; memory that
grows by at most {MOST_GROWTH:.0%}). Targets that were missed: {"; ".join(run["missed"]) or "none"}.{remark}
"""


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("research.benchmarks.scale", "Compare the distributed engine with the plain command.")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows for the engine")
    parser.add_argument("--plain-rows", type=int, default=PLAIN_ROWS, help="rows for the plain command, the first ones")
    parser.add_argument("--workers", type=int, help="workers of the engine; one a core if not given")
    parser.add_argument("--shard-rows", type=int, default=8_192, help="rows in a shard")
    parser.add_argument("--model", type=Path, metavar="DIR", help="the model; answer or product if not given")
    parser.add_argument("--data", type=Path, help="the dataset; found by itself if not given")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where the rows are written for the while")
    parser.add_argument(
        "--remark", default="", help="what a reader of the record must know, such as other work meanwhile"
    )
    parser.add_argument("--record", action="store_true", help="write the result into research/runs/")
    return parser


def _tweets(source: Path | None) -> list[str]:
    resolved = data.resolve(source)
    data.announce(resolved)
    tweets = data.read(resolved.path).labelled[tasks.TEXT_COLUMN]
    return [tweet for tweet in tweets.dropna().astype(str) if tweet.strip()]


def texts(tweets: Sequence[str], rows: int, seed: int = 0) -> Iterator[str]:
    """``rows`` texts: the beginning of one tweet and the end of another."""
    draw = random.Random(seed)
    for _ in range(rows):
        first, second = draw.choice(tweets).split(), draw.choice(tweets).split()
        yield " ".join(first[: (len(first) + 1) // 2] + second[len(second) // 2 :])


def write_rows(folder: Path, tweets: Sequence[str], rows: int, whole: bool = False) -> None:
    """Write the rows as Parquet files of :data:`FILE_ROWS` rows, or as one."""
    import pyarrow
    import pyarrow.parquet

    folder.mkdir(parents=True)
    source, size = texts(tweets, rows), rows if whole else FILE_ROWS
    for number, start in enumerate(range(0, rows, size)):
        columns = {"id": range(start, min(start + size, rows))}
        columns["text"] = [next(source) for _ in columns["id"]]
        table = pyarrow.table({"id": list(columns["id"]), "text": columns["text"]})
        pyarrow.parquet.write_table(table, folder / f"{number:04}.parquet", row_group_size=10_000)


def _rows(file: Path) -> int:
    import pyarrow.parquet

    return pyarrow.parquet.read_metadata(file).num_rows


# ---------------------------------------------------------------- runs


def _plain(model: Path, source: Path, output: Path) -> list[str]:
    command = [sys.executable, "-m", "tf_model.predict", str(source), "--column", "text"]
    return [*command, "--model", str(model), "--output", str(output)]


def _ray(model: Path, source: Path, output: Path, options: Sequence[str]) -> list[str]:
    given = [str(model), str(source), str(output), *options]
    return [sys.executable, "-c", f"from research.benchmarks.scale import run_ray; run_ray(*{given!r})"]


def run_ray(model: str, source: str, output: str, workers: str, shard_rows: str) -> None:
    """The engine's run, in a process of its own."""
    predict_files(
        model, source, output, column="text", workers=int(workers) if workers else None, shard_rows=int(shard_rows)
    )


def measure(command: list[str], rows: int) -> dict[str, Any]:
    """Run a command, watch the memory of all its processes, and give ``rows``, ``seconds`` and bytes.

    Memory is the proportional share of each process, so that what several share is counted once.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    samples: list[int] = []
    watcher = threading.Thread(target=_watch, args=(process, samples), daemon=True)
    watcher.start()
    _, errors = process.communicate()
    seconds = time.perf_counter() - begun
    watcher.join()
    if process.returncode:
        said = errors.strip().splitlines() or ["nothing"]
        raise TweetTargetError(f"{command[1:3]} ended with {process.returncode}: {said[-1][:300]}")
    warm = samples[int(len(samples) * WARM_SHARE) :] or samples or [0]
    third = max(len(warm) // 3, 1)
    return {
        "rows": rows,
        "seconds": seconds,
        "early_bytes": statistics.median(warm[:third]),
        "late_bytes": statistics.median(warm[-third:]),
        "peak_bytes": max(samples, default=0),
    }


def _watch(process: subprocess.Popen, samples: list[int]) -> None:
    import psutil

    while process.poll() is None:
        total = 0
        try:
            parent = psutil.Process(process.pid)
            for each in [parent, *parent.children(recursive=True)]:
                try:
                    total += each.memory_full_info().pss
                except psutil.Error:  # it ended in between
                    continue
        except psutil.Error:
            break
        samples.append(total)
        time.sleep(SECONDS_BETWEEN)


if __name__ == "__main__":
    cli.run(main)
