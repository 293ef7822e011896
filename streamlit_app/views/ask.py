"""Ask: one text in, the answer as a sentence, then what it rests on, and what people say of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from streamlit_app.charts.theme import theme
from streamlit_app.components import headline, loading, notices, recording, token_highlighting
from streamlit_app.components.loading import Answer, ModelState
from tf_model import tasks
from tf_model.errors import TweetTargetError
from tf_model.inference.predictor import MAX_CHARACTERS, probability_column
from tf_model.modeling.joint_label import NOT_SURE, confidence_of
from tf_model.monitor.writer import LOST, WAITING

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from tf_model.monitor.recorder import Recorder

EXAMPLES = {
    "A happy one": "Loving the new iPad, the screen is gorgeous and the battery lasts all day! #sxsw",
    "An angry one": "My iPhone battery is dead again by noon, this is so annoying #fail",
    "No emotion": "Google will talk about its maps at 3 pm in hall 2 #sxsw",
    "Two brands": "Queued two hours at the pop-up Apple store while my Android phone did all the work",
    "Hard to say": "well that was quite a launch",
}
NOT_SAID = "I don't say"
NOT_READ = "It passes over addresses, emoji and scripts other than Latin, and of a long text it reads the beginning."
TEXT_KEY = "ask_text"


def main() -> None:
    """The page."""
    st.title("Ask")
    st.markdown("Which emotion does a text direct at which product?")
    state = notices.usable_model()
    if state is None:
        return
    notices.say_limits(state)
    text = _text_input()
    if not text.strip():
        if text:
            st.info("This text holds only spaces. Write a few words to get an answer.", icon=":material/edit_note:")
        return
    if len(text) > MAX_CHARACTERS:
        st.info(
            f"The text has {len(text):,} characters; only the first {MAX_CHARACTERS:,} are read.",
            icon=":material/content_cut:",
        )
    try:
        answer = loading.ask(state, text)
    except TweetTargetError as error:
        _record_failure_once(state, text, error)
        notices.say_problem("This text could not be answered.", str(error))
        return
    answer = _record_once(state, text, answer)
    remark = _show_answer(state, answer)
    _show_probabilities(state, answer.row)
    _show_words(state, text, remark)
    _take_feedback(state, text, answer.row)


# ---------------------------------------------------------------- the text


def _text_input() -> str:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Try an example:")
        for name, example in EXAMPLES.items():
            st.button(name, on_click=_write, args=(example,), key=f"example_{name}")
    text = st.text_area(
        "Your text",
        key=TEXT_KEY,
        persist_state="session",
        height=110,
        placeholder="Paste a tweet, a comment or a review, then press Ctrl + Enter or the button",
    )
    st.button("Ask", type="primary", icon=":material/send:", help="Leaving the box or Ctrl + Enter asks as well")
    return text or ""


def _write(text: str) -> None:
    st.session_state[TEXT_KEY] = text


def _key(state: ModelState, text: str) -> str:
    """A short name of this text asked of this model, for the keys of widgets."""
    return hashlib.sha256(f"{state.name}\0{state.version}\0{text}".encode("utf-8", "replace")).hexdigest()[:16]


def _record_once(state: ModelState, text: str, answer: Answer) -> Answer:
    """A rerun of the page is no new question: it shows the answer as it was when it was asked."""
    key = _key(state, text)
    if st.session_state.get("recorded_question") != key:
        st.session_state["recorded_question"] = key
        st.session_state["was_remembered"] = answer.remembered
        log = recording.recorder(state)
        recording.record(log, [text], answer.measured, recording.APP, remembered=answer.remembered)
    return replace(answer, remembered=st.session_state["was_remembered"])


def _record_failure_once(state: ModelState, text: str, error: TweetTargetError) -> None:
    """A rerun of the page fails once more, and is no new question either."""
    key = (_key(state, text), str(error))
    if st.session_state.get("recorded_failure") != key:
        st.session_state["recorded_failure"] = key
        recording.record_error(recording.recorder(state), error, recording.APP)


# ---------------------------------------------------------------- the answer


def _show_answer(state: ModelState, answer: Answer) -> DeltaGenerator:
    """The answer; returns a place in it for what is known only later."""
    found = headline.headline(answer.row)
    with st.container(border=True):
        st.header(notices.plain_markdown(found.text), anchor=False)
        if found.kind == headline.NOT_SURE:
            _show_guesses(state, answer.row, found)
        elif found.kind == headline.NO_EMOTION:
            st.markdown(f"**{found.sure}**. So there is no product to name.")
        else:
            st.markdown(f"**{found.sure}**")
        if found.kind == headline.PARTIAL:
            known, missing = ("product", "emotion") if tasks.PRODUCT.name in answer.row else ("emotion", "product")
            st.info(
                f"This model tells the {known} only, not the {missing}. "
                f"For the full answer, train the joint model: `{notices.FULL_ANSWER}`",
                icon=":material/info:",
            )
        how = (
            "Answered before, and remembered," if answer.remembered else f"Answered in {answer.seconds * 1000:,.0f} ms"
        )
        st.caption(f"{how} by the model **{notices.plain_markdown(state.name)}**")
        return st.container()


def _show_guesses(state: ModelState, row: Mapping[str, Any], found: headline.Headline) -> None:
    threshold = getattr(state.predictor, "threshold", None)
    if threshold is None:
        said, limit = headline.percent(found.confidence), ""
    else:
        said, least = headline.told_apart(found.confidence, threshold)
        limit = f", and the model answers from {least}"
    st.markdown(f"No answer is sure enough: the best guess has {said}{limit}.")
    probabilities = [
        {label: float(row[probability_column(task.name, label)]) for label in state.predictor.labels[task.name]}
        for task in tasks.ANSWER_TASKS
    ]
    sure = [found.confidence, *(confidence_of(guess, *probabilities) for guess in found.guesses[1:])]
    shown = (said, *map(headline.percent, sure[1:]))
    for place, guess, share in zip(("Best guess", "Second guess"), found.guesses, shown, strict=False):
        st.markdown(f"{place}: **{notices.plain_markdown(guess)}** ({share})")
    if max(sure) > found.confidence:
        st.caption("The more probable emotion decides first, then the product: that is why the best guess has less.")


def _show_probabilities(state: ModelState, row: Mapping[str, Any]) -> None:
    labels = state.predictor.labels
    no_emotion = "answer" in row and row["emotion"] == tasks.NO_EMOTION  # also where that is not sure
    for task, column in zip(reversed(labels), st.columns(len(labels)), strict=True):
        chances = sorted(((float(row[probability_column(task, label)]), label) for label in labels[task]), reverse=True)
        spoken = ", ".join(f"{label} {headline.percent(chance)}" for chance, label in chances)
        caption = f"Probability of each {task}."
        if task == tasks.PRODUCT.name and no_emotion:
            caption = "Which product it would be, if an emotion were directed at one."
        with column:
            figure = theme.horizontal_bars(
                [label for _, label in chances],
                [chance for chance, _ in chances],
                title=task.capitalize(),
                percent=True,
            )
            theme.show(figure, alt=f"Probability of each {task}: {spoken}", caption=caption, key=f"chart_{task}")


# ---------------------------------------------------------------- why


def _show_words(state: ModelState, text: str, remark: DeltaGenerator) -> None:
    st.subheader("The words behind it", anchor=False)
    if not getattr(state.predictor, "can_explain", False):
        if state.served:
            st.caption("A model server does not say which words counted; a model that the app loads itself does.")
        else:
            st.caption(f"This model cannot say which words counted. The joint model can: `{notices.FULL_ANSWER}`")
        return
    try:
        with st.spinner("Weighing the words…"):
            found = loading.explain(state, text)
    except TweetTargetError as error:
        _record_failure_once(state, text, error)
        notices.say_problem("The words could not be weighed.", str(error))
        return
    if not found.words:
        remark.warning(
            f"This answer rests on nothing: the model reads no word of the text. {NOT_READ}", icon=":material/help:"
        )
        st.caption("There are none.")
        return
    task = st.segmented_control(
        "Show the words for",
        list(found.tasks),
        default=list(found.tasks)[-1],
        required=True,
        format_func=lambda name: f"the {name}: {notices.plain_markdown(found.tasks[name].label)}",
        key="words_for",
    )
    label, weights = found.tasks[task].label, found.tasks[task].weights
    token_highlighting.show_words(found.words, weights, key="marked_words")
    st.caption(
        "**+** with a solid line: spoke for this answer. **−** with a dotted line: spoke against it. "
        "The stronger the colour, the more it counted (integrated gradients)."
    )
    written = len(text.split())
    if len(found.words) < written:
        st.caption(f"The model read {len(found.words):,} of the text's {written:,} words. {NOT_READ}")
    if len(found.words) > token_highlighting.MOST_WORDS:
        st.caption(f"Only the first {token_highlighting.MOST_WORDS} of {len(found.words):,} words are shown.")
    strongest = token_highlighting.strongest(found.words, weights)
    spoken = ", ".join(f"{word} {weight:+.2g}" for word, weight in strongest)
    figure = theme.horizontal_bars(
        [f"{'+' if weight >= 0 else '−'} {word[:40]}" for word, weight in strongest],
        [weight for _, weight in strongest],
        colours=[theme.POSITIVE if weight >= 0 else theme.NEGATIVE for _, weight in strongest],
        value_format="+.2r",
        x_title="Spoke against ← 0 → spoke for",
    )
    theme.show(
        figure,
        alt=f"The words that counted most for {label}: {spoken}",
        caption="The words that counted most, from those that spoke for it to those that spoke against it.",
        key="chart_words",
    )


# ---------------------------------------------------------------- what people say of it


def _take_feedback(state: ModelState, text: str, row: Mapping[str, Any]) -> None:
    is_unsure = row.get("answer") == NOT_SURE  # then there is nothing to call right or wrong
    st.subheader("What is right?" if is_unsure else "Is this right?", anchor=False)
    log = recording.recorder(state)
    if log is None:
        st.caption("Corrections cannot be kept here: there is no log of predictions to keep them in.")
        return
    key = _key(state, text)
    judged: dict[str, str] = st.session_state.setdefault("judged", {})
    if key in judged:
        st.success(judged[key], icon=":material/check_circle:")
        return
    stored = "The text is stored with what you say, on this machine only, and the page Monitor shows it."
    if is_unsure:
        st.caption(f"There is no answer to judge. If you know it, say what is right. {stored}")
        _correction_form(state, log, text, row, key)
        return
    thumb = st.feedback("thumbs", key=f"thumbs_{key}")
    st.caption(f"Thumb up: right. Thumb down: wrong. {stored}")
    if thumb == 1:
        _store(log, text, row, key, is_right=True)
    elif thumb == 0:
        _correction_form(state, log, text, row, key)


def _correction_form(state: ModelState, log: Recorder, text: str, row: Mapping[str, Any], key: str) -> None:
    with st.form(f"correction_{key}"):
        products = state.predictor.labels.get(tasks.PRODUCT.name, tasks.PRODUCTS)
        emotions = state.predictor.labels.get(tasks.EMOTION.name, tasks.EMOTIONS)
        emotion = st.selectbox("The emotion is …", [NOT_SAID, *emotions])
        product = st.selectbox("It is about …", [NOT_SAID, *products])
        if st.form_submit_button("Store this", type="primary"):
            said = {
                "product": None if product == NOT_SAID or emotion == tasks.NO_EMOTION else product,
                "emotion": None if emotion == NOT_SAID else emotion,
            }
            if row.get("answer") == NOT_SURE and not any(said.values()):
                st.info("Choose an emotion or a product first.", icon=":material/edit_note:")
                return
            _store(log, text, row, key, is_right=False, **said)


def _store(log: Recorder, text: str, row: Mapping[str, Any], key: str, *, is_right: bool, **said: Any) -> None:
    prediction = {name: value for name, value in row.items() if "_probability_" not in name}
    became = recording.correct(log, text, prediction, is_right=is_right, **said)
    if became == LOST:
        notices.say_problem("This could not be stored.", log.failure or "The log of predictions cannot be written now.")
        return
    verdict = "" if row.get("answer") == NOT_SURE else " as right" if is_right else " as wrong"
    # Said again it would be there twice: what waits is written as soon as the log can be.
    late = "Thank you. The log is busy: it will be stored{} as soon as that is possible."
    st.session_state["judged"][key] = (late if became == WAITING else "Thank you. Stored{}.").format(verdict)
    st.rerun()


main()
