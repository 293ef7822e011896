"""The look-ups give the values of the runs, and their statistics equal known ones."""

from __future__ import annotations

import numpy as np
import pytest

from research.report import lookup


def test_an_accuracy_is_in_its_interval_and_that_of_the_run():
    scores = [
        lookup.score(model, task, protocol, folds)
        for model in lookup.MODELS
        for task, folds in (*((task, "task") for task in lookup.TASKS), *((task, "all") for task in lookup.QUESTIONS))
        for protocol in ("report", "grouped")
    ]
    measured = [row for row in scores if row is not None]
    assert all(row["low"] < row["accuracy"] < row["high"] for row in measured if "low" in row)
    assert [row for row in measured if "low" not in row] == [lookup.score("report", "product", "report", "task")]
    answer = lookup.recorded("grouped_answer")["summary"]
    row = lookup.score("answer", "answer")
    assert (row["accuracy"], row["low"], row["high"]) == (
        answer["answer_accuracy"]["mean"],
        *answer["answer_accuracy"]["interval"],
    )
    assert row["emotion_rows_accuracy"] == answer["answer_emotion_rows_accuracy"]["mean"]
    assert lookup.score("scratch", "answer") is None


def test_a_comparison_is_that_of_the_seed_that_gains_least():
    for ours, name in (("report", "report_product"), ("tuned", "product"), ("answer", "answer")):
        for model, by_task in lookup.recorded(f"compare_{name}")["methods"].items():
            for task in set(by_task).intersection(lookup.QUESTIONS):
                row, tests = lookup.compared(ours, model, task), by_task[task]
                gains = {seed: test["difference"] for seed, test in tests.items() if seed != "averaged"}
                assert row["difference"] == min(gains.values())
                assert [row["low"], row["high"]] == tests[min(gains, key=gains.get)]["difference_interval"]
    assert lookup.compared("answer", "scratch", "answer") is None


def test_methods_that_learn_nothing_are_left_out_of_near_duplicates():
    frame = lookup.near_duplicates()
    assert set(frame.index.get_level_values("model")) == {
        "words_logistic",
        "words_svm",
        "frozen_minilm",
        *lookup.NETWORKS,
    }
    assert (frame["p"] >= [lookup.normal_p(*row) for row in frame[["difference", "low", "high"]].to_numpy()]).all()


def test_a_target_is_judged_by_the_mean_in_its_direction(monkeypatch):
    negative = {"per_class": {"Negative emotion": {"f1": 0.62}}}
    seeds = {
        str(seed): {"headline": dict.fromkeys(lookup.TARGETS, value), "emotion": negative}
        for seed, value in enumerate((0.5, 0.7))
    }
    monkeypatch.setattr(lookup, "recorded", lambda name: {"seeds": seeds})
    chosen = {
        "product_ece": ("ECE", 0.6, False),
        "answer_accuracy": ("all", 0.61, True),
        "negative_f1": ("F", 0.6, True),
    }
    monkeypatch.setattr(lookup, "TARGETS", chosen)
    targets = lookup.targets()
    assert [target["reached"] for target in targets] == [True, False, True]
    assert targets[0]["seeds_low"] < 0.5
    assert targets[0]["seeds_high"] > 0.7


def test_means_over_the_seeds_keep_classes_and_counts():
    confusion, classes = lookup.confusion("emotion"), lookup.classes("emotion")
    assert confusion.sum(axis="columns").round(6).tolist() == classes["support"].tolist()
    recall = np.diag(confusion) / confusion.sum(axis="columns")
    assert np.allclose(recall, classes["recall"])


def test_few_seeds_say_little_and_one_says_nothing():
    low, high = lookup.over_seeds([0.01, 0.02, 0.03])
    assert (low, high) == pytest.approx(
        (0.02 - 4.3027 * 0.01 / np.sqrt(3), 0.02 + 4.3027 * 0.01 / np.sqrt(3)), abs=1e-5
    )
    assert lookup.over_seeds([0.5]) == (-np.inf, np.inf)


def test_the_p_value_of_a_difference_comes_from_its_interval():
    assert lookup.normal_p(0.0196, 0.0, 0.0392) == pytest.approx(0.05)
