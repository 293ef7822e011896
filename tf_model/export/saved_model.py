"""The trained classifier as a SavedModel that maps raw strings to answers.

The folder can be served and loaded with tensorflow and tensorflow-text alone: cleaning and tokenizing are in its graph.

Training exports by itself. ``python -m tf_model.export`` exports a model that is there once more: as a SavedModel by
the present code, or as weights to train on from.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import model_dir
from tf_model.config import Recipe
from tf_model.errors import ModelError, first_line
from tf_model.export.model_card import model_card
from tf_model.inference.attribution import SIGNATURE as EXPLAIN
from tf_model.inference.attribution import explain_function
from tf_model.inference.predictor import MEASURE, probability_column
from tf_model.io.files import whole_folder, write_json
from tf_model.tasks import ANSWER, EMOTION, PRODUCT, Task

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_model.monitor.reference import Reference
    from tf_model.training.trainer import Fitted


@dataclass(frozen=True)
class Validated:
    """What the classifier said of the validation part, to be kept beside it without any text.

    Attributes:
        rows: int64 [N], row numbers in the data file.
        label_ids: int64 [N], the true classes; of a model of several tasks [N, tasks], -1 where there is no label.
        probabilities: float [N, classes], those of several tasks side by side.
    """

    rows: np.ndarray
    label_ids: np.ndarray
    probabilities: np.ndarray


def export(
    fitted: Fitted,
    folder: Path,
    *,
    tasks: Sequence[Task],
    recipe: Recipe,
    metrics: Mapping[str, Any],
    validated: Validated,
    calibration: Mapping[str, Any] | None = None,
    reference: Reference | None = None,
    overwrite: bool = False,
) -> None:
    """Write a model folder, whole or not at all.

    It holds the SavedModel and ``recipe.json``, ``labels.json``, ``metrics.json``, ``history.csv``,
    ``validation_predictions.csv`` (row numbers, labels and probabilities, no text), ``model_card.md``, of a calibrated
    model ``calibration.json``, and ``reference.json``.

    Args:
        fitted: The trained classifier.
        folder: Where to; usually ``saved_models/<name>``.
        tasks: What it answers: one task, or both.
        calibration: ``temperature`` by task and ``threshold``, and whatever else is to be kept. A model of both tasks
            needs it.
        reference: What its predictions look like where all is well, for monitoring.
        overwrite: Whether a model that is there may be replaced.

    Raises:
        OutputError: The folder is there already, or cannot be written.
    """
    labels = {task.name: task.labels for task in tasks}
    with whole_folder(folder, overwrite) as part:
        if len(tasks) == 1:
            save_graph(fitted, tasks[0], part)
            write_json(part / model_dir.LABELS, {"task": tasks[0].name, "labels": list(tasks[0].labels)})
            predictions = _prediction_rows(validated, tasks[0].labels)
        else:
            save_answer_graph(fitted, labels, part, calibration["temperature"], calibration["threshold"])
            write_json(
                part / model_dir.LABELS, {"task": ANSWER, **{name: list(names) for name, names in labels.items()}}
            )
            predictions = _answer_prediction_rows(validated, labels)
        if calibration:
            write_json(part / model_dir.CALIBRATION, calibration)
        if reference:
            reference.save(part)
        write_json(part / model_dir.RECIPE, recipe.to_dict())
        write_json(part / model_dir.METRICS, metrics)
        _write_rows(part / model_dir.HISTORY, fitted.history)
        _write_rows(part / model_dir.PREDICTIONS, predictions)
        card = model_card(folder.name, tasks, recipe, metrics, calibration)
        (part / model_dir.CARD).write_text(card, encoding="utf-8")


def save_graph(fitted: Fitted, task: Task, folder: Path) -> None:
    """Save the graph of one task and its variables into ``folder``.

    The signature ``serving_default`` takes ``text``, string [N], and returns ``label`` string [N], ``confidence``
    float32 [N] and ``probabilities`` float32 [N, classes], softmax of the logits in the order of the task's labels.
    ``measure``: see :func:`_save`; ``explain``: see :func:`tf_model.inference.attribution.explain_function`.

    Raises:
        ModelError: TensorFlow cannot save the graph.
    """
    import tensorflow as tf

    from tf_model.modeling.classifier import class_probabilities

    names = tf.constant(list(task.labels))
    model = fitted.model

    def classify(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        probabilities = class_probabilities(model, inputs)  # (N, classes)
        best = tf.argmax(probabilities, axis=-1)
        return {
            "label": tf.gather(names, best),
            "confidence": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
        }

    _save(fitted, folder, classify, explain_function(fitted, {task.name: task.labels}, {task.name: 1.0}))


def save_answer_graph(
    fitted: Fitted,
    labels: Mapping[str, Sequence[str]],
    folder: Path,
    temperatures: Mapping[str, float],
    threshold: float,
) -> None:
    """Save the graph of the whole question and its variables into ``folder``.

    The signature ``serving_default`` takes ``text``, string [N], and returns, for ``product`` and ``emotion`` each,
    ``<task>`` string [N], ``<task>_confidence`` float32 [N] and ``<task>_probabilities`` float32 [N, classes],
    calibrated; ``answer`` string [N]; and what it was decided from: ``answer_confidence`` float32 [N], ``best_guess``
    and ``second_guess`` string [N]. See ``joint_label`` for the rule. ``measure``: see ``_save``;
    ``explain``: see :func:`tf_model.inference.attribution.explain_function`.

    Args:
        labels: Classes of each task, in the order of the logits.
        temperatures: By which each task's logits are divided.
        threshold: Least confidence of an answer that is not "Not sure".

    Raises:
        ModelError: TensorFlow cannot save the graph.
    """
    import tensorflow as tf

    from tf_model.modeling.classifier import task_logits
    from tf_model.modeling.joint_label import NOT_SURE, best_two, candidates

    model = fitted.model
    guesses = tf.constant(candidates(labels[PRODUCT.name], labels[EMOTION.name]))

    def answer(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found = {}
        for (task, names), logits in zip(labels.items(), task_logits(model, inputs), strict=True):
            probabilities = tf.nn.softmax(logits / temperatures[task])  # (N, classes)
            found |= {
                task: tf.gather(tf.constant(list(names)), tf.argmax(probabilities, axis=-1)),
                f"{task}_confidence": tf.reduce_max(probabilities, axis=-1),
                f"{task}_probabilities": probabilities,
            }
        two = best_two(found[f"{PRODUCT.name}_probabilities"], found[f"{EMOTION.name}_probabilities"])
        best = tf.gather(guesses, two["best"])
        return found | {
            "answer": tf.where(two["confidence"] >= threshold, best, NOT_SURE),
            "answer_confidence": two["confidence"],
            "best_guess": best,
            "second_guess": tf.gather(guesses, two["second"]),
        }

    _save(fitted, folder, answer, explain_function(fitted, labels, temperatures))


def _save(fitted: Fitted, folder: Path, answer: Callable[[dict[str, tf.Tensor]], Any], explain: Any) -> None:
    """Save what maps encoded texts to answers behind the encoder, as ``serving_default`` and as ``measure``.

    The second returns what the first does, and ``unknown_share``, float32 [N], the share of each text's tokens that the
    vocabulary does not know; ``tokenize_seconds`` and ``model_seconds``, float64, how long cleaning and tokenizing
    took, and what came after.
    """
    import tensorflow as tf

    encoder = fitted.encoder

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serving(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(encoder(text))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def measure(text: tf.Tensor) -> dict[str, tf.Tensor]:
        began = tf.timestamp()
        with tf.control_dependencies([began]):
            text = tf.identity(text)
        inputs = encoder(text)
        with tf.control_dependencies(list(inputs.values())):
            between = tf.timestamp()
        found = answer(inputs)
        with tf.control_dependencies(list(found.values())):
            ended = tf.timestamp()
        seconds = {"tokenize_seconds": between - began, "model_seconds": ended - between}
        return found | {"unknown_share": encoder.unknown_shares(inputs)} | seconds

    module = tf.Module()
    # The variables themselves rather than the Keras model, so that neither its layers' own functions nor the
    # optimizer's state are saved.
    module.weights = list(fitted.model.variables)
    module.encoder = encoder
    module.serving, module.measure, module.explain = serving, measure, explain
    signatures = {model_dir.SIGNATURE: serving, MEASURE: measure, EXPLAIN: explain}
    try:
        tf.saved_model.save(module, str(folder), signatures=signatures)
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(28, "No space left on device") from error
    except tf.errors.OpError as error:
        raise ModelError(f"the model cannot be saved: {first_line(error)}") from error


def _prediction_rows(validated: Validated, labels: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for row, label_id, scores in zip(validated.rows, validated.label_ids, validated.probabilities, strict=True):
        values = {"row": int(row), "label": labels[label_id], "predicted": labels[int(scores.argmax())]}
        rows.append(values | {name: f"{score:.6f}" for name, score in zip(labels, scores, strict=True)})
    return rows


def _answer_prediction_rows(validated: Validated, labels: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    columns = [probability_column(task, label) for task, names in labels.items() for label in names]
    rows = []
    for row, label_ids, scores in zip(validated.rows, validated.label_ids, validated.probabilities, strict=True):
        values: dict[str, Any] = {"row": int(row)}
        for (task, names), label_id in zip(labels.items(), label_ids, strict=True):
            values[task] = names[label_id] if label_id >= 0 else ""
        rows.append(values | {name: f"{score:.6f}" for name, score in zip(columns, scores, strict=True)})
    return rows


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
