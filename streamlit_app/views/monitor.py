"""Monitor: how the model is doing in use: accuracy, latency, throughput, resources, errors, and drift."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from streamlit_app.charts.theme import monitor_signals
from streamlit_app.components import loading, notices
from tf_model.errors import TweetTargetError
from tf_model.monitor import overview, tally
from tf_model.monitor.reference import Reference, load, load_of
from tf_model.monitor.store import Store

HOUR = 3600
WINDOWS = {**overview.SPANS, "Whole log": None}
DEFAULT_WINDOW = "1 hour"
REFRESH_SECONDS = 10


@dataclass(frozen=True)
class Choice:
    """What is looked at.

    Attributes:
        model: Name of the model.
        version: Which training of it: figures of two versions are never mixed.
        window: One of :data:`WINDOWS`.
    """

    model: str
    version: str
    window: str


def main() -> None:
    """The page."""
    st.title("Monitor")
    st.markdown("How the model is doing in use, from the log of every prediction, error and correction.")
    store = Store(loading.monitor_log())
    if not store.exists:
        st.info(
            "Nothing has been recorded yet. Ask something on the page Ask, or answer a file on the page Batch, and it "
            "shows here.",
            icon=":material/monitoring:",
        )
        return
    try:
        choice, live = _controls(store)
        if choice is None:
            st.info("The log is empty so far. Ask something, and it shows here.", icon=":material/monitoring:")
            return
        st.fragment(_show, run_every=REFRESH_SECONDS if live else None)(store, choice)
    except TweetTargetError as error:
        notices.say_problem("The log of predictions cannot be read.", str(error))


def _controls(store: Store) -> tuple[Choice | None, bool]:
    """What is looked at, None of an empty log; and whether to look again every few seconds."""
    streams = _versions(store)
    if not streams:
        return None, False
    window = st.segmented_control("Time", list(WINDOWS), default=DEFAULT_WINDOW, required=True, key="monitor_window")
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    with left:
        stream = st.selectbox("Model", list(streams), format_func=streams.get, key="monitor_stream")
    with right:
        live = st.toggle("Live", value=True, key="monitor_live", help=f"Look again every {REFRESH_SECONDS} seconds")
    return Choice(*stream, window), live


def _versions(store: Store) -> dict[tuple[str, str], str]:
    """How each version of each model is shown, the one that was used last first."""
    streams = store.streams()
    last = streams.groupby(["model", "version"])["last"].max()
    newest = {model: store.newest(model) for model in streams["model"].unique()}
    order = sorted(last.index, key=lambda pair: (pair != store.newest(), pair != newest[pair[0]], pair))
    return {
        (model, version): model
        if newest[model] in ((model, version), None)
        else f"{model}, earlier ({version[:12]}, {last[model, version]:%d %b %Y})"
        for model, version in order
    }


def _show(store: Store, choice: Choice) -> None:
    """All figures; a fragment, so that looking again draws nothing else."""
    try:
        _show_figures(store, choice)
    except TweetTargetError as error:
        notices.say_problem("The log of predictions cannot be read.", str(error))


def _show_figures(store: Store, choice: Choice) -> None:
    since, until = _bounds(store, choice.window)
    reference, problem = _reference(choice.model, choice.version)
    seen = overview.read(store, since, until, reference, choice.model, choice.version)
    found = seen.report
    if not found.window.requests and not found.window.labels(tally.FEEDBACK):
        _say_nothing_happened(store, choice)
        return
    monitor_signals.show_alarms(found)
    monitor_signals.show_summary(found)
    monitor_signals.show_signals(found, seen.windows, seen.interactive)
    monitor_signals.show_errors(seen.errors, found)
    monitor_signals.show_corrections(seen.corrections, found)
    monitor_signals.show_drift(found, problem)
    st.caption(f"{_clock(since)} to {_clock(until)} UTC. Version {notices.plain_markdown(choice.version)}.")


def _bounds(store: Store, window: str) -> tuple[float, float]:
    now = time.time()
    seconds = WINDOWS[window]
    if seconds is not None:
        return now - seconds, now
    first, last = store.span() or (now - HOUR, now)
    return first, min(last, now)


def _reference(model: str, version: str) -> tuple[Reference | None, str]:
    """What the model is compared with, and why there is nothing to compare with."""
    folder = loading.models_folder() / model
    try:
        found = load_of(folder, version)
        if found is None and load(folder) is not None:
            return None, f"the reference.json of {model} belongs to another version of it"
    except TweetTargetError as error:
        return None, str(error)
    return found, "" if found else f"{model} has no reference.json: it was saved without one"


def _say_nothing_happened(store: Store, choice: Choice) -> None:
    last = store.last_time(choice.model, choice.version)
    last = "" if last is None else f" The last record is of {_clock(last)} UTC."
    st.info(f"Nothing was recorded in this time.{last} Choose a longer time.", icon=":material/hourglass_empty:")


def _clock(seconds: float) -> str:
    return f"{pd.Timestamp(seconds, unit='s'):%d %b %Y, %H:%M}"


main()
