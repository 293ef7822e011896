"""The Explore page: filters that act on every chart, and a drill-down from every bar to its tweets."""

from __future__ import annotations

import json

import pytest
from app_stub import MARKUP, figures, open_app
from sample_datasets import write_csv
from streamlit.testing.v1 import AppTest

from tf_model import data, eda, paths, tasks
from tf_model.data import DATA_VARIABLE

PAGE = paths.ROOT / "streamlit_app" / "views" / "explore.py"
TABS = ("Labels", "Words", "Repeats")


@pytest.fixture(scope="module")
def tweets():
    return eda.describe(data.read(paths.SAMPLE_CORPUS).labelled)


def open_page(tab: str | None = None) -> AppTest:
    page = AppTest.from_file(str(PAGE), default_timeout=120)
    if tab:
        page.session_state["explore_tab"] = tab
    return checked(page.run())


def checked(page: AppTest) -> AppTest:
    assert not page.exception, page.exception
    return page


def chart(page: AppTest, part_of_alt: str) -> dict:
    """The plotly figure whose alternative text contains ``part_of_alt``."""
    [found] = [each for each in page.get("plotly_chart") if part_of_alt in each.proto.alt]
    return json.loads(found.proto.spec)


def choose_bar(page: AppTest, key: str, bar: str):
    """Choose a bar, and return the tweets that the page shows for it."""
    checked(page.selectbox(key=f"{key}_bar").set_value(bar).run())
    [table] = [each.value for each in page.dataframe if "text" in each.value]
    return table


def test_what_the_sample_corpus_is_worth_is_said(sample, tweets):
    page = open_page()
    assert "sample corpus" in page.warning[0].value
    assert figures(page)["Texts counted"] == f"{len(tweets):,}"
    assert figures(page)[tasks.POSITIVE] == f"{(tweets['emotion'] == tasks.POSITIVE).mean():.1%}"


def test_the_captions_say_what_chance_alone_makes_and_what_is_left_out(sample, tweets):
    said = captions(open_page("Words"))
    assert "by chance alone, about 20 of 1,000 words have more than 2, fewer among few texts." in said
    assert "each retweet is a text; words in fewer than 5 texts are left out" in said


def captions(page: AppTest) -> str:
    return "\n".join(each.value for each in page.caption)


@pytest.mark.parametrize("tab", TABS)
def test_every_chart_has_words_for_those_who_do_not_see_it(sample, tab):
    page = open_page(tab)
    charts = page.get("plotly_chart")
    assert charts
    assert all(len(each.proto.alt) > 20 for each in charts)
    assert all(each.label for kind in ("selectbox", "multiselect", "slider", "toggle") for each in page.get(kind))


@pytest.mark.parametrize(
    ("chosen", "act"),
    [
        ({"products": ("iPad",)}, lambda page: page.multiselect(key="explore_products").set_value(["iPad"])),
        (
            {"emotions": (tasks.NEGATIVE,)},
            lambda page: page.multiselect(key="explore_emotions").set_value([tasks.NEGATIVE]),
        ),
        ({"contains": "battery"}, lambda page: page.text_input(key="explore_contains").set_value("battery")),
        ({"once": True}, lambda page: page.toggle(key="explore_once").set_value(True)),
    ],
)
def test_filters_act_on_charts_and_figures(sample, tweets, chosen, act):
    page = open_page()
    checked(act(page).run())
    kept = eda.filter_tweets(tweets, **chosen)
    assert 0 < len(kept) < len(tweets)
    assert figures(page)["Texts counted"] == f"{len(kept):,}"
    expected = [each for each in eda.label_counts(kept, "product")["tweets"] if each]
    assert chart(page, "Number of texts by product")["data"][0]["x"] == expected


def test_filters_stay_when_another_tab_is_opened(sample, tweets):
    page = open_page()
    page.multiselect(key="explore_products").set_value(["iPad"]).run()
    page.session_state["explore_tab"] = "Repeats"
    checked(page.run())
    kept = eda.filter_tweets(tweets, products=("iPad",))
    expected = eda.repeats(kept["same_words"])
    assert chart(page, "by how often they occur")["data"][0]["x"] == expected["tweets"].tolist()


def test_the_open_tab_stays_when_another_page_is_looked_at(sample, stub):
    app = open_app("explore")
    app.session_state["explore_tab"] = "Repeats"
    app.run()
    for name in ("evaluate", "explore"):
        checked(app.switch_page(f"views/{name}.py").run())
    assert app.session_state["explore_tab"] == "Repeats"
    assert chart(app, "by how often they occur")


def test_nothing_left_is_said(sample):
    page = open_page()
    checked(page.text_input(key="explore_contains").set_value("no such words anywhere").run())
    assert "No text passes these filters" in page.info[0].value
    assert not page.get("plotly_chart")


@pytest.mark.parametrize(
    ("tab", "key", "bar", "expected"),
    [
        ("Labels", "explore_product", "Android", lambda t: t[t["product"] == "Android"]),
        (
            "Labels",
            "explore_emotion_by_product",
            f"iPad · {tasks.NEGATIVE}",
            lambda t: t[(t["product"] == "iPad") & (t["emotion"] == tasks.NEGATIVE)],
        ),
        ("Words", "explore_frequent_False", "iphone", lambda t: eda.with_words(t, "iphone")),
        ("Repeats", "explore_repeats", "2 times", lambda t: t[t.duplicated("same_words", keep=False)]),
    ],
)
def test_a_bar_opens_the_tweets_that_it_counts(sample, tweets, tab, key, bar, expected):
    table = choose_bar(open_page(tab), key, bar)
    counted = expected(tweets)
    assert sorted(table["text"]) == sorted(counted["text"])
    assert len(table) > 0


@pytest.mark.parametrize("key", ["explore_product", "explore_emotion_by_product"])
def test_a_click_chooses_the_bar_by_its_name(sample, key):
    page = open_page()
    [figure] = [each for each in page.get("plotly_chart") if each.proto.id.endswith(f"{key}_chart_0")]
    names = [point[-1] for trace in json.loads(figure.proto.spec)["data"] for point in trace["customdata"]]
    assert sorted(names) == sorted(page.selectbox(key=f"{key}_bar").options)
    click(page, figure, [1, names[1]], [1, names[2]])
    assert page.selectbox(key=f"{key}_bar").value == names[1]
    click(page, figure)
    assert page.selectbox(key=f"{key}_bar").value == names[1], "it stays open"
    page.selectbox(key=f"{key}_bar").set_value(names[2]).run()
    assert any(each.proto.id.endswith(f"{key}_chart_1") for each in page.get("plotly_chart")), "no bar is selected"


def click(page: AppTest, figure, *customdata: list) -> None:
    """Select bars, or none, as a browser does; AppTest does not support charts."""
    states = page._tree.get_widget_states()
    points = [{"customdata": each} for each in customdata]
    states.widgets.add(id=figure.proto.id, string_value=json.dumps({"selection": {"points": points}}))
    checked(page._run(states))


def test_words_can_be_compared_by_emotion_and_in_pairs(sample, tweets):
    page = open_page("Words")
    page.segmented_control(key="explore_size").set_value("Word pairs").run()
    checked(page.segmented_control(key="explore_compare").set_value("Emotions").run())
    checked(page.selectbox(key="explore_label_emotion").set_value(tasks.POSITIVE).run())
    expected = eda.distinctive_words(tweets, "emotion", pairs=True)
    expected = expected[(expected["label"] == tasks.POSITIVE) & (expected["z"] > 1.96)].head(15)
    assert 0 < len(expected) < 15
    assert page.selectbox(key=f"explore_telling_True_{tasks.POSITIVE}_bar").options == expected["words"].tolist()


def test_words_within_chance_are_not_shown(models, monkeypatch, tmp_path):
    rows = [
        (f"the same words {number}", product, tasks.POSITIVE) for number in range(6) for product in ("iPad", "Apple")
    ]
    monkeypatch.setenv(DATA_VARIABLE, str(write_csv(tmp_path / "own.csv", rows)))
    told = [each.value for each in open_page("Words").info]
    assert "No word occurs more often here than with the other products, beyond chance." in told


def test_a_tweet_with_markup_is_shown_letter_by_letter(models, monkeypatch, tmp_path):
    rows = [(MARKUP, "iPad", tasks.POSITIVE), ("plain", "Apple", tasks.NEGATIVE)]
    monkeypatch.setenv(DATA_VARIABLE, str(write_csv(tmp_path / "own.csv", rows)))
    page = open_page()
    assert choose_bar(page, "explore_product", "iPad")["text"].tolist() == [MARKUP]
    assert not any("bold" in each.value for kind in ("markdown", "caption", "text") for each in getattr(page, kind))
    for tab in TABS[1:]:
        page.session_state["explore_tab"] = tab
        checked(page.run())
        assert not any("<b>" in each.proto.spec for each in page.get("plotly_chart"))


def test_a_table_of_other_labels_is_shown_in_them(models, monkeypatch, tmp_path):
    rows = [("so good", "Kindle", "good"), ("a lamp", "", "neutral"), ("so bad", "Xbox", "bad"), ("hm", "", "unclear")]
    path = write_csv(tmp_path / "own.csv", rows, ("text", "brand", "sentiment"))
    monkeypatch.setenv(DATA_VARIABLE, str(path))
    page = open_page()
    assert figures(page) == {"Texts counted": "4", "bad": "25.0%", "good": "25.0%"}
    assert page.multiselect(key="explore_products").options == ["Kindle", "Xbox", eda.NO_PRODUCT]
    assert page.multiselect(key="explore_emotions").options == ["bad", "good", "neutral", "unclear"]
    assert choose_bar(page, "explore_product", "Kindle")["text"].tolist() == ["so good"]


@pytest.mark.parametrize(
    ("column", "labels", "kept"),
    [("brand", ("Kindle", "Xbox"), "products"), ("sentiment", ("bad", "good"), "emotions")],
)
def test_a_table_of_one_task_has_the_filter_of_that_task_alone(models, monkeypatch, tmp_path, column, labels, kept):
    path = write_csv(tmp_path / "own.csv", [(f"so {label}", label) for label in labels], ("text", column))
    monkeypatch.setenv(DATA_VARIABLE, str(path))
    page = open_page()
    assert {each.key: each.options for each in page.multiselect} == {f"explore_{kept}": list(labels)}


def test_texts_without_words_are_said_to_have_none(models, monkeypatch, tmp_path):
    monkeypatch.setenv(DATA_VARIABLE, str(write_csv(tmp_path / "own.csv", [("@user", "iPad", tasks.POSITIVE)])))
    assert "No words are left to count." in [each.value for each in open_page("Words").info]


def test_a_file_that_cannot_be_read_is_explained(models, monkeypatch, tmp_path):
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "absent <b>.csv"))
    page = open_page()
    assert page.error[0].value == "The dataset cannot be read."
    assert "absent <b>.csv" in page.text[0].value
    assert not page.metric
    monkeypatch.setenv(DATA_VARIABLE, str(write_csv(tmp_path / "own.csv", [("so good", "Kindle")], ("text", "thing"))))
    assert "-column; this page takes no options: rename the column in a copy of" in open_page().text[0].value


def test_a_changed_file_is_read_again(models, monkeypatch, tmp_path):
    path = write_csv(tmp_path / "own.csv")
    monkeypatch.setenv(DATA_VARIABLE, str(path))
    page = open_page()
    assert figures(page)["Texts counted"] == "5"
    write_csv(path, [("one more", "iPad", tasks.POSITIVE)] * 7)
    checked(page.run())
    assert figures(page)["Texts counted"] == "7"
