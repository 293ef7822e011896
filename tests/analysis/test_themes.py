"""Themes of the texts of one product and emotion."""

import numpy as np
import pandas as pd
from answered_rows import frame_of

from tf_model.analysis.themes import QUOTES, describe_themes, find_themes

PLANTED = ("battery dies", "screen cracked", "update slow", "keyboard sticky", "signal lost")
FILLERS = (
    *("morning", "again", "train", "third", "time", "holidays", "travelling"),
    *("abroad", "office", "kitchen", "garden", "friend", "winter"),
)


def planted(each: int):
    generator = np.random.default_rng(0)
    texts = [
        " ".join(generator.permutation([*topic.split(), *generator.choice(FILLERS, 4, replace=False), "iPad"]))
        for topic in PLANTED
        for _ in range(each)
    ]
    return frame_of(np.zeros(len(texts), int), "iPad", texts)


def test_planted_themes_are_found_with_their_words_counts_and_quotes():
    rows = planted(12)
    themes = find_themes(rows, ["iPad"])
    table = describe_themes(rows, themes, ["iPad"])
    assert 5 <= len(table) <= 10
    sizes = table["texts"].map(len)
    assert sizes.is_monotonic_decreasing
    for line in table.itertuples():
        assert line.trend == []
        texts = [rows["text"][each] for each in line.texts[:QUOTES]]
        topics = {next(topic for topic in PLANTED if topic.split()[0] in text) for text in texts}
        assert len(topics) == 1, "the quotes of a theme are about one thing"
        assert set(line.words[:2]) == set(topics.pop().split())
        assert (themes[line.texts] == line.theme).all()
    merged = describe_themes(rows, themes.replace(table["theme"][1], table["theme"][0]), ["iPad"])
    assert len(merged) == len(table) - 1
    assert len(merged["texts"][0]) == sizes[:2].sum()


def test_of_many_texts_some_make_the_themes_of_all(monkeypatch):
    monkeypatch.setattr("tf_model.analysis.themes.MOST_FITTED", 40)
    rows = planted(12)
    found = pd.crosstab(find_themes(rows, ["iPad"]), np.arange(60) // 12)
    assert found.to_numpy().sum() == 60
    assert (found.max(axis=1) == found.sum(axis=1)).all(), "no theme is about two things"


def test_the_trend_counts_the_texts_of_a_theme_by_period():
    rows = planted(12)
    themes = find_themes(rows, ["iPad"])
    days = pd.Series(pd.to_datetime("2024-05-01") + pd.to_timedelta(np.arange(60) // 12 * 2, "D"))  # a topic a day
    table = describe_themes(rows.assign(date=days), themes, ["iPad"])
    for line in table.itertuples():
        assert len(line.trend) == 9
        assert sum(line.trend) == len(line.texts)
        assert set(np.flatnonzero(line.trend)) == set(days[line.texts].dt.day - 1)


def test_near_duplicates_count_once_and_few_texts_have_no_themes():
    rows = planted(12)
    texts = rows["text"].tolist()
    many = frame_of(np.zeros(len(texts) + 9, int), "iPad", [*texts, *[f"RT @me: {texts[0]}!"] * 9])
    before, after = (describe_themes(each, find_themes(each)) for each in (rows, many))
    before, after = (each["texts"].map(len).sum() for each in (before, after))
    assert before > 30
    assert after - before <= 1  # duplicates shift letter weights a little
    assert find_themes(many).tail(9).nunique() == 1
    few = planted(5)
    assert find_themes(few).empty
    assert describe_themes(few, find_themes(few)).empty


def test_where_nearly_all_texts_are_alike_the_few_others_may_be_in_no_sample(monkeypatch):
    monkeypatch.setattr("tf_model.analysis.themes.MOST_SCORED", 40)
    digits = np.random.default_rng(0).choice(list("0123456789"), (3000, 12))
    texts = [f"I love my iPad, winner of the day! {''.join(each)}" for each in digits]
    others = [f"{topic} {filler} iPad" for topic in PLANTED for filler in FILLERS[:2]]
    themes = find_themes(frame_of(np.zeros(3010, int), "iPad", [*texts, *others]), ["iPad"])
    assert len(themes) == 3010
    assert themes[:3000].nunique() == 1


def test_texts_that_differ_in_numbers_alone_are_one_theme_or_none():
    digits = np.random.default_rng(0).choice(list("0123456789"), (40, 12))
    texts = [f"Kindle broke {''.join(each)} http://t.co/{''.join(each)}" for each in digits]
    rows = frame_of(np.zeros(40, int), "Kindle", texts)
    themes = find_themes(rows, ["Kindle"])
    assert set(themes) == {"broke"}
    assert describe_themes(rows, themes, ["Kindle"])["words"][0] == ["broke"]
    assert find_themes(rows, ["Kindle", "broke"]).empty
