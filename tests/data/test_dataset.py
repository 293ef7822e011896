"""What a labelled table may look like, and the errors for unusable ones."""

import datetime
import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_datasets import BAD, GOOD, HEADER, NONE, ROWS, labelled, line_of, write_csv, write_workbook

from tf_model import data, tasks
from tf_model.data import dataset as dataset_file
from tf_model.errors import DataError, UsageError


def outcome_of(path: Path) -> dataset_file.Dataset | str:
    """The result of reading: a dataset, or the error message."""
    try:
        return dataset_file.read(path)
    except DataError as error:
        return str(error)


# ---------------------------------------------------------------- what works


def test_csv(tmp_path):
    rows = [*ROWS, ("", "iPad", GOOD), (" \t ", "", NONE), ("  spaces stay  ", " iPad ", f" {GOOD}\n")]
    path = write_csv(tmp_path / "mine.csv", rows)
    dataset = dataset_file.read(path)
    assert dataset.name == dataset_file.CUSTOM
    assert dataset.path == path
    assert dataset.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert dataset.unlabelled is None
    assert dataset.labelled["row"].tolist() == [0, 1, 2, 3, 4, 7]
    assert dataset.labelled["tweet_text"].iloc[-1] == "  spaces stay  "
    assert dataset.labelled[tasks.PRODUCT_COLUMN].iloc[-1] == "iPad"
    assert dataset.labelled[tasks.EMOTION_COLUMN].iloc[-1] == GOOD
    assert dataset.labelled[tasks.PRODUCT_COLUMN].isna().tolist() == [False, False, True, False, True, False]
    assert dataset.dropped == (dataset_file.Dropped("the text is missing", (5, 6)),)
    assert dataset.dropped[0].describe() == "2 rows left out: the text is missing (rows 7, 8 of the file)"
    assert dataset.warnings == ()
    assert dataset.tasks == (tasks.PRODUCT, tasks.EMOTION)


def test_csv_and_workbook_give_the_same(tmp_path):
    csv = dataset_file.read(write_csv(tmp_path / "mine.csv"))
    book = dataset_file.read(write_workbook(tmp_path / "mine.xlsx", Train=labelled()))
    pd.testing.assert_frame_equal(csv.labelled, book.labelled)


def test_workbook_with_unlabelled_rows(tmp_path):
    tweets = pd.DataFrame({"other": [1, 2, 3], " tweet": ["one", None, "three"]})
    book = write_workbook(tmp_path / "mine.xlsx", Card=pd.DataFrame({"a": [1]}), Train=labelled(), Test=tweets)
    dataset = dataset_file.read(book)
    assert len(dataset.labelled) == 5
    assert dataset.unlabelled.to_dict("list") == {"Tweet": ["one", "", "three"]}


def test_the_first_sheet_where_none_has_the_usual_name(tmp_path):
    dataset = dataset_file.read(write_workbook(tmp_path / "mine.xlsx", Sheet1=labelled()))
    assert len(dataset.labelled) == 5
    assert dataset.unlabelled is None
    dataset = dataset_file.read(write_workbook(tmp_path / "two.xlsx", Mine=labelled(), Notes=pd.DataFrame({"a": [1]})))
    assert len(dataset.labelled) == 5
    assert dataset.warnings == ("reading the sheet 'Mine' of 'Mine', 'Notes'; the name 'Train' chooses another",)


def test_cells_that_are_no_texts(tmp_path):
    rows = [(12.5, "iPad", GOOD), (None, "", NONE), (True, "", NONE), (datetime.date(2011, 3, 11), "", NONE)]
    dataset = dataset_file.read(write_workbook(tmp_path / "mine.xlsx", Train=labelled(rows)))
    assert dataset.labelled["tweet_text"].tolist() == ["12.5", "True", "2011-03-11 00:00:00"]
    assert dataset.labelled[tasks.PRODUCT_COLUMN].isna().tolist() == [False, True, True]
    assert dataset.dropped == (dataset_file.Dropped("the text is missing", (1,)),)


def test_an_error_about_columns_says_which_sheet_was_read(tmp_path):
    guide = pd.DataFrame({"Topic": ["a"], "Comment": ["b"]})
    path = write_workbook(tmp_path / "a.xlsx", Guidelines=guide, Data=labelled())
    with pytest.raises(DataError, match=r"'Comment'; name it with .*; reading the sheet 'Guidelines' of"):
        dataset_file.read(path)


def test_texts_below_an_empty_heading_are_read(tmp_path):
    (tmp_path / "index.csv").write_text(",sentiment\ngreat,positive\nbad,negative\n", encoding="utf-8")
    assert dataset_file.read(tmp_path / "index.csv").labelled["tweet_text"].tolist() == ["great", "bad"]


def test_test_sheet_without_its_column_is_ignored(tmp_path):
    book = write_workbook(tmp_path / "mine.xlsx", Train=labelled(), Test=pd.DataFrame({"texts": ["one"]}))
    assert dataset_file.read(book).unlabelled is None


def test_an_empty_test_sheet_is_ignored_and_an_empty_train_sheet_refused(tmp_path):
    book = write_workbook(tmp_path / "mine.xlsx", Train=labelled(), Test=pd.DataFrame())
    assert dataset_file.read(book).unlabelled is None
    book = write_workbook(tmp_path / "empty.xlsx", Mine=labelled(), Train=pd.DataFrame())
    with pytest.raises(DataError, match="sheet 'Train' is empty"):
        dataset_file.read(book)


def test_columns_in_any_order_case_and_spacing(tmp_path):
    frame = labelled()[[tasks.EMOTION_COLUMN, tasks.TEXT_COLUMN, tasks.PRODUCT_COLUMN]]
    frame.columns = [f" {name.upper()} " for name in frame.columns]
    frame.insert(1, "Annotator", "someone")
    path = tmp_path / "mine.CSV"
    frame.to_csv(path, index=False, encoding="utf-8-sig")
    assert list(dataset_file.read(path).labelled.columns) == ["row", *dataset_file.COLUMNS]
    kept = dataset_file.read(path, ["annotator"]).labelled
    assert kept["annotator"].tolist() == ["someone"] * 5
    message = line_of(dataset_file.read, path, ["anotator"], error=UsageError)
    assert "did you mean 'Annotator'?" in message


def test_blank_lines_keep_row_numbers_true(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADER}\none,iPad,{GOOD}\n\ntwo,iPhone,{GOOD}\n\n\n")
    dataset = dataset_file.read(path)
    assert dataset.labelled["row"].tolist() == [0, 2]
    assert dataset.dropped == ()
    path.write_text(f"{HEADER}\n\none,iPed,{GOOD}\ntwo,iPad,{GOOD}\n")
    assert "row 3 of the file" in line_of(dataset_file.read, path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".xlsx"]), st.booleans())
def test_any_bytes_give_a_dataset_or_one_line(tmp_path_factory, content, suffix, with_header):
    path = tmp_path_factory.mktemp("any") / f"mine{suffix}"
    path.write_bytes((HEADER.encode() + b"\n" if with_header else b"") + content)
    outcome = outcome_of(path)
    assert isinstance(outcome, dataset_file.Dataset) or len(outcome.splitlines()) == 1


# ---------------------------------------------------------------- what does not


def test_another_format(tmp_path):
    (tmp_path / "mine.json").write_text("{}")
    message = line_of(dataset_file.read, tmp_path / "mine.json")
    assert "expected a file (.xlsx, .csv, .tsv)" in message
    assert "save it as one of these" in message


def test_no_permission(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "mine.csv")

    def sha256_of(file):  # root may read everything: simulate the refusal
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(dataset_file, "sha256_of", sha256_of)
    message = line_of(dataset_file.read, path)
    assert "cannot read" in message
    assert "Permission denied; check the file and its permissions" in message


def test_no_text_below_the_header(tmp_path):
    header_only = write_csv(tmp_path / "a.csv", []), write_workbook(tmp_path / "a.xlsx", Train=labelled([]))
    blank = write_csv(tmp_path / "b.csv", [("", "iPad", GOOD), (" ", "", NONE)])
    for path in (*header_only, blank):
        assert "expected rows with a text below the header" in line_of(dataset_file.read, path)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_wrong_columns_show_the_nearest_names(tmp_path, kind):
    columns = ("words", "products", "feeling")
    if kind == "csv":
        path = write_csv(tmp_path / "mine.csv", columns=columns)
    else:
        path = write_workbook(tmp_path / "mine.xlsx", Train=labelled(columns=columns))
    message = line_of(dataset_file.read, path)
    assert "expected a column of products or of emotions" in message
    assert "got the columns 'words', 'products', 'feeling'; name it with --product-column" in message
    asked = dataset_file.Columns(product="product")
    message = line_of(dataset_file.read, path, columns=asked, error=UsageError)
    assert "has no column 'product'; did you mean 'products'? The columns are 'words', " in message


def test_a_list_of_texts_is_no_dataset(tmp_path):
    for content in ("tweet\nshort\n", " \n\n"):
        (tmp_path / "mine.csv").write_text(content)
        assert "expected a column of products or of emotions" in line_of(dataset_file.read, tmp_path / "mine.csv")


def test_column_that_occurs_twice(tmp_path):
    path = write_csv(
        tmp_path / "mine.csv", [("a", "b", "", NONE)], columns=(*dataset_file.COLUMNS[:1], *dataset_file.COLUMNS)
    )
    message = line_of(dataset_file.read, path, error=UsageError)
    assert "has 2 columns called 'tweet_text'; rename all but one" in message


def test_unknown_label_tells_row_value_and_nearest(tmp_path):
    message = line_of(dataset_file.read, write_csv(tmp_path / "a.csv", [*ROWS, ("text", "ipad", GOOD)]))
    assert "row 7 of the file" in message
    assert f"'ipad' in '{tasks.PRODUCT_COLUMN}'" in message
    assert "did you mean 'iPad'?" in message
    rows = [("one", "", "angry\nand more"), *ROWS, ("two", "", "sad"), ("three", "toaster", "fine")]
    message = line_of(dataset_file.read, write_csv(tmp_path / "b.csv", rows))
    assert "row 2 of the file" in message
    assert "(and 2 more rows)" in message
    assert f"use one of '{BAD}'" in message


def test_row_numbers_count_records_and_not_lines(tmp_path):
    rows = [("two\nlines", "iPad", GOOD), ("text", "iPod", GOOD)]
    assert "row 3 of the file" in line_of(dataset_file.read, write_csv(tmp_path / "a.csv", rows))


def test_ten_megabytes_in_one_cell(tmp_path):
    message = line_of(dataset_file.read, write_csv(tmp_path / "a.csv", [*ROWS, ("x" * 10_000_000, "iPad", GOOD)]))
    assert "row 7 of the file" in message
    assert "10,000,000 characters, expected at most 100,000" in message
    assert len(message) < 500
    longest = write_csv(tmp_path / "b.csv", [("x" * 100_000, "iPad", GOOD)])
    assert len(dataset_file.read(longest).labelled) == 1


# ---------------------------------------------------------------- products and emotions of one's own

OWN = [
    ("the reader is light", "Kindle", "positive"),
    ("the console is loud", "Xbox", "negative"),
    ("doors open at ten", "none", "neutral"),
    ("no idea what this is", "n/a", "Can't tell"),
]


def own(path: Path, rows=OWN, names=("text", "brand", "sentiment"), **options) -> dataset_file.Dataset:
    return dataset_file.read(write_csv(path / "own.csv", rows, names), **options)


def test_the_classes_of_another_table_are_its_labels(tmp_path):
    dataset = own(tmp_path)
    product, emotion = dataset.tasks
    assert (product.labels, product.no_emotion, product.neutral) == (("Kindle", "Xbox"), None, None)
    assert emotion.labels == ("negative", "neutral", "positive")
    assert (emotion.ignored_labels, emotion.no_emotion, emotion.neutral) == (("Can't tell",), "neutral", 1)
    assert dataset.columns == dataset_file.Columns("text", "brand", "sentiment")
    assert list(dataset.labelled.columns) == ["row", *dataset_file.COLUMNS]
    assert dataset.labelled[tasks.PRODUCT_COLUMN].isna().tolist() == [False, False, True, True]
    assert dataset.identity != dataset.sha256, "other columns of one file are other data"


def test_labels_of_the_report_make_its_classes_whatever_the_columns_are_called(tmp_path):
    dataset = dataset_file.read(write_csv(tmp_path / "mine.csv", columns=("text", "product", "emotion")))
    assert dataset.tasks == (tasks.PRODUCT, tasks.EMOTION)
    names = ("text", tasks.PRODUCT_COLUMN, tasks.EMOTION_COLUMN)
    assert own(tmp_path, names=names).tasks[0].labels == ("Kindle", "Xbox"), "and its columns may hold others"
    unclear = write_csv(tmp_path / "unclear.csv", [("a text", "iPad", GOOD), ("another", "", "unclear")])
    assert dataset_file.read(unclear).tasks[1].ignored_labels == (tasks.CANNOT_TELL, "unclear")


@pytest.mark.parametrize(
    ("names", "product", "emotion"),
    [
        (("tweet", "Product", "Emotion"), "Product", "Emotion"),
        (("review", " TARGET ", "Polarity"), " TARGET ", "Polarity"),
        (("text", "aspect", "label"), "aspect", "label"),
        (("text", "something", "sentiment"), None, "sentiment"),
        (("text", "brand", "something"), "brand", None),
    ],
)
def test_columns_are_found_by_their_usual_names(tmp_path, names, product, emotion):
    found = own(tmp_path, names=names)
    assert found.columns == dataset_file.Columns(names[0], product, emotion)
    assert [task.name for task in found.tasks] == ["product"] * bool(product) + ["emotion"] * bool(emotion)


def test_columns_may_be_named(tmp_path):
    rows = [(number, *row) for number, row in enumerate(OWN)]
    columns = dataset_file.Columns(product="marke", emotion="label")
    dataset = own(tmp_path, rows, ("id", "satz", "Marke", "label"), columns=columns)
    assert dataset.columns == dataset_file.Columns("satz", "Marke", "label")
    assert dataset.labelled[tasks.TEXT_COLUMN].tolist() == [text for text, *_ in OWN]
    swapped = dataset_file.Columns(product="label")
    assert [task.name for task in own(tmp_path, rows, ("id", "satz", "Marke", "label"), columns=swapped).tasks] == [
        "product"
    ]


def test_preferred_columns_are_used_where_the_table_has_them(tmp_path):
    rows = [("1", "good reader", "Kindle", "glad"), ("2", "bad console", "Xbox", "sad")] * 2
    preferred = dataset_file.Columns("satz", "Marke", "mood")
    for names in (("label", "satz", "marke", "Mood"), ("id", "Satz", "brand", "label")):
        columns = own(tmp_path, rows, names, preferred=preferred).columns
        assert columns == dataset_file.Columns(*names[1:])
    dataset = own(tmp_path, rows, ("label", "satz", "brand", "sentiment"), preferred=replace(preferred, emotion=""))
    assert dataset.columns == dataset_file.Columns("satz", "brand", None), "empty: not to be read"
    columns = dataset_file.Columns(product="label")
    assert own(tmp_path, rows, ("Marke", "satz", "label", "mood"), columns=columns, preferred=preferred).columns == (
        dataset_file.Columns("satz", "label", "mood")
    )


def test_two_columns_that_may_hold_one_thing(tmp_path):
    rows = [(*row, row[1]) for row in OWN]
    message = line_of(own, tmp_path, rows, ("text", "brand", "sentiment", "Product"), error=UsageError)
    assert "several columns that may hold the product, 'brand', 'Product'; say which with --product-column" in message
    message = line_of(own, tmp_path, [row[1:] for row in OWN], ("brand", "sentiment"))
    assert "expected a column of texts beside the labels" in message
    rows = [(number, label) for number, (*_, label) in enumerate(OWN)]
    assert own(tmp_path, [(f"w{id}", label) for id, label in rows], ("word", "sentiment")).columns.text == "word"
    message = line_of(own, tmp_path, rows, ("id", "sentiment"))
    assert "but 'id' hold numbers, dates or single words; add the texts, or name their column with --text" in message


def test_one_column_for_two_things(tmp_path):
    for twice in (dataset_file.Columns(text="Brand", product="brand"), dataset_file.Columns(None, "brand", "brand")):
        message = line_of(own, tmp_path, columns=twice, error=UsageError)
        assert "expected different columns" in message
        assert "product: brand" in message


def test_labels_that_differ_in_letter_case_alone(tmp_path):
    rows = [("one", "Positive"), ("two", "bad"), ("three", "positive "), ("four", "N/A"), ("five", "n/a")]
    message = line_of(own, tmp_path, rows, ("text", "emotion"))
    assert "the labels 'Positive', 'positive' in the column 'emotion'" in message
    assert "differ only in letter case, spaces or the encoding of accents; spell each one way" in message
    rows = [("one", "caf\u00e9"), ("two", "cafe\u0301"), ("three", "tea"), ("four", "#N/A")]
    assert "the labels 'caf\u00e9', 'cafe\u0301' in" in line_of(own, tmp_path, rows, ("text", "brand"))
    (product,) = own(tmp_path, rows[1:], ("text", "brand")).tasks
    assert product.labels == ("cafe\u0301", "tea")
    (emotion,) = own(tmp_path, [("one", "Positive"), ("two", " Positive ")], ("text", "emotion")).tasks
    assert emotion.labels == ("Positive",)


@pytest.mark.parametrize(
    ("labels", "no_emotion"),
    [
        (("good", "NONE", "bad"), "NONE"),
        (("good", "No_Emotion", "bad"), "No_Emotion"),
        (("-1", "0", "1"), "0"),
        (("-1.0", "0.0", "1.0"), "0.0"),
        (("0", "1"), None),  # usually bad and good
        (("joy", "anger"), None),
    ],
)
def test_the_label_of_no_emotion_is_recognized(tmp_path, labels, no_emotion):
    (emotion,) = own(tmp_path, [(f"text {each}", each) for each in labels], ("text", "emotion")).tasks
    assert emotion.labels == tuple(sorted(labels))
    assert emotion.no_emotion == no_emotion


def test_the_label_of_no_emotion_may_be_named(tmp_path):
    rows = [("one", "neutral"), ("two", "none"), ("three", "glad")]
    message = line_of(own, tmp_path, rows, ("text", "emotion"), error=UsageError)
    assert "'neutral', 'none' in the column 'emotion'" in message
    assert "say which does with --no-emotion" in message
    numbers = [(f"text {each}", each) for each in ("-1", "0", "1", "0.0")]
    assert "'0', '0.0' in the column" in line_of(own, tmp_path, numbers, ("text", "emotion"), error=UsageError)
    assert own(tmp_path, rows, ("text", "emotion"), no_emotion="none").tasks[0].neutral == 2
    message = line_of(own, tmp_path, rows, ("text", "emotion"), no_emotion="nothing", error=UsageError)
    assert "has no label 'nothing'; it has 'glad', 'neutral', 'none'" in message


def test_the_classes_of_a_model_are_not_those_of_the_table(tmp_path):
    known = tasks.of_model({"product": ["Xbox", "Kindle", "iPad"]}, None)
    product, emotion = own(tmp_path, known_tasks=known).tasks
    assert product.labels == ("Xbox", "Kindle", "iPad")
    assert emotion.labels == ("negative", "neutral", "positive")
    message = line_of(own, tmp_path, known_tasks=tasks.of_model({"emotion": ["positive", "neutral"]}, "neutral"))
    assert "row 3 of the file" in message
    assert "'negative' in 'sentiment', which is not a known label" in message


def test_a_model_of_targets_knows_the_labels_of_the_emotion(tmp_path):
    labels = ["negative", "neutral", "positive", "torn"]
    _, emotion = own(tmp_path, known_tasks=tasks.of_model({"target": labels}, "neutral")).tasks
    assert (emotion.name, emotion.labels, emotion.neutral) == ("emotion", tuple(labels), 1)
    message = line_of(own, tmp_path, known_tasks=tasks.of_model({"target": labels[1:]}, "neutral"))
    assert "'negative' in 'sentiment', which is not a known label" in message


def test_a_column_of_texts_is_no_column_of_labels(tmp_path):
    rows = [(f"text {number}", f"remark {number}") for number in range(dataset_file.MOST_CLASSES + 1)]
    message = line_of(own, tmp_path, rows, ("text", "label"))
    assert "the column 'label'" in message
    assert "101 different values" in message
    assert "if you need labels of the emotion, name another one with --emotion-column" in message


def test_a_column_of_names_is_left_out_for_a_task_that_does_not_need_it(tmp_path):
    rows = [(f"text of Name{number}", f"name{number}", number % 2) for number in range(dataset_file.MOST_CLASSES + 1)]
    dataset = own(tmp_path, rows, ("text", "product", "label"))
    assert [task.name for task in dataset.tasks] == ["emotion"]
    assert "the column 'product' of" in dataset.notes[0]
    assert "101 different values, and a task at most 100 classes" in dataset.notes[0]
    assert len(data.training_rows(dataset, "emotion")) == len(rows)
    assert len(data.training_rows(dataset, "target")) == len(rows), "it needs the names, not a class for each"
    message = line_of(data.training_rows, dataset, "answer")
    assert "--task answer needs a column of products" in message
    assert (
        "at most 100 different values; name it with --product-column, or choose --task emotion or --task target"
        in message
    )


def test_a_column_of_labels_in_two_spellings_is_left_out_for_a_task_that_does_not_need_it(tmp_path):
    rows = [("one", "Kindle", "good"), ("two", "kindle", "bad"), ("three", "Xbox", "good")]
    dataset = own(tmp_path, rows, ("text", "brand", "emotion"))
    assert len(data.training_rows(dataset, "emotion")) == len(rows)
    assert "the labels 'Kindle', 'kindle' in the column 'brand'" in dataset.notes[0]
    assert "one spelling of each label" in line_of(data.training_rows, dataset, "answer")
