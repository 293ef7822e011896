"""Ask: the answer for one text, how sure the model is, which words counted, and what people think of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from streamlit_app.charts import theme, token_highlighting
from streamlit_app.components import loading, notices, recording
from streamlit_app.components.loading import ModelState
from streamlit_app.components.notices import plain_markdown
from tf_model import tasks
from tf_model.errors import TweetTargetError
from tf_model.inference.predictor import MAX_CHARACTERS, Measured, probability_column
from tf_model.modeling.joint_label import NOT_SURE, confidence_of
from tf_model.monitor.recorder import LOST, WAITING, Recorder

EXAMPLES = {
    "A happy one": "Loving the new iPad, the screen is gorgeous and the battery lasts all day! #sxsw",
    "An angry one": "My iPhone battery is dead again by noon, this is so annoying #fail",
    "No emotion": "Google will talk about its maps at 3 pm in hall 2 #sxsw",
    "Two brands": "Queued two hours at the pop-up Apple store while my Android phone did all the work",
    "Hard to say": "well that was quite a launch",
}
NOT_KNOWN = "I don't know"
TEXT, THANKS = "ask_text", "ask_thanks"  # in the session: the text, and what was said to each judgement


def main() -> None:
    """The page."""
    st.title("Ask")
    st.markdown("Which emotion does a text direct at which product?")
    state = notices.usable_model()
    if state is None:
        return
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
        measured = _predict_once(state, state.name, state.version, text)
    except TweetTargetError as error:
        _report_failure(state, "This text could not be answered.", error)
        return
    row = measured.predictions.iloc[0].to_dict()
    remark = _show_answer(state, row, sum(measured.seconds.values()))
    _show_probabilities(state, row)
    _show_words(state, text, remark)
    _take_feedback(state, text, row)


# ---------------------------------------------------------------- the text


def _text_input() -> str:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Try an example:")
        for name, example in EXAMPLES.items():
            st.button(name, on_click=st.session_state.update, args=({TEXT: example},), key=f"example_{name}")
    text = st.text_area(
        "Your text",
        key=TEXT,
        persist_state="session",
        height=110,
        placeholder="Paste a tweet, a comment or a review, then press Ctrl + Enter or the button",
    )
    st.button("Ask", type="primary", icon=":material/send:", help="Leaving the box or Ctrl + Enter asks as well")
    return text or ""


@st.cache_data(max_entries=1, scope="session", show_spinner=False)
def _predict_once(_state: ModelState, name: str, version: str, text: str) -> Measured:
    """The prediction, computed and recorded once: Streamlit runs the page again at each click."""
    measured = loading.ask(_state, text)
    recording.record(recording.recorder(_state), [text], measured, recording.APP)
    return measured


def _report_failure(state: ModelState, heading: str, error: TweetTargetError) -> None:
    recording.record_error(recording.recorder(state), error, recording.APP)
    notices.say_problem(heading, str(error))


# ---------------------------------------------------------------- the answer


def _show_answer(state: ModelState, row: Mapping[str, Any], seconds: float) -> DeltaGenerator:
    """The answer; returns the place in its box for a remark on it."""
    with st.container(border=True):
        if "answer" in row:
            _show_joint_answer(state, row)
        else:
            [task] = state.predictor.labels
            st.header(plain_markdown(row[task]), anchor=False)
            st.markdown(f"**{theme.percent(row[f'{task}_confidence'])} sure**")
            st.info(
                f"This model predicts the {task} only. For emotion and product together, train the model of both: "
                f"`{notices.FULL_ANSWER}`",
                icon=":material/info:",
            )
        st.caption(f"Answered in {seconds * 1000:,.0f} ms by the model **{plain_markdown(state.name)}**")
        return st.container()


def _show_joint_answer(state: ModelState, row: Mapping[str, Any]) -> None:
    answer, confidence = row["answer"], row["answer_confidence"]
    st.header(plain_markdown(answer), anchor=False)
    if answer != NOT_SURE:
        st.markdown(f"**{theme.percent(confidence)} sure**")
        return
    threshold = state.predictor.threshold
    limit = "" if threshold is None else f"; the model answers from {threshold:.1%} on"
    st.markdown(f"The best guess has a confidence of {confidence:.1%}{limit}.")
    probabilities = [
        {label: row[probability_column(task, label)] for label in state.predictor.labels[task]}
        for task in (tasks.PRODUCT.name, tasks.EMOTION.name)
    ]
    second = confidence_of(row["second_guess"], *probabilities)
    st.markdown(f"Best guess: **{plain_markdown(row['best_guess'])}** ({theme.percent(confidence)})")
    st.markdown(f"Second guess: **{plain_markdown(row['second_guess'])}** ({theme.percent(second)})")
    if second > confidence:
        st.caption("The model decides on the emotion first, then on the product, so the best guess may have less.")


def _show_probabilities(state: ModelState, row: Mapping[str, Any]) -> None:
    labels = state.predictor.labels
    for task, column in zip(reversed(labels), st.columns(len(labels)), strict=True):
        shares = sorted(((row[probability_column(task, label)], label) for label in labels[task]), reverse=True)
        caption = f"Probability of each {task}."
        if task == tasks.PRODUCT.name and row.get("emotion", "") == state.predictor.no_emotion:
            caption = "Probability of each product, if an emotion were directed at one."
        values, names = zip(*shares, strict=True)
        with column:
            theme.show(
                theme.horizontal_bars(names, values, title=task.capitalize(), form=".0%"),
                alt=f"{caption} {', '.join(f'{label} {theme.percent(share)}' for share, label in shares)}",
                caption=caption,
                key=f"chart_{task}",
            )


# ---------------------------------------------------------------- which words counted


def _show_words(state: ModelState, text: str, remark: DeltaGenerator) -> None:
    st.subheader("Which words counted", anchor=False)
    if not state.can_explain:
        if state.served:
            st.caption("A model server gives no explanations; a model that the app loads itself does.")
        else:
            st.caption("This model has no explanations; train it again.")
        return
    try:
        with st.spinner("Weighing the words…"):
            explanation = loading.explain(state, text)
    except TweetTargetError as error:
        _report_failure(state, "The words could not be weighed.", error)
        return
    words = explanation.words
    skipped = "It skips addresses, emoji and scripts other than Latin, and reads the beginning of a long text."
    if not words:
        remark.warning(
            f"The model could read no word of this text, so its answer means nothing. {skipped}", icon=":material/help:"
        )
        st.caption("None.")
        return
    task = st.segmented_control(
        "Show the words for",
        list(explanation.tasks),
        default=list(explanation.tasks)[-1],
        required=True,
        format_func=lambda name: f"the {name}: {plain_markdown(explanation.tasks[name].label)}",
        key="words_for",
    )
    token_highlighting.show(words, explanation.tasks[task].weights, key="highlighted_words")
    st.caption(
        "**+** and a solid line: supports this answer. **−** and a dotted line: speaks against it. "
        "The stronger the colour, the more the word counted (integrated gradients)."
    )
    written = len(text.split())
    if len(words) < written:
        st.caption(f"The model read {len(words):,} of the text's {written:,} words. {skipped}")
    if len(words) > token_highlighting.MOST_WORDS:
        st.caption(f"The first {token_highlighting.MOST_WORDS} of {len(words):,} words are shown.")


# ---------------------------------------------------------------- feedback


def _take_feedback(state: ModelState, text: str, row: Mapping[str, Any]) -> None:
    abstained = row.get("answer") == NOT_SURE  # then there is no answer to judge
    st.subheader("What is correct?" if abstained else "Is this correct?", anchor=False)
    log = recording.recorder(state)
    if log is None:
        st.caption("Feedback cannot be kept here: there is no log of predictions to keep it in.")
        return
    key = f"{hash((state.name, state.version, text)):x}"  # names the widgets of this text asked of this model
    thanks: dict[str, str] = st.session_state.setdefault(THANKS, {})
    if key in thanks:
        st.success(thanks[key], icon=":material/check_circle:")
        return
    stored = "The text is stored with your feedback, on this machine only; the page Monitor shows it."
    if abstained:
        st.caption(f"The model gave no answer to judge. If you know the answer, give it here. {stored}")
        _correction_form(state, log, text, row, key)
        return
    thumb = st.feedback("thumbs", key=f"thumbs_{key}")
    st.caption(f"Thumb up: correct. Thumb down: wrong. {stored}")
    if thumb == 1:
        _store(log, text, row, key, is_right=True)
    elif thumb == 0:
        _correction_form(state, log, text, row, key)


def _correction_form(state: ModelState, log: Recorder, text: str, row: Mapping[str, Any], key: str) -> None:
    with st.form(f"correction_{key}"):
        emotion, product = (
            st.selectbox(question, [NOT_KNOWN, *classes]) if (classes := _classes(state, task)) else NOT_KNOWN
            for question, task in (("The emotion is …", tasks.EMOTION), ("It is about …", tasks.PRODUCT))
        )
        if not st.form_submit_button("Store", type="primary"):
            return
    correct = {
        "product": None if product == NOT_KNOWN or emotion == state.predictor.no_emotion else product,
        "emotion": None if emotion == NOT_KNOWN else emotion,
    }
    if row.get("answer") == NOT_SURE and not any(correct.values()):
        st.info("Choose an emotion or a product first.", icon=":material/edit_note:")
        return
    _store(log, text, row, key, is_right=False, **correct)


def _classes(state: ModelState, task: tasks.Task) -> tuple[str, ...]:
    """The classes of a task to choose from: the model's; of a task that it does not know, the report's to its own."""
    labels = state.predictor.labels
    of_report = all(set(tasks.ALL_TASKS[name].labels).issuperset(classes) for name, classes in labels.items())
    return labels.get(task.name, task.labels if of_report else ())


def _store(
    log: Recorder, text: str, row: Mapping[str, Any], key: str, *, is_right: bool, **correct: str | None
) -> None:
    prediction = {name: value for name, value in row.items() if "_probability_" not in name}
    outcome = recording.correct(log, text, prediction, is_right=is_right, **correct)
    if outcome == LOST:
        notices.say_problem("This could not be stored.", log.failure or "The log of predictions cannot be written now.")
        return
    waiting = "Thank you. The log is busy; your feedback is stored as soon as possible."
    st.session_state[THANKS][key] = waiting if outcome == WAITING else "Thank you. Your feedback is stored."
    st.rerun()


main()
