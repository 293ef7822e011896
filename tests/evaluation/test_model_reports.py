import json
import os

import numpy as np
import pandas as pd
import pytest
from model_folders import ROWS, SHA256, write_answer, write_single
from sample_datasets import line_of, write_csv

from tf_model import tasks
from tf_model.data.dataset import read
from tf_model.evaluation.metrics import REPORT, wilson_interval
from tf_model.evaluation.model_reports import (
    Predictions,
    answer_verdicts,
    fingerprint,
    hardest_mistakes,
    model_folders,
    read_report,
    texts_of,
    threshold_effect,
    with_texts,
)

LABELS = ("pear", "fig", "plum")


def predictions(*rows):
    """Rows of (row number, true id, probabilities)."""
    numbers, ids, probabilities = zip(*rows, strict=True)
    return Predictions(LABELS, np.array(numbers), np.array(ids), np.array(probabilities, float))


FOUR = predictions(
    (7, 0, [0.9, 0.1, 0.0]),  # right
    (3, 1, [0.6, 0.3, 0.1]),  # wrong, with doubt
    (9, 2, [0.95, 0.04, 0.01]),  # wrong, without
    (1, 1, [0.3, 0.5, 0.2]),  # right
)


class TestReadReport:
    def test_a_model_of_one_task(self, tmp_path):
        report = read_report(write_single(tmp_path))
        assert (report.name, report.task, report.is_whole, report.problems) == ("product", "product", True, ())
        assert report.labels == {"product": tasks.PRODUCTS}
        assert report.data_sha256 == SHA256
        assert report.protocol == "random split (seed 42, 20% to validate)"
        assert list(report.history["epoch"]) == [1, 2]
        assert report.card.endswith("A card.\n")
        assert report.joint is None
        validated = report.predictions["product"]
        assert validated.rows.tolist() == list(range(0, 3 * ROWS, 3))
        # The figures of metrics.json come out of the same rows.
        assert validated.right.mean() == pytest.approx(report.part("validation", "product")["accuracy"])
        assert report.part("validation", "emotion") == {}

    def test_the_answer_model(self, tmp_path):
        report = read_report(write_answer(tmp_path))
        assert report.problems == ()
        assert set(report.predictions) == {"product", "emotion"}
        assert len(report.predictions["emotion"].rows) == ROWS
        # Rows without a product label are nothing to be right or wrong about.
        assert len(report.predictions["product"].rows) == ROWS * 2 // 3
        assert (report.predictions["product"].rows % 3 != 0).all()
        assert len(report.joint) == ROWS
        assert report.part("validation", "answer")["emotion_rows_accuracy"] == 0.58
        assert report.calibration["product"]["after"]["ece"] == 0.0213

    def test_a_label_that_looks_like_a_missing_value_is_a_label(self, tmp_path):
        folder = write_single(tmp_path)
        labels = json.loads((folder / "labels.json").read_text())
        labels["labels"][0] = "None"
        (folder / "labels.json").write_text(json.dumps(labels))
        for file in ("validation_predictions.csv", "metrics.json"):
            text = (folder / file).read_text()
            (folder / file).write_text(text.replace(",iPhone", ",None").replace('"iPhone"', '"None"'))
        report = read_report(folder)
        assert report.problems == ()
        assert len(report.predictions["product"].rows) == ROWS

    @pytest.mark.parametrize("file", ["history.csv", "validation_predictions.csv", "model_card.md", "recipe.json"])
    def test_a_missing_paper_costs_only_itself(self, tmp_path, file):
        folder = write_single(tmp_path)
        (folder / file).unlink()
        report = read_report(folder)
        assert report.problems == (f"{file} is missing; train the model again to have it",)
        assert report.is_whole
        assert report.part("validation", "product")["rows"] == ROWS

    def test_calibration_is_expected_of_the_answer_model_alone(self, tmp_path):
        folder = write_answer(tmp_path)
        (folder / "calibration.json").unlink()
        assert "calibration.json is missing" in read_report(folder).problems[0]

    @pytest.mark.parametrize("file", ["saved_model.pb", "labels.json"])
    def test_without_graph_or_labels_it_is_not_whole(self, tmp_path, file):
        folder = write_single(tmp_path)
        (folder / file).unlink()
        report = read_report(folder)
        assert not report.is_whole
        assert report.problems[0].startswith(f"{file} is missing")

    @pytest.mark.parametrize(
        ("file", "content", "words"),
        [
            ("metrics.json", '{"rows": 3', "metrics.json is damaged"),
            ("metrics.json", "[]", "metrics.json: expected an object, found a list"),
            ("metrics.json", '{"train": {"rows": 1}}', "figures of the part 'train' are not complete"),
            ("metrics.json", b"\xff\xfe", "metrics.json cannot be read"),
            ("labels.json", '{"task": ["product"]}', "labels.json: expected a task and its labels"),
            ("labels.json", '{"task": "answer", "product": ["a"]}', "labels.json: expected a task and its labels"),
            ("history.csv", "step,loss\n1,2\n", "history.csv: expected the columns epoch, loss, accuracy"),
            ("history.csv", "epoch,loss,accuracy\n", "history.csv has no rows"),
            ("history.csv", "", "history.csv is damaged"),
            ("validation_predictions.csv", "row,label\n1,iPad\n", "expected the columns 'iPhone'"),
        ],
    )
    def test_a_damaged_paper_is_told_in_a_line(self, tmp_path, file, content, words):
        folder = write_single(tmp_path)
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        report = read_report(folder)
        assert any(words in problem for problem in report.problems), report.problems
        assert all(len(problem.splitlines()) == 1 for problem in report.problems)

    @pytest.mark.parametrize(
        ("column", "value", "words"),
        [
            ("label", "Zune", "expected the labels of labels.json, found 'Zune'"),
            ("iPad", "0.99", "probabilities that sum to 1"),
            ("iPad", "much", "probabilities that sum to 1"),
            ("row", "first", "expected row numbers"),
        ],
    )
    def test_predictions_that_cannot_be_true(self, tmp_path, column, value, words):
        folder = write_single(tmp_path)
        file = folder / "validation_predictions.csv"
        frame = pd.read_csv(file, dtype=str)
        frame.loc[0, column] = value
        frame.to_csv(file, index=False)
        report = read_report(folder)
        assert words in report.problems[0]
        assert report.predictions == {}

    def test_nothing_there(self, tmp_path):
        report = read_report(tmp_path / "nothing")
        assert not report.is_whole
        assert report.part("validation", "product") == {}

    def test_the_sample_corpus_is_known(self, tmp_path):
        assert read_report(write_single(tmp_path, dataset="sample")).is_sample
        assert not read_report(write_single(tmp_path, name="other")).is_sample


def change_paper(file, change):
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


class TestReference:
    @pytest.fixture
    def as_many(self, tmp_path):
        """A model that was validated on as many rows as the report."""
        folder = write_single(tmp_path)
        change_paper(folder / "metrics.json", lambda metrics: metrics["validation"].update(rows=659))
        return folder

    def test_comparable_on_the_rows_of_the_report(self, as_many):
        figures, words = read_report(as_many).reference("product")
        assert figures == REPORT
        assert words.startswith("Comparable")

    @pytest.mark.parametrize("setting", [{"split_seed": 43}, {"validation_size": 0.25}, {"split_seed": None}])
    def test_as_many_rows_of_another_split_are_not_comparable(self, as_many, setting):
        change_paper(as_many / "recipe.json", lambda recipe: recipe.update(setting))
        assert read_report(as_many).reference("product")[1] == "Not comparable: the report validated on other rows."

    def test_other_rows_are_not_comparable(self, tmp_path):
        assert "other rows" in read_report(write_single(tmp_path)).reference("product")[1]
        sample = read_report(write_single(tmp_path, name="sample", dataset="sample"))
        assert "another dataset" in sample.reference("product")[1]

    def test_the_report_has_no_emotion(self, tmp_path):
        assert read_report(write_single(tmp_path, "emotion")).reference("emotion") == (
            {},
            "The report gives no figure for the emotion.",
        )


class TestFolders:
    def test_known_names_first_hidden_ones_never(self, tmp_path):
        for name in ("zebra", "emotion", "product", "answer", ".checkpoints", ".product.x.part"):
            (tmp_path / name).mkdir()
        (tmp_path / "README.md").write_text("")
        assert [each.name for each in model_folders(tmp_path)] == ["answer", "product", "emotion", "zebra"]

    def test_no_folder_no_models(self, tmp_path):
        assert model_folders(tmp_path / "none") == ()

    def test_a_replaced_model_has_another_fingerprint(self, tmp_path):
        folder = write_single(tmp_path)
        before = fingerprint(folder)
        assert fingerprint(folder) == before
        os.utime(folder / "metrics.json", ns=(1, 1))
        assert fingerprint(folder) != before
        (folder / "metrics.json").unlink()
        assert "metrics.json" not in {name for name, *_ in fingerprint(folder)}


class TestThreshold:
    def test_by_hand(self):
        effect = threshold_effect(FOUR.confidences, FOUR.right, 0.6)  # 0.9 right, 0.6 wrong, 0.95 wrong, 0.5 right
        assert (effect.rows, effect.answered, effect.right) == (4, 3, 1)
        assert (effect.withheld_right, effect.withheld_wrong) == (1, 0)
        assert effect.coverage == 0.75
        assert effect.accuracy == pytest.approx(1 / 3)
        assert effect.accuracy_interval == wilson_interval(1, 3)

    def test_its_ends(self):
        everything = threshold_effect(FOUR.confidences, FOUR.right, 0)
        assert (everything.coverage, everything.accuracy) == (1, 0.5)
        nothing = threshold_effect(FOUR.confidences, FOUR.right, 1.01)
        assert (nothing.coverage, nothing.accuracy, nothing.accuracy_interval) == (0, None, None)
        assert (nothing.withheld_right, nothing.withheld_wrong) == (2, 2)

    @pytest.mark.parametrize(("confidences", "right"), [([], []), ([0.5], [True, False])])
    def test_needs_a_verdict_per_row(self, confidences, right):
        assert "one verdict per row" in line_of(threshold_effect, confidences, right, 0.5)


class TestAnswerVerdicts:
    def test_by_the_rule_of_the_joined_answer(self, tmp_path):
        report = read_report(write_answer(tmp_path))
        confidences, right = answer_verdicts(report)
        product, emotion = report.predictions["product"], report.predictions["emotion"]
        places = {row: place for place, row in enumerate(product.rows.tolist())}
        none = tasks.EMOTIONS.index(tasks.NO_EMOTION)
        for row in range(ROWS):
            felt, place = emotion.predicted_ids[row], places.get(row)
            needs_product = emotion.label_ids[row] != none and place is not None
            assert right[row] == (emotion.right[row] and (not needs_product or product.right[place]))
            if felt == none:
                assert confidences[row] == pytest.approx(emotion.confidences[row], abs=1e-6)
            elif place is not None:
                joined = emotion.confidences[row] * product.confidences[place]
                assert confidences[row] == pytest.approx(joined, abs=1e-6)
        assert 0 < right.sum() < ROWS

    def test_a_model_of_one_task_has_none(self, tmp_path):
        assert answer_verdicts(read_report(write_single(tmp_path))) is None


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

    def test_texts_by_row_number(self):
        frame = with_texts(hardest_mistakes(FOUR), {9: "nine", 7: "seven"})
        assert frame.columns[0] == "text"
        assert frame["text"].tolist()[0] == "nine"
        assert pd.isna(frame["text"].tolist()[1])

    def test_texts_of_the_same_file_only(self, tmp_path):
        dataset = read(write_csv(tmp_path / "mine.csv"))
        texts = texts_of(dataset, dataset.sha256)
        assert texts == dict(zip(dataset.labelled["row"], dataset.labelled[tasks.TEXT_COLUMN], strict=True))
        assert 0 in texts
        assert "expected the dataset that the model was validated on" in line_of(texts_of, dataset, SHA256)
