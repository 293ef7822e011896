"""Extra rows are for training only, each once."""

import json
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from sample_datasets import BAD, GOOD, NONE, line_of, long_targets, write_csv, write_workbook

from tf_model import data, paths, tasks
from tf_model.data import corrections, splits
from tf_model.data import dataset as dataset_file
from tf_model.data.products import Products
from tf_model.errors import DataError
from tf_model.preprocessing.cleaning import mark

IN_DATASET = "queueing for coffee at the convention centre"
VALIDATES = "the new tablet is out today and everybody in the queue wants to have one"
ROWS = [
    ("the battery of my phone lasts all day", "iPhone", GOOD),
    ("the maps keep losing me in this town", "Google", BAD),
    (IN_DATASET, "", NONE),
    (VALIDATES, "iPad", GOOD),
    ("no charger left at the booth, a pity for old phones", "iPhone", BAD),
    ("this search engine finds everything I ask for", "Google", GOOD),
]


class Joined(NamedTuple):
    """What ``corrections.join`` returns."""

    rows: data.TrainingRows
    split: splits.Split
    extra: dict


def join_into(*arguments) -> Joined:
    return Joined(*corrections.join(*arguments))


@pytest.fixture
def dataset(tmp_path):
    return dataset_file.read(write_csv(tmp_path / "data.csv", ROWS))


def join(folder, dataset, extra, name="answer", validates=VALIDATES) -> Joined:
    """Extra rows added to a dataset with one validation text."""
    rows = data.training_rows(dataset, name)
    is_judged = np.array([text == validates for text in rows.texts])
    split = splits.Split(np.flatnonzero(~is_judged), np.flatnonzero(is_judged))
    return join_into(write_csv(folder / "extra.csv", extra), dataset, rows, split)


def reasons(joined: Joined) -> dict[str, int]:
    return joined.extra["left_out"]


def labels(joined: Joined) -> list[tuple]:
    """Text, product and emotion of each extra training row."""
    names = [(*task.labels, None) for task in joined.rows.tasks]
    extra = joined.rows.take(np.arange(len(joined.rows) - joined.extra["rows"], len(joined.rows)))
    return [
        (text, *(own[number] for own, number in zip(names, ids, strict=True)))
        for text, ids in zip(extra.texts, extra.label_ids, strict=True)
    ]


# ------------------------------------------------------------------------------------------------------ reading


def test_new_texts_are_read_with_their_labels(tmp_path, dataset, capsys):
    joined = join(tmp_path, dataset, [("a text that nobody had", "iPad", GOOD), ("and another", "", NONE)])
    assert labels(joined) == [("a text that nobody had", "iPad", GOOD), ("and another", None, NONE)]
    assert reasons(joined) == {}
    assert capsys.readouterr().err == f"extra: 2 rows of {paths.shown(tmp_path / 'extra.csv')} to train with\n"


def test_of_several_rows_with_one_text_the_last_counts(tmp_path, dataset, capsys):
    rows = [
        ("said twice", "iPad", GOOD),
        ("said once", "iPad", BAD),
        (" said twice ", "Google", BAD),
        ("said twice", "", ""),
    ]
    joined = join(tmp_path, dataset, rows)
    assert labels(joined) == [("said once", "iPad", BAD), (" said twice ", "Google", BAD)]
    assert reasons(joined) == {"no label to learn": 1, "a later row has the same text": 1}
    line = "extra: 1 row left out: a later row has the same text (row 2 of the file)"
    assert line in capsys.readouterr().err.splitlines()


def test_a_text_of_the_dataset_is_left_out_whatever_its_label(tmp_path, dataset, capsys):
    rows = [(f" {IN_DATASET}", "iPad", GOOD), ("new", "iPad", GOOD), (ROWS[0][0], "iPhone", GOOD)]
    joined = join(tmp_path, dataset, rows)
    assert labels(joined) == [("new", "iPad", GOOD)]
    assert reasons(joined) == {"text already in the dataset, whose label counts": 2}
    assert "whose label counts (rows 2, 4 of the file)" in capsys.readouterr().err


def test_a_text_that_the_dataset_holds_without_a_label_is_learned(tmp_path):
    unlabelled = [("nobody could say", "", tasks.CANNOT_TELL), ("nobody was asked", "", "")]
    dataset = dataset_file.read(write_csv(tmp_path / "data.csv", [*ROWS, *unlabelled]))
    rows = [("nobody could say", "", GOOD), ("nobody was asked", "iPad", BAD), (IN_DATASET, "iPad", GOOD)]
    joined = join(tmp_path, dataset, rows)
    assert labels(joined) == [("nobody could say", None, GOOD), ("nobody was asked", "iPad", BAD)]
    joined = join(tmp_path, dataset, rows, name="product")
    assert labels(joined) == [("nobody was asked", "iPad"), (IN_DATASET, "iPad")], "its label is that of an emotion"


def test_nothing_new_is_an_error_that_says_why(tmp_path, dataset):
    message = line_of(join, tmp_path, dataset, [(IN_DATASET, "iPad", GOOD), ("no label", "", tasks.CANNOT_TELL)])
    assert message.startswith("expected new rows to train on, got extra: 0 rows of ")
    assert "extra: 1 row left out: no label to learn (row 3 of the file)" in message
    assert "extra: 1 row left out: text already in the dataset" in message


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("text", "iPed", GOOD)], "did you mean 'iPad'"),
        ([("text", "iPad", "angry")], "which is not a known label"),
        ([("", "iPad", GOOD)], "expected rows with a text"),
    ],
)
def test_labels_and_texts_are_checked_as_in_the_dataset(tmp_path, dataset, rows, words):
    assert words in line_of(join, tmp_path, dataset, rows)


def test_labels_of_another_task_are_not_checked(tmp_path, dataset):
    joined = join(tmp_path, dataset, [("a text that nobody had", "Sony", GOOD)], name="emotion")
    assert labels(joined) == [("a text that nobody had", GOOD)]


@pytest.mark.parametrize("names", [("satz", "Marke", "Stimmung"), tuple(tasks.COLUMNS)])
def test_rows_for_a_table_of_other_columns_and_labels(tmp_path, names):
    own = [(text, product, "good" if label == GOOD else "bad") for text, product, label in ROWS]
    path = write_csv(tmp_path / "data.csv", own, ("satz", "Marke", "Stimmung"))
    dataset = dataset_file.read(path, columns=dataset_file.Columns("satz", "Marke", "Stimmung"))
    rows = data.training_rows(dataset, "answer")
    extra = write_csv(tmp_path / "extra.csv", [("a text that nobody had", "iPad", "good")], names)
    joined = join_into(extra, dataset, rows, splits.Split(np.arange(5), np.array([5])))
    assert labels(joined) == [("a text that nobody had", "iPad", "good")]
    write_csv(extra, [("a text that nobody had", "iPad", GOOD)], names)
    message = line_of(corrections.join, extra, dataset, rows, splits.Split(np.arange(5), np.array([5])))
    assert "which is not a known label; use one of 'bad', 'good'" in message


def test_columns_unlike_those_of_the_dataset_are_named(tmp_path, capsys):
    path = write_csv(tmp_path / "data.csv", ROWS, ("text", "brand", "mood"))
    dataset = dataset_file.read(path, columns=dataset_file.Columns(emotion="mood"))
    extra = write_csv(tmp_path / "extra.csv", [("a text that nobody had", "iPad", GOOD)], ("text", "brand", "Feeling"))
    corrections.join(extra, dataset, data.training_rows(dataset, "answer"), splits.Split(np.arange(5), np.array([5])))
    assert capsys.readouterr().err.endswith(" to train with (columns: text: text, product: brand)\n")


def test_how_the_file_was_read_is_said(tmp_path, dataset, capsys):
    sheets = {name: pd.DataFrame([(name * 9, "iPad", GOOD)], columns=list(tasks.COLUMNS)) for name in ("old", "new")}
    rows = data.training_rows(dataset, "answer")
    extra = write_workbook(tmp_path / "extra.xlsx", **sheets)
    corrections.join(extra, dataset, rows, splits.Split(np.arange(5), np.array([5])))
    assert "extra: reading the sheet 'old' of 'old', 'new'; " in capsys.readouterr().err


def test_corrections_of_the_monitor_are_such_a_file(tmp_path, dataset):
    from tf_model.monitor.__main__ import main
    from tf_model.monitor.recorder import Recorder

    log = tmp_path / "log.sqlite"
    said = {"product": "iPad", "emotion": GOOD, "answer": f"{GOOD} → iPad"}
    with Recorder(log, model="answer", version="1") as recorder:
        recorder.correct("the phone, not\nthe tablet", said, is_correct=False, product="iPhone", emotion=BAD)
        recorder.correct("exactly so", said, is_correct=True)
        recorder.correct(IN_DATASET, said, is_correct=True)
        recorder.flush()
    assert main(["export", "--log", str(log), str(tmp_path / "corrections.csv")]) == 0
    rows = data.training_rows(dataset, "answer")
    joined = join_into(tmp_path / "corrections.csv", dataset, rows, splits.Split(np.arange(5), np.array([5])))
    assert labels(joined) == [("the phone, not\nthe tablet", "iPhone", BAD), ("exactly so", "iPad", GOOD)]


# ------------------------------------------------------------------------------------------------------ of mentions

SPANNED = ("text", "product", "emotion", "start", "end")
TWO = "the Pixel is fine but my old tablet is dead"  # the first product is in no list


@pytest.fixture
def join_targets(tmp_path, dataset):
    """Adds rows with spans to those of a task; the products are found by their own names."""
    named = [(f"{text} {product}", product, label) for text, product, label in ROWS if product]
    dataset = dataset_file.read(write_csv(tmp_path / "named.csv", [*named, ROWS[2]]))
    products = Products({"iPhone": (), "iPad": ("tablet",), "Google": ()})

    def join(extra, name="target"):
        rows = data.training_rows(dataset, name, products)
        split = splits.Split(np.arange(1, len(rows)), np.array([0]))
        return join_into(write_csv(tmp_path / "extra.csv", extra, SPANNED), dataset, rows, split, products)

    return join


def test_a_span_is_marked_exactly_and_other_rows_as_ever(join_targets):
    joined = join_targets(
        [
            (TWO, "iPad", BAD, 29, 35),  # "tablet" is 29 to 35: corrected
            (TWO, "Pixel", GOOD, 4, 9),  # missed by the list
            ("an apple a day and a Google", "Apple", NONE, 3, 8),  # removed: a fruit
            ("this Google finds it all again", "Google", GOOD, "", ""),  # for the whole text
        ]
    )
    added = [(text, tasks.EMOTIONS[label]) for text, label in labelled_of(joined)]
    assert added == [
        (mark(TWO, 29, 35), BAD),
        (mark(TWO, 4, 9), GOOD),
        (mark("an apple a day and a Google", 3, 8), NONE),
        (mark("this Google finds it all again", 5, 11), GOOD),
    ]
    assert not joined.rows.is_weak[-4:].any()
    assert joined.split.train.tolist()[-4:] == list(range(len(joined.rows) - 4, len(joined.rows)))


def test_a_text_that_does_not_name_its_product_is_left_out(join_targets):
    joined = join_targets([(TWO, "Pixel", GOOD, "", ""), (TWO, "iPad", BAD, "", "")])
    assert [text for text, _ in labelled_of(joined)] == [mark(TWO, 29, 35)]
    assert reasons(joined) == {"the product of its label is not named": 1}


def test_a_calm_row_on_a_product_of_no_list_says_nothing_about_the_others(join_targets):
    text = "my Pixel is on the desk and I adore the tablet"
    joined = join_targets([(text, "Pixel", NONE, "", ""), (text, "iPad", GOOD, "", "")])
    assert [(text, tasks.EMOTIONS[label]) for text, label in labelled_of(joined)] == [(mark(text, 40, 46), GOOD)]
    assert reasons(joined) == {"the product of its label is not named": 1}


def test_a_near_duplicate_of_a_long_validation_text_is_left_out_wherever_its_mention_is(tmp_path):
    dataset = dataset_file.read(long_targets(tmp_path))
    rows = data.training_rows(dataset, "target")
    split = splits.Split(np.arange(2, len(rows)), np.arange(2))
    new = [(f"{text}!!", "Xbox", "positive") for text in dataset.labelled[tasks.TEXT_COLUMN][[0, 2]]]
    path = write_csv(tmp_path / "extra.csv", new, ("text", "brand", "sentiment"))
    joined = join_into(path, dataset, rows, split, data.products_of(dataset))
    assert reasons(joined) == {"near-duplicate of a validation text": 1}


def test_the_marks_of_a_mention_hide_no_near_duplicate(join_targets):
    joined = join_targets([(f"{ROWS[0][0]} iPhone today", "iPhone", BAD, "", ""), (TWO, "Pixel", GOOD, 4, 9)])
    assert reasons(joined) == {"near-duplicate of a validation text": 1}


def test_mentions_that_are_all_learned_are_an_error_that_says_so(join_targets):
    with pytest.raises(DataError, match=r"expected new rows to train on, got .*already in the dataset"):
        join_targets([(f"{ROWS[1][0]} Google", "Google", BAD, "", "")])


def test_a_mention_that_reads_like_one_that_validates_is_left_out(join_targets):
    text = ROWS[0][0]
    joined = join_targets(
        [(f"{text} iPad", "iPad", BAD, "", ""), (f"{text} Kindle", "", GOOD, 38, 44), (TWO, "", GOOD, 4, 9)]
    )
    assert reasons(joined) == {"near-duplicate of a validation text": 2}


def test_a_mention_in_a_text_that_validates_is_left_out(join_targets):
    text = f"{ROWS[0][0]} iPhone"
    joined = join_targets([(text, "Phone", BAD, 18, 23), (TWO, "Pixel", GOOD, 4, 9), (VALIDATES, "iPad", BAD, 8, 14)])
    assert reasons(joined) == {"near-duplicate of a validation text": 1}


LEARNED = "such an iPhone works but the Google maps do not"
CALM = "nobody at the desk asks for an iPad today"
JUDGED = "in this queue the Google people talk about their iPad cases"


def join_mention(folder, *mentions) -> tuple[data.TrainingRows, splits.Split, Joined]:
    """The rows and the split before and after corrections of mentions; only one text validates."""
    path = write_csv(folder / "data.csv", [(LEARNED, "iPhone", GOOD), (CALM, "", NONE), (JUDGED, "iPad", GOOD)])
    dataset, products = dataset_file.read(path), Products({"iPhone": (), "iPad": (), "Google": ()})
    rows = data.training_rows(dataset, "target", products)
    split = splits.Split(np.array([2, 0, 1]), np.array([4, 3]))
    extra = write_csv(folder / "extra.csv", [*mentions, (TWO, "Pixel", GOOD, 4, 9)], SPANNED)
    return rows, split, join_into(extra, dataset, rows, split, products)


@pytest.mark.parametrize(
    "mention",
    [
        (f" {LEARNED}", "iPhone", BAD, 9, 15),  # of the same product
        (LEARNED, "", NONE, "", ""),  # of all its products
        (CALM, "iPad", BAD, 31, 35),  # the label of the dataset is of all its products
    ],
)
def test_a_mention_that_the_dataset_labels_is_left_out(tmp_path, mention):
    rows, split, joined = join_mention(tmp_path, mention)
    assert reasons(joined) == {"text and product already in the dataset, whose label counts": 1}
    assert joined.rows.texts == [*rows.texts, mark(TWO, 4, 9)]
    assert [part.tolist() for part in joined.split] == [[*split.train, len(rows)], split.validation.tolist()]


@pytest.mark.parametrize("span", [(29, 35), ("", "")])
def test_another_mention_in_a_text_of_the_dataset_replaces_the_label_that_was_assumed(tmp_path, span):
    rows, split, joined = join_mention(tmp_path, (f"{LEARNED} ", "Google", BAD, *span), (JUDGED, "Google", BAD, 18, 24))
    assert reasons(joined) == {"near-duplicate of a validation text": 1}
    assumed = rows.texts.index(mark(LEARNED, 29, 35))
    assert rows.is_weak[assumed]
    trained = joined.rows.take(joined.split.train)
    iphone, calm = mark(LEARNED, 8, 14), mark(CALM, 31, 35)
    assert list(zip(trained.texts, trained.label_ids[:, 0].tolist(), trained.is_weak, strict=True)) == [
        (calm, tasks.EMOTIONS.index(NONE), False),
        (iphone, tasks.EMOTIONS.index(GOOD), False),
        (mark(f"{LEARNED} ", 29, 35), tasks.EMOTIONS.index(BAD), False),
        (mark(TWO, 4, 9), tasks.EMOTIONS.index(GOOD), False),
    ]
    before, after = rows.take(split.validation), joined.rows.take(joined.split.validation)
    assert after.texts == before.texts
    for name in ("rows", "label_ids", "is_weak", "judged_ids"):
        assert getattr(after, name).tolist() == getattr(before, name).tolist()


def labelled_of(joined):
    extra = joined.rows.take(joined.split.train[-joined.extra["rows"] :])
    return list(zip(extra.texts, extra.label_ids[:, 0], strict=True))


def test_of_one_text_and_product_the_last_mention_counts(join_targets):
    joined = join_targets([(TWO, "iPad", BAD, 29, 35), (TWO, "Pixel", GOOD, 4, 9), (TWO, "iPad", GOOD, 29, 35)])
    assert [tasks.EMOTIONS[label] for _, label in labelled_of(joined)] == [GOOD, GOOD]
    assert reasons(joined) == {"another row has the same text and product": 1}


def test_a_mention_counts_more_than_a_whole_text_and_once_whatever_its_product(join_targets):
    denied, whole, renamed = (TWO, "iPad", NONE, 29, 35), (TWO, "iPad", GOOD, "", ""), (TWO, "Pixel", BAD, 29, 35)
    calm = (TWO, "", NONE, "", "")  # of all that the text names
    same, words = "another row has the same text and product", "a later row is about the same words"
    for rows, emotion, reason in (
        ([renamed, calm], BAD, same),
        ([calm, renamed], BAD, same),
        ([denied, whole], NONE, same),
        ([whole, denied], NONE, same),
        ([denied, renamed], BAD, words),
    ):
        joined = join_targets(rows)
        assert [tasks.EMOTIONS[label] for _, label in labelled_of(joined)] == [emotion]
        assert reasons(joined) == {reason: 1}


@pytest.mark.parametrize("name", ["product", "emotion", "answer"])
def test_a_mention_teaches_nothing_about_the_whole_text(join_targets, name):
    joined = join_targets([(TWO, "Pixel", GOOD, 4, 9), ("a text that nobody had", "iPad", GOOD, "", "")], name)
    assert joined.rows.texts[-1] == "a text that nobody had"
    assert reasons(joined) == {"about one mention, for --task target only": 1}


@pytest.mark.parametrize("span", [(4, 99), (9, 4), (-1, 4), (4, ""), ("", 9), ("a", "b"), (1.5, 3)])
def test_a_span_outside_of_its_text_is_named(join_targets, span):
    message = line_of(join_targets, [("short", "iPad", GOOD, "", ""), (TWO[:20], "Pixel", GOOD, *span)])
    assert message.startswith("row 3 of the file ")
    assert "expected start and end to be character positions, counted from 0, got " in message


def test_corrected_mentions_go_from_the_log_into_a_training(tmp_path, join_targets):
    from tf_model.monitor.__main__ import main
    from tf_model.monitor.recorder import Recorder

    text = "👍 the Pixel is fine,\nbut my old tablet is dead"
    start, end = text.index("tablet"), text.index("tablet") + 6
    with Recorder(tmp_path / "log.sqlite", model="target", version="1") as recorder:
        recorder.correct(text, {}, is_correct=False, product="iPad", emotion=BAD, start=start, end=end)
        recorder.correct(text, {}, is_correct=False, product="Pixel", emotion=GOOD, start=6, end=11)
        recorder.correct(text, {"product": "iPad"}, is_correct=True)
        recorder.flush()
    assert main(["export", "--log", str(tmp_path / "log.sqlite"), str(tmp_path / "corrections.csv")]) == 0
    joined = join_targets(pd.read_csv(tmp_path / "corrections.csv"))
    assert [(text, tasks.EMOTIONS[label]) for text, label in labelled_of(joined)] == [
        (mark(text, start, end), BAD),
        (mark(text, 6, 11), GOOD),
    ]


# ------------------------------------------------------------------------------------------------------ only training


def test_near_duplicates_of_texts_that_validate_are_left_out(tmp_path, dataset):
    rows = [
        (f"RT @someone: {VALIDATES.upper()}!!", "iPad", BAD),
        (f"{VALIDATES} :)", "iPad", GOOD),
        ("something else altogether about a keynote", "Apple", GOOD),
    ]
    joined = join(tmp_path, dataset, rows)
    assert labels(joined) == [rows[2]]
    assert reasons(joined) == {"near-duplicate of a validation text": 2}
    assert labels(join(tmp_path, dataset, rows, validates=ROWS[1][0])) == rows


@pytest.mark.parametrize(("name", "used"), [("product", 2), ("emotion", 2), ("answer", 3)])
def test_rows_are_added_to_the_training_part_alone(tmp_path, dataset, name, used):
    rows = data.training_rows(dataset, name)
    split = splits.Split(np.arange(len(rows) - 1), np.array([len(rows) - 1]))
    path = write_csv(
        tmp_path / "extra.csv",
        [
            ("only a product is known of this", "Apple", ""),
            ("only an emotion is known of this one", "", NONE),
            ("everything is known about that", "Android", BAD),
            (f"{rows.texts[-1]} !", "Google", GOOD),
        ],
    )
    joined = join_into(path, dataset, rows, split)
    assert joined.split.validation.tolist() == split.validation.tolist()
    assert joined.split.train.tolist() == [*split.train, *range(len(rows), len(rows) + used)]
    assert joined.rows.texts[: len(rows)] == rows.texts
    assert joined.rows.rows[: len(rows)].tolist() == rows.rows.tolist()
    assert joined.rows.label_ids[: len(rows)].tolist() == rows.label_ids.tolist()
    assert len(joined.rows) == len(rows) + used
    assert len(set(joined.rows.rows.tolist())) == len(joined.rows)  # no row number twice
    last = joined.rows.label_ids[-1].tolist()
    product, emotion = tasks.PRODUCTS.index("Android"), tasks.EMOTIONS.index(BAD)
    assert last == {"product": [product], "emotion": [emotion], "answer": [product, emotion]}[name]
    if name == "answer":
        assert joined.rows.label_ids[len(rows)].tolist() == [tasks.PRODUCTS.index("Apple"), tasks.NO_LABEL]
    assert joined.extra["rows"] == used
    assert sum(joined.extra["left_out"].values()) == 4 - used
    assert "known" not in json.dumps(joined.extra)  # no text


def test_a_correction_of_another_task_does_not_hide_one_before_it(tmp_path, dataset):
    joined = join(tmp_path, dataset, [("this is calm", "iPad", ""), ("this is calm", "", NONE)], name="product")
    assert labels(joined) == [("this is calm", "iPad")]


def test_real_retweets_do_not_leak(tmp_path, real_dataset):
    """Retweets of real tweets of both parts: those kept have no near-duplicate in validation."""
    dataset = replace(real_dataset, labelled=real_dataset.labelled.head(1500))  # enough, and fast to compare
    rows = data.training_rows(dataset, "product")
    shuffled = np.random.default_rng(0).permutation(len(rows))
    split = splits.Split(shuffled[100:], shuffled[:100])
    chosen = np.concatenate([split.train[:60], split.validation[:60]])
    frame = pd.DataFrame(
        {
            tasks.TEXT_COLUMN: [f"RT @somebody {rows.texts[position]} (so true)" for position in chosen],
            tasks.PRODUCT_COLUMN: [tasks.PRODUCTS[rows.label_ids[position, 0]] for position in chosen],
            tasks.EMOTION_COLUMN: "",
        }
    )
    path = tmp_path / "retweets.csv"
    frame.to_csv(path, index=False)
    joined = join_into(path, dataset, rows, split)
    used = len(joined.rows) - len(rows)
    assert 20 < used <= 60
    added = np.arange(len(rows), len(joined.rows))
    similarity, _ = splits.nearest(joined.rows.texts, added, split.validation)
    assert similarity.max() < 0.82
