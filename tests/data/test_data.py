"""Which file is used and why, what the real one holds, and what a task can learn from it."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from sample_datasets import BAD, GOOD, NONE, ROWS, line_of, write_csv

from tf_model import data, paths, tasks
from tf_model.data import dataset as dataset_file
from tf_model.errors import DataError, OutputError, UsageError

REAL = paths.SHARED_DATA / "assignment.xlsx"


@pytest.fixture(autouse=True)
def no_outside_settings(monkeypatch):
    for name in (data.DATA_VARIABLE, *data.OFFLINE_VARIABLES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def locations(tmp_path) -> data.Locations:
    """Empty folders, and an address where nobody listens."""
    folder = tmp_path / "project"
    return data.Locations(
        raw=folder / "data" / "raw",
        shared=folder / "shared",
        sample=folder / "data" / "sample.csv",
        address="http://127.0.0.1:9/dataset.xlsx",
    )


# ---------------------------------------------------------------- the real dataset


@pytest.fixture(scope="module")
def real() -> data.Dataset:
    if not REAL.is_file():
        pytest.skip("the real dataset is not in ../shared/data/")
    return data.read(REAL)


def test_real_dataset_is_recognized(real):
    assert real.name == data.ASSIGNMENT
    assert real.sha256 == dataset_file.ASSIGNMENT_SHA256
    assert list(real.labelled.columns) == ["row", *dataset_file.COLUMNS]
    assert len(real.labelled) == 8588
    assert real.dropped == (dataset_file.Dropped("the text is missing", 1, (6,)),)
    assert list(real.unlabelled.columns) == ["Tweet"]
    assert len(real.unlabelled) == 504
    assert (real.unlabelled["Tweet"] != "").all()


def test_real_products(real):
    frame = data.examples(real, tasks.PRODUCT)
    assert len(frame) == 3291
    assert frame["label"].value_counts().to_dict() == {
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
    assert data.check_classes(frame, tasks.PRODUCT) == ()


def test_real_emotions(real):
    frame = data.examples(real, tasks.EMOTION)
    # 5,389 + 2,672 + 519 in the file, less the one row without a text, which says "No emotion".
    assert frame["label"].value_counts().to_dict() == {NONE: 5388, GOOD: 2672, BAD: 519}
    assert data.summarize(real).tasks["emotion"].ignored == {tasks.CANNOT_TELL: 9}
    assert data.training_rows(real, "answer").ignored == {"emotion": {tasks.CANNOT_TELL: 9}}


def test_real_targets(real):
    """In this workbook every emotion has a target, and a hundred targets have no emotion."""
    product, emotion = data.training_rows(real, "answer").label_ids.T
    felt = (emotion >= 0) & (emotion != tasks.EMOTIONS.index(NONE))
    assert (felt.sum(), (emotion >= 0).sum(), (product >= 0).sum()) == (3191, 8579, 3291)
    assert (product[felt] >= 0).all()


def test_labels_that_no_model_learns_are_reported_apart(tmp_path):
    dataset = data.read(write_csv(tmp_path / "mine.csv", [*ROWS, ("no idea", "iPad", tasks.CANNOT_TELL)]))
    for name in ("emotion", "answer"):
        rows = data.training_rows(dataset, name)
        assert data.describe_ignored(rows.ignored) == ["""2 rows are "I can't tell": no example of the task emotion"""]
    assert "no idea" in rows.texts  # for its product
    assert "no idea" not in data.training_rows(dataset, "emotion").texts
    assert data.describe_ignored(data.training_rows(dataset, "product").ignored) == []


def test_real_row_numbers_are_those_of_the_sheet(real):
    sheet = pd.read_excel(REAL, sheet_name="Train", dtype=str, keep_default_na=False)
    frame = data.examples(real, tasks.PRODUCT)
    assert frame["row"].is_monotonic_increasing
    assert (sheet["tweet_text"].iloc[frame["row"]].to_numpy() == frame["text"].to_numpy()).all()
    assert frame["text"].str.len().between(25, 170).all()


def test_real_repeats_are_kept_and_counted(real):
    summary = data.summarize(real)
    assert summary.repeats == real.labelled["tweet_text"].duplicated().sum() > 0
    assert any("repeat the exact text" in note for note in real.warnings)
    assert summary.tasks["product"].unlabelled == 5297


# ---------------------------------------------------------------- find


def test_named_file_wins_over_everything(tmp_path, locations, monkeypatch):
    named, other = write_csv(tmp_path / "named.csv"), write_csv(tmp_path / "other.csv")
    locations.raw.mkdir(parents=True)
    write_csv(locations.raw / "mine.csv")
    monkeypatch.setenv("TWEETS_DATA", str(other))
    source = data.resolve(named, locations)
    assert source == data.Source(named, "named by --data")
    assert source.describe() == f"data: {named} (named by --data)"
    assert data.resolve(None, locations) == data.Source(other, "named by TWEETS_DATA")
    monkeypatch.setenv("TWEETS_DATA", "")
    assert data.resolve(None, locations).path == locations.raw / "mine.csv"


def test_named_file_that_is_missing_is_an_error_and_never_replaced(tmp_path, locations, monkeypatch):
    locations.raw.mkdir(parents=True)
    write_csv(locations.raw / "mine.csv")
    message = line_of(data.resolve, tmp_path / "gone.csv", locations)
    assert "gone.csv (--data)" in message
    assert "give the path of an existing" in message
    monkeypatch.setenv("TWEETS_DATA", str(tmp_path / "gone.csv"))
    assert "gone.csv (TWEETS_DATA)" in line_of(data.resolve, None, locations)
    assert "is a folder" in line_of(data.resolve, tmp_path, locations)
    assert "~nobody-of-this-name" in line_of(data.resolve, "~nobody-of-this-name/x.csv", locations)
    assert "cannot read" in line_of(data.resolve, "a\0b.csv", locations)
    assert "cannot read" in line_of(data.resolve, "a" * 5000 + ".csv", locations)


def test_home_is_expanded(tmp_path, locations, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_csv(tmp_path / "mine.csv")
    assert data.resolve("~/mine.csv", locations).path == tmp_path / "mine.csv"


def test_raw_folder_then_shared_folder(locations):
    locations.shared.mkdir(parents=True)
    (locations.shared / "assignment.xlsx").touch()
    assert data.resolve(None, locations).reason == "found in ../shared/data/"
    locations.raw.mkdir(parents=True)
    for name in ("notes.txt", "~$mine.xlsx", ".hidden.csv"):
        (locations.raw / name).touch()
    assert data.resolve(None, locations).path.parent == locations.shared
    for name in ("mine.csv", data.JUDGE_CSV, "assignment.xlsx"):  # each one more preferred than those before
        (locations.raw / name).touch()
        assert data.resolve(None, locations) == data.Source(locations.raw / name, "found in data/raw/")


def test_several_files_in_the_raw_folder_are_ambiguous(locations):
    locations.raw.mkdir(parents=True)
    for name in ("b.tsv", "a.csv"):
        (locations.raw / name).touch()
    message = line_of(data.resolve, None, locations)
    assert "expected one data file" in message
    assert "found 2 (a.csv, b.tsv)" in message
    assert "--data PATH" in message


def test_download_is_used_where_nothing_is_at_hand(locations, monkeypatch):
    def fetch(url, target, sha256):
        assert (url, sha256) == (locations.address, locations.sha256)
        return target

    monkeypatch.setattr(data, "download", fetch)
    source = data.resolve(None, locations)
    assert source.path == locations.raw / "assignment.xlsx"
    assert "downloaded from http://127.0.0.1:9/" in source.reason
    assert not source.is_sample


@pytest.mark.parametrize("error", [DataError("cannot download it: no connection"), OutputError("the disk is full")])
def test_sample_is_the_last_resort_and_says_so(locations, monkeypatch, capsys, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(data, "download", fail)
    assert "no data" in line_of(data.resolve, None, locations)
    locations.sample.parent.mkdir(parents=True)
    write_csv(locations.sample)
    source = data.resolve(None, locations)
    assert source.is_sample
    assert source.path == locations.sample
    assert str(error) in source.reason
    assert data.read(source.path, locations.sample).name == data.SAMPLE
    data.announce(source)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "THIS IS NOT THE REAL DATASET" in shown.err
    assert "data/raw/" in shown.err
    assert len(shown.err.splitlines()) > 5


@pytest.mark.parametrize("variable", ["TWEETS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_never_downloads(locations, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(data, "download", lambda *_: pytest.fail("it tried to download"))
    assert f"{variable} forbids a download" in line_of(data.resolve, None, locations)
    locations.sample.parent.mkdir(parents=True)
    write_csv(locations.sample)
    assert data.resolve(None, locations).is_sample


def test_naming_the_sample_is_announced_too(locations):
    locations.sample.parent.mkdir(parents=True)
    write_csv(locations.sample)
    assert data.resolve(locations.sample, locations).is_sample


# ---------------------------------------------------------------- use


@pytest.fixture
def dataset(tmp_path) -> data.Dataset:
    return data.read(write_csv(tmp_path / "mine.csv", [("", "iPad", GOOD), *ROWS]))


def test_examples(dataset):
    products = data.examples(dataset, tasks.PRODUCT)
    assert list(products.columns) == ["row", "text", "label", "label_id"]
    assert products["row"].tolist() == [1, 2, 4]
    assert products["label"].tolist() == ["iPhone", "Google", "iPad"]
    assert products["label_id"].tolist() == [0, 3, 2]
    assert products["label_id"].dtype == products["row"].dtype == "int64"
    assert products.index.tolist() == [0, 1, 2]
    emotions = data.examples(dataset, tasks.EMOTION)
    assert emotions["row"].tolist() == [1, 2, 3, 4]
    assert emotions["label_id"].tolist() == [2, 0, 1, 2]


def test_rows_of_both_tasks_are_divided_by_product_and_without_one_by_emotion(tmp_path):
    others = [("no idea", "iPad", tasks.CANNOT_TELL), ("so glad", "", GOOD), ("so sad", "", BAD), ("mine", "iPad", BAD)]
    rows = data.training_rows(data.read(write_csv(tmp_path / "mine.csv", [*ROWS, *others])), "answer")
    assert [rows.strata_names[stratum] for stratum in rows.strata] == [
        *("iPhone", "Google", NONE, "iPad"),
        *("iPad", GOOD, BAD, "iPad"),
    ]
    assert rows.strata.tolist() == [0, 3, 10, 2, 2, 11, 9, 2]


def test_examples_without_any_label(tmp_path):
    dataset = data.read(write_csv(tmp_path / "mine.csv", [("text", "", tasks.CANNOT_TELL)]))
    for task in tasks.TASKS.values():
        message = line_of(data.examples, dataset, task)
        assert f"expected labels of the task '{task.name}'" in message
        assert task.column in message
    assert data.summarize(dataset).tasks["product"].examples == 0


def test_class_with_one_example(dataset):
    emotions = data.examples(dataset, tasks.EMOTION)
    message = line_of(data.check_classes, emotions, tasks.EMOTION)
    assert "at least 2 examples of each class of the task 'emotion'" in message
    assert f"'{BAD}' (1), '{NONE}' (1)" in message
    assert "add more, or leave these classes out" in message
    assert data.check_classes(emotions, tasks.EMOTION, minimum=1) == ()


def test_absent_classes_are_named_and_a_single_class_is_refused(dataset):
    products = data.examples(dataset, tasks.PRODUCT)
    absent = data.check_classes(products, tasks.PRODUCT, minimum=1)
    assert len(absent) == 6
    assert "Android" in absent
    message = line_of(data.check_classes, products[products["label"] == "iPad"], tasks.PRODUCT, minimum=1)
    assert "at least two classes" in message
    assert "found 'iPad' only" in message


# ---------------------------------------------------------------- command line


def test_command_prints_tables(tmp_path, capsys):
    rows = [*ROWS, ("", "", NONE), ROWS[0]]
    path = write_csv(tmp_path / "[bold]mine.csv", rows)
    assert data.main(["--data", str(path)]) == 0
    shown = capsys.readouterr()
    assert f"data: {path} (named by --data)" in shown.err
    assert f"file      {path}" in shown.out
    assert "dataset   custom" in shown.out
    assert "rows      6" in shown.out
    assert "dropped   1 row: the text is missing (row 7 of the file)" in shown.out
    assert "1 row repeats the exact text of an earlier row" in shown.out
    assert "product: 4 examples" in shown.out
    assert "emotion: 5 examples" in shown.out
    assert "I can't tell (left out)" in shown.out
    assert not any(text in shown.out for text, *_ in ROWS), "texts are not shown"


def test_command_prints_json(tmp_path, capsys):
    path = write_csv(tmp_path / "mine.csv", [("", "", NONE), *ROWS])
    assert data.main(["--data", str(path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["dataset"] == "custom"
    assert summary["path"] == str(path)
    assert summary["reason"] == "named by --data"
    assert summary["rows"] == 5
    assert summary["dropped"] == [{"reason": "the text is missing", "count": 1, "rows": [0]}]
    assert summary["tasks"]["product"]["labels"]["iPad"] == 1
    assert list(summary["tasks"]["product"]["labels"]) == list(tasks.PRODUCTS)
    assert summary["tasks"]["emotion"]["ignored"] == {tasks.CANNOT_TELL: 1}


def test_command_refuses_an_empty_path():
    assert "leave --data out" in line_of(data.main, ["--data", ""], error=UsageError)


def run_command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], cwd=paths.ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_command_exits_with_one_line(tmp_path):
    result = run_command("-m", "tf_model.data", "--data", str(tmp_path / "gone.csv"))
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: no file")
    assert len(result.stderr.splitlines()) == 1
    assert run_command("-m", "tf_model.data", "--unknown").returncode == 2


def test_importing_loads_nothing_heavy():
    heavy = "{'pandas', 'pandera', 'pooch', 'requests', 'rich', 'tensorflow'}"
    result = run_command("-c", f"import sys, tf_model.data; print({heavy} & set(sys.modules) or 'light')")
    assert result.stdout.strip() == "light", result.stderr
