"""What the studies share: folds of our own models, stored scores, metrics of predicted and labelled rows."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from research import study
from research.study import GROUPED, REPORT, OutOfFold, Problem
from tests.research.watched_method import Watched, watched_method
from tf_model import config, data, tasks
from tf_model.data import splits
from tf_model.training.cross_validation import FOLD_SEED, FOLDS

pytestmark = pytest.mark.usefixtures("stores")
GOOD = tasks.EMOTIONS.index(tasks.POSITIVE)


# ---------------------------------------------------------------- rows and folds


@pytest.mark.parametrize("name", ["product", "emotion", "answer"])
def test_folds_are_those_of_evaluate_and_no_group_crosses_them(dataset, problems, name):
    problem, rows = problems[name], data.training_rows(dataset, name)
    groups = splits.near_duplicate_groups(rows.texts)
    expected = splits.folds_of(rows, groups, FOLDS, FOLD_SEED)
    for fold, other in zip(problem.folds[GROUPED], expected, strict=True):
        assert np.array_equal(fold.train, other.train)
        assert np.array_equal(fold.validation, other.validation)
        assert not np.intersect1d(problem.groups[fold.train], problem.groups[fold.validation]).size
    validated = np.concatenate([fold.validation for fold in problem.folds[GROUPED]])
    assert np.array_equal(np.sort(validated), np.arange(len(rows)))


def test_report_split_of_the_product_is_the_reports(dataset, problems):
    expected = splits.report_split(data.training_rows(dataset, "product").label_ids[:, 0])
    (split,) = problems["product"].folds[REPORT]
    assert np.array_equal(split.validation, expected.validation)


@pytest.mark.parametrize("protocol", [GROUPED, REPORT])
def test_methods_learn_from_labelled_training_rows_and_predict_the_others(problems, protocol):
    problem = problems["answer"]
    method, fitted = watched_method()
    result = study.score_method(method, problem, tasks.PRODUCT, protocol, 0)
    label_ids, texts = problem.label_ids(tasks.PRODUCT), np.array(problem.rows.texts, dtype=object)
    assert (label_ids == tasks.NO_LABEL).any()
    for (seen, ids), split in zip(fitted, problem.folds[protocol], strict=True):
        labelled = split.train[label_ids[split.train] >= 0]
        assert seen == texts[labelled].tolist()
        assert np.array_equal(ids, label_ids[labelled])
    validated = np.concatenate([split.validation for split in problem.folds[protocol]])
    assert (result.predicted[validated] >= 0).all(), "rows without a label are predicted too"
    assert (np.delete(result.predicted, validated) == -1).all()
    assert np.allclose(result.scores[validated].sum(axis=1), 1)


# ---------------------------------------------------------------- the store


def test_scores_are_kept_and_computed_anew_only_for_other_folds_or_versions(problems, monkeypatch):
    problem, (method, fitted) = problems["product"], watched_method()
    first = study.score_method(method, problem, tasks.PRODUCT, REPORT, 0)
    again = study.score_method(method, problem, tasks.PRODUCT, REPORT, 0)
    assert len(fitted) == 1
    assert np.array_equal(first.scores, again.scores, equal_nan=True)
    (split,) = problem.folds[REPORT]
    other = replace(problem, folds={REPORT: (splits.Split(split.train[1:], split.validation),)})
    study.score_method(method, other, tasks.PRODUCT, REPORT, 0)
    study.score_method(method, replace(problem, data_sha256="another"), tasks.PRODUCT, REPORT, 0)
    study.score_method(replace(method, settings="changed"), problem, tasks.PRODUCT, REPORT, 0)
    monkeypatch.setitem(study.CLEANINGS, "normalized", study.CLEANINGS["report"])
    study.score_method(method, problem, tasks.PRODUCT, REPORT, 0)
    for name, value in (("versions", {"tensorflow": "0"}), ("version", "0")):
        monkeypatch.setattr(study, name, lambda *_, value=value: value)
        study.score_method(method, problem, tasks.PRODUCT, REPORT, 0)
    assert len(fitted) == 7


def test_a_method_without_probabilities_scores_its_class_alone(problems):
    problem, (sure, _), (plain, _) = problems["product"], watched_method(), watched_method(has_probabilities=False)
    scored, predicted = (
        study.score_method(each, problem, tasks.PRODUCT, REPORT, 0) for each in (sure, replace(plain, name="plain"))
    )
    assert set(np.unique(predicted.scores[predicted.predicted >= 0])) == {0, 1}
    assert np.array_equal(predicted.predicted, scored.predicted)


@pytest.mark.parametrize("slow", [False, True])
def test_a_method_goes_on_where_it_was_stopped(problems, capsys, slow):
    problem, (method, fitted) = problems["product"], watched_method()
    whole = study.score_method(method, replace(problem, data_sha256="elsewhere"), tasks.PRODUCT, GROUPED, 0)
    fitted.clear()

    class Stopped(Watched):
        def fit(self, texts, label_ids):
            if len(fitted) == 3:
                raise KeyboardInterrupt
            return super().fit(texts, label_ids)

    method = replace(method, slow=slow)
    stopped = replace(method, make=lambda task, seed: Stopped(fitted))
    with pytest.raises(KeyboardInterrupt):
        study.score_method(stopped, problem, tasks.PRODUCT, GROUPED, 0)
    result = study.score_method(method, problem, tasks.PRODUCT, GROUPED, 0)
    assert len(fitted) == FOLDS, "no fold is fitted twice"
    assert np.array_equal(result.scores, whole.scores)
    assert ("watched, product, grouped, seed 0, fold 5 of 5" in capsys.readouterr().err) == slow


# ---------------------------------------------------------------- metrics


def test_predicted_and_labelled_rows_alone_are_counted():
    scores = np.eye(3)[[0, 1, 2, 0, 1]]
    scores[3] = np.nan
    metrics = study.evaluate(tasks.EMOTION, np.array([0, 1, 1, 2, -1]), OutOfFold(scores, 0.0), has_probabilities=False)
    assert metrics["rows"] == 3
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert "loss" not in metrics
    assert "accuracy_at_80_percent" not in metrics


def test_probabilities_have_a_loss_and_the_accuracy_of_the_most_confident():
    label_ids = np.array([0, 0, 0, 0, 0])
    sure = np.array([0.9, 0.9, 0.9, 0.9, 0.4])
    probabilities = np.stack([sure, 1 - sure, np.zeros(5)], axis=1)
    metrics = study.evaluate(tasks.EMOTION, label_ids, OutOfFold(probabilities, 0.0))
    assert metrics["accuracy"] == 0.8
    assert metrics["accuracy_at_80_percent"] == 1.0
    assert metrics["loss"] == pytest.approx(-(4 * np.log(0.9) + np.log(0.4)) / 5)


def answer_problem(products, emotions) -> Problem:
    label_ids = np.stack([products, emotions], axis=1)
    count = len(label_ids)
    rows = data.TrainingRows(tasks.ANSWER_TASKS, np.arange(count), ["text"] * count, label_ids)
    return Problem(tasks.ANSWER, rows, np.arange(count), {}, "sha")


def test_rows_without_an_emotion_label_are_not_judged():
    problem = answer_problem([3, 3], [-1, GOOD])
    scores = np.concatenate([np.eye(len(tasks.PRODUCTS))[[3, 3]], np.eye(len(tasks.EMOTIONS))[[GOOD, GOOD]]], axis=1)
    assert study.correct_by_question(problem, scores)["answer"][0].tolist() == [1]


@pytest.mark.parametrize("protocol", [GROUPED, REPORT])
@pytest.mark.parametrize("name", ["product", "emotion", "answer"])
def test_the_rows_of_a_question_are_those_that_can_be_judged(problems, name, protocol):
    problem = problems[name]
    scores = np.full((len(problem.rows), sum(len(task.labels) for task in problem.rows.tasks)), np.nan)
    for split in problem.folds[protocol]:
        scores[split.validation] = 0
    correct, asked = study.correct_by_question(problem, scores), study.question_rows(problem, protocol)
    assert list(asked) == list(correct)
    for question, rows in asked.items():
        assert np.array_equal(rows, correct[question][0])


# ---------------------------------------------------------------- one thing at a time


def test_the_unchanged_training_is_measured_where_its_seed_is_not_recorded():
    variants = {"unchanged": 0, "a": 1, "b": 2}
    recorded = {"unchanged": {"seeds": {"0": {}}}}
    assert study.with_unchanged(variants, ["b"], recorded, 0) == ["b"]
    assert study.with_unchanged(variants, ["b", "a"], recorded, 1) == ["unchanged", "a", "b"]
    assert study.with_unchanged(variants, ["b"], {}, 0) == ["unchanged", "b"]


def test_a_recorded_configuration_may_lack_a_field_that_was_added_since():
    recorded = config.ANSWER.to_dict()
    del recorded["label_smoothing"]
    assert study.is_recorded_config(recorded, config.ANSWER)
    assert not study.is_recorded_config(recorded, replace(config.ANSWER, epochs=7))
    assert not study.is_recorded_config({}, config.ANSWER)


def test_the_difference_is_the_mean_over_the_seeds_that_both_have():
    half = np.arange(40) % 2 == 0
    old = {"0": half, "1": half, "5": half}
    test = study.paired_difference(old, {"0": np.ones(40, bool), "1": half, "2": half}, np.arange(40))
    assert test["seeds"] == ["0", "1"]
    assert test["difference"] == 0.25
    assert 0 < test["interval"][0] < 0.25 < test["interval"][1]


def test_the_command_is_recorded_without_where_the_data_lie(monkeypatch):
    argv = ["--data", "/home/somebody/tweets.xlsx", "--methods", "a", "b c"]
    assert study.command_line("baselines", argv) == "python -m research.baselines --methods a 'b c'"
    assert study.command_line("baselines", ["--data=/home/somebody/tweets.xlsx"]) == "python -m research.baselines"
    monkeypatch.setattr(sys, "argv", ["baselines.py", "--choose"])
    assert study.command_line("baselines", None) == "python -m research.baselines --choose"
