"""Scoring a whole file beside the page: a thread that counts what is done, and that can be cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streamlit_app.components.uploads import without_folder
from tf_model.errors import TweetTargetError, first_line
from tf_model.inference.predictor import Predictor
from tf_model.io import tables

if TYPE_CHECKING:
    import pandas

    from tf_model.inference.predictor import Measured

JOB = "batch_job"  # where a session keeps it
RUNNING, DONE, CANCELLED, FAILED = "running", "done", "cancelled", "failed"
# A browser polls a page in the background once a minute at worst; after ten minutes without a poll it has gone.
ABANDONED_SECONDS = 600.0

OnChunk = Callable[[Sequence[object], "Measured"], None]


class _Cancelled(Exception):
    """Ends the scoring between two batches."""


class BatchJob:
    """One file being scored.

    Attributes:
        key: What was asked: the file, the column and the model, to tell whether a result still belongs to the page.
        column: Its column of texts.
        model: Which model answers, in words.
        status: :data:`RUNNING`, then :data:`DONE`, :data:`CANCELLED` or :data:`FAILED`.
        done: Rows scored so far.
        total: Rows in all.
        result: Once done, the file's own columns and then the predictions, indexed from 0.
        has_text: Once done, for each row of it whether there was anything to read.
        predicted: The names of the prediction columns.
        error: Once failed, what was raised.
        seconds: How long it took.
    """

    def __init__(
        self,
        predictor: Predictor,
        path: Path,
        column: str,
        key: object = None,
        model: str = "",
        on_chunk: OnChunk | None = None,
        on_error: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Start scoring.

        Args:
            predictor: The model.
            path: The file.
            column: Its column of texts.
            key: See the class.
            model: See the class.
            on_chunk: Called with the texts of each finished chunk, and what was measured.
            on_error: Called with what made the job fail.
        """
        self.key, self.column, self.model = key, column, model
        self.status = RUNNING
        self.done = self.total = 0
        self.result: pandas.DataFrame | None = None
        self.has_text: list[bool] = []
        columns = predictor.columns(probabilities=True)
        self.predicted = [name for name in columns if "_probability_" not in name]
        self._not_shown = [name for name in columns if "_probability_" in name]
        self.error: BaseException | None = None
        self.seconds = 0.0
        self._predictor, self._path = predictor, path
        self._on_chunk, self._on_error = on_chunk, on_error
        self._stop = threading.Event()
        self._began = self._polled = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True, name="batch")
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status == RUNNING

    @property
    def message(self) -> str:
        """What went wrong, in one line, without the folder in which the file lies."""
        if isinstance(self.error, TweetTargetError):
            return without_folder(str(self.error), self._path)
        return first_line(self.error)[:300] if self.error else ""

    def poll(self) -> tuple[float, float | None]:
        """The share that is done, 0 to 1, and the seconds left, None while they cannot be known."""
        self._polled = time.monotonic()
        if not self.done or not self.total:
            return 0.0, None
        elapsed = self._polled - self._began
        return min(self.done / self.total, 1.0), elapsed / self.done * max(self.total - self.done, 0)

    def cancel(self, wait: float = 0.0) -> None:
        """Stop before the next batch; nothing of the result is kept.

        Args:
            wait: Seconds to wait for it.
        """
        self._stop.set()
        self._thread.join(wait)

    def join(self, seconds: float) -> None:
        """Wait until it has ended, at most ``seconds``."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self.result = self._score()
            status = DONE
        except _Cancelled:
            status = CANCELLED
        except BaseException as error:  # a thread has nobody else to tell
            self.error, status = error, FAILED
            if self._on_error:
                self._on_error(error)
        self.seconds = time.monotonic() - self._began
        self.status = status

    def _score(self) -> pandas.DataFrame:
        import pandas

        from tf_model.inference.predictor import has_text

        with tables.open_table(self._path, self.column) as table:
            self.total = table.total_rows or 0
            chunks = self._predictor.predict_table(
                table, probabilities=True, on_progress=self._advance, record=self._on_chunk
            )
            answered = []
            for chunk in chunks:
                self.has_text += map(has_text, table.texts(chunk))
                answered.append(chunk.drop(columns=self._not_shown))
            return pandas.concat(answered, ignore_index=True)

    def _advance(self, rows: int) -> None:
        self.done += rows
        if self._stop.is_set() or time.monotonic() - self._polled > ABANDONED_SECONDS:
            raise _Cancelled
