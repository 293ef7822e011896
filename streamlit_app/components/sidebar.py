"""Beside every page: which model answers, what it was trained on, and how good it was found to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from streamlit_app.components import batch_job, loading, notices
from streamlit_app.components.batch_job import BatchJob
from streamlit_app.components.loading import ModelState
from tf_model import tasks

FOLLOW_SECONDS = 10
_STATES = {
    loading.READY: (":material/check_circle: Ready", "green"),
    loading.MISSING: (":material/help: No model yet", "orange"),
    loading.BROKEN: (":material/error: Cannot be used", "red"),
}


def show() -> None:
    """Draw the sidebar."""
    with st.sidebar:
        st.subheader("Model", anchor=False)
        names = loading.model_names()
        if len(names) > 1:
            st.session_state["model_in_use"] = loading.chosen(names)  # also where the list has grown or shrunk
            st.selectbox("Model in use", names, key="model_in_use", on_change=_choose)
        state = loading.current()
        label, colour = _STATES[state.kind]
        st.badge(label, color=colour)
        if state.kind == loading.READY:
            _describe(state)
        job = st.session_state.get(batch_job.JOB)
        if job is not None and job.running:
            _follow(job)


@st.fragment(run_every=FOLLOW_SECONDS)
def _follow(job: BatchJob) -> None:
    """How far a file is, on every page: a job that nobody follows for long is taken for abandoned."""
    share, _ = job.poll()
    if job.running:
        st.progress(share, text=f"Batch: {job.done:,} of {job.total:,} rows")
    else:
        st.caption("Batch: the file is done.")


def _choose() -> None:
    loading.choose(st.session_state["model_in_use"])


def _describe(state: ModelState) -> None:
    if state.on_sample:
        st.badge("Trained on the sample corpus", icon=":material/science:", color="orange")
    tells = " and ".join(state.predictor.labels)
    st.caption(f"**{notices.plain_markdown(state.name)}** tells {tells}.")
    for line in figures(state.predictor.metrics):
        st.caption(line)
    if state.predictor.metrics.get("protocol"):
        st.caption(f"Measured on {notices.plain_markdown(str(state.predictor.metrics['protocol']))}")
    asked = f", asked at {state.served}" if state.served else ""
    st.caption(notices.plain_markdown(state.which + asked))


def figures(metrics: Mapping[str, Any]) -> list[str]:
    """One line for each accuracy on the validation part, with its 95% interval and its size."""
    validation = metrics.get("validation", {})
    parts = {"": validation} if "accuracy" in validation else validation
    lines = []
    for name, part in parts.items():
        if not isinstance(part, dict) or "accuracy" not in part or "rows" not in part:
            continue
        line = f"{f'{name} ' if name else ''}accuracy {part['accuracy']:.3f}".capitalize()
        if "accuracy_interval" in part:
            low, high = part["accuracy_interval"]
            line += f" (95%: {low:.3f} to {high:.3f})"
        line += f", {part['rows']:,} validation tweets"
        lines.append(f"{line}; of the best guess, nothing withheld" if name == tasks.ANSWER else line)
    return lines
