"""The exported `answer` model: its answers and their explanations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from model_folders import guessed_fold, random_classifier

from tf_model import data, paths, predict, tasks
from tf_model.config import make_config
from tf_model.errors import UsageError
from tf_model.evaluation import joint_metrics
from tf_model.inference.attribution import MOST_WORDS
from tf_model.inference.predictor import Predictor

pytestmark = pytest.mark.timeout(300)  # the default, given so that this slow file begins early

LABELS = {task.name: task.labels for task in tasks.ANSWER_TASKS}
TEMPERATURES = {"product": 1.7, "emotion": 0.8}
TEXTS = [
    *("I love my new iPad 2!", "iphone apps are bad", "google maps at sxsw", "RT @user: Android is great"),
    *("", "   ", "🎉" * 280, "ipad", "日本語", "the apps for the user " * 60, "<b>apple</b> & google"),
]


@pytest.fixture(scope="module")
def folder(random_models: Path) -> Path:
    return random_models / "answer"


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return Predictor.load(folder, "tensorflow")


def test_probabilities_are_those_of_the_trained_model_by_temperature(tiny_bert, predictor):
    from tf_model.preprocessing.batching import encode

    fitted = random_classifier(tiny_bert, make_config("answer"), tasks.ANSWER_TASKS)
    trained = fitted.probabilities(encode(fitted.encoder, TEXTS))
    expected = joint_metrics.calibrate(trained, TEMPERATURES, tasks.ANSWER_TASKS)
    frame = predictor.predict(TEXTS, probabilities=True)
    found = frame[[f"{task}_probability_{name}" for task, names in LABELS.items() for name in names]].to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.05  # otherwise the comparison proves little
    for task, names in LABELS.items():
        best = joint_metrics.by_task(expected)[task].argmax(axis=1)
        assert frame[task].tolist() == [names[number] for number in best]


def test_an_explanation_is_about_the_answer(predictor):
    rows = predictor.predict(TEXTS)
    for text, (_, row) in zip(TEXTS, rows.iterrows(), strict=True):
        explanation = predictor.explain(text)
        assert explanation.words == tuple(text.split()[:MOST_WORDS])
        assert list(explanation.tasks) == list(LABELS)
        for task, attribution in explanation.tasks.items():
            assert attribution.label == row[task]
            assert len(attribution.weights) == len(explanation.words)
    assert any(abs(weight) > 1e-3 for weight in attribution.weights)


def test_the_command_explains(folder, predictor, capsys, monkeypatch):
    assert predict.main(["--model", str(folder), "--text", "the iPad is great", "--explain"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("the", "iPad", "is", "great"))
    monkeypatch.setattr(Predictor, "load", lambda _: predictor)
    assert predict.main(["--text", "", "--explain"]) == 0
    assert "nothing to explain" in capsys.readouterr().out
    assert predict.main(["--text", "ipad", "--explain", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["explanation"]["words"] == ["ipad"]


def test_the_artifacts_of_the_model(answer_model):
    assert json.loads((answer_model / "calibration.json").read_text())["temperature"].keys() == TEMPERATURES.keys()
    card = (answer_model / "model_card.md").read_text(encoding="utf-8")
    assert "whole answer" in card
    assert "Trained on the small sample corpus" in card
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "other"
    assert all(f"| {task} | precision | recall | F1 | rows |" in card for task in ("product", "emotion"))
    header, *rows = (answer_model / "validation_predictions.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("row,product,emotion,product_probability_iPhone")
    assert any(f",,{tasks.NO_EMOTION}," in row for row in rows)  # without a product


def test_training_both_tasks_by_the_command(answer_model, tmp_path, capsys):
    from tf_model import evaluate

    metrics = json.loads((answer_model / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["task"] == "answer"
    assert metrics["recipe"] == "answer"
    assert "no near-duplicate is on both sides" in metrics["protocol"]
    rows = data.training_rows(data.read(paths.SAMPLE_CORPUS), tasks.ANSWER)
    assert metrics["rows"] == len(rows)
    judged = (metrics["train"]["answer"]["rows"], metrics["validation"]["answer"]["rows"])
    assert sum(judged) == (rows.label_ids[:, 1] != tasks.NO_LABEL).sum()
    assert judged[0] > judged[1] > 0
    checkpoints = answer_model.parent / ".checkpoints"
    assert not list(checkpoints.iterdir())  # neither training nor calibration left any
    path = tmp_path / "evaluated.json"
    assert evaluate.main(["--data", str(paths.SAMPLE_CORPUS), "--model", str(answer_model), "--json", str(path)]) == 0
    found = json.loads(path.read_text(encoding="utf-8"))["validation"]
    assert found["emotion"]["confusion_matrix"] == metrics["validation"]["emotion"]["confusion_matrix"]
    for name in ("rows", "accuracy", "threshold", "not_sure_share"):
        assert found["answer"][name] == pytest.approx(metrics["validation"]["answer"][name], abs=1e-5)
    assert "exactly correct" in capsys.readouterr().out


def test_folds_that_are_done_are_not_trained_again_after_an_interrupt(tiny_bert, tmp_path, capsys, monkeypatch):
    from tf_model import train
    from tf_model.training import cross_validation

    arguments = ["--data", str(paths.SAMPLE_CORPUS), "--backbone", str(tiny_bert), "--precision", "float32"]
    arguments += ["--epochs", "1", "--batch-size", "64", "--task", "answer", "--output-dir", str(tmp_path)]
    trained = []

    def interrupted(*given, **options):
        if trained:
            raise KeyboardInterrupt
        trained.append(1)
        return guessed_fold(*given, **options)

    monkeypatch.setattr(cross_validation, "_train_fold", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.main(arguments)
    said = capsys.readouterr().err
    assert "stopped; 1 fold of the calibration kept in " in said
    assert "run the same command again with --resume to continue" in said
    with pytest.raises(KeyboardInterrupt):  # again in the second fold: the first is not retrained
        train.main([*arguments, "--resume"])
    assert "stopped; 1 fold" in capsys.readouterr().err
    assert len(list(tmp_path.rglob("*.npz"))) == len(trained) == 1


def test_a_share_that_is_no_fold_is_refused(tmp_path):
    from tf_model import train

    arguments = ["--data", str(paths.SAMPLE_CORPUS), "--task", "answer", "--output-dir", str(tmp_path)]
    with pytest.raises(UsageError, match=r"can be 0\.5, 0\.33, .* not 0\.4; the nearest is 0\.5"):
        train.main([*arguments, "--validation-size", "0.4"])


def test_predictions_are_recorded_where_asked(predictor, tmp_path, monkeypatch, capsys):
    from tf_model.monitor.store import Store

    monkeypatch.setattr(paths, "MONITOR_LOG", tmp_path / "log.sqlite")
    monkeypatch.setattr(Predictor, "load", lambda _: predictor)
    assert predict.main(["--text", "the iPad is great", "--text", "meh"]) == 0
    assert not (tmp_path / "log.sqlite").exists()
    assert predict.main(["--text", "the iPad is great", "--text", "meh", "--record"]) == 0
    capsys.readouterr()
    assert Store(tmp_path / "log.sqlite").window(0, 2**40).predictions == 2
    assert not any(b"iPad is great" in file.read_bytes() for file in tmp_path.glob("log.sqlite*"))
