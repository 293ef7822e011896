"""The thread that writes the log: a bounded queue in front of it, one transaction for each interval behind it."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tf_model.errors import TweetTargetError, first_line
from tf_model.monitor import tally
from tf_model.monitor.events import Answered, Event, Stream
from tf_model.monitor.retention import Retention, prune_some
from tf_model.monitor.store import Store

MOST_ROWS = 1_000  # texts of one transaction, or one larger call; when there are more, the next begins at once
SAMPLE_SECONDS = 10.0  # between two looks at the processor and the memory
PRUNE_SECONDS = 60.0
RETRY_SECONDS = 1.0  # after a failed transaction
WRITTEN, WAITING, LOST = "written", "waiting", "lost"  # what became of what was put
CLOSE_SECONDS = 5.0  # that closing waits for the last transaction

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Token:
    """Asks to be told when what it came with, or everything put on the queue before it, is written."""

    done: threading.Event = field(default_factory=threading.Event)
    # Set before ``done`` where that, or something of what was written together with a token that came alone, never is.
    lost: threading.Event = field(default_factory=threading.Event)
    last: bool = False


class Writer:
    """Writes what is put, in the background. Any thread may call any method.

    Args:
        store: The log; from now on only this writer writes to it in this process.
        stream: What figures belong to that belong to no call: samples, and lost records.
        understand: Makes an event of what was put. It is called by the writing thread.
        retention: What is kept for how long.
        capacity: Texts that may wait, at least 1.
        interval: Seconds from one transaction to the next.

    Attributes:
        observers: Called with each event before it is written. What they raise is logged and goes no further.
        samplers: Asked every :data:`SAMPLE_SECONDS` for figures to keep by the minute, by name.
        failure: Why nothing can be written just now, None while all is well.
        dropped: Texts and corrections that were not written: there were too many, they came after the end, or they
            never can be.
    """

    def __init__(
        self,
        store: Store,
        stream: Stream,
        understand: Callable[[Any], Event],
        retention: Retention,
        capacity: int,
        interval: float,
    ) -> None:
        self.observers: list[Callable[[Event], None]] = []
        self.samplers: list[Callable[[], Mapping[str, float]]] = []
        self.failure: str | None = None
        self.dropped = 0
        self._dropped_written = 0
        self._given = self._done = 0  # texts
        self._unwritable = 0  # texts and corrections that can never be written
        self._store, self._stream, self._understand = store, stream, understand
        self._retention, self._capacity, self._interval = retention, capacity, interval
        # A SimpleQueue may be used by a signal handler that interrupts another use of it.
        self._queue: queue.SimpleQueue[tuple[Any, int, _Token | None]] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._lock = threading.RLock()
        self._is_closed = self._is_behind = False
        self._came_late = False  # something was put after the end
        self._thread = threading.Thread(target=self._work, name="prediction log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Texts that wait to be written."""
        return self._given - self._done

    def put(self, item: Any, texts: int) -> bool:
        """Have ``item``, which holds ``texts`` texts, written; what holds none, a correction, is taken until the end.

        Returns:
            False if it was dropped, because too many texts wait or the writer is closed.
        """
        return self._put(item, texts)

    def put_and_wait(self, item: Any, texts: int, timeout: float) -> str:
        """As :meth:`put`, and wait ``timeout`` seconds at most until it is written.

        Returns:
            :data:`WRITTEN`; :data:`WAITING`, if it may still come; :data:`LOST`, if it never will.
        """
        token = _Token()
        if not self._put(item, texts, token):
            return LOST
        if timeout:
            self._hurry.set()
        return self._wait(token, timeout)

    def _put(self, item: Any, texts: int, token: _Token | None = None) -> bool:
        with self._lock:
            waiting = self._given - self._done
            # One item that is larger than the whole capacity is still taken when nothing else waits.
            if self._is_closed or (texts and waiting and waiting + texts > self._capacity):
                self.dropped += max(texts, 1)
                self._came_late = self._is_closed
                return False
            self._given += texts
            self._queue.put((item, texts, token))  # inside, so that nothing comes behind the end
        return True

    def flush(self, timeout: float = CLOSE_SECONDS, hurry: bool = True) -> bool:
        """Wait until everything put so far is written.

        Args:
            timeout: Seconds to wait at most.
            hurry: Whether to end the interval at once. A signal handler must not: it may have interrupted somebody
                who is just doing it and holds the lock for that.

        Returns:
            Whether it is written. What is put after the end never is.
        """
        return not self._came_late and self._send(_Token(), timeout, hurry) == WRITTEN

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Write what is left, ``timeout`` seconds at most, and end; returns whether all of it is written."""
        with self._lock:
            if self._is_closed:
                return self.waiting == 0
            self._is_closed = True
        said = self._send(_Token(last=True), timeout, hurry=True)
        if said != WAITING:
            self._thread.join(timeout)
        return said == WRITTEN

    def _send(self, token: _Token, timeout: float, hurry: bool) -> str:
        if not self._thread.is_alive():
            return WRITTEN if self.waiting == 0 else LOST
        self._queue.put((None, 0, token))
        if hurry:
            self._hurry.set()
        return self._wait(token, timeout)

    def _wait(self, token: _Token, timeout: float) -> str:
        if not token.done.wait(timeout) and self._thread.is_alive():
            return WAITING
        if not token.done.is_set():  # and nobody is left to do it
            return LOST
        return LOST if token.lost.is_set() else WRITTEN

    # ------------------------------------------------------------ the thread

    def _work(self) -> None:
        next_sample = next_prune = time.monotonic() + self._interval
        try:
            while True:
                items = self._collect()
                now = time.monotonic()
                figures: tally.Counts = {}
                if now >= next_sample:
                    next_sample, figures = now + SAMPLE_SECONDS, self._sample()
                before = self._unwritable
                if not self._write(items, figures):
                    return
                tokens = [(token, item is None) for item, _, token in items if token]
                for token, came_alone in tokens:
                    if came_alone and self._unwritable > before:
                        token.lost.set()
                    token.done.set()
                if any(token.last for token, _ in tokens):
                    return
                if now >= next_prune:
                    next_prune = now + (0 if self._prune() else PRUNE_SECONDS)
        finally:
            self._store.close()

    def _collect(self) -> list[tuple[Any, int, _Token | None]]:
        """What came in one interval, in order, with who waits for it.

        The interval goes by whether something comes or not: to wake a thread that waits for the first text would cost
        the caller more than all the rest of recording it.
        """
        items: list[tuple[Any, int, _Token | None]] = []
        if not self._is_behind:
            self._hurry.wait(self._interval)
        self._hurry.clear()
        rows = 0
        self._is_behind = False
        while not self._is_behind:
            try:
                found = self._queue.get_nowait()
            except queue.Empty:
                break
            items.append(found)
            rows += found[1]
            self._is_behind = rows >= MOST_ROWS
        return items

    def _write(self, items: list[tuple[Any, int, _Token | None]], figures: tally.Counts) -> bool:
        """Write until it works; False when there is no time left for that."""
        waited = [(event, token) for *put, token in items if (event := self._event(*put, token))]
        events = [event for event, _ in waited]
        for event in events:
            self._tell(event)
        lost = self.dropped - self._dropped_written
        if lost:
            tally.add(figures, tally.DROPPED, "", count=lost)
        try:
            if (events or figures) and not self._insist(events, figures):
                return False
            self._dropped_written += lost
        except Exception as error:  # one of these events can never be written
            self._fail(error)
            if not self._write_one_by_one(waited):
                return False
        self._done += sum(texts for _, texts, _ in items)
        return True

    def _insist(self, events: list[Event], figures: tally.Counts) -> bool:
        """Write until it works; False when there is no time left for that. Raises what trying again cannot mend."""
        more = [(time.time(), self._stream, figures)] if figures else []
        while True:
            try:
                self._store.write(events, more)
                self.failure = None
                return True
            except (sqlite3.OperationalError, TweetTargetError, OSError) as error:
                # Locked, or the disk is full: that may pass. Meanwhile texts wait, and are dropped when too many do.
                self._fail(error)
                if self._is_closed:
                    return False
                time.sleep(RETRY_SECONDS)

    def _write_one_by_one(self, waited: list[tuple[Event, _Token | None]]) -> bool:
        """So that what cannot be written takes nothing else with it; False when there is no time left."""
        for event, token in waited:
            try:
                if not self._insist([event], {}):
                    return False
            except Exception as error:
                self._fail(error)
                self._give_up(event.rows if isinstance(event, Answered) else 1, token)
            if token:
                token.done.set()
        return True

    def _event(self, item: Any, texts: int, token: _Token | None) -> Event | None:
        """What was put, understood; None for a token that came alone, or if it cannot be."""
        if item is None:
            return None
        try:
            return self._understand(item)
        except Exception as error:
            self._fail(error)
            self._give_up(max(texts, 1), token)
            return None

    def _give_up(self, count: int, token: _Token | None) -> None:
        self._unwritable += count
        if token:
            token.lost.set()
        with self._lock:
            self.dropped += count

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            logger.error("cannot write to the prediction log %s: %s", self._store.path, first_line(error))
        self.failure = first_line(error)

    def _tell(self, event: Event) -> None:
        for observer in list(self.observers):
            try:
                observer(event)
            except Exception:
                logger.exception("an observer of the prediction log failed")

    def _sample(self) -> tally.Counts:
        figures: tally.Counts = {}
        for sampler in list(self.samplers):
            try:
                for name, value in sampler().items():
                    tally.add(figures, name, "", value)
            except Exception:
                logger.exception("a figure of this process could not be had")
        return figures

    def _prune(self) -> int:
        try:
            return prune_some(self._store, self._retention)
        except (sqlite3.Error, TweetTargetError) as error:
            self._fail(error)
            return 0
