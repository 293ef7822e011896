"""Which texts are fit for the model."""

import pandas
import pytest
from stub_model import stub, target_stub

from tf_model.data.products import Products
from tf_model.inference import fit
from tf_model.inference.fit import FIT, FitCheck
from tf_model.preprocessing.cleaning import CLEANINGS, Cleaning

LONG = f"{fit.TOO_LONG} (at most 99% was read)"


def english_stub():
    model = stub()
    model.metrics["dataset"] = "sample"
    return model


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("I love it", FIT),
        (7, FIT),
        ("iPad2", FIT),
        ("我喜欢", FIT),
        *((blank, fit.BLANK) for blank in ("", " \n\u3000", None, float("nan"), pandas.NA)),
        ("👍👩‍👩‍👧‍👦 !!", fit.NO_WORDS),
        ("👍 http://t.co/abc", fit.NO_WORDS),
        ("love " * 126, FIT),
        ("love " * 127, LONG),
        ("naïve " * 126, FIT),
        ("http://t.co/a-b-c-d " * 127 + "ok", FIT),
        ("!" * 126 + "a", LONG),
        ("love " * 200, f"{fit.TOO_LONG} (at most 63% was read)"),
        ("a " * 50_000, f"{fit.TOO_LONG} (at most 1% was read)"),
        ("a" * 100_000, FIT),
    ],
)
def test_one_text(text, status):
    assert FitCheck(stub(), None)(text) == status


def test_a_text_is_as_long_as_the_model_reads():
    model = stub()
    model.recipe["max_tokens"] = 16
    check = FitCheck(model, None)
    assert check("love " * 14) == FIT
    assert check("love " * 15) == f"{fit.TOO_LONG} (at most 93% was read)"
    model.recipe["cleaning"] = "normalized_trimmed"
    assert FitCheck(model, None)(f"I love it{'!' * 200}") == FIT, "the end is cut"
    assert fit.reasons_of(pandas.Series([check("love " * 30), FIT])).tolist() == [fit.TOO_LONG, FIT]


def test_of_texts_with_the_same_words_the_first_is_fit():
    check = FitCheck(stub(), None)
    texts = ["I love the iPad https://t.co/a1", "RT @me: i LOVE the ipad!! https://t.co/b2", "我喜欢", "我喜欢", "", ""]
    assert [check(text) for text in texts] == [FIT, fit.REPEATED, FIT, fit.REPEATED, fit.BLANK, fit.BLANK]


def test_the_products_that_a_text_names():
    check = FitCheck(stub(), Products({"Kindle": ("e-reader",), "Xbox": ()}))
    texts = ["my Kindle is an e-reader", "Kindle or Xbox", "neither", "neither"]
    assert [check(text) for text in texts] == [
        FIT,
        fit.SEVERAL,
        fit.NO_PRODUCT,
        f"{fit.REPEATED}; {fit.NO_PRODUCT}",
    ]
    assert FitCheck(target_stub(), check.products)("Kindle or Xbox") == FIT


@pytest.mark.parametrize(
    "text",
    [
        "Me encanta mi nuevo iPad",
        "@ich Der neue Kindle ist super #love",
        "我喜欢我的iPad",
        "jeg elsker min nye iPad, den er fantastisk",  # Danish, or Norwegian
    ],
)
def test_a_text_in_another_language_than_english(text):
    assert FitCheck(english_stub(), None)(text) == fit.OTHER_LANGUAGE
    assert FitCheck(stub(), None)(text) == FIT


def test_the_name_of_a_product_says_nothing_of_the_language():
    coffee = Products({"Lavazza": ["Lavazza espresso"], "Nespresso": ["Nespresso Lungo"]})
    english = ["Lavazza espresso is superb", "https://t.co/Lungo Nespresso Lungo espresso is superb"]
    assert [FitCheck(english_stub(), None)(text) for text in english] == [fit.OTHER_LANGUAGE] * 2
    check = FitCheck(english_stub(), coffee)
    assert [check(text) for text in english] == [FIT] * 2
    assert check("Mi piace molto Lavazza") == fit.OTHER_LANGUAGE
    assert check("I love this https://medium.com/@hans/warum-ich-mein-ipad-nicht-mehr-benutze") == fit.NO_PRODUCT


@pytest.mark.parametrize("cleaning", ["report", "target"])
@pytest.mark.parametrize("is_english", [False, True])
def test_a_text_of_which_the_cleaning_leaves_nothing_is_in_another_language(cleaning, is_english, monkeypatch):
    model = english_stub() if is_english else stub()
    model.recipe["cleaning"] = cleaning
    for text in ("Обожаю новый телефон", "新しい電話が大好き http://t.co/abc", "我喜欢"):
        assert FitCheck(model, None)(text) == fit.OTHER_LANGUAGE
    for text in ("lol", "7", "naïve", "@me"):
        assert FitCheck(model, None)(text) == FIT
    monkeypatch.setitem(CLEANINGS, cleaning, Cleaning("any script", ()))
    model.metrics.clear()
    assert FitCheck(model, None)("我喜欢") == FIT


@pytest.mark.parametrize("text", ["I love my iPad", "lol", "iPhone", "7", "RT @a: great http://t.co/x #sxsw"])
def test_an_english_text_stays_one_however_short(text):
    assert FitCheck(english_stub(), None)(text) == FIT


@pytest.mark.timeout(20)
@pytest.mark.parametrize("part", ["a", "a."])
def test_a_text_without_spaces_takes_linear_time(part):
    assert FitCheck(stub(), None)(part * 10_000).split(" (")[0] in (FIT, fit.TOO_LONG)
