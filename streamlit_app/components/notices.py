"""Notices about the model and errors; a user's words are never interpreted as Markdown."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from streamlit_app.components import loading
from streamlit_app.components.loading import ModelState
from streamlit_app.components.widgets import component
from tf_model import tasks
from tf_model.data.dataset import ASSIGNMENT
from tf_model.errors import TweetTargetError
from tf_model.paths import shown

IN_A_TERMINAL = "in a terminal, in the project's folder, after `. .venv/bin/activate`"
FULL_ANSWER = "make answer"  # the command that trains the model of both tasks
SPOKEN = "spoken"  # in the session: what a screen reader says once the page is drawn
_LIVE_HTML = '<p role="status"></p>'
_LIVE_JS = "export default ({ data, parentElement }) => { parentElement.querySelector('p').textContent = data; }"
# The live region is invisible. The rest is for the whole page: Streamlit marks a focused link faintly, its captions
# are too pale, its tables too wide for a phone, and the primary colour, made for white text on it, too dark for text.
_LIVE_CSS = """
p[role="status"] { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }
a:focus-visible { outline: 3px solid currentColor !important; outline-offset: 2px; }
[data-testid="stCaptionContainer"] { opacity: 0.8 !important; }
button[data-selected="true"], [role="tab"], [data-testid="stSliderThumbValue"] { color: inherit !important; }
[data-testid="stMarkdownContainer"] :is(th, td) { padding-inline: 0.3rem !important; }
"""
_MARKDOWN = re.compile(r"([!-/:-@\[-`{-~])")
# Where an address begins, which Markdown would make a link of, escaped or not; an invisible character prevents it.
_ADDRESS = re.compile(r"(?i)(?<=https:)(?=//)|(?<=http:)(?=//)|(?<=www)(?=\.)|(?<=[-.\w+])(?=@[-\w]+\.)")


def announce(words: str) -> None:
    """Have a screen reader say ``words`` when the page is drawn."""
    st.session_state[SPOKEN] = f"{st.session_state.get(SPOKEN, '')} {words}.".strip()


def show_announced() -> None:
    """Fill the live region with the announcements. Every page draws it: changes are read only in an existing region."""
    show_live(st.session_state.pop(SPOKEN, ""), "live")


def show_live(words: str, key: str) -> None:
    """Draw a live region of its own, for a fragment, whose changes are read."""
    component("live", html=_LIVE_HTML, css=_LIVE_CSS, js=_LIVE_JS, isolate_styles=False)(data=words, key=key)


def plain_markdown(text: str) -> str:
    """``text`` with every character escaped that has a meaning in Markdown, and no links."""
    return _MARKDOWN.sub(r"\\\1", _ADDRESS.sub("\u2060", text))


def say_problem(heading: str, detail: str) -> None:
    """Show an error: a heading, then the detail as plain text, since it may contain a user's words."""
    st.error(heading, icon=":material/error:")
    st.text(detail)


@contextmanager
def explained(heading: str) -> Iterator[None]:
    """Show an error that a user can act on below a heading, instead of the rest of the block."""
    try:
        yield
    except TweetTargetError as error:
        say_problem(heading, str(error))


@contextmanager
def said_by_toast() -> Iterator[None]:
    """Show an error of a callback in a toast: callbacks run before the page, so the frame cannot catch it."""
    try:
        yield
    except TweetTargetError as error:
        st.toast(plain_markdown(str(error)), icon=":material/error:", duration="long")


def usable_model() -> ModelState | None:
    """The model in use, after showing its limits on the page.

    None if no model can be used; the page then says why, and what to do.
    """
    state = loading.current_model()
    if state.predictor is not None:
        _say_if_replaced(state)
        asked = st.query_params.get("model", state.name)
        if asked not in (state.name, *loading.model_names()):
            words = f"There is no model {asked} here: the model {state.name} is used instead."
            st.warning(plain_markdown(words), icon=":material/link_off:")
        _say_limits(state)
        return state
    if state.server_url:
        say_problem("The model server cannot be used.", state.problem)
        return None
    if state.problem:
        say_problem("The model cannot be used.", state.problem)
        others = [name for name in loading.model_names() if name != state.name]
        if others:
            st.markdown(f"Choose another model in the sidebar: {', '.join(map(plain_markdown, others))}.")
    else:
        st.warning("There is no trained model yet.", icon=":material/model_training:")
        st.text(f"The app looks for models in {shown(loading.models_folder())}.")
    st.markdown("To train one, run this in a terminal, in the project's folder, then reload this page:")
    st.code(FULL_ANSWER, language="bash")
    return None


def how_to_get_both(state: ModelState) -> str:
    """What to do for answers of emotion and product together, which the model in use does not give."""
    if state.name != tasks.ANSWER and tasks.ANSWER in loading.model_names():
        return f"choose the model {tasks.ANSWER} in the sidebar."
    own_table = "python -m tf_model.train --task answer --data TABLE"
    return f"train the model of both: `{FULL_ANSWER}`, or for labels of your own `{own_table}`"


def _say_if_replaced(state: ModelState) -> None:
    seen = st.session_state.setdefault("seen_versions", {})
    if seen.get(state.name, state.version) != state.version:
        st.toast("The model was replaced: answers now come from the new one.", icon=":material/published_with_changes:")
    seen[state.name] = state.version


def _say_limits(state: ModelState) -> None:
    if state.predictor.is_sample:
        st.warning(
            "This model was trained on the small sample corpus, not on the real tweets. Its answers mean "
            f"nothing; they only show that the program works. Train a real model with `{FULL_ANSWER}`.",
            icon=":material/science:",
        )
    elif state.predictor.metrics.get("dataset") == ASSIGNMENT:
        products = state.predictor.labels.get(tasks.PRODUCT.name)
        scope = f"{len(products)} Apple and Google products" if products else "emotions toward Apple and Google"
        warning = " The answer for a whole text about another brand may name one of them." if products else ""
        st.caption(f"The model knows {scope}, from English tweets of one festival in March 2011.{warning}")
