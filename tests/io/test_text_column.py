"""The text column: by name, or much text."""

import pandas
import pyarrow
import pyarrow.parquet
import pytest
from table_files import message_of, write

from tf_model.errors import DataError, UsageError
from tf_model.io import tables


@pytest.mark.parametrize(
    ("columns", "chosen", "reason"),
    [
        ({"long": "a long sentence", " Tweet_Text ": "b"}, " Tweet_Text ", "by its name"),
        ({"comment": "b", "TEXT": "b"}, "TEXT", "by its name"),
        ({"full text": "a", "x": "a long sentence"}, "full text", "by its name"),
        ({"id": "1", "words": "a long sentence"}, "words", "much text, 15 characters on average"),
        (
            {"link": "https://example.com/posts/1", "words": "so good"},
            "words",
            "much text, 7 characters on average",
        ),
        ({"link": "https://example.com/posts/1", "word": "good"}, "link", "much text"),
        ({"whatever": "b"}, "whatever", "the only column"),
        ({"text": 1, "words": "b"}, "words", "much text"),
        ({"Text": "1", "text": "so good", "author": "Ann Lee Smith"}, "text", "by its name"),
        ({"review": "5", "review_text": "so good"}, "review_text", "much text"),
        ({"post": "www.example.com/1", "body": None, "caption": "so good"}, "caption", "much text"),
        ({"post": "great www.example.com/1", "caption": "so good"}, "post", "by its name"),
        ({"author": "Ann Lee", "text": ""}, "author", "the first rows of 'text' hold no words; it has much text"),
        ({"id": "t1", "text": "ein schönes iPad".encode()}, "text", "by its name"),
        ({"picture": b"\x89PNG good " * 9, "words": "so good"}, "words", "no column of texts has a usual name"),
    ],
)
def test_text_column(columns, chosen, reason):
    frame = pandas.DataFrame({name: [value] for name, value in columns.items()}, dtype=object)
    position, why = tables.choose_text_column(frame, "a.csv")
    assert frame.columns[position] == chosen
    assert reason in why


@pytest.mark.parametrize("name", ["note", "Note"])
def test_a_column_that_was_asked_for(tmp_path, name):
    with tables.open_table(write(tmp_path / "a.csv", f"text,{name}\nb,c\n"), "note") as table:
        assert (table.text_column, table.text_position, table.reason) == (name, 1, "as asked")


def test_few_long_texts_are_longer_than_many_short_ones():
    frame = pandas.DataFrame(
        {"code": ["short1"] * 6, "words": ["a long sentence", None, "a longer sentence", *[None] * 3]}
    )
    position, why = tables.choose_text_column(frame, "a.csv")
    assert frame.columns[position] == "words"
    assert why.endswith("it has much text, 16 characters on average")


def test_a_column_with_few_texts_is_taken_only_if_no_other_has_more():
    frame = pandas.DataFrame({"words": ["so good"] * 5, "reply": ["thank you so much", *[None] * 4]})
    assert frame.columns[tables.choose_text_column(frame, "a.csv")[0]] == "words"
    assert tables.choose_text_column(frame.fillna(""), "a.csv")[0] == 0
    assert tables.choose_text_column(frame.assign(words="5"), "a.csv")[0] == 1
    frame = pandas.DataFrame(
        {"country": ["United States"] * 5, "feedback": [None, *["x" * 20 + " it broke"] * 3, None]}
    )
    assert tables.choose_text_column(frame, "a.csv")[0] == 1
    remarks = ["I like the phone, but the battery is bad and it gets hot"] * 13 + [""] * 87
    frame = pandas.DataFrame({"city": ["New York"] * 100, "remark": remarks})
    assert tables.choose_text_column(frame, "a.csv")[0] == 1
    same = pandas.DataFrame({str(number): ["so good"] for number in range(9)})
    assert tables.choose_text_column(same, "a.csv")[0] == 0, "the first of equal ones"


def test_unknown_column_names_the_nearest_and_all(tmp_path):
    path = write(tmp_path / "a.csv", "id,tweets\n1,a\n")
    expected = "no column 'tweet'; did you mean 'tweets'? The columns are 'id', 'tweets'"
    assert expected in message_of(UsageError, path, column="tweet")
    assert "no column 'words'; the columns are 'id', 'tweets'" in message_of(UsageError, path, column="words")
    twice = write(tmp_path / "b.csv", "text,text\n1,a\n")
    assert "2 columns called 'text'; rename all but one" in message_of(UsageError, twice, column="text")


def test_no_column_of_text(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"n": [1], "m": [2]}), tmp_path / "a.parquet")
    assert "expected a column of texts, but none of 'n', 'm' holds" in message_of(DataError, tmp_path / "a.parquet")


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
    with tables.open_table(write(tmp_path / "a.csv", content)) as table:
        if is_refused:
            columns = ", ".join(f"'{name}'" for name in table.columns)
            with pytest.raises(DataError, match=f"expected a column of texts, but {columns} hold numbers"):
                tables.refuse_without_texts(table)
        else:
            tables.refuse_without_texts(table)


@pytest.mark.timeout(20)
def test_padding_takes_linear_time(tmp_path):
    with tables.open_table(write(tmp_path / "a.csv", f"code,words\n{'ABCDEFGH'.ljust(50_000)},so slow\n")) as table:
        tables.refuse_without_texts(table)
