"""Scoring a whole file beside the page: a thread that counts what is done and can be cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from streamlit_app.components import recording
from streamlit_app.components.loading import ModelState
from streamlit_app.components.uploads import Upload, explained
from tf_model.errors import DataError, TweetTargetError, UsageError, first_line
from tf_model.io import tables

if TYPE_CHECKING:
    import pandas

    from tf_model.inference.predictor import Measured
    from tf_model.monitor.recorder import Recorder

JOB = "batch_job"  # where a session keeps it
RUNNING, DONE, CANCELLED, FAILED = "running", "done", "cancelled", "failed"


class _Cancelled(Exception):
    """Ends the scoring between two batches."""


class BatchJob:
    """One file being scored.

    Attributes:
        state: The model.
        upload: The file.
        column: Its column of texts.
        status: :data:`RUNNING`, then :data:`DONE`, :data:`CANCELLED` or :data:`FAILED`.
        done: Rows scored so far.
        total: Rows in all.
        result: Once done, the file's own columns and then the predictions, indexed from 0.
        has_text: Once done, for each row whether there was anything to read.
        predicted: The names of the prediction columns.
        problem: Once failed, why, in one line.
        seconds: How long it took.
    """

    def __init__(self, state: ModelState, upload: Upload, column: str, log: Recorder | None = None) -> None:
        """Start scoring; predictions and failures of the model go into ``log``, if there is one."""
        self.state, self.upload, self.column = state, upload, column
        self.status = RUNNING
        self.done, self.total = 0, upload.rows
        self.result: pandas.DataFrame | None = None
        self.has_text: list[bool] = []
        self._classes = sum(map(len, state.predictor.labels.values()))  # the last columns, which the page does not need
        self.predicted = list(state.predictor.columns(probabilities=True))[: -self._classes]
        self.problem = ""
        self.seconds = 0.0
        self._log = log
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True, name="batch")
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status == RUNNING

    def progress(self) -> tuple[float, float | None]:
        """The share that is done, 0 to 1, and the seconds left, None while they cannot be known."""
        if not self.done:
            return 0.0, None
        elapsed = time.monotonic() - self._began
        return self.done / self.total, elapsed / self.done * (self.total - self.done)

    def cancel(self, wait: float = 0.0) -> None:
        """Stop before the next batch, and wait for it so many seconds; nothing of the result is kept."""
        self._stop.set()
        self.join(wait)

    def join(self, seconds: float) -> None:
        """Wait until it has ended, at most ``seconds``."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self.result = self._score()
            status = DONE
        except _Cancelled:
            status = CANCELLED
        except BaseException as error:  # nobody else hears of an error in a thread
            status = FAILED
            known = isinstance(error, TweetTargetError)
            self.problem = explained(error, self.upload.path, self.upload.name) if known else first_line(error)[:300]
            if not isinstance(error, DataError | UsageError):  # what is wrong with a file is no failure of the model
                recording.record_error(self._log, error, recording.BATCH)
        self.seconds = time.monotonic() - self._began
        self.status = status  # last: whoever sees it reads the rest

    def _score(self) -> pandas.DataFrame:
        import pandas

        from tf_model.inference.predictor import has_text

        chunks = []
        with tables.open_table(self.upload.path, self.column) as table:
            for chunk in self.state.predictor.predict_table(
                table, probabilities=True, on_progress=self._advance, record=self._record
            ):
                self.has_text += map(has_text, table.texts(chunk))
                chunks.append(chunk.iloc[:, : -self._classes])
        return pandas.concat(chunks, ignore_index=True)

    def _record(self, texts: Sequence[Any], measured: Measured) -> None:
        recording.record(self._log, texts, measured, recording.BATCH)

    def _advance(self, rows: int) -> None:
        self.done += rows
        if self._stop.is_set():
            raise _Cancelled
