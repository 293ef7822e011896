"""What Prometheus reads: the figures of a running model on a port of their own.

:class:`Exporter` counts what it is told and serves it as ``/metrics``. Names follow the conventions of Prometheus
(https://prometheus.io/docs/practices/naming/): one prefix, base units, ``_total`` for what only grows. Every label
value comes from a list that is known beforehand, and anything else is ``other``: no text, no user and no message of an
error becomes a label, and the number of series stays bounded. Alert rules and a dashboard are in ``deploy/``.
"""

from __future__ import annotations

import errno
import math
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tf_model import tasks
from tf_model.errors import OutputError, TweetTargetError, UsageError, first_line
from tf_model.inference.predictor import in_flight
from tf_model.monitor import gpu, report
from tf_model.monitor.events import (
    CONFIDENCE_COLUMNS,
    OUTCOMES,
    STAGES,
    VERDICTS,
    Answered,
    Corrected,
    Event,
    Failed,
    outcome,
)
from tf_model.monitor.store import Store

if TYPE_CHECKING:
    import pandas

    from tf_model.monitor.recorder import Recorder
    from tf_model.monitor.reference import Reference

PREFIX = "tweet_target"
PORT = 9464  # of OpenTelemetry's exporter for Prometheus; 9090 is Prometheus itself
ADDRESS = "127.0.0.1"  # the figures are nobody else's business unless the user says so
SPAN = 3600.0  # seconds that drift, accuracy and alarms are judged over
JUDGE_SECONDS = 10.0  # between two judgements: a scrape in between is told the last one
OTHER = "other"  # what is not in the list
NONE = "none"  # what the model does not predict

OK, ERROR = STATUSES = ("ok", "error")
SOURCES = ("app", "batch", "predict", "python")
CONFIDENT_TASKS = tuple(name.removesuffix("_confidence") for name in CONFIDENCE_COLUMNS)
ERROR_KINDS = (
    *("DataError", "ModelError", "OutputError", "UsageError"),
    *("MemoryError", "OSError", "RuntimeError", "TimeoutError", "TypeError", "ValueError"),
)

# From one short text on a GPU to a file of thousands on a CPU.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Exporter:
    """Counts requests, predictions, errors and feedback, and serves the figures to Prometheus.

    Every method may be called from any thread. A request is one call for predictions, of one text or of many.

    Attributes:
        registry: Of this exporter alone: two exporters in one process do not meet.
    """

    def __init__(self) -> None:
        self.registry = _Registry()
        self._requests = self._metric(Counter, "requests", "Calls for predictions by status.", "source", "status")
        self._errors = self._metric(Counter, "errors", "Failed calls by kind of error.", "kind")
        self._predictions = self._metric(
            Counter, "predictions", "Predicted texts by what was predicted.", "product", "emotion", "outcome"
        )
        self._feedback = self._metric(Counter, "feedback", "What users said of a prediction.", "verdict")
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
        self._gpus = gpu.GpuReader()
        self._has_model = False
        self._judge: Callable[[], report.Report | None] = lambda: None
        self.registry.register(_Collected(_call_metrics))
        self.registry.register(_Collected(self._log_metrics))
        self.registry.register(_Collected(self._judged_metrics))
        self.registry.register(_Collected(_process_metrics))
        self.registry.register(_Collected(self._gpu_metrics))

    # ------------------------------------------------------------ what happened

    def attach(self, recorder: Recorder, reference: Reference | None = None) -> None:
        """Follow a recorder: its events, its model, the predictions that it drops or has not written yet, and what the
        report of its log says of the recent past. Of several the one that was attached last is the model that answers
        and is judged; attach it again when it answers again.

        Args:
            recorder: Any that is not closed.
            reference: Of its model, if there is one.
        """
        self.set_model(recorder.model, recorder.version)
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
        """Count one event of the recorder; an observer of a :class:`~tf_model.monitor.recorder.Recorder`."""
        if isinstance(event, Answered):
            self.observe_predictions(event.columns, event.seconds, event.stream.source)
        elif isinstance(event, Failed):
            self.observe_error(event.kind, event.stream.source)
        elif isinstance(event, Corrected):
            self.observe_feedback(event.verdict)

    def observe_predictions(
        self,
        predictions: pandas.DataFrame | Mapping[str, Sequence[Any]],
        seconds: Mapping[str, float],
        source: str = "python",
    ) -> None:
        """Count one call that gave predictions.

        Args:
            predictions: The columns of :meth:`~tf_model.inference.predictor.Predictor.predict` or of
                :attr:`~tf_model.monitor.events.Answered.columns`, as far as they are known, each of length N.
            seconds: Time by stage, keys among :data:`STAGES`; their sum is the time of the call. Empty if not measured.
            source: Who called, one of :data:`SOURCES`.
        """
        columns = {name: list(predictions[name]) for name in predictions}
        texts = max(map(len, columns.values()), default=0)
        self._requests.labels(_bounded(source, SOURCES), OK).inc()
        if seconds:
            self._request_seconds.labels(_bounded(source, SOURCES)).observe(math.fsum(seconds.values()))
        for stage, time_taken in seconds.items():
            self._stage_seconds.labels(_bounded(stage, STAGES)).observe(time_taken)
        self._batch_size.observe(texts)
        for labels, count in Tally(self._labels(columns, texts)).items():
            self._predictions.labels(*labels).inc(count)
        for task in CONFIDENT_TASKS:
            observe = self._confidence.labels(task).observe
            for value in columns.get(f"{task}_confidence", ()):
                if value is not None and math.isfinite(value):  # one NaN would make the sum NaN for ever
                    observe(value)

    def observe_error(self, kind: str, source: str = "python") -> None:
        """Count one call that failed. ``kind`` is the name of the exception's class, never its message."""
        self._requests.labels(_bounded(source, SOURCES), ERROR).inc()
        self._errors.labels(_bounded(kind, ERROR_KINDS)).inc()

    def observe_feedback(self, verdict: str) -> None:
        """Count what a user said of a prediction: ``"right"`` or ``"wrong"``."""
        self._feedback.labels(_bounded(verdict, VERDICTS)).inc()

    # ------------------------------------------------------------ how things stand

    def set_model(self, name: str, version: str) -> None:
        """Say which model answers."""
        self._has_model = True
        self._model.info({"name": name, "version": version})

    def judge_by(self, judge: Callable[[], report.Report | None]) -> None:
        """Serve what ``judge`` says whenever Prometheus asks: drift, accuracy and alarms.

        Where it says nothing (None) nothing is served: zero would raise an alert, or hide one.
        """
        self._judge = judge

    # ------------------------------------------------------------ serve

    def serve(self, port: int = PORT, address: str = ADDRESS) -> Server:
        """Serve the figures at ``http://address:port/metrics`` from a background thread, until it is closed.

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
            server, thread = start_http_server(port, address, self.registry)
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
        for verdict in VERDICTS:
            self._feedback.labels(verdict)

    def _labels(self, columns: Mapping[str, Sequence[Any]], texts: int) -> Iterator[tuple[str, str, str]]:
        """Product, emotion and outcome of each text; what the model does not predict is ``none``."""
        unknown = [None] * texts
        products, emotions = (columns.get(task.name, unknown) for task in (tasks.PRODUCT, tasks.EMOTION))
        outcomes = columns.get("outcome") or map(outcome, columns.get("answer", unknown), emotions)
        for product, emotion, came_out in zip(products, emotions, outcomes, strict=True):
            yield (
                NONE if product is None else _bounded(product, tasks.PRODUCTS),
                NONE if emotion is None else _bounded(emotion, tasks.EMOTIONS),
                _bounded(came_out, OUTCOMES),
            )

    def _log_metrics(self) -> Iterator[Metric]:
        followed = list(self._followed)
        dropped, waiting = (sum(getattr(each, name) for each in followed) for name in ("dropped", "waiting"))
        yield CounterMetricFamily(f"{PREFIX}_records_dropped", "Predictions that the log could not take.", dropped)
        yield GaugeMetricFamily(f"{PREFIX}_records_waiting", "Predictions that are not in the log yet.", waiting)

    def _judged_metrics(self) -> Iterator[Metric]:
        alarms = GaugeMetricFamily(f"{PREFIX}_alarm", "1 where the report has an alarm, else 0.", labels=["signal"])
        index = GaugeMetricFamily(
            f"{PREFIX}_drift_psi", "Population stability index against the reference.", labels=["feature"]
        )
        drifting = GaugeMetricFamily(
            f"{PREFIX}_drift_alarm",
            "1 where the drift is more than chance, given the sample, else 0.",
            labels=["feature"],
        )
        estimated = GaugeMetricFamily(
            f"{PREFIX}_estimated_accuracy_ratio",
            "Accuracy without labels, estimated from calibrated confidences, 0 to 1.",
            labels=["task"],
        )
        validated = GaugeMetricFamily(
            f"{PREFIX}_validation_accuracy_ratio", "Accuracy on the validation part, 0 to 1.", labels=["task"]
        )
        found = self._judge()
        if found is not None:
            raised = {alarm.signal for alarm in found.alarms}
            for signal in found.judged:
                alarms.add_metric([signal], float(signal in raised))
            for each in found.drifts:
                index.add_metric([each.feature], each.index)
                drifting.add_metric([each.feature], float(each.alarm))
            for task, each in found.estimated.items():
                estimated.add_metric([task], each.accuracy)
            for task, share in (found.reference.accuracy if found.reference else {}).items():
                validated.add_metric([_bounded(task, CONFIDENT_TASKS)], share)
        yield from (alarms, index, drifting, estimated, validated)

    def _gpu_metrics(self) -> Iterator[Metric]:
        used = GaugeMetricFamily(f"{PREFIX}_gpu_memory_used_bytes", "Memory of the GPU in use.", labels=["gpu"])
        size = GaugeMetricFamily(f"{PREFIX}_gpu_memory_size_bytes", "Memory of the GPU.", labels=["gpu"])
        busy = GaugeMetricFamily(f"{PREFIX}_gpu_utilization_ratio", "Share of time that the GPU works.", labels=["gpu"])
        ours = GaugeMetricFamily(
            f"{PREFIX}_gpu_process_memory_bytes", "Memory of the GPU that TensorFlow uses here.", labels=["gpu"]
        )
        for each in self._gpus.read():
            used.add_metric([each.index], each.used)
            size.add_metric([each.index], each.size)
            busy.add_metric([each.index], each.utilization)
        for index, memory in (gpu.tensorflow_memory() if self._has_model else {}).items():
            ours.add_metric([index], memory)
        yield from (used, size, busy, ours)


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

    def close(self) -> None:
        """Stop serving and free the port; nothing happens the second time."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ---------------------------------------------------------------- collectors


class _Registry(CollectorRegistry):
    """A registry without the ``_created`` series, one per counter and histogram, that no rule or panel uses."""

    def collect(self) -> Iterator[Metric]:
        for family in super().collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class _Collected(Collector):
    """Metrics that are read at each scrape rather than kept."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return self._read()


def _recent_report(recorder: Recorder, reference: Reference | None) -> Callable[[], report.Report | None]:
    """A function that reports on the last :data:`SPAN` seconds of a recorder's log, None while that cannot be read."""
    store, lock = Store(recorder.path), threading.Lock()
    said: report.Report | None = None
    next_time = -math.inf

    def judge() -> report.Report | None:
        nonlocal said, next_time
        with lock:
            if time.monotonic() >= next_time:
                now = time.time()
                try:
                    said = report.make(store, now - SPAN, now, reference, None, recorder.model, recorder.version)
                except TweetTargetError:  # as when it is locked: other figures are served all the same
                    said = None
                next_time = time.monotonic() + JUDGE_SECONDS
            return said

    return judge


def _call_metrics() -> Iterator[Metric]:
    yield GaugeMetricFamily(f"{PREFIX}_requests_in_flight", "Calls for predictions that are under way.", in_flight())


def _process_metrics() -> Iterator[Metric]:
    """CPU time and memory of this process, under the names that every client library of Prometheus uses."""
    import psutil

    process = psutil.Process()
    with process.oneshot():
        times, resident, started = process.cpu_times(), process.memory_info().rss, process.create_time()
    yield CounterMetricFamily(
        "process_cpu_seconds", "User and system CPU time of the process.", value=times.user + times.system
    )
    yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory of the process.", value=resident)
    yield GaugeMetricFamily("process_start_time_seconds", "Start of the process, in seconds since 1970.", value=started)


def _bounded(value: object, known: Collection[str]) -> str:
    """``value`` if it is one of the known names, else :data:`OTHER`."""
    return value if isinstance(value, str) and value in known else OTHER
