"""``python -m research.bench_monitor``: what the log of predictions costs, holds, and survives.

Four questions: how many records it takes in a second without an overflow, what one record costs the caller, what is
left after a kill at a random moment, and how long the queries of the Monitor page take when the log is large.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from research.runs import record
from tf_model import console, tasks
from tf_model.monitor import drift, report
from tf_model.monitor.events import Answered, Stream
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.reference import Reference
from tf_model.monitor.schema import DAY
from tf_model.monitor.store import Store
from tf_model.monitor.window import join, table

if TYPE_CHECKING:
    import pandas

THREADS = 8
SECONDS = {"tokenize": 0.001, "model": 0.012, "rest": 0.001}
STREAM = Stream("answer", "benchmark", "app")
DAYS = 30  # over which a large log is spread
CALL = 500  # texts of a call in a large log


def main(argv: list[str] | None = None) -> int:
    """Measure, print and record."""
    parser = console.parser("research.bench_monitor", __doc__.splitlines()[0])
    parser.add_argument("--kill-rounds", type=int, default=50, metavar="N", help="processes to kill; 0: none")
    parser.add_argument("--rate", type=int, default=2000, metavar="R", help="records a second to take")
    parser.add_argument("--duration", type=float, default=20.0, metavar="S", help="seconds at that rate")
    parser.add_argument("--records", type=int, default=10_000_000, metavar="N", help="in the large log; 0: none")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills and the made-up predictions")
    parser.add_argument("--folder", type=Path, help="where the logs are written; a temporary folder if not given")
    arguments = parser.parse_args(argv)
    results: dict[str, Any] = {"rate": arguments.rate, "seed": arguments.seed}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        results["caller"] = _show("one record costs the caller", _caller(Path(folder) / "caller.sqlite"))
        sustained = _sustained(Path(folder) / "rate.sqlite", arguments.rate, arguments.duration)
        results["sustained"] = _show("sustained", sustained)
        if arguments.kill_rounds:
            results["kills"] = _show("killed", _kills(Path(folder), arguments.kill_rounds, arguments.seed))
        if arguments.records:
            results["large"] = _show("large log", _large(Path(folder) / "large.sqlite", arguments.records))
    record("bench_monitor", "make bench-monitor", results)
    return 0


def _show(title: str, figures: dict[str, Any]) -> dict[str, Any]:
    shown = (
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
    )
    print(f"{title}: {', '.join(shown)}", flush=True)
    return figures


def _predictions(rows: int = 1) -> pandas.DataFrame:
    import pandas

    labels = {"product": "iPad", "emotion": tasks.POSITIVE, "answer": f"{tasks.POSITIVE} → iPad"}
    columns = {name: pandas.Series([label] * rows, dtype="str") for name, label in labels.items()}
    columns |= {f"{name}_confidence": pandas.Series([0.9] * rows, dtype="float32") for name in labels}
    return pandas.DataFrame(columns)


def _caller(path: Path, calls: int = 3000) -> dict[str, float]:
    """Milliseconds that ``record`` of one text takes, a call every 2 ms, as from a busy page."""
    frame, times = _predictions(), []
    with Recorder(path, model="answer", version="benchmark") as recorder:
        for number in range(calls):
            begin = time.perf_counter()
            recorder.record([f"text {number}"], frame, SECONDS, "app")
            times.append((time.perf_counter() - begin) * 1000)
            time.sleep(0.002)
    return {f"p{share}_milliseconds": float(numpy.percentile(times, share)) for share in (50, 95, 99)}


def _sustained(path: Path, rate: int, duration: float) -> dict[str, Any]:
    """Record single texts from several threads at a steady rate, and see whether the writer keeps up."""
    frame = _predictions()
    most_waiting = 0
    with Recorder(path, model="answer", version="benchmark") as recorder:
        begin = time.monotonic()

        def work(thread: int) -> None:
            for number in range(int(rate * duration / THREADS)):
                recorder.record([f"{thread} {number}"], frame, SECONDS, "app")
                time.sleep(max(begin + number * THREADS / rate - time.monotonic(), 0))

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(THREADS)]
        processor = time.process_time()
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            most_waiting = max(most_waiting, recorder.waiting)
            time.sleep(0.05)
        taken = time.monotonic() - begin
        recorder.flush(60)
        written, dropped = time.monotonic() - begin, recorder.dropped
        processor = time.process_time() - processor
    kept = len(Store(path).predictions())
    return {
        "records": kept,
        "records_per_second": kept / taken,
        "seconds_until_written": written - taken,
        "most_waiting": most_waiting,
        "dropped": dropped,
        "cores": processor / written,
    }


def _kills(folder: Path, rounds: int, seed: int) -> dict[str, Any]:
    """Kill a process that records from 8 threads, again and again, and look at what it leaves."""
    from tests.monitor.killed import kill_while_recording

    choose = random.Random(seed)
    left = [kill_while_recording(folder / f"{number}.sqlite", choose, longest=2.0) for number in range(rounds)]
    missing = sorted(each.missing_seconds for each in left)
    return {
        "rounds": rounds,
        "faults": [fault for each in left for fault in each.faults],
        "recorded": sum(each.recorded for each in left),
        "kept": sum(each.kept for each in left),
        "missing_seconds_median": missing[rounds // 2],
        "missing_seconds_most": missing[-1],
        "rounds_over_0.2_seconds": sum(each > 0.2 for each in missing),
    }


def _large(path: Path, records: int) -> dict[str, Any]:
    """Fill a log through the same code as ever, and time what the page and the report ask."""
    now = time.time() // DAY * DAY
    begin = time.monotonic()
    _fill(path, records, now)
    filled = time.monotonic() - begin
    store = Store(path)
    sums = store.window(now - DAY, now)
    known = Reference("the log itself", sums.predictions, sums.counts)
    queries: dict[str, Callable[[], Any]] = {
        "hour_by_minute": lambda: table(store.series(now - 3600, now, 60)),
        "day_by_quarter": lambda: table(store.series(now - DAY, now, 900)),
        "week_by_hour": lambda: table(store.series(now - 7 * DAY, now, 3600)),
        "month_by_day": lambda: table(store.series(now - DAYS * DAY, now, DAY)),
        "drift_of_a_day": lambda: drift.compare(known, join(store.series(now - DAY, now, DAY))),
        "report_of_a_day": lambda: report.make(store, now - DAY, now, known),
        "newest_errors": lambda: store.errors(most=20),
        "newest_predictions": lambda: store.predictions(now - 3600, now, most=100),
        "models": lambda: (store.streams(), store.span(), store.newest()),
    }
    times = {name: _seconds(query) for name, query in queries.items()}
    assert store.window(now - DAYS * DAY, now).predictions == records
    return {
        "records": records,
        "bytes": path.stat().st_size,
        "fill_records_per_second": records / filled,
        "query_seconds": times,
        "slowest_query_seconds": max(times.values()),
    }


def _seconds(query: Callable[[], Any], rounds: int = 5) -> float:
    """The slowest of several times, the first included: a page is slow when it is slow once."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        query()
        times.append(time.perf_counter() - begin)
    return max(times)


def _fill(path: Path, records: int, end: float) -> None:
    """Made-up predictions, spread evenly over :data:`DAYS` days before ``end``."""
    generator = numpy.random.default_rng(0)
    store = Store(path)
    calls = -(-records // CALL)
    times = end - DAYS * DAY + (numpy.arange(calls) + 0.5) * DAYS * DAY / calls
    events: list[Answered] = []
    for number, when in enumerate(times):
        rows = min(CALL, records - number * CALL)
        events.append(_answered(generator, float(when), rows))
        if len(events) == 20 or number == calls - 1:
            store.write(events)
            events = []
            if number % 2000 == 1999:
                console.say(f"{number * CALL:,} records written")
    store.close()


def _answered(generator: numpy.random.Generator, when: float, rows: int) -> Answered:
    def labels(names: Sequence[str]) -> list[str]:
        return [names[each] for each in generator.integers(0, len(names), rows)]

    emotions, products = labels(tasks.EMOTIONS), labels(tasks.PRODUCTS)
    columns: dict[str, list[Any]] = {
        "product": products,
        "emotion": emotions,
        "answer": [f"{emotion} → {product}" for emotion, product in zip(emotions, products, strict=True)],
        "outcome": ["no_emotion" if emotion == tasks.NO_EMOTION else "answered" for emotion in emotions],
        "length": generator.integers(10, 140, rows).tolist(),
        "unknown_share": [0.0] * rows,
    }
    for name in ("product_confidence", "emotion_confidence", "answer_confidence"):
        columns[name] = generator.beta(5, 2, rows).round(4).tolist()
    seconds = {stage: value * float(generator.lognormal(0, 0.5)) for stage, value in SECONDS.items()}
    hashes = generator.integers(-(2**63), 2**63 - 1, rows).tolist()
    return Answered(when, STREAM, seconds, columns, hashes)


if __name__ == "__main__":
    console.run(main)
