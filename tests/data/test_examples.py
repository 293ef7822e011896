"""What a task can learn from a dataset, and what the real one holds."""

import numpy as np
import pandas as pd
import pytest
from sample_datasets import BAD, GOOD, NONE, ROWS, line_of, write_csv

from tf_model import data, tasks
from tf_model.data.__main__ import describe
from tf_model.data.dataset import ASSIGNMENT_SHA256, COLUMNS, Dropped
from tf_model.data.products import Products


@pytest.fixture
def dataset(tmp_path) -> data.Dataset:
    return data.read(write_csv(tmp_path / "mine.csv", [("", "iPad", GOOD), *ROWS]))


@pytest.mark.parametrize(
    ("name", "rows", "label_ids"),
    [
        ("product", [1, 2, 4], [[0], [3], [2]]),
        ("emotion", [1, 2, 3, 4], [[2], [0], [1], [2]]),
        ("answer", [1, 2, 3, 4], [[0, 2], [3, 0], [-1, 1], [2, 2]]),
    ],
)
def test_label_ids_have_one_column_for_each_task(dataset, name, rows, label_ids):
    training = data.training_rows(dataset, name)
    assert training.rows.tolist() == rows
    assert training.label_ids.tolist() == label_ids
    assert training.label_ids.dtype == training.strata.dtype == np.int64
    assert len(training) == len(rows)
    assert [task.name for task in training.tasks] == (["product", "emotion"] if name == "answer" else [name])
    assert training.texts == [ROWS[row - 1][0] for row in rows]
    taken = training.take(np.array([2, 0]))
    assert (taken.rows.tolist(), taken.label_ids.tolist()) == ([rows[2], rows[0]], [label_ids[2], label_ids[0]])
    assert taken.texts == [training.texts[2], training.texts[0]]


def test_rows_of_both_tasks_are_divided_by_product_and_without_one_by_emotion(tmp_path):
    others = [("no idea", "iPad", tasks.CANNOT_TELL), ("so glad", "", GOOD), ("so sad", "", BAD), ("mine", "iPad", BAD)]
    rows = data.training_rows(data.read(write_csv(tmp_path / "mine.csv", [*ROWS, *others])), "answer")
    assert [rows.strata_names[stratum] for stratum in rows.strata] == [
        *("iPhone", "Google", NONE, "iPad"),
        *("iPad", GOOD, BAD, "iPad"),
    ]
    assert rows.strata.tolist() == [0, 3, 10, 2, 2, 11, 9, 2]


def test_rows_of_one_task_are_divided_by_its_classes(dataset):
    rows = data.training_rows(dataset, "emotion")
    assert rows.strata.tolist() == rows.label_ids[:, 0].tolist()
    assert rows.strata_names == tasks.EMOTIONS


def test_labels_that_no_model_learns_are_reported_apart(tmp_path, capsys):
    cannot_tell = ("no idea", "iPad", tasks.CANNOT_TELL)
    dataset = data.read(write_csv(tmp_path / "mine.csv", [*ROWS, *ROWS, cannot_tell]))
    note = """note: 3 rows are "I can't tell" and left out of the task emotion\n"""
    for name in ("emotion", "answer"):
        rows = data.checked_rows(dataset, name)
        assert note in capsys.readouterr().err
    assert "no idea" in rows.texts  # for its product
    assert "no idea" not in data.training_rows(dataset, "emotion").texts
    data.checked_rows(dataset, "product")
    certain = [row for row in ROWS if row[2] != tasks.CANNOT_TELL]
    certain = data.read(write_csv(tmp_path / "certain.csv", certain * 2))
    data.checked_rows(certain, "emotion")
    assert "left out of the task" not in capsys.readouterr().err


def test_no_label_at_all(tmp_path):
    dataset = data.read(write_csv(tmp_path / "mine.csv", [("text", "", tasks.CANNOT_TELL)]))
    for task in tasks.TASKS.values():
        message = line_of(data.training_rows, dataset, task.name)
        assert f"expected labels of the task '{task.name}'" in message
        assert task.column in message
    assert "product: 0 examples" in describe(dataset)


def test_class_with_one_example(dataset):
    message = line_of(data.checked_rows, dataset, "emotion")
    assert "at least 2 examples of each class of the task 'emotion'" in message
    assert f"a single one of '{BAD}', '{NONE}'; add more, or leave these classes out" in message


def test_own_classes(tmp_path, capsys):
    columns = ("text", "brand", "emotion")
    rows = [("good reader", "Kindle", "glad"), ("bad console", "Xbox", "sad")] * 2
    rows = data.checked_rows(data.read(write_csv(tmp_path / "own.csv", rows, columns)), "answer")
    assert rows.label_ids.tolist() == [[0, 0], [1, 1]] * 2
    assert rows.strata_names == ("Kindle", "Xbox", "glad", "sad")
    assert 'note: no class stands for "no emotion", so every answer names some emotion' in capsys.readouterr().err
    named = [("good Kindle", "Kindle", "glad"), ("bad Xbox", "Xbox", "sad")] * 2
    data.checked_rows(data.read(write_csv(tmp_path / "named.csv", named, columns)), "target")
    assert 'note: no class stands for "no emotion", so each product gets some emotion' in capsys.readouterr().err
    data.checked_rows(data.read(write_csv(tmp_path / "named.csv", named, columns)), "emotion")
    assert not capsys.readouterr().err
    typo = [("good reader", "Kindle", "glad"), ("bad console", "Xbox", "sad")] * 2 + [("one more", "Kindel", "glad")]
    message = line_of(data.checked_rows, data.read(write_csv(tmp_path / "typo.csv", typo, columns)), "product")
    assert "a single one of 'Kindel'; add more, or leave this class out; did you mean 'Kindle'?" in message
    free = [(f"text {number}", f"remark {number}", "glad") for number in range(9)]
    message = line_of(data.checked_rows, data.read(write_csv(tmp_path / "free.csv", free, columns)), "product")
    assert "and 4 more; add more" in message
    assert "if these are not labels, name another column, see --help" in message


def test_a_task_without_a_column(tmp_path):
    dataset = data.read(write_csv(tmp_path / "own.csv", [("good", "glad"), ("bad", "sad")], ("text", "emotion")))
    assert len(data.training_rows(dataset, "emotion")) == 2
    for name in ("answer", "product", "target"):
        message = line_of(data.training_rows, dataset, name, data.products_of(dataset))
        assert f"--task {name} needs a column of products" in message
        assert "name it with --product-column, or choose --task emotion" in message


def test_absent_classes_are_named_and_a_single_class_is_refused(tmp_path, capsys):
    data.checked_rows(data.read(write_csv(tmp_path / "mine.csv", ROWS * 2)), "product")
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: no example of iPad or iPhone App, Android, Apple, ")
    assert note.count(",") == 5
    ipads = data.read(write_csv(tmp_path / "ipads.csv", [row for row in ROWS * 2 if row[1] == "iPad"]))
    message = line_of(data.checked_rows, ipads, "product")
    assert "at least two classes" in message
    assert "got only 'iPad'" in message


# ---------------------------------------------------------------- targets

BRANDS = ("text", "brand", "sentiment")


def targets(path, rows, products=None) -> list[tuple]:
    """Row, text, label and whether it is only assumed, of each example."""
    dataset = data.read(write_csv(path / "own.csv", rows, BRANDS))
    found = data.training_rows(dataset, "target", products)
    [task] = found.tasks
    assert (task.name, found.label_ids.dtype, found.label_ids.shape) == ("target", np.int64, (len(found), 1))
    assert (found.judged_ids[:, 0] == np.where(found.is_weak, tasks.NO_LABEL, found.label_ids[:, 0])).all()
    labels = [task.labels[number] for number in found.label_ids[:, 0]]
    return list(zip(found.rows.tolist(), found.texts, labels, found.is_weak.tolist(), strict=True))


def test_a_target_is_each_product_that_a_text_names_and_only_the_labelled_one_is_judged(tmp_path):
    rows = [
        ("my Xbox and the Kindle are great", "Kindle", "positive"),
        ("a Kindle, not the Xbox, not a Kindle", "", "neutral"),
        ("it froze again", "Xbox", "negative"),  # not named
        ("my Kindle froze, says who", "", "negative"),  # towards what?
        ("doors open at ten", "", "neutral"),
        ("the Xbox starts at six", "Xbox", "neutral"),
    ]
    assert targets(tmp_path, rows) == [
        (0, "my \x02Xbox\x03 and the Kindle are great", "neutral", True),
        (0, "my Xbox and the \x02Kindle\x03 are great", "positive", False),
        (1, "a \x02Kindle\x03, not the Xbox, not a Kindle", "neutral", False),
        (1, "a Kindle, not the \x02Xbox\x03, not a Kindle", "neutral", False),
        (5, "the \x02Xbox\x03 starts at six", "neutral", False),
    ]


def test_a_text_with_a_row_for_each_of_its_products_has_no_label_that_is_assumed(tmp_path):
    text = "Xbox great, Kindle bad"
    rows = [(text, "Xbox", "positive"), (text, "Kindle", "negative"), ("nothing", "", "neutral")]
    assert targets(tmp_path, rows) == [
        (0, "\x02Xbox\x03 great, Kindle bad", "positive", False),
        (1, "Xbox great, \x02Kindle\x03 bad", "negative", False),
    ]


def test_nothing_is_assumed_where_no_label_says_that_there_is_no_emotion(tmp_path):
    rows = [("Xbox great, Kindle too", "Xbox", "glad"), ("Kindle bad", "Kindle", "sad")]
    assert targets(tmp_path, rows) == [
        (0, "\x02Xbox\x03 great, Kindle too", "glad", False),
        (1, "\x02Kindle\x03 bad", "sad", False),
    ]


def test_products_are_found_by_the_names_that_are_given(tmp_path):
    rows = [("my xbone broke", "Xbox", "negative"), ("a Kindle", "Kindle", "positive"), ("tea", "", "neutral")]
    products = Products({"Xbox": ["xbone"], "Tea": []})
    assert targets(tmp_path, rows, products=products) == [
        (0, "my \x02xbone\x03 broke", "negative", False),
        (2, "\x02tea\x03", "neutral", False),
    ]
    dataset = data.read(write_csv(tmp_path / "own.csv", rows, BRANDS))
    message = line_of(data.training_rows, dataset, "target", Products({"Wii": []}))
    assert "names the product of its label; list the products' other names in --products" in message
    assert "spell the labels as the names there" in message


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("Kindle,e-reader\nWii,\n", {"Kindle": ("e-reader",), "Wii": ()}),  # never looked for the Xbox
        ("Xbox,\nWii,\n", {"Kindle": (), "Xbox": ()}),  # edited since the training
    ],
)
def test_a_model_is_judged_on_the_products_of_its_list_or_of_the_dataset(tmp_path, listed, expected):
    rows = [("my Xbox broke", "Xbox", "negative"), ("a Kindle", "Kindle", "positive")]
    dataset = data.read(write_csv(tmp_path / "own.csv", rows, BRANDS))
    (tmp_path / "products.csv").write_text(f"name,aliases\n{listed}", encoding="utf-8")
    (tmp_path / "validation_predictions.csv").write_text("row,product\n0,\n1,Kindle\n", encoding="utf-8")
    assert data.products_to_judge("target", tmp_path, dataset).aliases == expected
    assert data.products_to_judge("answer", tmp_path, dataset) is None


def test_labels_of_products_that_are_not_found_are_counted(tmp_path, capsys):
    rows = [("my Switch broke", "Nintendo Switch", "negative"), ("a Kindle", "Kindle", "positive")] * 2
    rows += [("a Kindle, so what", "", "neutral"), ("lovely", "", "positive"), ("nothing here", "", "neutral")] * 2
    dataset = data.read(write_csv(tmp_path / "own.csv", rows, BRANDS))
    data.checked_rows(dataset, "target", Products({"Kindle": []}))
    said = capsys.readouterr().err
    assert "note: 2 rows are left out: their texts do not name the labelled product" in said
    assert "spell the labels as the names there" in said
    assert "note: rows with an emotion, but without a product, were left out: 2" in said


def test_a_product_without_a_label_is_assumed_once_in_a_text_with_a_row_for_each_of_the_others(tmp_path):
    text = "Xbox great, Kindle bad, Wii there"
    rows = [(text, "Xbox", "positive"), (f"{text} ", "Kindle", "negative"), ("my Wii", "Wii", "neutral")]
    assumed = [row for row, _, _, is_weak in targets(tmp_path, rows) if is_weak]
    assert assumed == [0]
    assumed = [row for row, _, _, is_weak in targets(tmp_path, [*rows, rows[0]]) if is_weak]
    assert assumed == [0, 3], "a row that is there twice counts twice"


# ---------------------------------------------------------------- the real dataset


def test_real_dataset_is_recognized(real_dataset):
    assert real_dataset.name == data.ASSIGNMENT
    assert real_dataset.sha256 == ASSIGNMENT_SHA256
    assert list(real_dataset.labelled.columns) == ["row", *COLUMNS]
    assert len(real_dataset.labelled) == 8588
    assert real_dataset.dropped == (Dropped("the text is missing", (6,)),)
    assert list(real_dataset.unlabelled.columns) == ["Tweet"]
    assert len(real_dataset.unlabelled) == 504
    assert (real_dataset.unlabelled["Tweet"] != "").all()


def counts(rows: data.TrainingRows) -> dict[str, int]:
    return dict(zip(rows.strata_names, np.bincount(rows.strata).tolist(), strict=True))


def test_real_products(real_dataset, capsys):
    rows = data.checked_rows(real_dataset, "product")
    assert len(rows) == 3291
    assert capsys.readouterr().err == ""
    assert counts(rows) == {
        "iPad": 946,
        "Apple": 661,
        "iPad or iPhone App": 470,
        "Google": 430,
        "iPhone": 297,
        "Other Google product or service": 293,
        "Android App": 81,
        "Android": 78,
        "Other Apple product or service": 35,
    }


def test_real_emotions(real_dataset, capsys):
    # 5,389 + 2,672 + 519 in the file, less the one row without a text, which says "No emotion".
    assert counts(data.training_rows(real_dataset, "emotion")) == {NONE: 5388, GOOD: 2672, BAD: 519}
    data.checked_rows(real_dataset, "answer")
    assert """note: 9 rows are "I can't tell" and left out of the task emotion\n""" in capsys.readouterr().err


def test_real_targets(real_dataset):
    """In this workbook every emotion has a target, and a hundred targets have no emotion."""
    product, emotion = data.training_rows(real_dataset, "answer").label_ids.T
    felt = (emotion >= 0) & (emotion != tasks.EMOTIONS.index(NONE))
    assert (felt.sum(), (emotion >= 0).sum(), (product >= 0).sum()) == (3191, 8579, 3291)
    assert (product[felt] >= 0).all()


def test_real_row_numbers_are_those_of_the_sheet(real_dataset):
    sheet = pd.read_excel(real_dataset.path, sheet_name="Train", dtype=str, keep_default_na=False, engine="openpyxl")
    rows = data.training_rows(real_dataset, "product")
    assert (np.diff(rows.rows) > 0).all()
    assert sheet["tweet_text"].iloc[rows.rows].tolist() == rows.texts
    assert all(25 <= len(text) <= 170 for text in rows.texts)


def test_real_repeats_are_kept_and_rows_counted(real_dataset):
    assert real_dataset.labelled["tweet_text"].duplicated().any()
    lines = [" ".join(line.split()) for line in describe(real_dataset)]
    left_out = {"no label (left out) 5,297", f"{tasks.CANNOT_TELL} (left out) 9"}
    assert left_out | {"to label 504 rows in the sheet Test"} <= set(lines)
