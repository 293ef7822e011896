"""Batch: a file in, an answer for each row, charts and a table of them, and the file with its answers to download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.charts import bar_charts, theme
from streamlit_app.components import batch_job, files, loading, notices, products, recording
from streamlit_app.components.batch_job import BatchJob
from streamlit_app.components.files import LIMITS, Upload
from streamlit_app.components.loading import ModelState
from tf_model import eda, tasks
from tf_model.cli import duration
from tf_model.data.products import Products
from tf_model.errors import plural
from tf_model.inference.fit import FIT, STATUS
from tf_model.inference.targets import TargetPredictor
from tf_model.io.workbooks import MOST_CHARACTERS
from tf_model.modeling.joint_label import NOT_SURE

PER_TEXT, PER_PRODUCT = "one row per text", "one row per product"
UPLOAD, JOB = "batch_upload", "batch_job"  # in the session: the file, and the scoring of it
POLL_SECONDS = 0.5
ANSWER, ANSWER_CONFIDENCE = "answer", "answer_confidence"
WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def main() -> None:
    """The page."""
    st.title("Batch")
    st.markdown("An answer for every row of a file.")
    state = notices.usable_model()
    if state is None:
        return
    upload = _choose_file()
    if upload is None:
        return
    if upload.problem:
        notices.say_problem("This file cannot be used here.", upload.problem)
        return
    job: BatchJob | None = st.session_state.get(JOB)
    running = job is not None and job.running
    column = _choose_column(upload, disabled=running)
    state, finder, listed = _choose_rows(state, disabled=running)
    if state is None:
        return
    _show_first_rows(upload)
    if st.button(
        f"Answer {upload.rows:,} {plural(upload.rows, 'row', 'rows')}",
        type="primary",
        icon=":material/play_arrow:",
        disabled=running or not upload.rows,
    ):
        st.session_state[JOB] = BatchJob(state, upload, column, recording.recorder(state), finder, listed)
        st.rerun()
    if running:
        _follow(job)
    elif job is not None and (job.column, *_kind(job.targets, job.products)) == (column, *_kind(finder, listed)):
        _show_outcome(job, state)


# ---------------------------------------------------------------- the file


def _choose_file() -> Upload | None:
    """The file in the uploader; if the browser forgot it because another page was opened, that of the session."""
    file = st.file_uploader(
        "A file with one text in each row",
        type=files.TYPES,
        help="CSV, TSV, XLSX, Parquet or JSON lines, or plain text with one text per line",
        key="batch_file",
        on_change=_forget,
    )
    st.caption(f"Up to {LIMITS.rows:,} rows, {LIMITS.cells:,} cells and 100 MB. Larger files: `{files.COMMAND_LINE}`")
    upload: Upload | None = st.session_state.get(UPLOAD)
    if file is not None and (upload is None or upload.id != file.file_id):
        with st.spinner("Reading the file…"):
            upload = st.session_state[UPLOAD] = files.keep(file.file_id, file.name, file.getbuffer())
    elif file is None and upload is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(f"Still here: {upload.name}")
            st.button("Remove", on_click=_forget, icon=":material/close:")
    return upload


def _forget() -> None:
    """Another file was chosen, or this one removed."""
    st.session_state.pop(UPLOAD, None)
    job: BatchJob | None = st.session_state.pop(JOB, None)
    if job is not None:
        job.cancel()


def _choose_column(upload: Upload, disabled: bool) -> str:
    columns = list(dict.fromkeys(upload.columns))
    column = st.selectbox(
        "Column with the texts",
        columns,
        index=columns.index(upload.text_column),
        disabled=disabled,
        key=f"column_{upload.id}",
        persist_state="session",  # as the file is
    )
    if column == upload.text_column:
        st.caption(f"Chosen automatically: {upload.reason}.")
    return column


def _choose_rows(
    state: ModelState, disabled: bool
) -> tuple[ModelState | None, TargetPredictor | None, Products | None]:
    """The model that answers, for a row of each product what finds them, and the products to look for.

    None for what is not there.
    """
    targets, texts = loading.of_targets(state), loading.of_texts(state)
    if targets is None:
        return state, None, None
    rows = [PER_TEXT, PER_PRODUCT] if texts else [PER_PRODUCT]
    chosen = st.segmented_control(
        "Answer with",
        rows,
        default=rows[0],
        required=True,
        disabled=disabled,
        key="batch_rows",
        persist_state="session",
    )
    finder = products.choose(targets, texts)
    listed = finder and finder.products
    if chosen == PER_TEXT:
        return texts, None, listed
    return (targets if finder else None), finder, listed


def _kind(finder: TargetPredictor | None, listed: Products | None) -> tuple[bool, Any]:
    """What else a result depends on: a row for each product or not, and which products are looked for."""
    return finder is not None, listed and listed.aliases


def _show_first_rows(upload: Upload) -> None:
    st.dataframe(upload.first_rows, hide_index=True, alt=f"The first rows of the file, of {upload.rows:,}")
    st.caption(f"The first {min(len(upload.first_rows), upload.rows):,} of {upload.rows:,} rows.")
    for note in upload.notes:
        st.text(f"Note: {note}")


# ---------------------------------------------------------------- the work


@st.fragment(run_every=POLL_SECONDS)
def _follow(job: BatchJob) -> None:
    if not job.running:
        st.rerun()
    share, left = job.progress()
    if left is None:
        st.progress(0.0, text="Reading the file and scoring the first rows…")
    else:
        st.progress(share, text=f"{job.done:,} of {job.total:,} rows, {duration(left)} left")
    if st.button("Cancel", icon=":material/stop_circle:"):
        with st.spinner("Cancelling…"):
            job.cancel(wait=30)
        st.rerun()


# ---------------------------------------------------------------- the result


def _show_outcome(job: BatchJob, state: ModelState) -> None:
    if job.status == batch_job.CANCELLED:
        st.info(
            f"Cancelled after {job.done:,} of {job.total:,} rows. No answers were kept.", icon=":material/stop_circle:"
        )
        return
    if job.status == batch_job.FAILED:
        notices.say_problem("The file could not be answered.", job.problem)
        return
    if (job.state.name, job.state.version) != (state.name, state.version):
        model = notices.plain_markdown(f"{job.state.name} ({job.state.which})")
        st.info(
            f"These are the answers of the model {model}, not of the one in use now.",
            icon=":material/published_with_changes:",
        )
    rows = job.total
    st.success(
        f"{rows:,} {plural(rows, 'row', 'rows')} answered in "
        f"{duration(job.seconds) if job.seconds >= 1 else 'less than a second'} ({rows / job.seconds:,.0f} a second)",
        icon=":material/check_circle:",
    )
    _offer_downloads(job)
    counted = _choose_counted(job)
    if job.targets:
        _show_mentions(counted)
    elif len(counted):
        _show_charts(counted[job.predicted], job.state.predictor.no_emotion)
    _show_table(job)


def _choose_counted(job: BatchJob) -> pd.DataFrame:
    """The rows that the charts count: those that are fit for the model, or all if the user lets them in."""
    status = job.result[STATUS]
    is_fit = status == FIT
    if is_fit.all():
        return job.result
    others = (~is_fit).sum()
    with st.container(border=True):
        st.subheader("Fit for the model?", anchor=False)
        reasons = status[~is_fit].str.split("; ").explode().value_counts()
        lines = [f"- {reason}: **{count:,}**" for reason, count in reasons.items()]
        words = f"{others:,} of {len(status):,} rows {plural(others, 'is', 'are')} not; the answer there means little:"
        st.markdown("\n".join([words, *lines]))
        let_in = st.checkbox("Count them in the charts", key="batch_let_in", persist_state="session")
        st.caption("The table and the download keep every row, with the column status.")
    return job.result if let_in else job.result[is_fit]


def _offer_downloads(job: BatchJob) -> None:
    with st.container(horizontal=True):
        for kind, write, mime in (("CSV", files.as_csv, "text/csv"), ("XLSX", files.as_xlsx, WORKBOOK)):
            st.download_button(
                f"Download {kind}",
                data=lambda write=write: write(job.result),  # made when it is asked for
                file_name=f"{Path(job.upload.name).stem[:80]}_answers.{kind.lower()}",
                mime=mime,
                on_click="ignore",
                icon=":material/download:",
                key=f"download_{kind}",
            )
    if ANSWER in job.predicted:
        no_emotion = job.state.predictor.no_emotion
        st.caption(
            "To act on single rows, use the column answer. To count, use emotion, and product where emotion is not "
            f'"{notices.plain_markdown(no_emotion)}": non-neutral texts are "{NOT_SURE}" more often, so shares of the '
            "answers lean to no emotion."
            if no_emotion
            else "To act on single rows, use the column answer. To count, use emotion and product."
        )
    st.caption(
        "In the CSV, a text that a spreadsheet would run as a formula gets an apostrophe in front. The XLSX keeps such "
        f"a text, and of each text the first {MOST_CHARACTERS:,} characters."
    )


def _show_charts(predictions: pd.DataFrame, no_emotion: str | None) -> None:
    left, right = st.columns(2)
    with left:
        if ANSWER in predictions:
            _show_emotion_by_product(predictions, no_emotion)
        else:
            task = predictions.columns[0]
            counts = predictions[task].value_counts()
            theme.show(
                theme.horizontal_bars(counts.index, counts, title=f"Rows by {task}"),
                alt=f"Rows by {task}: {', '.join(f'{label} {count:,}' for label, count in counts.items())}",
                caption=f"The most probable {task} of each row.",
                key="batch_by_task",
            )
    with right:
        _show_confidences(predictions[_confidence(predictions)], "rows")


def _show_confidences(values: pd.Series, unit: str) -> None:
    words = f"Half of the {unit} have a confidence above {values.median():.0%}."
    theme.show(
        bar_charts.confidences(values, "How sure the model is"), alt=words, caption=words, key="batch_confidence"
    )


def _show_mentions(rows: pd.DataFrame) -> None:
    """Charts of the mentions; texts that name no product have none."""
    named = rows[rows["start"].notna()]
    mentions = plural(len(named), "mention", "mentions")
    caption = f"{len(named):,} {mentions} of products: of each text the first of each product."
    if named.empty:
        st.caption(caption)
        return
    left, right = st.columns(2)
    with left:
        _show_counts(named, "Mentions by product and emotion", caption)
    with right:
        _show_confidences(named["emotion_confidence"], "mentions")


def _show_emotion_by_product(predictions: pd.DataFrame, no_emotion: str | None) -> None:
    """The best guesses, not the answers: the model abstains from non-neutral texts more often than from others."""
    non_neutral = predictions[predictions["emotion"] != no_emotion]
    rows, unsure = len(non_neutral), (non_neutral[ANSWER] == NOT_SURE).sum()
    caption = (
        f"By the best guess, {rows:,} {plural(rows, 'row has', 'rows have')} an emotion toward a product ({unsure:,} "
        f"of them not sure) and {len(predictions) - rows:,} {plural(len(predictions) - rows, 'has', 'have')} none."
    )
    if non_neutral.empty:
        st.caption(caption)
        return
    _show_counts(non_neutral, "Rows by product and emotion", caption)


def _show_counts(rows: pd.DataFrame, title: str, caption: str) -> None:
    counts = rows.value_counts(["emotion", "product"]).reset_index(name="tweets")
    order = eda.label_order(rows, "emotion")  # as on every page
    counts = counts.sort_values("emotion", key=lambda names: names.map(order.index), kind="stable")
    words = [
        f"{emotion}: {', '.join(f'{bar.product} {bar.tweets:,}' for bar in part.itertuples())}"
        for emotion, part in counts.groupby("emotion")
    ]
    theme.show(
        bar_charts.emotion_by_product(counts, title, "tweets"),
        alt=f"{title}. {'; '.join(words)}",
        caption=caption,
        key="batch_by_product",
    )


def _confidence(predictions: pd.DataFrame) -> str:
    """The column that says how sure a row is: that of the answer, or of the only task."""
    return ANSWER_CONFIDENCE if ANSWER_CONFIDENCE in predictions else f"{predictions.columns[0]}_confidence"


@st.fragment
def _show_table(job: BatchJob) -> None:
    st.subheader("Rows", anchor=False)
    frame = job.shown
    keep = pd.Series(True, index=frame.index)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for name in (ANSWER, *tasks.TASKS, STATUS):
            if name in (*job.predicted, STATUS):
                labels = sorted(frame[name].dropna().unique())
                wanted = st.multiselect(
                    name.capitalize(), labels, key=f"filter_{name}", persist_state="session", placeholder="All"
                )
                keep &= frame[name].isin(wanted) | (not wanted)
        words = st.text_input("Text contains", key="filter_words", persist_state="session", placeholder="Any text")
    keep &= frame[job.column].astype("str").str.contains(words, case=False, regex=False, na=False) | (not words)
    answer = ("product", "emotion", "emotion_confidence") if job.targets else (ANSWER, ANSWER_CONFIDENCE)
    first = [name for name in (job.column, *answer) if name in frame]  # what matters is seen first
    percent = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        frame[keep],
        lazy=True,
        hide_index=True,
        column_order=list(dict.fromkeys([*first, *job.predicted, *frame.columns])),
        column_config={name: percent for name in job.predicted if name.endswith("_confidence")},
        alt=f"{keep.sum():,} of {len(frame):,} rows with their answers",
    )
    st.caption(f"{keep.sum():,} of {len(frame):,} rows. A click on the head of a column sorts by it.")


main()
