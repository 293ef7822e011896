"""Which texts are fit for the model, and which files have none."""

import pandas
import pytest
from stub_model import stub

from tf_model.data.products import Products
from tf_model.errors import DataError
from tf_model.inference import fit
from tf_model.inference.fit import FIT, FitCheck, refuse_without_texts
from tf_model.io import tables

LONG = "longer than the 128 tokens that the model reads"


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
        ("a" * 100_000, FIT),
    ],
)
def test_one_text(text, status):
    assert FitCheck()(text) == status


def test_a_text_is_as_long_as_the_model_reads():
    model = stub()
    model.recipe["max_tokens"] = 16
    check = FitCheck.of(model, None)
    assert check("love " * 14) == FIT
    assert check("love " * 15) == "longer than the 16 tokens that the model reads"


def test_of_texts_with_the_same_words_the_first_is_fit():
    check = FitCheck()
    texts = ["I love the iPad", "RT @me: i LOVE the ipad!!", "我喜欢", "我喜欢", "", ""]
    assert [check(text) for text in texts] == [FIT, fit.REPEATED, FIT, fit.REPEATED, fit.BLANK, fit.BLANK]


def test_the_products_that_a_text_names():
    check = FitCheck(Products({"Kindle": ("e-reader",), "Xbox": ()}))
    texts = ["my Kindle is an e-reader", "Kindle or Xbox", "neither", "neither"]
    assert [check(text) for text in texts] == [
        FIT,
        fit.SEVERAL,
        fit.NO_PRODUCT,
        f"{fit.REPEATED}; {fit.NO_PRODUCT}",
    ]
    assert FitCheck(check.products, reject_several=False)("Kindle or Xbox") == FIT


@pytest.mark.parametrize("text", ["Me encanta mi nuevo iPad", "@ich Der neue Kindle ist super #love", "我喜欢我的iPad"])
def test_a_text_in_another_language_than_english(text):
    assert FitCheck(english_only=True)(text) == fit.OTHER_LANGUAGE
    assert FitCheck()(text) == FIT


@pytest.mark.parametrize("text", ["I love my iPad", "lol", "iPhone", "7", "RT @a: great http://t.co/x #sxsw"])
def test_an_english_text_stays_one_however_short(text):
    assert FitCheck(english_only=True)(text) == FIT


@pytest.mark.parametrize(
    ("content", "is_refused"),
    [
        ("id,price,day\nA-1,9.90 EUR,2 May 2011\n", True),
        ("id,when\nA-1,Mon 2 May\nA-2,Tuesday 3 June\n", True),
        ("id,state\n1,shipped\n2,lost\n", True),
        ("id,link\n1,https://t.co/abc\n", True),
        ("id,words\n1,2\n2,love it\n", False),
        ("id,words\n1,отлично\n", False),
        ("id,words\n1,素晴らしい\n", False),
        ("id,text\n1,7\n", False),
        ("day\n2011-05-02\n", False),
        ("id,day\n", False),
    ],
)
def test_a_file_without_texts_is_refused(tmp_path, content, is_refused):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8")
    with tables.open_table(path) as table:
        sample = next(table.chunks())
        if is_refused:
            columns = ", ".join(f"'{name}'" for name in table.columns)
            with pytest.raises(DataError, match=f"expected a column of texts, but {columns} hold numbers"):
                refuse_without_texts(table, sample)
        else:
            refuse_without_texts(table, sample)
