"""What the pages say when something is wrong or must be known, without reading a user's words as Markdown."""

from __future__ import annotations

import re

import streamlit as st

from streamlit_app.components import loading, sample_training
from streamlit_app.components.loading import ModelState
from tf_model import paths, tasks
from tf_model.data.dataset import ASSIGNMENT
from tf_model.paths import shown

FULL_ANSWER = "make answer"
_MARKDOWN = re.compile(r"([!-/:-@\[-`{-~])")


def plain_markdown(text: str) -> str:
    """``text`` with every sign escaped that Markdown could read."""
    return _MARKDOWN.sub(r"\\\1", text)


def say_problem(heading: str, detail: str) -> None:
    """An error: what is wrong in our words, and the detail letter by letter, since it may hold a user's words."""
    st.error(heading, icon=":material/error:")
    st.text(detail)


def usable_model() -> ModelState | None:
    """The model; where there is none that can be used, say so, offer what helps, and return None."""
    state = loading.current()
    if state.kind == loading.READY:
        _say_if_replaced(state)
        return state
    if state.served:
        say_problem("The model server cannot be used.", state.message)
        return None
    if state.kind == loading.MISSING:
        st.warning("There is no trained model yet, so nothing can be answered.", icon=":material/model_training:")
        st.text(f"Models are looked for in {shown(loading.models_folder())}.")
    else:
        say_problem("The model cannot be used.", state.message)
        others = [name for name in loading.model_names() if name != state.name]
        if others:
            st.markdown(f"Choose another one beside the page: {', '.join(map(plain_markdown, others))}.")
    st.markdown(
        "**To train on the real tweets**, run this in a terminal, in the folder of the project. "
        "The page finds the model as soon as it is there."
    )
    st.code(FULL_ANSWER, language="bash")
    sample_training.offer(loading.models_folder(), paths.SAMPLE_CORPUS)
    return None


def say_limits(state: ModelState) -> None:
    """What must be known before an answer of this model is believed."""
    if state.on_sample:
        st.warning(
            "This model was trained on the small sample corpus, not on the real tweets: "
            f"its answers show that the program works, and mean nothing. Train a real one with `{FULL_ANSWER}`.",
            icon=":material/science:",
        )
    if state.predictor.metrics.get("dataset") == ASSIGNMENT:  # of another dataset its owner knows the limits
        products = state.predictor.labels.get(tasks.PRODUCT.name)
        known = f"{len(products)} Apple and Google products" if products else "emotions toward Apple and Google"
        brand = ": a text about another brand still gets one of them" if products else ""
        st.caption(f"It knows {known} from English tweets of one festival in March 2011{brand}.")


def _say_if_replaced(state: ModelState) -> None:
    before = st.session_state.get("seen_model")
    now = (state.name, state.version)
    st.session_state["seen_model"] = now
    if before is not None and before[0] == now[0] and before[1] != now[1]:
        st.toast("The model was replaced: answers now come from the new one.", icon=":material/published_with_changes:")
