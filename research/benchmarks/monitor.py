"""``python -m research.benchmarks.monitor``: what the log of predictions costs, holds, and survives.

It measures what logging adds to one prediction, how many records a second the log takes without an overflow, what is
left after a kill at a random moment, and how long the page Monitor waits for queries of a large log. Each has a target
(:data:`TARGETS`); the exit code is 1 if one is missed.
"""

import random
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pandas

from research.benchmarks import harness
from tf_model import cli, paths, tasks
from tf_model.inference.predictor import Measured, Predictor
from tf_model.monitor import report
from tf_model.monitor.aggregates import CPU, MEMORY
from tf_model.monitor.events import PROCESS, Answered, Corrected, Event, Failed, Stream
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.reference import Reference
from tf_model.monitor.store import DAY, HOUR, MINUTE, Store

ROUNDS, RATE, SECONDS, PAIRS = 50, 2000, 20.0, 400  # kills; records a second, for how long; pairs of predictions
RECORDS = 10_000_000  # in the large log
THREADS = 8
LEAST_RATE_SHARE = 0.98  # of the requested rate: the sending threads are sometimes late
STAGES = {"tokenize": 0.001, "model": 0.012, "rest": 0.001}  # seconds
STREAMS = tuple(Stream("answer", "benchmark", source) for source in ("app", "batch"))
DAYS = 30  # over which a large log is spread
# The periods that the page Monitor offers, in seconds, and how many points and rows it shows.
SPANS: Mapping[str, float] = {
    "15 min": 15 * MINUTE,
    "1 hour": HOUR,
    "6 hours": 6 * HOUR,
    "24 hours": DAY,
    "7 days": 7 * DAY,
    "30 days": DAYS * DAY,
}
POINTS, MOST_ERRORS, MOST_CORRECTIONS = 60, 50, 200
SINGLE_TEXTS = 3  # single-text calls in each minute of a large log; its other texts come as one file
# Upper limits, by result and figure.
TARGETS: Mapping[tuple[str, str], float] = {
    ("caller", "p99_milliseconds"): 0.2,
    ("paired", "p50_share"): 0.01,
    ("sustained", "dropped"): 0,
    ("kills", "faulty_rounds"): 0,
    ("kills", "missing_seconds_most"): 0.2,
    ("large", "slowest_query_seconds"): 2.0,
}


def main(argv: list[str] | None = None) -> int:
    """Measure, print and record the results."""
    parser = cli.parser("research.benchmarks.monitor", __doc__.splitlines()[0])
    parser.add_argument("--kill-rounds", type=int, default=ROUNDS, metavar="N", help="processes to kill")
    parser.add_argument("--records", type=int, default=RECORDS, metavar="N", help="records in the large log")
    parser.add_argument("--model", type=Path, help="model folder; by default, the one that is found")
    parser.add_argument("--no-record", action="store_true", help="print only, for a trial with small numbers")
    arguments = parser.parse_args(argv)
    predictor = Predictor.load(arguments.model)
    with tempfile.TemporaryDirectory() as name:
        parts = {
            "paired": lambda path: _paired(predictor, path),
            "caller": _caller,
            "sustained": _sustained,
            "kills": lambda path: _kills(path, arguments.kill_rounds),
            "large": lambda path: _large(path, arguments.records),
        }
        results: dict[str, Any] = {"rate": RATE, "duration": SECONDS}
        for part, measure in parts.items():
            results[part] = measure(Path(name) / f"{part}.sqlite")
            harness.show(part, results[part])
    missed = missed_targets(results)
    keep = not arguments.no_record
    return harness.finish("monitor", argv, results | {"missed": missed}, missed, keep=keep)


def missed_targets(results: Mapping[str, Any]) -> list[str]:
    """The :data:`TARGETS` that the results miss, in words."""
    missed = [
        f"{part}: {name} is {results[part][name]:.4g}, the target is {most:g}"
        for (part, name), most in TARGETS.items()
        if not results[part][name] <= most
    ]
    rate = results["sustained"]["records_per_second"]
    return missed if rate >= RATE * LEAST_RATE_SHARE else [*missed, f"sustained: {rate:.0f} records a second of {RATE}"]


def _paired(predictor: Predictor, path: Path, pairs: int = PAIRS) -> dict[str, Any]:
    """Predict the same text with the log and without, one right after the other, in random order.

    The time with the log includes all its work: collecting the stages and the unknown tokens, and handing over the
    record. A pause then lets the writer thread finish, as between two people; its cost is in ``sustained``.
    """
    generator = random.Random(0)
    corpus = pandas.read_csv(paths.SAMPLE_CORPUS)[tasks.TEXT_COLUMN].tolist()[:40]
    texts = [text for text in corpus for _ in range(-(-pairs // len(corpus)))][:pairs]
    generator.shuffle(texts)
    times: dict[str, list[float]] = {"without": [], "with": []}
    with Recorder(path, model="answer", version="benchmark") as recorder:
        calls: dict[str, Callable[[str], Any]] = {
            "without": lambda text: predictor.predict_measured([text]),
            "with": lambda text: recorder.record_measured([text], predictor.predict_measured([text]), "app"),
        }
        for text in dict.fromkeys(texts):  # warm up with each text
            for call in calls.values():
                call(text)
        for text in texts:
            for name in generator.sample(list(calls), 2):
                begin = time.perf_counter()
                calls[name](text)
                times[name].append((time.perf_counter() - begin) * 1000)
                recorder.flush()
                time.sleep(0.005)  # after both, so that the writer thread slows neither
    without, extra = numpy.array(times["without"]), numpy.array(times["with"]) - numpy.array(times["without"])
    resamples = numpy.random.default_rng(0).integers(0, pairs, (2000, pairs))
    low, high = numpy.percentile(numpy.median(extra[resamples], axis=1) / numpy.median(without), [2.5, 97.5])
    return {
        "pairs": pairs,
        "p50_milliseconds_without": float(numpy.median(without)),
        "p50_milliseconds_more": float(numpy.median(extra)),
        "p50_share": float(numpy.median(extra) / numpy.median(without)),
        "p50_share_low": float(low),
        "p50_share_high": float(high),
    }


def _caller(path: Path, calls: int = 3000) -> dict[str, float]:
    """Percentiles of the milliseconds to record one text, with a call every 2 ms, as from a busy page."""
    from tests.monitor.made_up import predictions

    measured, times = Measured(predictions(), STAGES, [0.0]), []
    with Recorder(path, model="answer", version="benchmark") as recorder:
        for number in range(calls):
            begin = time.perf_counter()
            recorder.record_measured([f"text {number}"], measured, "app")
            times.append((time.perf_counter() - begin) * 1000)
            time.sleep(0.002)
    return {f"{rank}_milliseconds": value for rank, value in harness.percentiles(times).items()}


def _sustained(path: Path, seconds: float = SECONDS) -> dict[str, Any]:
    """Record single texts from several threads at a steady rate, and see whether the writer keeps up."""
    from tests.monitor.made_up import predictions

    measured = Measured(predictions(), STAGES, None)
    with Recorder(path, model="answer", version="benchmark") as recorder:
        begin = time.monotonic()

        def send(thread: int) -> None:
            for number in range(int(RATE * seconds / THREADS)):
                recorder.record_measured([f"{thread} {number}"], measured, "app")
                time.sleep(max(begin + number * THREADS / RATE - time.monotonic(), 0))

        cpu_before = time.process_time()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(send, range(THREADS)))
        duration = time.monotonic() - begin
        recorder.flush(60)
        cores = (time.process_time() - cpu_before) / (time.monotonic() - begin)
    stored = len(Store(path).predictions())
    return {"records": stored, "records_per_second": stored / duration, "dropped": recorder.dropped, "cores": cores}


def _kills(path: Path, rounds: int) -> dict[str, Any]:
    """Repeatedly kill a process that records from 8 threads, and check what it leaves."""
    from tests.monitor.killed import kill_while_recording

    generator = random.Random(0)
    results = [kill_while_recording(path.with_suffix(f".{number}"), generator, longest=2.0) for number in range(rounds)]
    missing = sorted(each.missing_seconds for each in results)
    return {
        "rounds": rounds,
        "faulty_rounds": sum(bool(each.faults) for each in results),
        "faults": [fault for each in results for fault in each.faults],
        "recorded": sum(each.recorded for each in results),
        "kept": sum(each.kept for each in results),
        "missing_seconds_median": missing[rounds // 2],
        "missing_seconds_most": missing[-1],
    }


def _large(path: Path, records: int) -> dict[str, Any]:
    """Fill a log through the usual code, and time the queries of the page for each period that it offers."""
    now = time.time() // MINUTE * MINUTE
    _fill(path, records, now)
    store = Store(path)
    aggregates = store.window(now - DAY, now)
    expected = Reference("the log itself", aggregates.predictions, aggregates.counts, {"answer": 0.7})

    def query_page(seconds: float) -> tuple[report.Report, pandas.DataFrame, pandas.DataFrame]:
        span, [(*version, _)] = (now - seconds, now), store.versions()
        return (
            report.make(store, *span, expected, *version, step=seconds / POINTS),
            store.errors(*span, MOST_ERRORS, tuple(version)),
            store.corrections(*span, MOST_CORRECTIONS, tuple(version)),
        )

    times = {name: _seconds(lambda seconds=seconds: query_page(seconds)) for name, seconds in SPANS.items()}
    times["newest predictions"] = _seconds(lambda: store.predictions(now - 3600, now, limit=100))
    whole, errors, corrections = query_page(DAYS * DAY)
    assert sum(window.predictions for window in whole.windows) == records
    assert 0 < len(errors) <= MOST_ERRORS
    assert 0 < len(corrections) <= MOST_CORRECTIONS
    return {
        "records": records,
        "bytes": path.stat().st_size,
        "query_seconds": times,
        "slowest_query_seconds": max(times.values()),
    }


def _seconds(query: Callable[[], Any]) -> float:
    """The slowest of 5 runs, including the first: a page is slow if it is slow once."""
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        query()
        times.append(time.perf_counter() - begin)
    return max(times)


def _fill(path: Path, records: int, end: float) -> None:
    """Write made-up predictions, spread evenly over every minute of :data:`DAYS` days before ``end``.

    Each minute has a few calls of one text and one file; in every tenth, a call fails and an answer is corrected.
    """
    generator = numpy.random.default_rng(0)
    store = Store(path)
    minutes = int(DAYS * DAY // MINUTE)
    edges = (numpy.arange(minutes + 1) * records) // minutes  # records before each minute
    app, batch = STREAMS
    machine = Stream(app.model, app.version, PROCESS)
    events: list[Event] = []
    samples: list[Any] = []
    for number in range(minutes):
        minute = end - DAYS * DAY + number * MINUTE
        rows = int(edges[number + 1] - edges[number])
        single_count = min(rows, SINGLE_TEXTS)
        events += [_answered(generator, minute + index, 1, app) for index in range(single_count)]
        if rows > single_count:
            events.append(_answered(generator, minute + SINGLE_TEXTS, rows - single_count, batch))
        if number % 10 == 0:
            events.append(Failed(minute + 5, app, "ModelError", f"made-up error {number}"))
            answer = {"product": "iPad", "product_confidence": 0.9}
            events.append(Corrected(minute + 6, app, f"made-up text {number}", answer, False, "Google", None))
        samples.append((minute, machine, {(CPU, ""): (6, 3.0), (MEMORY, ""): (6, 6e9)}))
        if len(samples) == 50 or number == minutes - 1:
            store.write(events, samples)
            events, samples = [], []


def _answered(generator: numpy.random.Generator, when: float, rows: int, stream: Stream) -> Answered:
    emotions, products = (generator.choice(names, rows).tolist() for names in (tasks.EMOTIONS, tasks.PRODUCTS))
    columns: dict[str, list[Any]] = {
        "product": products,
        "emotion": emotions,
        "answer": [f"{emotion} → {product}" for emotion, product in zip(emotions, products, strict=True)],
        "outcome": ["no_emotion" if emotion == tasks.NO_EMOTION else "answered" for emotion in emotions],
        "length": generator.integers(10, 140, rows).tolist(),
        "unk_rate": [0.0] * rows,
    }
    for name in ("product_confidence", "emotion_confidence", "answer_confidence"):
        columns[name] = generator.beta(5, 2, rows).round(4).tolist()
    seconds = {stage: value * float(generator.lognormal(0, 0.5)) for stage, value in STAGES.items()}
    return Answered(when, stream, seconds, columns)


if __name__ == "__main__":
    cli.run(main)
