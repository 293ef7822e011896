"""The files of a saved model, how they are read, and which training a folder is from."""

import json
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock
from model_folders import ROWS, SHA256, write_answer, write_single

from tf_model import model_dir, paths, tasks
from tf_model.errors import ModelError
from tf_model.inference.predictor import find_model
from tf_model.model_dir import model_folders, read_labels, read_report, read_validation_rows


def test_a_copy_is_the_same_training_and_another_is_not(tmp_path):
    (tmp_path / model_dir.GRAPH).write_bytes(b"a graph")
    of_graph = model_dir.training_of(tmp_path)
    (tmp_path / model_dir.FINGERPRINT).write_bytes(b"one")
    one = model_dir.training_of(tmp_path)
    (tmp_path / model_dir.FINGERPRINT).write_bytes(b"two")
    assert len({"", of_graph, one, model_dir.training_of(tmp_path)}) == 4
    assert model_dir.training_of(tmp_path / "missing") == ""


def test_a_served_version_grows_with_time_and_names_its_training():
    first, later = (model_dir.served_version("0123456789ab", seconds) for seconds in (1_795_488_000, 1_795_488_001))
    other = model_dir.served_version("ba9876543210", 1_795_488_000)
    assert first < other < later or other < first < later
    assert [each // model_dir.TRAININGS for each in (first, other, later)] == [1_795_488_000] * 2 + [1_795_488_001]
    assert len(str(later)) == 16
    for version in (str(first), str(later), "0123456789ab"):
        assert model_dir.is_of_training(version, "0123456789ab")
        assert not model_dir.is_of_training(version, "ba9876543210")
        assert not model_dir.is_of_training(version, "")
    assert model_dir.is_of_training("123456789012", "123456789012"), "a hash of digits alone"


@pytest.mark.parametrize("content", ["[]", "{", "3", b"\xff\xfe"])
def test_what_is_no_object_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match="train the model again"):
        model_dir.read_json(tmp_path / "x.json")
    assert model_dir.read_json(tmp_path / "missing.json") == {}
    with pytest.raises(ModelError, match=r"missing\.json is missing"):
        model_dir.read_json(tmp_path / "missing.json", required=True)


def test_labels_of_one_task_and_of_both(tmp_path):
    with pytest.raises(ModelError, match=r"saved_model.pb is missing"):
        read_labels(tmp_path)
    (tmp_path / model_dir.GRAPH).touch()
    with pytest.raises(ModelError, match=r"labels.json is missing"):
        read_labels(tmp_path)
    for labels in ({"product": ["a", "b"]}, {"product": ["a"], "emotion": ["b"]}):
        (tmp_path / model_dir.LABELS).write_text(json.dumps({"task": "?", "labels": labels}), encoding="utf-8")
        assert read_labels(tmp_path) == {task: tuple(classes) for task, classes in labels.items()}


@pytest.mark.parametrize(
    "content",
    [
        {"task": "product", "labels": ["a", "b"]},  # as an earlier version wrote them
        {"labels": {"colour": ["a"]}},
        {"labels": {}},
        {},
    ],
)
def test_labels_of_another_form_are_refused(tmp_path, content):
    (tmp_path / model_dir.GRAPH).touch()
    (tmp_path / model_dir.LABELS).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError, match=r"expected the classes of each task .* train it again"):
        read_labels(tmp_path)


def test_a_folder_that_may_not_be_looked_into(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(ModelError, match=r"cannot be read \(Permission denied\); check its permissions"):
        read_labels(tmp_path)


def test_the_rows_that_a_model_validated_on(tmp_path):
    assert read_validation_rows(write_single(tmp_path)).tolist() == list(range(0, 3 * ROWS, 3))


class TestReadReport:
    def test_a_model_of_one_task(self, tmp_path):
        report = read_report(write_single(tmp_path))
        assert (report.folder.name, report.task) == ("product", "product")
        assert report.labels == {"product": tasks.PRODUCTS}
        assert report.data_sha256 == SHA256
        assert report.metrics["protocol"] == "random split (seed 42, 20% to validate)"
        assert report.card.endswith("A card.\n")
        validated = report.labelled("product")
        assert validated.rows.tolist() == list(range(0, 3 * ROWS, 3))
        # The metrics in metrics.json are of the same rows.
        assert validated.correct.mean() == pytest.approx(report.metrics["validation"]["product"]["accuracy"])
        assert (report.calibration, list(report.predictions)) == ({}, ["product"])

    def test_the_answer_model(self, tmp_path):
        report = read_report(write_answer(tmp_path))
        assert report.task == "answer"
        assert len(report.labelled("emotion").rows) == ROWS
        # Rows without a product label cannot be correct or wrong.
        assert len(report.labelled("product").rows) == ROWS * 2 // 3
        assert (report.labelled("product").rows % 3 != 0).all()
        assert report.predictions["product"].label_ids.tolist()[::3] == [tasks.NO_LABEL] * (ROWS // 3)
        assert report.metrics["validation"]["answer"]["emotion_rows_accuracy"] == 0.58
        assert report.calibration["product"]["after"]["ece"] == 0.0213

    def test_a_label_that_looks_like_a_missing_value_is_a_label(self, tmp_path):
        folder = write_single(tmp_path)
        for file in ("labels.json", "validation_predictions.csv", "metrics.json"):
            text = (folder / file).read_text()
            for before, after in ((",iPhone", ",None"), ('"iPhone"', '"None"'), ("_iPhone", "_None")):
                text = text.replace(before, after)
            (folder / file).write_text(text)
        assert len(read_report(folder).labelled("product").rows) == ROWS

    @pytest.mark.parametrize("file", ["validation_predictions.csv", "model_card.md", "recipe.json"])
    def test_a_missing_file_is_named(self, tmp_path, monkeypatch, file):
        monkeypatch.chdir(tmp_path)
        folder = write_single(tmp_path)
        (folder / file).unlink()
        with pytest.raises(ModelError) as raised:
            read_report(folder)
        assert str(raised.value) == f"product/{file} is missing; train the model again"

    def test_calibration_is_expected_of_the_answer_model_alone(self, tmp_path):
        folder = write_answer(tmp_path)
        (folder / "calibration.json").unlink()
        with pytest.raises(ModelError, match=r"calibration\.json is missing"):
            read_report(folder)

    @pytest.mark.parametrize(
        ("file", "content", "words"),
        [
            ("metrics.json", "[]", "metrics.json should be a JSON object, not a list"),
            ("labels.json", '{"task": ["product"]}', "labels.json: expected the classes of each task"),
            ("validation_predictions.csv", "", "validation_predictions.csv cannot be read"),
            ("validation_predictions.csv", "row,product\n1,iPad\n", "lacks the columns 'product_probability_iPhone'"),
            ("validation_predictions.csv", "row,product\nx,iPad\n", "validation_predictions.csv cannot be read"),
        ],
    )
    def test_a_damaged_file_is_told_in_a_line(self, tmp_path, file, content, words):
        folder = write_single(tmp_path)
        (folder / file).write_text(content, encoding="utf-8")
        with pytest.raises(ModelError) as raised:
            read_report(folder)
        assert words in str(raised.value)
        assert len(str(raised.value).splitlines()) == 1

    @pytest.mark.parametrize("labels", [["-1", "0", "1"], ["true", "false", "007"]])
    def test_labels_that_look_like_numbers_are_texts(self, tmp_path, labels):
        folder = write_single(tmp_path, "emotion")
        for name in ("labels.json", "metrics.json", "validation_predictions.csv"):
            content = (folder / name).read_text(encoding="utf-8")
            for old, new in zip(tasks.EMOTIONS, labels, strict=True):
                content = content.replace(old, new)
            (folder / name).write_text(content, encoding="utf-8")
        file = folder / "validation_predictions.csv"
        frame = pd.read_csv(file, dtype=str)
        frame.loc[0, "emotion"] = ""  # a row without a label
        frame.to_csv(file, index=False)
        assert len(read_report(folder).labelled("emotion").rows) == len(frame) - 1

    def test_the_sample_corpus_is_known(self, tmp_path):
        assert read_report(write_single(tmp_path, dataset="sample")).is_sample
        assert not read_report(write_single(tmp_path, name="other")).is_sample


class TestFolders:
    def test_known_names_first_hidden_ones_never(self, tmp_path):
        for name in ("zebra", "emotion", "product", ".checkpoints", ".versions/answer/1", ".product.x.part"):
            (tmp_path / name).mkdir(parents=True)
        (tmp_path / "answer").symlink_to(".versions/answer/1")
        (tmp_path / "README.md").write_text("")
        assert [each.name for each in model_folders(tmp_path)] == ["answer", "product", "emotion", "zebra"]

    @pytest.mark.parametrize(
        "look",
        [
            lambda folder: find_model(None),
            lambda folder: find_model(folder / "answer"),
            lambda folder: model_folders(folder)[0],
        ],
    )
    def test_a_model_that_a_killed_run_had_moved_away_comes_back(self, tmp_path, monkeypatch, look):
        monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path)
        write_single(tmp_path)
        holder = tmp_path / ".answer.abcd1234.part"
        holder.mkdir()
        write_answer(tmp_path).rename(holder / "old")
        with FileLock(holder / ".lock"):  # the run is alive
            assert model_folders(tmp_path) == (tmp_path / "product",)
        assert look(tmp_path) == tmp_path / "answer"
        assert (tmp_path / "answer" / model_dir.LABELS).is_file()
        assert not holder.exists()

    def test_no_folder_no_models(self, tmp_path):
        assert model_folders(tmp_path / "none") == ()
