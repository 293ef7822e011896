"""Metrics of a model's predictions: of each task, of the joint label, and of the calibration.

Label ids are int [N, tasks], -1 where a text has no label of a task. Probabilities are float [N, classes of all tasks],
the tasks side by side; ``chosen`` lists the tasks with their classes. A model of product and emotion, in this order, or
of targets also gives answers.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tf_model import tasks
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
from tf_model.evaluation.metrics import (
    evaluate_probabilities,
    figure,
    mean_interval,
    print_metrics,
    wilson_interval,
)
from tf_model.modeling.joint_label import answer_outputs, confidence_and_correctness
from tf_model.tasks import ANSWER_TASKS, EMOTION, PRODUCT, Task

Tasks = Sequence[Task]
COVERAGE = 0.8  # accuracy is also reported for this share of the product predictions, the most confident ones


def by_task(probabilities: np.ndarray, chosen: Tasks = ANSWER_TASKS) -> dict[str, np.ndarray]:
    """Split probabilities by task: [N, classes] under each task's name."""
    ends = np.cumsum([len(task.labels) for task in chosen])[:-1]
    return dict(zip([task.name for task in chosen], np.split(probabilities, ends, axis=1), strict=True))


def labelled(
    label_ids: np.ndarray, probabilities: np.ndarray, chosen: Tasks = ANSWER_TASKS
) -> Iterator[tuple[Task, np.ndarray, np.ndarray]]:
    """Each task with the true classes, int [M], and the probabilities, [M, classes], of the rows with its label."""
    for task, ids, scores in zip(chosen, label_ids.T, by_task(probabilities, chosen).values(), strict=True):
        yield task, ids[ids >= 0], scores[ids >= 0]


def fit_temperatures(
    label_ids: np.ndarray, probabilities: np.ndarray, chosen: Tasks = ANSWER_TASKS
) -> dict[str, float]:
    """The temperature of each task; see :func:`tf_model.evaluation.calibration.fit_temperature`."""
    return {task.name: fit_temperature(ids, scores) for task, ids, scores in labelled(label_ids, probabilities, chosen)}


def calibrate(probabilities: np.ndarray, temperatures: dict[str, float], chosen: Tasks = ANSWER_TASKS) -> np.ndarray:
    """``probabilities`` with each task's temperature applied, float64 [N, classes of all tasks]."""
    scores = by_task(probabilities, chosen)
    return np.concatenate([scale(scores[name], temperatures[name]) for name in scores], axis=1)


def calibrate_across(
    label_ids: np.ndarray, probabilities: np.ndarray, parts: Sequence[np.ndarray], chosen: Tasks = ANSWER_TASKS
) -> np.ndarray:
    """Calibrate each part with temperatures fitted on all other parts, so that no part is fitted on itself."""
    calibrated = np.empty(probabilities.shape, np.float64)
    for part in parts:
        others = np.setdiff1d(np.arange(len(probabilities)), part)
        temperatures = fit_temperatures(label_ids[others], probabilities[others], chosen)
        calibrated[part] = calibrate(probabilities[part], temperatures, chosen)
    return calibrated


def threshold_for(label_ids: np.ndarray, probabilities: np.ndarray, chosen: Tasks = ANSWER_TASKS) -> dict[str, Any]:
    """The threshold chosen for :data:`TARGET_ACCURACY`, with the table that it was chosen from."""
    _, confidence, correct = _joint(label_ids, probabilities, chosen)
    table = risk_coverage(confidence, correct)
    return {
        "threshold": choose_threshold(table, TARGET_ACCURACY),
        "target_accuracy": TARGET_ACCURACY,
        "risk_coverage": table,
    }


def evaluate_predictions(
    label_ids: np.ndarray, probabilities: np.ndarray, threshold: float | None = None, chosen: Tasks = ANSWER_TASKS
) -> dict[str, Any]:
    """Metrics of a model's probabilities by task, each on the rows with its label; ready for JSON.

    With a ``threshold`` of "Not sure" there is also ``answer``, on the rows with an emotion label:
    :func:`answer_metrics`; ``unknown_target_rows``, where only the emotion is evaluated; and each emotion's shares. A
    model abstains more often on non-neutral texts, so the ``answered`` shares do not estimate those by ``labels``.
    """
    metrics = {
        task.name: evaluate_probabilities(ids, scores, task.labels)
        | {"ece": expected_calibration_error(ids, scores), "brier": brier_score(ids, scores)}
        for task, ids, scores in labelled(label_ids, probabilities, chosen)
    }
    if threshold is None:
        return metrics
    emotion_ids, confidence, correct = _joint(label_ids, probabilities, chosen)
    emotion = chosen[-1]
    known = label_ids[:, -1] >= 0
    non_neutral = known & (label_ids[:, -1] != emotion.neutral)
    guesses = by_task(probabilities, chosen)[emotion.name][known].argmax(axis=1)
    answered = guesses[confidence >= threshold]
    shares = {
        label: {
            "labels": float((emotion_ids == number).mean()),
            "best_guess": float((guesses == number).mean()),
            "answered": float((answered == number).mean()) if answered.size else None,
        }
        for number, label in enumerate(emotion.labels)
    }
    unknown = int((non_neutral & (label_ids[:, 0] == tasks.NO_LABEL)).sum())
    answer = answer_metrics(emotion_ids, confidence, correct, threshold, emotion.neutral)
    return metrics | {tasks.ANSWER: answer | {"unknown_target_rows": unknown, "emotion_shares": shares}}


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
    answered = confidence >= threshold
    return {
        "rows": len(correct),
        "accuracy": float(correct.mean()),
        "accuracy_interval": list(wilson_interval(int(correct.sum()), len(correct))),
        "emotion_rows": int(non_neutral.sum()),
        "emotion_rows_accuracy": float(correct[non_neutral].mean()) if non_neutral.any() else None,
        "threshold": threshold,
        "not_sure_share": float((~answered).mean()),
        "answered_accuracy": float(correct[answered].mean()) if answered.any() else None,
        "accuracy_not_sure_wrong": float((correct & answered).mean()),
    }


def evaluate_out_of_fold(
    label_ids: np.ndarray,
    probabilities: np.ndarray,
    parts: Sequence[np.ndarray],
    groups: np.ndarray | None = None,
    chosen: Tasks = ANSWER_TASKS,
) -> dict[str, Any]:
    """:func:`evaluate_predictions` and :func:`headline` of a cross-validation; ``parts`` are the rows of each fold.

    If the model gives answers, each part is first calibrated with temperatures from the other parts, as ``calibration``
    reports; the threshold is chosen on all predictions.
    """
    if not tasks.has_answer(task.name for task in chosen):
        metrics = evaluate_predictions(label_ids, probabilities, chosen=chosen)
        return metrics | {"headline": headline(metrics)}
    calibrated = calibrate_across(label_ids, probabilities, parts, chosen)
    threshold = threshold_for(label_ids, calibrated, chosen)
    metrics = evaluate_predictions(label_ids, calibrated, threshold["threshold"], chosen)
    calibration = evaluate_calibration(label_ids, probabilities, calibrated, groups, chosen)
    return {**metrics, "calibration": calibration | threshold, "headline": headline(metrics, calibration)}


def predictions(probabilities: np.ndarray, threshold: float | None = None, chosen: Tasks = ANSWER_TASKS) -> Any:
    """A table of the :func:`answer_outputs` of these probabilities, without the probabilities themselves."""
    import pandas as pd

    scores = [np.asarray(values, np.float32) for values in by_task(probabilities, chosen).values()]
    outputs = answer_outputs(scores, chosen, threshold)
    return pd.DataFrame({name: values for name, values in outputs.items() if values.ndim == 1})


def accuracy_intervals(
    label_ids: np.ndarray, probabilities: Sequence[np.ndarray], groups: np.ndarray, chosen: Tasks = ANSWER_TASKS
) -> dict[str, list[float]]:
    """95% intervals, ``[low, high]``, of the accuracies in :func:`headline`, averaged over seeds.

    ``probabilities`` has one array per seed; a metric over fewer than two groups has no interval.
    """
    correct = {}  # of each metric: which rows count, bool [N], and whether each seed is correct there, [seeds, N]
    for task, ids in zip(chosen, label_ids.T, strict=True):
        guesses = [by_task(each, chosen)[task.name].argmax(axis=1) for each in probabilities]
        correct[f"{task.name}_accuracy"] = ids >= 0, guesses == ids
    if tasks.has_answer(task.name for task in chosen):
        has_emotion = label_ids[:, -1] >= 0
        joint = np.zeros((len(probabilities), len(label_ids)), bool)
        joint[:, has_emotion] = [_joint(label_ids, each, chosen)[2] for each in probabilities]
        correct["answer_accuracy"] = has_emotion, joint
        correct["answer_emotion_rows_accuracy"] = has_emotion & (label_ids[:, -1] != chosen[-1].neutral), joint
    return {
        name: list(mean_interval(np.mean(of_seeds, axis=0)[known], groups[known]))
        for name, (known, of_seeds) in correct.items()
        if len(np.unique(groups[known])) > 1
    }


def evaluate_calibration(
    label_ids: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    groups: np.ndarray | None = None,
    chosen: Tasks = ANSWER_TASKS,
) -> dict[str, Any]:
    """ECE, Brier score and reliability of each task, ``before`` and ``after`` calibration.

    With ``groups`` also ``brier_gain``: by how much calibration lowers the Brier score, with its 95% interval.
    """
    metrics: dict[str, Any] = {}
    pairs = zip(labelled(label_ids, before, chosen), labelled(label_ids, after, chosen), label_ids.T, strict=True)
    for (task, ids, old), (_, _, new), all_ids in pairs:
        of_task = {"before": calibration_metrics(ids, old), "after": calibration_metrics(ids, new)}
        if groups is not None and len(np.unique(groups[all_ids >= 0])) > 1:
            gain = squared_distances(ids, old) - squared_distances(ids, new)
            interval = list(mean_interval(gain, groups[all_ids >= 0]))
            of_task["brier_gain"] = {"difference": float(gain.mean()), "interval": interval}
        if task.name == PRODUCT.name:
            correct = new.argmax(axis=1) == ids
            of_task["accuracy_at_80_percent"] = accuracy_at_coverage(new.max(axis=1), correct, COVERAGE)
        metrics[task.name] = of_task
    return metrics


def headline(metrics: dict[str, Any], calibration: dict[str, Any] | None = None) -> dict[str, float]:
    """The metrics that models are compared by, in one flat dict; with ``calibration``, also those of the answer."""
    flat = {}
    for name, of_task in metrics.items():
        if name != tasks.ANSWER:
            flat |= {f"{name}_accuracy": of_task["accuracy"], f"{name}_macro_f1": of_task["macro_f1"]}
    if calibration is None:
        return flat | {f"{name}_loss": of_task["loss"] for name, of_task in metrics.items()}
    answer = metrics[tasks.ANSWER]
    flat |= {
        "answer_accuracy": answer["accuracy"],
        "answer_emotion_rows_accuracy": answer["emotion_rows_accuracy"],
        "answer_not_sure_share": answer["not_sure_share"],
        "answer_answered_accuracy": answer["answered_accuracy"],
        **{f"{name}_ece": of_task["after"]["ece"] for name, of_task in calibration.items()},
    }
    if PRODUCT.name in calibration:
        flat["product_accuracy_at_80_percent"] = calibration[PRODUCT.name]["accuracy_at_80_percent"]
    return flat


def print_evaluation(console: Any, title: str, metrics: dict[str, Any]) -> None:
    """Print what :func:`evaluate_predictions` returned."""
    for name, of_task in metrics.items():
        if name in tasks.ALL_TASKS:
            print_metrics(console, f"{name}, {title}", of_task)
            line = f"calibration error {of_task['ece']:.4f} (15 bins), Brier score {of_task['brier']:.4f}"
            console.print(f"{name}, {title}: {line}", highlight=False, markup=False, soft_wrap=True)
    if tasks.ANSWER not in metrics:
        return
    answer = metrics[tasks.ANSWER]
    low, high = answer["accuracy_interval"]
    unknown = f" (of {answer['unknown_target_rows']:,} only the emotion is judged: they have no product label)"
    shares = (f"{name} {', '.join(map(figure, each.values()))}" for name, each in answer["emotion_shares"].items())
    lines = [
        f"answer, {title}: exactly correct {answer['accuracy']:.4f} (95% interval {low:.3f} to {high:.3f}) of "
        f"{answer['rows']:,} tweets, {figure(answer['emotion_rows_accuracy'])} of the {answer['emotion_rows']:,} "
        f"non-neutral{unknown if answer['unknown_target_rows'] else ''}",
        f"with 'Not sure' below {answer['threshold']:.2f}: {answer['not_sure_share']:.1%} not sure, "
        f"{figure(answer['answered_accuracy'])} of the given correct, {answer['accuracy_not_sure_wrong']:.4f} of all",
        f"shares by the labels, by the best guess, of the answered: {'; '.join(shares)}",
    ]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _joint(
    label_ids: np.ndarray, probabilities: np.ndarray, chosen: Tasks
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For the rows with an emotion label: true emotion, confidence of the best answer, and whether it is correct."""
    known = label_ids[:, -1] >= 0
    scores = [values[known] for values in by_task(probabilities, chosen).values()]
    confidence, correct = confidence_and_correctness(label_ids[known], scores, chosen[-1].neutral)
    return label_ids[known, -1], confidence, correct
