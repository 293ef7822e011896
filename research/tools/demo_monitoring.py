"""``make demo-monitoring``: send real tweets through the model while things go wrong on purpose, one after the other.

After each phase, the report (which page and command show) and ``/metrics`` must see what was done; a healthy phase must
raise no alarm. Everything is recorded in a separate log.
"""

import contextlib
import itertools
import random
import re
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tf_model import cli, data, paths, tasks
from tf_model.errors import ModelError
from tf_model.inference.predictor import Predictor
from tf_model.io.files import refuse_to_overwrite
from tf_model.model_dir import read_validation_rows
from tf_model.modeling.joint_label import answer_text
from tf_model.monitor import reference, report
from tf_model.monitor.print_report import print_report
from tf_model.monitor.prometheus import Exporter
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.store import Store

SOURCE = "app"  # as if somebody waited for each answer
BATCH = 8  # texts of one request
FEEDBACK_INTERVAL = 3  # one in this many tweets gets feedback from its label, as from a user
REST = 4.0  # least seconds between two phases, in which the last predictions are written and judged
PAUSE = 1.3  # seconds that the slow phase adds to a request
OTHER_TEXTS = 400  # about anything but the products

Row = dict[str, Any]  # of the dataset: its number, the text and the labels, None where there is none


@dataclass(frozen=True)
class Phase:
    """A stretch of the demonstration."""

    name: str
    expected: frozenset[str] = frozenset()  # signals that should raise an alarm, see report.Alarm
    other_topic_share: float = 0.0  # share of the texts that are about something else
    pause: float = 0.0  # seconds added to each request
    failure_share: float = 0.0  # share of the requests that fail


PHASES = (
    Phase("healthy"),
    Phase("drift", frozenset({"drift"}), other_topic_share=0.6),
    Phase("slow", frozenset({"latency"}), pause=PAUSE),
    Phase("errors", frozenset({"errors"}), failure_share=0.3),
)


def main(argv: list[str] | None = None) -> int:
    """Run the phases and say what the monitor sees after each; returns 1 if it sees anything but what was done."""
    parser = cli.parser("research.tools.demo_monitoring", __doc__.splitlines()[0])
    parser.add_argument(
        "--models-copy",
        type=Path,
        help="keep the log, with a copy of the model, in this new folder for the app: make app ARGS='-- --models DIR'",
    )
    arguments = parser.parse_args(argv)
    predictor = Predictor.load()
    if not tasks.has_answer(predictor.labels):
        raise ModelError(f"{predictor.folder} predicts only one of product and emotion; run `make answer`")
    with tempfile.TemporaryDirectory() as temporary:
        models = arguments.models_copy or Path(temporary) / "models"
        refuse_to_overwrite(models / predictor.folder.name, overwrite=False)
        shutil.copytree(predictor.folder, models / predictor.folder.name)
        return run(predictor, models, _tweets(predictor), 60 - REST)


def run(predictor: Predictor, models: Path, tweets: Sequence[Row], seconds: float) -> int:
    """Run all phases, ``seconds`` each; 0 if the report and ``/metrics`` saw what was done and nothing else.

    ``models`` is a folder that holds a copy of the model; the log is written there.
    """
    log, name = models / paths.MONITOR_LOG.relative_to(paths.SAVED_MODELS), predictor.folder.name
    expected, exporter, tweet_cycle = reference.load(models / name), Exporter(), itertools.cycle(tweets)
    passed = []
    with Recorder(log, model=name, version=predictor.version) as recorder:
        url = exporter.serve(0)
        exporter.attach(recorder)
        cli.say(f"the log is {paths.shown(log)}; metrics are at {url}")
        for phase in PHASES:
            time.sleep(_until_next_minute())  # no two phases share a minute
            began = time.time()
            _replay(phase, predictor, recorder, tweet_cycle, seconds)
            recorder.flush()
            phase_report = report.make(Store(log), began, time.time(), expected, name, predictor.version)
            exporter.judge = lambda phase_report=phase_report: phase_report
            signals, served_signals = {alarm.signal for alarm in phase_report.alarms}, _served_signals(url)
            passed.append(phase.expected <= signals == served_signals and bool(signals) == bool(phase.expected))
            cli.say(f"{phase.name}: alarms on /metrics: {', '.join(sorted(served_signals)) or 'none'}")
            print_report(cli.stderr(), phase_report)
    cli.say("the monitor saw these faults" if all(passed) else "the monitor did NOT see these faults")
    return 0 if all(passed) else 1


def _until_next_minute() -> float:
    return 60 - time.time() % 60


def _replay(phase: Phase, predictor: Predictor, recorder: Recorder, tweets: Iterator[Row], seconds: float) -> None:
    from tests.monitor.other_topics import other_topics

    generator, label_count, other_texts = random.Random(phase.name), itertools.count(1), other_topics(OTHER_TEXTS)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        batch = [None if generator.random() < phase.other_topic_share else next(tweets) for _ in range(BATCH)]
        texts = [generator.choice(other_texts) if tweet is None else tweet[tasks.TEXT_COLUMN] for tweet in batch]
        time.sleep(phase.pause)
        with contextlib.suppress(ModelError), recorder.recording_errors(SOURCE):
            if generator.random() < phase.failure_share:
                raise ModelError("made to fail by the demonstration")
            measured = predictor.predict_measured(texts)
            slowed = {**measured.seconds, "model": measured.seconds["model"] + phase.pause}
            recorder.record_measured(texts, replace(measured, seconds=slowed), SOURCE)
            for tweet, row in zip(batch, measured.predictions.to_dict("records"), strict=True):
                if tweet and correct_answer(tweet) and next(label_count) % FEEDBACK_INTERVAL == 0:
                    _give_feedback(tweet, row, recorder)


def _give_feedback(tweet: Row, row: dict[str, Any], recorder: Recorder) -> None:
    """Record feedback as from a user. The tweet itself is not kept: the log may be shown in public."""
    is_correct = row["best_guess"] == correct_answer(tweet)
    labels = {} if is_correct else {each.name: tweet[each.column] for each in (tasks.PRODUCT, tasks.EMOTION)}
    recorder.correct(f"the tweet in row {tweet['row']} of the dataset", row, is_correct=is_correct, **labels)


def _served_signals(url: str) -> frozenset[str]:
    """The signals that have an alarm on ``/metrics``."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return frozenset(re.findall(r'tweet_target_alarm{signal="(\w+)"} 1', answer.read().decode()))


def _tweets(predictor: Predictor) -> list[Row]:
    """Rows of real tweets that the model was not trained on, in random order."""
    rows = data.load().labelled
    rows = rows[rows["row"].isin(read_validation_rows(predictor.folder))].sample(frac=1, random_state=0)
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def correct_answer(tweet: Row) -> str | None:
    """The correct answer to a labelled tweet; None if it has no label."""
    product, emotion = tweet[tasks.PRODUCT.column], tweet[tasks.EMOTION.column]
    # The label "I can't tell" is no class.
    is_known = emotion == tasks.NO_EMOTION or (emotion in tasks.EMOTIONS and product)
    return answer_text(emotion, product) if is_known else None


if __name__ == "__main__":
    cli.run(main)
