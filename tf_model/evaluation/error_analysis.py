"""Analysis of a saved model's validation predictions: thresholds, joint answers, and the hardest mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tf_model import data, paths, tasks
from tf_model.errors import DataError
from tf_model.evaluation.metrics import wilson_interval
from tf_model.io.files import explain_read_errors, sha256_of
from tf_model.model_dir import ModelReport, Predictions
from tf_model.modeling.joint_label import confidence_and_correctness


def threshold_effect(confidences: np.ndarray, correct: np.ndarray, threshold: float) -> dict[str, Any]:
    """Counts of answers and abstentions at a threshold, from float [N] and bool [N], N at least 1.

    ``coverage`` is the share of the rows that get an answer; where none does, there is no ``accuracy``.
    """
    is_answered = confidences >= threshold
    answered, correct_count = int(is_answered.sum()), int((is_answered & correct).sum())
    return {
        "rows": len(correct),
        "answered": answered,
        "correct": correct_count,
        "abstained_correct": int((~is_answered & correct).sum()),
        "abstained_wrong": int((~is_answered & ~correct).sum()),
        "coverage": answered / len(correct),
        "accuracy": correct_count / answered if answered else None,
        "accuracy_interval": wilson_interval(correct_count, answered) if answered else None,
    }


def joint_correctness(model: ModelReport) -> tuple[np.ndarray, np.ndarray]:
    """Confidence, float [N], and correctness, bool [N], of ``answer`` on validation rows with an emotion label."""
    is_judged = model.predictions["emotion"].label_ids != tasks.NO_LABEL
    judged = [each.take(is_judged) for each in model.predictions.values()]
    ids = np.stack([each.label_ids for each in judged], axis=1)
    return confidence_and_correctness(ids, [each.probabilities for each in judged], model.tasks[-1].neutral)


def hardest_mistakes(predictions: Predictions, most: int = 50) -> pd.DataFrame:
    """The wrong predictions of labelled rows with the lowest probability of the true class, the lowest first."""
    labels = np.asarray(predictions.labels, object)
    frame = pd.DataFrame(
        {
            "row": predictions.rows,
            "label": labels[predictions.label_ids],
            "predicted": labels[predictions.predicted_ids],
            "confidence": predictions.confidences,
            "true_probability": predictions.probabilities[np.arange(len(predictions.rows)), predictions.label_ids],
        }
    )
    return frame[~predictions.correct].sort_values(["true_probability", "row"], ignore_index=True).head(most)


def texts_of(path: Path, model: ModelReport) -> dict[int, str]:
    """The texts of a dataset by row number; :class:`DataError` if it is not the one that the model was validated on."""
    with explain_read_errors(path):
        sha256 = sha256_of(path)
    if sha256 != model.data_sha256:  # before it is read: another table need not have the model's columns
        expected = (model.data_sha256 or "not recorded")[:12]
        raise DataError(
            f"expected the dataset that the model was validated on (sha256 {expected}), got "
            f"{paths.shown(path)} (sha256 {sha256[:12]}); name that file in TWEETS_DATA"
        )
    labelled = data.read(path, columns=data.Columns.of_model(model.metrics), known_tasks=model.tasks).labelled
    return dict(zip(labelled["row"].tolist(), labelled[tasks.TEXT_COLUMN].tolist(), strict=True))
