"""Runs: uploaded files with their answers, each in its own private folder, beside the log of predictions.

A server thread scores a file, so a run continues if its page is left or reloaded. After a restart of the app, finished
runs are still there, and unfinished ones are marked as interrupted.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.components import files, loading, recording
from streamlit_app.components.loading import ModelState
from streamlit_app.components.widgets import component
from tf_model import cli, eda, tasks
from tf_model.analysis.changes import Dates, find_dates
from tf_model.analysis.rows import analysed_rows, emotions_of, find_source
from tf_model.data.products import Products
from tf_model.errors import DataError, TweetTargetError, UsageError, first_line
from tf_model.inference.fit import FIT, REPEATED, STATUS, FitCheck, reasons_of
from tf_model.inference.targets import TargetPredictor
from tf_model.io import tables
from tf_model.io.files import explain_write_errors, whole_file, write_json
from tf_model.modeling.joint_label import NOT_SURE
from tf_model.serving.remote import RemotePredictor

NEW, RUNNING, DONE = "new", "running", "done"
CANCELLED, FAILED, INTERRUPTED = "cancelled", "failed", "interrupted"
KEPT_DAYS = 7  # after the last change
KEPT_SECONDS = KEPT_DAYS * 86_400
OWNER = "tweet_target_owner"  # cookie for the list of runs; anyone with its address can open a run
_RUN, _ANSWERS = "run.json", "answers.parquet"
CHECKED = "checked"  # kept with the run: the emotion by row, None for "Cannot tell", the newest last
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
GUESS = "best_guess"  # column of a run with a row for each product
_ROW = "row"  # column of the answers: row of the file, from 0
_COOKIE_JS = f"""
export default ({{ data }}) => {{
  document.cookie = `{OWNER}=${{data}}; path=/; max-age=31536000; SameSite=Strict`;
}}
"""


@dataclass
class Run:
    """An uploaded file, its status and, once it is or was answered, the settings for that."""

    folder: Path  # its name, hard to guess, is the address of the run
    kept_until: float  # seconds since 1970
    owner: str
    name: str  # the user's name for the file
    file: str  # its name in the folder
    rows: int
    began: float  # seconds since 1970
    status: str = NEW
    column: str = ""  # that holds the texts
    model: str = ""
    version: str = ""
    which: str = ""  # when the model was saved, in words
    no_emotion: str | None = None
    predicted: list[str] = field(default_factory=list)  # columns of the answers
    emotions: list[str] = field(default_factory=list)  # the model's classes; empty for product or emotion alone
    per_product: bool = False  # whether answers have a row per product, not per text
    products: dict[str, list[str]] | None = None  # the products to look for, with aliases
    dataset: str | None = None  # that the model was trained on; None if unknown
    seconds: float = 0.0  # duration of the scoring
    problem: str = ""  # why it failed or was cancelled, in one line

    @property
    def id(self) -> str:
        """The address of the run."""
        return self.folder.name

    @property
    def job(self) -> Job | None:
        """The job that scores the file, while it runs."""
        return _jobs.get(self.id)

    @property
    def path(self) -> Path:
        """The uploaded file."""
        return self.folder / self.file

    @property
    def is_there(self) -> bool:
        """Whether the folder exists: another window may have deleted the run."""
        return self.folder.is_dir()

    def stored(self, name: str) -> dict[str, Any]:
        """The values that :meth:`store` stored under a name."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def store(self, name: str, values: Mapping[str, Any]) -> None:
        """Store a user's choices or answers for as long as the run is kept."""
        if self.is_there:
            write_json(self.folder / f"{name}.json", values)

    @property
    def checked(self) -> pd.Series:
        """The emotions people chose in checks, by answer index, oldest first; None for "Cannot tell"."""
        return pd.Series(self.stored(CHECKED), dtype=object).rename(int)

    def save(self) -> None:
        """Write the run into its folder."""
        fields = {name: value for name, value in vars(self).items() if name not in ("folder", "kept_until")}
        write_json(self.folder / _RUN, fields)

    def contents(self) -> tuple[tables.Table, pd.DataFrame]:
        """The table of the uploaded file, closed, and its first rows, cached."""
        return _read_contents(self.path, self.name)

    def answers(self) -> Answers:
        """The answers of a finished run, cached."""
        return _read_answers(self.folder)

    def delete(self) -> None:
        """Stop the run if it is running, and delete its folder, if it still exists."""
        if job := self.job:
            job.is_deleted = True
            job.cancel()
        shutil.rmtree(self.folder, ignore_errors=True)
        _read_answers.cache_clear()


# ---------------------------------------------------------------- which runs there are


def store(name: str, content: memoryview | bytes) -> Run:
    """Store an uploaded file as a new run; DataError if it cannot be used, OutputError if it cannot be stored."""
    folder = _root() / secrets.token_urlsafe(16)
    file = f"upload{Path(name).suffix[:10]}"  # only the suffix of a browser's name is safe
    run = Run(folder, time.time() + KEPT_SECONDS, owner(), name, file, rows=0, began=time.time())
    try:
        with explain_write_errors(folder):
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
            run.path.write_bytes(content)
        run.rows = run.contents()[0].total_rows
        run.save()  # last: a folder without it is no run
    except TweetTargetError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return run


def start(run: Run, state: ModelState, column: str, finder: TargetPredictor | None, products: Products | None) -> None:
    """Start to answer the texts in a column.

    With ``finder``, the answers have a row for each product that a text names, and are not recorded. Texts are checked
    for ``products`` to tell which are fit for the model.
    """
    labels = state.predictor.labels
    classes = sum(map(len, labels.values()))
    run.status, run.began, run.column = RUNNING, time.time(), column
    run.model, run.version, run.which = state.name, state.predictor.version, state.version_label
    run.no_emotion, run.dataset = state.predictor.no_emotion, state.predictor.metrics.get("dataset")
    run.predicted = list((finder or state.predictor).columns(probabilities=True))[:-classes]  # without probabilities
    run.emotions = list(emotions_of(labels)) if tasks.has_answer(labels) else []
    run.per_product = finder is not None
    run.products = products and {name: list(aliases) for name, aliases in products.aliases.items()}
    run.save()
    Job(run, state, finder, products)


def find(name: str) -> Run | None:
    """The run with an address; None if it does not exist."""
    if not _ID.fullmatch(name):
        return None
    folder, is_running = _root() / name, name in _jobs  # before reading: a job saves its status, then leaves _jobs
    try:
        fields = json.loads((folder / _RUN).read_text(encoding="utf-8"))
        run = Run(folder, folder.stat().st_mtime + KEPT_SECONDS, **fields)
    except (OSError, ValueError, TypeError):  # deleted, or written by another version of the app
        return None
    if run.status == RUNNING and not is_running:
        run.status = INTERRUPTED
    return run


def own_runs() -> list[Run]:
    """The runs of this browser, the newest first."""
    runs = [run for folder in _folders() if (run := find(folder.name)) and run.owner == owner()]
    return sorted(runs, key=lambda run: run.began, reverse=True)


def clear_up() -> None:
    """Delete all expired runs, of every owner."""
    for folder in _folders():
        with suppress(OSError):  # deleted at the same moment, or of another user
            if time.time() > folder.stat().st_mtime + KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def owner() -> str:
    """The id of this browser, stored in a cookie."""
    stored_id = st.context.cookies.get(OWNER) or st.session_state.get(OWNER)
    return stored_id or st.session_state.setdefault(OWNER, secrets.token_urlsafe(16))


def remember_owner() -> None:
    """Store the id in the browser's cookie for a year: a run may be kept for long after the page was loaded."""
    component("owner", js=_COOKIE_JS)(data=owner(), key="owner")


def _root() -> Path:
    return loading.monitor_log().parent / "runs"


def _folders() -> list[Path]:
    with suppress(PermissionError):
        return list(_root().glob("*"))
    return []


# ---------------------------------------------------------------- what is in them


@dataclass(frozen=True)
class Answers:
    """Tables with the same index, a row for each answer."""

    result: pd.DataFrame  # the file's own columns, the predictions with probabilities, and the status
    table: pd.DataFrame  # the same without probabilities
    display_table: pd.DataFrame  # the same as a page can show it
    first_columns: list[str]  # of the file, as these tables call them: the texts, and dates and sources if it has them
    tweets: pd.DataFrame  # for tf_model.eda, with status, is_abstained, and date and source if the file has them
    rows: pd.DataFrame | None  # for tf_model.analysis, only rows with probabilities
    dates: Dates | None


_read_contents = lru_cache(maxsize=8)(files.read_upload)


def _read_own_columns(run: Run, predictions: pd.DataFrame) -> tuple[pd.DataFrame, str, Dates | None]:
    """The file's row of each prediction, with the names that the answers leave free, its text column, and the dates."""
    with tables.open_table(run.path) as file:
        file_rows = pd.concat(file.chunks(), ignore_index=True)
        names = tables.input_renames(file, [*predictions.columns.drop(_ROW), *([GUESS] if run.per_product else [])])
    dates = find_dates(file_rows)
    if dates:  # found in the file's rows, so that their notes do not count a row for each of its mentions
        values = dates.values.iloc[predictions[_ROW]].reset_index(drop=True)
        dates = replace(dates, column=names.get(dates.column, dates.column), values=values)
    own_columns = file_rows.rename(columns=names).iloc[predictions[_ROW]].reset_index(drop=True)
    return own_columns, names.get(run.column, run.column), dates


@lru_cache(maxsize=2)
def _read_answers(folder: Path) -> Answers:
    run, predictions = find(folder.name), pd.read_parquet(folder / _ANSWERS)
    own_columns, text_column, dates = _read_own_columns(run, predictions)
    result = pd.concat([own_columns, predictions.drop(columns=_ROW)], axis=1)
    table = result.drop(columns=predictions.columns.drop([*run.predicted, STATUS, _ROW]))  # the probabilities
    means_little = ~table[STATUS].isin([FIT, REPEATED])
    table.loc[means_little, [name for name in run.predicted if name.endswith("_confidence")]] = float("nan")
    display_table = files.displayable(table)
    texts = display_table[text_column].astype("str").fillna("")
    rows, emotion = None, predictions.get("emotion")
    if run.emotions:
        rows = analysed_rows(predictions, texts, run.emotions, dates and dates.values)
        guesses = predictions["emotion"].where(predictions["emotion"] != NOT_SURE)
        emotion = rows["emotion"].astype("str").combine_first(guesses)
    if run.per_product:  # what the charts count, as `emotion` is Not sure below the threshold
        for each in (table, display_table):
            each.insert(each.shape[1] - 1, GUESS, rows["emotion"].astype("str").reindex(each.index))
    columns = predictions[_ROW], texts, predictions.get("product"), emotion
    labelled = pd.DataFrame(dict(zip(("row", *tasks.COLUMNS), columns, strict=True)))
    tweets = eda.describe(labelled).assign(status=reasons_of(table[STATUS]))
    if run.emotions:
        tweets["is_abstained"] = predictions["emotion" if run.per_product else tasks.ANSWER] == NOT_SURE
    first_columns = [text_column]
    if dates:
        tweets["date"] = dates.values
        first_columns.append(display_table.columns[dates.position])  # there, names do not repeat
    if source := find_source(own_columns):
        position, tweets["source"] = source
        first_columns.append(display_table.columns[position])
    return Answers(result, table, display_table, first_columns, tweets, rows, dates)


# ---------------------------------------------------------------- the work


class _Cancelled(Exception):
    """Stops the scoring between two batches."""


class Job(threading.Thread):
    """Scores a run in a thread that starts at once; without ``finder``, predictions and failures are recorded."""

    def __init__(self, run: Run, state: ModelState, finder: TargetPredictor | None, products: Products | None) -> None:
        super().__init__(daemon=True, name="run")
        self.scored_run, self.state, self.finder, self.products = run, state, finder, products
        self.done = 0  # rows
        self.is_cancelled = self.is_deleted = False
        self._log = None if finder else recording.recorder(state)
        self._began = time.monotonic()
        _jobs[run.id] = self  # before start(): the thread removes it
        self.start()

    @property
    def seconds_left(self) -> float:
        """At the speed so far; call it only once some rows are done."""
        return (time.monotonic() - self._began) / self.done * (self.scored_run.rows - self.done)

    def cancel(self) -> None:
        """Stop before the next batch."""
        self.is_cancelled = True

    def run(self) -> None:
        """Score the file, and save the outcome in the run."""
        run = self.scored_run
        try:
            answers = self._score()
            with whole_file(run.folder / _ANSWERS, overwrite=True) as part:
                answers.to_parquet(part)
            status = DONE
        except _Cancelled:
            status, run.problem = CANCELLED, f"Cancelled after {self.done:,} of {run.rows:,} rows."
        except BaseException as error:  # an error in a thread is not seen elsewhere
            status = FAILED
            is_ours = isinstance(error, TweetTargetError)
            run.problem = files.user_message(error, run.path, run.name) if is_ours else first_line(error)[:300]
            if self._log and not isinstance(error, DataError | UsageError):  # a bad file is no failure of the model
                self._log.record_error(error, recording.BATCH)
        run.seconds, run.status = time.monotonic() - self._began, status
        try:
            if not self.is_deleted:
                run.save()
                if status == DONE:  # prepared here, or the page would wait for them
                    with suppress(Exception):  # the run was deleted, or the page will meet the same error
                        run.answers()
            if self.is_deleted:  # perhaps only now: saving makes the folder again
                shutil.rmtree(run.folder, ignore_errors=True)
                _read_answers.cache_clear()
        except TweetTargetError as error:  # find() calls the run interrupted, and its page names a full disk
            cli.say(f"error: {error}")
        finally:
            _jobs.pop(run.id, None)

    def _score(self) -> pd.DataFrame:
        predictor = self.finder or self.state.predictor
        if self.state.server_url:  # no page waits for this: outlast a restart of the server
            model = RemotePredictor.connect(self.state.server_url, self.state.predictor.folder)
            predictor = replace(self.finder, model=model) if self.finder else model
        record = self._log and partial(self._log.record_measured, source=recording.BATCH)
        columns = list(predictor.columns(probabilities=True))
        check = FitCheck(self.state.predictor, self.products)
        parts, rows = [], 0
        with tables.open_table(self.scored_run.path) as table:  # without a column: the sheet that the page showed
            table.text_position = tables.named_column(table, self.scored_run.column)
            for chunk in predictor.predict_table(table, probabilities=True, on_progress=self._advance, record=record):
                extra_columns = {STATUS: check.of_rows(table, chunk), _ROW: rows + chunk.index}
                parts.append(chunk[columns].assign(**extra_columns))
                rows += chunk.index.nunique()
        if self.state.server_url:
            self.state.predictor.check_version()
        return pd.concat(parts, ignore_index=True)

    def _advance(self, rows: int) -> None:
        self.done += rows
        if self.is_cancelled:
            raise _Cancelled


_jobs: dict[str, Job] = {}  # the running jobs of this process, by run id
