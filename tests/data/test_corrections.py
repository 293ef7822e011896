"""Extra rows train, never validate, and come once."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sample_datasets import BAD, GOOD, NONE, write_csv

from tf_model import data, paths, tasks
from tf_model.data import corrections, splits
from tf_model.data import dataset as dataset_file
from tf_model.errors import DataError

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


@pytest.fixture
def dataset(tmp_path):
    return dataset_file.read(write_csv(tmp_path / "data.csv", ROWS))


def reasons(found: corrections.Extra) -> dict[str, int]:
    return {dropped.reason: dropped.count for dropped in found.dropped}


def texts(found: corrections.Extra) -> list[str]:
    return found.labelled[tasks.TEXT_COLUMN].tolist()


# ------------------------------------------------------------------------------------------------------ reading


def test_new_texts_are_read_with_their_labels(tmp_path, dataset):
    path = write_csv(tmp_path / "extra.csv", [("a text that nobody had", "iPad", GOOD), ("and another", "", NONE)])
    found = corrections.read_extra(path, dataset)
    assert texts(found) == ["a text that nobody had", "and another"]
    assert found.labelled[tasks.PRODUCT_COLUMN].isna().tolist() == [False, True]
    assert found.dropped == ()
    assert found.describe() == [f"extra: 2 rows of {paths.shown(path)} to train with"]


def test_of_several_rows_with_one_text_the_last_counts(tmp_path, dataset):
    rows = [
        ("said twice", "iPad", GOOD),
        ("said once", "iPad", BAD),
        (" said twice ", "Google", BAD),
        ("said twice", "", ""),
    ]
    found = corrections.read_extra(write_csv(tmp_path / "extra.csv", rows), dataset)
    assert found.labelled[tasks.PRODUCT_COLUMN].tolist() == ["iPad", "Google"]  # the row without labels says nothing
    assert reasons(found) == {"there is no label to learn": 1, "a later row has the same text": 1}
    assert "extra: 1 row left out: a later row has the same text (row 2)" in found.describe()


def test_a_text_of_the_dataset_is_left_out_whatever_its_label(tmp_path, dataset):
    rows = [(f" {IN_DATASET}", "iPad", GOOD), ("new", "iPad", GOOD), (ROWS[0][0], "iPhone", GOOD)]
    found = corrections.read_extra(write_csv(tmp_path / "extra.csv", rows), dataset)
    assert texts(found) == ["new"]
    assert reasons(found) == {"the text is in the dataset, whose label counts": 2}
    assert found.dropped[0].rows == (0, 2)


def test_nothing_new_is_an_error_that_says_why(tmp_path, dataset):
    path = write_csv(tmp_path / "extra.csv", [(IN_DATASET, "iPad", GOOD), ("no label", "", tasks.CANNOT_TELL)])
    with pytest.raises(DataError, match=r"that are new, found none \(1 there is no label to learn; 1 the text is in"):
        corrections.read_extra(path, dataset)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("text", "iPed", GOOD)], "did you mean 'iPad'"),
        ([("text", "iPad", "angry")], "which is no known label"),
        ([("", "iPad", GOOD)], "all 1 are empty"),
    ],
)
def test_labels_and_texts_are_checked_as_in_the_dataset(tmp_path, dataset, rows, words):
    with pytest.raises(DataError, match=words):
        corrections.read_extra(write_csv(tmp_path / "extra.csv", rows), dataset)


def test_corrections_of_the_monitor_are_such_a_file(tmp_path, dataset):
    from tf_model.monitor.export import export
    from tf_model.monitor.recorder import Recorder
    from tf_model.monitor.store import Store

    log = tmp_path / "log.sqlite"
    said = {"product": "iPad", "emotion": GOOD, "answer": f"{GOOD} → iPad"}
    with Recorder(log, model="answer", version="1") as recorder:
        recorder.correct("the phone, not\nthe tablet", said, verdict="wrong", product="iPhone", emotion=BAD)
        recorder.correct("exactly so", said, verdict="right")
        recorder.correct(IN_DATASET, said, verdict="right")
        recorder.flush()
    export(Store(log), tmp_path / "corrections.csv")
    found = corrections.read_extra(tmp_path / "corrections.csv", dataset)
    assert texts(found) == ["the phone, not\nthe tablet", "exactly so"]
    assert found.labelled[tasks.PRODUCT_COLUMN].tolist() == ["iPhone", "iPad"]
    assert found.labelled[tasks.EMOTION_COLUMN].tolist() == [BAD, GOOD]


# ------------------------------------------------------------------------------------------------------ only training


def test_near_duplicates_of_texts_that_validate_are_left_out(tmp_path, dataset):
    rows = [
        (f"RT @someone: {VALIDATES.upper()}!!", "iPad", BAD),
        (f"{VALIDATES} :)", "iPad", GOOD),
        ("something else altogether about a keynote", "Apple", GOOD),
    ]
    found = corrections.read_extra(write_csv(tmp_path / "extra.csv", rows), dataset)
    left = corrections.without_near_duplicates(found, [VALIDATES], dataset)
    assert texts(left) == ["something else altogether about a keynote"]
    assert reasons(left) == {"it is a near-duplicate of a text that validates": 2}
    assert texts(corrections.without_near_duplicates(found, [ROWS[1][0]], dataset)) == texts(found)


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
    joined = corrections.join(path, dataset, rows, split)
    assert joined.split.validation.tolist() == split.validation.tolist()
    assert joined.split.train.tolist() == [*split.train, *range(len(rows), len(rows) + used)]
    assert joined.rows.texts[: len(rows)] == rows.texts
    assert joined.rows.rows[: len(rows)].tolist() == rows.rows.tolist()
    assert joined.rows.label_ids[: len(rows)].tolist() == rows.label_ids.tolist()
    assert len(joined.rows) == len(rows) + used
    assert len(set(joined.rows.rows.tolist())) == len(joined.rows)  # no row number twice
    last = joined.rows.label_ids[-1].tolist()
    product, emotion = tasks.PRODUCTS.index("Android"), tasks.EMOTIONS.index(BAD)
    assert last == {"product": product, "emotion": emotion, "answer": [product, emotion]}[name]
    summary = joined.extra.to_json()
    assert summary["rows"] == used
    assert sum(summary["left_out"].values()) == 4 - used
    assert "known" not in json.dumps(summary)  # no text


def test_extra_rows_of_one_task_alone_train_the_answer(tmp_path, dataset):
    rows = data.training_rows(dataset, "answer")
    path = write_csv(tmp_path / "extra.csv", [("only a product is known of this", "Apple", "")])
    joined = corrections.join(path, dataset, rows, splits.Split(np.arange(5), np.array([5])))
    assert joined.rows.label_ids[-1].tolist() == [tasks.PRODUCTS.index("Apple"), tasks.NO_LABEL]


def test_nothing_left_to_train_with_is_an_error(tmp_path, dataset):
    rows = data.training_rows(dataset, "product")
    split = splits.Split(np.array([0, 1, 3]), np.array([2]))
    path = write_csv(tmp_path / "extra.csv", [(f"RT @a {rows.texts[2]}", "iPad", GOOD), ("this is calm", "", NONE)])
    with pytest.raises(DataError, match=r"expected rows to train with, extra: 0 rows .* near-duplicate of a text"):
        corrections.join(path, dataset, rows, split)


def test_real_retweets_do_not_leak(tmp_path, real_data):
    """Retweets of real tweets of both parts: what is left has no near-duplicate that validates."""
    whole = dataset_file.read(real_data)
    dataset = replace(whole, labelled=whole.labelled.head(1500))  # enough, and soon compared
    rows = data.training_rows(dataset, "product")
    shuffled = np.random.default_rng(0).permutation(len(rows))
    split = splits.Split(shuffled[100:], shuffled[:100])
    chosen = np.concatenate([split.train[:60], split.validation[:60]])
    frame = pd.DataFrame(
        {
            tasks.TEXT_COLUMN: [f"RT @somebody {rows.texts[position]} (so true)" for position in chosen],
            tasks.PRODUCT_COLUMN: [tasks.PRODUCTS[rows.label_ids[position]] for position in chosen],
            tasks.EMOTION_COLUMN: "",
        }
    )
    path = tmp_path / "retweets.csv"
    frame.to_csv(path, index=False)
    joined = corrections.join(path, dataset, rows, split)
    used = len(joined.rows) - len(rows)
    assert 20 < used <= 60
    added = np.arange(len(rows), len(joined.rows))
    leaked = splits.leakage(joined.rows.texts, splits.Split(added, split.validation), thresholds=(0.82,))
    assert leaked["thresholds"][0]["rows"] == 0
