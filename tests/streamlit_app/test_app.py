"""The frame: its pages, the model's state beside them, and what to run where there is no model."""

import re
import shutil

import pytest
import streamlit as st
from app_stub import APP, StubPredictor, make_model, open_app, words_of
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from streamlit_app.components.notices import plain_markdown
from tf_model import data, paths, tasks
from tf_model.inference.predictor import Predictor


def badges(app) -> str:
    return "\n".join(each.value for each in app.sidebar.markdown)


def test_each_page_has_an_address_and_a_title_of_its_own(stub, monkeypatch):
    addresses, titles, navigation = [], [], st.navigation

    def watched(pages):
        addresses.extend(page.url_path for page in pages)
        return navigation(pages)

    monkeypatch.setattr(st, "navigation", watched)
    monkeypatch.setattr(st, "set_page_config", lambda **settings: titles.append(settings.get("page_title")))
    names = ["ask", "batch", "explore", "evaluate", "monitor"]
    for name in names:
        open_app(name)
    assert {*names, ""} == set(addresses)
    assert list(dict.fromkeys(filter(None, titles))) == [f"{name.capitalize()} · Tweet Target" for name in names]


@pytest.mark.parametrize("address", ["", "ask"])
def test_a_link_may_name_the_text_and_the_model(stub_later, models, address):
    for name in ("answer", "sample"):
        make_model(models, name)
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params.update({"text": "I love the iPad", "model": "sample"})
    app._page_hash = calc_hash(address)  # AppTest opens only files, not addresses
    app.run()
    assert app.text_area(key="ask_text").value == "I love the iPad"
    assert app.header[0].value == "Positive emotion → iPad"
    assert app.selectbox(key="model_in_use").value == "sample"
    app.text_area(key="ask_text").set_value("").run()
    app.selectbox(key="model_in_use").set_value("answer").run()
    assert not app.header
    assert app.selectbox(key="model_in_use").value == "answer"
    assert "There is no model" not in words_of(app)
    app.query_params["model"] = "nonsense"
    said = words_of(app.run()).replace("\\", "")
    assert "There is no model nonsense here: the model answer is used instead." in said


@pytest.mark.parametrize(
    "text",
    ["see https://a.example/b", "HTTP://a.example", "www.a.example.csv", "to me+you@a.example.org", "@me 1:2 //"],
)
def test_words_of_a_user_become_no_link(text):
    shown = re.sub(r"\\(.)", r"\1", plain_markdown(text))  # as Markdown reads it, before it looks for addresses
    assert not re.search(r"(?i)https?://|www\.|[-.\w+]@[-\w]+\.", shown)
    assert shown.replace("\u2060", "") == text
    assert ("\u2060" in shown) == ("example" in text)


def test_choices_stay_when_another_page_is_looked_at(stub, models, monkeypatch):
    monkeypatch.setenv(data.DATA_VARIABLE, str(paths.SAMPLE_CORPUS))
    make_model(models, "product")
    app = open_app()
    app.text_area(key="ask_text").set_value("I love the iPad").run()
    chosen = {
        "ask": {"words_for": "product"},
        "explore": {"explore_emotions": [tasks.POSITIVE], "explore_contains": "a"},
        "evaluate": {"evaluate_model": "product"},
        "monitor": {"monitor_window": "24 hours", "monitor_live": False},
    }
    for page, choices in chosen.items():
        app.switch_page(f"views/{page}.py").run()
        for key, choice in choices.items():
            widget(app, key).set_value(choice)
        app.run()
    for page, choices in chosen.items():
        app.switch_page(f"views/{page}.py").run()
        assert {key: widget(app, key).value for key in choices} == choices
        assert not app.exception


def widget(app, key):
    kinds = ("multiselect", "text_input", "segmented_control", "selectbox", "toggle")
    return next(each for kind in kinds for each in getattr(app, kind) if each.key == key)


def test_the_first_page_is_ask_and_the_sidebar_tells_the_model(stub):
    app = open_app()
    assert app.title[0].value == "Ask"
    assert "Ready" in badges(app)
    captions = [each.value for each in app.sidebar.caption]
    assert "**answer** predicts product and emotion." in captions


@pytest.mark.parametrize("module", [str(each.relative_to(APP.parent)) for each in sorted(APP.parent.rglob("*.py"))])
def test_nothing_renders_html(module):
    source = (APP.parent / module).read_text(encoding="utf-8")
    assert "unsafe_allow_html" not in source
    assert "st.html(" not in source


def test_without_a_model_the_page_says_so_and_how_to_train_one(models):
    for page in ("ask", "batch"):
        app = open_app(page)
        assert app.warning[0].value == "There is no trained model yet."
        assert app.code[0].value == "make answer"
        assert "No model yet" in badges(app)
        assert not app.text_area


def test_a_broken_model_is_said_to_be_broken(models):
    (models / "answer").mkdir()
    app = open_app()
    assert app.error[0].value == "The model cannot be used."
    assert "saved_model.pb is missing" in words_of(app)
    assert "Cannot be used" in badges(app)
    assert "Choose another model" not in words_of(app)


def test_beside_a_broken_model_another_one_can_be_chosen(models, monkeypatch, stub_later):
    make_model(models, "sample")
    (models / "answer").mkdir()
    app = open_app()
    assert "Choose another model in the sidebar: sample." in words_of(app)
    app.selectbox(key="model_in_use").set_value("sample").run()
    assert app.text_area


def test_a_model_of_the_sample_corpus_is_announced_on_both_pages(stub):
    stub.metrics["dataset"] = "sample"
    for page in ("ask", "batch"):
        app = open_app(page)
        assert "trained on the small sample corpus" in app.warning[0].value
        assert "sample corpus" in badges(app)


def test_what_a_model_of_the_real_tweets_does_not_know_is_said_on_both_pages(stub):
    known = "The model knows 9 Apple and Google products, from English tweets of one festival in March 2011."
    stub.metrics["dataset"] = "custom"
    assert known not in words_of(open_app())
    stub.metrics["dataset"] = "assignment"
    for page in ("ask", "batch"):
        words = f"{known} The answer for a whole text about another brand may name one of them."
        assert words in words_of(open_app(page))
    stub.tasks = ("emotion",)
    said = words_of(open_app())
    assert (
        "The model knows emotions toward Apple and Google, from English tweets of one festival in March 2011." in said
    )


def test_a_model_that_was_replaced_is_announced(stub, models):
    app = open_app()
    assert not app.toast
    make_model(models, "product")
    for used_meanwhile in ("answer", "product"):
        app.run().selectbox(key="model_in_use").set_value(used_meanwhile).run()
        assert not app.toast
        (models / "answer" / "saved_model.pb").unlink()
        (models / "answer" / "saved_model.pb").write_bytes(b"another")
        app.selectbox(key="model_in_use").set_value("answer").run()
        assert "The model was replaced" in app.toast[0].value


def test_another_model_can_be_chosen(stub, models, monkeypatch):
    make_model(models, "product")
    monkeypatch.setattr(Predictor, "load", lambda folder: StubPredictor(("product",)) if "product" in folder else stub)
    app = open_app()
    app.text_area(key="ask_text").set_value("I love the iPad").run()
    assert app.header[0].value == "Positive emotion → iPad"
    app.selectbox(key="model_in_use").set_value("product").run()
    assert app.header[0].value == "iPad"
    assert "**product** predicts product." in [each.value for each in app.sidebar.caption]


def test_a_session_keeps_its_model_until_it_chooses_another_or_it_is_gone(models, stub_later):
    for name in ("product", "sample"):
        make_model(models, name)
    app = open_app()
    assert app.selectbox(key="model_in_use").value == "product"
    make_model(models, "answer")
    app.run()
    assert app.selectbox(key="model_in_use").value == "product"
    assert any(each.value.startswith("**product** predicts") for each in app.sidebar.caption)
    app.selectbox(key="model_in_use").set_value("sample").run()
    make_model(models, "newer")
    app.run()
    assert app.selectbox(key="model_in_use").value == "sample"
    assert any(each.value.startswith("**sample** predicts") for each in app.sidebar.caption)
    shutil.rmtree(models / "sample")
    app.run()
    assert app.selectbox(key="model_in_use").value == "answer"


@pytest.fixture
def stub_later(monkeypatch):
    """A model that answers once its folder exists."""
    made = StubPredictor(metrics={"dataset": "sample"})
    monkeypatch.setattr(Predictor, "load", lambda folder: made)
    return made
