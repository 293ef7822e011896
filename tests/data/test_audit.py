"""What an audit finds in a dataset: repeats, conflicts, leaks, small classes and labels that look wrong."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from sample_datasets import BAD, GOOD, NONE, line_of, write_csv, write_workbook

from tf_model import data, paths, tasks
from tf_model.data import audit, label_errors, splits
from tf_model.data import dataset as dataset_file
from tf_model.data.dataset import COLUMNS
from tf_model.errors import DataError, UsageError


def unlike(count: int, seed: int = 0) -> list[str]:
    """Texts of random letters, of which no two are near-duplicates."""
    generator = random.Random(seed)
    return [" ".join("".join(generator.choices("abcdefghijklmnop", k=7)) for _ in range(7)) for _ in range(count)]


def read(path, rows, columns=COLUMNS):
    return data.read(write_csv(path / "mine.csv", rows, columns))


def plain_rows(count: int) -> list[tuple[str, str, str]]:
    """Rows of two products and two emotions whose words give the labels away, none like another."""
    texts = unlike(count)
    return [
        (f"{text} ipad wonderful lovely", "iPad", GOOD)
        if number % 2
        else (f"{text} maps dreadful broken", "Google", BAD)
        for number, text in enumerate(texts)
    ]


def test_repeats_are_counted_and_named(tmp_path):
    first, second, third, fourth = unlike(4)
    rows = [(first, "iPad", GOOD), (second, "iPad", GOOD), (first, "iPad", GOOD), (third, "Google", BAD)]
    rows += [(f"RT @user: {second.upper()}!", "iPad", GOOD), (fourth, "Google", BAD)]
    found = audit.audit(read(tmp_path, rows))
    assert found.exact == audit.Repeats(groups=1, rows=2, members=((0, 2),))
    assert found.near == audit.Repeats(groups=2, rows=4, members=((0, 2), (1, 4)))


def test_row_numbers_are_those_of_the_file_where_rows_were_dropped(tmp_path):
    first, second = unlike(2)
    rows = [("", "", NONE), (first, "iPad", GOOD), ("  ", "", NONE), (second, "Google", BAD), (first, "Google", BAD)]
    found = audit.audit(read(tmp_path, rows))
    assert found.exact.members == ((1, 4),)
    (conflict,) = found.tasks["product"].conflicts
    assert conflict == audit.Conflict(rows=(1, 4), labels=("iPad", "Google"), exact=True)


def test_near_duplicates_that_disagree_are_no_exact_conflict(tmp_path):
    first, second = unlike(2)
    rows = [
        (first, "iPad", GOOD),
        (f"RT @someone {first}", "iPad", BAD),
        (second, "Google", BAD),
        (second, "Google", BAD),
    ]
    found = audit.audit(read(tmp_path, rows))
    assert found.tasks["product"].conflicts == ()
    assert found.tasks["emotion"].conflicts == (audit.Conflict((0, 1), (GOOD, BAD), exact=False),)


def test_a_class_with_too_few_groups_is_too_small(tmp_path):
    texts = unlike(11)
    rows = [(text, "iPad", GOOD) for text in texts[:6]] + [(text, "Google", BAD) for text in texts[6:10]]
    rows += [(texts[10], "Google", BAD)] * 3  # repeats make a class look larger than it is
    classes = audit.audit(read(tmp_path, rows)).tasks["product"].classes
    assert classes["iPad"] == audit.ClassCount(rows=6, groups=6, too_small=False)
    assert classes["Google"] == audit.ClassCount(rows=7, groups=5, too_small=False)
    assert classes["Apple"] == audit.ClassCount(rows=0, groups=0, too_small=False)
    rows.remove((texts[9], "Google", BAD))
    assert audit.audit(read(tmp_path, rows)).tasks["product"].classes["Google"].too_small


# ---------------------------------------------------------------- leakage


def test_leakage_of_the_report_split_is_that_of_splits():
    dataset = data.read(paths.SAMPLE_CORPUS)
    found = audit.audit(dataset)
    for leakage, task in zip(found.leakage, (tasks.PRODUCT, tasks.EMOTION), strict=True):
        examples = data.examples(dataset, task)
        label_ids = examples["label_id"].to_numpy()
        split = splits.report_split(label_ids)
        expected = splits.leakage(examples["text"].tolist(), split, (splits.THRESHOLD,), label_ids)
        (counted,) = expected["thresholds"]
        assert (leakage.validation_rows, len(leakage.leaks)) == (expected["rows"], counted["rows"])
        assert (leakage.share, leakage.label_agreement) == (counted["share"], counted["label_agreement"])
        validation = set(examples["row"].to_numpy()[split.validation])
        training = set(examples["row"].to_numpy()[split.train])
        assert leakage.leaks, "the sample corpus holds retweets on both sides"
        assert all(leak.row in validation and leak.training_row in training for leak in leakage.leaks)


SPLIT_ROWS = [
    ("{0}", "iPad", GOOD, "Train"),
    ("{1}", "Google", BAD, " train "),
    ("{2}", "iPad", GOOD, "test"),
    ("RT @user {1}", "Google", BAD, "test"),
    ("{0}", "Google", BAD, ""),
]


def split_rows():
    texts = unlike(3)
    return [(text.format(*texts), *rest) for text, *rest in SPLIT_ROWS]


def write(folder, suffix, rows, columns):
    import pandas as pd

    if suffix == ".csv":
        return write_csv(folder / "mine.csv", rows, columns)
    return write_workbook(folder / "mine.xlsx", Train=pd.DataFrame(rows, columns=list(columns)))


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_split_column_decides_who_trains(tmp_path, suffix):
    path = write(tmp_path, suffix, split_rows(), (*COLUMNS, "Part"))
    (leakage,) = audit.audit(data.read(path), split_column="part").leakage
    assert (leakage.training_rows, leakage.validation_rows) == (2, 2), "a row with an empty cell takes no part"
    assert leakage.leaks == (audit.Leak(row=3, training_row=1, similarity=1.0),)
    assert leakage.label_agreement is None


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_split_column_stays_beside_its_rows_where_one_is_dropped(tmp_path, suffix):
    path = write(tmp_path, suffix, [("", "iPad", GOOD, "test"), *split_rows()], (*COLUMNS, "Part"))
    (leakage,) = audit.audit(data.read(path), split_column="part").leakage
    assert (leakage.training_rows, leakage.validation_rows) == (2, 2)
    assert leakage.leaks == (audit.Leak(row=4, training_row=2, similarity=1.0),)


def test_a_split_column_that_is_not_there_or_names_no_training_rows_is_explained(tmp_path):
    dataset = read(tmp_path, split_rows(), (*COLUMNS, "part"))
    assert "did you mean 'part'?" in line_of(audit.audit, dataset, split_column="parts")
    column = COLUMNS[1]
    assert "expected rows to train ('train', 'training')" in line_of(audit.audit, dataset, split_column=column)


def test_a_second_file_is_what_was_trained_on(tmp_path):
    first, second, third, fourth = unlike(4)
    (tmp_path / "other").mkdir()
    training = read(tmp_path / "other", [(first, "iPad", GOOD), (fourth, "iPad", GOOD), (second, "Google", BAD)])
    dataset = read(tmp_path, [(third, "iPad", GOOD), (second, "iPad", GOOD)])
    (leakage,) = audit.audit(dataset, against=training).leakage
    assert (leakage.training_rows, leakage.validation_rows) == (3, 2)
    assert leakage.leaks == (audit.Leak(row=1, training_row=2, similarity=1.0),)
    assert leakage.share == 0.5
    with pytest.raises(UsageError, match="give one of them"):
        audit.audit(dataset, against=training, split_column="part")


def test_clean_parts_do_not_leak(tmp_path):
    found = audit.audit(read(tmp_path, plain_rows(40)))
    assert [len(leakage.leaks) for leakage in found.leakage] == [0, 0]
    assert not found.leaks


# ---------------------------------------------------------------- suspicious labels


def test_wrong_labels_are_found(tmp_path):
    pytest.importorskip("cleanlab", reason="cleanlab is in the extra research")
    rows = plain_rows(100)
    wrong = [10, 33, 70]
    for number in wrong:
        text, product, emotion = rows[number]
        rows[number] = (text, "Google" if product == "iPad" else "iPad", emotion)
    found = audit.audit(read(tmp_path, rows)).tasks
    assert {doubt.row for doubt in found["product"].doubts} == set(wrong)
    assert all(doubt.suggested != doubt.label and doubt.probability < 0.5 for doubt in found["product"].doubts)
    assert found["emotion"].doubts == ()


def test_rows_that_cannot_be_judged_do_not_shift_the_doubts_of_the_others(tmp_path):
    pytest.importorskip("cleanlab", reason="cleanlab is in the extra research")
    rows = plain_rows(100)
    for number in (10, 33, 70):
        text, product, emotion = rows[number]
        rows[number] = (text, "Google" if product == "iPad" else "iPad", emotion)
    before = audit.audit(read(tmp_path, rows)).tasks["product"].doubts
    lonely = zip(unlike(2, seed=1), ("Apple", "Android"), strict=True)
    rows = [*((f"{text} wonderful lovely", product, GOOD) for text, product in lonely), *rows]
    found = audit.audit(read(tmp_path, rows)).tasks["product"]
    assert found.remark == "too few to be judged: 'Android', 'Apple'"
    assert {doubt.row for doubt in found.doubts} == {12, 35, 72}
    assert found.doubts == tuple(replace(doubt, row=doubt.row + 2) for doubt in before)
    assert all(doubt.label == rows[doubt.row][1] for doubt in found.doubts)


def test_out_of_fold_probabilities_come_from_models_that_did_not_see_the_row():
    class Remembers:
        """Sure of the labels that it has seen, and of nothing else."""

        def fit(self, texts, label_ids):
            self.seen, self.classes_ = dict(zip(texts, label_ids, strict=True)), np.unique(label_ids)
            return self

        def predict_proba(self, texts):
            assert not set(texts) & set(self.seen)
            return np.full((len(texts), len(self.classes_)), 1 / len(self.classes_))

    texts, label_ids = unlike(20), np.array([0, 2] * 10)
    folds = splits.grouped_folds(label_ids, np.arange(20), 5)
    probabilities = label_errors.out_of_fold(texts, label_ids, folds, 3, Remembers)
    assert (probabilities == np.tile(np.float32([0.5, 0, 0.5]), (20, 1))).all()


def test_without_cleanlab_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(label_errors, "is_available", lambda: False)
    found = audit.audit(read(tmp_path, plain_rows(20))).tasks["product"]
    assert found.doubts is None
    assert found.remark == "suspicious labels need the package cleanlab: `pip install cleanlab==2.9.0`"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_tiny_datasets_are_audited_without_what_cannot_be_done(tmp_path, count):
    found = audit.audit(read(tmp_path, plain_rows(count)))
    assert found.rows == count
    assert found.tasks["product"].doubts is None
    assert "were not looked for" in found.tasks["product"].remark
    assert any("cannot be made" in remark for remark in found.remarks) == (count < 5)


def test_a_dataset_without_products_is_audited_for_emotions(tmp_path):
    rows = [(text, "", emotion) for text, _, emotion in plain_rows(20)]
    found = audit.audit(read(tmp_path, rows))
    assert list(found.tasks) == ["emotion"]
    assert "no row has a label of the task product" in found.remarks


# ---------------------------------------------------------------- the command


def test_command_exits_with_1_on_a_leak_and_shows_no_text(tmp_path, capsys):
    path = write_csv(tmp_path / "mine.csv", split_rows(), (*COLUMNS, "part"))
    assert data.main(["--audit", str(path), "--split-column", "part"]) == 1
    shown = capsys.readouterr()
    assert "leakage, column 'part': 1 of 2 validation rows (50.0%)" in shown.out
    assert "row 5: like training row 3 (1.00)" in shown.out, "rows as a spreadsheet numbers them"
    assert "leak: rows that validate have near-duplicates that train" in shown.err
    assert not any(text[:20] in shown.out for text in unlike(3))
    assert data.main(["--audit", "--data", str(path), "--split-column", "part", "--show-texts"]) == 1
    assert f"row 5: like training row 3 (1.00)  RT @user {unlike(3)[1]}" in capsys.readouterr().out


def test_command_exits_with_0_without_a_leak(tmp_path, capsys):
    path = write_csv(tmp_path / "mine.csv", plain_rows(40))
    assert data.main(["--audit", str(path)]) == 0
    assert "0 of 8 validation rows (0.0%)" in capsys.readouterr().out


def test_a_few_rows_are_too_few_to_judge_labels_and_the_option_is_named(tmp_path, capsys):
    first, second, third = unlike(3)
    rows = [(first, "iPad", GOOD), (second, "Google", BAD), (third, "iPhone", NONE), (f"RT @user {first}", "iPad", BAD)]
    data.main(["--audit", str(write_csv(tmp_path / "mine.csv", rows, COLUMNS))])
    shown = capsys.readouterr()
    assert "named by --audit" in shown.err
    assert "not looked for: too few to be judged: 'iPhone', 'iPad', 'Google'" in " ".join(shown.out.split())
    assert "emotion: 1 group of near-duplicates (2 rows) with different labels" in shown.out
    missing = str(tmp_path / "gone.csv")
    assert "gone.csv (--audit)" in line_of(data.main, ["--audit", missing], error=DataError)


def test_json_holds_row_numbers_and_texts_only_if_asked(tmp_path, capsys):
    path = write_csv(tmp_path / "mine.csv", split_rows(), (*COLUMNS, "part"))
    arguments = ["--audit", str(path), "--split-column", "part", "--json"]
    assert data.main(arguments) == 1
    printed = capsys.readouterr().out
    found = json.loads(printed)
    assert found["leaks"] is True
    assert found["leakage"][0]["leaks"] == [{"row": 3, "training_row": 1, "similarity": 1.0}]
    assert found["near"]["members"] == [[0, 4], [1, 3]]
    assert found["tasks"]["product"]["classes"]["iPad"] == {"rows": 2, "groups": 2, "too_small": True}
    assert not any(text[:20] in printed for text in unlike(3))
    data.main([*arguments, "--show-texts"])
    texts = json.loads(capsys.readouterr().out)["texts"]
    assert texts == {str(row): split_rows()[row][0] for row in (0, 1, 3, 4)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--against", "x.csv"], "belong to --audit"),
        (["--show-texts"], "belong to --audit"),
        (["--audit", ""], "expected a path after --audit"),
        (["--audit", "a.csv", "--data", "b.csv"], "name it once"),
    ],
)
def test_command_refuses_options_that_do_not_go_together(arguments, words):
    assert words in line_of(data.main, arguments, error=UsageError)


def test_a_text_cannot_write_to_the_terminal(tmp_path, capsys):
    first, second = unlike(2)
    rows = [(f"[bold]\x1b[31m{first}", "iPad", GOOD), (f"[bold]\x1b[31m{first}", "Google", BAD), (second, "iPad", GOOD)]
    data.main(["--audit", str(write_csv(tmp_path / "mine.csv", rows)), "--show-texts"])
    shown = capsys.readouterr().out
    assert f"[bold]␛[31m{first}" in shown
    assert "\x1b[31m" not in shown


# ---------------------------------------------------------------- the real dataset


def test_real_dataset_leaks_as_splits_says(real_data):
    dataset = data.read(real_data)
    product = dataset.labelled[dataset.labelled[tasks.PRODUCT_COLUMN].notna()]
    only_products = dataset_file.Dataset(dataset.name, dataset.path, dataset.sha256, product.reset_index(drop=True))
    leakage = next(iter(audit._leakage_of_report_split(only_products, [])))
    assert len(leakage.leaks) == 204
    assert leakage.validation_rows == 659


def test_a_file_that_is_no_dataset_is_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    assert "expected the columns" in line_of(data.main, ["--audit", str(path)], error=DataError)
