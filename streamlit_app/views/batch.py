"""Batch: answers each row of a file; a file is a run with its own address, to explore and download."""

from datetime import datetime

import streamlit as st

from streamlit_app.components import files, loading, notices, products, runs
from streamlit_app.components.files import LIMITS
from streamlit_app.components.loading import ModelState
from streamlit_app.components.notices import plain_markdown
from streamlit_app.components.run_explorer import RunExplorer
from streamlit_app.components.runs import Run
from streamlit_app.components.widgets import pick
from tf_model import tasks
from tf_model.cli import duration
from tf_model.data.products import Products
from tf_model.errors import count_of
from tf_model.inference.targets import TargetPredictor

PER_TEXT, PER_PRODUCT = "one row per text", "one row per product"
ROWS, OWN_ROWS = "batch_rows", "batch_rows_own"  # in the session; each has a default of its own
RUN = "run"  # in the address
POLL_SECONDS = 0.5


def main() -> None:
    """The page."""
    st.title("Batch")
    state = notices.usable_model()
    if RUN in st.query_params:
        _show_run(st.query_params[RUN], state)
        return
    if state:
        st.markdown("An answer for every row of a file.")
        _take_file()
    _list_runs()


# ---------------------------------------------------------------- the file


def _take_file() -> None:
    """Store the file that the user chooses as a run, and open it."""
    file = st.file_uploader(
        "A file with one text in each row",
        type=files.TYPES,
        help="CSV, TSV, XLSX, Parquet or JSON lines, or plain text with one text per line",
        key="batch_file",
    )
    st.caption(
        f"Up to {LIMITS.rows:,} rows, {LIMITS.columns:,} columns, {LIMITS.cells:,} cells and 100 MB "
        f"({LIMITS.bytes // 10**6} MB unpacked). Larger files, {notices.IN_A_TERMINAL}: `{files.COMMAND_LINE}`, "
        f"or, as far as they fit into memory, `{files.REPORT}`"
    )
    if file is None:
        return
    with notices.explained("This file cannot be used here."):
        with st.spinner("Reading the file…"):
            st.query_params[RUN] = runs.store(file.name, file.getbuffer()).id
        st.rerun()


def _offer_answer(run: Run, state: ModelState) -> None:
    """Show the first rows of a new run, and let the user choose how to answer it."""
    table, first_rows = run.contents()
    columns = list(dict.fromkeys(table.columns))
    column = st.selectbox(
        "Column with the texts",
        columns,
        index=columns.index(run.column or table.text_column),
        key=f"column_{run.id}",
        persist_state="session",
    )
    if column == table.text_column:
        st.caption(f"Chosen automatically: {table.reason}.")
    answering_state, finder, products_named = _choose_rows(state)
    if answering_state is None:
        return
    st.dataframe(first_rows, hide_index=True, alt=f"The first of the file's {run.rows:,} rows")
    st.caption(f"The first {len(first_rows):,} of {run.rows:,} rows.")
    for note in table.notes:
        st.text(f"Note: {note}")
    labels = answering_state.predictor.labels
    if not tasks.has_answer(labels):
        st.info(
            f"This model predicts the {' '.join(labels)} only: there will be no Over time, Compare, Themes, Label "
            f"queue or report. For these, {notices.how_to_get_both(answering_state)}",
            icon=":material/info:",
        )
    words = f"Answer {count_of(run.rows, 'row')}"
    if st.button(words, type="primary", icon=":material/play_arrow:"):
        runs.start(run, answering_state, column, finder, products_named)
        st.rerun()


def _choose_rows(state: ModelState) -> tuple[ModelState | None, TargetPredictor | None, Products | None]:
    """The model that answers, the predictor for one row per product, and the products to look for.

    Each may be None.
    """
    targets, texts = loading.target_model(state), loading.text_model(state)
    if targets is None:
        return state, None, products.known_to(state, None)
    rows, key = [PER_PRODUCT, PER_TEXT] if texts else [PER_PRODUCT], ROWS
    emotions = state.predictor.labels.get(tasks.EMOTION.name)
    if emotions and targets.predictor and emotions != targets.predictor.labels[tasks.TARGET.name]:
        rows, key = rows[::-1], OWN_ROWS  # the user chose a model of other labels
    choice = pick("Answer with", rows, key)
    finder = products.choose(targets, texts)
    if choice == PER_PRODUCT:
        return (targets if finder else None), finder, finder and finder.products
    return texts, None, products.known_to(texts, finder)


# ---------------------------------------------------------------- the runs


def _list_runs() -> None:
    """List the runs of this browser, with buttons to open or delete each."""
    own_runs = runs.own_runs()
    if not own_runs:
        return
    st.subheader("Your files", anchor=False)
    for run in own_runs:
        with st.container(horizontal=True, vertical_alignment="center"):
            name = plain_markdown(run.name)
            st.page_link("views/batch.py", label=name, icon=":material/table_view:", query_params={RUN: run.id})
            st.caption(f"{count_of(run.rows, 'row')}, {run.status}, {_dates(run)}")
            _offer_deletion(run)
    st.caption(
        f"Kept on this machine for {runs.KEPT_DAYS} days after the last change. Anyone who has the address of a file "
        "can open it."
    )


def _dates(run: Run) -> str:
    began, end = map(datetime.fromtimestamp, (run.began, run.kept_until))
    return f"{began.day} {began:%B %Y, %H:%M}, kept until {end.day} {end:%B %Y}"


def _offer_deletion(run: Run) -> None:
    with st.popover("Delete", icon=":material/delete:", key=f"ask_{run.id}"):
        also = "This also deletes its answers, checks, labels and theme names."
        st.markdown(f"{also} A training on its labels keeps its copy for a week.")
        st.button("Delete for good", on_click=_delete, args=(run,), type="primary", key=f"delete_{run.id}")


def _delete(run: Run) -> None:
    run.delete()
    st.query_params.clear()


@notices.said_by_toast()
def _answer_again(run: Run, state: ModelState | None) -> None:
    """Offer a run as if it were new, with its settings, unless another window was faster."""
    now = runs.find(run.id)
    if now is None or now.status != run.status:
        return
    run.status = runs.NEW
    run.save()
    st.session_state[ROWS] = st.session_state[OWN_ROWS] = PER_PRODUCT if run.per_product else PER_TEXT
    if run.per_product and run.products:  # else they are those of the model of whole texts
        products.use(Products(run.products), state and loading.target_model(state))


# ---------------------------------------------------------------- one run


def _show_run(name: str, state: ModelState | None) -> None:
    st.query_params[RUN] = name  # streamlit does not change the address when a page links to itself
    run = runs.find(name)
    with st.container(horizontal=True):
        st.button("All files", on_click=st.query_params.clear, icon=":material/arrow_back:")
        if run:
            _offer_deletion(run)
            if job := run.job:
                st.button("Cancel", on_click=job.cancel, icon=":material/stop_circle:")
            if run.status not in (runs.NEW, runs.RUNNING, runs.DONE):
                st.button("Answer it again", on_click=_answer_again, args=(run, state), icon=":material/replay:")
    if run is None:
        st.info("There is no such file here: it was deleted, or has expired.", icon=":material/delete:")
        return
    st.subheader(plain_markdown(run.name), anchor=False)
    if run.status == runs.NEW:
        if state:
            _offer_answer(run, state)
        return
    rows = count_of(run.rows, "row")
    settings = f"column {run.column}, {PER_PRODUCT if run.per_product else PER_TEXT}"
    verb = "answered by" if run.status == runs.DONE else "begun with"
    st.caption(plain_markdown(f"{rows}, {settings}, {verb} {run.model} ({run.which}) on {_dates(run)}"))
    if run.status == runs.RUNNING or run.job:
        _follow(run)
    elif run.status == runs.DONE:
        _show_answers(run, state)
    elif run.status == runs.FAILED:
        notices.say_problem("The file could not be answered.", run.problem)
    elif run.status == runs.CANCELLED:
        st.info(f"{run.problem} No answers were kept.", icon=":material/stop_circle:")
    else:
        st.info("Not all rows were answered: the app was stopped, or its disk is full.", icon=":material/power_off:")


@st.fragment(run_every=POLL_SECONDS)
def _follow(run: Run) -> None:
    job = run.job
    if job is None:
        st.rerun()
    elif not job.done:
        st.progress(0.0, text="Cancelling…" if job.is_cancelled else "Reading the file and scoring the first rows…")
    elif job.done == run.rows:
        st.progress(1.0, text="Preparing the page…")
    else:
        left = "cancelling" if job.is_cancelled else f"{duration(job.seconds_left)} left"
        st.progress(job.done / run.rows, text=f"{job.done:,} of {run.rows:,} rows, {left}")


def _show_answers(run: Run, state: ModelState | None) -> None:
    current_model = state and (loading.target_model(state) if run.per_product else loading.text_model(state))
    predictor = current_model and current_model.predictor
    is_current = predictor and (run.model, run.version) == (current_model.name, predictor.version)
    if state and not is_current:
        st.info(
            "These answers come from a different model than the one now in use. So shares are not corrected, and "
            "there is no report. Choose that model in the sidebar or, if it was replaced, upload the file again.",
            icon=":material/published_with_changes:",
        )
    with st.spinner("Reading the answers…"):
        explorer = RunExplorer(run, current_model if is_current else None)
    took = duration(run.seconds) if run.seconds >= 1 else "less than a second"
    row_count = count_of(run.rows, "row")
    words = f"{row_count} answered in {took} ({run.rows / run.seconds:,.0f} a second)"
    if (answer_count := len(explorer.all_tweets)) > run.rows:
        words += f". A text that names several products has a row for each: {answer_count:,} rows below."
    st.success(words, icon=":material/check_circle:")
    explorer.show()


main()
