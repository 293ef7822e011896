"""What an audit says of a dataset: near-duplicates, conflicts, leaks, rare classes and label errors."""

import pytest
from sample_datasets import BAD, GOOD, NONE, line_of, split_rows, unlike, write_csv

from tf_model import data, paths, tasks
from tf_model.data import splits
from tf_model.data.audit import audit, describe
from tf_model.data.dataset import COLUMNS
from tf_model.errors import DataError


def read(path, rows, columns=COLUMNS):
    return data.read(write_csv(path / "mine.csv", rows, columns))


def plain_rows(count: int) -> list[tuple[str, str, str]]:
    """Distinct rows of two products and two emotions, whose words give the labels away."""
    texts = unlike(count)
    return [
        (f"{text} ipad wonderful lovely", "iPad", GOOD)
        if number % 2
        else (f"{text} maps dreadful broken", "Google", BAD)
        for number, text in enumerate(texts)
    ]


def test_near_duplicates_are_named(tmp_path):
    first, second, third, fourth = unlike(4)
    rows = [(first, "iPad", GOOD), (second, "iPad", GOOD), (first, "iPad", GOOD), (third, "Google", BAD)]
    rows += [(f"RT @user: {second.upper()}!", "iPad", GOOD), (fourth, "Google", BAD)]
    assert audit(read(tmp_path, rows))["near_duplicates"] == [[0, 2], [1, 4]]


def test_row_numbers_are_those_of_the_file_where_rows_were_dropped(tmp_path):
    first, second = unlike(2)
    rows = [("", "", NONE), (first, "iPad", GOOD), ("  ", "", NONE), (second, "Google", BAD), (first, "Google", BAD)]
    audited = audit(read(tmp_path, rows))
    assert audited["near_duplicates"] == [[1, 4]]
    assert audited["tasks"]["product"]["conflicts"] == [{"rows": [1, 4], "labels": ["iPad", "Google"], "exact": True}]


def test_near_duplicates_that_disagree_are_no_exact_conflict(tmp_path):
    first, second = unlike(2)
    rows = [
        (first, "iPad", GOOD),
        (f"RT @someone {first}", "iPad", BAD),
        (second, "Google", BAD),
        (second, "Google", BAD),
    ]
    audited = audit(read(tmp_path, rows))["tasks"]
    assert audited["product"]["conflicts"] == []
    assert audited["emotion"]["conflicts"] == [{"rows": [0, 1], "labels": [GOOD, BAD], "exact": False}]


def test_a_conflict_among_many_near_duplicates_shows_each_label(tmp_path):
    (text,) = unlike(1)
    rows = [(text, "iPad", label) for label in (GOOD, GOOD, GOOD, GOOD, GOOD, BAD, NONE)]
    lines = list(describe(audit(read(tmp_path, rows))))
    assert f"  row 2: 2 {GOOD}, 7 {BAD}, 8 {NONE}, 3 {GOOD}, ..." in lines


def test_a_class_of_few_groups_is_rare(tmp_path):
    texts = unlike(11)
    rows = [(text, "iPad", GOOD) for text in texts[:6]] + [(text, "Google", BAD) for text in texts[6:10]]
    rows += [(texts[10], "Google", BAD)] * 3  # repeats make the class look larger
    classes = audit(read(tmp_path, rows))["tasks"]["product"]["classes"]
    assert classes["iPad"] == {"rows": 6, "groups": 6, "rare": False}
    assert classes["Google"] == {"rows": 7, "groups": 5, "rare": False}
    assert classes["Apple"] == {"rows": 0, "groups": 0, "rare": False}
    rows.remove((texts[9], "Google", BAD))
    assert audit(read(tmp_path, rows))["tasks"]["product"]["classes"]["Google"]["rare"]


# ---------------------------------------------------------------- leakage


def test_leakage_of_the_report_split(monkeypatch):
    monkeypatch.setattr("tf_model.data.audit._find_label_errors", lambda *_: {})  # as below
    dataset = data.read(paths.SAMPLE_CORPUS)
    for leakage, task in zip(audit(dataset)["leakage"], (tasks.PRODUCT, tasks.EMOTION), strict=True):
        examples = data.training_rows(dataset, task.name)
        split = splits.report_split(examples.label_ids[:, 0])
        similarity, _ = splits.nearest(examples.texts, split.validation, split.train)
        assert leakage["validation_rows"] == len(split.validation)
        assert len(leakage["leaks"]) == (similarity >= splits.THRESHOLD).sum() > 0, "the corpus holds such retweets"
        validation = set(examples.rows[split.validation])
        training = set(examples.rows[split.train])
        assert all(leak["row"] in validation and leak["training_row"] in training for leak in leakage["leaks"])


def test_a_split_column_stays_beside_its_rows_where_one_is_dropped(tmp_path):
    path = write_csv(tmp_path / "mine.csv", [("", "iPad", GOOD, "test"), *split_rows()], (*COLUMNS, "Part"))
    (leakage,) = audit(data.read(path, ["Part"]), split_column="Part")["leakage"]
    assert (leakage["training_rows"], leakage["validation_rows"]) == (2, 2), "a row with an empty cell takes no part"
    assert leakage["leaks"] == [{"row": 4, "training_row": 2, "similarity": 1.0}]


def test_a_split_column_that_names_no_training_rows_is_explained_before_any_search(tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "near_duplicate_groups", None)
    dataset = read(tmp_path, split_rows(), (*COLUMNS, "part"))
    message = line_of(audit, dataset, split_column=COLUMNS[1], error=DataError)
    assert "expected training rows ('train', 'training')" in message


def test_a_second_file_is_what_was_trained_on(tmp_path):
    first, second, third, fourth = unlike(4)
    (tmp_path / "other").mkdir()
    training = read(tmp_path / "other", [(first, "iPad", GOOD), (fourth, "iPad", GOOD), (second, "Google", BAD)])
    dataset = read(tmp_path, [(third, "iPad", GOOD), (second, "iPad", GOOD)])
    (leakage,) = audit(dataset, against=training)["leakage"]
    assert (leakage["training_rows"], leakage["validation_rows"]) == (3, 2)
    assert leakage["leaks"] == [{"row": 1, "training_row": 2, "similarity": 1.0}]


# ---------------------------------------------------------------- label errors


@pytest.fixture(scope="module")
def wrong_rows(tmp_path_factory):
    """Rows, three with the wrong product, the numbers of these, and the audit of all."""
    rows, wrong = plain_rows(100), [10, 33, 70]
    for number in wrong:
        text, product, emotion = rows[number]
        rows[number] = (text, "Google" if product == "iPad" else "iPad", emotion)
    return rows, wrong, audit(read(tmp_path_factory.mktemp("wrong"), rows))


def test_wrong_labels_are_named(wrong_rows):
    _, wrong, whole = wrong_rows
    audited = whole["tasks"]
    errors = audited["product"]["label_errors"]
    assert {error["row"] for error in errors} == set(wrong)
    assert all(error["suggested"] != error["label"] and error["probability"] < 0.5 for error in errors)
    assert audited["emotion"]["label_errors"] == []
    [product, emotion] = [line for line in describe(whole) if "label errors" in line]
    assert product.startswith("product: 3 possible label errors (3.0%)")
    assert product.endswith("of 97% accuracy; the lower that is, the less reliable they are")
    assert emotion.endswith("of 100% accuracy; the lower that is, the less reliable they are")


def test_classes_that_cannot_be_judged_do_not_shift_the_label_errors_of_the_others(tmp_path, wrong_rows):
    rows, wrong, whole = wrong_rows
    before = whole["tasks"]["product"]["label_errors"]
    alone = zip(unlike(2, seed=1), ("Apple", "Android"), strict=True)
    rows = [*((f"{text} wonderful lovely", product, GOOD) for text, product in alone), *rows]
    after = audit(read(tmp_path, rows))["tasks"]["product"]
    assert after["remark"] == "too rare to check: 'Android', 'Apple'"
    assert {error["row"] for error in after["label_errors"]} == {number + 2 for number in wrong}
    assert after["label_errors"] == [{**error, "row": error["row"] + 2} for error in before]
    assert all(error["label"] == rows[error["row"]][1] for error in after["label_errors"])


def test_labels_of_one_class_are_not_judged(tmp_path):
    rows = [(text, product, GOOD) for text, product, _ in plain_rows(20)]
    audited = audit(read(tmp_path, rows))["tasks"]["emotion"]
    assert audited["label_errors"] is None
    assert audited["remark"] == "label errors were not checked: there is only one class"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_tiny_datasets_are_audited_without_what_cannot_be_done(tmp_path, count):
    audited = audit(read(tmp_path, plain_rows(count)))
    assert audited["rows"] == count
    assert audited["tasks"]["product"]["label_errors"] is None
    assert "were not checked" in audited["tasks"]["product"]["remark"]
    assert any("cannot be made" in remark for remark in audited["remarks"]) == (count < 5)


def test_a_dataset_without_products_is_audited_for_emotions(tmp_path):
    rows = [(text, "", emotion) for text, _, emotion in plain_rows(20)]
    audited = audit(read(tmp_path, rows))
    assert list(audited["tasks"]) == ["emotion"]
    assert audited["remarks"] == ["no row has a label of the task product"]
