"""Runs: uploaded files with their answers, each in a private folder of its own, beside the log of predictions.

A thread of the server scores a file, so leaving or loading a page does not touch it. After a restart of the app a
finished run is still there, and one that was under way is known to be interrupted.
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
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.components import files, loading, recording
from streamlit_app.components.files import Upload
from streamlit_app.components.loading import ModelState
from streamlit_app.components.widgets import component
from tf_model import eda, tasks
from tf_model.analysis.changes import Dates, find_dates
from tf_model.analysis.rows import emotions_of, find_source, rows_of
from tf_model.data.products import Products
from tf_model.errors import DataError, TweetTargetError, UsageError, first_line
from tf_model.inference.fit import STATUS, FitCheck
from tf_model.inference.targets import TargetPredictor
from tf_model.io import tables
from tf_model.io.files import explain_write_errors, whole_file, write_json
from tf_model.model_dir import probability_column
from tf_model.modeling.joint_label import NOT_SURE

RUNNING, DONE, CANCELLED, FAILED, INTERRUPTED = "running", "done", "cancelled", "failed", "interrupted"
KEPT_DAYS = 7  # after the last change
KEPT_SECONDS = KEPT_DAYS * 86_400
OWNER = "tweet_target_owner"  # the cookie that tells whose runs a browser lists; who has the address of one opens it
_RUN, _ANSWERS, _FILTERS, _CHECKED = "run.json", "answers.parquet", "filters", "checked"
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_ROW = "row"  # in the answers: which row of the file, from 0
_COOKIE_JS = f"""
export default ({{ data }}) => {{
  document.cookie = `{OWNER}=${{data}}; path=/; max-age={KEPT_SECONDS}; SameSite=Strict`;
}}
"""


@dataclass
class Run:
    """A file and how it was answered."""

    folder: Path  # its name is the address of the run, which nobody can guess
    kept_until: float  # seconds since 1970
    owner: str
    name: str  # of the file, as its user calls it
    file: str  # as it is called in the folder
    column: str  # of the texts
    rows: int
    model: str
    version: str
    which: str  # training of the model, in words
    no_emotion: str | None
    predicted: list[str]  # columns of the answers
    emotions: list[str]  # that the model tells apart; none of a model of products
    per_product: bool  # a row for each product that a text names
    products: dict[str, list[str]] | None  # that were looked for, with their aliases
    began: float  # seconds since 1970
    status: str = RUNNING
    seconds: float = 0.0  # that it took
    problem: str = ""  # once failed, why, in one line

    @property
    def id(self) -> str:
        """Its address."""
        return self.folder.name

    @property
    def job(self) -> Job | None:
        """The scoring, while it is under way."""
        return _jobs.get(self.id)

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.file

    def kept(self, name: str) -> dict[str, Any]:
        """What :meth:`keep` kept under a name."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def keep(self, name: str, values: Mapping[str, Any]) -> None:
        """Keep what was chosen or said on the page, as long as the run."""
        write_json(self.folder / f"{name}.json", values)

    @property
    def filters(self) -> dict[str, Any]:
        """What the page was filtered by when it was last looked at."""
        kept = self.kept(_FILTERS)
        return kept | {"dates": tuple(map(date.fromisoformat, kept["dates"]))} if "dates" in kept else kept

    @filters.setter
    def filters(self, values: dict[str, Any]) -> None:
        dates = {"dates": [day.isoformat() for day in values["dates"]]} if "dates" in values else {}
        self.keep(_FILTERS, values | dates)

    @property
    def checked(self) -> pd.Series:
        """What people said of answers, by their index, the last at the end; None where they could not tell."""
        return pd.Series(self.kept(_CHECKED), dtype=object).rename(int)

    @checked.setter
    def checked(self, values: pd.Series) -> None:
        self.keep(_CHECKED, {str(row): emotion for row, emotion in values.items()})

    def save(self) -> None:
        """Write it into its folder."""
        write_json(
            self.folder / _RUN,
            {name: value for name, value in vars(self).items() if name not in ("folder", "kept_until")},
        )

    def opened(self) -> Answers:
        """What is in a run that is done; remembered for the next time."""
        return _opened(self.folder)

    def delete(self) -> None:
        """Stop it if need be, and leave nothing of it; whoever deleted it before does not matter."""
        if job := self.job:
            job.is_deleted = True
            job.cancel()
        shutil.rmtree(self.folder, ignore_errors=True)
        _opened.cache_clear()


# ---------------------------------------------------------------- which runs there are


def start(
    state: ModelState, upload: Upload, column: str, finder: TargetPredictor | None, listed: Products | None
) -> Run:
    """Begin to answer a file; OutputError if it cannot be kept.

    With ``finder`` there is a row for each product that a text names, and none is recorded. The products ``listed`` are
    looked for in the texts to say which are fit for the model.
    """
    labels = state.predictor.labels
    classes = sum(map(len, labels.values()))
    run = Run(
        folder=_root() / secrets.token_urlsafe(16),
        kept_until=time.time() + KEPT_SECONDS,
        owner=owner(),
        name=upload.name,
        file=upload.path.name,
        column=column,
        rows=upload.rows,
        model=state.name,
        version=state.version,
        which=state.which,
        no_emotion=state.predictor.no_emotion,
        predicted=list((finder or state.predictor).columns(probabilities=True))[:-classes],  # no page needs those
        emotions=[] if list(labels) == [tasks.PRODUCT.name] else list(emotions_of(labels)),
        per_product=finder is not None,
        products=listed and {name: list(aliases) for name, aliases in listed.aliases.items()},
        began=time.time(),
    )
    with explain_write_errors(run.folder):
        run.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        run.folder.mkdir(mode=0o700)
        run.save()
        shutil.copyfile(upload.path, run.path)
    Job(run, state, finder, listed)
    return run


def find(name: str) -> Run | None:
    """The run of an address; None if there is none any more."""
    if not _ID.fullmatch(name):
        return None
    folder, under_way = _root() / name, name in _jobs  # asked first: what ends meanwhile has written so
    try:
        facts = json.loads((folder / _RUN).read_text(encoding="utf-8"))
        run = Run(folder, folder.stat().st_mtime + KEPT_SECONDS, **facts)
    except (OSError, ValueError, TypeError):  # deleted, or of another version of the app
        return None
    if run.status == RUNNING and not under_way:
        run.status = INTERRUPTED
    return run


def mine() -> list[Run]:
    """The runs of this browser, the newest first."""
    found = [run for folder in _root().glob("*") if (run := find(folder.name)) and run.owner == owner()]
    return sorted(found, key=lambda run: run.began, reverse=True)


def clear_up() -> None:
    """Delete the runs, whoever's, that were kept long enough."""
    for folder in _root().glob("*"):
        with suppress(FileNotFoundError):  # somebody deletes it at the same moment
            if time.time() > folder.stat().st_mtime + KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def owner() -> str:
    """What tells this browser from others, kept by it as a cookie."""
    known = st.context.cookies.get(OWNER) or st.session_state.get(OWNER)
    return known or st.session_state.setdefault(OWNER, secrets.token_urlsafe(16))


def remember_owner() -> None:
    """Have the browser keep who it is, as long as its runs are kept."""
    component("owner", js=_COOKIE_JS)(data=owner(), key="owner")


def _root() -> Path:
    return loading.monitor_log().parent / "runs"


# ---------------------------------------------------------------- what is in them


@dataclass(frozen=True)
class Answers:
    """Tables of one index, a line for each answer."""

    result: pd.DataFrame  # the file's own columns, the predictions with probabilities, and the status
    table: pd.DataFrame  # the same without probabilities
    workbook: pd.DataFrame  # the same with real dates
    shown: pd.DataFrame  # the same as a page can show it
    text_column: str  # of these
    tweets: pd.DataFrame  # for tf_model.eda, with status, is_abstained, and where the file tells date and source
    rows: pd.DataFrame | None  # for tf_model.analysis, without those that have no probabilities
    dates: Dates | None


@lru_cache(maxsize=2)
def _opened(folder: Path) -> Answers:
    run, predictions = find(folder.name), pd.read_parquet(folder / _ANSWERS)
    with tables.open_table(run.path, run.column) as file:
        own = pd.concat(file.chunks(), ignore_index=True).iloc[predictions[_ROW]].reset_index(drop=True)
        names = tables.names_apart(file, predictions.columns)
    own, text_column = own.rename(columns=names), names.get(run.column, run.column)
    result = pd.concat([own, predictions.drop(columns=_ROW)], axis=1)
    table = result.loc[:, ~result.columns.isin(predictions.columns.drop([*run.predicted, STATUS, _ROW]))]
    shown, dates = files.showable(table), find_dates(own)
    texts = shown[text_column].astype("str").fillna("")
    rows, emotion = None, None
    if run.emotions:
        rows = rows_of(predictions, texts, run.emotions, dates and dates.values)
        has_emotion = predictions[probability_column("emotion", run.emotions[0])].notna()
        emotion = rows["emotion"].astype("str").reindex(predictions.index).where(has_emotion, predictions["emotion"])
    labelled = {tasks.TEXT_COLUMN: texts, tasks.PRODUCT_COLUMN: table.get("product"), tasks.EMOTION_COLUMN: emotion}
    tweets = eda.describe(pd.DataFrame({"row": predictions[_ROW]} | labelled)).assign(status=table[STATUS])
    if run.emotions:
        tweets["is_abstained"] = predictions["emotion" if run.per_product else tasks.ANSWER] == NOT_SURE
    if (sources := find_source(own)) is not None:
        tweets["source"] = sources
    workbook = table
    if dates:
        tweets["date"] = dates.values
        workbook, place = table.copy(deep=False), list(map(str, own)).index(dates.column)
        is_day = (dates.values.dropna() == dates.values.dropna().dt.normalize()).all()
        real = (dates.values.dt.date if is_day else dates.values).astype(object)
        workbook.isetitem(place, real.where(dates.values.notna(), own.iloc[:, place]))
        if dates.is_utc:  # a workbook holds no offsets
            workbook.columns = [f"{name} (UTC)" if at == place else name for at, name in enumerate(workbook)]
    return Answers(result, table, workbook, shown, text_column, tweets, rows, dates)


# ---------------------------------------------------------------- the work


class _Cancelled(Exception):
    """Ends the scoring between two batches."""


class Job(threading.Thread):
    """The scoring of a run, ``of``. It starts at once; predictions and failures of the model are recorded."""

    def __init__(self, of: Run, state: ModelState, finder: TargetPredictor | None, listed: Products | None) -> None:
        super().__init__(daemon=True, name="run")
        self.of, self.state, self.finder, self.listed = of, state, finder, listed
        self.done = 0  # rows
        self.is_cancelled = self.is_deleted = False
        self._log = recording.recorder(state)
        self._began = time.monotonic()
        _jobs[of.id] = self  # first: the thread takes it away
        self.start()

    def progress(self) -> tuple[float, float | None]:
        """The share that is done, 0 to 1, and the seconds left, None while they cannot be known."""
        if not self.done:
            return 0.0, None
        elapsed = time.monotonic() - self._began
        return self.done / self.of.rows, elapsed / self.done * (self.of.rows - self.done)

    def cancel(self, wait: float = 0.0) -> None:
        """Stop before the next batch, and wait for it so many seconds."""
        self.is_cancelled = True
        self.join(wait)

    def run(self) -> None:
        """Score, and say in the run how it went."""
        run = self.of
        try:
            answers = self._score()
            with whole_file(run.folder / _ANSWERS) as part:
                answers.to_parquet(part)
            status = DONE
        except _Cancelled:
            status, run.problem = CANCELLED, f"Cancelled after {self.done:,} of {run.rows:,} rows."
        except BaseException as error:  # nobody else hears of an error in a thread
            status = FAILED
            known = isinstance(error, TweetTargetError)
            run.problem = files.explained(error, run.path, run.name) if known else first_line(error)[:300]
            if not isinstance(error, DataError | UsageError):  # what is wrong with a file is no failure of the model
                recording.record_error(self._log, error, recording.BATCH)
        run.seconds, run.status = time.monotonic() - self._began, status
        try:
            if self.is_deleted:
                shutil.rmtree(run.folder, ignore_errors=True)
            else:
                run.save()
        finally:
            _jobs.pop(run.id, None)

    def _score(self) -> pd.DataFrame:
        def record(texts, measured):
            recording.record(self._log, texts, measured, recording.BATCH)

        model = self.state.predictor
        predictor, options = (self.finder, {}) if self.finder else (model, {"record": record})
        columns = list(predictor.columns(probabilities=True))
        check = FitCheck(self.listed, several=not self.finder, english=model.reads_english)
        parts, rows = [], 0
        with tables.open_table(self.of.path, self.of.column) as table:
            for chunk in predictor.predict_table(table, probabilities=True, on_progress=self._advance, **options):
                texts = dict(zip(chunk.index, table.texts(chunk), strict=True))  # each once, whatever it names
                status = {index: check(text) for index, text in texts.items()}
                more = {STATUS: chunk.index.map(status), _ROW: rows + chunk.index}
                parts.append(chunk[columns].assign(**more))
                rows += len(texts)
        return pd.concat(parts, ignore_index=True)

    def _advance(self, rows: int) -> None:
        self.done += rows
        if self.is_cancelled:
            raise _Cancelled


_jobs: dict[str, Job] = {}  # those of this process that are under way, by the address of their run
