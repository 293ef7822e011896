"""``make demo-monitoring``: real tweets through the model while things go wrong on purpose, one after the other.

A healthy phase, one in which people write about something else, one in which the model is slow, one in which it fails.
Everything is recorded in a log of its own; the page, ``/metrics`` and the report read that same log and must tell the
same story.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_model import console, data, paths, tasks
from tf_model.errors import ModelError
from tf_model.monitor import reference, report
from tf_model.monitor.prometheus import Exporter
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.store import Store
from tf_model.predict import Predictor, predict_texts

SOURCE = "demo"
BATCH = 8  # texts of one request
REST = 4.0  # seconds between two phases, at least: what was asked last is written and judged
PAUSE = 1.3  # seconds that the slow phase adds to a request
# What people write about in the second phase. Nothing in it is one of the products.
SUBJECTS = ("The soup", "My tomato plant", "The night train", "Our goalkeeper", "The old bridge", "This novel")
VERBS = ("needs", "was missing", "deserves", "could use", "got", "has plenty of")
THINGS = ("salt and lemon", "a good rain", "three hours of delay", "a new coat of paint", "a better ending", "patience")


@dataclass(frozen=True)
class Phase:
    """A stretch of the demonstration.

    Attributes:
        name: What goes on.
        expected: Signals of which an alarm is expected, see :class:`tf_model.monitor.report.Alarm`.
        other_topic: Share of the texts that are about something else.
        pause: Seconds added to each request.
        failing: Share of the requests that fail.
    """

    name: str
    expected: frozenset[str] = frozenset()
    other_topic: float = 0.0
    pause: float = 0.0
    failing: float = 0.0


PHASES = (
    Phase("healthy"),
    Phase("drift", frozenset({"drift"}), other_topic=0.6),
    Phase("slow", frozenset({"latency"}), pause=PAUSE),
    Phase("errors", frozenset({"errors"}), failing=0.3),
)


def main(argv: list[str] | None = None) -> int:
    """Run the phases and say after each what the monitor sees; returns 1 if it saw something else than was done."""
    parser = console.parser("research.demo_monitoring", __doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a saved model; found by itself if not given")
    parser.add_argument("--minutes", type=int, default=1, help="length of a phase; the log counts by the minute")
    parser.add_argument("--port", type=int, default=9464, help="where /metrics is served on this machine; 0: any")
    parser.add_argument(
        "--models-copy",
        type=Path,
        help="keep the log, with a copy of the model, in this new folder for the app: "
        "streamlit run streamlit_app/app.py -- --models DIR",
    )
    arguments = parser.parse_args(argv)
    predictor = Predictor.load(arguments.model)
    expected = reference.load(predictor.folder)
    if expected is None:
        raise ModelError(f"{predictor.folder} has no {reference.FILE} to compare with; train it again")
    tweets = _tweets(predictor)
    with tempfile.TemporaryDirectory() as temporary:
        home = arguments.models_copy or Path(temporary)
        if arguments.models_copy:
            shutil.copytree(predictor.folder, home / predictor.folder.name)
        log = home / paths.MONITOR_LOG.relative_to(paths.SAVED_MODELS)
        log.parent.mkdir(parents=True, exist_ok=True)
        return _run(arguments, predictor, expected, tweets, log)


def _run(
    arguments: argparse.Namespace,
    predictor: Predictor,
    expected: reference.Reference,
    tweets: Sequence[str],
    log: Path,
) -> int:
    exporter = Exporter()
    seen = []
    with (
        Recorder(log, model=predictor.folder.name, version="demo", keep_texts=False) as recorder,
        exporter.serve(arguments.port) as server,
    ):
        exporter.attach(recorder)
        console.say(f"the log is {paths.shown(log)}; metrics are at {server.url}")
        texts = _endless(tweets)
        for phase in PHASES:
            began = _next_minute()
            _replay(phase, predictor, recorder, texts, 60 * arguments.minutes - REST)
            recorder.flush()
            found = report.make(Store(log), began, time.time(), expected)
            for drift in found.drifts:
                exporter.set_drift(drift.feature, drift.index, drift.alarm)
            alarms = {alarm.signal for alarm in found.alarms}
            seen.append(phase.expected <= alarms and (bool(phase.expected) or not alarms))
            _say(phase, found, _errors_of(server.url))
    return 0 if all(seen) else 1


def _next_minute() -> float:
    """Wait for the next full minute, so that no phase is counted in with another; when it began, since 1970."""
    time.sleep(60 - time.time() % 60)
    return time.time()


def _replay(phase: Phase, predictor: Predictor, recorder: Recorder, texts: Iterator[str], seconds: float) -> None:
    chance = random.Random(phase.name)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        batch = [_other_topic(chance) if chance.random() < phase.other_topic else next(texts) for _ in range(BATCH)]
        began = time.perf_counter()
        if chance.random() < phase.failing:
            recorder.record_error("ModelError", "made to fail by the demonstration", SOURCE)
            continue
        predictions = predict_texts(predictor, batch, guesses=True)
        time.sleep(phase.pause)
        recorder.record(batch, predictions, {"model": time.perf_counter() - began}, SOURCE)


def _tweets(predictor: Predictor) -> list[str]:
    """Real tweets that the model was not trained on: its own validation part."""
    import pandas

    source = data.resolve()
    data.announce(source)
    dataset = data.read(source.path)
    validated = pandas.read_csv(predictor.folder / "validation_predictions.csv")["row"]
    labelled = dataset.labelled.set_index("row")[tasks.TEXT_COLUMN]
    texts = labelled.reindex(validated).dropna().tolist()
    random.Random(0).shuffle(texts)
    return texts


def _endless(texts: Sequence[str]) -> Iterator[str]:
    while True:
        yield from texts


def _other_topic(chance: random.Random) -> str:
    return f"{chance.choice(SUBJECTS)} {chance.choice(VERBS)} {chance.choice(THINGS)}"


def _errors_of(url: str) -> float:
    """Failed requests so far, as ``/metrics`` has them."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("tweet_target_errors_total{"))


def _say(phase: Phase, found: Any, errors: float) -> None:
    window = found.window
    p95 = found.seconds()["total"].quantile(0.95) if found.seconds() else None
    console.say(
        f"{phase.name}: {window.requests:,} requests, {window.predictions:,} predictions, {window.failures:,} failed "
        f"(/metrics: {errors:,.0f} so far), p95 {'-' if p95 is None else f'{p95:.3f} s'}"
    )
    for alarm in found.alarms:
        console.say(f"  alarm ({alarm.signal}): {alarm.words}")
    if not found.alarms:
        console.say("  no alarm")


if __name__ == "__main__":
    console.run(main)
