"""Record every prediction, error and correction without making anybody wait for the disk.

A call of :meth:`Recorder.record` puts what happened on a queue and returns. One thread works out the rows and commits
them, :data:`INTERVAL` seconds later at most: a process that is killed loses no more than that. A process that ends, or
is told to end by SIGTERM, loses nothing.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tf_model.errors import UsageError
from tf_model.monitor import resources, schema
from tf_model.monitor.events import (
    CONFIDENCE_COLUMNS,
    LABEL_COLUMNS,
    PROCESS,
    STAGES,
    VERDICTS,
    Answered,
    Corrected,
    Event,
    Failed,
    Stream,
)
from tf_model.monitor.retention import Retention
from tf_model.monitor.rows import columns_of, label, number
from tf_model.monitor.store import Store
from tf_model.monitor.writer import CLOSE_SECONDS, Writer

if TYPE_CHECKING:
    import pandas

    from tf_model.inference.predictor import Measured, Predictor

INTERVAL = 0.05  # seconds between two commits; with the commit itself a record is safe well within 0.2
CAPACITY = 100_000  # texts that wait to be written; what comes when there are more is dropped, and counted
LONGEST_MESSAGE = 300  # characters of an error's message
_STAGES = frozenset(STAGES)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Call:
    """A call as it was recorded, before anything was worked out."""

    time: float
    stream: Stream
    texts: tuple[Any, ...]
    predictions: pandas.DataFrame
    seconds: Mapping[str, float]
    unknown_shares: tuple[float | None, ...] | None


class Recorder:
    """Records what a model answers, in the background. Any thread may call any method.

    Args:
        path: The log; None: :data:`tf_model.paths.MONITOR_LOG`. Several processes may write to it.
        model: Name of the model, as its folder is called.
        version: Which training of it.
        keep_texts: Whether to keep the texts, and not only salted hashes of them. A corrected text is always kept.
        retention: What is kept for how long; None: the defaults of
            :class:`~tf_model.monitor.retention.Retention`.
        capacity: Texts that may wait to be written, at least 1.
        interval: Seconds between two commits.

    Attributes:
        path: The log.
        observers: Called with each :class:`~tf_model.monitor.events.Event`, by the thread that writes, before it is
            written. What they raise is logged and goes no further.
        samplers: Asked every ten seconds for figures to keep, by name; at first those of this process and of the GPUs.

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
        keep_texts: bool = False,
        retention: Retention | None = None,
        capacity: int = CAPACITY,
        interval: float = INTERVAL,
    ) -> None:
        # Now, so that the first record does not wait in the queue for it.
        from tf_model.inference import predictor  # noqa: F401

        if capacity < 1:
            raise UsageError(f"expected room for at least 1 text, got {capacity}")
        self.model, self.version, self.keep_texts = model, version, keep_texts
        store = Store(path)
        store.open()
        self.path = store.path
        self._salt = schema.salt(store.path)
        kept = retention or Retention()
        self._writer = Writer(store, self._stream(PROCESS), self._understand, kept, capacity, interval)
        self.observers, self.samplers = self._writer.observers, self._writer.samplers
        self.samplers += resources.samplers()
        atexit.register(self.close)
        self._before: Any = None
        self._catch_sigterm()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def dropped(self) -> int:
        """Texts and corrections that were not kept: they came too fast or after the end, or never can be written."""
        return self._writer.dropped

    @property
    def waiting(self) -> int:
        """Texts that wait to be written."""
        return self._writer.waiting

    @property
    def failure(self) -> str | None:
        """Why nothing can be written just now, None while all is well."""
        return self._writer.failure

    # ------------------------------------------------------------ recording

    def predict(
        self, predictor: Predictor, texts: Sequence[Any], source: str = "python", **options: Any
    ) -> pandas.DataFrame:
        """Score texts and record it; if that fails, record the error and raise it.

        Args:
            predictor: The model.
            texts: See :meth:`~tf_model.inference.predictor.Predictor.predict`.
            source: See :meth:`record`.
            options: Further arguments of :meth:`~tf_model.inference.predictor.Predictor.predict`, but for ``guesses``.

        Returns:
            What that function gives, with the guesses of a model that answers.
        """

        with self.recording_errors(source):
            measured = predictor.predict_measured(texts, **options)
        self.record_measured(texts, measured, source)
        return measured.predictions.copy(deep=False)  # theirs to change

    def record_measured(self, texts: Sequence[Any], measured: Measured, source: str) -> None:
        """Record what ``predict_measured`` gave for ``texts``; see ``record``.

        The predictions must not be changed in place afterwards: they are read only when they are written.
        """
        self._put(texts, measured.predictions, measured.seconds, source, measured.unknown_shares)

    @contextmanager
    def recording_errors(self, source: str) -> Iterator[None]:
        """A block in which a call is made: what it raises is recorded, and goes on."""
        try:
            yield
        except Exception as error:
            self.record_error(type(error).__name__, str(error), source)
            raise

    def record(
        self,
        texts: Sequence[Any],
        predictions: pandas.DataFrame,
        seconds: Mapping[str, float],
        source: str,
        *,
        unknown_shares: Sequence[float | None] | None = None,
    ) -> None:
        """Record one call for predictions; returns at once.

        Args:
            texts: The N texts.
            predictions: N rows as ``predict`` gives them; further columns are ignored.
            seconds: How long the call took, by stage, keys among ``"tokenize"``, ``"model"`` and ``"rest"``.
            source: Who asked: ``"app"``, ``"batch"``, ``"predict"``, ... A handful of words, never a user.
            unknown_shares: For each text the share of its tokens that the vocabulary does not know, 0 to 1.

        Raises:
            ValueError: The lengths differ, or ``seconds`` has another key.
        """
        if len(texts) != len(predictions):
            raise ValueError(f"expected a prediction for each of {len(texts)} texts, got {len(predictions)}")
        if unknown_shares is not None and len(unknown_shares) != len(texts):
            raise ValueError(f"expected a share for each of {len(texts)} texts, got {len(unknown_shares)}")
        if not seconds.keys() <= _STAGES:
            raise ValueError(f"expected seconds of {', '.join(STAGES)}, got {', '.join(seconds)}")
        # The copy shares the values with the original until either is changed.
        self._put(texts, predictions.copy(deep=False), dict(seconds), source, unknown_shares)

    def _put(
        self,
        texts: Sequence[Any],
        predictions: pandas.DataFrame,
        seconds: Mapping[str, float],
        source: str,
        unknown_shares: Sequence[float | None] | None,
    ) -> None:
        shares = None if unknown_shares is None else tuple(unknown_shares)
        call = _Call(time.time(), self._stream(source), tuple(texts), predictions, seconds, shares)
        self._writer.put(call, len(texts))

    def record_error(self, kind: str, message: str, source: str) -> None:
        """Record a call that failed.

        Args:
            kind: Name of the error's class, or another word from a short list.
            message: What it says; the first line of it is kept.
            source: See :meth:`record`.
        """
        line = (message.strip() or kind).splitlines()[0][:LONGEST_MESSAGE]
        self._writer.put(Failed(time.time(), self._stream(source), kind, line), 1)

    def correct(
        self,
        text: str,
        prediction: Mapping[str, Any],
        *,
        verdict: str,
        product: str | None = None,
        emotion: str | None = None,
        source: str = "app",
        timeout: float = 0,
    ) -> str:
        """Record what a user said of a prediction.

        Corrections are dropped only after :meth:`close`, however many texts wait.

        Args:
            text: The text. It is kept.
            prediction: What the model had said: a row of predictions.
            verdict: ``"right"`` or ``"wrong"``.
            product: What the text is about according to the user, None if that was not said, or about none.
            emotion: The emotion according to the user, None if that was not said.
            source: See :meth:`record`.
            timeout: Seconds to wait at most until it is written.

        Returns:
            ``"written"``; ``"waiting"``, if it may still come; ``"lost"``, if it never will.

        Raises:
            UsageError: Another verdict.
        """
        from tf_model.inference.predictor import model_input

        if verdict not in VERDICTS:
            raise UsageError(f"expected one of {', '.join(VERDICTS)} as verdict, got {verdict!r}")
        said: dict[str, Any] = {name: label(prediction.get(name)) for name in LABEL_COLUMNS}
        said |= {name: number(prediction.get(name)) for name in CONFIDENCE_COLUMNS}
        read = model_input(text)
        stream, known = self._stream(source), (label(product), label(emotion))
        correction = Corrected(time.time(), stream, read.decode(), self._hash(read), said, verdict, *known)
        return self._writer.put_and_wait(correction, 0, timeout)

    def _stream(self, source: str) -> Stream:
        return Stream(self.model, self.version, source)

    def _understand(self, item: Event | _Call) -> Event:
        """Work out what a call leaves in the log; in the thread that writes, so that the caller does not wait."""
        from tf_model.inference.predictor import model_input

        if not isinstance(item, _Call):
            return item
        columns = columns_of(item.texts, item.predictions, item.unknown_shares)
        texts = [model_input(text) for text in item.texts]
        seconds = {stage: float(value) for stage, value in item.seconds.items() if 0 <= value < math.inf}
        kept = [text.decode() for text in texts] if self.keep_texts else None
        return Answered(item.time, item.stream, seconds, columns, [self._hash(text) for text in texts], kept)

    def _hash(self, text: bytes) -> int:
        digest = hashlib.blake2b(text, digest_size=8, key=self._salt).digest()
        return int.from_bytes(digest, "little", signed=True)

    # ------------------------------------------------------------ the end

    def flush(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Wait until everything recorded so far is written, ``timeout`` seconds at most; returns whether it is."""
        return self._writer.flush(timeout)

    def close(self) -> None:
        """Write what is left and stop. What is recorded later is dropped, and counted. May be called again."""
        atexit.unregister(self.close)
        self._release_sigterm()
        if not self._writer.close():
            logger.error("%d predictions could not be written to %s: %s", self.waiting, self.path, self.failure)

    def _catch_sigterm(self) -> None:
        """Flush on SIGTERM before whatever else happens then.

        Only the main thread may ask for that. Elsewhere, as in a page of Streamlit, the program ends as it would
        without us: through ``atexit`` if it ends in order.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        before = signal.getsignal(signal.SIGTERM)
        if before in (None, signal.SIG_IGN):  # None: set by something that is not Python, and cannot be put back
            return
        self._before = before
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, received: int, frame: Any) -> None:
        self._writer.flush(hurry=False)
        if callable(self._before):
            self._before(received, frame)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    def _release_sigterm(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        # A handler that was set after ours may call ours: then ours stays, and only passes on.
        if is_main and signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.signal(signal.SIGTERM, self._before)
