"""The trained classifier as a SavedModel that maps raw strings to answers.

The folder can be served and loaded with tensorflow and tensorflow-text alone: cleaning and tokenizing are in its graph.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model.errors import ModelError
from tf_model.files import whole_folder, write_json
from tf_model.messages import first_line
from tf_model.model_card import model_card
from tf_model.recipes import Recipe
from tf_model.tasks import Task

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_model.fit import Fitted

SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Validated:
    """What the classifier said of the validation part, to be kept beside it without any text.

    Attributes:
        rows: int64 [N], row numbers in the data file.
        label_ids: int64 [N], the true classes.
        probabilities: float32 [N, classes].
    """

    rows: np.ndarray
    label_ids: np.ndarray
    probabilities: np.ndarray


def export(
    fitted: Fitted,
    folder: Path,
    *,
    task: Task,
    recipe: Recipe,
    metrics: Mapping[str, Any],
    validated: Validated,
    overwrite: bool = False,
) -> None:
    """Write a model folder, whole or not at all.

    It holds the SavedModel and ``recipe.json``, ``labels.json``, ``metrics.json``, ``history.csv``,
    ``validation_predictions.csv`` (row numbers, labels and probabilities, no text) and ``model_card.md``.

    Args:
        fitted: The trained classifier.
        folder: Where to; usually ``saved_models/<name>``.
        overwrite: Whether a model that is there may be replaced.

    Raises:
        OutputError: The folder is there already, or cannot be written.
    """
    with whole_folder(folder, overwrite) as part:
        save_graph(fitted, task.labels, part)
        write_json(part / "recipe.json", recipe.to_dict())
        write_json(part / "labels.json", {"task": task.name, "labels": list(task.labels)})
        write_json(part / "metrics.json", metrics)
        _write_rows(part / "history.csv", fitted.history)
        _write_rows(part / "validation_predictions.csv", _prediction_rows(validated, task.labels))
        (part / "model_card.md").write_text(model_card(folder.name, task, recipe, metrics), encoding="utf-8")


def save_graph(fitted: Fitted, labels: Sequence[str], folder: Path) -> None:
    """Save only the graph and its variables into ``folder``.

    The signature ``serving_default`` takes ``text``, string [N], and returns ``label`` string [N], ``confidence``
    float32 [N] and ``probabilities`` float32 [N, classes], softmax of the logits in the order of ``labels``.

    Raises:
        ModelError: TensorFlow cannot save the graph.
    """
    import tensorflow as tf

    from tf_model.model import class_probabilities

    names = tf.constant(list(labels))
    encoder, model = fitted.encoder, fitted.model

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def classify(text: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = class_probabilities(model, encoder(text))  # (N, classes)
        best = tf.argmax(probabilities, axis=-1)
        return {
            "label": tf.gather(names, best),
            "confidence": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
        }

    module = tf.Module()
    # The variables themselves rather than the Keras model, so that neither its layers' own functions nor the
    # optimizer's state are saved.
    module.weights = list(model.variables)
    module.encoder = encoder
    module.classify = classify
    try:
        tf.saved_model.save(module, str(folder), signatures={SIGNATURE: classify})
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


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
