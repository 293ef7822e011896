"""The rule for the joint label, in cases that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tf_model import tasks
from tf_model.device import import_tensorflow
from tf_model.evaluation.joint_metrics import answer_metrics
from tf_model.modeling.joint_label import (
    NOT_SURE,
    answer_outputs,
    answer_text,
    best_two,
    candidates,
    confidence_and_correctness,
)

PRODUCTS = ("iPhone", "iPad")
NEGATIVE, NONE, POSITIVE = range(3)
LABELS = {"product": PRODUCTS, "emotion": tasks.EMOTIONS}
GUESSES = candidates(tasks.of_model(LABELS, tasks.NO_EMOTION))


def two(product: list[float], emotion: list[float]) -> tuple[str, str, float]:
    found = best_two([np.array([product]), np.array([emotion])], NONE)
    return GUESSES[found["best"][0]], GUESSES[found["second"][0]], float(found["confidence"][0])


@pytest.mark.parametrize(
    ("product", "emotion", "best", "second", "confidence"),
    [
        ([0.9, 0.1], [0.1, 0.1, 0.8], "Positive emotion → iPhone", tasks.NO_EMOTION, 0.72),
        ([0.2, 0.8], [0.7, 0.1, 0.2], "Negative emotion → iPad", "Positive emotion → iPad", 0.56),
        ([0.9, 0.1], [0.2, 0.5, 0.3], tasks.NO_EMOTION, "Positive emotion → iPhone", 0.5),
        # The emotion decides first, although "no emotion" is likelier than any pair.
        ([0.5, 0.5], [0.0, 0.45, 0.55], "Positive emotion → iPhone", tasks.NO_EMOTION, 0.275),
    ],
)
def test_the_emotion_decides_then_the_product(product, emotion, best, second, confidence):
    assert two(product, emotion) == (best, second, pytest.approx(confidence))


def test_all_answers_are_told_apart():
    towards = [f"{emotion} → {product}" for emotion in ("Negative emotion", "Positive emotion") for product in PRODUCTS]
    assert [tasks.NO_EMOTION, *towards] == GUESSES
    assert candidates([tasks.TARGET]) == [tasks.NO_EMOTION, tasks.NEGATIVE, tasks.POSITIVE]
    assert answer_text(tasks.NO_EMOTION, "iPad") == tasks.NO_EMOTION
    assert answer_text("Positive emotion", None) == "Positive emotion"


def test_an_unknown_product_is_neither_wrong_nor_none():
    products = np.array([[0.9, 0.1]] * 5)
    emotions = np.eye(3)[[POSITIVE, POSITIVE, POSITIVE, NONE, NONE]]
    true = np.array([[0, POSITIVE], [1, POSITIVE], [-1, POSITIVE], [-1, NONE], [0, POSITIVE]])
    confidence, right = confidence_and_correctness(true, [products, emotions], NONE)
    assert right.tolist() == [True, False, True, True, False]
    assert confidence == pytest.approx([0.9, 0.9, 0.9, 1, 1])


@pytest.mark.parametrize("neutral", [0, 1, 2, None])
def test_no_emotion_may_be_any_class_or_none(neutral):
    emotions = ("a", "b", "c")
    chosen = tasks.of_model({"product": PRODUCTS, "emotion": emotions}, None if neutral is None else emotions[neutral])
    guesses = candidates(chosen)
    for number, emotion in enumerate(emotions):
        probabilities = [np.array([[0.1, 0.9]], np.float32), np.full((1, 3), 0.2, np.float32)]
        probabilities[1][0, number] = 0.6
        found = best_two(probabilities, neutral)
        is_none = number == neutral
        assert guesses[found["best"][0]] == (emotion if is_none else f"{emotion} → iPad")
        assert float(found["confidence"][0]) == pytest.approx(0.6 if is_none else 0.54)
        right = confidence_and_correctness(np.array([[0, number]]), probabilities, neutral)
        assert right[1].tolist() == [is_none], "the product is wrong, and counts where there is an emotion"
    assert len(guesses) == (6 if neutral is None else 5)
    rows = answer_metrics(np.array([0, 1, 2]), np.ones(3), np.ones(3, bool), 0.5, neutral)["emotion_rows"]
    assert rows == (3 if neutral is None else 2)


@pytest.mark.parametrize("no_emotion", ["a", "b", "c", None])
def test_of_a_target_the_emotion_is_the_answer_and_its_probability_the_confidence(no_emotion):
    [target] = chosen = tasks.of_model({"target": ("a", "b", "c")}, no_emotion)
    guesses = candidates(chosen)
    assert sorted(guesses) == ["a", "b", "c"]
    probabilities = np.array([[0.5, 0.2, 0.3], [0.1, 0.7, 0.2], [0.2, 0.3, 0.5]], np.float32)
    found = answer_outputs([probabilities], chosen, threshold=0.5)
    texts = {name: values.tolist() for name, values in found.items()}
    assert texts["best_guess"] == texts["answer"] == ["a", "b", "c"]
    assert texts["second_guess"] == ["c", "c", "b"]
    assert texts["answer_confidence"] == pytest.approx([0.5, 0.7, 0.5])
    sure = answer_outputs([probabilities], chosen, threshold=0.6)
    assert sure["answer"].tolist() == [NOT_SURE, "b", NOT_SURE]
    confidence, right = confidence_and_correctness(np.array([[0], [1], [0]]), [probabilities], target.neutral)
    assert right.tolist() == [True, True, False]
    assert confidence == pytest.approx([0.5, 0.7, 0.5])


def test_not_sure_counts_as_wrong_and_is_reported_apart():
    confidence, right = np.array([0.9, 0.5, 0.3, 0.2]), np.array([True, False, True, False])
    found = answer_metrics(np.array([POSITIVE, NONE, NEGATIVE, NONE]), confidence, right, threshold=0.5)
    assert found["accuracy"] == 0.5
    assert (found["emotion_rows"], found["emotion_rows_accuracy"]) == (2, 1.0)
    assert (found["not_sure_share"], found["answered_accuracy"], found["accuracy_not_sure_wrong"]) == (0.5, 0.5, 0.25)
    nothing = answer_metrics(np.array([NONE]), np.array([0.1]), np.array([True]), threshold=0.5)
    assert nothing["answered_accuracy"] is nothing["emotion_rows_accuracy"] is None


@pytest.mark.parametrize("no_emotion", [tasks.NO_EMOTION, None])
@pytest.mark.parametrize("labels", [LABELS, {"target": tasks.EMOTIONS}], ids=["joint", "target"])
def test_the_graph_and_numpy_give_the_same_answers(labels, no_emotion):
    tf, draw = import_tensorflow(), np.random.default_rng(0)
    chosen = tasks.of_model(labels, no_emotion)
    probabilities = [draw.dirichlet(np.full(len(task.labels), 0.5), 400).astype(np.float32) for task in chosen]
    probabilities = [np.concatenate([each, np.full_like(each, 1 / each.shape[1])]) for each in probabilities]  # ties
    graph = tf.function(lambda given: answer_outputs(given, chosen, 0.4, tf.experimental.numpy))
    expected = answer_outputs(probabilities, chosen, 0.4)
    found = graph([tf.constant(each) for each in probabilities])
    assert found.keys() == expected.keys()
    for name, values in found.items():
        values = values.numpy()
        assert values.dtype == expected[name].dtype
        if values.dtype == object:
            values = np.array([each.decode() for each in values], object)
        np.testing.assert_array_equal(values, expected[name])
