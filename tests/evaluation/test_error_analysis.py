"""What follows from validation predictions: metrics worked out by hand."""

import numpy as np
import pytest
from model_folders import write_answer
from sample_datasets import line_of, write_csv

from tf_model import tasks
from tf_model.data.dataset import read
from tf_model.evaluation.error_analysis import hardest_mistakes, texts_of, threshold_effect
from tf_model.evaluation.metrics import wilson_interval
from tf_model.model_dir import Predictions, read_report

LABELS = ("pear", "fig", "plum")


def predictions(*rows):
    """Rows of (row number, true id, probabilities)."""
    numbers, ids, probabilities = zip(*rows, strict=True)
    return Predictions(LABELS, np.array(numbers), np.array(ids), np.array(probabilities, float))


FOUR = predictions(
    (7, 0, [0.9, 0.1, 0.0]),  # right
    (3, 1, [0.6, 0.3, 0.1]),  # wrong, uncertain
    (9, 2, [0.95, 0.04, 0.01]),  # wrong, certain
    (1, 1, [0.3, 0.5, 0.2]),  # right
)


class TestThreshold:
    def test_by_hand(self):
        effect = threshold_effect(FOUR.confidences, FOUR.correct, 0.6)  # 0.9 right, 0.6 wrong, 0.95 wrong, 0.5 right
        assert (effect["rows"], effect["answered"], effect["correct"]) == (4, 3, 1)
        assert (effect["abstained_correct"], effect["abstained_wrong"]) == (1, 0)
        assert effect["coverage"] == 0.75
        assert effect["accuracy"] == pytest.approx(1 / 3)
        assert effect["accuracy_interval"] == wilson_interval(1, 3)

    def test_its_ends(self):
        everything = threshold_effect(FOUR.confidences, FOUR.correct, 0)
        assert (everything["coverage"], everything["accuracy"]) == (1, 0.5)
        nothing = threshold_effect(FOUR.confidences, FOUR.correct, 1.01)
        assert (nothing["coverage"], nothing["accuracy"], nothing["accuracy_interval"]) == (0, None, None)
        assert (nothing["abstained_correct"], nothing["abstained_wrong"]) == (2, 2)


class TestMistakes:
    def test_the_least_doubted_first(self):
        mistakes = hardest_mistakes(FOUR)
        assert mistakes["row"].tolist() == [9, 3]
        assert mistakes.iloc[0].to_dict() == {
            "row": 9,
            "label": "plum",
            "predicted": "pear",
            "confidence": 0.95,
            "true_probability": 0.01,
        }
        assert hardest_mistakes(FOUR, most=1)["row"].tolist() == [9]

    def test_no_mistake(self):
        assert hardest_mistakes(predictions((1, 0, [1, 0, 0]))).empty

    def test_texts_of_the_same_file_only(self, tmp_path):
        dataset = read(write_csv(tmp_path / "mine.csv"))
        report = read_report(write_answer(tmp_path, data_sha256=dataset.sha256))
        texts = texts_of(dataset.path, report)
        assert texts == dict(zip(dataset.labelled["row"], dataset.labelled[tasks.TEXT_COLUMN], strict=True))
        assert 0 in texts
        other = read_report(write_answer(tmp_path, name="other"))
        assert "expected the dataset that the model was validated on" in line_of(texts_of, dataset.path, other)
