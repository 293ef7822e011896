"""Report on a span of the log, and raise alarms, described in words: one function per signal."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from scipy import stats

from tf_model.errors import plural
from tf_model.monitor import accuracy, aggregates, drift
from tf_model.monitor.accuracy import Accuracy
from tf_model.monitor.aggregates import CPU, ERRORS, MEMORY, SECONDS, STAGE_SECONDS, Counts, Histogram, Window
from tf_model.monitor.events import LABEL_COLUMNS
from tf_model.monitor.reference import Reference
from tf_model.monitor.store import Store

PERCENTILES = (50, 95, 99)
SIGNALS = ("errors", "latency", "accuracy", "drift", "log")
# Limits beyond which there is an alarm; the alert rules in deploy/ have the same limits.
ERROR_SHARE = 0.01  # of all requests; an alarm if it is exceeded with 97.5% certainty (exact binomial test)
P95_SECONDS = 1.0  # of a request; requests for whole files are left out
FEWEST_REQUESTS = 20  # needed to judge latency and errors
FEWEST_FAILURES = 3  # which are enough to judge errors, however few requests there were
ACCURACY_DROP = 0.05  # how far the accuracy may fall below the reference's


@dataclass(frozen=True)
class Alarm:
    """Something to look at: one of :data:`SIGNALS`, and a description with the value and its limit."""

    signal: str
    words: str


@dataclass(frozen=True)
class Report:
    """The state of a model in use."""

    window: Window
    windows: list[Window]  # the same in pieces, in order of time
    reference: Reference | None
    user_accuracy: Accuracy
    estimates: Mapping[str, Accuracy]  # from confidences, by task
    drifts: list[drift.Drift]  # by feature; empty without a reference or with too few predictions
    signals: Mapping[str, list[str] | None]  # the alarms of each signal in words; None: no reference or too little data
    is_by_source: bool = False  # whether ``signals`` judge each source by itself, and ``drifts`` all of them together

    @property
    def alarms(self) -> list[Alarm]:
        """What to look at; empty when all is well."""
        return [Alarm(signal, words) for signal, alarms in self.signals.items() for words in alarms or ()]

    @property
    def judged_signals(self) -> tuple[str, ...]:
        """The signals with enough data to judge: for the others, the absence of an alarm means nothing."""
        return tuple(signal for signal in SIGNALS if self.signals[signal] is not None)

    def seconds(self) -> dict[str, Histogram]:
        """Times of the requests that a person waited for: ``"total"`` and each measured stage."""
        histograms = {name: self.window.histogram(each) for name, each in {"total": SECONDS, **STAGE_SECONDS}.items()}
        return {name: histogram for name, histogram in histograms.items() if histogram.count}

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        window = self.window
        return {
            "since": datetime.fromtimestamp(window.since, UTC).isoformat(),
            "until": datetime.fromtimestamp(window.until, UTC).isoformat(),
            "alarms": [asdict(alarm) for alarm in self.alarms],
            "judged": list(self.judged_signals),
            "requests": window.requests,
            "predictions": window.predictions,
            "predictions_per_second": window.predictions / max(window.until - window.since, 1),
            "errors": window.failures,
            "errors_by_kind": window.labels(ERRORS),
            "dropped": window.dropped,
            "seconds": {
                name: {f"p{share}": times.quantile(share / 100) for share in PERCENTILES} | {"mean": times.mean}
                for name, times in self.seconds().items()
            },
            "outcomes": window.labels("outcome"),
            "products": window.labels("product"),
            "emotions": window.labels("emotion"),
            CPU: window.mean(CPU),
            MEMORY: window.mean(MEMORY),
            "accuracy_from_corrections": asdict(self.user_accuracy),
            "accuracy_estimated": {task: asdict(figure) for task, figure in self.estimates.items()},
            "assumption": accuracy.ASSUMPTION,
            "reference": None if self.reference is None else self.reference.origin,
            # Of all sources together, unlike the alarms.
            "drift": [asdict(each) | ({"alarm": None} if self.is_by_source else {}) for each in self.drifts],
        }


def make(
    store: Store,
    since: float,
    until: float,
    reference: Reference | None = None,
    model: str | None = None,
    version: str | None = None,
    step: float = math.inf,
    source: str | None = None,
) -> Report:
    """Judge a span of a log, in seconds since 1970, for one version of a model, or for all models.

    Without a ``source``, each source is judged by itself: a file of other texts must neither hide nor raise an alarm of
    the app; errors are judged together too. ``step`` is the length of the pieces in seconds; see
    :attr:`Report.windows`. Raises :class:`DataError` if there is no log, or it cannot be read.
    """
    streams = model, version, source
    overall = judge(store.series(since, until, step, streams), reference)
    windows = {each: store.window(since, until, (model, version, each)) for each in store.sources(streams)}
    active = {each: window for each, window in windows.items() if window.requests or window.feedback[1]}
    if len(active) < 2:
        return overall
    signals: dict[str, list[str] | None] = dict.fromkeys(SIGNALS)
    for each, window in active.items():
        for signal, alarms in judge([window], reference).signals.items():
            if alarms is not None:
                signals[signal] = (signals[signal] or []) + [f"{each}: {words}" for words in alarms]
    signals["log"] = overall.signals["log"]  # lost records belong to no source
    signals["errors"] = signals["errors"] or overall.signals["errors"]  # too few of each may be enough together
    return replace(overall, signals=signals, is_by_source=True)


def judge(windows: list[Window], reference: Reference | None) -> Report:
    """Judge the counts of consecutive windows; see :func:`make`."""
    window = aggregates.join(windows)
    user_accuracy, estimates = accuracy.from_corrections(window), _accuracy_estimates(window.counts)
    drifts = drift.compare(reference, window) if reference else []
    signals = {
        "errors": _errors(window),
        "latency": _latency(window),
        "accuracy": _accuracy(reference, user_accuracy, estimates) if reference else None,
        "drift": [each.in_words() for each in drifts if each.alarm] if drifts else None,
        "log": _log(window),
    }
    return Report(window, windows, reference, user_accuracy, estimates, drifts, signals)


def _accuracy_estimates(counts: Counts) -> dict[str, Accuracy]:
    estimates = {task: accuracy.from_confidence(Window(0, 1, counts), task) for task in LABEL_COLUMNS}
    return {task: figure for task, figure in estimates.items() if figure.accuracy is not None}


def _errors(window: Window) -> list[str] | None:
    failed, requests = window.failures, window.requests
    if requests < FEWEST_REQUESTS and failed < FEWEST_FAILURES:
        return None
    if stats.binomtest(failed, requests, ERROR_SHARE, "greater").pvalue >= 0.025:
        return []
    kinds = ", ".join(f"{kind} ({count:,})" for kind, count in list(window.labels(ERRORS).items())[:3])
    return [
        f"{failed:,} of {requests:,} requests failed ({failed / requests:.1%}; the limit is "
        f"{ERROR_SHARE:.1%}), most often with {kinds}"
    ]


def _latency(window: Window) -> list[str] | None:
    times = window.histogram(SECONDS)
    if times.count < FEWEST_REQUESTS:
        return None
    p95 = times.quantile(0.95)
    if p95 <= P95_SECONDS:
        return []
    stages = {stage: window.histogram(name).mean or 0.0 for stage, name in STAGE_SECONDS.items()}
    slowest = max(stages, key=lambda stage: stages[stage])
    return [
        f"95% of {times.count:,} requests took up to {p95:.2f} s; the limit is {P95_SECONDS:.2f} s. The "
        f"slowest stage is {slowest!r}, {stages[slowest]:.2f} s on average"
    ]


def _accuracy(reference: Reference, user_accuracy: Accuracy, estimates: Mapping[str, Accuracy]) -> list[str] | None:
    known_accuracy, scope = reference.answered_accuracy, 'apart from "Not sure", '
    if known_accuracy is None:  # a model of one task: the best guess, without abstention
        known_accuracy, scope = reference.accuracy.get("answer", min(reference.accuracy.values(), default=None)), ""
    expected = {task: each for task, each in _accuracy_estimates(reference.counts).items() if task in estimates}
    is_comparable = user_accuracy.accuracy is not None and known_accuracy is not None
    alarms = []
    if is_comparable and user_accuracy.high < known_accuracy - ACCURACY_DROP:
        alarms.append(
            f"users called {user_accuracy.correct:,} of {user_accuracy.rows:,} predictions correct "
            f"({user_accuracy.accuracy:.0%}, at most {user_accuracy.high:.0%}); {scope}it was {known_accuracy:.0%} on "
            f"{reference.origin}; a drop of {100 * ACCURACY_DROP:.0f} points is allowed, "
            "and users choose which answers to judge"
        )
    for task, before in expected.items():
        now = estimates[task]
        if now.high < before.accuracy - ACCURACY_DROP:
            alarms.append(
                f"the accuracy of the {task} is estimated at {now.accuracy:.0%} over {now.rows:,} predictions "
                f"(at most {now.high:.0%}); on {reference.origin} it was {before.accuracy:.0%}; a drop of "
                f"{100 * ACCURACY_DROP:.0f} points is allowed"
            )
    return alarms if is_comparable or expected else None


def _log(window: Window) -> list[str]:
    lost = window.dropped
    if not lost:
        return []
    return [
        f"{lost:,} {plural(lost, 'prediction was', 'predictions were')} not logged, because they could not be "
        f"written; {window.predictions:,} were logged. None may be lost"
    ]
