"""The trained classifier as a SavedModel that maps raw strings to answers.

The folder can be served and loaded with tensorflow and tensorflow-text alone: cleaning and tokenizing are in its graph.

Training exports by itself. ``python -m tf_model.export`` exports a model that is there once more: as a SavedModel by
the present code, or as weights to train on from.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import console, model_folder, paths
from tf_model.backbone import TRAINED_ON
from tf_model.errors import ModelError, OutputError, UsageError
from tf_model.explanation import SIGNATURE as EXPLAIN
from tf_model.explanation import explain_function
from tf_model.files import explain_write_errors, refuse_to_overwrite, whole_folder, write_json
from tf_model.messages import first_line
from tf_model.model_card import model_card
from tf_model.predictor import MEASURE, Predictor, probability_column
from tf_model.recipes import Recipe
from tf_model.tasks import ANSWER, EMOTION, PRODUCT, Task

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_model.fit import Fitted
    from tf_model.monitor.reference import Reference
    from tf_model.trained import Trained

FORMATS = ("saved-model", "weights")
EXPORTED = (model_folder.GRAPH, "model.safetensors")  # one of them is in what either makes
SAME_PROBABILITIES = 1e-5  # how far those of a model that was exported once more may be from its own
CHECKED_TEXTS = 64


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
            write_json(part / model_folder.LABELS, {"task": tasks[0].name, "labels": list(tasks[0].labels)})
            predictions = _prediction_rows(validated, tasks[0].labels)
        else:
            save_answer_graph(fitted, labels, part, calibration["temperature"], calibration["threshold"])
            write_json(
                part / model_folder.LABELS, {"task": ANSWER, **{name: list(names) for name, names in labels.items()}}
            )
            predictions = _answer_prediction_rows(validated, labels)
        if calibration:
            write_json(part / model_folder.CALIBRATION, calibration)
        if reference:
            reference.save(part)
        write_json(part / model_folder.RECIPE, recipe.to_dict())
        write_json(part / model_folder.METRICS, metrics)
        _write_rows(part / model_folder.HISTORY, fitted.history)
        _write_rows(part / model_folder.PREDICTIONS, predictions)
        card = model_card(folder.name, tasks, recipe, metrics, calibration)
        (part / model_folder.CARD).write_text(card, encoding="utf-8")


def save_graph(fitted: Fitted, task: Task, folder: Path) -> None:
    """Save the graph of one task and its variables into ``folder``.

    The signature ``serving_default`` takes ``text``, string [N], and returns ``label`` string [N], ``confidence``
    float32 [N] and ``probabilities`` float32 [N, classes], softmax of the logits in the order of the task's labels.
    ``measure``: see :func:`_save`; ``explain``: see :func:`tf_model.explanation.explain_function`.

    Raises:
        ModelError: TensorFlow cannot save the graph.
    """
    import tensorflow as tf

    from tf_model.model import class_probabilities

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
    and ``second_guess`` string [N]. See :mod:`tf_model.answers` for the rule. ``measure``: see :func:`_save`;
    ``explain``: see :func:`tf_model.explanation.explain_function`.

    Args:
        labels: Classes of each task, in the order of the logits.
        temperatures: By which each task's logits are divided.
        threshold: Least confidence of an answer that is not "Not sure".

    Raises:
        ModelError: TensorFlow cannot save the graph.
    """
    import tensorflow as tf

    from tf_model.answers import NOT_SURE, best_two, candidates
    from tf_model.model import task_logits

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
    signatures = {model_folder.SIGNATURE: serving, MEASURE: measure, EXPLAIN: explain}
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


# ---------------------------------------------------------------- command line


def main(argv: list[str] | None = None) -> int:
    """``python -m tf_model.export``: export a trained model once more."""
    arguments = _parser().parse_args(argv)
    refuse_to_overwrite(arguments.output, arguments.overwrite)
    from tf_model import trained

    found = trained.load(arguments.model)
    _check_place(arguments.output, found.predictor.folder)
    with console.stopped_cleanly(), whole_folder(arguments.output, arguments.overwrite) as part:
        (_write_weights if arguments.format == "weights" else _write_again)(found, part)
    said = f"exported {paths.shown(found.predictor.folder)} into {paths.shown(arguments.output)}"
    use = "train --backbone" if arguments.format == "weights" else "predict --model"
    console.say(f"{said}; use it with `python -m tf_model.{use} {paths.shown(arguments.output)}`")
    return 0


def _check_place(output: Path, model: Path) -> None:
    """Refuse to replace anything but an earlier export.

    Raises:
        OutputError: ``output`` is a folder of something else.
        UsageError: It is the model itself, or holds it.
    """
    with explain_write_errors(output):
        if not output.is_dir():
            return
        if model.resolve().is_relative_to(output.resolve()):
            raise UsageError(f"{paths.shown(output)} is or holds the model that is exported; choose another --output")
        if any(output.iterdir()) and not any((output / name).is_file() for name in EXPORTED):
            raise OutputError(
                f"{paths.shown(output)} holds neither a saved model nor weights and is not replaced; choose another "
                "place"
            )


def _write_again(found: Trained, folder: Path) -> None:
    """The SavedModel as the present code makes it, and the papers as they are.

    Raises:
        ModelError: It does not give the same probabilities: the code reads texts in another way than it did.
    """
    shutil.copytree(
        found.predictor.folder, folder, ignore=shutil.ignore_patterns(*model_folder.SAVED_MODEL), dirs_exist_ok=True
    )
    if len(found.tasks) == 1:
        save_graph(found.fitted, found.tasks[0], folder)
    else:
        calibration = json.loads((folder / model_folder.CALIBRATION).read_text(encoding="utf-8"))
        labels = {task.name: task.labels for task in found.tasks}
        save_answer_graph(found.fitted, labels, folder, calibration["temperature"], calibration["threshold"])
    difference = _difference(found.predictor, Predictor.load(folder))
    if difference > SAME_PROBABILITIES:
        raise ModelError(
            f"{found.predictor.folder} and its export differ by {difference:.2g} in a probability: it was trained by "
            "code that reads texts in another way; train it again"
        )


def _difference(one: Predictor, other: Predictor) -> float:
    """The largest difference of a probability between two models, on the texts of the sample corpus."""
    from tf_model.data import read
    from tf_model.predict import predict_texts
    from tf_model.tasks import TEXT_COLUMN

    texts = read(paths.SAMPLE_CORPUS).labelled[TEXT_COLUMN].head(CHECKED_TEXTS).tolist()
    frames = [predict_texts(each, texts, probabilities=True) for each in (one, other)]
    columns = [probability_column(task, label) for task, labels in one.labels.items() for label in labels]
    return float(np.abs(frames[0][columns].to_numpy() - frames[1][columns].to_numpy()).max())


def _write_weights(found: Trained, folder: Path) -> None:
    """The classifier as Hugging Face's libraries keep it, which is what ``--backbone`` reads."""
    found.fitted.model.save_pretrained(folder, safe_serialization=True)
    (folder / "model.safetensors").chmod(0o644)  # else it is its owner's alone
    shutil.copy(found.backbone.vocabulary, folder / "vocab.txt")
    write_json(folder / "tokenizer_config.json", {"do_lower_case": found.backbone.lower_case})
    validated, unseen = found.predictor.folder / model_folder.PREDICTIONS, []
    if validated.is_file():
        with validated.open(encoding="utf-8", newline="") as file:
            unseen = sorted(int(row["row"]) for row in csv.DictReader(file))
    own = {"data_sha256": found.predictor.metrics.get("data_sha256", ""), "unseen": unseen}
    before = [{"data_sha256": each.data_sha256, "unseen": sorted(each.unseen)} for each in found.backbone.trained_on]
    extra = found.predictor.metrics.get("extra")
    more = [{"data_sha256": extra["sha256"], "unseen": []}] if extra else []
    write_json(folder / TRAINED_ON, [*before, own, *more])


def _parser() -> argparse.ArgumentParser:
    parser = console.parser("tf_model.export", "Export a trained model once more; training has done it once.")
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help="folder of a saved model; if not given, saved_models/answer, or saved_models/product",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder to make")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="saved-model: raw strings in, answers out, as the present code makes it, with the papers of MODEL; "
        "weights: a folder in the format of Hugging Face, to train on from with --backbone",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DIR if it exists")
    return parser


if __name__ == "__main__":
    console.run(main)
