"""Monitor: how the model is doing in use: accuracy, latency, throughput, resources, errors, and drift."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import streamlit as st

from streamlit_app.charts import monitor_signals
from streamlit_app.components import loading, notices
from streamlit_app.components.widgets import offer_file, pick
from tf_model.errors import TweetTargetError
from tf_model.monitor import reference, report
from tf_model.monitor.export import labelled
from tf_model.monitor.store import DAY, HOUR, MINUTE, Of, Store

WINDOWS = {
    "15 min": 15 * MINUTE,
    "1 hour": HOUR,
    "6 hours": 6 * HOUR,
    "24 hours": DAY,
    "7 days": 7 * DAY,
    "30 days": 30 * DAY,
    "Whole log": None,
}
DEFAULT_WINDOW = "1 hour"
POINTS = 60  # of each chart
MOST_ERRORS, MOST_CORRECTIONS = 50, 200
REFRESH_SECONDS = 10


def main() -> None:
    """The page."""
    st.title("Monitor")
    st.markdown("How the model is doing in use, from the log of every prediction, error and correction.")
    store = Store(loading.monitor_log())
    with _explained_problems():
        names = _names(store.versions() if store.exists else [])
        if not names:
            words = "Ask something on the page Ask, or answer a file on the page Batch, and it shows here."
            st.info(f"Nothing has been recorded yet. {words}", icon=":material/monitoring:")
            return
        window = pick("Time", WINDOWS, "monitor_window", default=DEFAULT_WINDOW)
        left, middle, right = st.columns([3, 1, 1], vertical_alignment="bottom")
        model, version = left.selectbox(
            "Model", list(names), format_func=names.get, key="monitor_stream", persist_state="session"
        )
        source = middle.selectbox(
            "Asked by", store.sources((model, version)), None, key="monitor_source", placeholder="All, judged apart"
        )
        help_text = f"Look again every {REFRESH_SECONDS} seconds"
        live = right.toggle("Live", value=True, key="monitor_live", persist_state="session", help=help_text)
        # A fragment, so that looking again draws nothing else.
        st.fragment(_show, run_every=REFRESH_SECONDS if live else None)(
            store, (model, version, source), WINDOWS[window]
        )


@contextmanager
def _explained_problems() -> Iterator[None]:
    try:
        yield
    except TweetTargetError as error:
        notices.say_problem("The log of predictions cannot be read.", str(error))


def _names(versions: list[tuple[str, str, float]]) -> dict[tuple[str, str], str]:
    """How each version of each model is shown, the one that was used last first."""
    names: dict[tuple[str, str], str] = {}
    for model, version, last in versions:
        earlier = f"{model}, earlier ({version[:12]}, {pd.Timestamp(last, unit='s'):%d %b %Y})"
        names[model, version] = earlier if model in names.values() else model
    return names


@_explained_problems()
def _show(store: Store, of: Of, seconds: float | None) -> None:
    """All figures of one version of a model: those of two are never mixed."""
    model, version, source = of
    until = time.time()
    since = until - seconds if seconds else (store.span() or (until - HOUR, until))[0]
    try:
        known = reference.load(loading.models_folder() / model, version)
    except TweetTargetError as error:
        st.warning(notices.plain_markdown(str(error)), icon=":material/warning:")
        known = None
    judged = report.make(store, since, until, known, model, version, (until - since) / POINTS, source)
    corrections = store.corrections(since, until, MOST_CORRECTIONS, of)
    if not judged.window.requests and corrections.empty:
        [last] = [when for *name, when in store.versions() if name == [model, version]]
        words = f"The last record is of {_clock(last)} UTC. Choose a longer time."
        st.info(f"Nothing was recorded in this time. {words}", icon=":material/hourglass_empty:")
        return
    monitor_signals.show_alarms(judged)
    monitor_signals.show_summary(judged)
    monitor_signals.show_signals(judged)
    monitor_signals.show_errors(store.errors(since, until, MOST_ERRORS, of), judged, MOST_ERRORS)
    monitor_signals.show_corrections(corrections)
    if not corrections.empty:
        offer_file(
            "Download all corrections",
            lambda: labelled(store.corrections()).to_csv(index=False),
            "corrections.csv",
            "monitor_corrections",
            help="Those with a label, of every model and time, for `python -m tf_model.train --extra corrections.csv`",
        )
    monitor_signals.show_drift(judged)
    st.caption(f"{_clock(since)} to {_clock(until)} UTC. Version {notices.plain_markdown(version)}.")


def _clock(seconds: float) -> str:
    return f"{pd.Timestamp(seconds, unit='s'):%d %b %Y, %H:%M}"


main()
