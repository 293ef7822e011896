"""Scoring a whole file beside the page: a thread that counts what is done and can be cancelled."""

from __future__ import annotations

import threading
import time

import pandas as pd

from streamlit_app.components import files, recording
from streamlit_app.components.files import Upload
from streamlit_app.components.loading import ModelState
from tf_model.data.products import Products
from tf_model.errors import DataError, TweetTargetError, UsageError, first_line
from tf_model.inference.fit import STATUS, FitCheck
from tf_model.inference.targets import TargetPredictor
from tf_model.io import tables
from tf_model.monitor.recorder import Recorder

RUNNING, DONE, CANCELLED, FAILED = "running", "done", "cancelled", "failed"


class _Cancelled(Exception):
    """Ends the scoring between two batches."""


class BatchJob:
    """One file being scored. It starts at once; predictions and failures of the model go into ``log``.

    With ``targets`` there is a row for each product that a text names, and none is recorded. ``products`` are looked
    for in the texts to say which are fit for the model.
    """

    def __init__(
        self,
        state: ModelState,
        upload: Upload,
        column: str,
        log: Recorder | None = None,
        targets: TargetPredictor | None = None,
        products: Products | None = None,
    ) -> None:
        self.state, self.upload, self.column, self.targets = state, upload, column, targets
        self.products = products
        self.status = RUNNING
        self.done, self.total = 0, upload.rows  # rows
        self.seconds = 0.0  # that it took
        self.problem = ""  # once failed, why, in one line
        every = list((targets or state.predictor).columns(probabilities=True))  # the page needs no probabilities
        self._classes = sum(map(len, state.predictor.labels.values()))
        self.predicted = every[: -self._classes]
        # Once done: the file's own columns, the predictions and the status; and the same as a page shows it.
        self.result: pd.DataFrame | None = None
        self.shown: pd.DataFrame | None = None
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
            self.shown = files.showable(self.result)
            status = DONE
        except _Cancelled:
            status = CANCELLED
        except BaseException as error:  # nobody else hears of an error in a thread
            status = FAILED
            known = isinstance(error, TweetTargetError)
            name = self.upload.name
            self.problem = files.explained(error, self.upload.path, name) if known else first_line(error)[:300]
            if not isinstance(error, DataError | UsageError):  # what is wrong with a file is no failure of the model
                recording.record_error(self._log, error, recording.BATCH)
        self.seconds = time.monotonic() - self._began
        self.status = status  # last: whoever sees it reads the rest

    def _score(self) -> pd.DataFrame:
        def record(texts, measured):
            recording.record(self._log, texts, measured, recording.BATCH)

        chunks, check = [], FitCheck(self.products, not self.targets, self.state.reads_english)
        predictor, options = (self.targets, {}) if self.targets else (self.state.predictor, {"record": record})
        with tables.open_table(self.upload.path, self.column) as table:
            tables.refuse_collisions(table, [STATUS])
            for chunk in predictor.predict_table(table, probabilities=True, on_progress=self._advance, **options):
                texts = dict(zip(chunk.index, table.texts(chunk), strict=True))  # each once, whatever it names
                status = {index: check(text) for index, text in texts.items()}
                chunks.append(chunk.iloc[:, : -self._classes].assign(**{STATUS: chunk.index.map(status)}))
        return pd.concat(chunks, ignore_index=True)

    def _advance(self, rows: int) -> None:
        self.done += rows
        if self._stop.is_set():
            raise _Cancelled
