"""Ask: the answer for one text, the model's confidence, the words that counted, and feedback on the answer.

If there is a model of targets, the emotion toward each product in the text comes first.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from streamlit_app.charts import theme, token_highlighting
from streamlit_app.components import loading, notices, products, recording
from streamlit_app.components.loading import ModelState
from streamlit_app.components.notices import plain_markdown
from streamlit_app.components.widgets import pick
from tf_model import tasks
from tf_model.data.products import Products
from tf_model.errors import TweetTargetError
from tf_model.inference.fit import FIT, FitCheck
from tf_model.inference.predictor import Measured, Predictor, model_input
from tf_model.inference.targets import TargetPredictor
from tf_model.model_dir import probability_column
from tf_model.modeling.joint_label import NOT_SURE, answer_text
from tf_model.monitor.events import Corrected
from tf_model.monitor.recorder import Recorder
from tf_model.preprocessing.cleaning import mark

EXAMPLES = {
    "A happy one": "Loving the new iPad, the screen is gorgeous and the battery lasts all day! #sxsw",
    "An angry one": "My iPhone battery is dead again by noon, this is so annoying #fail",
    "No emotion": "Google will talk about its maps at 3 pm in hall 2 #sxsw",
    "Two brands": "Queued two hours at the pop-up Apple store while my Android phone did all the work",
    "Hard to say": "well that was quite a launch",
}
MISSED_PRODUCT = "A product that was missed …"
NO_MENTION = "These words do not name it"
NOT_STORED = "Your feedback could not be stored."
LEAST_WEIGHT = 0.001  # of a word that counts, in nats; leaving out a word that is not read changes less
# In the session: the text; the feedback on each text or product, to thank for it and to undo the last.
TEXT, THANKS = "ask_text", "ask_thanks"


def main() -> None:
    """The page."""
    st.title("Ask")
    st.markdown("Which emotion does a text direct at which product?")
    state = notices.usable_model()
    if state is None:
        return
    targets, texts = loading.target_model(state), loading.text_model(state)
    text = _text_input()
    finder = products.choose(targets, texts)
    if not text.strip():
        if text:
            st.info("This text has only spaces. Write a few words to get an answer.", icon=":material/edit_note:")
        return
    if finder:
        _show_targets(targets, finder, text, _tell_fit(finder.model, finder.products, text))
    if texts is None:
        return
    if finder:
        st.header("The whole text", anchor=False, divider="gray")
    _show_whole_text(texts, text, _tell_fit(texts.predictor, products.known_to(texts, finder), text))


def _tell_fit(model: Predictor, named: Products | None, text: str) -> bool:
    """Whether the text is fit for the model; if not, say why."""
    status = FitCheck(model, named)(text)
    if status != FIT:
        words = f"This text is not fit for the model, so the answer means little: {status}"
        st.info(f"{words}.", icon=":material/help:")
        notices.announce(words)
    return status == FIT


def _show_whole_text(state: ModelState, text: str, is_fit: bool) -> None:
    try:
        measured = _predict_once(state, text)
    except TweetTargetError as error:
        _report_failure(state, "This text could not be answered.", error)
        return
    row = measured.predictions.iloc[0].to_dict()
    _show_answer(state, row, sum(measured.seconds.values()), is_fit)
    if is_fit:
        _show_probabilities(state, row)
    st.subheader("Which words counted", anchor=False)
    _show_words(state, text, len(text.split()))
    _take_feedback(state, text, row)


# ---------------------------------------------------------------- the text


def _text_input() -> str:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("Try an example:")
        for name, example in EXAMPLES.items():
            st.button(name, on_click=st.session_state.update, args=({TEXT: example},), key=f"example_{name}")
    if "text" in st.query_params:  # a link that contains a question
        st.session_state.setdefault(TEXT, st.query_params["text"])
    text = st.text_area(
        "Your text",
        key=TEXT,
        persist_state="session",
        height=110,
        placeholder="Paste a tweet, a comment or a review, then press Ctrl + Enter or the button",
    )
    st.button("Ask", type="primary", icon=":material/send:", help="Ctrl + Enter or leaving the box does the same")
    return text


_BY_PRODUCTS = loading.BY_VERSION | {TargetPredictor: lambda finder: (finder.products.aliases, id(finder.answer))}


@st.cache_data(max_entries=2, scope="session", show_spinner=False, hash_funcs=_BY_PRODUCTS)  # with finder and without
def _predict_once(state: ModelState, text: str, finder: TargetPredictor | None = None) -> Measured:
    """The prediction, computed once although Streamlit reruns the page at each click; recorded without ``finder``."""
    with loading.as_model_error(f"{state.name} failed on this text"):
        measured = (finder or state.predictor).predict_measured([text])
    if finder is None and (log := recording.recorder(state)):
        log.record_measured([text], measured, recording.APP)
    return measured


def _report_failure(state: ModelState, heading: str, error: TweetTargetError) -> None:
    # Answers for targets are not recorded, so their errors alone would look like all of their requests.
    if not state.is_of_targets and (log := recording.recorder(state)):
        log.record_error(error, recording.APP)
    notices.say_problem(heading, str(error))


# ---------------------------------------------------------------- the answer


def _show_answer(state: ModelState, row: Mapping[str, Any], seconds: float, is_fit: bool) -> None:
    name = tasks.ANSWER if tasks.ANSWER in row else next(iter(state.predictor.labels))
    notices.announce(row[name])
    with st.container(border=True):
        st.header(plain_markdown(row[name]), anchor=False)
        if row[name] == NOT_SURE:
            threshold = state.predictor.threshold
            limit = "" if threshold is None else f"; the model answers only at {threshold:.1%} or above"
            if is_fit:
                st.markdown(f"The best guess has a confidence of {row['answer_confidence']:.1%}{limit}.")
            st.markdown(f"Best guess: **{plain_markdown(row['best_guess'])}**")
            st.markdown(f"Second guess: **{plain_markdown(row['second_guess'])}**")
        elif is_fit:
            st.markdown(f"**{theme.percent(row[f'{name}_confidence'])} sure**")
        if name != tasks.ANSWER:
            st.info(
                f"This model predicts the {name} only, and always answers, also where it is not sure. For emotion and "
                f'product together, and for "Not sure", {notices.how_to_get_both(state)}',
                icon=":material/info:",
            )
        st.caption(f"Answered in {seconds * 1000:,.0f} ms by the model **{plain_markdown(state.name)}**")


def _show_probabilities(state: ModelState, row: Mapping[str, Any]) -> None:
    labels = state.predictor.labels
    for task, column in zip(reversed(labels), st.columns(len(labels)), strict=True):
        shares = sorted(((row[probability_column(task, label)], label) for label in labels[task]), reverse=True)
        caption = f"Probability of each {task}."
        if task == tasks.PRODUCT.name and row.get("emotion", "") == state.predictor.no_emotion:
            caption = "Probability of each product, if an emotion were directed at one."
        values, names = zip(*shares, strict=True)
        colours = [theme.colour_of(name, task) for name in names]
        with column:
            figure = theme.horizontal_bars(names, values, title=task.capitalize(), form=".0%", colour=colours)
            # As in words, but short: beside a full bar is no room for more.
            texts = [theme.percent(share).replace("over ", ">").replace("under ", "<") for share in values]
            theme.show(
                figure.update_traces(texttemplate=[*map(theme.plain, texts)]),
                alt=f"{caption} {', '.join(f'{label} {theme.percent(share)}' for share, label in shares)}",
                caption=caption,
                key=f"chart_{task}",
            )


# ---------------------------------------------------------------- the products that it names


def _show_targets(state: ModelState, finder: TargetPredictor, text: str, is_fit: bool) -> None:
    try:
        predictions = _predict_once(state, text, finder).predictions
    except TweetTargetError as error:
        _report_failure(state, "The emotions toward the products in this text could not be predicted.", error)
        return
    model_text = model_input(text).decode()  # start and end refer to this text
    mentions = predictions[predictions["start"].notna()].astype(object).to_dict("records")
    if not mentions:
        below = ", so the answer below, for the whole text, is a guess" if finder.answer else ""
        st.markdown(f"This text names none of the products{below}.")
    else:
        with st.container(border=True):
            _show_mentions(state, model_text, mentions, is_fit)
        st.subheader("Which words counted", anchor=False)
        names = [row["product"] for row in mentions]
        key = f"explained_{hash((text, *names)):x}"
        product = pick("Show the words for", names, key, format_func=plain_markdown, persist_state=None)
        row = mentions[names.index(product)]
        word_count = len(f"{model_text[: row['start']]}_{model_text[row['end'] :]}".split())  # the mention is one word
        _show_words(state, mark(model_text, row["start"], row["end"]), word_count)
    _take_mention_feedback(state, finder, model_text, mentions)


def _show_mentions(state: ModelState, text: str, mentions: Sequence[Mapping[str, Any]], is_fit: bool) -> None:
    labels = ["none" if row["emotion"] == state.predictor.no_emotion else row["emotion"] for row in mentions]
    spans = [(row["start"], row["end"], label) for row, label in zip(mentions, labels, strict=True)]
    token_highlighting.show(token_highlighting.mentions(text, spans), key="mentions")
    for row in mentions:
        share = theme.percent(row["emotion_confidence"])
        certainty = f"the best guess has {share} confidence" if row["emotion"] == NOT_SURE else f"{share} sure"
        certainty = certainty if is_fit else "which means little here"
        st.markdown(f"**{plain_markdown(row['product'])}**: {plain_markdown(row['emotion'])}, {certainty}")
        notices.announce(f"{row['product']}: {row['emotion']}")


# ---------------------------------------------------------------- which words counted


def _show_words(state: ModelState, text: str, word_count: int) -> None:
    """Highlight the words of a text, which may hold a marked mention and be cut from one of ``word_count`` words."""
    try:
        with st.spinner("Weighing the words…"):
            explanation = loading.explain(state, text)
    except TweetTargetError as error:
        _report_failure(state, "The words could not be weighed.", error)
        return
    words, attributions = explanation.words, explanation.tasks
    greatest = max((abs(weight) for each in attributions.values() for weight in each.weights), default=0)
    if greatest < LEAST_WEIGHT and len(words) >= word_count:
        st.warning(
            "Leaving out any word changes nothing: the answer means nothing. The model does not read web "
            "addresses, emoji and non-Latin scripts.",
            icon=":material/help:",
        )
        return
    task = list(attributions)[-1]
    if len(attributions) > 1:
        task = pick(
            "Show the words for",
            attributions,
            "words_for",
            default=task,
            format_func=lambda name: f"the {name}: {plain_markdown(attributions[name].label)}",
        )
    pieces = token_highlighting.highlighted(words, attributions[task].weights)
    token_highlighting.show(pieces, key=f"highlighted_words_{task}")
    label = plain_markdown(attributions[task].label)
    st.caption(
        f"**+** and a solid line: without the word, “{label}” would be less probable. **−** and a dotted line: it "
        "would be more probable. The stronger the colour, the more the word counted."
    )
    if len(words) < word_count:
        st.caption(f"{len(words):,} of the text's {word_count:,} words were weighed.")


# ---------------------------------------------------------------- feedback


def _take_feedback(state: ModelState, text: str, row: Mapping[str, Any]) -> None:
    abstained = row.get("answer") == NOT_SURE  # no answer to judge
    log = _log_for_feedback(state, "What is correct?" if abstained else "Is this correct?")
    if log is None:
        return
    key = f"{hash((state.name, state.version, text)):x}"  # for the widgets of this text and model
    if _show_thanks(log, key):
        return
    storage_note = "The text is stored with your feedback, on this machine only; the page Monitor shows it."
    if abstained:
        st.caption(f"The model gave no answer to judge. If you know the answer, give it here. {storage_note}")
    else:
        thumb = st.feedback("thumbs", key=f"thumbs_{key}")
        st.caption(f"Thumbs up: correct. Thumbs down: wrong. {storage_note}")
    if abstained or thumb == 0:
        _correction_form(state, log, text, row, key)
    elif thumb == 1:
        _store(log, text, row, key, is_correct=True)


def _log_for_feedback(state: ModelState, question: str) -> Recorder | None:
    st.subheader(question, anchor=False)
    log = recording.recorder(state)
    if log is None:
        st.caption("Feedback cannot be stored here: the log of predictions cannot be opened.")
    return log


def _show_thanks(log: Recorder, key: str) -> bool:
    given: list[Corrected] = st.session_state.setdefault(THANKS, {}).get(key)
    if not given:
        return False
    st.success("Thank you. Your feedback is stored.", icon=":material/check_circle:")
    if st.button("Undo", icon=":material/undo:", key=f"undo_{key}"):
        with notices.explained(NOT_STORED):
            log.take_back(given[-1])
            given.pop()
            st.rerun()
    return True


def _correction_form(state: ModelState, log: Recorder, text: str, row: Mapping[str, Any], key: str) -> None:
    with st.form(f"correction_{key}"):
        labels = state.predictor.labels
        emotion, product = (
            st.selectbox(question, labels[task], index=None, placeholder="I don't know") if task in labels else None
            for question, task in (("The emotion is …", tasks.EMOTION.name), ("It is about …", tasks.PRODUCT.name))
        )
        if not st.form_submit_button("Store", type="primary"):
            return
    is_neutral = emotion is not None and emotion == state.predictor.no_emotion
    correct = {"product": None if is_neutral else product, "emotion": emotion}
    if not any(correct.values()):  # wrong without a label teaches nothing, and may be a misclick
        st.info("Choose an emotion or a product first.", icon=":material/edit_note:")
        return
    if "answer" in row:
        corrected, answer = answer_text(**correct), row["answer"]
    else:  # a model of one task
        [task] = state.predictor.labels
        corrected, answer = correct[task], row[task]
    # Choosing the model's own labels counts as agreement, whatever the thumb: labels are chosen with more care.
    _store(log, text, row, key, is_correct=corrected == answer, **correct)


def _take_mention_feedback(
    state: ModelState, finder: TargetPredictor, text: str, mentions: Sequence[Mapping[str, Any]]
) -> None:
    log = _log_for_feedback(state, "Are the products and their emotions correct?")
    if log is None:
        return
    st.caption("Correct or confirm each. The text is stored with your feedback, on this machine only.")
    row_by_product = {row["product"]: row for row in mentions}
    text_key = f"{hash((state.name, state.version, text, *row_by_product)):x}"
    subject = st.selectbox("About …", [*row_by_product, MISSED_PRODUCT], key=f"about_{text_key}")
    key, row = f"{text_key}_{subject}", row_by_product.get(subject)
    if _show_thanks(log, key) and row:  # a text may name several products that were missed
        return
    no_emotion = state.predictor.no_emotion
    with st.form(f"mention_{key}"):
        if row:
            product, start, end = subject, row["start"], row["end"]
        else:
            words = st.text_input("The words, exactly as in the text").strip()
            names = list(finder.products.aliases)
            product = st.selectbox("They name …", names, index=None if len(names) > 1 else 0)
            # As a whole word if it is one anywhere: "it" is not in "wait". Beside the mentions that were found.
            patterns = (rf"(?<!\w){re.escape(words)}(?!\w)", re.escape(words))
            spans = [found.span() for pattern in patterns for found in re.finditer(pattern, text)]
            missed = [(a, b) for a, b in spans if all(b <= each["start"] or each["end"] <= a for each in mentions)]
            start, end = [*missed, *spans, (-1, -1)][0]
        emotions = list(state.predictor.labels[tasks.TARGET.name])
        emotion = st.selectbox(
            "The emotion toward it is …",
            [*emotions, NO_MENTION] if row and no_emotion else emotions,
            index=emotions.index(row["emotion"]) if row and row["emotion"] in emotions else None,
        )
        if not st.form_submit_button("Store", type="primary"):
            return
    if emotion is None or product is None:
        st.info(f"Choose {'an emotion' if product else 'a product'} first.", icon=":material/edit_note:")
        return
    if start < 0 or start == end:
        st.info("These words are not in the text. Copy them from it.", icon=":material/edit_note:")
        return
    prediction = row | {"answer": row["emotion"], "answer_confidence": row["emotion_confidence"]} if row else {}
    is_correct = prediction.get("emotion") == emotion
    correct = {"product": product, "emotion": no_emotion if emotion == NO_MENTION else emotion}
    _store(log, text, prediction, key, is_correct=is_correct, **correct, start=start, end=end)


def _store(log: Recorder, text: str, row: Mapping[str, Any], key: str, *, is_correct: bool, **correct: Any) -> None:
    with notices.explained(NOT_STORED):
        given = log.correct(text, row, is_correct=is_correct, **correct)
        before = st.session_state[THANKS].get(key, [])
        kept = [each for each in before if (each.start, each.product) != (given.start, given.product)]  # else replaced
        st.session_state[THANKS][key] = [*kept, given]
        st.rerun()


main()
