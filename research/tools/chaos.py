"""``python -m research.tools.chaos``: train, predict and API, killed and stopped, under faults and under load.

Faults are a full disk, a locked log, a clock that jumps and a replaced model; loads are 50 clients at once and 20
requests a second. Everything happens in a temporary folder and on loopback. The disks are small tmpfs: run it as root.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from filelock import FileLock

from research.runs import record
from research.tools.fuzz import connect, differences, odd_texts, post, running_api
from tf_model import cli, model_dir, paths
from tf_model.errors import ModelError, TweetTargetError
from tf_model.inference.light import SETTINGS
from tf_model.inference.predictor import Predictor, find_model
from tf_model.io.characters import well_formed
from tf_model.io.files import write_json
from tf_model.monitor.store import DAY, HOUR, Store
from tf_model.promote import versions

TRAINING = (
    "-m",
    "tf_model.train",
    "--data",
    str(paths.SAMPLE_CORPUS),
    "--epochs",
    "3",
    "--max-tokens",
    "24",
    "--resume",
)
ROWS = 800  # of the file on which predict is killed
CLIENTS = 8
LEAST_REPLACEMENTS = 20  # least number of replacements
SECONDS_BETWEEN = 1.0  # far more than a model takes to load
SEQUENTIAL_REQUESTS = 100  # requests, one after the other
LOCKED_SECONDS = 40  # limit of a command while the log is locked, its start included
PEOPLE = 50  # clients at once
PEOPLE_SECONDS = 20.0
P95_SECONDS = 1.0  # greatest 95th percentile of their answers
BATCH_CLIENTS, BATCH = 32, 10  # and texts in each request: together no more than the API lets wait
BATCH_ROUNDS, BATCH_SECONDS = 5, 4.0
TWEET_LENGTH = 280  # most characters of these texts, as of a tweet
LEAST_SHARE = 0.85  # of the texts a second that the model answers without the API
RATE, RATE_REQUESTS = 20, 2_000  # requests a second; requests in all
P99_SECONDS = 0.03  # greatest 99th percentile of these answers
JUMPS = (3 * DAY, -DAY, 0)  # of the clock, in seconds from the true time
# Runs a command with its own log of predictions, and a clock that makes the next jump at each SIGUSR1.
LOGGED_COMMAND = """
import runpy, signal, sys, time
from pathlib import Path
from tf_model import paths

log, jumps, sys.argv = sys.argv[1], [float(jump) for jump in sys.argv[2].split()], sys.argv[3:]
now, shifts = time.time, [0.0]
paths.MONITOR_LOG, time.time = Path(log), lambda: now() + shifts[-1]
signal.signal(signal.SIGUSR1, lambda *_: shifts.append(jumps.pop(0)))
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def main(argv: list[str] | None = None) -> int:
    """Run all tests, record them, and exit with 1 if something did not hold."""
    parser = cli.parser("research.tools.chaos", "Kill, stop, lock, fill the disk and replace the model under load.")
    parser.add_argument("--kills", type=cli.positive_integer, default=50, help="kills of train, and of predict")
    parser.add_argument(
        "--requests", type=cli.positive_integer, default=10_000, help="requests while memory is watched"
    )
    parser.add_argument(
        "--answers", type=cli.positive_integer, default=10_000, help="answers while the model is replaced"
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="the model; by default, answer or product")
    parser.add_argument("--record", action="store_true", help="write the results into research/runs/")
    arguments = parser.parse_args(argv)
    model, results = find_model(arguments.model), {}
    with cli.stopped_cleanly(), tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        for title, run_test in {
            "training": lambda: kill_training(folder / "training", arguments.kills),
            "kills": lambda: kill_predict(model, folder, arguments.kills),
            "disk": lambda: fill_disk(model, folder),
            "locked": lambda: lock_log(model, folder),
            "clock": lambda: jump_clock(model, folder),
            "sigterm": lambda: stop_under_load(model),
            "replaced": lambda: replace_under_load(model, folder, arguments.answers),
            "memory": lambda: watch_memory(model, arguments.requests),
            "people": lambda: serve_people(model, PEOPLE, _texts(2_000), 1, PEOPLE_SECONDS),
            "batches": lambda: serve_batches(model),
            "rate": lambda: serve_rate(model),
        }.items():
            results[title] = run_test()
            cli.say(f"{title}: {results[title]}")
    if arguments.record:
        command = f"make chaos REQUESTS={arguments.requests}"
        cli.say(f"written to {paths.shown(record('chaos', command, results))}")
    if missed := failures(results):
        raise TweetTargetError(f"failed: {'; '.join(missed)}")
    return 0


def failures(results: dict[str, Any]) -> list[str]:
    """What did not hold, by the names in the record."""
    must_be_0 = {
        "training": ("failed", "other_metrics"),
        "kills": ("half_outputs", "wrong_outputs", "left_behind"),
        "disk": ("not_one_line", "left_behind"),
        "locked": ("hung", "not_one_line", "failed", "not_recorded_later", "lost_silently"),
        "clock": ("failed", "not_recorded", "hidden"),
        "sigterm": ("begun_and_lost", "exit_code_other"),
        "replaced": ("wrong", "failed", "mixed_loads"),
        "people": ("failed",),
        "batches": ("failed",),
        "rate": ("failed",),
    }
    missed = [
        f"{title} {name} is {results[title][name]}"
        for title, names in must_be_0.items()
        for name in names
        if results[title][name]
    ]
    grown = results["memory"]["late_bytes"] / results["memory"]["early_bytes"] - 1
    if grown > 0.05:
        missed.append(f"memory grew by {grown:.0%}")
    for title, name, most in (("people", "p95_seconds", P95_SECONDS), ("rate", "p99_seconds", P99_SECONDS)):
        if results[title][name] > most:
            missed.append(f"{title}: {name} is {results[title][name]:.3f}, above {most:g}")
    if results["batches"]["of_the_model"] < LEAST_SHARE:
        missed.append(f"batches: {results['batches']['of_the_model']:.2f} of the model's speed, below {LEAST_SHARE}")
    return missed


def _texts(count: int) -> list[str]:
    return [well_formed(text).replace("\0", " ") for text in odd_texts(0, count)]


def _write_texts(folder: Path) -> Path:
    source = folder / "texts.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in _texts(ROWS)))
    return source


def _predict(model: Path, source: Path, output: Path) -> list[str | Path]:
    return [sys.executable, "-m", "tf_model.predict", source, "--output", output, "--model", model, "--overwrite"]


# ---------------------------------------------------------------- train and predict


def kill_training(folder: Path, kills: int) -> dict[str, Any]:
    """Kill ``train`` at random moments; the next run resumes, and must end with the metrics of an undisturbed run."""
    counts, generator = Counter(killed=0, ended=0, failed=0, other_metrics=0), random.Random(0)
    expected, seconds, began = None, None, time.monotonic()
    while True:
        is_undisturbed = seconds is None or counts["killed"] == kills
        try:
            command = [sys.executable, *TRAINING, "--output-dir", str(folder)]
            limit = None if is_undisturbed else generator.uniform(0, seconds)
            result = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=limit)
            if result.returncode:
                counts["failed"] += 1
                cli.say(result.stderr)
        except subprocess.TimeoutExpired:  # killed, perhaps after the model was written
            counts["killed"] += 1
        if models := list(folder.glob(f"[!.]*/{model_dir.METRICS}")):
            metrics = [model_dir.read_json(models[0])[part] for part in ("train", "validation")]
            if expected is None:
                expected, seconds = metrics, time.monotonic() - began
            counts["ended"] += 1
            counts["other_metrics"] += metrics != expected
            shutil.rmtree(folder)
        if (is_undisturbed and counts["killed"] == kills) or counts["failed"]:
            return dict(counts)


def kill_predict(model: Path, folder: Path, kills: int) -> dict[str, Any]:
    """Kill ``predict`` at random moments; each run finds what the last one left, and the final run is not killed."""
    folder = folder / "kills"
    folder.mkdir()
    source, output = _write_texts(folder), folder / "answers.csv"
    began = time.monotonic()
    subprocess.run(_predict(model, source, output), cwd=paths.ROOT, check=True, capture_output=True)
    seconds, expected = time.monotonic() - began, output.read_bytes()
    counts, generator = Counter(killed=0, half_outputs=0), random.Random(0)
    while counts["killed"] < kills:
        output.unlink(missing_ok=True)
        with subprocess.Popen(_predict(model, source, output), cwd=paths.ROOT, stderr=subprocess.DEVNULL) as process:
            time.sleep(generator.uniform(0, seconds))
            process.kill()
        counts["killed"] += process.returncode != 0  # else it had ended already
        counts["half_outputs"] += output.exists() and output.read_bytes() != expected
    subprocess.run(_predict(model, source, output), cwd=paths.ROOT, check=True, capture_output=True)
    leftovers = {path.name for path in folder.iterdir()} - {source.name, output.name}
    return {
        "rows": ROWS,
        **counts,
        "wrong_outputs": int(output.read_bytes() != expected),
        "left_behind": len(leftovers),
    }


def fill_disk(model: Path, folder: Path) -> dict[str, Any]:
    """Let ``predict`` write every format to a full disk and to a read-only one."""
    source = _write_texts(folder)
    counts = Counter(not_one_line=0, left_behind=0)
    for mode in ("rw", "ro"):
        with _small_disk(folder / mode, mode) as disk:
            for suffix in (".csv", ".jsonl", ".xlsx", ".parquet"):
                output = disk / f"answers{suffix}"
                result = subprocess.run(_predict(model, source, output), cwd=paths.ROOT, capture_output=True, text=True)
                errors = [line for line in result.stderr.splitlines() if line.startswith("error: cannot write ")]
                counts["not_one_line"] += result.returncode != 1 or len(errors) != 1 or "Traceback" in result.stderr
                counts["left_behind"] += len(list(disk.iterdir()))
    return {"outputs": 8, **counts}


@contextmanager
def _small_disk(folder: Path, mode: str) -> Iterator[Path]:
    folder.mkdir()
    result = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=64k,{mode}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if result.returncode:
        raise TweetTargetError(f"a small disk cannot be mounted ({result.stderr.strip()}); run it as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# ---------------------------------------------------------------- the log of predictions


def _with_log(log: Path, module: str, *options: object) -> list[str]:
    """The words after ``python`` that run a command with its own log, see :data:`LOGGED_COMMAND`."""
    return ["-c", LOGGED_COMMAND, str(log), " ".join(map(str, JUMPS)), module, *map(str, options)]


@contextmanager
def _locked(log: Path) -> Iterator[None]:
    """Lock the database, as another writing program would."""
    with closing(sqlite3.connect(log, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def lock_log(model: Path, folder: Path) -> dict[str, Any]:
    """Lock the log of ``predict --record`` and the API: they go on or end, and say how much was not recorded."""
    folder = folder / "locked"
    folder.mkdir()
    source, output, log = _write_texts(folder), folder / "answers.csv", folder / "log.sqlite"
    with closing(Store(log).open()):
        pass
    command = [sys.executable, *_with_log(log, "tf_model.predict", source, "--output", output, "--model", model)]
    counts, slowest, reported = Counter(answered=0, hung=0, not_one_line=0, failed=0, not_recorded_later=0), 0.0, 0
    for lock, words in (
        (_locked(log), "predictions are not in the log"),
        (FileLock(f"{log}.lock"), "another program holds"),
        (nullcontext(), ""),
    ):
        began = time.monotonic()
        try:
            with lock:
                result = subprocess.run(
                    [*command, "--record"], cwd=paths.ROOT, capture_output=True, text=True, timeout=LOCKED_SECONDS
                )
        except subprocess.TimeoutExpired:
            counts["hung"] += 1
            continue
        slowest = max(slowest, time.monotonic() - began)
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        is_expected = len(errors) == result.returncode == 1 and words in errors[0] if words else not result.returncode
        counts["not_one_line"] += not is_expected or "Traceback" in result.stderr
        counts["answered"] += ROWS * output.exists()
        output.unlink(missing_ok=True)
        reported += _reported_lost(result.stderr)
    with running_api(model, "--record", start=_with_log(log, "tf_model.api")) as (address, api, api_log):
        with _locked(log):
            _ask_in_turn(address, _texts(SEQUENTIAL_REQUESTS), counts)
        deadline = time.monotonic() + LOCKED_SECONDS
        while (unrecorded := counts["answered"] - reported - _recorded(log)) and time.monotonic() < deadline:
            time.sleep(0.1)
        counts["not_recorded_later"] = unrecorded
        with _locked(log):
            _ask_in_turn(address, _texts(SEQUENTIAL_REQUESTS), counts)
            api.terminate()
            try:
                api.wait(LOCKED_SECONDS)
            except subprocess.TimeoutExpired:
                counts["hung"] += 1
        reported += _reported_lost(api_log.read_text())
    lost = counts["answered"] - reported - _recorded(log)
    return {**counts, "said_lost": reported, "lost_silently": lost, "slowest_seconds": slowest}


def jump_clock(model: Path, folder: Path) -> dict[str, Any]:
    """Make the clock of an API jump: every answer is recorded, and those at the true time are found by it."""
    log, counts, at_true_time = folder / "clock.sqlite", Counter(answered=0, failed=0), 0
    with running_api(model, "--record", start=_with_log(log, "tf_model.api")) as (address, api, _):
        for jump in (None, *JUMPS):
            if jump is not None:
                api.send_signal(signal.SIGUSR1)
            before = counts["answered"]
            _ask_in_turn(address, _texts(SEQUENTIAL_REQUESTS), counts)
            at_true_time += 0 if jump else counts["answered"] - before
        api.terminate()
        api.wait()
    now, store = time.time(), Store(log)
    hidden = at_true_time - store.window(now - HOUR, now).predictions
    return {"jumps": len(JUMPS), **counts, "not_recorded": counts["answered"] - _recorded(log), "hidden": hidden}


def _ask_in_turn(address: str, texts: list[str], counts: Counter[str]) -> None:
    connection = connect(address)
    for text in texts:
        _ask(connection, [text], counts)
    connection.close()


def _recorded(log: Path) -> int:
    return len(Store(log).predictions())


def _reported_lost(stderr: str) -> int:
    """How many predictions were not recorded, as the command reports."""
    match = re.search(r"([\d,]+) predictions (?:are not in|could not be written to) ", stderr)
    return int(match[1].replace(",", "")) if match else 0


# ---------------------------------------------------------------- the API


def stop_under_load(model: Path, rounds: int = 5) -> dict[str, Any]:
    """Send SIGTERM while clients ask: every answer in the API's log must have reached its client.

    A connection that is open when the listener closes, but was never read from, counts as ``unread``.
    """
    counts, codes, logged = Counter(answered=0, refused=0, failed=0), [], 0
    for number in range(rounds):
        with ThreadPoolExecutor(CLIENTS) as pool, running_api(model) as (address, api, log):
            clients = [pool.submit(_ask_until_refused, address, counts) for _ in range(CLIENTS)]
            time.sleep(0.5 + 0.3 * number)
            began = time.monotonic()
            api.terminate()
            codes.append(api.wait(30))
            seconds = time.monotonic() - began
            _end(clients)
            logged += log.read_text().count('"path": "/predict"')
    counts["unread"] = counts.pop("failed")
    counts["begun_and_lost"] = logged - counts["answered"]
    others = sum(code != 143 for code in codes)
    return {"rounds": rounds, "clients": CLIENTS, **counts, "exit_code_other": others, "seconds_to_stop": seconds}


def _ask_until_refused(address: str, counts: Counter[str]) -> None:
    while True:
        connection = connect(address)
        try:
            connection.connect()
        except OSError:
            counts["refused"] += 1
            return
        _ask(connection, ["My iPhone dropped every call today"] * 4, counts)
        connection.close()


def _ask(connection: http.client.HTTPConnection, texts: list[str], counts: Counter[str]) -> list[dict[str, Any]]:
    """The answers, empty if the request failed; either is counted."""
    try:
        _, answer = post(connection, json.dumps({"texts": texts}))
    except (OSError, http.client.HTTPException):
        connection.close()
        answer = {}
    counts["answered" if answer else "failed"] += 1
    return answer.get("predictions", [])


def _end(clients: list[Future]) -> None:
    """Wait for the clients; raises the error of one that failed."""
    for client in clients:
        client.result()


def replace_under_load(model: Path, folder: Path, answers: int) -> dict[str, Any]:
    """Switch a model's link to and fro while it is served and reloaded: each answer is from one of the two models."""
    first_model, second_model, link = folder / "one", folder / "other", folder / "models" / "used"
    for copy in (first_model, second_model):
        shutil.copytree(model, copy, ignore=shutil.ignore_patterns("variables"))
    # The second is the same network with lower confidences, which tell the two apart.
    settings = model_dir.read_json(second_model / model_dir.LIGHT / SETTINGS)
    settings["temperature"] = dict.fromkeys(settings["temperature"], 3.0)
    write_json(second_model / model_dir.LIGHT / SETTINGS, settings)
    model_dir.write_manifest(second_model)
    link.parent.mkdir()
    versions.add_version(first_model, link)
    texts = [text for text in _texts(200) if text.strip()][:64]
    expected = [Predictor.load(each, "light").predict(texts).to_dict("records") for each in (first_model, second_model)]
    counts, stop = Counter(asked=0, wrong=0, failed=0, loads=0, mixed_loads=0, replaced=0), threading.Event()

    def load() -> None:
        while not stop.is_set():
            counts["loads"] += 1
            try:
                actual = Predictor.load(link, "light").predict(texts).to_dict("records")
            except ModelError:
                counts["failed"] += 1
                continue
            counts["mixed_loads"] += all(differences(0, each, actual) for each in expected)

    def ask(address: str) -> None:
        connection, request_counts = connect(address), Counter(failed=0)
        while counts["asked"] < answers:
            first = random.randrange(len(texts) - 8)
            counts["asked"] += 8
            if actual := _ask(connection, texts[first : first + 8], request_counts):
                counts["wrong"] += bool(differences(first, expected[0][first : first + 8], actual))
        counts["failed"] += request_counts["failed"]

    with ThreadPoolExecutor(CLIENTS + 1) as pool, running_api(link) as (address, *_):
        clients, loading = [pool.submit(ask, address) for _ in range(CLIENTS)], pool.submit(load)
        while not all(client.done() for client in clients) or counts["replaced"] < LEAST_REPLACEMENTS:
            time.sleep(SECONDS_BETWEEN)
            versions.add_version(first_model if counts["replaced"] % 2 else second_model, link)
            counts["replaced"] += 1
        stop.set()
        _end([*clients, loading])
    return dict(counts)


def watch_memory(model: Path, requests: int) -> dict[str, Any]:
    """Memory of the API after a tenth of the requests, and after all."""
    texts, sizes, counts = _texts(2_000), {}, Counter[str]()
    with ThreadPoolExecutor(CLIENTS) as pool, running_api(model) as (address, api, _):
        began = time.monotonic()
        for name, count in (("early_bytes", requests // 10), ("late_bytes", requests - requests // 10)):
            shares = [random.choices(texts, k=count // CLIENTS) for _ in range(CLIENTS)]
            _end([pool.submit(_ask_in_turn, address, share, counts) for share in shares])
            sizes[name] = psutil.Process(api.pid).memory_info().rss
    return {"requests": sum(counts.values()), **counts, **sizes, "seconds": time.monotonic() - began}


def serve_people(model: Path, clients: int, texts: list[str], size: int, duration: float) -> dict[str, Any]:
    """Latency with many clients at once, each sending ``size`` texts as soon as it has its last answer."""
    seconds, counts = [], Counter(answered=0, failed=0)
    with ThreadPoolExecutor(clients) as pool, running_api(model) as (address, *_):
        deadline = time.monotonic() + duration

        def ask() -> None:
            connection = connect(address)
            while (began := time.monotonic()) < deadline:
                if _ask(connection, random.sample(texts, size), counts):
                    seconds.append(time.monotonic() - began)

        _end([pool.submit(ask) for _ in range(clients)])
    p50, p95 = np.quantile(seconds, (0.5, 0.95)).tolist()
    return {"clients": clients, **counts, "p50_seconds": p50, "p95_seconds": p95}


def serve_batches(model: Path) -> dict[str, Any]:
    """Texts a second with requests of several texts from many clients, also as a share of the model's own speed.

    Runs alternate with the model alone, since a machine's speed may change within minutes; figures are medians.
    """
    texts, predictor, rounds = [text for text in _texts(2_000) if len(text) <= TWEET_LENGTH], Predictor.load(model), []
    predictor.predict(texts)
    for _ in range(BATCH_ROUNDS):
        began = time.monotonic()
        predictor.predict(texts)
        model_rate = len(texts) / (time.monotonic() - began)
        result = serve_people(model, BATCH_CLIENTS, texts, BATCH, BATCH_SECONDS)
        served_rate = result["answered"] * BATCH / BATCH_SECONDS
        rounds.append(result | {"texts_a_second": served_rate, "of_the_model": served_rate / model_rate})
    medians = ("p50_seconds", "p95_seconds", "texts_a_second", "of_the_model")
    return {
        "clients": BATCH_CLIENTS,
        **{name: sum(each[name] for each in rounds) for name in ("answered", "failed")},
        **{name: float(np.median([each[name] for each in rounds])) for name in medians},
    }


def serve_rate(model: Path) -> dict[str, Any]:
    """Ask for one text at a time, at a steady rate; each answer is timed from the moment its request was due."""
    seconds, counts = [], Counter(answered=0, failed=0)
    with running_api(model) as (address, *_):
        connection, began = connect(address), time.monotonic()
        for number, text in enumerate(_texts(RATE_REQUESTS)):
            due = began + number / RATE
            time.sleep(max(due - time.monotonic(), 0))
            if _ask(connection, [text], counts):
                seconds.append(time.monotonic() - due)
    p50, p99 = np.quantile(seconds, (0.5, 0.99)).tolist()
    return {"a_second": RATE, **counts, "p50_seconds": p50, "p99_seconds": p99}


if __name__ == "__main__":
    cli.run(main)
