"""Record every prediction, error and correction without making anybody wait for the disk.

What happened is put on a queue. One thread works out the rows and commits them, :data:`INTERVAL` seconds later at most:
a process that is killed loses no more than that. A process that ends in order loses nothing.
"""

from __future__ import annotations

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
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tf_model.errors import TweetTargetError, first_line
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
    label,
    number,
)
from tf_model.monitor.store import Retention, Store

if TYPE_CHECKING:
    import pandas

    from tf_model.inference.predictor import Measured, Predictor

INTERVAL = 0.05  # seconds between two commits; with the commit itself a record is safe well within 0.2
CAPACITY = 100_000  # texts that wait to be written; what comes when there are more is dropped, and counted
MOST_ROWS = 1_000  # texts of one transaction, or one larger call; when there are more, the next begins at once
SAMPLE_SECONDS = 10.0  # between two looks at the processor and the memory
PRUNE_SECONDS = 60.0
RETRY_SECONDS = 1.0  # after a failed transaction
CLOSE_SECONDS = 5.0  # that closing waits for the last transaction
LONGEST_MESSAGE = 300  # characters of an error's message
WRITTEN, WAITING, LOST = "written", "waiting", "lost"  # what became of a correction

logger = logging.getLogger(__name__)


class _Item(NamedTuple):
    """Something on the queue.

    Attributes:
        make: Works out what to write, in the thread that writes, so that the caller does not wait; None: nothing.
        texts: How many texts wait with it.
        done: Resolved once it is written (True) or never will be (False); None: nobody asks.
        last: Whether the thread ends after it.
    """

    make: Callable[[], Event] | None
    texts: int = 0
    done: Future[bool] | None = None
    last: bool = False


class Recorder:
    """Records what a model answers, in the background. Any thread may call any method.

    Args:
        path: The log; None: :data:`tf_model.paths.MONITOR_LOG`. Several processes may write to it.
        model: Name of the model, as its folder is called.
        version: Which training of it.
        capacity: Texts that may wait to be written, at least 1.
        interval: Seconds between two commits.

    Attributes:
        path: The log.
        observers: Called with each :data:`~tf_model.monitor.events.Event`, by the thread that writes, before it is
            written. What they raise is logged and goes no further.
        failure: Why nothing can be written just now, None while all is well.
        dropped: Texts, errors and corrections that were not kept: they came too fast or after the end, or never can be
            written.

    Raises:
        DataError: The file is no prediction log.
        OutputError: It cannot be made.
    """

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        model: str,
        version: str,
        capacity: int = CAPACITY,
        interval: float = INTERVAL,
    ) -> None:
        # Now, so that the first record does not wait in the queue for it.
        from tf_model.inference import predictor  # noqa: F401

        self.model, self.version = model, version
        self._store = Store(path)
        self._store.open()
        self.path = self._store.path
        self._salt = self._store.salt()
        self._capacity, self._interval = capacity, interval
        self.observers: list[Callable[[Event], None]] = []
        self.failure: str | None = None
        self.dropped = self._dropped_written = 0
        self._given = self._done = 0  # texts
        self._sample = resources.sampler()
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="prediction log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Texts that wait to be written."""
        return self._given - self._done

    # ------------------------------------------------------------ recording

    def predict(
        self, predictor: Predictor, texts: Sequence[Any], source: str = "python", **options: Any
    ) -> pandas.DataFrame:
        """Score texts and record it; if that fails, record the error and raise it.

        Args:
            predictor: The model.
            texts: See :meth:`~tf_model.inference.predictor.Predictor.predict_measured`.
            source: Who asks: ``"app"``, ``"batch"``, ``"predict"``, ... A handful of words, never a user.
            options: Further arguments of that method.

        Returns:
            Its predictions, with every column that the model has.
        """
        with self.recording_errors(source):
            measured = predictor.predict_measured(texts, **options)
        self.record_measured(texts, measured, source)
        return measured.predictions.copy(deep=False)  # theirs to change

    def record_measured(self, texts: Sequence[Any], measured: Measured, source: str) -> None:
        """Record what ``predict_measured`` gave for ``texts``; returns at once.

        The predictions must not be changed in place afterwards: they are read only when they are written.
        """
        now, stream, given = time.time(), self._stream(source), tuple(texts)
        self._put(_Item(lambda: self._answered(now, stream, given, measured), len(given)))

    @contextmanager
    def recording_errors(self, source: str) -> Iterator[None]:
        """A block in which a call is made: what it raises is recorded, and goes on."""
        try:
            yield
        except Exception as error:
            self.record_error(type(error).__name__, str(error), source)
            raise

    def record_error(self, kind: str, message: str, source: str) -> None:
        """Record a call that failed: the name of the error's class, and the first line of its message."""
        line = (message.strip() or kind).splitlines()[0][:LONGEST_MESSAGE]
        failed = Failed(time.time(), self._stream(source), kind, line)
        self._put(_Item(lambda: failed, 1))

    def correct(
        self,
        text: str,
        prediction: Mapping[str, Any],
        *,
        is_correct: bool,
        product: str | None = None,
        emotion: str | None = None,
        source: str = "app",
        timeout: float = 0,
    ) -> str:
        """Record what a user thinks of a prediction. It is dropped only after :meth:`close`, however many texts wait.

        Args:
            text: The text. It is kept.
            prediction: What the model answered: a row of predictions.
            is_correct: Whether the user agrees.
            product: According to the user, None if that was not told, or there is none.
            emotion: According to the user, None if that was not told.
            source: See :meth:`predict`.
            timeout: Seconds to wait at most until it is written.

        Returns:
            :data:`WRITTEN`; :data:`WAITING`, if it may still come; :data:`LOST`, if it never will.
        """
        from tf_model.inference.predictor import model_input

        answered: dict[str, Any] = {name: label(prediction.get(name)) for name in LABEL_COLUMNS}
        answered |= {name: number(prediction.get(name)) for name in CONFIDENCE_COLUMNS}
        read = model_input(text)
        named = label(product), label(emotion)
        correction = Corrected(
            time.time(), self._stream(source), read.decode(), self._hash(read), answered, bool(is_correct), *named
        )
        item = _Item(lambda: correction, done=Future())
        return self._wait(item, timeout) if self._put(item) else LOST

    def _stream(self, source: str) -> Stream:
        return Stream(self.model, self.version, source)

    def _put(self, item: _Item) -> bool:
        """Have something written; False if it was dropped, because too many texts wait or the recorder is closed."""
        with self._lock:
            waiting = self.waiting
            # One call that is larger than the whole capacity is still taken when nothing else waits.
            if self._is_closed or (item.texts and waiting and waiting + item.texts > self._capacity):
                self.dropped += max(item.texts, 1)
                return False
            self._given += item.texts
            self._queue.put(item)  # inside, so that nothing comes behind the end
        return True

    def _wait(self, item: _Item, timeout: float) -> str:
        try:
            return WRITTEN if item.done.result(timeout) else LOST
        except FutureTimeoutError:
            return WAITING if self._thread.is_alive() else LOST

    # ------------------------------------------------------------ the end

    def flush(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Wait until nothing that was recorded so far waits any more, ``timeout`` seconds at most.

        Returns:
            Whether that is so. What could not be kept is counted in :attr:`dropped`.
        """
        if not self._thread.is_alive():
            return not self.waiting
        item = _Item(None, done=Future())
        self._queue.put(item)
        return self._wait(item, timeout) == WRITTEN

    def close(self) -> None:
        """Write what is left and stop. What is recorded later is dropped, and counted. May be called again."""
        atexit.unregister(self.close)
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._queue.put(_Item(None, last=True))
        self._thread.join(CLOSE_SECONDS)
        if self.waiting:
            logger.error("%d predictions could not be written to %s: %s", self.waiting, self.path, self.failure)

    # ------------------------------------------------------------ the thread

    def _work(self) -> None:
        next_sample = next_prune = time.monotonic() + self._interval
        is_behind = False
        try:
            while True:
                if not is_behind:
                    # The interval goes by whether something comes or not: to wake a thread that waits for the first
                    # text would cost the caller more than all the rest of recording it.
                    time.sleep(self._interval)
                items = self._collect()
                is_behind = sum(item.texts for item in items) >= MOST_ROWS
                now, counts = time.monotonic(), {}
                if now >= next_sample:
                    next_sample = now + SAMPLE_SECONDS
                    counts = {(name, ""): (1, value) for name, value in self._sample().items()}
                if not self._write(items, counts) or any(item.last for item in items):
                    return
                if now >= next_prune:
                    next_prune = now + (0 if self._prune() else PRUNE_SECONDS)
        finally:
            self._store.close()

    def _collect(self) -> list[_Item]:
        """What came in one interval, in order."""
        items: list[_Item] = []
        texts = 0
        while texts < MOST_ROWS and not self._queue.empty():
            items.append(self._queue.get_nowait())
            texts += items[-1].texts
        return items

    def _write(self, items: list[_Item], counts: Counts) -> bool:
        """Write until it works; False when there is no time left for that."""
        understood: list[tuple[_Item, Event | None]] = []
        for item in items:
            try:
                event = item.make() if item.make else None
            except Exception as error:
                self._give_up(item, error)
            else:
                understood.append((item, event))
                self._notify(event)
        lost = self.dropped - self._dropped_written
        if lost:
            counts[DROPPED, ""] = (lost, 0.0)
        return self._commit(understood, counts)

    def _commit(self, understood: list[tuple[_Item, Event | None]], counts: Counts) -> bool:
        """Write until it works, one by one where something never will; False when there is no time left for that."""
        events = [event for _, event in understood if event]
        more = [(time.time(), self._stream(PROCESS), counts)] if counts else []
        while events or more:
            try:
                self._store.write(events, more)
                self.failure = None
                self._dropped_written += counts.get((DROPPED, ""), (0, 0.0))[0]
                break
            except (sqlite3.OperationalError, TweetTargetError, OSError) as error:
                # Locked, or the disk is full: that may pass. Meanwhile texts wait, and are dropped when too many do.
                self._fail(error)
                if self._is_closed:
                    return False
                time.sleep(RETRY_SECONDS)
            except Exception as error:
                if len(understood) > 1:  # so that what cannot be written takes nothing else with it
                    return all(self._commit([pair], {}) for pair in understood)
                for item, _ in understood:
                    self._give_up(item, error)
                return True
        for item, _ in understood:
            self._finish(item, True)
        return True

    def _answered(self, now: float, stream: Stream, texts: tuple[Any, ...], measured: Measured) -> Answered:
        from tf_model.inference.predictor import model_input

        columns = columns_of(texts, measured.predictions, measured.unknown_shares)
        seconds = {stage: float(value) for stage, value in measured.seconds.items() if 0 <= value < math.inf}
        return Answered(now, stream, seconds, columns, [self._hash(model_input(text)) for text in texts])

    def _hash(self, text: bytes) -> int:
        digest = hashlib.blake2b(text, digest_size=8, key=self._salt).digest()
        return int.from_bytes(digest, "little", signed=True)

    def _give_up(self, item: _Item, error: Exception) -> None:
        self._fail(error)
        with self._lock:
            self.dropped += max(item.texts, 1)
        self._finish(item, False)

    def _finish(self, item: _Item, written: bool) -> None:
        self._done += item.texts
        if item.done:
            item.done.set_result(written)

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            logger.error("cannot write to the prediction log %s: %s", self.path, first_line(error))
        self.failure = first_line(error)

    def _notify(self, event: Event | None) -> None:
        for observer in list(self.observers) if event else ():
            try:
                observer(event)
            except Exception:
                logger.exception("an observer of the prediction log failed")

    def _prune(self) -> int:
        try:
            return self._store.prune(Retention())
        except (sqlite3.Error, TweetTargetError) as error:
            self._fail(error)
            return 0
