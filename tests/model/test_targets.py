"""How the trained `target` model behaves: whose product it is must not matter, what is said about it must.

Run by ``make test-model``: it needs ``saved_models/target``, trained on the real data.
"""

from __future__ import annotations

import pytest

from tf_model import data, paths, tasks
from tf_model.data.products import Products
from tf_model.inference.targets import TargetPredictor

pytestmark = pytest.mark.model

SAME_EMOTION = 0.97
ROWS = 1000
PAIRS = (("iPad", "Android"), ("Kindle", "Xbox"), ("Zorblax", "Quimby"), ("Google Maps", "Bing Maps"))
GOOD = ("I love my {}", "the {} is awesome", "{} just made my day", "so happy with the new {}")
BAD = ("my {} is a joke", "the {} is terrible", "I hate my {}", "{} keeps crashing, so annoying")
JOINTS = ("{} but {}", "{}. {}!", "{}, whereas {}")


@pytest.fixture(scope="module")
def predictor() -> TargetPredictor:
    if not (paths.SAVED_MODELS / tasks.TARGET.name).is_dir():
        pytest.skip("there is no saved_models/target; run `make targets`")
    return TargetPredictor.load()


def of(predictor: TargetPredictor, *names: str) -> TargetPredictor:
    """The same model for other products; it must not fall back on another model."""
    return TargetPredictor(predictor.model, Products(dict.fromkeys(names, ())))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Labelled real tweets, drawn with a fixed seed."""
    dataset = data.read(data.resolve().path)
    if dataset.name != data.ASSIGNMENT:
        pytest.skip("the real tweets are not here")
    return dataset.labelled[tasks.TEXT_COLUMN].sample(ROWS, random_state=0).tolist()


@pytest.mark.parametrize("words", [" lol", "!", " http://bit.ly/x9Z", " @somebody"])
def test_appended_words_change_few_emotions(predictor, texts, words):
    before, after = (predictor.predict(each)["emotion"] for each in (texts, [text + words for text in texts]))
    changed = float((before != after).mean())
    print(f"appended {words!r}: another emotion of {changed:.4f} of {len(before)} mentions")
    assert changed <= 1 - SAME_EMOTION


def test_any_brand_in_the_place_of_another_gets_the_same_emotion(predictor, texts):
    named = [(text, mentions[0]) for text in texts if len(mentions := predictor.products.find(text)) == 1]
    before = predictor.predict([text for text, _ in named])
    for name in ("Kindle", "Zorblax 3000", "Nintendo Switch"):
        swapped = [f"{text[: mention.start]}{name}{text[mention.end :]}" for text, mention in named]
        after = of(predictor, name).predict(swapped)
        same = float((after["emotion"] == before["emotion"]).mean())
        print(f"same emotion with {name} in the place of the product: {same:.4f} of {len(named)}")
        assert same >= SAME_EMOTION
    assert len(named) > ROWS / 4


@pytest.fixture(scope="module")
def shares(predictor) -> tuple[float, float]:
    """In texts with opposite emotions: share with both correct, and share of mentions with the other's emotion."""
    cases = [
        (first.format(one), second.format(other), joint, is_good)
        for one, other in PAIRS
        for pairs, is_good in ((zip(GOOD, BAD, strict=True), True), (zip(BAD, GOOD, strict=True), False))
        for first, second in pairs
        for joint in JOINTS
    ]
    texts = [joint.format(first, second) for first, second, joint, _ in cases]
    found = of(predictor, *(name for pair in PAIRS for name in pair)).predict(texts, threshold=0)
    assert len(found) == 2 * len(texts)
    emotions = found["emotion"].to_numpy().reshape(-1, 2)
    expected = [[tasks.POSITIVE, tasks.NEGATIVE][:: 1 if is_good else -1] for *_, is_good in cases]
    right = float((emotions == expected).all(axis=1).mean())
    leaked = float((emotions == [each[::-1] for each in expected]).mean())
    print(f"both right: {right:.3f} of {len(texts)} texts; the other product's emotion: {leaked:.3f} of mentions")
    return right, leaked


def test_each_of_two_products_gets_its_own_emotion(shares):
    assert shares[0] >= 0.9


def test_the_emotion_of_one_product_seldom_leaks_to_the_other(shares):
    assert shares[1] <= 0.05


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("I love my iPad but my Android phone is a joke", ("iPad", "Android phone")),
        ("I love my Kindle but my Xbox is a joke", ("Kindle", "Xbox")),
    ],
)
def test_the_emotion_changes_within_a_sentence(predictor, text, names):
    found = of(predictor, *names).predict([text])
    assert found["emotion"].tolist() == [tasks.POSITIVE, tasks.NEGATIVE]
