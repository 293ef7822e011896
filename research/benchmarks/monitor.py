"""``python -m research.benchmarks.monitor``: what the log of predictions costs, holds, and survives.

It measures what logging adds to one prediction, how many records a second the log takes without an overflow, what is
left after a kill at a random moment, and how long the page Monitor waits for queries of a large log.
"""

import random
import tempfile
import time
import timeit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pandas

from research.benchmarks import harness
from research.runs import show
from tests.monitor.killed import kill_while_recording
from tests.monitor.made_up import answered, corrected, predictions
from tf_model import cli, paths, tasks
from tf_model.inference.predictor import Measured, Predictor
from tf_model.modeling.joint_label import answer_text
from tf_model.monitor import report
from tf_model.monitor.aggregates import CPU, MEMORY
from tf_model.monitor.events import PROCESS, Failed, Stream
from tf_model.monitor.recorder import INTERVAL, Recorder
from tf_model.monitor.reference import Reference
from tf_model.monitor.store import DAY, HOUR, MINUTE, Store

ROUNDS, RATE, SECONDS, PAIRS = 50, 2000, 20.0, 400  # kills; records a second, for how long; pairs of predictions
RECORDS = 10_000_000  # in the large log
THREADS = 8
STAGES = {"tokenize": 0.001, "model": 0.012, "rest": 0.001}  # seconds
APP, BATCH, MACHINE = (Stream("answer", "benchmark", source) for source in ("app", "batch", PROCESS))
DAYS = 30  # over which a large log is spread
SINGLE_TEXTS = 3  # single-text calls in each minute of a large log; its other texts come as one file


def main(argv: list[str] | None = None) -> int:
    """Measure, print and record the results."""
    cli.parser("research.benchmarks.monitor", __doc__.splitlines()[0]).parse_args(argv)
    predictor = Predictor.load()
    with tempfile.TemporaryDirectory() as name:
        parts = {
            "paired": lambda path: _paired(predictor, path),
            "caller": _caller,
            "sustained": _sustained,
            "kills": _kills,
            "large": _large,
        }
        results: dict[str, Any] = {"rate": RATE, "duration": SECONDS}
        for part, measure in parts.items():
            results[part] = measure(Path(name) / f"{part}.sqlite")
            show(part, results[part])
    harness.record("monitor", argv, results)
    return 0


def _paired(predictor: Predictor, path: Path) -> dict[str, Any]:
    """Predict the same text with the log and without, one right after the other, in random order.

    The time with the log includes all its work: collecting the stages and the unknown tokens, and handing over the
    record. A pause then lets the writer thread finish, as between two people; its cost is in ``sustained``.
    """
    generator = random.Random(0)
    texts = generator.choices(pandas.read_csv(paths.SAMPLE_CORPUS)[tasks.TEXT_COLUMN][:40].tolist(), k=PAIRS)
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
                # As long after both: the writer thread slows neither, and both begin after as long a rest.
                time.sleep(2 * INTERVAL)
    without, extra = numpy.array(times["without"]), numpy.array(times["with"]) - numpy.array(times["without"])
    resamples = numpy.random.default_rng(0).integers(0, PAIRS, (2000, PAIRS))
    low, high = numpy.percentile(numpy.median(extra[resamples], axis=1) / numpy.median(without), [2.5, 97.5])
    return {
        "pairs": PAIRS,
        "p50_milliseconds_without": float(numpy.median(without)),
        "p50_share": float(numpy.median(extra) / numpy.median(without)),
        "p50_share_low": float(low),
        "p50_share_high": float(high),
    }


def _caller(path: Path, calls: int = 3000) -> dict[str, float]:
    """Percentiles of the milliseconds to record one text, with a call every 2 ms, as from a busy page."""
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
        recorder.flush(60)
        duration = time.monotonic() - begin
        cores = (time.process_time() - cpu_before) / duration
    stored = Store(path).window(time.time() - HOUR, time.time() + HOUR).predictions
    return {"records": stored, "records_per_second": stored / duration, "dropped": recorder.dropped, "cores": cores}


def _kills(path: Path) -> dict[str, Any]:
    """Repeatedly kill a process that records from 8 threads, and check what it leaves."""
    generator = random.Random(0)
    results = [kill_while_recording(path.with_suffix(f".{number}"), generator, longest=2.0) for number in range(ROUNDS)]
    missing = sorted(each.missing_seconds for each in results)
    return {
        "rounds": ROUNDS,
        "faulty_rounds": sum(bool(each.faults) for each in results),
        "faults": [fault for each in results for fault in each.faults],
        "missing_seconds_median": missing[ROUNDS // 2],
        "missing_seconds_most": missing[-1],
    }


def _large(path: Path) -> dict[str, Any]:
    """Fill a log through the usual code, and time the queries of the page for each period that it offers."""
    from streamlit_app.views import monitor as page

    now = time.time() // MINUTE * MINUTE
    _fill(path, now)
    store = Store(path)
    aggregates = store.window(now - DAY, now)
    expected = Reference("the log itself", aggregates.predictions, aggregates.counts, {"answer": 0.7})

    def query_page(seconds: float) -> report.Report:
        span, [(*version, _)] = (now - seconds, now), store.versions()
        store.rows("errors", *span, page.MOST_ERRORS, tuple(version))
        store.rows("corrections", *span, page.MOST_CORRECTIONS, tuple(version))
        return report.make(store, *span, expected, *version, step=seconds / page.POINTS)

    times = {name: _seconds(lambda seconds=seconds: query_page(seconds)) for name, seconds in page.WINDOWS.items()}
    assert sum(window.predictions for window in query_page(DAYS * DAY).windows) == RECORDS
    return {
        "records": RECORDS,
        "bytes": path.stat().st_size,
        "query_seconds": times,
        "slowest_query_seconds": max(times.values()),
    }


def _seconds(query: Callable[[], Any]) -> float:
    """The slowest of 5 runs, including the first: a page is slow if it is slow once."""
    return max(timeit.repeat(query, number=1, repeat=5))


def _fill(path: Path, end: float) -> None:
    """Write made-up predictions, spread evenly over every minute of :data:`DAYS` days before ``end``.

    Each minute has a few calls of one text and one file; in every tenth, a call fails and an answer is corrected.
    """
    generator = numpy.random.default_rng(0)
    minutes = int(DAYS * DAY // MINUTE)

    def answer(when: float, rows: int, stream: Stream) -> Any:
        emotions, products = (generator.choice(names, rows).tolist() for names in (tasks.EMOTIONS, tasks.PRODUCTS))
        return answered(
            when,
            ["x" * length for length in generator.integers(10, 140, rows)],
            seconds=0.014 * generator.lognormal(0, 0.5),
            stream=stream,
            product=products,
            emotion=emotions,
            answer=list(map(answer_text, emotions, products)),
            sure=generator.beta(5, 2, rows).round(4).tolist(),
        )

    store = Store(path)
    store.keep_open()
    for number, rows in enumerate(numpy.diff(numpy.arange(minutes + 1) * RECORDS // minutes).tolist()):
        minute = end - DAYS * DAY + number * MINUTE
        events = [answer(minute + second, 1, APP) for second in range(SINGLE_TEXTS)]
        events.append(answer(minute + SINGLE_TEXTS, rows - SINGLE_TEXTS, BATCH))
        if number % 10 == 0:
            events.append(Failed(minute + 5, APP, "ModelError", f"made-up error {number}"))
            events.append(corrected(False, minute + 6, f"made-up text {number}", APP, product="Google"))
        store.write(events, [(minute, MACHINE, {(CPU, ""): (6, 3.0), (MEMORY, ""): (6, 6e9)})])
    store.release()


if __name__ == "__main__":
    cli.run(main)
