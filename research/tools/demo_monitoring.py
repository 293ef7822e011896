"""``make demo-monitoring``: send real tweets through the model while things go wrong on purpose, one after the other.

After each phase, the report (which page and command show) and ``/metrics`` must see what was done and nothing else.
Everything is recorded in a separate log.
"""

import contextlib
import itertools
import random
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas

from tf_model import cli, data, paths, tasks
from tf_model.errors import ModelError
from tf_model.inference.predictor import Outputs, Predictor
from tf_model.io.files import refuse_to_overwrite
from tf_model.model_dir import read_validation_rows
from tf_model.modeling.joint_label import answer_text
from tf_model.monitor import reference, report
from tf_model.monitor.prometheus import Exporter
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.report import Report
from tf_model.monitor.store import Store

SOURCE = "app"  # as if somebody waited for each answer
BATCH = 8  # texts of one request
FEEDBACK_INTERVAL = 3  # one in this many tweets gets feedback from its label, as from a user
REST = 4.0  # least seconds between two phases, in which the last predictions are written and judged
PAUSE = 1.3  # seconds that the slow phase adds to a request
# Subjects of the texts about something else. None is one of the products.
SUBJECTS = ("The soup", "My tomato plant", "The night train", "Our goalkeeper", "The old bridge", "This novel")
VERBS = ("needs", "was missing", "deserves", "could use", "got", "has plenty of")
THINGS = ("salt and lemon", "a good rain", "three hours of delay", "a new coat of paint", "a better ending", "patience")


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
    parser.add_argument("--model", type=Path, help="model folder; by default, the one that is found")
    parser.add_argument(
        "--minutes", type=int, choices=range(1, 13), default=1, metavar="N", help="length of a phase, 1 to 12"
    )
    parser.add_argument("--port", type=int, default=9464, help="where /metrics is served on this machine; 0: any")
    parser.add_argument(
        "--models-copy",
        type=Path,
        help="keep the log, with a copy of the model, in this new folder for the app: "
        "streamlit run streamlit_app/app.py -- --models DIR",
    )
    arguments = parser.parse_args(argv)
    predictor = Predictor.load(arguments.model)
    if reference.load(predictor.folder) is None:
        raise ModelError(f"{predictor.folder} has no {reference.FILE} to compare with; train it again")
    if not predictor.has_answer:
        raise ModelError(f"{predictor.folder} predicts only one of product and emotion; run `make answer`")
    with tempfile.TemporaryDirectory() as temporary:
        models = arguments.models_copy or Path(temporary) / "models"
        refuse_to_overwrite(models / predictor.folder.name, overwrite=False)
        shutil.copytree(predictor.folder, models / predictor.folder.name)
        return run(predictor, models, _tweets(predictor), arguments.port, 60 * arguments.minutes - REST)


def run(predictor: Predictor, models: Path, tweets: pandas.DataFrame, port: int, seconds: float) -> int:
    """Run all phases, ``seconds`` each; 0 if the report and ``/metrics`` saw what was done and nothing else.

    ``models`` is a folder that holds a copy of the model; the log is written there.
    """
    log, name = models / paths.MONITOR_LOG.relative_to(paths.SAVED_MODELS), predictor.folder.name
    expected, exporter, tweet_cycle = reference.load(models / name), Exporter(), itertools.cycle(tweets.itertuples())
    passed = []
    with Recorder(log, model=name, version=predictor.version) as recorder:
        url = exporter.serve(port)
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
            passed.append(phase.expected <= signals == served_signals and (bool(phase.expected) or not signals))
            _say(phase, phase_report, served_signals)
    cli.say("the monitor saw exactly these faults" if all(passed) else "the monitor did NOT see exactly these faults")
    return 0 if all(passed) else 1


def _until_next_minute() -> float:
    return 60 - time.time() % 60


def _replay(phase: Phase, predictor: Predictor, recorder: Recorder, tweets: Iterator[Any], seconds: float) -> None:
    generator, label_count = random.Random(phase.name), itertools.count(1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        batch = [None if generator.random() < phase.other_topic_share else next(tweets) for _ in range(BATCH)]
        texts = [_other_topic(generator) if tweet is None else tweet.text for tweet in batch]
        disturbed_predictor = _disturbed(predictor, phase.pause, fails=generator.random() < phase.failure_share)
        with contextlib.suppress(ModelError):
            with recorder.recording_errors(SOURCE):
                measured = disturbed_predictor.predict_measured(texts)
            recorder.record_measured(texts, measured, SOURCE)
            for tweet, row in zip(batch, measured.predictions.to_dict("records"), strict=True):
                if tweet is not None and tweet.answer is not None and next(label_count) % FEEDBACK_INTERVAL == 0:
                    _give_feedback(tweet, row, recorder)


def _give_feedback(tweet: Any, row: dict[str, Any], recorder: Recorder) -> None:
    """Record feedback as from a user. The tweet itself is not kept: the log may be shown in public."""
    is_correct = row["best_guess"] == tweet.answer
    recorder.correct(
        f"the tweet in row {tweet.row} of the dataset",
        row,
        is_correct=is_correct,
        product=None if is_correct else tweet.product,
        emotion=None if is_correct else tweet.emotion,
    )


def _served_signals(url: str) -> frozenset[str]:
    """The signals that have an alarm on ``/metrics``."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(url, timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = (sample for family in families for sample in family.samples)
    return frozenset(each.labels["signal"] for each in samples if each.name == "tweet_target_alarm" and each.value)


def _disturbed(predictor: Predictor, pause: float, fails: bool) -> Predictor:
    """The same model, ``pause`` seconds slower with each batch, or one that always fails."""

    def score(batch: Sequence[bytes]) -> Outputs:
        if fails:
            raise ModelError("made to fail by the demonstration")
        time.sleep(pause)
        outputs = predictor.score(batch)
        if "model_seconds" in outputs:
            outputs["model_seconds"] = outputs["model_seconds"] + pause
        return outputs

    return replace(predictor, score=score)


def _tweets(predictor: Predictor) -> pandas.DataFrame:
    """Real tweets that the model was not trained on, in random order.

    Columns ``row``, ``text``, ``product``, ``emotion`` and ``answer``, None where there is no label.
    """
    labelled = data.load().labelled
    tweets = labelled[labelled["row"].isin(read_validation_rows(predictor.folder))].sample(frac=1, random_state=0)
    columns = {tasks.TEXT_COLUMN: "text", tasks.PRODUCT_COLUMN: "product", tasks.EMOTION_COLUMN: "emotion"}
    tweets = tweets.rename(columns=columns)[["row", *columns.values()]].astype(object)
    tweets = tweets.where(tweets.notna(), None)
    return tweets.assign(answer=[_gold(row.product, row.emotion) for row in tweets.itertuples()])


def _gold(product: str | None, emotion: str | None) -> str | None:
    if emotion == tasks.NO_EMOTION:
        return tasks.NO_EMOTION
    is_known = emotion in tasks.EMOTIONS and product in tasks.PRODUCTS
    return answer_text(emotion, product) if is_known else None


def _other_topic(generator: random.Random) -> str:
    return f"{generator.choice(SUBJECTS)} {generator.choice(VERBS)} {generator.choice(THINGS)}"


def _say(phase: Phase, phase_report: Report, served_signals: frozenset[str]) -> None:
    window = phase_report.window
    p95 = f"{phase_report.seconds()['total'].quantile(0.95):.3f} s" if phase_report.seconds() else "-"
    cli.say(
        f"{phase.name}: {window.requests:,} requests, {window.predictions:,} predictions, {window.failures:,} failed, "
        f"p95 {p95}; alarms on /metrics: {', '.join(sorted(served_signals)) or 'none'}"
    )
    for alarm in phase_report.alarms:
        cli.say(f"  alarm ({alarm.signal}): {alarm.words}")


if __name__ == "__main__":
    cli.run(main)
