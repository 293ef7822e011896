"""What the log tells of a span of time, and what of it somebody should look at, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from tf_model.errors import plural
from tf_model.evaluation.metrics import wilson_interval
from tf_model.monitor import accuracy, aggregates, drift
from tf_model.monitor.accuracy import Accuracy
from tf_model.monitor.aggregates import SECONDS, Histogram, Window, waited
from tf_model.monitor.events import STAGES
from tf_model.monitor.reference import Reference
from tf_model.monitor.store import Store

PERCENTILES = (50, 95, 99)
SIGNALS = ("errors", "latency", "accuracy", "drift", "log")


@dataclass(frozen=True)
class Limits:
    """What is still well.

    Attributes:
        error_share: Failed requests, of all; an alarm when it is exceeded with 97.5% certainty.
        p95_seconds: 95th percentile of the time of a request, those for whole files left out.
        requests: The fewest requests from which time and errors are judged.
        accuracy_drop: How far the accuracy may be below that of the reference.
        judged: The fewest corrections from which accuracy is judged.
    """

    error_share: float = 0.01
    p95_seconds: float = 1.0
    requests: int = 20
    accuracy_drop: float = 0.05
    judged: int = accuracy.MINIMUM


@dataclass(frozen=True)
class Alarm:
    """Something to look at: one of :data:`SIGNALS`, and in words what, how much, and against what."""

    signal: str
    words: str


@dataclass(frozen=True)
class Report:
    """The state of a model in use.

    Attributes:
        window: What was counted.
        reference: What it is compared with, if there is a reference.
        corrected: Accuracy from corrections.
        estimated: Accuracy from confidences, by task.
        drifts: The comparison, feature by feature; empty without a reference or with too few predictions.
        limits: What it is judged by.
        windows: The window in pieces, in the order of time.
        alarms: What to look at; empty when all is well.
    """

    window: Window
    reference: Reference | None
    corrected: Accuracy
    estimated: Mapping[str, Accuracy]
    drifts: list[drift.Drift]
    limits: Limits
    windows: list[Window] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)

    @property
    def judged(self) -> tuple[str, ...]:
        """Those of :data:`SIGNALS` that there can be an alarm of: two of them are seen against the reference only."""
        return tuple(signal for signal in SIGNALS if self.reference or signal not in ("accuracy", "drift"))

    @property
    def decided(self) -> tuple[str, ...]:
        """Those of :attr:`judged` that enough was recorded of in this time: of the others no alarm says nothing."""
        enough = {
            "errors": self.window.requests >= self.limits.requests,
            "latency": self.window.histogram(waited(SECONDS)).count >= self.limits.requests,
            "accuracy": self.reference is not None and self._can_compare_accuracy(self.reference),
            "drift": bool(self.drifts),
            "log": True,
        }
        return tuple(signal for signal in self.judged if enough[signal])

    def _can_compare_accuracy(self, reference: Reference) -> bool:
        is_known = self.corrected.accuracy is not None and _known_accuracy(reference)[0] is not None
        return is_known or bool(self.estimated.keys() & _expected_accuracy(reference).keys())

    def seconds(self) -> dict[str, Histogram]:
        """Times of the requests, ``"total"`` and each stage that was measured."""
        names = {"total": SECONDS, **{stage: f"{stage}_seconds" for stage in STAGES}}
        histograms = {name: self.window.histogram(each) for name, each in names.items()}
        return {name: histogram for name, histogram in histograms.items() if histogram.count}

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        window = self.window
        return {
            "since": datetime.fromtimestamp(window.since, UTC).isoformat(),
            "until": datetime.fromtimestamp(window.until, UTC).isoformat(),
            "alarms": [{"signal": alarm.signal, "words": alarm.words} for alarm in self.alarms],
            "requests": window.requests,
            "predictions": window.predictions,
            "predictions_per_second": window.predictions / max(window.until - window.since, 1),
            "errors": window.failures,
            "errors_by_kind": window.labels(aggregates.ERRORS),
            "dropped": window.dropped,
            "seconds": {
                name: {f"p{share}": times.quantile(share / 100) for share in PERCENTILES} | {"mean": times.mean}
                for name, times in self.seconds().items()
            },
            "outcomes": window.labels("outcome"),
            "products": window.labels("product"),
            "emotions": window.labels("emotion"),
            **{name: window.mean(name) for name in aggregates.SAMPLED},
            "accuracy_from_corrections": asdict(self.corrected),
            "accuracy_estimated": {task: asdict(figure) for task, figure in self.estimated.items()},
            "assumption": accuracy.ASSUMPTION,
            "reference": None if self.reference is None else self.reference.origin,
            "drift": [asdict(each) for each in self.drifts],
        }


def make(
    store: Store,
    since: float,
    until: float,
    reference: Reference | None = None,
    limits: Limits | None = None,
    model: str | None = None,
    version: str | None = None,
    step: float = math.inf,
) -> Report:
    """Judge a span of time.

    Args:
        store: The log.
        since: Beginning, in seconds since 1970.
        until: End.
        reference: Of the model that is judged, if it has one.
        limits: What is still well; None: the defaults.
        model: Only this model; None: all of the log.
        version: Only this version of it; None: all.
        step: Seconds of a piece of the time; see :attr:`Report.windows`.

    Raises:
        DataError: There is no log, or it cannot be read.
    """
    return judge(store.series(since, until, step, (model, version)), reference, limits or Limits())


def judge(windows: list[Window], reference: Reference | None, limits: Limits) -> Report:
    """Judge what was counted, in pieces of time; see :func:`make`."""
    window = aggregates.join(windows)
    estimates = {task: accuracy.from_confidence(window, task) for task in accuracy.TASKS}
    report = Report(
        window,
        reference,
        accuracy.from_corrections(window, limits.judged),
        {task: figure for task, figure in estimates.items() if figure.accuracy is not None},
        drift.compare(reference, window) if reference else [],
        limits,
        windows,
    )
    for signal, words in _alarms(report):
        report.alarms.append(Alarm(signal, words))
    return report


def _alarms(report: Report) -> Iterator[tuple[str, str]]:
    """Signal and words of each alarm."""
    window, limits = report.window, report.limits
    failed, requests = window.failures, window.requests
    if requests >= limits.requests and wilson_interval(failed, requests)[0] > limits.error_share:
        kinds = ", ".join(f"{kind} ({count:,})" for kind, count in list(window.labels(aggregates.ERRORS).items())[:3])
        yield (
            "errors",
            f"{failed:,} of {requests:,} requests failed ({failed / requests:.1%}), the limit is "
            f"{limits.error_share:.1%}; most of them: {kinds}",
        )
    times = window.histogram(waited(SECONDS))
    slow = times.quantile(0.95)
    if slow is not None and times.count >= limits.requests and slow > limits.p95_seconds:
        stages = {stage: window.histogram(waited(f"{stage}_seconds")).mean or 0.0 for stage in STAGES}
        slowest = max(stages, key=lambda stage: stages[stage])
        yield (
            "latency",
            f"95% of {times.count:,} requests took up to {slow:.2f} s, the limit is {limits.p95_seconds:.2f} s; the "
            f"longest stage is {slowest!r} with {stages[slowest]:.2f} s on average",
        )
    yield from (("accuracy", words) for words in _accuracy_alarms(report))
    yield from (("drift", each.in_words()) for each in report.drifts if each.alarm)
    lost = window.dropped
    if lost:
        yield (
            "log",
            f"{lost:,} {plural(lost, 'prediction was', 'predictions were')} not logged, because they could not be "
            f"written, beside {window.predictions:,} that were; none may be lost",
        )


def _accuracy_alarms(report: Report) -> Iterator[str]:
    reference, corrected, allowed = report.reference, report.corrected, report.limits.accuracy_drop
    if reference is None:
        return
    known, of_what = _known_accuracy(reference)
    if known is not None and corrected.high is not None and corrected.high < known - allowed:
        yield (
            f"users called {corrected.correct:,} of {corrected.rows:,} predictions correct ({corrected.accuracy:.0%}, "
            f"at most {corrected.high:.0%}), {of_what}it was {known:.0%} on {reference.origin}; "
            f"{allowed:.0%} less is allowed, and users judge mistakes more readily than what is correct"
        )
    for task, before in _expected_accuracy(reference).items():
        figure = report.estimated.get(task)
        if figure and figure.high is not None and figure.high < before - allowed:
            yield (
                f"the accuracy of the {task} is estimated at {figure.accuracy:.0%} over {figure.rows:,} predictions "
                f"(at most {figure.high:.0%}), on {reference.origin} at {before:.0%}; {allowed:.0%} less is allowed"
            )


def _known_accuracy(reference: Reference) -> tuple[float | None, str]:
    """What the answers that users judge are compared with, and what it is the accuracy of, in words."""
    if reference.answered_accuracy is not None:
        return reference.answered_accuracy, "of the answers that are given, "
    # Of a model of one task, or one without metrics: the best guess, without abstention.
    return reference.accuracy.get("answer", min(reference.accuracy.values(), default=None)), ""


def _expected_accuracy(reference: Reference) -> dict[str, float]:
    """What the estimates are compared with, by task: those of the reference."""
    window = Window(0, 1, reference.counts)
    estimates = {task: accuracy.from_confidence(window, task).accuracy for task in accuracy.TASKS}
    return {task: share for task, share in estimates.items() if share is not None}
