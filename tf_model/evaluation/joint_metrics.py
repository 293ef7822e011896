"""Metrics of a model's predictions: of each task, of the joint label, and of the calibration.

The rows have the labels of N texts. Probabilities are float [N, classes of all tasks], the tasks side by side. A model
of product and emotion, in this order, or of targets also gives answers.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tf_model import tasks
from tf_model.data import TrainingRows
from tf_model.evaluation.calibration import (
    TARGET_ACCURACY,
    accuracy_at_coverage,
    brier_score,
    calibration_metrics,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    risk_coverage,
    scale,
    squared_distances,
)
from tf_model.evaluation.metrics import decimal, evaluate_probabilities, mean_interval, print_metrics, wilson_interval
from tf_model.io.characters import visible
from tf_model.modeling.joint_label import answer_outputs, confidence_and_correctness
from tf_model.tasks import ANSWER_TASKS, EMOTION, PRODUCT, Task

Tasks = Sequence[Task]
COVERAGE = 0.8  # accuracy is also reported for this share of the product predictions, the most confident ones


def by_task(probabilities: np.ndarray, model_tasks: Tasks = ANSWER_TASKS) -> dict[str, np.ndarray]:
    """Split probabilities by task: [N, classes] under each task's name."""
    ends = np.cumsum([len(task.labels) for task in model_tasks])[:-1]
    return dict(zip([task.name for task in model_tasks], np.split(probabilities, ends, axis=1), strict=True))


def labelled(
    rows: TrainingRows, probabilities: np.ndarray
) -> Iterator[tuple[Task, np.ndarray, np.ndarray, np.ndarray]]:
    """Each task with the rows that have its label: positions and true classes, int [M], probabilities [M, classes]."""
    scores_of = by_task(probabilities, rows.tasks)
    for task, ids, scores in zip(rows.tasks, rows.judged_ids.T, scores_of.values(), strict=True):
        positions = np.flatnonzero(ids >= 0)
        yield task, positions, ids[positions], scores[positions]


def fit_temperatures(rows: TrainingRows, probabilities: np.ndarray) -> dict[str, float]:
    """The temperature of each task; see :func:`tf_model.evaluation.calibration.fit_temperature`."""
    return {task.name: fit_temperature(ids, scores) for task, _, ids, scores in labelled(rows, probabilities)}


def calibrate(probabilities: np.ndarray, temperatures: dict[str, float], model_tasks: Tasks) -> np.ndarray:
    """``probabilities`` with each task's temperature applied, float64 [N, classes of all tasks]."""
    scores = by_task(probabilities, model_tasks)
    return np.concatenate([scale(scores[name], temperatures[name]) for name in scores], axis=1)


def calibrate_across(rows: TrainingRows, probabilities: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Calibrate each part with temperatures fitted on all other parts, so that no part is fitted on itself."""
    calibrated = np.empty(probabilities.shape, np.float64)
    for part in parts:
        others = np.setdiff1d(np.arange(len(probabilities)), part)
        temperatures = fit_temperatures(rows.take(others), probabilities[others])
        calibrated[part] = calibrate(probabilities[part], temperatures, rows.tasks)
    return calibrated


def threshold_for(rows: TrainingRows, probabilities: np.ndarray) -> dict[str, Any]:
    """The threshold chosen for :data:`TARGET_ACCURACY`, with the table that it was chosen from."""
    _, _, confidence, correct = _joint(rows, probabilities)
    table = risk_coverage(confidence, correct)
    return {
        "threshold": choose_threshold(table, TARGET_ACCURACY),
        "target_accuracy": TARGET_ACCURACY,
        "risk_coverage": table,
    }


def evaluate_predictions(
    rows: TrainingRows, probabilities: np.ndarray, threshold: float | None = None
) -> dict[str, Any]:
    """Metrics of a model's probabilities by task, each on the rows with its label; ready for JSON.

    With a ``threshold`` of "Not sure" there is also ``answer``, on the rows with an emotion label:
    :func:`answer_metrics`; ``unknown_target_rows``, where only the emotion is evaluated; and each emotion's shares. A
    model abstains more often on non-neutral texts, so the ``answered`` shares do not estimate those by ``labels``.
    """
    metrics = {
        task.name: evaluate_probabilities(ids, scores, task.labels)
        | {"ece": expected_calibration_error(ids, scores), "brier": brier_score(ids, scores)}
        for task, _, ids, scores in labelled(rows, probabilities)
    }
    if threshold is None:
        return metrics
    positions, emotion_ids, confidence, correct = _joint(rows, probabilities)
    emotion = rows.tasks[-1]
    predicted_ids = by_task(probabilities, rows.tasks)[emotion.name][positions].argmax(axis=1)
    answered_ids = predicted_ids[confidence >= threshold]
    shares = {
        label: {
            "labels": float((emotion_ids == number).mean()),
            "best_guess": float((predicted_ids == number).mean()),
            "answered": float((answered_ids == number).mean()) if answered_ids.size else None,
        }
        for number, label in enumerate(emotion.labels)
    }
    is_unknown = (emotion_ids != emotion.neutral) & (rows.judged_ids[positions, 0] == tasks.NO_LABEL)
    answer = answer_metrics(emotion_ids, confidence, correct, threshold, emotion.neutral)
    return metrics | {tasks.ANSWER: answer | {"unknown_target_rows": int(is_unknown.sum()), "emotion_shares": shares}}


def answer_metrics(
    emotion_ids: np.ndarray,
    confidence: np.ndarray,
    correct: np.ndarray,
    threshold: float,
    neutral: int | None = EMOTION.neutral,
) -> dict[str, Any]:
    """JSON-ready metrics of the joint label of N rows: of the best guess, and with "Not sure" below ``threshold``.

    ``emotion_rows`` are the non-neutral rows, or all rows if ``neutral``, the id of no emotion, is None;
    ``accuracy_not_sure_wrong`` is over all rows and counts "Not sure" as wrong.
    """
    non_neutral = emotion_ids != neutral
    is_answered = confidence >= threshold
    return {
        "rows": len(correct),
        "accuracy": float(correct.mean()),
        "accuracy_interval": list(wilson_interval(int(correct.sum()), len(correct))),
        "emotion_rows": int(non_neutral.sum()),
        "emotion_rows_accuracy": float(correct[non_neutral].mean()) if non_neutral.any() else None,
        "threshold": threshold,
        "not_sure_share": float((~is_answered).mean()),
        "answered_accuracy": float(correct[is_answered].mean()) if is_answered.any() else None,
        "accuracy_not_sure_wrong": float((correct & is_answered).mean()),
    }


def evaluate_out_of_fold(
    rows: TrainingRows, probabilities: np.ndarray, parts: Sequence[np.ndarray], groups: np.ndarray | None = None
) -> dict[str, Any]:
    """:func:`evaluate_predictions` and :func:`headline` of a cross-validation; ``parts`` are the rows of each fold.

    If the model gives answers, each part is first calibrated with temperatures from the other parts, as ``calibration``
    reports; the threshold is chosen on all predictions.
    """
    if not tasks.has_answer(task.name for task in rows.tasks):
        metrics = evaluate_predictions(rows, probabilities)
        return metrics | {"headline": headline(metrics)}
    calibrated = calibrate_across(rows, probabilities, parts)
    threshold = threshold_for(rows, calibrated)
    metrics = evaluate_predictions(rows, calibrated, threshold["threshold"])
    calibration = evaluate_calibration(rows, probabilities, calibrated, groups)
    return {**metrics, "calibration": calibration | threshold, "headline": headline(metrics, calibration)}


def predictions(probabilities: np.ndarray, threshold: float | None = None, model_tasks: Tasks = ANSWER_TASKS) -> Any:
    """A table of the :func:`answer_outputs` of these probabilities, without the probabilities themselves."""
    import pandas as pd

    scores = [np.asarray(values, np.float32) for values in by_task(probabilities, model_tasks).values()]
    outputs = answer_outputs(scores, model_tasks, threshold)
    return pd.DataFrame({name: values for name, values in outputs.items() if values.ndim == 1})


def correct_by_question(rows: TrainingRows, probabilities: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each task, and for the answer: the positions of its rows, int64 [M], and which are correct, bool [M]."""
    correct = {
        task.name: (positions, scores.argmax(axis=1) == ids)
        for task, positions, ids, scores in labelled(rows, probabilities)
    }
    if tasks.has_answer(correct):
        positions, emotion_ids, _, is_correct = _joint(rows, probabilities)
        non_neutral = emotion_ids != rows.tasks[-1].neutral
        correct[tasks.ANSWER] = positions, is_correct
        correct["answer_emotion_rows"] = positions[non_neutral], is_correct[non_neutral]
    return correct


def accuracy_intervals(
    rows: TrainingRows, probabilities: Sequence[np.ndarray], groups: np.ndarray
) -> dict[str, list[float]]:
    """95% intervals, ``[low, high]``, of the accuracies of each task and of the answer, averaged over seeds.

    ``probabilities`` has one array per seed; a metric over fewer than two groups has no interval.
    """
    by_seed = [correct_by_question(rows, each) for each in probabilities]
    return {
        f"{question}_accuracy": list(
            mean_interval(np.mean([correct[question][1] for correct in by_seed], axis=0), groups[positions])
        )
        for question, (positions, _) in by_seed[0].items()
        if len(np.unique(groups[positions])) > 1
    }


def evaluate_calibration(
    rows: TrainingRows, before: np.ndarray, after: np.ndarray, groups: np.ndarray | None = None
) -> dict[str, Any]:
    """ECE, Brier score and reliability of each task, ``before`` and ``after`` calibration.

    With ``groups`` also ``brier_gain``: by how much calibration lowers the Brier score, with its 95% interval.
    """
    metrics: dict[str, Any] = {}
    for (task, positions, ids, old), (*_, new) in zip(labelled(rows, before), labelled(rows, after), strict=True):
        task_metrics = {"before": calibration_metrics(ids, old), "after": calibration_metrics(ids, new)}
        if groups is not None and len(np.unique(groups[positions])) > 1:
            gain = squared_distances(ids, old) - squared_distances(ids, new)
            interval = list(mean_interval(gain, groups[positions]))
            task_metrics["brier_gain"] = {"difference": float(gain.mean()), "interval": interval}
        if task.name == PRODUCT.name:
            correct = new.argmax(axis=1) == ids
            task_metrics["accuracy_at_80_percent"] = accuracy_at_coverage(new.max(axis=1), correct, COVERAGE)
        metrics[task.name] = task_metrics
    return metrics


def headline(metrics: dict[str, Any], calibration: dict[str, Any] | None = None) -> dict[str, float]:
    """The metrics that models are compared by, in one flat dict; with ``calibration``, also those of the answer."""
    values = {}
    for name, task_metrics in metrics.items():
        if name != tasks.ANSWER:
            values |= {f"{name}_accuracy": task_metrics["accuracy"], f"{name}_macro_f1": task_metrics["macro_f1"]}
    if calibration is None:
        return values | {f"{name}_loss": task_metrics["loss"] for name, task_metrics in metrics.items()}
    answer = metrics[tasks.ANSWER]
    values |= {
        "answer_accuracy": answer["accuracy"],
        "answer_emotion_rows_accuracy": answer["emotion_rows_accuracy"],
        "answer_not_sure_share": answer["not_sure_share"],
        "answer_answered_accuracy": answer["answered_accuracy"],
        **{f"{name}_ece": task_metrics["after"]["ece"] for name, task_metrics in calibration.items()},
    }
    if PRODUCT.name in calibration:
        values["product_accuracy_at_80_percent"] = calibration[PRODUCT.name]["accuracy_at_80_percent"]
    return values


def print_evaluation(console: Any, title: str, metrics: dict[str, Any]) -> None:
    """Print what :func:`evaluate_predictions` returned."""
    for name, task_metrics in metrics.items():
        if name in tasks.ALL_TASKS:
            print_metrics(console, f"{name}, {title}", task_metrics)
            line = f"calibration error {task_metrics['ece']:.4f} (15 bins), Brier score {task_metrics['brier']:.4f}"
            console.print(f"{name}, {title}: {line}", highlight=False, markup=False, soft_wrap=True)
    if tasks.ANSWER not in metrics:
        return
    answer, noun = metrics[tasks.ANSWER], "mentions" if tasks.TARGET.name in metrics else "tweets"
    low, high = answer["accuracy_interval"]
    note = f" (for {answer['unknown_target_rows']:,}, only the emotion is evaluated: they have no product label)"
    shares = (f"{name} {', '.join(map(decimal, each.values()))}" for name, each in answer["emotion_shares"].items())
    lines = [
        f"answer, {title}: exactly correct {answer['accuracy']:.4f} (95% interval {low:.3f} to {high:.3f}) of "
        f"{answer['rows']:,} {noun}, {decimal(answer['emotion_rows_accuracy'])} of the {answer['emotion_rows']:,} "
        f"non-neutral{note if answer['unknown_target_rows'] else ''}",
        f"with 'Not sure' below {answer['threshold']:.2f}: {answer['not_sure_share']:.1%} not sure, "
        f"{decimal(answer['answered_accuracy'])} of the given correct, {answer['accuracy_not_sure_wrong']:.4f} of all",
        f"shares by label, by best guess, among the answered: {'; '.join(shares)}",
    ]
    console.print("\n".join(map(visible, lines)), highlight=False, markup=False, soft_wrap=True)


def _joint(rows: TrainingRows, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of the rows with an emotion label: position, emotion, confidence of the best answer, whether it is correct."""
    positions = np.flatnonzero(rows.judged_ids[:, -1] >= 0)
    label_ids, scores = rows.judged_ids[positions], by_task(probabilities[positions], rows.tasks).values()
    confidence, correct = confidence_and_correctness(label_ids, list(scores), rows.tasks[-1].neutral)
    return positions, label_ids[:, -1], confidence, correct
