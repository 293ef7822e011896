"""The tables of tf_model.eda, on tweets that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tf_model import data, eda, paths, tasks
from tf_model.data.dataset import COLUMNS
from tf_model.eda import _log_odds, terms

GOOD, BAD, NONE = tasks.POSITIVE, tasks.NEGATIVE, tasks.NO_EMOTION
ROWS = [
    ("I love my iPad 2 :) #SXSW", "iPad", GOOD),
    ("RT @mention I love my iPad 2 :) #sxsw!", "iPad", NONE),
    ("My iPhone battery is dead {link}", "iPhone", BAD),
    ("my iphone battery is dead", "Apple", BAD),
    ("Google &amp; Apple meet at AT&amp;T", None, NONE),
    ("Don\ufffd\u06eat wait, the Android app for the iPhone is here\n", "Android App", tasks.CANNOT_TELL),
]


def described(rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype("str")
    frame.insert(0, "row", np.arange(len(frame)))
    return eda.describe(frame)


@pytest.fixture(scope="module")
def tweets() -> pd.DataFrame:
    return described(ROWS)


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    return eda.describe(data.read(paths.SAMPLE_CORPUS).labelled)


@pytest.fixture(scope="module")
def real(real_dataset) -> pd.DataFrame:
    return eda.describe(real_dataset.labelled)


def lines(frame: pd.DataFrame, *columns: str) -> list[tuple]:
    return list(frame[list(columns)].itertuples(index=False, name=None))


class TestDescribe:
    def test_each_tweet_in_one_line(self, tweets):
        assert tweets["product"].tolist() == ["iPad", "iPad", "iPhone", "Apple", eda.NO_PRODUCT, "Android App"]
        assert tweets["text"].tolist() == [text for text, _, _ in ROWS]

    def test_a_retweet_has_the_same_words(self, tweets):
        groups = tweets["same_words"]
        assert groups[0] == groups[1]
        assert groups.nunique() == 5  # the splits take {link} for a word, so the two about the battery differ

    def test_missing_labels_get_a_name(self):
        assert lines(described([("text", None, None)]), "product", "emotion") == [(eda.NO_PRODUCT, eda.NO_LABEL)]

    def test_the_labelled_rows_are_not_changed(self):
        labelled = data.read(paths.SAMPLE_CORPUS).labelled
        before = labelled.copy()
        eda.describe(labelled)
        pd.testing.assert_frame_equal(labelled, before)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("I love #iPad2", ("i", "love", "ipad2")),
            ("@mention see {link} http://a.b/c [pic]", ("see",)),
            ("AT&amp;T isn\u2019t &quot;fast&quot;", ("at&t", "isn't", "fast")),
            ("can\ufffd\u06eat", ("can't",)),
            ("{link}", ()),
        ],
    )
    def test_terms(self, text, words):
        assert terms([text]) == [words]


class TestFilter:
    def test_the_default_keeps_all(self, tweets):
        assert len(eda.filter_tweets(tweets)) == len(tweets)

    @pytest.mark.parametrize(
        ("chosen", "rows"),
        [
            ({"products": ("iPad", eda.NO_PRODUCT)}, [0, 1, 4]),
            ({"emotions": (BAD,)}, [2, 3]),
            ({"products": ("iPad",), "emotions": (BAD,)}, []),
            ({"once": True, "products": ("iPad",)}, [0]),
            ({"contains": "IPHONE"}, [2, 3, 5]),
            ({"contains": ".*"}, []),
        ],
    )
    def test_which_rows_pass(self, tweets, chosen, rows):
        assert eda.filter_tweets(tweets, **chosen)["row"].tolist() == rows


class TestLabels:
    def test_products_and_emotions(self, tweets):
        products = eda.label_counts(tweets, "product")
        assert products["product"].tolist() == [*tasks.PRODUCTS, eda.NO_PRODUCT]
        assert products.set_index("product")["tweets"]["iPad"] == 2
        assert products["tweets"].sum() == len(tweets)
        assert products["share"].sum() == pytest.approx(1)
        assert lines(eda.label_counts(tweets, "emotion"), "emotion", "tweets") == [
            (BAD, 2),
            (NONE, 2),
            (GOOD, 1),
            (tasks.CANNOT_TELL, 1),
        ]

    def test_emotion_by_product(self, tweets):
        frame = eda.emotion_by_product(tweets)
        ipad = frame[frame["product"] == "iPad"].set_index("emotion")
        assert ipad["tweets"].to_dict() == {BAD: 0, NONE: 1, GOOD: 1, tasks.CANNOT_TELL: 0}
        assert frame.groupby("product")["share"].sum().tolist() == pytest.approx([1] * 5)
        assert ((frame["low"] <= frame["share"]) & (frame["share"] <= frame["high"])).all()


class TestWords:
    def test_frequent_words_count_tweets_and_leave_out_function_words(self):
        frame = eda.frequent_words(described([("RT the app app", None, NONE), ("an app of ours", None, NONE)]))
        assert lines(frame, "words", "tweets", "share") == [("app", 2, 1.0)]

    def test_pairs(self, tweets):
        frame = eda.frequent_words(tweets, pairs=True).set_index("words")
        assert frame["tweets"]["ipad 2"] == 2
        assert frame["tweets"]["battery is"] == 2
        assert {"rt", "my"} <= {term for terms in tweets["terms"] for term in terms}
        assert not any("rt" in pair.split() for pair in frame.index)

    def test_with_words_finds_what_was_counted(self, sample):
        for pairs in (False, True):
            frame = eda.frequent_words(sample, pairs)
            for line in frame.head(20).itertuples():
                assert len(eda.with_words(sample, line.words)) == line.tweets

    def test_log_odds_by_hand(self):
        here, elsewhere, prior = np.array([8.0, 2]), np.array([2.0, 8]), np.array([1.0, 1])
        log_odds, z = _log_odds(here, elsewhere, prior)
        expected = np.log(9 / 3) - np.log(3 / 9)
        assert log_odds == pytest.approx([expected, -expected])
        assert z == pytest.approx(log_odds / np.sqrt(1 / 9 + 1 / 3))

    def test_the_word_of_one_label_tells_it(self):
        rows = [("crash of the phone", "iPhone", BAD)] * 8 + [("joy of the phone", "iPhone", GOOD)] * 8
        frame = eda.distinctive_words(described(rows), "emotion")
        first = frame.groupby("label").first()
        assert first["words"].to_dict() == {BAD: "crash", GOOD: "joy"}
        assert (first["tweets"] == 8).all()
        assert (first["others"] == 0).all()
        shared = frame[frame["words"] == "phone"]
        assert shared["z"].to_numpy() == pytest.approx(0)

    def test_missing_and_ignored_labels_are_not_compared(self, sample):
        for column, labels in (("product", tasks.PRODUCTS), ("emotion", tasks.EMOTIONS)):
            frame = eda.distinctive_words(sample, column)
            assert set(frame["label"]) == set(labels)
            assert (frame["tweets"] + frame["others"] >= 5).all()

    def test_nothing_to_compare(self, tweets):
        assert eda.distinctive_words(tweets[tweets["emotion"] == GOOD], "emotion").empty

    def test_real_products_are_told_by_their_names(self, real):
        once = eda.filter_tweets(real, once=True)
        first = eda.distinctive_words(once, "product").groupby("label")["words"].first()
        names = ["iPhone", "iPad", "Google", "Android", "Apple"]
        assert first[names].tolist() == [name.lower() for name in names]


def test_sizes_of_repeats():
    frame = eda.repeats(pd.Series([0, 0, 1, 1, 2, 3]))
    assert lines(frame, "size", "groups", "tweets") == [(1, 2, 2), (2, 2, 4)]


@pytest.mark.parametrize(
    ("text", "product"),
    [
        ("the Android app", "Android App"),
        ("an APP for my iPad", "iPad or iPhone App"),
        ("new app!", "iPad or iPhone App"),
        ("iPad and iPhone", "iPad"),
        ("Google Maps", "Other Google product or service"),
        ("google says", "Google"),
        ("apple iTunes", "Other Apple product or service"),
        ("apple store", "Apple"),
        ("happy apples?", "Apple"),
        ("lunch", None),
    ],
)
def test_the_keyword_rule(text, product):
    assert eda.keyword_rule(text) == product


def test_the_keyword_rule_on_real_tweets(real):
    labelled = real[real["product"] != eda.NO_PRODUCT]
    assert (labelled["text"].map(eda.keyword_rule) == labelled["product"]).mean() == pytest.approx(0.8134, abs=0.001)


def test_nothing_left_is_no_error(sample):
    none = sample.iloc[:0]
    assert eda.label_counts(none, "product")["tweets"].sum() == 0
    assert eda.label_counts(none, "emotion")["share"].tolist() == [0, 0, 0]
    assert eda.label_order(sample.assign(emotion=eda.NO_LABEL), "emotion") == (eda.NO_LABEL,)
    assert eda.emotion_by_product(none).empty
    assert eda.frequent_words(none).empty
    assert eda.frequent_words(none, pairs=True).empty
    assert eda.distinctive_words(none, "product").empty
    assert eda.with_words(none, "app").empty
    assert eda.repeats(none["same_words"]).empty


@pytest.mark.timeout(20)
@pytest.mark.parametrize("part", ["a", "a."])
def test_a_text_without_spaces_takes_linear_time(part):
    assert terms([part * 100_000])
