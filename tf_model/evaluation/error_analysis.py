"""Analysis of a saved model's validation predictions: thresholds, joint answers, and the hardest mistakes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tf_model import config, data, paths, tasks
from tf_model.errors import DataError
from tf_model.evaluation.metrics import REPORT, wilson_interval
from tf_model.model_dir import ModelReport, Predictions
from tf_model.modeling.joint_label import confidence_and_correctness

REPORT_VALIDATION_ROWS = 659  # 20% of the 3,291 tweets with a product, rounded up


def report_metrics(model: ModelReport, task: str) -> tuple[Mapping[str, Mapping[str, float]], str]:
    """The report's metrics for a task (it has only products), and a sentence on whether they are comparable."""
    if task != tasks.PRODUCT.name:
        return {}, f"The report gives no metrics for the {task}."
    split = {name: getattr(config.REPORT, name) for name in ("split_seed", "validation_size")}
    if model.metrics.get("dataset") != data.ASSIGNMENT:
        return REPORT, "Not comparable: the report used another dataset."
    if split.items() <= model.recipe.items() and model.part("validation", task).get("rows") == REPORT_VALIDATION_ROWS:
        return REPORT, "Comparable: measured on the same 659 tweets as the report's."
    return REPORT, "Not comparable: the report validated on other rows."


@dataclass(frozen=True)
class ThresholdEffect:
    """What a confidence threshold does: the model answers at or above it and abstains below it."""

    rows: int
    answered: int
    correct: int  # among the answered
    abstained_correct: int  # correct answers that are not given
    abstained_wrong: int
    coverage: float  # share of the rows that get an answer, 0 to 1
    accuracy: float | None  # share of the answers that are correct, 0 to 1; None where nothing is answered
    accuracy_interval: tuple[float, float] | None  # 95% Wilson interval


def threshold_effect(confidences: np.ndarray, correct: np.ndarray, threshold: float) -> ThresholdEffect:
    """Count answers and abstentions at a threshold, from float [N] and bool [N], N at least 1."""
    is_answered = confidences >= threshold
    answered_count, correct_count = int(is_answered.sum()), int((is_answered & correct).sum())
    return ThresholdEffect(
        rows=len(correct),
        answered=answered_count,
        correct=correct_count,
        abstained_correct=int((~is_answered & correct).sum()),
        abstained_wrong=int((~is_answered & ~correct).sum()),
        coverage=answered_count / len(correct),
        accuracy=correct_count / answered_count if answered_count else None,
        accuracy_interval=wilson_interval(correct_count, answered_count) if answered_count else None,
    )


def joint_correctness(model: ModelReport) -> tuple[np.ndarray, np.ndarray] | None:
    """Confidence, float [N], and correctness, bool [N], of the joint answer on validation rows with an emotion label.

    None for a model of one task, or without such rows.
    """
    emotion = model.labelled("emotion")
    if model.task != tasks.ANSWER or emotion is None:
        return None
    product = model.predictions["product"].take(model.predictions["emotion"].label_ids != tasks.NO_LABEL)
    neutral = model.tasks[1].neutral
    ids = np.stack([product.label_ids, emotion.label_ids], axis=1)
    return confidence_and_correctness(ids, [product.probabilities, emotion.probabilities], neutral)


def hardest_mistakes(predictions: Predictions, most: int = 50) -> pd.DataFrame:
    """The wrong predictions of labelled rows with the lowest probability of the true class, the lowest first."""
    wrong = np.flatnonzero(~predictions.correct)
    true_probabilities = predictions.probabilities[np.arange(len(predictions.rows)), predictions.label_ids]
    hardest = wrong[np.lexsort((predictions.rows[wrong], true_probabilities[wrong]))][:most]
    labels = np.asarray(predictions.labels, object)
    return pd.DataFrame(
        {
            "row": predictions.rows[hardest],
            "label": labels[predictions.label_ids[hardest]],
            "predicted": labels[predictions.predicted_ids[hardest]],
            "confidence": predictions.confidences[hardest],
            "true_probability": true_probabilities[hardest],
        }
    )


def texts_of(dataset: data.Dataset, data_sha256: str | None) -> dict[int, str]:
    """The texts of a dataset by row number; :class:`DataError` if it is not the file with this hash."""
    if dataset.sha256 != data_sha256:
        expected = (data_sha256 or "not recorded")[:12]
        raise DataError(
            f"expected the dataset that the model was validated on (sha256 {expected}), got "
            f"{paths.shown(dataset.path)} (sha256 {dataset.sha256[:12]}); name that file in TWEETS_DATA"
        )
    return dict(zip(dataset.labelled["row"].tolist(), dataset.labelled[tasks.TEXT_COLUMN].tolist(), strict=True))
