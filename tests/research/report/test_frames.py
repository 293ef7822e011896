"""The frames hold the values of the runs, and their statistics equal known ones."""

from __future__ import annotations

import numpy as np
import pytest

from research.report import frames


def test_each_model_and_question_is_scored_once():
    scores = frames.scores()
    assert not scores.duplicated(["model", "task", "protocol", "folds"]).any()
    assert ((scores["low"] < scores["accuracy"]) & (scores["accuracy"] < scores["high"]) | scores["low"].isna()).all()
    answer = frames.recorded("grouped_answer")["summary"]
    row = frames.score("answer", "answer")
    assert (row.accuracy, row.low, row.high) == (
        answer["answer_accuracy"]["mean"],
        *answer["answer_accuracy"]["interval"],
    )
    assert row.non_neutral == answer["answer_emotion_rows_accuracy"]["mean"]
    assert frames.score("scratch", "answer") is None


def test_a_comparison_is_that_of_the_seed_that_gains_least():
    for row in frames.comparisons().itertuples():
        run = frames.recorded(
            {"report": "compare_report_product", "tuned": "compare_product"}.get(row.ours, "compare_answer")
        )
        tests = run["methods"][row.model][row.task]
        assert row.difference == min(test["difference"] for seed, test in tests.items() if seed != "averaged")
        assert [row.low, row.high] == tests[row.seed]["difference_interval"]
    assert frames.compared("answer", "scratch", "answer") is None


def test_methods_that_learn_nothing_are_left_out_of_near_duplicates():
    frame = frames.near_duplicates()
    assert set(frame["model"]) == {"words_logistic", "words_svm", "frozen_minilm", *frames.NETWORKS}
    assert (frame["p"] >= [frames.normal_p(*row) for row in frame[["difference", "low", "high"]].to_numpy()]).all()


def test_a_target_is_judged_by_the_mean_in_its_direction(monkeypatch):
    seeds = {str(seed): {"headline": dict.fromkeys(frames.TARGETS, value)} for seed, value in enumerate((0.5, 0.7))}
    summary = {name: {"mean": 0.6} for name in frames.TARGETS}
    monkeypatch.setattr(frames, "recorded", lambda name: {"seeds": seeds, "summary": summary})
    monkeypatch.setattr(frames, "TARGETS", {"product_ece": ("ECE", 0.6, False), "answer_accuracy": ("all", 0.61, True)})
    targets = frames.targets()
    assert targets["reached"].tolist() == [True, False]
    assert targets["seeds_low"].iloc[0] < 0.5
    assert targets["seeds_high"].iloc[0] > 0.7


def test_means_over_the_seeds_keep_classes_and_counts():
    confusion, classes = frames.confusion("emotion"), frames.classes("emotion").set_index("label")
    assert confusion.sum(axis="columns").round(6).tolist() == classes["support"].tolist()
    recall = np.diag(confusion) / confusion.sum(axis="columns")
    assert np.allclose(recall, classes["recall"])


def test_few_seeds_say_little_and_one_says_nothing():
    low, high = frames.over_seeds([0.01, 0.02, 0.03])
    assert (low, high) == pytest.approx(
        (0.02 - 4.3027 * 0.01 / np.sqrt(3), 0.02 + 4.3027 * 0.01 / np.sqrt(3)), abs=1e-5
    )
    assert frames.over_seeds([0.5]) == (-np.inf, np.inf)


def test_the_p_value_of_a_difference_comes_from_its_interval():
    assert frames.normal_p(0.0196, 0.0, 0.0392) == pytest.approx(0.05)
