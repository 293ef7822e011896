"""Record every prediction, error and correction without making anybody wait for the disk.

Events are put on a queue. One thread makes rows of them and commits them within :data:`INTERVAL` seconds, so a process
that is killed loses no more than that. A process that exits normally loses nothing.
"""

import atexit
import hashlib
import logging
import math
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_model.errors import TweetTargetError, first_line
from tf_model.inference.predictor import Measured, model_input
from tf_model.io.characters import well_formed
from tf_model.monitor import resources
from tf_model.monitor.aggregates import DROPPED, Counts
from tf_model.monitor.events import (
    CONFIDENCE_COLUMNS,
    LABEL_COLUMNS,
    PROCESS,
    Answered,
    Corrected,
    Event,
    Failed,
    Stream,
    columns_of,
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
WRITTEN, WAITING, LOST = "written", "waiting", "lost"  # what became of a correction

logger = logging.getLogger(__name__)


@dataclass
class _Item:
    """Something on the queue."""

    make: Callable[[], Event | None]  # makes the event in the writing thread, so that the caller does not wait
    texts: int = 0  # the number of texts in it
    done: Future[bool] | None = None  # True once it is written, False if it never will be
    event: Event | None = None


class Recorder(AbstractContextManager["Recorder"]):
    """Records a model's answers in the background. Any thread may call any method; several processes may write to one
    log. Construction raises :class:`DataError` if the file is not a prediction log, and :class:`OutputError` if the
    file cannot be created.

    Attributes:
        path: The log; :data:`tf_model.paths.MONITOR_LOG` if none is given.
        observers: Called with each :data:`~tf_model.monitor.events.Event` in the writing thread, before it is written.
            Their exceptions are logged and not passed on.
        failure: Why nothing can be written at the moment; None while all is well.
        dropped: The number of texts, errors and corrections that were not kept: they came too fast, came after
            :meth:`close`, or can never be written.
    """

    def __init__(self, path: Path | str | None = None, *, model: str, version: str) -> None:
        self.model, self.version = model, version
        self._store = Store(path)
        self._store.open()
        self.path = self._store.path
        self._salt = self._store.salt()
        self.observers: list[Callable[[Event], None]] = []
        self.failure: str | None = None
        self.dropped = self._dropped_written = 0
        self._queued_texts = self._finished_texts = 0  # texts
        self._sample = resources.sampler()
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
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
        self._put(_Item(lambda: self._answered(now, stream, batch, measured), len(batch)))

    @contextmanager
    def recording_errors(self, source: str) -> Iterator[None]:
        """Record and re-raise any exception of the block."""
        try:
            yield
        except Exception as error:
            self.record_error(type(error).__name__, str(error), source)
            raise

    def record_error(self, kind: str, message: str, source: str) -> None:
        """Record a failed call: the class name of the error, and the first line of its message."""
        line = well_formed((message.strip() or kind).splitlines()[0][:LONGEST_MESSAGE])
        event = Failed(time.time(), self._stream(source), kind, line)
        self._put(_Item(lambda: event, 1))

    def correct(
        self,
        text: str,
        prediction: Mapping[str, Any],
        *,
        is_correct: bool | None,
        product: str | None = None,
        emotion: str | None = None,
        start: int | None = None,
        end: int | None = None,
        timeout: float = 0,
    ) -> str:
        """Record a user's judgement of a prediction, with the text and the labels that the user named, if any.

        With ``start`` and ``end``, it is about the mention at these characters of the text as a model reads it. If
        ``is_correct`` is None, the last correction of the same model, version, text, start and, if named, product is
        taken back.
        Corrections are dropped only after :meth:`close`, however many texts wait. Returns :data:`WRITTEN`;
        :data:`WAITING` if writing takes longer than ``timeout`` seconds; or :data:`LOST` if it failed for good.
        """
        predicted: dict[str, Any] = {name: label_or_none(prediction.get(name)) for name in LABEL_COLUMNS}
        predicted |= {name: number_or_none(prediction.get(name)) for name in CONFIDENCE_COLUMNS}
        raw = model_input(text)
        user_labels = label_or_none(product), label_or_none(emotion), start, end
        verdict = None if is_correct is None else bool(is_correct)  # SQLite does not take numpy's
        correction = Corrected(
            time.time(), self._stream("app"), raw.decode(), self._hash(raw), predicted, verdict, *user_labels
        )
        item = _Item(lambda: correction, done=Future())
        return self._wait(item, timeout) if self._put(item) else LOST

    def _stream(self, source: str) -> Stream:
        return Stream(self.model, self.version, source)

    def _answered(self, now: float, stream: Stream, texts: tuple[Any, ...], measured: Measured) -> Answered:
        no_emotion = measured.no_emotion
        columns = columns_of(texts, measured.predictions, measured.unknown_shares, no_emotion)
        seconds = {stage: float(value) for stage, value in measured.seconds.items() if 0 <= value < math.inf}
        return Answered(now, stream, seconds, columns, [self._hash(model_input(text)) for text in texts], no_emotion)

    def _hash(self, text: bytes) -> int:
        digest = hashlib.blake2b(text, digest_size=8, key=self._salt).digest()
        return int.from_bytes(digest, "little", signed=True)

    def _put(self, item: _Item) -> bool:
        """Queue an item; False if it was dropped because too many texts wait or the recorder is closed."""
        with self._lock:
            waiting = self.waiting
            # A call larger than the whole capacity is still accepted if nothing else waits.
            if self._is_closed or (item.texts and waiting and waiting + item.texts > CAPACITY):
                self.dropped += max(item.texts, 1)
                return False
            self._queued_texts += item.texts
            self._queue.put(item)  # with the lock held, so that nothing is queued after the end
        return True

    def _wait(self, item: _Item, timeout: float) -> str:
        try:
            return WRITTEN if item.done.result(timeout) else LOST
        except TimeoutError:
            return WAITING if self._thread.is_alive() else LOST

    # ------------------------------------------------------------ the end

    def flush(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Wait at most ``timeout`` seconds until all records so far are written; returns whether they are.

        Records that could not be kept are counted in :attr:`dropped`.
        """
        if self._is_closed:
            return not self.waiting
        item = _Item(lambda: None, done=Future())
        return self._put(item) and self._wait(item, timeout) == WRITTEN

    def close(self) -> None:
        """Write what is left and stop. Later records are dropped and counted. May be called again."""
        atexit.unregister(self.close)
        with self._lock:
            self._is_closed = True
        self._thread.join(CLOSE_SECONDS)
        if self.waiting:
            reason = self.failure or "another program is writing to it"
            logger.error("%d predictions could not be written to %s: %s", self.waiting, self.path, reason)

    # ------------------------------------------------------------ the thread

    def _work(self) -> None:
        next_sample = next_prune = time.monotonic() + INTERVAL
        is_last = False
        while not is_last:
            # Sleep even if nothing comes: waking a thread that waits for the first text would cost the caller more than
            # the rest of the recording.
            time.sleep(INTERVAL)
            is_last = self._is_closed  # read before the rest is collected: nothing comes later
            items = self._collect()
            counts: Counts = {}
            if time.monotonic() >= next_sample:
                next_sample = time.monotonic() + SAMPLE_SECONDS
                with suppress(OSError):  # such as too many open files: the log goes on without the sample
                    counts = {(name, ""): (1, value) for name, value in self._sample().items()}
            is_last |= not self._write(items, counts)
            if time.monotonic() >= next_prune and not is_last:
                next_prune = time.monotonic() + (0 if self._prune() else PRUNE_SECONDS)
        self._store.close()

    def _collect(self) -> list[_Item]:
        """The items of one interval, in order, with their events."""
        items: list[_Item] = []
        for _ in range(self._queue.qsize()):
            item = self._queue.get_nowait()
            try:
                item.event = item.make()
            except Exception as error:
                self._give_up(item, error)
                continue
            items.append(item)
            for observer in list(self.observers) if item.event else ():
                try:
                    observer(item.event)
                except Exception:
                    logger.exception("an observer of the prediction log failed")
        return items

    def _write(self, items: list[_Item], counts: Counts) -> bool:
        """Retry until the items are written, one by one if an item never can be; False if closing leaves no time."""
        newly_dropped = self.dropped - self._dropped_written
        if newly_dropped:
            counts[DROPPED, ""] = (newly_dropped, 0.0)
        events = [item.event for item in items if item.event]
        samples = [(time.time(), self._stream(PROCESS), counts)] if counts else []
        while events or samples:
            try:
                self._store.write(events, samples)
                self.failure = None
                self._dropped_written += newly_dropped
                break
            except (sqlite3.OperationalError, TweetTargetError, OSError) as error:
                # Locked, or the disk is full: this may pass. Meanwhile texts wait, and are dropped if too many wait.
                self._fail(error)
                if self._is_closed:
                    return False
                time.sleep(RETRY_SECONDS)
            except Exception as error:
                if len(items) > 1:  # so that an item that cannot be written loses no other
                    return all(self._write([item], {}) for item in items)
                for item in items:
                    self._give_up(item, error)
                return True
        for item in items:
            self._finish(item, True)
        return True

    def _give_up(self, item: _Item, error: Exception) -> None:
        self._fail(error)
        with self._lock:
            self.dropped += max(item.texts, 1)
        self._finish(item, False)

    def _finish(self, item: _Item, written: bool) -> None:
        self._finished_texts += item.texts
        if item.done:
            item.done.set_result(written)

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            logger.error("cannot write to the prediction log %s: %s", self.path, first_line(error))
        self.failure = first_line(error)

    def _prune(self) -> int:
        try:
            return self._store.prune()
        except (sqlite3.Error, TweetTargetError) as error:
            self._fail(error)
            return 0
