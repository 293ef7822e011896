"""What Prometheus reads: the metrics of a running model on a port of their own.

:class:`Exporter` counts the events of recorders and serves the counts as ``/metrics``. Names follow the conventions of
Prometheus (https://prometheus.io/docs/practices/naming/): one prefix, base units, ``_total`` for what only grows. Every
label value comes from a list that is known beforehand, and anything else is ``other``: no text, no user and no message
of an error becomes a label, and the number of series stays bounded. Alert rules and a dashboard are in ``deploy/``.
"""

from __future__ import annotations

import errno
import math
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tf_model import tasks
from tf_model.errors import OutputError, TweetTargetError, UsageError, first_line
from tf_model.inference.predictor import in_flight
from tf_model.monitor import report, resources
from tf_model.monitor.events import LABEL_COLUMNS, OUTCOMES, STAGES, Answered, Corrected, Event, Failed
from tf_model.monitor.store import Store

if TYPE_CHECKING:
    from tf_model.monitor.recorder import Recorder
    from tf_model.monitor.reference import Reference

PREFIX = "tweet_target"
PORT = 9464  # of OpenTelemetry's exporter for Prometheus; 9090 is Prometheus itself
ADDRESS = "127.0.0.1"  # the metrics are nobody else's business unless the user says so
SPAN = 3600.0  # seconds that drift, accuracy and alarms are judged over
JUDGE_SECONDS = 10.0  # between two judgements: a scrape in between is told the last one
OTHER = "other"  # what is not in the list
NONE = "none"  # what the model does not predict

OK, ERROR = STATUSES = ("ok", "error")
SOURCES = ("app", "batch", "predict", "python")
VERDICTS = {True: "right", False: "wrong"}  # as dashboards ask for them
ERROR_KINDS = (
    *("DataError", "ModelError", "OutputError", "UsageError"),
    *("MemoryError", "OSError", "RuntimeError", "TimeoutError", "TypeError", "ValueError"),
)

# From one short text on a GPU to a file of thousands on a CPU.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Exporter:
    """Counts requests, predictions, errors and feedback, and serves the counts to Prometheus.

    Every method may be called from any thread. A request is one call for predictions, of one text or of many.

    Attributes:
        registry: Of this exporter alone: two exporters in one process do not meet.
    """

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # one series more per counter, that no rule or panel uses
        self.registry = CollectorRegistry()
        self._requests = self._metric(Counter, "requests", "Calls for predictions by status.", "source", "status")
        self._errors = self._metric(Counter, "errors", "Failed calls by kind of error.", "kind")
        self._predictions = self._metric(
            Counter, "predictions", "Predicted texts by what was predicted.", "product", "emotion", "outcome"
        )
        self._feedback = self._metric(Counter, "feedback", "What users thought of a prediction.", "verdict")
        self._request_seconds = self._metric(
            Histogram, "request_duration_seconds", "Time of a call for predictions.", "source", buckets=SECONDS
        )
        self._stage_seconds = self._metric(
            Histogram, "stage_duration_seconds", "Time of each stage of a call.", "stage", buckets=SECONDS
        )
        self._batch_size = self._metric(Histogram, "batch_size", "Texts of a call for predictions.", buckets=TEXTS)
        self._confidence = self._metric(
            Histogram, "confidence_ratio", "Confidence of the predictions, 0 to 1.", "task", buckets=SHARES
        )
        self._model = self._metric(Info, "model", "The model that answers.")
        self._zero()
        self._followed: dict[Recorder, Callable[[], report.Report | None]] = {}
        self._attaching = threading.Lock()
        self._judge: Callable[[], report.Report | None] = lambda: None
        self.registry.register(_Collected(self._collect))
        ProcessCollector(registry=self.registry)  # processor and memory

    # ------------------------------------------------------------ what happened

    def attach(self, recorder: Recorder, reference: Reference | None = None) -> None:
        """Follow a recorder: its events, its model, the predictions that it drops or has not written yet, and what the
        report of its log tells of the recent past. Of several the one that was attached last is the model that answers
        and is judged; attach it again when it answers again.

        Args:
            recorder: Any that is not closed.
            reference: Of its model, if there is one.
        """
        self._model.info({"name": recorder.model, "version": recorder.version})
        with self._attaching:
            judge = self._followed.get(recorder)
            if judge is None:
                judge = self._followed[recorder] = _recent_report(recorder, reference)
                recorder.observers.append(self.observe)
        self.judge_by(judge)

    def follows(self, recorder: Recorder) -> bool:
        """Whether a recorder was attached before, so that its reference is known."""
        return recorder in self._followed

    def observe(self, event: Event) -> None:
        """Count one event; an observer of a :class:`~tf_model.monitor.recorder.Recorder`."""
        source = _bounded(event.stream.source, SOURCES)
        if isinstance(event, Answered):
            self._requests.labels(source, OK).inc()
            self._count_predictions(event, source)
        elif isinstance(event, Failed):
            self._requests.labels(source, ERROR).inc()
            self._errors.labels(_bounded(event.kind, ERROR_KINDS)).inc()
        elif isinstance(event, Corrected):
            self._feedback.labels(VERDICTS[event.is_correct]).inc()

    def _count_predictions(self, event: Answered, source: str) -> None:
        if event.seconds:
            self._request_seconds.labels(source).observe(math.fsum(event.seconds.values()))
        for stage, seconds in event.seconds.items():
            self._stage_seconds.labels(_bounded(stage, STAGES)).observe(seconds)
        self._batch_size.observe(event.rows)
        unknown = [None] * event.rows
        products, emotions = (event.columns.get(task.name, unknown) for task in (tasks.PRODUCT, tasks.EMOTION))
        combinations = Tally(zip(products, emotions, event.columns["outcome"], strict=True))
        for (product, emotion, outcome), count in combinations.items():
            self._predictions.labels(
                NONE if product is None else _bounded(product, tasks.PRODUCTS),
                NONE if emotion is None else _bounded(emotion, tasks.EMOTIONS),
                _bounded(outcome, OUTCOMES),
            ).inc(count)
        for task in LABEL_COLUMNS:
            observe = self._confidence.labels(task).observe
            for value in event.columns.get(f"{task}_confidence", ()):
                if value is not None:
                    observe(value)

    def judge_by(self, judge: Callable[[], report.Report | None]) -> None:
        """Serve what ``judge`` returns whenever Prometheus asks: drift, accuracy and alarms.

        Where it returns None nothing is served: zero would raise an alert, or hide one.
        """
        self._judge = judge

    # ------------------------------------------------------------ serve

    def serve(self, port: int = PORT, address: str = ADDRESS) -> Server:
        """Serve the metrics at ``http://address:port/metrics`` from a background thread, until it is closed.

        Args:
            port: 0 takes a free one, see :attr:`Server.port`.
            address: The default can be reached from this machine only.

        Raises:
            OutputError: The port is taken or not permitted, or the address is not one of this machine.
            UsageError: ``port`` is no port.
        """
        if not 0 <= port <= 65535:
            raise UsageError(f"expected a port from 0 to 65535, got {port}; {PORT} is usual")
        try:
            server, thread = prometheus_client.start_http_server(port, address, self.registry)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = "it is in use; choose another port, or end the program that has it"
            elif error.errno in (errno.EACCES, errno.EPERM):
                reason = "that is not permitted; choose a port above 1023"
            else:
                reason = f"{error.strerror or first_line(error)}; give an address of this machine, such as {ADDRESS}"
            raise OutputError(f"cannot serve metrics at {address} port {port}: {reason}") from error
        return Server(server, thread, address)

    # ------------------------------------------------------------ inside

    def _metric(self, kind: Any, name: str, meaning: str, *labels: str, **options: Any) -> Any:
        return kind(f"{PREFIX}_{name}", meaning, labels, registry=self.registry, **options)

    def _zero(self) -> None:
        """Make the series that will be asked about: a rate needs the zero before the first error."""
        for source in SOURCES:
            for status in STATUSES:
                self._requests.labels(source, status)
        for kind in (*ERROR_KINDS, OTHER):
            self._errors.labels(kind)
        for verdict in VERDICTS.values():
            self._feedback.labels(verdict)
        for stage in STAGES:
            self._stage_seconds.labels(stage)
        for task in LABEL_COLUMNS:
            self._confidence.labels(task)

    def _collect(self) -> Iterator[Metric]:
        """What is read at each scrape rather than kept."""
        yield GaugeMetricFamily(f"{PREFIX}_requests_in_flight", "Calls that are under way.", in_flight())
        dropped, waiting = (sum(getattr(each, name) for each in [*self._followed]) for name in ("dropped", "waiting"))
        yield CounterMetricFamily(f"{PREFIX}_records_dropped", "Predictions that the log could not take.", dropped)
        yield GaugeMetricFamily(f"{PREFIX}_records_waiting", "Predictions that are not in the log yet.", waiting)
        yield from _judged_metrics(self._judge())
        gpus = resources.gpus()
        used, size, busy = ({gpu.index: getattr(gpu, name) for gpu in gpus} for name in ("used", "size", "utilization"))
        yield _gauge("gpu_memory_used_bytes", "Memory of the GPU in use.", "gpu", used)
        yield _gauge("gpu_memory_size_bytes", "Memory of the GPU.", "gpu", size)
        yield _gauge("gpu_utilization_ratio", "Share of time that the GPU works.", "gpu", busy)
        ours = resources.tensorflow_memory() if self._followed else {}
        yield _gauge("gpu_process_memory_bytes", "Memory of the GPU that TensorFlow uses here.", "gpu", ours)


class Server:
    """A running ``/metrics``, and a context manager that closes it.

    Attributes:
        port: The port that it listens on.
        url: The address for a browser or for Prometheus.
    """

    def __init__(self, server: Any, thread: threading.Thread, address: str) -> None:
        self._server, self._thread = server, thread
        self.port: int = server.server_port
        self.url = f"http://{f'[{address}]' if ':' in address else address}:{self.port}/metrics"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Collected(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self.collect = collect


def _judged_metrics(judged: report.Report | None) -> Iterator[Metric]:
    alarms, drifts, estimated, validated = {}, [], {}, {}
    if judged is not None:
        raised = {alarm.signal for alarm in judged.alarms}
        alarms = {signal: float(signal in raised) for signal in judged.judged}
        drifts = judged.drifts
        estimated = {task: figure.accuracy for task, figure in judged.estimated.items()}
        accuracy = judged.reference.accuracy if judged.reference else {}
        validated = {_bounded(task, LABEL_COLUMNS): share for task, share in accuracy.items()}
    yield _gauge("alarm", "1 where the report has an alarm, else 0.", "signal", alarms)
    index, raised = {each.feature: each.index for each in drifts}, {each.feature: float(each.alarm) for each in drifts}
    yield _gauge("drift_psi", "Population stability index against the reference.", "feature", index)
    meaning = "1 where the drift is more than chance, given the sample, else 0."
    yield _gauge("drift_alarm", meaning, "feature", raised)
    meaning = "Accuracy without labels, estimated from calibrated confidences, 0 to 1."
    yield _gauge("estimated_accuracy_ratio", meaning, "task", estimated)
    yield _gauge("validation_accuracy_ratio", "Accuracy on the validation part, 0 to 1.", "task", validated)


def _gauge(name: str, meaning: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _recent_report(recorder: Recorder, reference: Reference | None) -> Callable[[], report.Report | None]:
    """A function that reports on the last :data:`SPAN` seconds of a recorder's log, None while that cannot be read."""
    store, lock = Store(recorder.path), threading.Lock()
    latest: report.Report | None = None
    next_time = -math.inf

    def judge() -> report.Report | None:
        nonlocal latest, next_time
        with lock:
            if time.monotonic() >= next_time:
                now = time.time()
                try:
                    latest = report.make(store, now - SPAN, now, reference, None, recorder.model, recorder.version)
                except TweetTargetError:  # as when it is locked: the other metrics are served all the same
                    latest = None
                next_time = time.monotonic() + JUDGE_SECONDS
            return latest

    return judge


def _bounded(value: object, known: Collection[str]) -> str:
    """``value`` if it is one of the known names, else :data:`OTHER`."""
    return value if isinstance(value, str) and value in known else OTHER
