"""Calibration: known temperatures, and tables that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tf_model.evaluation.calibration import (
    accuracy_at_coverage,
    brier_score,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    reliability,
    risk_coverage,
    scale,
)


def drawn(temperature: float, rows: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities, and these probabilities as of an over- or underconfident model."""
    random = np.random.default_rng(seed)
    true = scale(random.dirichlet([1, 2, 3], rows), 1.0)
    label_ids = (true.cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    return label_ids, scale(true, 1 / temperature)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(temperature):
    label_ids, said = drawn(temperature)
    assert fit_temperature(label_ids, said) == pytest.approx(temperature, rel=0.05)
    calibrated = scale(said, fit_temperature(label_ids, said))
    assert expected_calibration_error(label_ids, calibrated) < 0.015
    if temperature != 1:
        assert expected_calibration_error(label_ids, said) > 0.05
        assert brier_score(label_ids, calibrated) < brier_score(label_ids, said)


def test_rows_without_an_error_make_no_confidence_extreme():
    assert fit_temperature([0] * 60, [[0.9, 0.05, 0.05]] * 60) == pytest.approx(1, abs=1e-3)


def test_scaling_is_the_softmax_to_the_last_digit():
    probabilities = np.random.default_rng(0).dirichlet(np.full(9, 0.1), 2000)
    exponentials = np.log(np.clip(probabilities, 1e-7, 1)) / 1.7
    exponentials = np.exp(exponentials - exponentials.max(axis=1, keepdims=True))
    assert (scale(probabilities, 1.7) == exponentials / exponentials.sum(axis=1, keepdims=True)).all()


def test_reliability_counts_what_is_in_each_bin():
    probabilities = np.array([[0.95, 0.05], [0.93, 0.07], [0.55, 0.45], [0.4, 0.6]])
    found = reliability(np.array([0, 1, 0, 1]), probabilities, bins=10)
    assert [(each["rows"], each["accuracy"]) for each in found] == [(2, 1.0), (2, 0.5)]
    assert [each["confidence"] for each in found] == pytest.approx([0.575, 0.94])
    assert [(each["low"], each["high"]) for each in found] == [(0.5, 0.6), (0.9, 1.0)]
    error = expected_calibration_error(np.array([0, 1, 0, 1]), probabilities, bins=10)
    assert error == pytest.approx(0.5 * 0.425 + 0.5 * 0.44)


def test_certainty_falls_into_the_last_bin():
    for certain in (1.0, 1.0000001):  # as float32 may round it
        assert reliability(np.array([0]), np.array([[certain, 0.0]]))[0]["high"] == 1


def test_brier_score_of_certainty_and_of_ignorance():
    assert brier_score(np.array([0, 1]), np.array([[1.0, 0], [0, 1]])) == 0
    assert brier_score(np.array([0, 1]), np.array([[0.0, 1], [1, 0]])) == 2
    assert brier_score(np.array([0]), np.array([[0.5, 0.5]])) == 0.5


def test_risk_coverage_and_the_threshold_chosen_from_it():
    table = risk_coverage(np.array([0.2, 0.4, 0.6, 0.8]), np.array([False, False, True, True]), points=6)
    assert [row["threshold"] for row in table] == [0, 0.2, 0.4, 0.6, 0.8]  # no rows at 1
    assert [row["rows"] for row in table] == [4, 4, 3, 2, 1]
    assert [row["accuracy"] for row in table] == pytest.approx([0.5, 0.5, 2 / 3, 1, 1])
    assert choose_threshold(table, 0.6) == 0.4
    assert choose_threshold(table, 1.0) == 0.6
    hopeless = risk_coverage(np.array([0.2, 0.9]), np.array([True, False]), points=11)
    assert choose_threshold(hopeless, 0.99) == 0  # the best possible


def test_a_confidence_at_the_threshold_is_answered_and_an_accuracy_at_the_target_is_enough():
    table = risk_coverage(np.array([0.25, 0.5, 0.75, 0.75]), np.array([False, True, True, False]), points=5)
    assert [(row["threshold"], row["rows"]) for row in table] == [(0, 4), (0.25, 4), (0.5, 3), (0.75, 2)]
    assert choose_threshold(table, 0.5) == 0
    assert choose_threshold(table, table[2]["accuracy"]) == 0.5


def test_the_surest_part_is_judged_alone():
    assert accuracy_at_coverage(np.array([0.9, 0.1, 0.8, 0.7]), np.array([True, False, True, False]), 0.5) == 1
    assert accuracy_at_coverage(np.array([0.9, 0.1]), np.array([True, False]), 1.0) == 0.5
