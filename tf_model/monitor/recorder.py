"""Record every prediction and error without making anybody wait for the disk, and corrections at once.

Answered and failed calls are put on a queue. One thread makes events of them and commits them within :data:`INTERVAL`
seconds, so a process that is killed loses no more than that. A process that exits normally loses nothing.
"""

import atexit
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from tf_model.errors import DataError, UsageError, first_line
from tf_model.inference.predictor import Measured, model_input
from tf_model.io.characters import well_formed
from tf_model.monitor.aggregates import CPU, DROPPED, MEMORY, Counts
from tf_model.monitor.events import (
    CONFIDENCE_COLUMNS,
    LABEL_COLUMNS,
    PROCESS,
    Answered,
    Corrected,
    Event,
    Failed,
    Stream,
    counted_columns,
    label_or_none,
    number_or_none,
)
from tf_model.monitor.store import Store

INTERVAL = 0.05  # seconds between commits; including the commit, a record is safe well within 0.2 s
CAPACITY = 100_000  # texts that wait to be written; beyond that, texts are dropped and counted
SAMPLE_SECONDS = 10.0  # between samples of CPU and memory
PRUNE_SECONDS = 60.0
RETRY_SECONDS = 1.0  # after a failed transaction
CLOSE_SECONDS = 5.0  # that close() waits for the last transaction
LONGEST_MESSAGE = 300  # characters of an error's message

logger = logging.getLogger(__name__)


class Recorder(AbstractContextManager["Recorder"]):
    """Records a model's answers in the background. Any thread may call any method; several processes may write to one
    log. Construction raises :class:`DataError` if the file is not a prediction log, and :class:`OutputError` if the
    file cannot be created.

    Attributes:
        path: The log; :data:`tf_model.paths.MONITOR_LOG` if none is given.
        observers: Called with each :data:`~tf_model.monitor.events.Event`, in the writing thread before it is written,
            or, if it is a correction, after that. Their exceptions are logged and not passed on.
        failure: Why nothing can be written at the moment; None while all is well.
        dropped: The number of texts and errors that were not kept: they came too fast, came after :meth:`close`, or are
            no predictions.
    """

    def __init__(self, path: Path | str | None = None, *, model: str, version: str) -> None:
        self.model, self.version = model, version
        self._store = Store(path)
        self._store.keep_open()
        self.path = self._store.path
        self.observers: list[Callable[[Event], None]] = []
        self.failure: str | None = None
        self.dropped = self._dropped_written = 0
        self._queued_texts = self._finished_texts = 0
        self._process = psutil.Process()
        self._process.cpu_percent()  # begins to measure
        # Number of texts, and a function that makes the event in the writing thread, so that the caller does not wait.
        self._queue: queue.SimpleQueue[tuple[int, Callable[[], Event]]] = queue.SimpleQueue()
        self._unwritten: list[tuple[int, Event]] = []  # taken from the queue
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="prediction log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Texts that wait to be written."""
        return self._queued_texts - self._finished_texts

    # ------------------------------------------------------------ recording

    def record_measured(self, texts: Sequence[Any], measured: Measured, source: str) -> None:
        """Record what ``predict_measured`` returned for ``texts``, without waiting.

        ``source`` is the kind of caller, one of a handful of words, never a user. The predictions must not be changed
        in place afterwards, because they are read later, when they are written.
        """
        now, stream, batch = time.time(), self._stream(source), tuple(texts)

        def make() -> Answered:
            columns = counted_columns(batch, measured.predictions, measured.unk_rates, measured.no_emotion)
            seconds = {stage: float(value) for stage, value in measured.seconds.items() if 0 <= value < math.inf}
            return Answered(now, stream, seconds, columns)

        self._put(len(batch), make)

    @contextmanager
    def recording_errors(self, source: str) -> Iterator[None]:
        """Record and re-raise any exception of the block, except of input that cannot be used, which it may quote."""
        try:
            yield
        except (DataError, UsageError):
            raise
        except Exception as error:
            self.record_error(error, source)
            raise

    def record_error(self, error: BaseException, source: str) -> None:
        """Record a failed call: the class name of the error, and the first line of its message."""
        line = well_formed(first_line(error)[:LONGEST_MESSAGE])
        event = Failed(time.time(), self._stream(source), type(error).__name__, line)
        self._put(1, lambda: event)

    def correct(
        self,
        text: str,
        prediction: Mapping[str, Any],
        *,
        is_correct: bool,
        product: str | None = None,
        emotion: str | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> Corrected:
        """Write a user's judgement of a prediction, with the text and the labels that the user named, if any.

        With ``start`` and ``end``, it is about the mention at these characters of the text as a model reads it. It
        replaces the last correction of the same model, version, text and start, and for a mention of the same product.
        Returns what :meth:`take_back` needs. Raises :class:`DataError` or :class:`OutputError` if it cannot be written.
        """
        predicted: dict[str, Any] = {name: label_or_none(prediction.get(name)) for name in LABEL_COLUMNS}
        predicted |= {name: number_or_none(prediction.get(name)) for name in CONFIDENCE_COLUMNS}
        user_labels = label_or_none(product), label_or_none(emotion), start, end
        verdict = bool(is_correct)  # SQLite does not take numpy's
        read = model_input(text).decode()
        correction = Corrected(time.time(), self._stream("app"), read, predicted, verdict, *user_labels)
        named = product if start is not None else None  # another mention may begin at the same character
        earlier = replace(correction, time=math.inf, is_correct=None, product=named)
        self._store.write([earlier, correction])  # both, or none
        self._notify(correction)
        return correction

    def take_back(self, correction: Corrected) -> None:
        """Remove what :meth:`correct` wrote, unless a later correction has replaced it."""
        taken_back = replace(correction, is_correct=None)
        self._store.write([taken_back])
        self._notify(taken_back)

    def _stream(self, source: str) -> Stream:
        return Stream(self.model, self.version, source)

    def _put(self, texts: int, make: Callable[[], Event]) -> None:
        """Queue an event, or drop it because too many texts wait or the recorder is closed."""
        texts = max(texts, 1)
        with self._lock:
            waiting = self.waiting
            # A call larger than the whole capacity is still accepted if nothing else waits.
            if self._is_closed or (waiting and waiting + texts > CAPACITY):
                self.dropped += texts
                return
            self._queued_texts += texts
            self._queue.put((texts, make))  # with the lock held, so that nothing is queued after the end

    # ------------------------------------------------------------ the end

    def flush(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Wait at most ``timeout`` seconds until all records so far are written; returns whether they are.

        Records that could not be kept are counted in :attr:`dropped`.
        """
        queued, deadline = self._queued_texts, time.monotonic() + timeout
        while self._finished_texts < queued and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        return self._finished_texts >= queued

    def close(self) -> None:
        """Write what is left and stop. Later records are dropped and counted. May be called again."""
        atexit.unregister(self.close)
        with self._lock:
            self._is_closed = True
        self._thread.join(CLOSE_SECONDS)
        self._store.release()
        if self.waiting:
            reason = self.failure or "another program is writing to it"
            logger.error("%d predictions could not be written to %s: %s", self.waiting, self.path, reason)

    # ------------------------------------------------------------ the thread

    def _work(self) -> None:
        next_sample = next_prune = time.monotonic() + INTERVAL
        counts: Counts = {}  # of the machine, not written yet
        is_last = False
        while not is_last:
            # Sleep even if nothing comes: waking a thread that waits for the first text would cost the caller more than
            # the rest of the recording.
            time.sleep(RETRY_SECONDS if self.failure and not self._is_closed else INTERVAL)
            is_last = self._is_closed  # read before the rest is collected: nothing comes later
            self._collect()
            if time.monotonic() >= next_sample:
                next_sample = time.monotonic() + SAMPLE_SECONDS
                with suppress(OSError):  # such as too many open files: the log goes on without the sample
                    counts = self._sample()
            try:
                self._write(counts)
                counts = {}
                if time.monotonic() >= next_prune and not is_last:
                    next_prune = time.monotonic() + PRUNE_SECONDS
                    self._store.prune()
            except Exception as error:  # such as a lock or a full disk: it may pass, and meanwhile the texts wait
                self._fail(error)

    def _sample(self) -> Counts:
        """The mean number of cores in use since the last sample, and the memory in use."""
        cores, memory = self._process.cpu_percent() / 100, float(self._process.memory_info().rss)
        return {(CPU, ""): (1, cores), (MEMORY, ""): (1, memory)}

    def _collect(self) -> None:
        """Make events of what is on the queue, in order."""
        for _ in range(self._queue.qsize()):
            texts, make = self._queue.get_nowait()
            try:
                event = make()
            except Exception as error:
                self._fail(error)
                with self._lock:
                    self.dropped += texts
                self._finished_texts += texts
                continue
            self._unwritten.append((texts, event))
            self._notify(event)

    def _write(self, counts: Counts) -> None:
        newly_dropped = self.dropped - self._dropped_written
        if newly_dropped:
            counts = counts | {(DROPPED, ""): (newly_dropped, 0.0)}
        samples = [(time.time(), self._stream(PROCESS), counts)] if counts else []
        if self._unwritten or samples:
            self._store.write([event for _, event in self._unwritten], samples)
        self.failure = None
        self._dropped_written += newly_dropped
        self._finished_texts += sum(texts for texts, _ in self._unwritten)
        self._unwritten = []

    def _notify(self, event: Event) -> None:
        for observer in list(self.observers):
            try:
                observer(event)
            except Exception:
                logger.exception("an observer of the prediction log failed")

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            logger.error("predictions cannot be recorded: %s", first_line(error))
        self.failure = first_line(error)
