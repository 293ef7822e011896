"""Metrics of a running model for Prometheus, on a port of their own.

:class:`Exporter` counts the events of recorders and serves the counts as ``/metrics``. Names follow the conventions of
Prometheus (https://prometheus.io/docs/practices/naming/). Label values are the classes of the models and the names of
exceptions, sources, stages and signals: never a text, user or message. Alert rules and a dashboard are in ``deploy/``.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tf_model.errors import OutputError, TweetTargetError
from tf_model.inference.predictor import in_flight
from tf_model.modeling.joint_label import NOT_SURE
from tf_model.monitor import report
from tf_model.monitor.aggregates import LABELS
from tf_model.monitor.events import LABEL_COLUMNS, Answered, Event, Failed
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.reference import Reference
from tf_model.monitor.store import Store

PREFIX = "tweet_target"
PORT = 9464  # as OpenTelemetry's exporter for Prometheus; Prometheus itself has 9090
ADDRESS = "127.0.0.1"  # metrics are private unless the user chooses otherwise
WINDOW_SECONDS = 3600.0  # seconds over which drift, accuracy and alarms are judged
NONE = "none"  # the model does not predict this

SOURCES = ("api", "app", "batch", "predict")  # whose counts begin at zero
# Bounds from one short text on a GPU to a file of thousands on a CPU.
SECONDS_BUCKETS = (1e-3, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 10, 30, 60, 300)
TEXTS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
SHARE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def process_registry() -> CollectorRegistry:
    """A registry with only the usual metrics of this process, such as CPU and memory."""
    prometheus_client.disable_created_metrics()  # one more series per counter, which no rule or panel uses
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class Exporter(Collector):
    """Counts requests, predictions, errors and feedback, and serves the counts to Prometheus.

    Every method may be called from any thread. A request is one call for predictions, of one or many texts. Each
    exporter has a ``registry`` of its own, so two in one process do not conflict.
    """

    def __init__(self) -> None:
        self.registry = process_registry()

        def metric(kind: type, name: str, meaning: str, *labels: str, **options: Any) -> Any:
            return kind(f"{PREFIX}_{name}", meaning, labels, registry=self.registry, **options)

        self._requests = metric(Counter, "requests", "Requests for predictions by status.", "source", "status")
        self._errors = metric(Counter, "errors", "Failed requests by kind of error.", "kind")
        self._predictions = metric(Counter, "predictions", "Predicted texts by what was predicted.", *LABELS)
        self._feedback = metric(Counter, "feedback", "What users thought of a prediction.", "verdict")
        of_request, of_stage = "Time of a request for predictions.", "Time of each stage of a request."
        self._seconds = metric(Histogram, "request_duration_seconds", of_request, "source", buckets=SECONDS_BUCKETS)
        labels = ("source", "stage")
        self._stage_seconds = metric(Histogram, "stage_duration_seconds", of_stage, *labels, buckets=SECONDS_BUCKETS)
        self._batch_size = metric(Histogram, "batch_size", "Texts of a request for predictions.", buckets=TEXTS_BUCKETS)
        self._confidence = metric(
            Histogram, "confidence_ratio", "Confidence of the predictions, 0 to 1.", "task", buckets=SHARE_BUCKETS
        )
        for source, status in itertools.product(SOURCES, ("ok", "error")):  # a rate needs a zero before the first error
            self._requests.labels(source, status)
        for verdict in ("right", "wrong"):
            self._feedback.labels(verdict)
        self._model = Info(f"{PREFIX}_model", "The model that answers.", registry=self.registry)
        self.failure: str | None = None  # why a log cannot be opened, so that it has no recorder
        self._recorders: list[Recorder] = []
        self._logs_and_references: dict[tuple[str, str], tuple[Store, Reference | None]] = {}  # by model and version
        self._current_model: tuple[str, str] | None = None
        self.registry.register(self)

    # ------------------------------------------------------------ what happened

    def attach(self, recorder: Recorder, reference: Reference | None = None) -> None:
        """Follow a recorder: its events, its failure, its dropped and waiting predictions, and the report on the recent
        past of its log. Of several models, the one that answered or was attached last is judged."""
        self._logs_and_references[recorder.model, recorder.version] = Store(recorder.path), reference
        self._recorders.append(recorder)
        self._set_current_model(recorder.model, recorder.version)
        recorder.observers.append(self.observe)

    def _set_current_model(self, model: str, version: str) -> None:
        self._current_model = model, version
        self._model.info({"name": model, "version": version})

    def observe(self, event: Event) -> None:
        """Count one event; an observer of a :class:`~tf_model.monitor.recorder.Recorder`."""
        stream = event.stream
        if (stream.model, stream.version) != self._current_model:
            self._set_current_model(stream.model, stream.version)
        if isinstance(event, Answered):
            self._requests.labels(stream.source, "ok").inc()
            self._count_predictions(event)
        elif isinstance(event, Failed):
            self._requests.labels(stream.source, "error").inc()
            self._errors.labels(event.kind).inc()
        elif event.is_correct is not None and event.prediction.get("answer") != NOT_SURE:  # which is no answer to judge
            self._feedback.labels("right" if event.is_correct else "wrong").inc()  # counters never go down

    def _count_predictions(self, event: Answered) -> None:
        if event.seconds:
            self._seconds.labels(event.stream.source).observe(math.fsum(event.seconds.values()))
        for stage, seconds in event.seconds.items():
            self._stage_seconds.labels(event.stream.source, stage).observe(seconds)
        self._batch_size.observe(event.rows)
        missing = [None] * event.rows
        columns = (event.columns.get(name, missing) for name in LABELS)
        for labels, count in Tally(zip(*columns, strict=True)).items():
            self._predictions.labels(*(NONE if label is None else label for label in labels)).inc(count)
        for task in LABEL_COLUMNS:
            confidences = self._confidence.labels(task)
            for value in event.columns.get(f"{task}_confidence", ()):
                if value is not None:
                    confidences.observe(value)

    def judge(self) -> report.Report | None:
        """The report on the last :data:`WINDOW_SECONDS` of the answering model's log; None while it cannot be read:
        then no drift, accuracy or alarms are served, as zeros could raise or hide alerts."""
        current, now = self._current_model, time.time()
        if current not in self._logs_and_references:
            return None
        store, reference = self._logs_and_references[current]
        try:
            return report.make(store, now - WINDOW_SECONDS, now, reference, *current)
        except TweetTargetError:  # such as a locked log: the other metrics are still served
            return None

    # ------------------------------------------------------------ serve

    def serve(self, port: int = PORT, address: str = ADDRESS) -> str:
        """Serve the metrics from a background thread until the process ends, and return their URL.

        Port 0 takes a free one. Raises :class:`OutputError` if the port is invalid, taken or not permitted, or the
        address is not one of this machine.
        """
        try:
            server, _ = prometheus_client.start_http_server(port, address, self.registry)
        except (OSError, OverflowError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"cannot serve metrics at {address} port {port}: {reason}; choose another port above "
                f"1023, or an address of this machine, such as {ADDRESS}"
            ) from error
        return f"http://{address}:{server.server_port}/metrics"

    def collect(self) -> Iterator[Metric]:
        """The metrics that are read at each scrape; called by the registry."""
        yield GaugeMetricFamily(f"{PREFIX}_requests_in_flight", "Calls that are under way.", in_flight())
        dropped, waiting = (sum(getattr(each, name) for each in self._recorders) for name in ("dropped", "waiting"))
        yield CounterMetricFamily(f"{PREFIX}_records_dropped", "Predictions that the log could not take.", dropped)
        yield GaugeMetricFamily(f"{PREFIX}_records_waiting", "Predictions that are not in the log yet.", waiting)
        is_failing = any(each.failure for each in (self, *self._recorders))
        yield GaugeMetricFamily(f"{PREFIX}_log_failing", "1 while a log cannot be written, else 0.", int(is_failing))
        if latest := self.judge():
            yield from _report_gauges(latest)


def _report_gauges(latest: report.Report) -> Iterator[Metric]:
    judgeable = [each for each in report.SIGNALS if latest.reference or each not in ("accuracy", "drift")]
    alarms = {signal: bool(latest.signals[signal]) for signal in judgeable}
    yield _gauges("alarm", "1 where the report has an alarm, else 0.", "signal", alarms)
    indices = {each.feature: each.index for each in latest.drifts}
    yield _gauges("drift_psi", "Population stability index against the reference.", "feature", indices)
    alarms = {each.feature: each.alarm for each in latest.drifts}
    yield _gauges("drift_alarm", "1 where the drift is more than chance, given the sample, else 0.", "feature", alarms)
    estimates = {task: figure.accuracy for task, figure in latest.estimates.items()}
    meaning = "Accuracy without labels, estimated from calibrated confidences, 0 to 1."
    yield _gauges("estimated_accuracy_ratio", meaning, "task", estimates)
    validated = latest.reference.accuracy if latest.reference else {}
    yield _gauges("validation_accuracy_ratio", "Accuracy on the validation part, 0 to 1.", "task", validated)


def _gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family
