"""How the trained `answer` model behaves: what must not matter, what must, and the plainest cases.

Run by ``make test-model``: it needs ``saved_models/answer``, trained on the real data. The categories are those of
M. T. Ribeiro et al., "Beyond accuracy: behavioral testing of NLP models with CheckList", ACL 2020.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tf_model import data, tasks

pytestmark = pytest.mark.model

SAME_ANSWER = 0.97
PLAIN_RIGHT = 0.9
ROWS = 1000
APPENDED = 500
LOVE_ALONE = re.compile(r"\blove\b", re.IGNORECASE)
LOVE = ("I love my {}", "My new {} is awesome!", "The {} is great, so happy with it", "Best thing ever: {} #sxsw")
HATE = ("I hate my {}", "My {} is terrible!", "The {} is awful, so disappointed", "Worst thing ever: {} #sxsw #fail")
NAMES = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "iPad or iPhone App": "iPad app",
    "Google": "Google",
    "Android": "Android phone",
    "Android App": "Android app",
    "Apple": "Apple",
    "Other Google product or service": "Google Maps",
    "Other Apple product or service": "iTunes",
}


@pytest.fixture(scope="module")
def tweets() -> list[str]:
    """Labelled real tweets, drawn with a fixed seed; whether a model was trained on one does not matter here."""
    source = data.resolve()
    dataset = data.read(source.path)
    if dataset.name != data.ASSIGNMENT:
        pytest.skip("the real tweets are not here")
    texts = dataset.labelled[tasks.TEXT_COLUMN].sample(ROWS, random_state=0).tolist()
    return texts


@pytest.fixture(scope="module")
def answers(predictor, tweets) -> pd.DataFrame:
    return predictor.predict(tweets, probabilities=True)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("another user", lambda text: text.replace("@mention", "@somebody")),
        ("another address", lambda text: text.replace("{link}", "http://bit.ly/x9Z")),
        ("trailing spaces", lambda text: text + "   "),
        ("upper case", str.upper),
        ("a retweet", lambda text: text if text.startswith("RT") else f"RT @mention {text}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_matter_changes_nothing(
    predictor, tweets, answers, name: str, change: Callable[[str], str], record_property
):
    changed = [(place, change(text)) for place, text in enumerate(tweets) if change(text) != text]
    before = answers.iloc[[place for place, _ in changed]].reset_index(drop=True)
    found = predictor.predict([text for _, text in changed], probabilities=True)
    same = float((found["best_guess"] == before["best_guess"]).mean())
    shown = float((found["answer"] == before["answer"]).mean())
    record_property(f"same answer: {name}", same)
    print(f"same best answer with {name}: {same:.4f} of {len(changed)}; and alike in whether it is sure: {shown:.4f}")
    assert len(changed) >= ROWS // 4
    assert same >= SAME_ANSWER


@pytest.mark.parametrize("words", [" lol", "!", " http://bit.ly/x9Z", " @somebody"])
def test_appended_words_change_few_answers(predictor, tweets, answers, words):
    before = answers["answer"][:APPENDED]
    changed = (predictor.predict([text + words for text in tweets[:APPENDED]])["answer"] != before).mean()
    print(f"appended {words!r}: another answer to {changed:.4f} of {APPENDED} tweets, by {predictor.runtime}")
    assert changed <= 1 - SAME_ANSWER


def plain(templates: tuple[str, ...]) -> tuple[list[str], list[str]]:
    pairs = [(template.format(name), product) for template in templates for product, name in NAMES.items()]
    return [text for text, _ in pairs], [product for _, product in pairs]


@pytest.mark.parametrize(("templates", "emotion"), [(LOVE, "Positive emotion"), (HATE, "Negative emotion")])
def test_a_plain_emotion_towards_a_plain_product(predictor, templates, emotion):
    texts, products = plain(templates)
    found = predictor.predict(texts)
    right_product = float(np.mean(found["product"] == products))
    right_emotion = float(np.mean(found["emotion"] == emotion))
    print(f"{emotion}: product right {right_product:.3f}, emotion right {right_emotion:.3f} of {len(texts)}")
    wrong = found.assign(text=texts)[(found["product"] != products) | (found["emotion"] != emotion)]
    assert min(right_product, right_emotion) >= PLAIN_RIGHT, wrong[["text", "product", "emotion"]].to_string()


def test_love_and_hate_point_in_opposite_directions(predictor):
    loved, hated = (predictor.predict(plain(templates)[0], probabilities=True) for templates in (LOVE, HATE))
    column = "emotion_probability_Positive emotion"
    assert (loved[column].to_numpy() > hated[column].to_numpy()).mean() >= PLAIN_RIGHT


def test_hate_in_the_place_of_love_makes_a_real_tweet_less_positive(predictor):
    texts = data.read(data.resolve().path).labelled[tasks.TEXT_COLUMN]
    loving = [text for text in texts if LOVE_ALONE.search(text) and "hate" not in text.lower()]
    hating = [LOVE_ALONE.sub("hate", text) for text in loving]
    before, after = (predictor.predict(each, probabilities=True) for each in (loving, hating))
    positive, negative = (f"emotion_probability_{emotion}" for emotion in (tasks.POSITIVE, tasks.NEGATIVE))
    falls, rises = (after[positive] < before[positive]).mean(), (after[negative] > before[negative]).mean()
    print(f"{len(loving)} tweets, love to hate: positive falls in {falls:.3f}, negative rises in {rises:.3f}")
    assert min(falls, rises) >= PLAIN_RIGHT


def test_swapping_the_product_moves_the_product_and_keeps_the_emotion(predictor):
    texts = [template.format("iPad") for template in (*LOVE, *HATE)]
    swapped = [text.replace("iPad", "iPhone") for text in texts]
    before, after = predictor.predict(texts), predictor.predict(swapped)
    assert (before["product"] == "iPad").mean() >= PLAIN_RIGHT
    assert (after["product"] == "iPhone").mean() >= PLAIN_RIGHT
    assert (before["emotion"] == after["emotion"]).mean() >= PLAIN_RIGHT


@pytest.mark.parametrize(("product", "other"), [("iPad", "iPhone"), ("iPhone", "iPad")])
def test_the_other_product_in_a_real_tweet_keeps_the_emotion(predictor, product, other):
    """A model that prefers one product would change the emotion of the same words."""
    named, others = (re.compile(rf"\b{each}\b", re.IGNORECASE) for each in (product, other))
    texts = data.read(data.resolve().path).labelled[tasks.TEXT_COLUMN].dropna()
    texts = [text for text in texts if named.search(text) and not others.search(text) and "app" not in text.lower()]
    before, after = (predictor.predict(each) for each in (texts, [named.sub(other, text) for text in texts]))
    moves = (after["product"][before["product"] == product] == other).mean()
    same, changed = before["emotion"] == after["emotion"], pd.crosstab(before["emotion"], after["emotion"])
    kept = f"the product moves in {moves:.3f}, the emotion stays in {same.mean():.3f}"
    print(f"{product} to {other}, {len(texts)} tweets: {kept}")
    print(changed.to_string())
    assert min(moves, same.mean()) >= PLAIN_RIGHT


def test_a_plain_announcement_carries_no_emotion(predictor):
    texts = ["The panel starts at nine in room 12", "Registration opens on Friday", "Meet us at booth 14 after lunch"]
    assert predictor.predict(texts)["emotion"].tolist() == [tasks.NO_EMOTION] * len(texts)
