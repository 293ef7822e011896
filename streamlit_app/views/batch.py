"""Batch: a file in, an answer for each row, charts and a table of them, and the file with its answers to take away."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from streamlit_app.charts.theme import batch_charts, theme
from streamlit_app.components import batch_job, downloads, notices, recording, uploads
from streamlit_app.components.batch_job import JOB, BatchJob
from streamlit_app.components.loading import ModelState
from streamlit_app.components.uploads import LIMITS, Upload
from tf_model import tasks
from tf_model.cli import duration
from tf_model.errors import DataError, UsageError, plural
from tf_model.inference.predictor import ANSWER
from tf_model.io.workbooks import MOST_CHARACTERS
from tf_model.modeling.joint_label import NOT_SURE

if TYPE_CHECKING:
    from tf_model.inference.predictor import Measured

UPLOAD, SHOWN = "batch_upload", "batch_shown"
POLL_SECONDS = 0.5
ANSWER_CONFIDENCE = "answer_confidence"


def main() -> None:
    """The page."""
    st.title("Batch")
    st.markdown("An answer for every row of a file.")
    state = notices.usable_model()
    if state is None:
        return
    notices.say_limits(state)
    file = st.file_uploader(
        "A file with one text in each row",
        type=uploads.TYPES,
        help="CSV, TSV, XLSX, Parquet or JSON lines, or plain text with one text a line",
        key="batch_file",
        on_change=_file_changed,
    )
    st.caption(
        f"Up to {LIMITS.rows:,} rows and 100 MB. Larger files: `python -m tf_model.predict FILE --output answers.csv`"
    )
    upload = _kept(file) if file is not None else st.session_state.get(UPLOAD)
    if upload is None:
        return
    if file is None:
        _say_still_here(upload)
    if upload.problem:
        notices.say_problem("This file cannot be used here.", upload.problem)
        return
    column = _choose_column(upload)
    _show_first_rows(upload)
    asked, model = (upload.id, column), (state.name, state.version)
    job: BatchJob | None = st.session_state.get(JOB)
    running = job is not None and job.running
    if st.button(
        f"Answer {upload.rows:,} {plural(upload.rows, 'row', 'rows')}",
        type="primary",
        icon=":material/play_arrow:",
        disabled=running or not upload.rows,
    ):
        job = st.session_state[JOB] = _start(state, upload, column, (asked, model))
        st.session_state.pop(SHOWN, None)
        st.rerun()
    if running:
        _follow(job)
    elif job is not None and job.key[0] == asked:
        if job.key[1] != model and job.status == batch_job.DONE:
            # Hours of work may be in it, and replacing a model is somebody else's doing.
            st.info(
                f"This is what the model {notices.plain_markdown(job.model)} answered, not the one that is in use now.",
                icon=":material/published_with_changes:",
            )
        _show_outcome(upload, job)


# ---------------------------------------------------------------- the file


def _file_changed() -> None:
    """The user took the file away; to have looked at another page does not."""
    if st.session_state["batch_file"] is None:
        _forget()


def _say_still_here(upload: Upload) -> None:
    """The browser forgets a chosen file when another page is looked at; the session does not."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(f"Still here: {upload.name}")
        st.button("Put it away", on_click=_forget, icon=":material/close:")


def _forget() -> None:
    """Nothing is left to do for this file."""
    job: BatchJob | None = st.session_state.pop(JOB, None)
    if job is not None:
        job.cancel()
    for name in (UPLOAD, SHOWN):
        st.session_state.pop(name, None)


def _kept(file: Any) -> Upload:
    known: Upload | None = st.session_state.get(UPLOAD)
    if known is None or known.id != file.file_id:
        _forget()
        with st.spinner("Reading the file…"):
            known = st.session_state[UPLOAD] = uploads.keep(file.file_id, file.name, file.getbuffer())
    return known


def _choose_column(upload: Upload) -> str:
    columns = list(dict.fromkeys(upload.columns))
    job: BatchJob | None = st.session_state.get(JOB)
    column = st.selectbox(
        "Column with the texts",
        columns,
        index=columns.index(upload.text_column),
        disabled=job is not None and job.running,
        key=f"column_{upload.id}",
        persist_state="session",  # as the file is
    )
    if column == upload.text_column and upload.reason != "the only column":
        st.caption(f"Chosen {'by its name' if upload.reason == 'by its name' else 'since its texts are the longest'}.")
    return column


def _show_first_rows(upload: Upload) -> None:
    st.dataframe(upload.first_rows, hide_index=True, alt=f"The first rows of the file, of {upload.rows:,}")
    shown = min(len(upload.first_rows), upload.rows)
    st.caption(f"The first {shown:,} of {upload.rows:,} rows.")
    for note in upload.notes:
        st.text(f"Note: {note}")


# ---------------------------------------------------------------- the work


def _start(state: ModelState, upload: Upload, column: str, key: tuple[object, object]) -> BatchJob:
    log = recording.recorder(state)  # here, since the thread of the job has no session

    def keep(texts: Sequence[Any], measured: Measured) -> None:
        recording.record(log, texts, measured, recording.BATCH)

    def note(error: BaseException) -> None:
        if not isinstance(error, (DataError, UsageError)):  # what is wrong with a file is no failure of the model
            recording.record_error(log, error, recording.BATCH)

    return BatchJob(state.predictor, upload.path, column, key, f"{state.name} ({state.which})", keep, note)


@st.fragment(run_every=POLL_SECONDS)
def _follow(job: BatchJob) -> None:
    if not job.running:
        st.rerun()
    share, left = job.poll()
    if left is None:
        st.progress(0.0, text="Reading the file and scoring the first rows…")
    else:
        st.progress(share, text=f"{job.done:,} of {job.total:,} rows, {duration(left)} left")
    if st.button("Cancel", icon=":material/stop_circle:"):
        with st.spinner("Cancelling…"):
            job.cancel(wait=30)
        st.rerun()


# ---------------------------------------------------------------- what came of it


def _show_outcome(upload: Upload, job: BatchJob) -> None:
    if job.status == batch_job.CANCELLED:
        st.info(
            f"Cancelled after {job.done:,} of {job.total:,} rows. No answers were kept.", icon=":material/stop_circle:"
        )
        return
    if job.status == batch_job.FAILED:
        notices.say_problem("The file could not be answered.", job.message)
        return
    rate = len(job.result) / max(job.seconds, 1e-9)
    st.success(
        f"{len(job.result):,} {plural(len(job.result), 'row', 'rows')} answered in "
        f"{duration(job.seconds) if job.seconds >= 1 else 'less than a second'} ({rate:,.0f} a second)",
        icon=":material/check_circle:",
    )
    blank = job.has_text.count(False)
    if blank:
        st.info(
            f"{blank:,} {plural(blank, 'row has', 'rows have')} no text: there the model answers from nothing. The "
            "charts leave such rows out, the file and the table below keep them.",
            icon=":material/help:",
        )
    _offer_downloads(upload, job)
    answered = job.result.iloc[:, -len(job.predicted) :]
    _show_charts(answered.loc[job.has_text])
    if SHOWN not in st.session_state:
        st.session_state[SHOWN] = uploads.showable(job.result)
    _show_table(st.session_state[SHOWN], job.column, job.predicted)


def _offer_downloads(upload: Upload, job: BatchJob) -> None:
    stem = f"{Path(upload.name).stem[:80] or 'file'}_answers"
    kinds = (("CSV", downloads.as_csv, "text/csv"), ("XLSX", downloads.as_xlsx, _WORKBOOK))
    with st.container(horizontal=True):
        for kind, write, mime in kinds:
            st.download_button(
                f"Download {kind}",
                data=lambda write=write: write(job.result),  # made when it is asked for
                file_name=f"{stem}.{kind.lower()}",
                mime=mime,
                on_click="ignore",
                icon=":material/download:",
                key=f"download_{kind}",
            )
    if ANSWER in job.predicted:
        st.caption(
            "To act on single rows, use the column answer. To count how many, use emotion, and product where emotion "
            f'is not "{tasks.NO_EMOTION}": what is "{NOT_SURE}" is emotional more often than the rest, so that shares '
            "of the answers lean to no emotion."
        )
    st.caption(
        "Your columns, untouched and in order, then the answers. In the CSV, a text that a spreadsheet would run as a "
        "formula (it begins with =, +, - or @) gets an apostrophe in front; the XLSX keeps it as it is, as text, and "
        f"of a longer one the first {MOST_CHARACTERS:,} characters, which is all that a cell of a workbook holds."
    )


_WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _show_charts(answered: pd.DataFrame) -> None:
    if answered.empty:
        return
    left, right = st.columns(2)
    with left:
        if ANSWER in answered:
            counts = batch_charts.counts_by_product(answered)
            theme.show(
                batch_charts.emotion_by_product(counts),
                alt=f"Rows by product and emotion. {batch_charts.in_words(counts)}",
                caption=batch_charts.in_short(counts),
                key="batch_by_product",
            )
        else:
            task = next(name for name in tasks.TASKS if name in answered)
            counts = ", ".join(f"{label} {count:,}" for label, count in answered[task].value_counts().items())
            theme.show(
                batch_charts.products(answered, task),
                alt=f"Rows by {task}: {counts}",
                caption=f"The most probable {task} of each row.",
                key="batch_by_task",
            )
    with right:
        for name in _confidences(answered):
            figure, spoken = batch_charts.confidence(answered[name], name.replace("_", " ").capitalize())
            theme.show(figure, alt=spoken, caption=spoken + ".", key=f"batch_{name}")


def _confidences(answered: pd.DataFrame) -> list[str]:
    """The columns that say how sure a row is: that of the answer where there is one, else those of the tasks."""
    if ANSWER_CONFIDENCE in answered:
        return [ANSWER_CONFIDENCE]
    return [name for name in answered if name.endswith("_confidence")]


@st.fragment
def _show_table(frame: pd.DataFrame, text_column: str, predicted: Sequence[str]) -> None:
    st.subheader("Rows", anchor=False)
    chosen = pd.Series(True, index=frame.index)
    labels = [name for name in (ANSWER, *tasks.TASKS) if name in predicted]
    confidences = [name for name in predicted if name.endswith("_confidence")]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for name in labels:
            options = sorted(frame[name].unique())
            picked = st.multiselect(name.capitalize(), options, key=f"filter_{name}", placeholder="All")
            if picked:
                chosen &= frame[name].isin(picked)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input("Rows that contain", key="filter_words", placeholder="Any words")
        least = st.slider("Confidence of at least", 0.0, 1.0, 0.0, 0.05, key="filter_confidence")
    if words:
        contains = pd.Series(False, index=frame.index)
        for name in frame.columns.difference(predicted):
            if frame[name].dtype.kind not in "biufc":
                contains |= frame[name].astype("str").str.contains(words, case=False, regex=False, na=False)
        chosen &= contains
    if least > 0:
        chosen &= frame[_confidences(frame[confidences])].min(axis=1) >= least
    found = frame[chosen]
    st.dataframe(
        found,
        lazy=True,
        hide_index=True,
        column_order=_order(frame, text_column, predicted),
        column_config={name: st.column_config.NumberColumn(format="percent") for name in confidences},
        alt=f"{len(found):,} of {len(frame):,} rows with their answers",
    )
    st.caption(f"{len(found):,} of {len(frame):,} rows")


def _order(frame: pd.DataFrame, text_column: str, predicted: Sequence[str]) -> list[str]:
    """What matters is seen first: the text, its answer and how sure that is."""
    answer = [name for name in (ANSWER, ANSWER_CONFIDENCE) if name in predicted]
    return list(dict.fromkeys([text_column, *answer, *predicted, *frame.columns]))


main()
