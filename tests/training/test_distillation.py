"""What a student learns from its teachers, and which teachers are refused."""

import json
import shutil

import numpy as np
import pytest
from model_folders import guessed_fold

from tf_model import data, paths, tasks, train
from tf_model.config import make_config
from tf_model.data import splits
from tf_model.errors import ModelError, UsageError
from tf_model.evaluation.joint_metrics import by_task
from tf_model.inference.predictor import Predictor, probability_column
from tf_model.io.files import sha256_of
from tf_model.model_dir import read_out_of_fold
from tf_model.training import cross_validation
from tf_model.training.distillation import NO_ROW, blend, teach

pytestmark = pytest.mark.timeout(300)  # the default, given so that this slow file begins early

CONFIG = make_config("answer", teacher_weight=0.25)


@pytest.fixture(scope="module")
def dataset():
    return data.read(paths.SAMPLE_CORPUS)


@pytest.fixture(scope="module")
def rows(dataset):
    return data.training_rows(dataset, tasks.ANSWER)


@pytest.fixture(scope="module")
def split(rows):
    return splits.training_split(rows, CONFIG.split_seed, CONFIG.validation_size)[0]


def test_a_model_keeps_what_it_said_of_rows_that_it_had_not_seen(answer_model, rows, split):
    numbers, said = read_out_of_fold(answer_model)
    np.testing.assert_array_equal(numbers, rows.rows[split.train])
    assert said.dtype == np.float16
    for part in by_task(said.astype(float)).values():
        np.testing.assert_allclose(part.sum(axis=1), 1, atol=2e-3)
    texts = [rows.texts[position] for position in split.train]
    frame = Predictor.load(answer_model).predict(texts, probabilities=True)
    columns = [probability_column(task.name, label) for task in rows.tasks for label in task.labels]
    assert np.abs(frame[columns] - said).to_numpy().max() > 0.1  # from models that had not seen these rows


def test_targets_are_labels_and_teachers_and_teachers_alone_where_there_is_no_label():
    chosen = (tasks.Task("a", "a", ("x", "y")), tasks.Task("b", "b", ("x", "y", "z")))
    taught = np.array([[0.5, 0.5, 0.2, 0.2, 0.6], [0.1, 0.9, 1.0, 0.0, 0.0]])
    found = blend(np.array([[0, -1], [1, 2]]), taught, 0.25, chosen)
    expected = [[0.875, 0.125, 0.2, 0.2, 0.6], [0.025, 0.975, 0.25, 0, 0.75]]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32


def test_labelled_and_unlabelled_texts_are_taught(answer_model, dataset, rows, split):
    more = ["love my ipad", "", "hate the google maps app", "love my ipad", rows.texts[0]]
    more += [f"RT @me: {rows.texts[position]}!!" for position in split.validation]  # near-duplicates
    taught, train_split = teach([answer_model, answer_model], dataset, rows, split, CONFIG, more)
    assert taught.texts == [*rows.texts, more[0], more[2]]
    np.testing.assert_array_equal(train_split.validation, split.validation)
    np.testing.assert_array_equal(train_split.train, [*split.train, len(rows), len(rows) + 1])
    assert not taught.targets[split.validation].any()
    expected = blend(rows.label_ids[split.train], read_out_of_fold(answer_model)[1], 0.25, rows.tasks)
    np.testing.assert_allclose(taught.targets[split.train], expected, atol=1e-3)
    frame = Predictor.load(answer_model).predict([more[0], more[2]], probabilities=True)
    columns = [probability_column(task.name, label) for task in rows.tasks for label in task.labels]
    np.testing.assert_allclose(taught.targets[-2:], frame[columns], atol=1e-3)
    assert taught.rows[-2:].tolist() == [NO_ROW, NO_ROW]
    assert (taught.judged_ids[-2:] == tasks.NO_LABEL).all()
    assert (taught.label_ids[-2:] >= 0).all()


def test_a_temperature_softens_what_teachers_say(answer_model, dataset, rows, split):
    hard, soft = (
        teach([answer_model], dataset, rows, split, make_config("answer", teacher_weight=1.0, teacher_temperature=heat))
        for heat in (1.0, 3.0)
    )
    assert soft[0].targets.max(axis=1)[split.train].mean() < hard[0].targets.max(axis=1)[split.train].mean() - 0.05


def refused(*arguments):
    with pytest.raises(ModelError) as error:
        teach(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_teacher_that_cannot_teach_is_refused(answer_model, dataset, rows, split, tmp_path):
    copy = shutil.copytree(answer_model, tmp_path / "copy")
    other = splits.training_split(rows, 7, CONFIG.validation_size)[0]
    assert "was trained on other rows than this model will be" in refused([copy], dataset, rows, other, CONFIG)
    metrics = json.loads((copy / "metrics.json").read_text())
    (copy / "metrics.json").write_text(json.dumps(metrics | {"data_sha256": "0" * 64}))
    assert "was trained on other rows than this model will be" in refused([copy], dataset, rows, split, CONFIG)
    (copy / "metrics.json").write_text(json.dumps(metrics | {"extra": {"sha256": "1" * 64}}))
    assert "with the same --data, --extra, " in refused([copy], dataset, rows, split, CONFIG, (), "0" * 64)
    teach([copy], dataset, rows, split, CONFIG, (), "1" * 64)
    (copy / "out_of_fold.npz").write_bytes(b"PK")
    assert "is missing or damaged" in refused([copy], dataset, rows, split, CONFIG)
    (copy / "out_of_fold.npz").unlink()
    assert "train it again with --task answer" in refused([copy], dataset, rows, split, CONFIG)


def test_a_teacher_of_other_classes_is_refused(trained, dataset, rows, split):
    assert "predicts other classes than this model" in refused([trained[0]], dataset, rows, split, CONFIG)


def test_a_student_is_trained_by_the_real_command(answer_model, shallow_bert, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cross_validation, "_train_fold", guessed_fold)
    (tmp_path / "more.txt").write_text("love my ipad\nhate the google maps app\n", encoding="utf-8")
    options = ["--task", "answer", "--data", str(paths.SAMPLE_CORPUS), "--backbone", str(shallow_bert), "--epochs", "1"]
    options += ["--precision", "float32", "--teacher", str(answer_model), "--unlabelled", str(tmp_path / "more.txt")]
    assert train.main([*options, "--output-dir", str(tmp_path)]) == 0
    err = capsys.readouterr().err
    assert "unlabelled texts" in err
    assert "reading the texts of column 'text'" in err
    metrics = json.loads((tmp_path / "answer" / "metrics.json").read_text())
    assert [each["name"] for each in metrics["teachers"]] == ["answer"]
    assert len(metrics["teachers"][0]["sha256"]) == 64
    assert metrics["unlabelled"] == {"file": "more.txt", "sha256": sha256_of(tmp_path / "more.txt")}
    np.testing.assert_array_equal(read_out_of_fold(tmp_path / "answer")[0], read_out_of_fold(answer_model)[0])
    assert (tmp_path / "answer" / "history.csv").read_text().startswith("epoch,seconds,loss,accuracy,val_loss,")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--teacher", "x"], "--teacher needs --task answer"),
        (["--task", "answer", "--teacher", "x", "--label-smoothing", "0.1"], "--label-smoothing has no effect with"),
        (["--task", "answer", "--unlabelled", "x"], "--unlabelled needs a --teacher"),
        (["--task", "answer", "--teacher-weight", "0"], "--teacher-weight needs a --teacher"),
    ],
)
def test_teachers_are_for_answers_and_texts_for_teachers(options, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        train.main([*options, "--output-dir", str(tmp_path)])
