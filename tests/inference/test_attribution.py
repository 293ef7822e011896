"""Which words counted: each is left out once, as it is written."""

from __future__ import annotations

import numpy as np
import pytest

from tf_model.inference import attribution
from tf_model.inference.attribution import Explanation, explain
from tf_model.preprocessing.cleaning import mark

LABELS = {"product": ("iPad", "Kindle"), "emotion": ("bad", "none", "good")}
asked: list[str] = []


@pytest.fixture(autouse=True)
def _forget():
    asked.clear()


def probabilities(texts):
    """The iPad is named with 0.9, else 0.5 each; without "love" there is no emotion."""
    asked.extend(texts)
    product = [(0.9, 0.1) if "iPad" in text else (0.5, 0.5) for text in texts]
    emotion = [(0.1, 0.1, 0.8) if "love" in text else (0.1, 0.7, 0.2) for text in texts]
    return np.concatenate([product, emotion], axis=1).astype(np.float32)


def test_a_word_weighs_what_the_probability_of_the_chosen_class_loses_without_it():
    found = explain("I  love\tthe iPad!", LABELS, probabilities)
    assert asked == ["I  love\tthe iPad!", "  love\tthe iPad!", "I  \tthe iPad!", "I  love\t iPad!", "I  love\tthe "]
    assert found.words == ("I", "love", "the", "iPad!")
    assert {task: each.label for task, each in found.tasks.items()} == {"product": "iPad", "emotion": "good"}
    assert found.tasks["product"].weights == pytest.approx((0, 0, 0, np.log(0.9 / 0.5)), abs=1e-6)
    assert found.tasks["emotion"].weights == pytest.approx((0, np.log(0.8 / 0.2), 0, 0), abs=1e-6)


def test_a_word_against_the_class_weighs_less_than_nothing():
    def opposed(texts):
        return np.array([[0.6, 0.4] if "tea" in text else [0.9, 0.1] for text in texts], np.float32)

    found = explain("tea time", {"product": LABELS["product"]}, opposed)
    assert found.tasks["product"].weights == pytest.approx((np.log(0.6 / 0.9), 0), abs=1e-6)


def test_the_marked_mention_is_never_left_out_and_shown_without_its_marks():
    text = mark("I love my Nook Color, not the iPad", 10, 20)
    found = explain(text, LABELS, probabilities)
    assert found.words == ("I", "love", "my", "Nook Color,", "not", "the", "iPad")
    assert all("\x02Nook Color\x03" in each for each in asked)
    assert found.tasks["product"].weights[3] == 0 < found.tasks["product"].weights[6]


def test_what_is_written_together_with_a_mention_is_weighed():
    explain(mark("the Nook...love! now", 4, 8), LABELS, probabilities)
    assert asked[2] == "the \x02Nook\x03 now"


def test_a_text_without_words():
    found = explain(" \n", LABELS, probabilities)
    assert found.words == found.tasks["emotion"].weights == ()
    assert (found.tasks["emotion"].label, asked) == ("none", [" \n"])


def test_of_a_long_text_the_first_words_are_weighed():
    found = explain("love " * 5000, LABELS, probabilities)
    assert len(found.words) == len(asked) - 1 == attribution.MOST_WORDS


def test_of_a_long_text_with_a_mention_the_words_around_it_are_weighed():
    for words, place in ((9, 0), (9, 8), (2000, 0), (2000, 1000), (2000, 1999)):
        text = ["love"] * words
        text[place] = "\x02Nook Color\x03"
        found = explain(" ".join(text), LABELS, probabilities)
        assert len(found.words) == min(words, attribution.MOST_WORDS)
        assert "Nook Color" in found.words
        if place == 1000:
            assert found.words.index("Nook Color") == attribution.MOST_WORDS // 2


def test_a_probability_of_zero_has_a_finite_weight():
    def certain(texts):
        return np.array([[1.0, 0.0] if "iPad" in text else [0.0, 1.0] for text in texts], np.float32)

    found = explain("iPad", {"product": LABELS["product"]}, certain)
    assert isinstance(found, Explanation)
    assert np.isfinite(found.tasks["product"].weights).all()
