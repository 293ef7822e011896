"""Labelling by hand: rows asked about one at a time, checks of random rows, and the queue of several annotators."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.components.files import as_training_csv
from streamlit_app.components.notices import IN_A_TERMINAL, plain_markdown, said_by_toast, show_live
from streamlit_app.components.runs import CHECKED, Run
from streamlit_app.components.training import can_train, offer_training
from streamlit_app.components.widgets import offer_file
from tf_model import tasks
from tf_model.analysis.label_queue import SIZE, agreement, label_queue, majority
from tf_model.analysis.shares import checked_sample, checking_order
from tf_model.data.examples import SPAN
from tf_model.errors import count_of
from tf_model.model_dir import ASSIGNMENT, SAMPLE
from tf_model.monitor.export import COLUMNS

ROWS_TO_CHECK = 50
ANNOTATOR = "annotator"  # in the session
LABELS = "labels"  # kept with the run: the rows of the queue, and each annotator's emotion by row
_lock = threading.Lock()  # two annotators may answer at the same moment


def ask_rows(
    run: Run, rows: pd.DataFrame, queue: list[int], labels: dict[str, Any], store: Callable[..., None], key: str
) -> bool:
    """Ask about the row that the session key ``key`` holds, then about the others of ``queue`` without a label.

    ``labels`` are the emotions by row, None for "Cannot tell", the newest last. ``store`` is called with a row and its
    emotion, or with the row alone to remove its label. Returns whether ``key`` holds a row of the queue.
    """
    state = st.session_state
    row = state.get(key)
    live_key = f"live{key.removeprefix(run.id)}"  # a component's key may not contain "__", as an id may
    unlabelled = [each for each in queue if str(each) not in labels]
    if row not in queue:
        show_live("", live_key)  # of a region that is there before, changes are read
        if labels and not unlabelled:  # to change or undo the last label
            newest = {key: int(list(labels)[-1])}
            st.button("Back to the last row", on_click=state.update, args=(newest,), key=f"{key}_newest")
        return False
    position = queue.index(row)

    @said_by_toast()
    def answer(emotion: str | None) -> None:
        store(row, emotion)
        following = [each for each in (*queue[position + 1 :], *queue[:position]) if each in unlabelled]
        state[key] = following[0] if following else None

    @said_by_toast()
    def undo() -> None:
        state[key] = int(list(labels)[-1])
        store(state[key])

    def step(offset: int) -> None:
        state[key] = queue[position + offset]

    line = rows.loc[row]
    with st.container(border=True):
        toward = f"at {line['product']}" if run.per_product else "at a product"
        st.markdown(plain_markdown(f"Which emotion does this text direct {toward}?"))
        st.text(line["text"])
        show_live(f"{toward}: {line['text']}", live_key)
        with st.container(horizontal=True):
            for number, emotion in enumerate([*run.emotions, None], start=1):
                words = plain_markdown(emotion or "Cannot tell")
                shortcut = str(number) if number < 10 else None
                st.button(words, on_click=answer, args=(emotion,), shortcut=shortcut, key=f"{key}_{number}")
        with st.container(horizontal=True):
            is_last = position + 1 == len(queue)
            st.button("Back", on_click=step, args=(-1,), shortcut="Left", disabled=not position, key=f"{key}_back")
            st.button("Next", on_click=step, args=(1,), shortcut="Right", disabled=is_last, key=f"{key}_next")
            st.button("Undo", on_click=undo, shortcut="Backspace", disabled=not labels, key=f"{key}_undo")
            st.button("Stop", on_click=state.update, args=({key: None},), shortcut="Esc", key=f"{key}_stop")
        own_answer = f" You said: {labels[str(row)] or 'Cannot tell'}." if str(row) in labels else ""
        st.caption(plain_markdown(f"Row {position + 1} of {len(queue)}, {len(unlabelled)} left.{own_answer}"))
    return True


@st.fragment
def check_rows(run: Run, rows: pd.DataFrame, key: str) -> None:
    """Ask about rows drawn at random; ``key`` is the session key of the row, and the prefix of the widgets' keys."""
    if not run.is_there:
        st.rerun()  # the page says so
    begun = len(checked_sample(rows, run.checked))
    queue = checking_order(rows)[: begun + ROWS_TO_CHECK - begun % ROWS_TO_CHECK].tolist()
    labels = {row: emotion for row, emotion in run.stored(CHECKED).items() if int(row) in queue}
    if ask_rows(run, rows, queue, labels, partial(_store_label, run, None), key):
        return
    if key in st.session_state:
        del st.session_state[key]
        st.rerun()  # the shares have changed
    if unchecked := [row for row in queue if str(row) not in labels]:
        words = f"Draw {count_of(len(unchecked), 'row')} to check by hand"
        st.button(words, on_click=st.session_state.update, args=({key: unchecked[0]},), icon=":material/checklist:")


@st.fragment
def show_queue(run: Run, rows: pd.DataFrame, table: pd.DataFrame, key: str) -> None:
    """The label queue of ``rows``, one row at a time, the annotators' agreement, and a file to train on.

    ``table`` has the same index and the positions of the mentions; ``key`` is the prefix of the widgets' keys.
    """
    if not run.is_there:
        st.rerun()  # the page says so
    name = st.text_input("Your name", key=ANNOTATOR, persist_state="session", max_chars=40).strip()
    stored = run.stored(LABELS) or {"queue": [], "labels": {}}
    queue = [row for row in stored["queue"] if row in rows.index]
    labels = {
        who: {row: by_row[row] for row in by_row if int(row) in rows.index} for who, by_row in stored["labels"].items()
    }
    if name:
        _label(run, rows, queue, labels.get(name, {}), f"{key}_at", name)
    else:
        st.info("Type your name. Your labels are kept with this file, under your name.")
    for line in agreement(labels).itertuples():
        kappa = "" if pd.isna(line.kappa) else f", Cohen's kappa {line.kappa:.2f}"
        agreed = f"{line.one} and {line.other} agree on {line.share:.0%}"
        st.markdown(plain_markdown(f"{agreed} of {count_of(line.rows, 'row')}{kappa}."))
    emotions = majority(labels)
    if emotions.empty:
        return
    columns = {"text": rows["text"].str.replace("\0", " "), tasks.EMOTION.name: emotions}
    if run.per_product:
        columns |= {tasks.PRODUCT.name: rows["product"]} | {name: table[name] for name in SPAN}
    file = pd.DataFrame(columns, emotions.index).reindex(columns=COLUMNS)
    words = f"Download {count_of(len(file), 'labelled row')}"
    offer_file(words, lambda: as_training_csv(file), "labels.csv", f"{key}_download")
    task = tasks.TARGET.name if run.per_product else tasks.ANSWER
    is_own = run.dataset not in (None, ASSIGNMENT, SAMPLE) or not set(run.emotions) <= set(tasks.EMOTIONS)
    options = f"--task {task}{' --data TABLE' if is_own else ''} --extra labels.csv --name candidate"
    st.code(f"python -m tf_model.train {options}", language="bash")
    words = " TABLE is what the model was trained on; repeat its other options too." if is_own else ""
    st.caption(
        f"Trains on these labels too; run it {IN_A_TERMINAL}, with labels.csv there. Rows without a majority, or that "
        f"nobody could label, are left out. To keep labels of an earlier training, add its rows to labels.csv.{words}"
    )
    if not is_own and can_train():
        offer_training(task, lambda: as_training_csv(file), f"{key}_train")


def _label(run: Run, rows: pd.DataFrame, queue: list[int], labels: dict[str, Any], key: str, name: str) -> None:
    """One row of the queue; the session key ``key`` holds its number. ``labels``: those given by ``name``, by row."""

    @said_by_toast()
    def begin() -> None:
        if not run.is_there:
            return
        with _lock:
            stored = run.stored(LABELS) or {"queue": [], "labels": {}}  # another annotator may have added rows
            own_now = stored["labels"].get(name, {})
            next_rows = [row for row in stored["queue"] if row in rows.index and str(row) not in own_now]
            if not next_rows:
                queued_texts = run.answers().rows["text"].loc[stored["queue"]]
                next_rows = label_queue(rows, run.emotions, labelled=queued_texts).tolist()
                run.store(LABELS, stored | {"queue": [*stored["queue"], *next_rows]})
        if next_rows:
            st.session_state[key] = next_rows[0]
        else:
            st.toast("No other text passes the filters.")

    if ask_rows(run, rows, queue, labels, partial(_store_label, run, name), key):
        return
    unlabelled = sum(str(row) not in labels for row in queue)
    words = f"Label {count_of(unlabelled, 'row')}" if unlabelled else f"Choose {SIZE} texts to label"
    st.button(words, on_click=begin, icon=":material/checklist:", key=f"{key}_begin")
    st.caption("The texts that pass the filters and that the model is least sure of, near-duplicates once.")


def _store_label(run: Run, name: str | None, row: int, *emotion: str | None) -> None:
    """Store a label, an annotator's or, without a name, that of a check; without ``emotion``, remove it."""
    with _lock:
        stored = run.stored(LABELS if name else CHECKED)
        labels = stored.setdefault("labels", {}).setdefault(name, {}) if name else stored
        labels.pop(str(row), None)
        labels |= {str(row): each for each in emotion}
        run.store(LABELS if name else CHECKED, stored)
