"""What the log says of a span of time, and what of it somebody should look at, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tf_model.errors import plural
from tf_model.evaluation.metrics import wilson_interval
from tf_model.monitor import accuracy, drift, tally
from tf_model.monitor.events import STAGES
from tf_model.monitor.reference import Reference
from tf_model.monitor.store import Store
from tf_model.monitor.window import Window

PERCENTILES = (50, 95, 99)
SIGNALS = ("errors", "latency", "accuracy", "drift", "log")
# A file of thousands of texts takes as long as it takes: only somebody who waits for one answer can find it slow.
BULK_SOURCES = ("batch", "predict")


@dataclass(frozen=True)
class Limits:
    """What is still well.

    Attributes:
        error_share: Failed requests, of all; an alarm when it is exceeded with 97.5% certainty.
        p95_seconds: 95th percentile of the time of a request, those for whole files left out.
        requests: The fewest requests from which time and errors are judged.
        accuracy_drop: How far the accuracy may be below that of the reference.
        judged: The fewest corrections from which accuracy is judged.
        alpha: See :func:`tf_model.monitor.drift.compare`.
    """

    error_share: float = 0.01
    p95_seconds: float = 1.0
    requests: int = 20
    accuracy_drop: float = 0.05
    judged: int = accuracy.MINIMUM
    alpha: float = drift.ALPHA


@dataclass(frozen=True)
class Alarm:
    """Something to look at.

    Attributes:
        signal: One of :data:`SIGNALS`.
        words: What, how much, and against what.
    """

    signal: str
    words: str


@dataclass(frozen=True)
class Report:
    """The state of a model in use.

    Attributes:
        window: What was counted.
        interactive: The same without whole files.
        reference: What it is compared with, if there is a reference.
        corrected: Accuracy from corrections.
        estimated: Accuracy from confidences, by task.
        drifts: The comparison, feature by feature; empty without a reference or with too few predictions.
        alarms: What to look at; empty when all is well.
        limits: What it was judged by.
    """

    window: Window
    interactive: Window
    reference: Reference | None
    corrected: accuracy.Accuracy
    estimated: Mapping[str, accuracy.Accuracy]
    drifts: list[drift.Drift] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)

    @property
    def judged(self) -> tuple[str, ...]:
        """Those of :data:`SIGNALS` that there can be an alarm of: two of them are seen against the reference only."""
        return tuple(signal for signal in SIGNALS if self.reference or signal not in ("accuracy", "drift"))

    @property
    def decided(self) -> tuple[str, ...]:
        """Those of :attr:`judged` that enough was recorded of in this time: of the others no alarm says nothing."""
        waited = self.interactive.histogram(tally.SECONDS).count
        is_known = self.corrected.accuracy is not None and _known_accuracy(self.reference)[0] is not None
        enough = {
            "errors": self.window.requests >= self.limits.requests,
            "latency": waited >= self.limits.requests,
            "accuracy": is_known or bool(self.estimated.keys() & _expected_accuracy(self.reference).keys()),
            "drift": bool(self.drifts),
            "log": True,
        }
        return tuple(signal for signal in self.judged if enough[signal])

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        window = self.window
        return {
            "since": _iso(window.since),
            "until": _iso(window.until),
            "alarms": [{"signal": alarm.signal, "words": alarm.words} for alarm in self.alarms],
            "requests": window.requests,
            "predictions": window.predictions,
            "predictions_per_second": window.predictions / max(window.until - window.since, 1),
            "errors": window.failures,
            "errors_by_kind": window.labels(tally.ERRORS),
            "dropped": window.dropped,
            "seconds": {
                name: {f"p{share}": found.quantile(share / 100) for share in PERCENTILES} | {"mean": found.mean}
                for name, found in self.seconds().items()
            },
            "outcomes": window.labels("outcome"),
            "products": window.labels("product"),
            "emotions": window.labels("emotion"),
            "cpu": window.mean(tally.CPU),
            "memory": window.mean(tally.MEMORY),
            "gpu_utilization": window.mean(tally.GPU_UTILIZATION),
            "gpu_memory": window.mean(tally.GPU_MEMORY),
            "accuracy_from_corrections": self.corrected.to_json(),
            "accuracy_estimated": {task: found.to_json() for task, found in self.estimated.items()},
            "assumption": accuracy.ASSUMPTION,
            "reference": None if self.reference is None else self.reference.origin,
            "drift": [found.to_json() for found in self.drifts],
        }

    def seconds(self) -> dict[str, tally.Histogram]:
        """Times of the requests, ``"total"`` and each stage that was measured."""
        names = {"total": tally.SECONDS, **{stage: tally.stage_name(stage) for stage in STAGES}}
        found = {name: self.window.histogram(each) for name, each in names.items()}
        return {name: each for name, each in found.items() if each.count}


def make(
    store: Store,
    since: float,
    until: float,
    reference: Reference | None = None,
    limits: Limits | None = None,
    model: str | None = None,
    version: str | None = None,
) -> Report:
    """Judge a span of time.

    Args:
        store: The log.
        since: Beginning, in seconds since 1970.
        until: End.
        reference: Of the model that is judged, if it has one.
        limits: What is still well.
        model: Only this model; None: all of the log.
        version: Only this version of it; None: all.

    Raises:
        DataError: There is no log, or it cannot be read.
    """
    window = store.window(since, until, model, version)
    interactive = store.window(since, until, model, version, interactive_sources(store))
    return judge(window, interactive, reference, limits or Limits())


def interactive_sources(store: Store) -> list[str]:
    """The sources of a log at which somebody waits for an answer."""
    return [source for source in store.streams()["source"].unique() if source not in BULK_SOURCES]


def judge(window: Window, interactive: Window, reference: Reference | None, limits: Limits) -> Report:
    """Judge what was counted; see :func:`make`."""
    corrected = accuracy.from_corrections(window, limits.judged)
    figures = {task: accuracy.from_confidence(window, task) for task in accuracy.TASKS}
    estimated = {task: found for task, found in figures.items() if found.accuracy is not None}
    drifts = drift.compare(reference, window, limits.alpha) if reference else []
    alarms = [
        *_error_alarms(window, limits),
        *_latency_alarms(interactive, limits),
        *_accuracy_alarms(corrected, estimated, reference, limits),
        *(Alarm("drift", found.in_words()) for found in drifts if found.alarm),
        *_log_alarms(window),
    ]
    return Report(window, interactive, reference, corrected, estimated, drifts, alarms, limits)


def _error_alarms(window: Window, limits: Limits) -> list[Alarm]:
    failed, requests = window.failures, window.requests
    if requests < limits.requests or wilson_interval(failed, requests)[0] <= limits.error_share:
        return []
    kinds = ", ".join(f"{kind} ({count:,})" for kind, count in list(window.labels(tally.ERRORS).items())[:3])
    words = (
        f"{failed:,} of {requests:,} requests failed ({failed / requests:.1%}), the limit is "
        f"{limits.error_share:.1%}; most of them: {kinds}"
    )
    return [Alarm("errors", words)]


def _latency_alarms(window: Window, limits: Limits) -> list[Alarm]:
    seconds = window.histogram(tally.SECONDS)
    slow = seconds.quantile(0.95)
    if seconds.count < limits.requests or slow is None or slow <= limits.p95_seconds:
        return []
    stages = {stage: window.histogram(tally.stage_name(stage)).mean or 0.0 for stage in STAGES}
    slowest = max(stages, key=lambda stage: stages[stage])
    words = (
        f"95% of {seconds.count:,} requests took up to {slow:.2f} s, the limit is {limits.p95_seconds:.2f} s; the "
        f"longest stage is {slowest!r} with {stages[slowest]:.2f} s on average"
    )
    return [Alarm("latency", words)]


def _accuracy_alarms(
    corrected: accuracy.Accuracy,
    estimated: Mapping[str, accuracy.Accuracy],
    reference: Reference | None,
    limits: Limits,
) -> list[Alarm]:
    alarms = []
    known, of_what = _known_accuracy(reference)
    if known is not None and corrected.high is not None and corrected.high < known - limits.accuracy_drop:
        words = (
            f"users called {corrected.right:,} of {corrected.rows:,} predictions right ({corrected.accuracy:.0%}, at "
            f"most {corrected.high:.0%}), {of_what}it was {known:.0%} on {reference.origin}; "
            f"{limits.accuracy_drop:.0%} less is allowed, and users judge mistakes more readily than what is right"
        )
        alarms.append(Alarm("accuracy", words))
    expected = _expected_accuracy(reference)
    for task, found in estimated.items():
        before = expected.get(task)
        if before is None or found.high is None or found.high >= before - limits.accuracy_drop:
            continue
        words = (
            f"the accuracy of the {task} is estimated at {found.accuracy:.0%} over {found.rows:,} predictions (at most "
            f"{found.high:.0%}), on {reference.origin} at {before:.0%}; {limits.accuracy_drop:.0%} less is allowed"
        )
        alarms.append(Alarm("accuracy", words))
    return alarms


def _known_accuracy(reference: Reference | None) -> tuple[float | None, str]:
    """What the answers that users judge are compared with, and what it is the accuracy of, in words."""
    if reference is None:
        return None, ""
    if reference.answered_accuracy is not None:
        return reference.answered_accuracy, "of the answers that are given, "
    # Of a model of one task, or one without figures: the best guess, with nothing withheld.
    return reference.accuracy.get("answer", min(reference.accuracy.values(), default=None)), ""


def _expected_accuracy(reference: Reference | None) -> dict[str, float]:
    """What the estimates are compared with, by task: those of the reference."""
    if reference is None:
        return {}
    window = Window(0, 1, reference.counts)
    found = {task: accuracy.from_confidence(window, task).accuracy for task in accuracy.TASKS}
    return {task: each for task, each in found.items() if each is not None}


def _log_alarms(window: Window) -> list[Alarm]:
    lost = window.dropped
    if not lost:
        return []
    words = (
        f"{lost:,} {plural(lost, 'prediction was', 'predictions were')} not logged, because they could not be "
        f"written, beside {window.predictions:,} that were; none may be lost"
    )
    return [Alarm("log", words)]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
