"""How good a model of the whole question is: each task, the joined answer, and what its probabilities are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import tasks
from tf_model.evaluation.calibration import (
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
    summarize,
    wilson_interval,
)
from tf_model.modeling.joint_label import confidence_and_right

if TYPE_CHECKING:
    import pandas
    from rich.console import Console

# What the threshold of "Not sure" is chosen for: this share of the answers that are given shall be right.
TARGET_ACCURACY = 0.8
COVERAGE = 0.8  # the share of surest products whose accuracy is reported


def by_task(values: np.ndarray) -> dict[str, np.ndarray]:
    """Probabilities [N, classes of all tasks] of a model of :data:`tf_model.tasks.ANSWER_TASKS`, by task."""
    ends = np.cumsum([len(task.labels) for task in tasks.ANSWER_TASKS])[:-1]
    return dict(zip([task.name for task in tasks.ANSWER_TASKS], np.split(values, ends, axis=1), strict=True))


def labels_by_task(label_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Label ids [N, tasks] by task, -1 where there is none."""
    return {task.name: label_ids[:, number] for number, task in enumerate(tasks.ANSWER_TASKS)}


def fit_temperatures(label_ids: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The temperature of each task; see :func:`tf_model.evaluation.calibration.fit_temperature`."""
    ids, scores = labels_by_task(label_ids), by_task(probabilities)
    return {name: fit_temperature(ids[name][ids[name] >= 0], scores[name][ids[name] >= 0]) for name in ids}


def calibrate(probabilities: np.ndarray, temperatures: dict[str, float]) -> np.ndarray:
    """``probabilities`` [N, classes of all tasks] with each task's temperature applied, float64."""
    scores = by_task(probabilities)
    return np.concatenate([scale(scores[name], temperatures[name]) for name in scores], axis=1)


def calibrate_across(label_ids: np.ndarray, probabilities: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Calibrate each part with temperatures that were fitted on all other parts, so that none judges itself."""
    calibrated = np.empty(probabilities.shape, np.float64)
    for part in parts:
        others = np.setdiff1d(np.arange(len(probabilities)), part)
        calibrated[part] = calibrate(probabilities[part], fit_temperatures(label_ids[others], probabilities[others]))
    return calibrated


def threshold_for(
    label_ids: np.ndarray, probabilities: np.ndarray, accuracy: float = TARGET_ACCURACY
) -> dict[str, Any]:
    """The threshold that ``accuracy`` asks for, with the table it was chosen from: ``threshold``, ``risk_coverage``."""
    _, confidence, right = _answers(label_ids, probabilities)
    table = risk_coverage(confidence, right)
    return {"threshold": choose_threshold(table, accuracy), "target_accuracy": accuracy, "risk_coverage": table}


def evaluate_answers(label_ids: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, Any]:
    """Compare a model's probabilities with the truth.

    Args:
        label_ids: int [N, tasks], -1 where a text has no label of a task.
        probabilities: Calibrated, float [N, classes of all tasks].
        threshold: Of "Not sure".

    Returns:
        ``product`` and ``emotion`` (``evaluate_probabilities`` on the rows with such a label, and
        the ``ece`` and ``brier`` of these probabilities) and
        ``answer`` (:func:`answer_metrics` on the rows with an emotion label,
        ``unknown_target_rows``, and ``emotion_shares``: :func:`emotion_shares`), ready for JSON.
    """
    ids, scores = labels_by_task(label_ids), by_task(probabilities)
    found = {}
    for task in tasks.ANSWER_TASKS:
        known = ids[task.name] >= 0
        of_task = ids[task.name][known], scores[task.name][known]
        found[task.name] = evaluate_probabilities(*of_task, task.labels) | {
            "ece": expected_calibration_error(*of_task),
            "brier": brier_score(*of_task),
        }
    emotion_ids, confidence, right = _answers(label_ids, probabilities)
    return found | {
        tasks.ANSWER: answer_metrics(emotion_ids, confidence, right, threshold)
        | {
            "unknown_target_rows": _unknown_targets(ids),
            "emotion_shares": emotion_shares(
                emotion_ids,
                scores[tasks.EMOTION.name][ids[tasks.EMOTION.name] >= 0].argmax(axis=1),
                confidence >= threshold,
            ),
        }
    }


def answer_metrics(
    emotion_ids: np.ndarray, confidence: np.ndarray, right: np.ndarray, threshold: float
) -> dict[str, Any]:
    """Figures of the joined answer, ready for JSON.

    Args:
        emotion_ids: True emotions, int [N].
        confidence: See :func:`confidence_and_right`.
        right: See :func:`confidence_and_right`.
        threshold: Below this confidence the answer is "Not sure".

    Returns:
        ``rows``; ``accuracy``, ``accuracy_interval`` and ``emotion_rows_accuracy`` (of the rows that carry an emotion)
        of the best guess, as if nothing was withheld; ``threshold``; and with it ``not_sure_share``,
        ``answered_accuracy`` (of what is answered, None if nothing is) and ``accuracy_not_sure_wrong`` (of all rows,
        "Not sure" counted as wrong).
    """
    carries = emotion_ids != tasks.EMOTIONS.index(tasks.NO_EMOTION)
    answered = confidence >= threshold
    return {
        "rows": len(right),
        "accuracy": float(right.mean()),
        "accuracy_interval": list(wilson_interval(int(right.sum()), len(right))),
        "emotion_rows": int(carries.sum()),
        "emotion_rows_accuracy": float(right[carries].mean()) if carries.any() else None,
        "threshold": threshold,
        "not_sure_share": float((~answered).mean()),
        "answered_accuracy": float(right[answered].mean()) if answered.any() else None,
        "accuracy_not_sure_wrong": float((right & answered).mean()),
    }


def emotion_shares(emotion_ids: np.ndarray, guesses: np.ndarray, answered: np.ndarray) -> dict[str, Any]:
    """What counting gives: how frequent each emotion is by the labels, by the best guesses, and among what is answered.

    What is withheld as "Not sure" has an emotion more often than what is answered, so the last is no estimate of the
    first.

    Args:
        emotion_ids: True emotions, int [N].
        guesses: The most probable emotions, int [N].
        answered: Whether the answer is not "Not sure", bool [N].

    Returns:
        By emotion ``labels``, ``best_guess`` and ``answered``, shares 0 to 1; the last is None where nothing is.
    """
    found = {}
    for number, emotion in enumerate(tasks.EMOTIONS):
        guessed = guesses == number
        found[emotion] = {
            "labels": float((emotion_ids == number).mean()),
            "best_guess": float(guessed.mean()),
            "answered": float(guessed[answered].mean()) if answered.any() else None,
        }
    return found


def evaluate_out_of_fold(
    label_ids: np.ndarray,
    probabilities: np.ndarray,
    parts: Sequence[np.ndarray],
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """Calibrate the probabilities of a cross-validation and compare them with the truth.

    The temperatures for a part come from the other parts; the threshold, one number, from all predictions.

    Args:
        label_ids: int [N, tasks], -1 where a text has no label of a task.
        probabilities: Out of fold, as the models gave them, float [N, classes of all tasks].
        parts: Positions of the rows of each fold.
        groups: Near-duplicates; see :func:`evaluate_calibration`.

    Returns:
        What :func:`evaluate_answers` returns, with ``calibration`` (:func:`evaluate_calibration` and
        :func:`threshold_for`) and ``headline`` (:func:`headline`).
    """
    calibrated = calibrate_across(label_ids, probabilities, parts)
    chosen = threshold_for(label_ids, calibrated)
    figures = evaluate_answers(label_ids, calibrated, chosen["threshold"])
    calibration = evaluate_calibration(label_ids, probabilities, calibrated, groups)
    return {**figures, "calibration": calibration | chosen, "headline": headline(figures, calibration)}


def predictions(probabilities: np.ndarray, threshold: float) -> pandas.DataFrame:
    """Calibrated probabilities [N, classes of all tasks] as ``predict`` gives them.

    With the columns ``product``, ``product_confidence``, ``emotion``, ``emotion_confidence``, ``answer`` and
    ``answer_confidence``.
    """
    import pandas

    from tf_model.device import import_tensorflow
    from tf_model.modeling.joint_label import NOT_SURE, best_two, candidates

    tf = import_tensorflow()
    columns: dict[str, Any] = {}
    scores = by_task(probabilities)
    for task in tasks.ANSWER_TASKS:
        columns[task.name] = [task.labels[number] for number in scores[task.name].argmax(axis=1)]
        columns[f"{task.name}_confidence"] = scores[task.name].max(axis=1)
    two = best_two(*(tf.constant(scores[task.name], tf.float32) for task in tasks.ANSWER_TASKS))
    guesses = np.array(candidates(tasks.PRODUCTS, tasks.EMOTIONS), object)[two["best"].numpy()]
    confidence = two["confidence"].numpy()
    columns[tasks.ANSWER] = np.where(confidence >= threshold, guesses, NOT_SURE)
    return pandas.DataFrame(columns | {"answer_confidence": confidence})


def accuracy_intervals(
    label_ids: np.ndarray, calibrated: Sequence[np.ndarray], groups: np.ndarray
) -> dict[str, list[float]]:
    """95% intervals of the accuracies in :func:`headline`, of the mean over seeds.

    Args:
        label_ids: int [N, tasks], -1 where a text has no label of a task.
        calibrated: Of each seed, probabilities [N, classes of all tasks].
        groups: Near-duplicates, int [N], which are drawn together; see ``mean_interval``.

    Returns:
        ``[low, high]`` by the name of the figure; one over fewer than two groups has none.
    """
    ids = labels_by_task(label_ids)
    emotions = ids[tasks.EMOTION.name]
    has_emotion = emotions >= 0
    felt = has_emotion & (emotions != tasks.EMOTIONS.index(tasks.NO_EMOTION))
    rows = {f"{name}_accuracy": of_task >= 0 for name, of_task in ids.items()}
    rows |= {"answer_accuracy": has_emotion, "answer_emotion_rows_accuracy": felt}
    right = {name: np.zeros(len(label_ids)) for name in rows}
    for probabilities in calibrated:
        for name, scores in by_task(probabilities).items():
            right[f"{name}_accuracy"] += scores.argmax(axis=1) == ids[name]
        _, _, exactly = _answers(label_ids, probabilities)
        right["answer_accuracy"][has_emotion] += exactly
    right["answer_emotion_rows_accuracy"] = right["answer_accuracy"]
    return {
        name: list(mean_interval(right[name][known] / len(calibrated), groups[known]))
        for name, known in rows.items()
        if _can_be_drawn(groups[known])
    }


def _can_be_drawn(groups: np.ndarray) -> bool:
    return len(np.unique(groups)) > 1


def evaluate_calibration(
    label_ids: np.ndarray, before: np.ndarray, after: np.ndarray, groups: np.ndarray | None = None
) -> dict[str, Any]:
    """ECE, Brier score and reliability of each task, ``before`` and ``after`` calibration.

    With ``groups``, near-duplicates as ``mean_interval`` takes them, also ``brier_gain``: by how
    much calibration lowers the Brier score, ``difference`` and its 95% ``interval``, tweet by tweet; a task of which
    fewer than two groups are labelled has none.
    """
    ids = labels_by_task(label_ids)
    found: dict[str, Any] = {}
    for name in ids:
        known = ids[name] >= 0
        found[name] = {
            when: calibration_metrics(ids[name][known], by_task(values)[name][known])
            for when, values in (("before", before), ("after", after))
        }
        if groups is not None and _can_be_drawn(groups[known]):
            old, new = (squared_distances(ids[name][known], by_task(values)[name][known]) for values in (before, after))
            found[name]["brier_gain"] = {
                "difference": float((old - new).mean()),
                "interval": list(mean_interval(old - new, groups[known])),
            }
    known = ids[tasks.PRODUCT.name] >= 0
    products = by_task(after)[tasks.PRODUCT.name][known]
    right = products.argmax(axis=1) == ids[tasks.PRODUCT.name][known]
    found[tasks.PRODUCT.name]["accuracy_at_80_percent"] = accuracy_at_coverage(products.max(axis=1), right, COVERAGE)
    return found


def headline(figures: dict[str, Any], calibration: dict[str, Any]) -> dict[str, float]:
    """The figures that models are compared by, flat."""
    product, emotion, answer = (figures[name] for name in (tasks.PRODUCT.name, tasks.EMOTION.name, tasks.ANSWER))
    return {
        "product_accuracy": product["accuracy"],
        "product_macro_f1": product["macro_f1"],
        "emotion_accuracy": emotion["accuracy"],
        "emotion_macro_f1": emotion["macro_f1"],
        "answer_accuracy": answer["accuracy"],
        "answer_emotion_rows_accuracy": answer["emotion_rows_accuracy"],
        "answer_not_sure_share": answer["not_sure_share"],
        "answer_answered_accuracy": answer["answered_accuracy"],
        "product_accuracy_at_80_percent": calibration[tasks.PRODUCT.name]["accuracy_at_80_percent"],
        "product_ece": calibration[tasks.PRODUCT.name]["after"]["ece"],
        "emotion_ece": calibration[tasks.EMOTION.name]["after"]["ece"],
    }


def summarize_headlines(headlines: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Mean and spread over seeds of each figure of :func:`headline`."""
    return {name: summarize(each[name] for each in headlines) for name in headlines[0]}


def print_answers(console: Console, title: str, figures: dict[str, Any]) -> None:
    """Print what :func:`evaluate_answers` returned."""
    for task in tasks.ANSWER_TASKS:
        print_metrics(console, f"{task.name}, {title}", figures[task.name])
        ece, brier = figures[task.name]["ece"], figures[task.name]["brier"]
        line = f"{task.name}, {title}: calibration error {ece:.4f} (15 bins), Brier score {brier:.4f}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    answer = figures[tasks.ANSWER]
    low, high = answer["accuracy_interval"]
    shares = (f"{name} {', '.join(map(figure, each.values()))}" for name, each in answer["emotion_shares"].items())
    lines = [
        f"answer, {title}: exactly right {answer['accuracy']:.4f} (95% interval {low:.3f} to {high:.3f}) of "
        f"{answer['rows']:,} tweets, {figure(answer['emotion_rows_accuracy'])} of the {answer['emotion_rows']:,} that "
        f"carry an emotion{_of_unknown_target(answer['unknown_target_rows'])}",
        f"with 'Not sure' below {answer['threshold']:.2f}: {answer['not_sure_share']:.1%} not sure, "
        f"{figure(answer['answered_accuracy'])} of the answered right, {answer['accuracy_not_sure_wrong']:.4f} of all",
        f"shares by the labels, by the best guess, of the answered: {'; '.join(shares)}",
    ]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _of_unknown_target(rows: int) -> str:
    return f" (the target of {rows:,} of them is unknown: only the emotion is judged)" if rows else ""


def _unknown_targets(ids: dict[str, np.ndarray]) -> int:
    """Rows that carry an emotion and have no product label: of their answers only the emotion is judged."""
    felt = (ids[tasks.EMOTION.name] >= 0) & (ids[tasks.EMOTION.name] != tasks.EMOTIONS.index(tasks.NO_EMOTION))
    return int((felt & (ids[tasks.PRODUCT.name] == tasks.NO_LABEL)).sum())


def _answers(label_ids: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the rows with an emotion label: true emotions, confidence of the best answer, whether it is right."""
    ids, scores = labels_by_task(label_ids), by_task(probabilities)
    known = ids[tasks.EMOTION.name] >= 0
    names = (tasks.PRODUCT.name, tasks.EMOTION.name)
    confidence, right = confidence_and_right(*(ids[n][known] for n in names), *(scores[n][known] for n in names))
    return ids[tasks.EMOTION.name][known], confidence, right
