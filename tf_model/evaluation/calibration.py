"""Calibration of probabilities: temperature scaling, reliability, and what a model gains by abstaining."""

from typing import Any

import numpy as np

from tf_model.evaluation.metrics import SMALLEST_PROBABILITY

BINS = 15
TARGET_ACCURACY = 0.8  # of the answers that are given; the threshold of "Not sure" is chosen to reach it
TEMPERATURES = (0.05, 20.0)


def scale(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of ``log(probabilities) / temperature``, float64 [N, classes]; above 1, confidence is lower."""
    from scipy.special import softmax

    probabilities = np.clip(np.asarray(probabilities, np.float64), SMALLEST_PROBABILITY, 1)
    return softmax(np.log(probabilities) / temperature, axis=1)


def fit_temperature(label_ids: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature with the lowest negative log-likelihood of the true classes, on rows not trained on.

    At least 1 if all rows are right.

    Source: C. Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    from scipy.optimize import minimize_scalar

    label_ids, probabilities = np.asarray(label_ids), np.asarray(probabilities, np.float64)
    rows = np.arange(len(label_ids))

    def loss(log_temperature: float) -> float:
        true_probabilities = scale(probabilities, float(np.exp(log_temperature)))[rows, label_ids]
        return -float(np.log(np.maximum(true_probabilities, SMALLEST_PROBABILITY)).mean())

    # Rows without an error do not show how much too unsure the model is.
    least = 1.0 if (probabilities.argmax(axis=1) == label_ids).all() else TEMPERATURES[0]
    result = minimize_scalar(loss, bounds=tuple(np.log([least, TEMPERATURES[1]])), method="bounded")
    return float(np.exp(result.x))


def reliability(label_ids: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> list[dict[str, float | int]]:
    """Mean ``confidence`` and ``accuracy`` of each bin (``low`` < confidence <= ``high``) that holds ``rows``."""
    label_ids, probabilities = np.asarray(label_ids), np.asarray(probabilities, np.float64)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == label_ids
    numbers = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        {
            "low": number / bins,
            "high": (number + 1) / bins,
            "rows": int((numbers == number).sum()),
            "confidence": float(confidence[numbers == number].mean()),
            "accuracy": float(correct[numbers == number].mean()),
        }
        for number in np.unique(numbers)
    ]


def expected_calibration_error(label_ids: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Mean distance between confidence and accuracy over the bins of :func:`reliability`, weighted by rows, 0 to 1.

    Source: M. P. Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.
    """
    table, rows = reliability(label_ids, probabilities, bins), len(label_ids)
    return float(sum(each["rows"] / rows * abs(each["confidence"] - each["accuracy"]) for each in table))


def brier_score(label_ids: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean squared distance between the class probabilities and the truth, 0 to 2 (G. W. Brier, 1950)."""
    return float(squared_distances(label_ids, probabilities).mean())


def squared_distances(label_ids: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Squared distance between the class probabilities and the truth of each row, float64 [N], 0 to 2."""
    label_ids, probabilities = np.asarray(label_ids), np.asarray(probabilities, np.float64)
    truth = np.eye(probabilities.shape[1])[label_ids]
    return ((probabilities - truth) ** 2).sum(axis=1)


def calibration_metrics(label_ids: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """``ece``, ``brier`` and ``reliability`` of one task, ready for JSON."""
    return {
        "ece": expected_calibration_error(label_ids, probabilities),
        "brier": brier_score(label_ids, probabilities),
        "reliability": reliability(label_ids, probabilities),
    }


def risk_coverage(confidence: np.ndarray, correct: np.ndarray, points: int = 101) -> list[dict[str, float | int]]:
    """For ``points`` thresholds from 0 to 1: the share answered (``coverage``), and its ``accuracy`` and ``rows``.

    Thresholds above every confidence are left out.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    table = []
    for threshold in np.linspace(0, 1, points).round(6):
        is_answered = confidence >= threshold
        if is_answered.any():
            table.append(
                {
                    "threshold": float(threshold),
                    "coverage": float(is_answered.mean()),
                    "accuracy": float(correct[is_answered].mean()),
                    "rows": int(is_answered.sum()),
                }
            )
    return table


def choose_threshold(table: list[dict[str, float | int]], accuracy: float) -> float:
    """The lowest threshold of a :func:`risk_coverage` table that reaches this accuracy, else the most accurate one."""
    sufficient = [row for row in table if row["accuracy"] >= accuracy]
    best = sufficient[0] if sufficient else max(table, key=lambda row: row["accuracy"])
    return float(best["threshold"])


def accuracy_at_coverage(confidence: np.ndarray, correct: np.ndarray, coverage: float) -> float:
    """Accuracy of the most confident share ``coverage`` (0 to 1) of the answers; ties are taken in row order."""
    count = max(1, round(coverage * len(confidence)))
    most_confident = np.argsort(-np.asarray(confidence, np.float64), kind="stable")[:count]
    return float(np.asarray(correct)[most_confident].mean())
