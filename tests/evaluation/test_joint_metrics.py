"""Metrics of a model of both tasks: what is correct, on which rows, and what is reported separately."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from tf_model import data, tasks
from tf_model.evaluation import calibration, joint_metrics
from tf_model.modeling.joint_label import NOT_SURE

NEGATIVE, NONE, POSITIVE = range(3)
UNKNOWN = tasks.NO_LABEL
IPHONE, IPAD = tasks.PRODUCTS.index("iPhone"), tasks.PRODUCTS.index("iPad")


def surely(product: int, emotion: int, confidence: float = 0.9) -> np.ndarray:
    """Probabilities of all classes in favour of a product and an emotion."""
    parts = []
    for chosen, task in zip((product, emotion), tasks.ANSWER_TASKS, strict=True):
        part = np.full(len(task.labels), (1 - confidence) / (len(task.labels) - 1))
        part[chosen] = confidence
        parts.append(part)
    return np.concatenate(parts)


# True product and emotion; probabilities.
ROWS = [
    ((IPAD, POSITIVE), surely(IPAD, POSITIVE)),  # right
    ((IPAD, POSITIVE), surely(IPHONE, POSITIVE)),  # wrong target
    ((UNKNOWN, NEGATIVE), surely(IPHONE, NEGATIVE)),  # right: the target is unknown
    ((UNKNOWN, NEGATIVE), surely(IPHONE, NONE)),  # wrong: no emotion is not an unknown target
    ((UNKNOWN, NONE), surely(IPHONE, NONE)),  # right
    ((IPHONE, UNKNOWN), surely(IPHONE, POSITIVE)),  # "I can't tell": only its product is judged
]
LABEL_IDS = np.array([truth for truth, _ in ROWS])
PROBABILITIES = np.stack([scores for _, scores in ROWS])


def rows_of(label_ids: np.ndarray, model_tasks: tuple[tasks.Task, ...] = tasks.ANSWER_TASKS) -> data.TrainingRows:
    return data.TrainingRows(model_tasks, np.arange(len(label_ids)), ["text"] * len(label_ids), label_ids)


def random_answers(rows: int = 600) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    sizes = [len(task.labels) for task in tasks.ANSWER_TASKS]
    probabilities = np.concatenate([random.dirichlet(np.full(size, 0.3), rows) for size in sizes], axis=1)
    label_ids = np.stack([random.integers(-1, size, rows) for size in sizes], axis=1)
    return label_ids, probabilities


def test_an_unknown_target_is_judged_by_its_emotion_and_reported_apart():
    found = joint_metrics.evaluate_predictions(rows_of(LABEL_IDS), PROBABILITIES, 0.5)
    answer = found["answer"]
    assert (answer["rows"], answer["emotion_rows"], answer["unknown_target_rows"]) == (5, 4, 2)
    assert answer["accuracy"] == pytest.approx(3 / 5)
    assert answer["emotion_rows_accuracy"] == pytest.approx(2 / 4)
    assert found["product"]["rows"] == 3  # those with a product, whatever their emotion
    assert found["emotion"]["rows"] == 5  # not the "I can't tell" one
    assert found["product"]["ece"] == pytest.approx(0.9 - 2 / 3)  # two of three right, confidence 0.9
    little = 0.1 / 8  # of each other class
    right, wrong = 0.1**2 + 8 * little**2, 0.9**2 + (1 - little) ** 2 + 7 * little**2
    assert found["product"]["brier"] == pytest.approx((2 * right + wrong) / 3)
    console = Console(width=200, record=True)
    joint_metrics.print_evaluation(console, "a part", found)
    assert "for 2, only the emotion is evaluated: they have no product label" in console.export_text()


def test_shares_of_the_emotions_are_counted_by_the_labels_by_the_guesses_and_among_the_answered():
    unsure = PROBABILITIES.copy()
    unsure[:2] = surely(IPAD, POSITIVE, confidence=0.5)  # 0.25 for the joint label: withheld
    found = joint_metrics.evaluate_predictions(rows_of(LABEL_IDS), unsure, 0.5)
    shares = found["answer"]["emotion_shares"]
    assert shares[tasks.POSITIVE] == {"labels": 2 / 5, "best_guess": 2 / 5, "answered": 0.0}
    assert shares[tasks.NEGATIVE] == {"labels": 2 / 5, "best_guess": 1 / 5, "answered": 1 / 3}
    assert shares[tasks.NO_EMOTION] == {"labels": 1 / 5, "best_guess": 2 / 5, "answered": 2 / 3}
    console = Console(width=300, record=True)
    shares["\x1b[5m"] = shares[tasks.NO_EMOTION]  # a label of another's table
    joint_metrics.print_evaluation(console, "a part", found)
    printed = console.export_text()
    assert "Negative emotion 0.4000, 0.2000, 0.3333; No emotion" in printed
    assert "\x1b" not in printed
    nothing = joint_metrics.evaluate_predictions(rows_of(LABEL_IDS), PROBABILITIES, 1.0)["answer"]["emotion_shares"]
    assert {each["answered"] for each in nothing.values()} == {None}


def test_no_part_is_calibrated_by_its_own_labels():
    label_ids, probabilities = random_answers()
    parts = np.array_split(np.random.default_rng(1).permutation(len(label_ids)), 3)
    before = joint_metrics.calibrate_across(rows_of(label_ids), probabilities, parts)
    others = label_ids.copy()
    for column, task in enumerate(tasks.ANSWER_TASKS):  # the model is always right in the first part
        others[parts[0], column] = joint_metrics.by_task(probabilities)[task.name][parts[0]].argmax(axis=1)
    after = joint_metrics.calibrate_across(rows_of(others), probabilities, parts)
    np.testing.assert_array_equal(before[parts[0]], after[parts[0]])
    assert np.abs(before[parts[1]] - after[parts[1]]).max() > 0.01


def test_rows_without_a_label_of_a_task_say_nothing_about_its_temperature():
    label_ids, probabilities = random_answers()
    label_ids[::2, 0] = label_ids[1::3, 1] = UNKNOWN
    found = joint_metrics.fit_temperatures(rows_of(label_ids), probabilities)
    for column, (name, scores) in enumerate(joint_metrics.by_task(probabilities).items()):
        known = label_ids[:, column] != UNKNOWN
        assert found[name] == pytest.approx(calibration.fit_temperature(label_ids[known, column], scores[known]))


def test_every_headline_figure_is_that_of_its_task_on_its_own_rows_after_calibration():
    label_ids, probabilities = random_answers()
    label_ids[::2, 0] = UNKNOWN
    parts = np.array_split(np.random.default_rng(1).permutation(len(label_ids)), 3)
    found = joint_metrics.evaluate_out_of_fold(rows_of(label_ids), probabilities, parts)
    after = joint_metrics.calibrate_across(rows_of(label_ids), probabilities, parts)
    threshold = joint_metrics.threshold_for(rows_of(label_ids), after)["threshold"]
    figures = joint_metrics.evaluate_predictions(rows_of(label_ids), after, threshold)
    answer = figures["answer"]
    expected = {
        "answer_accuracy": answer["accuracy"],
        "answer_emotion_rows_accuracy": answer["emotion_rows_accuracy"],
        "answer_not_sure_share": answer["not_sure_share"],
        "answer_answered_accuracy": answer["answered_accuracy"],
    }
    for column, (name, scores) in enumerate(joint_metrics.by_task(after).items()):
        known = label_ids[:, column] != UNKNOWN
        ids, scores = label_ids[known, column], scores[known]
        before = joint_metrics.by_task(probabilities)[name][known]
        of_task = found["calibration"][name]
        for when, values in (("before", before), ("after", scores)):
            assert of_task[when]["ece"] == calibration.expected_calibration_error(ids, values)
            assert of_task[when]["brier"] == calibration.brier_score(ids, values)
        assert of_task["before"]["ece"] != of_task["after"]["ece"]
        expected |= {
            f"{name}_accuracy": (scores.argmax(axis=1) == ids).mean(),
            f"{name}_macro_f1": figures[name]["macro_f1"],
            f"{name}_ece": of_task["after"]["ece"],
        }
        if name == "product":
            surest = np.argsort(-scores.max(axis=1), kind="stable")[: round(0.8 * len(ids))]
            expected["product_accuracy_at_80_percent"] = (scores.argmax(axis=1) == ids)[surest].mean()
    assert found["calibration"]["threshold"] == threshold
    assert found["headline"] == pytest.approx(expected)
    assert len(set(found["headline"].values())) == len(found["headline"]), "or one could stand for another"


def test_what_calibration_gains_is_told_tweet_by_tweet_with_near_duplicates_drawn_together():
    label_ids, probabilities = random_answers()
    after = joint_metrics.calibrate(probabilities, {"product": 3.0, "emotion": 0.5}, tasks.ANSWER_TASKS)
    groups = np.arange(len(label_ids)) // 2
    found = joint_metrics.evaluate_calibration(rows_of(label_ids), probabilities, after, groups)
    for name in ("product", "emotion"):
        gain, (low, high) = found[name]["brier_gain"]["difference"], found[name]["brier_gain"]["interval"]
        assert gain == pytest.approx(found[name]["before"]["brier"] - found[name]["after"]["brier"])
        assert low < gain < high
    # Labels are independent of the probabilities: the flatter these, the better.
    assert found["product"]["brier_gain"]["interval"][0] > 0
    assert found["emotion"]["brier_gain"]["interval"][1] < 0
    assert "brier_gain" not in joint_metrics.evaluate_calibration(rows_of(label_ids), probabilities, after)["product"]


def test_an_accuracys_interval_is_that_of_the_mean_over_seeds_with_near_duplicates_drawn_together():
    label_ids, first = random_answers()
    second = first[:, ::-1].copy()  # another model
    seeds = [first, np.concatenate([second[:, 3:], second[:, :3]], axis=1)]
    groups = np.arange(len(label_ids)) // 3
    found = joint_metrics.accuracy_intervals(rows_of(label_ids), seeds, groups)
    headlines = [joint_metrics.evaluate_predictions(rows_of(label_ids), scores, 0.5) for scores in seeds]
    for name, accuracy in (
        ("product_accuracy", [each["product"]["accuracy"] for each in headlines]),
        ("emotion_accuracy", [each["emotion"]["accuracy"] for each in headlines]),
        ("answer_accuracy", [each["answer"]["accuracy"] for each in headlines]),
        ("answer_emotion_rows_accuracy", [each["answer"]["emotion_rows_accuracy"] for each in headlines]),
    ):
        low, high = found[name]
        assert low < np.mean(accuracy) < high
        assert np.mean(accuracy) == pytest.approx((low + high) / 2, abs=0.01)
    few = label_ids.copy()
    few[:, 1] = np.where(np.arange(len(few)) < 3, NONE, UNKNOWN)  # a group of three without an emotion
    assert list(joint_metrics.accuracy_intervals(rows_of(few), seeds, groups)) == ["product_accuracy"]
    calibrated = joint_metrics.evaluate_calibration(rows_of(few), first, first, groups)
    assert [name for name in calibrated if "brier_gain" in calibrated[name]] == ["product"]
    copies = [np.repeat(each, 4, axis=0) for each in (label_ids, first)]
    alike = joint_metrics.accuracy_intervals(rows_of(copies[0]), copies[1:], np.repeat(np.arange(len(first)), 4))
    alone = joint_metrics.accuracy_intervals(rows_of(label_ids), [first], np.arange(len(first)))
    assert {name: pytest.approx(bounds) for name, bounds in alone.items()} == alike, (
        "a tweet that stands there four times tells no more"
    )


def test_the_threshold_is_the_lowest_that_reaches_what_it_is_chosen_for():
    random = np.random.default_rng(2)
    confidence = random.uniform(0.4, 1, 3000)
    emotion = np.where(random.uniform(size=3000) < confidence, NONE, POSITIVE)  # right as often as claimed
    probabilities = np.stack([surely(IPAD, NONE, each) for each in confidence])
    label_ids = np.stack([np.full(3000, UNKNOWN), emotion], axis=1)
    chosen = joint_metrics.threshold_for(rows_of(label_ids), probabilities)
    rows = chosen["risk_coverage"]
    assert chosen["target_accuracy"] == 0.8
    reached = [row["threshold"] for row in rows if row["accuracy"] >= 0.8]
    assert chosen["threshold"] == min(reached)
    assert 0.5 < chosen["threshold"] < 0.7  # those above 0.6 are right in 0.8 of the cases


def test_predictions_are_the_answers_that_the_threshold_lets_through():
    scores = np.stack([surely(IPAD, POSITIVE), surely(IPHONE, NEGATIVE, 0.6), surely(IPHONE, NONE, 0.6)])
    found = joint_metrics.predictions(scores, threshold=0.5)
    assert found["answer"].tolist() == ["Positive emotion → iPad", NOT_SURE, tasks.NO_EMOTION]
    assert found["product"].tolist() == ["iPad", "iPhone", "iPhone"]
    np.testing.assert_allclose(found["answer_confidence"], [0.81, 0.36, 0.6], rtol=1e-5)


def test_a_model_of_one_task_has_the_same_metrics_without_an_answer():
    rows, scores = rows_of(LABEL_IDS[:, 1:], (tasks.EMOTION,)), PROBABILITIES[:, len(tasks.PRODUCTS) :]
    metrics = joint_metrics.evaluate_predictions(rows, scores)
    assert metrics == {"emotion": joint_metrics.evaluate_predictions(rows_of(LABEL_IDS), PROBABILITIES, 0.5)["emotion"]}
    parts = np.array_split(np.arange(len(rows)), 2)
    out_of_fold = joint_metrics.evaluate_out_of_fold(rows, scores, parts)
    assert out_of_fold["headline"] == {
        f"emotion_{name}": metrics["emotion"][name] for name in ("accuracy", "macro_f1", "loss")
    }
    groups = np.arange(len(rows))
    low, high = joint_metrics.accuracy_intervals(rows, [scores], groups)["emotion_accuracy"]
    assert low < metrics["emotion"]["accuracy"] < high
    frame = joint_metrics.predictions(scores, model_tasks=[tasks.EMOTION])
    assert list(frame) == ["emotion", "emotion_confidence"]
    assert frame["emotion"].tolist() == [tasks.EMOTIONS[number] for number in scores.argmax(axis=1)]


def test_a_model_of_targets_alone_is_calibrated_and_gives_answers():
    random = np.random.default_rng(4)
    scores = random.dirichlet(np.full(3, 0.3), 600)
    ids = random.integers(0, 3, (600, 1))
    ids[::4] = UNKNOWN  # the assumed labels
    known, rows = ids[:, 0] != UNKNOWN, rows_of(ids, (tasks.TARGET,))
    parts = np.array_split(random.permutation(600), 3)
    found = joint_metrics.evaluate_out_of_fold(rows, scores, parts, np.arange(600))
    after = joint_metrics.calibrate_across(rows, scores, parts)
    correct = (after.argmax(axis=1) == ids[:, 0])[known]
    sure = after.max(axis=1)[known] >= found["calibration"]["threshold"]
    answer, headline = found["answer"], found["headline"]
    assert found["target"]["rows"] == answer["rows"] == known.sum()
    assert headline["target_accuracy"] == headline["answer_accuracy"] == correct.mean()
    assert answer["emotion_rows_accuracy"] == correct[ids[known, 0] != NONE].mean()
    assert answer["answered_accuracy"] == correct[sure].mean()
    assert answer["not_sure_share"] == 1 - sure.mean() > 0
    assert answer["unknown_target_rows"] == 0
    assert {name for name in headline if "80_percent" in name or "product" in name} == set()
    assert headline["target_ece"] < joint_metrics.evaluate_predictions(rows, scores)["target"]["ece"]
    low, high = joint_metrics.accuracy_intervals(rows, [after], np.arange(600))["answer_emotion_rows_accuracy"]
    assert low < answer["emotion_rows_accuracy"] < high
    frame = joint_metrics.predictions(after[known], found["calibration"]["threshold"], rows.tasks)
    assert frame["answer"].tolist() == np.where(sure, frame["target"], NOT_SURE).tolist()
