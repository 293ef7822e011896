"""One text in, an answer out: what the page shows, and what it never does with a text."""

import json
import sqlite3
from types import SimpleNamespace

import app_stub
import pandas
import pytest
from app_stub import ask, log_of, make_model, open_app, press, words_of

from streamlit_app.charts import theme, token_highlighting
from streamlit_app.components import loading, notices, recording
from tests.monitor.made_up import counts_of
from tf_model import tasks
from tf_model.errors import DataError
from tf_model.inference.attribution import MOST_WORDS
from tf_model.model_dir import probability_column
from tf_model.monitor import store
from tf_model.monitor.prometheus import Exporter
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.store import Store

LOVED = "I love the iPad"
MARKUP = [
    "<script>alert(1)</script> <b>love</b> the iPad",
    "# love [the](javascript:alert(1)) ![iPad](http://127.0.0.1/x.png) **bold** `code` $x^2$ :smile: :red[iPad]",
    "أحب iPad love كثيرا",
    "love 👩‍👩‍👧‍👦 🏳️‍🌈 iPad\u200d\ufe0f\u0301",
    "love iPad\0\x1b[31m\u202e",
]


def test_the_answer_stands_first_as_a_sentence(stub):
    app = ask(LOVED)
    assert [each.value for each in app.header] == ["Positive emotion → iPad"]
    assert "**94% sure**" in words_of(app)


def test_both_charts_have_words_for_those_who_do_not_see_them(stub):
    app = ask(LOVED)
    spoken = [chart.proto.alt for chart in app.get("plotly_chart")]
    assert spoken[0].startswith("Probability of each emotion. Positive emotion 94%")
    assert spoken[1].startswith("Probability of each product. iPad 90%")
    assert "Probability of each product." in words_of(app)


def test_not_sure_is_said_with_the_two_best_guesses(stub):
    app = ask("hmm I love the iPad")
    assert app.header[0].value == "Not sure"
    said = words_of(app)
    assert "The best guess has a confidence of 40.0%; the model answers only at 50.0% or above." in said
    assert "Best guess: **Positive emotion → iPad**" in said
    assert "Second guess: **Negative emotion → Google**" in said


def test_a_model_without_a_threshold_names_none(stub):
    stub.threshold = None
    assert "The best guess has a confidence of 40.0%." in words_of(ask("hmm I love the iPad"))


def test_of_no_emotion_that_is_not_sure_the_products_are_what_they_are_for_a_sure_one(stub):
    app = ask("hmm the iPad is a tablet")
    assert app.header[0].value == "Not sure"
    assert "Probability of each product, if an emotion were directed at one." in words_of(app)


def test_no_emotion_names_no_product(stub):
    app = ask("the iPad is a tablet")
    assert app.header[0].value == "No emotion toward brand or product"
    assert "**94% sure**" in words_of(app)
    assert "Probability of each product, if an emotion were directed at one." in words_of(app)


def test_a_model_of_the_product_alone_says_how_to_get_the_full_answer(stub, monkeypatch):
    stub.tasks = ("product",)
    told = []
    monkeypatch.setattr(notices, "component", lambda *_, **__: lambda data, key: told.append(data))
    app = ask(LOVED, open_app())
    assert told == ["", "iPad."]
    assert app.header[0].value == "iPad"
    assert "predicts the product only" in app.info[0].value
    assert "make answer" in app.info[0].value
    assert len(app.get("plotly_chart")) == 1
    make_model(loading.models_folder(), "product")
    app.run().selectbox(key="model_in_use").set_value("product").run()
    assert "choose the model answer in the sidebar" in app.info[0].value


def test_an_example_is_asked_by_its_button(stub):
    app = open_app()
    assert not app.header
    app.button(key="example_A happy one").click().run()
    assert app.header[0].value == tasks.NO_EMOTION
    assert len(stub.calls) == 1
    assert app.text_area(key="ask_text").value == stub.calls[-1][0]


def test_a_rerun_with_the_same_text_computes_nothing(stub):
    app = ask(LOVED)
    assert (len(stub.calls), len(stub.explained)) == (1, 1)
    app.run()
    app.button[-1].click().run()
    assert (len(stub.calls), len(stub.explained)) == (1, 1)
    for asked, ending in enumerate("!?", 2):
        ask(LOVED + ending, app)
        assert (len(stub.calls), len(stub.explained)) == (asked, asked)
    ask(LOVED)  # another session, the first text
    assert (len(stub.calls), len(stub.explained)) == (4, 3), "explanations are remembered over all sessions"


def test_a_text_of_spaces_is_refused_politely(stub):
    app = ask(" \n\t ")
    assert "only spaces" in app.info[0].value
    assert not stub.calls
    assert not app.header


def test_of_an_endless_text_the_beginning_is_read_and_that_is_said(stub):
    app = ask("love Apple " * 20_000)
    assert "means little: longer than the model reads (at most" in app.info[0].value
    assert app.header[0].value == "Positive emotion → Apple"


@pytest.mark.parametrize(
    ("text", "reason"), [("I love my Xbox", "no known product"), ("I love my iPad, not my iPhone", "several products")]
)
def test_a_text_that_names_no_product_of_the_model_or_several_is_not_fit(stub, text, reason):
    assert f"so the answer means little: {reason}." in ask(text).info[0].value


def test_a_text_is_never_read_as_html_or_markdown(stub):
    app = ask("\n".join(MARKUP))
    assert app.header[0].value.startswith("Positive emotion → ")
    assert not any(line in words_of(app) for line in MARKUP)
    assert not app.html
    assert not any(each.allow_html for each in app.markdown)
    assert not any("<b>" in each.proto.spec for each in app.get("plotly_chart"))


def test_each_word_has_the_sign_and_the_strength_of_its_weight():
    pieces = token_highlighting.highlighted(["I", "love", "the", "iPad"], [0.0, 1.0, -0.5, 0.05])
    assert [word for word, _, _, sign, _ in pieces if not sign and word != " "] == ["I", "iPad"]
    assert [piece for piece in pieces if piece[3]] == [
        ("love", "word for", f"{theme.FOR}59", "+", "for"),
        ("the", "word against", f"{theme.AGAINST}2D", "−", "against"),
    ]
    assert token_highlighting.highlighted([], []) == []


def test_the_words_of_the_chosen_task_are_highlighted(stub, monkeypatch):
    shown = []
    monkeypatch.setattr(token_highlighting, "highlighted", lambda words, weights: shown.append((words, weights)) or [])
    app = ask(LOVED)
    for task, weights in (("product", (0.0, -0.5, 1.0, 0.0)), ("emotion", (0.0, 1.0, -0.5, 0.0))):
        app.segmented_control(key="words_for").set_value(task).run()
        assert not app.exception
        assert shown[-1] == (("I", "love", "the", "iPad"), weights)


def test_of_a_long_text_the_first_words_are_weighed(stub):
    app = ask("so " * 500)
    assert f"{MOST_WORDS} of the text's 500 words were weighed." in words_of(app)
    assert not app.warning, "the others may change the answer"


def test_an_answer_that_no_word_changes_is_said_to_mean_nothing(stub):
    app = ask("👩‍👩‍👧‍👦 كثيرا")
    assert app.header[0].value == tasks.NO_EMOTION
    assert "Leaving out any word changes nothing: the answer means nothing." in app.warning[0].value


@pytest.mark.parametrize(
    ("share", "said"), [(0.94, "94%"), (0.999, "over 99%"), (1.0, "over 99%"), (0.001, "under 1%")]
)
def test_no_model_promises_certainty(share, said):
    assert theme.percent(share) == said


def test_no_bar_promises_certainty(stub, monkeypatch):
    row, certain = app_stub._row, {probability_column("emotion", each): 0.0 for each in tasks.EMOTIONS}
    certain[probability_column("emotion", tasks.POSITIVE)] = 1.0
    monkeypatch.setattr(app_stub, "_row", lambda text: row(text) | certain)
    [bars] = json.loads(ask(LOVED).get("plotly_chart")[0].proto.spec)["data"]
    assert bars["texttemplate"] == ["&gt;99%", "&lt;1%", "&lt;1%"]


def test_whatever_the_model_raises_is_shown_in_one_line_and_recorded(stub, models):
    stub.fails = RuntimeError("no such operation\nand more")
    app = ask(LOVED)
    assert app.error[0].value == "This text could not be answered."
    assert "answer failed on this text (no such operation)" in words_of(app)
    assert errors_of(models)["kind"].tolist() == ["ModelError"]


def test_an_answer_whose_words_cannot_be_weighed_can_still_be_judged(stub, models, monkeypatch):
    def fail(*_):
        raise RuntimeError("no memory left")

    monkeypatch.setattr(type(stub), "explain", fail)
    app = ask(LOVED)
    assert app.header[0].value == "Positive emotion → iPad"
    assert app.error[0].value == "The words could not be weighed."
    assert "no memory left" in words_of(app)
    assert app.feedback
    assert errors_of(models)["kind"].tolist() == ["ModelError"]


# ---------------------------------------------------------------- what is kept


def errors_of(models) -> pandas.DataFrame:
    return log_of(models).rows("errors")


def test_each_question_is_recorded_once_and_without_its_text(stub, models):
    app = ask(LOVED)
    app.run()
    app.run()
    ask("I hate my iPhone", app)
    log = log_of(models)
    assert counts_of(log.path, "app").labels("product") == {"iPad": 1, "iPhone": 1}
    assert LOVED.encode() not in log.path.read_bytes()
    assert loading.monitor_log().is_relative_to(models)


def test_thumbs_up_is_stored_can_be_taken_back_and_is_kept_once_after_a_reload(stub, models):
    app = ask(LOVED)
    app.feedback[0].set_value(1).run()
    assert app.success[0].value == "Thank you. Your feedback is stored."
    kept = log_of(models).rows("corrections")
    assert kept[["text", "is_correct", "product"]].values.tolist() == [[LOVED, True, "iPad"]]
    press(app, "Undo")
    assert log_of(models).rows("corrections").empty
    assert not app.success
    app.feedback[0].set_value(1).run()
    ask(LOVED).feedback[0].set_value(1).run()  # a session of its own, as after a reload
    store = log_of(models)
    assert len(store.rows("corrections")) == 1
    assert counts_of(store.path).feedback == (1, 1)


def test_of_not_sure_only_what_is_right_can_be_said(stub, models):
    app = ask("hmm I love the iPad")
    assert not app.feedback
    assert "The model gave no answer to judge. If you know the answer, give it here." in words_of(app)
    press(app, "Store")
    assert app.info[-1].value == "Choose an emotion or a product first."
    assert log_of(models).rows("corrections").empty
    app.selectbox[0].set_value(tasks.POSITIVE)
    press(app, "Store")
    assert app.success[0].value == "Thank you. Your feedback is stored."
    (row,) = log_of(models).rows("corrections").to_dict("records")
    assert (row["answer"], row["correct_emotion"]) == ("Not sure", tasks.POSITIVE)


def test_a_correction_is_stored_with_what_was_said_and_what_is_right(stub, models):
    app = ask(LOVED)
    press(app.feedback[0].set_value(0).run(), "Store")
    assert app.info[-1].value == "Choose an emotion or a product first."
    assert log_of(models).rows("corrections").empty
    emotion, product = app.selectbox
    assert (emotion.label, product.label) == ("The emotion is …", "It is about …")
    assert set(tasks.PRODUCTS) <= set(product.options)
    emotion.set_value(tasks.NEGATIVE)
    product.set_value("Google")
    press(app, "Store")
    assert app.success[0].value == "Thank you. Your feedback is stored."
    (row,) = log_of(models).rows("corrections").to_dict("records")
    assert (row["text"], row["is_correct"], row["answer"]) == (LOVED, False, "Positive emotion → iPad")
    assert {"Google", tasks.NEGATIVE} <= set(row.values())


@pytest.mark.parametrize(
    ("tasks_of_model", "named", "is_correct"),
    [
        (("product", "emotion"), (tasks.POSITIVE, "iPad"), True),
        (("product", "emotion"), (tasks.POSITIVE, None), False),
        (("product", "emotion"), (None, "iPad"), False),
        (("product",), ("iPad",), True),
        (("product",), ("Google",), False),
    ],
)
def test_who_names_what_was_answered_agrees_whatever_the_thumb(stub, models, tasks_of_model, named, is_correct):
    stub.tasks = tasks_of_model
    app = ask(LOVED)
    app.feedback[0].set_value(0).run()
    for box, label in zip(app.selectbox, named, strict=True):
        box.set_value(label or box.value)
    press(app, "Store")
    (row,) = log_of(models).rows("corrections").to_dict("records")
    assert row["is_correct"] == is_correct


def test_feedback_that_is_not_stored_and_an_undo_that_fails_are_said(stub, monkeypatch):
    def fail(*_, **__):
        raise DataError("database is locked")

    app = ask(LOVED)
    with monkeypatch.context() as patches:
        patches.setattr(Recorder, "correct", fail)
        app.feedback[0].set_value(1).run()
    assert {"Your feedback could not be stored.", "database is locked"} <= set(words_of(app).splitlines())
    app.feedback[0].set_value(None).run().feedback[0].set_value(1).run()
    monkeypatch.setattr(Recorder, "take_back", fail)
    press(app, "Undo")
    assert "Your feedback could not be stored." in words_of(app)
    assert app.success[0].value == "Thank you. Your feedback is stored."


def test_feedback_that_cannot_be_stored_leaves_the_earlier_one(stub, monkeypatch):
    log = recording.recorder(loading.current_model())
    log.correct(LOVED, {}, is_correct=False, emotion=tasks.NEGATIVE)
    write = store._write_correction

    def full(connection, event, stream):
        if event.is_correct is not None:
            raise sqlite3.OperationalError("database or disk is full")
        write(connection, event, stream)

    monkeypatch.setattr(store, "_write_correction", full)
    with pytest.raises(DataError, match="disk is full"):
        log.correct(LOVED, {}, is_correct=False, emotion=tasks.POSITIVE)
    assert Store(log.path).rows("corrections")["correct_emotion"].tolist() == [tasks.NEGATIVE]


def test_without_a_log_the_page_answers_and_says_that_nothing_is_kept(stub, models):
    (models / ".monitor").write_text("in the way")
    app = ask(LOVED)
    assert app.header[0].value == "Positive emotion → iPad"
    assert "Feedback cannot be stored here" in words_of(app)
    assert not app.feedback


def test_a_log_that_cannot_be_opened_is_said_until_it_can(stub, models, monkeypatch, capsys):
    exporter = Exporter()
    monkeypatch.setattr(recording, "serve_metrics", lambda: exporter)
    (models / ".monitor").write_text("in the way")
    app = ask(LOVED)
    ask("I hate my iPhone", app)
    assert capsys.readouterr().err.count("warning: answers are not recorded: ") == 1
    assert exporter.registry.get_sample_value("tweet_target_log_failing") == 1
    app.switch_page("views/monitor.py").run()
    assert app.error[0].value == "Answers cannot be recorded."
    assert "a part of this path is a file" in app.text[0].value
    (models / ".monitor").unlink()
    assert not app.run().error
    assert exporter.registry.get_sample_value("tweet_target_log_failing") == 0
    app.switch_page("views/ask.py").run()
    ask("I love the iPhone", app)
    app.switch_page("views/monitor.py").run()
    assert not app.error
    working, full = (SimpleNamespace(path=loading.monitor_log(), failure=each) for each in (None, "the disk is full"))
    with monkeypatch.context() as patch:
        patch.setattr(recording, "_recorders", [working, full])
        assert words_of(app.run()).count("the disk is full") == 1


# ---------------------------------------------------------------- custom labels


def test_a_model_of_other_labels_is_asked_and_corrected_in_them(own_model, models):
    app = ask("a lamp")
    assert app.header[0].value == "meh"
    assert "Probability of each product, if an emotion were directed at one." in words_of(app)
    app = ask("a good lamp", app)
    assert app.header[0].value == "good → Xbox"
    assert "Probability of each product." in words_of(app)
    app.feedback[0].set_value(0).run()
    emotion, product = app.selectbox
    assert emotion.options == ["bad", "good", "meh"]
    assert product.options == ["Kindle", "Xbox"]
    emotion.set_value("meh")
    product.set_value("Kindle")
    press(app, "Store")
    (row,) = log_of(models).rows("corrections").to_dict("records")
    assert (row["correct_emotion"], row["correct_product"]) == ("meh", None)
    assert counts_of(log_of(models).path).labels("outcome") == {"answered": 1, "no_emotion": 1}
