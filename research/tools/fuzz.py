"""``python -m research.tools.fuzz``: damaged files for ``predict`` and the app's upload, odd texts for model and API.

Each file is a sound one, damaged by a random generator whose seed is the file's number, so ``--first NUMBER --files 1``
repeats a failure. Required are an answer or an error of one line, no crash, no hang, nothing left behind, and the same
answer to a text alone, among others, and over HTTP.
"""

from __future__ import annotations

import faulthandler
import http.client
import io
import json
import multiprocessing
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from research.runs import record
from streamlit_app.components import files
from tf_model import cli, paths, predict
from tf_model.device import cores
from tf_model.errors import DataError, TweetTargetError
from tf_model.inference.predictor import Predictor, find_model
from tf_model.io import tables
from tf_model.io.characters import well_formed

HANG_SECONDS = 20
MEMORY = 8 * 2**30  # bytes of a process
PROCESS_FILES = 5_000  # tried by one process, so that memory that libraries do not free does not add up
SUFFIXES = (".csv", ".tsv", ".jsonl", ".txt", ".xlsx", ".parquet")
WORDS = ("iPad", "iPhone", "Android", "love", "hate", "the", "app", "crashes", "#sxsw", "@user", "RT", "[MASK]", "\x02")
SCRIPTS = ((0, 0x80), (0x80, 0x800), (0x2000, 0x2100), (0x3000, 0xA000), (0xD800, 0xE000), (0xE000, 0x10000))
BYTES = (
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b'"',
    b"\r",
    b"\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"{[",
)
TOLERANCE = 1e-5  # tolerance of equal confidences: float32 sums depend on the order
BATCH = 64  # texts of a request
MOST_SHOWN = 20  # failures


def main(argv: list[str] | None = None) -> int:
    """Damage, ask and count; exit code 1 where something failed."""
    parser = cli.parser("research.tools.fuzz", "Damaged files and odd texts: an answer, or an error of one line.")
    parser.add_argument("--files", type=cli.positive_integer, default=100_000, help="damaged files")
    parser.add_argument("--texts", type=cli.positive_integer, default=20_000, help="odd texts")
    parser.add_argument("--first", type=int, default=0, help="number of the first file and text")
    parser.add_argument("--model", type=Path, metavar="DIR", help="the model; by default, answer or product")
    parser.add_argument("--record", action="store_true", help="write the counts into research/runs/")
    arguments = parser.parse_args(argv)
    model, began = find_model(arguments.model), time.monotonic()
    with cli.stopped_cleanly():
        counts, problems = fuzz_files(model, arguments.first, arguments.files)
        results = {"files": arguments.files, **counts}
        seconds = time.monotonic() - began
        results |= {"texts": arguments.texts, **fuzz_texts(model, arguments.first, arguments.texts, problems)}
    results |= {"failures": len(problems), "files_seconds": seconds, "seconds": time.monotonic() - began}
    print(json.dumps(results, indent=2))
    if arguments.record:
        command = f"make fuzz FILES={arguments.files} TEXTS={arguments.texts}"
        cli.say(f"written to {paths.shown(record('fuzz', command, results))}")
    for problem in problems[:MOST_SHOWN]:
        cli.say(problem)
    if problems:
        raise TweetTargetError(f"{len(problems)} failures; see above")
    return 0


# ---------------------------------------------------------------- damaged files


def fuzz_files(model: Path, first: int, count: int) -> tuple[dict[str, Any], list[str]]:
    """Count damaged files that are answered and refused, by format, and uploads that the app takes and refuses.

    Also returns the memory of the largest process in bytes (among the counts), and the failures in words.
    """
    context, step = multiprocessing.get_context("spawn"), cores()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        workers = {}
        for worker in range(min(step, count)):
            log = Path(scratch) / f"{worker}.log"
            log.touch()
            workers[worker] = (log, range(first + worker, first + count, step))
        while workers:
            processes = {}
            for worker, (log, numbers) in workers.items():
                tried = len(log.read_text().splitlines())
                next_numbers = numbers[tried : tried + PROCESS_FILES]
                processes[worker] = context.Process(target=_run_worker, args=(model, log, next_numbers))
                processes[worker].start()
            for worker, process in processes.items():
                process.join()
                log, numbers = workers.pop(worker)
                tried = len(log.read_text().splitlines())
                if tried < len(numbers):
                    if process.exitcode:  # it crashed or hung: continue with the next file
                        log.write_text(log.read_text() + f"crashed or hung ({process.exitcode}) at {numbers[tried]}\n")
                    workers[worker] = (log, numbers)
        lines = [line for log in sorted(Path(scratch).glob("*.log")) for line in log.read_text().splitlines()]
    counts, outcomes, uploads = Counter(lines), ("answered", "refused"), ("upload taken", "upload refused")
    expected = {f"{outcome} {suffix}, {upload}" for outcome in outcomes for suffix in SUFFIXES for upload in uploads}
    results: dict[str, Any] = {
        outcome: {suffix: sum(counts[f"{outcome} {suffix}, {upload}"] for upload in uploads) for suffix in SUFFIXES}
        for outcome in outcomes
    }
    results |= {upload: sum(counts[line] for line in expected if line.endswith(upload)) for upload in uploads}
    results["memory_bytes"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return results, [line for line in lines if line not in expected]


def _run_worker(model: Path, log: Path, numbers: Sequence[int]) -> None:
    """Try the files of these numbers, and add a line to ``log`` for each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    predictor = Predictor.load(model, threads=1)
    predict._load = lambda _: predictor
    tempfile.tempdir = str(log.with_suffix(""))
    Path(tempfile.tempdir).mkdir(exist_ok=True)
    samples = sound_files(Path(tempfile.tempdir))
    with log.open("a") as stream:
        for number in numbers:
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            stream.write(_try_file(samples, Path(tempfile.tempdir), number) + "\n")
            stream.flush()
    faulthandler.cancel_dump_traceback_later()


def _try_file(samples: dict[str, bytes], folder: Path, number: int) -> str:
    """The outcome of one damaged file, as one line."""
    generator = random.Random(number)
    suffix, ending = generator.choice(SUFFIXES), generator.choice(tables.OUTPUT_SUFFIXES)
    source, output, errors, uploaded = folder / f"input{suffix}", folder / f"output{ending}", io.StringIO(), "crashed"
    source.write_bytes(damaged(samples[suffix], generator, suffix == ".xlsx"))
    expected = {source.name}
    try:
        with redirect_stderr(errors):
            uploaded = _upload(source)
            predict.main([str(source), "--output", str(output)])
        result = f"answered {suffix}, upload {uploaded}"
        expected.add(output.name)
    except (TweetTargetError, MemoryError) as error:
        is_one_line = "\n" not in str(error)
        result = f"refused {suffix}, upload {uploaded}" if is_one_line else f"{number}: several lines: {error!r}"
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        result = (
            f"{number}: {suffix} to {ending}: {type(error).__name__} at {frame.filename}:{frame.lineno}: {error!r:.200}"
        )
    if "Traceback" in errors.getvalue():
        result = f"{number}: a traceback was printed"
    remains = {path.name for path in folder.iterdir()}
    for name in remains:
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    return result.replace("\n", " ") if remains == expected else f"{number}: left behind: {sorted(remains - expected)}"


def _upload(source: Path) -> str:
    """What the app's page says about an uploaded file."""
    try:
        files.read_upload(source, source.name)
    except DataError as error:
        return "refused" if len(str(error).splitlines()) == 1 else "in several lines"
    return "taken"


def sound_files(folder: Path) -> dict[str, bytes]:
    """The bytes of a sound file of each format: ids, texts, dates, numbers and lists."""
    import pandas

    texts = [
        "I love my new iPad",
        'the "app" crashes, again',
        "",
        "caf\u00e9 \U0001f389\r\nnext line",
        "x" * 300,
        "=1+1",
    ]
    frame = pandas.DataFrame({"id": range(len(texts)), "text": texts, "score": [0.5, None, 1e300, -0.0, 3, 4]})
    frame["when"] = pandas.date_range("2011-03-11", periods=len(texts))
    lists = frame.assign(tags=[["a", "b"], [], None, ["\u00e9"], ["c"] * 9, ["d"]])
    contents = {}
    for suffix, content in zip(SUFFIXES, (frame, frame, lists, None, frame, lists), strict=True):
        path = folder / f"sound{suffix}"
        if content is None:
            path.write_text("\n".join(texts), encoding="utf-8")
        else:
            with tables.table_writer(path) as writer:
                writer.write(content)
        contents[suffix] = path.read_bytes()
        path.unlink()
    return contents


def damaged(content: bytes, generator: random.Random, is_archive: bool) -> bytes:
    """``content`` damaged in a few places; in an archive, often inside one of its members."""
    if is_archive and generator.random() < 0.7:
        archive = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as new:
            member = generator.choice(old.namelist())
            for name in old.namelist():
                new.writestr(name, damaged(old.read(name), generator, False) if name == member else old.read(name))
        return archive.getvalue()
    for _ in range(generator.choice((1, 1, 2, 5, 20))):
        start = generator.randrange(len(content) + 1)
        end = min(start + generator.choice((1, 2, 4, 30, 300)), len(content))
        part = content[start:end]
        match generator.randrange(7):
            case 0:
                part = bytes(byte ^ 1 << generator.randrange(8) for byte in part[:1]) + part[1:]
            case 1:
                part = generator.randbytes(len(part))
            case 2:
                part = b""
            case 3:
                part *= generator.choice((2, 3, 50))
            case 4:
                part = generator.choice(BYTES) + part
            case 5:
                part = generator.choice(BYTES)
            case 6:
                end = len(content) if generator.random() < 0.3 else end  # cut off
                part = b""
        content = content[:start] + part + content[end:]
    return content


# ---------------------------------------------------------------- odd texts


def odd_texts(first: int, count: int) -> Iterator[str]:
    """Texts of arbitrary characters, lone surrogates included; some are empty, long, or of one character."""
    for number in range(first, first + count):
        generator = random.Random(number)

        def piece(generator: random.Random = generator) -> str:
            if generator.random() < 0.5:
                return generator.choice(WORDS) + generator.choice((" ", "", ", "))
            return chr(generator.randrange(*generator.choice(SCRIPTS))) * generator.choice((1, 1, 1, 2, 40))

        yield "".join(piece() for _ in range(generator.choice((0, 1, 3, 10, 30, 200))))


def fuzz_texts(model: Path, first: int, count: int, problems: list[str]) -> dict[str, int]:
    """Predict texts together, alone and by the API; add failures to ``problems``, and count the API's statuses."""
    predictor = Predictor.load(model)
    texts = list(odd_texts(first, count))
    together = predictor.predict(texts)
    statuses: Counter[str] = Counter()
    with running_api(model) as (address, *_):
        connection = connect(address)
        for start in range(0, count, BATCH):
            batch = texts[start : start + BATCH]
            # A lone surrogate is not JSON text: the API refuses it, so it is sent as U+FFFD.
            status, answer = post(connection, json.dumps({"texts": [well_formed(text) for text in batch]}))
            rows = answer.get("predictions", [])
            if status == 200:
                problems += differences(first + start, together.iloc[start : start + BATCH].to_dict("records"), rows)
            elif status >= 500:
                problems.append(f"texts from {first + start}: the API returned {status}")
            statuses[str(status)] += 1
            generator = random.Random(first + start)
            status, _ = post(connection, damaged(json.dumps({"texts": batch[:3]}).encode(), generator, False))
            if status >= 500:
                problems.append(f"damaged body {first + start}: the API returned {status}")
            statuses[f"damaged: {status}"] += 1
    for number, text in enumerate(texts):
        single = predictor.predict([text]).to_dict("records")
        problems += differences(first + number, together.iloc[[number]].to_dict("records"), single)
    return {"requests": dict(sorted(statuses.items()))}


def differences(first: int, expected: list[dict[str, Any]], actual: list[dict[str, Any]]) -> list[str]:
    """The differences between expected and actual answers, in words; ``first`` is the number of the first text."""
    problems = [] if len(expected) == len(actual) else [f"text {first}: {len(actual)} answers for {len(expected)}"]
    for number, (one, other) in enumerate(zip(expected, actual, strict=False), first):
        for name, value in one.items():
            is_same = abs(value - other[name]) <= TOLERANCE if isinstance(value, float) else value == other[name]
            if not is_same:
                problems.append(f"text {number}: expected {name} {value!r}, got {other[name]!r}")
    return problems


@contextmanager
def running_api(
    model: Path, *options: str, start: Sequence[str] = ("-m", "tf_model.api")
) -> Iterator[tuple[str, subprocess.Popen[str], Path]]:
    """Run the API on a free port, and yield its address, its process, which is terminated at the end, and its log.

    ``start`` are the words after ``python``.
    """
    command = [sys.executable, *start, "--port", "0", "--model", str(model), *options]
    with (
        tempfile.NamedTemporaryFile("r", encoding="utf-8") as log,  # not a pipe: nobody reads while it runs
        Path(log.name).open("w") as errors,
        subprocess.Popen(command, cwd=paths.ROOT, stdout=errors, stderr=errors, text=True) as api,
    ):
        try:
            while not (line := next((line for line in log if line.startswith("serving ")), "")):
                if api.poll() is not None:
                    raise TweetTargetError(f"the API did not start: {Path(log.name).read_text()[-300:]}")
                time.sleep(0.05)
            yield line.split()[-1], api, Path(log.name)
        finally:
            api.terminate()


def connect(address: str) -> http.client.HTTPConnection:
    """A connection to the API, kept open from request to request."""
    return http.client.HTTPConnection(address.removeprefix("http://"), timeout=HANG_SECONDS)


def post(connection: http.client.HTTPConnection, body: str | bytes) -> tuple[int, dict[str, Any]]:
    """The status of a request to ``/predict``, and its answer, empty unless the status is 200."""
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if answer.status == 200 else {}


if __name__ == "__main__":
    cli.run(main)
