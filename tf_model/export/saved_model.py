"""The trained classifier as a SavedModel that maps raw strings to answers.

The folder can be served and loaded with tensorflow and tensorflow-text alone: cleaning and tokenizing are in its graph.

Training exports by itself; ``python -m tf_model.export`` exports a saved model again.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import model_dir
from tf_model.config import TrainingConfig
from tf_model.data import TrainingRows
from tf_model.data.products import Products, write_products
from tf_model.errors import ModelError, first_line
from tf_model.export.light import write_light
from tf_model.export.model_card import model_card
from tf_model.io.files import whole_folder, write_json
from tf_model.preprocessing.cleaning import MENTION_END, MENTION_START, mark_bytes
from tf_model.tasks import PRODUCT, TARGET, Task
from tf_model.training.trainer import Fitted

if TYPE_CHECKING:
    import tensorflow as tf


def export(
    fitted: Fitted,
    folder: Path,
    *,
    config: TrainingConfig,
    metrics: Mapping[str, Any],
    validation: TrainingRows,
    probabilities: np.ndarray,
    training_texts: Sequence[str] = (),
    calibration: Mapping[str, Any] | None = None,
    out_of_fold: tuple[np.ndarray, np.ndarray] | None = None,
    reference: Any = None,
    products: Products | None = None,
    overwrite: bool = False,
) -> None:
    """Write a model folder with the files that :mod:`tf_model.model_dir` names, whole or not at all.

    ``probabilities``, float [N, classes of all tasks], are those of the rows ``validation``; ``training_texts`` fix
    scales of the light model. ``calibration``, for a model that gives answers, is what
    :func:`tf_model.training.cross_validation.calibrate_out_of_fold` returns first. ``out_of_fold`` is as
    :func:`tf_model.model_dir.read_out_of_fold` returns it; ``reference`` is a
    :class:`tf_model.monitor.reference.Reference`. Raises :class:`OutputError` if the folder cannot be written.
    """
    import pandas

    tasks = validation.tasks
    with whole_folder(folder, overwrite) as part:
        save_graph(fitted, tasks, part, calibration)
        labels = {task.name: list(task.labels) for task in tasks}
        content = {"task": metrics["task"], "labels": labels, "no_emotion": tasks[-1].no_emotion}
        write_json(part / model_dir.LABELS, content)
        if calibration:
            write_json(part / model_dir.CALIBRATION, calibration)
        if out_of_fold:
            rows, scores = out_of_fold
            np.savez_compressed(part / model_dir.OUT_OF_FOLD, rows=rows, probabilities=scores.astype(np.float16))
        if reference:
            reference.save(part)
        if products:
            write_products(products, part / model_dir.PRODUCTS)
        write_light(fitted, tasks, part, calibration, validation, probabilities, training_texts)
        model_dir.write_manifest(part)
        write_json(part / model_dir.RECIPE, config.to_dict())
        write_json(part / model_dir.METRICS, metrics)
        pandas.DataFrame(fitted.history).to_csv(part / model_dir.HISTORY, index=False, lineterminator="\r\n")
        predictions = pandas.DataFrame({"row": validation.rows})  # without any text
        for task, label_ids in zip(tasks, validation.judged_ids.T, strict=True):
            predictions[task.name] = np.array([*task.labels, ""], object)[label_ids]  # the index -1, no label, picks ""
        columns = [model_dir.probability_column(task.name, label) for task in tasks for label in task.labels]
        predictions[columns] = probabilities
        if products:
            mentions = (each.partition(MENTION_START)[2].partition(MENTION_END)[0] for each in validation.texts)
            predictions[PRODUCT.name] = [next(iter(products.first_mentions(mention)), "") for mention in mentions]
        predictions.to_csv(part / model_dir.PREDICTIONS, index=False, float_format="%.6f", lineterminator="\r\n")
        card = model_card(folder.name, tasks, config, metrics, calibration)
        (part / model_dir.CARD).write_text(card, encoding="utf-8")


def save_graph(
    fitted: Fitted, tasks: Sequence[Task], folder: Path, calibration: Mapping[str, Any] | None = None
) -> None:
    """Save the graph and its variables into ``folder``; :class:`ModelError` if TensorFlow cannot.

    ``serving_default`` takes ``text``, string [N], and returns :func:`tf_model.modeling.joint_label.answer_outputs`. A
    model of one task without calibration returns them as ``label``, ``confidence`` and ``probabilities`` too. A model
    of targets reads texts of :func:`tf_model.preprocessing.cleaning.mark`; its signature ``targets`` returns the same
    outputs, and takes ``text``, string [N], and the bytes at which the mention begins and ends, ``start`` and ``end``,
    int32 [N].

    ``measure`` adds ``unknown_share``, float32 [N], the UNK rate of each text; and ``tokenize_seconds`` and
    ``model_seconds``, float64.
    """
    import tensorflow as tf

    from tf_model.modeling.classifier import task_logits
    from tf_model.modeling.joint_label import answer_outputs

    encoder, model = fitted.encoder, fitted.model
    temperatures = calibration["temperature"] if calibration else {task.name: 1.0 for task in tasks}

    def predict(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        logits = zip(tasks, task_logits(model, inputs), strict=True)
        probabilities = [tf.nn.softmax(each / temperatures[task.name]) for task, each in logits]
        threshold = calibration["threshold"] if calibration else None
        outputs = answer_outputs(probabilities, tasks, threshold, tf.experimental.numpy)
        if calibration:
            return outputs
        aliases = ("label", "confidence", "probabilities")
        return outputs | {alias: tf.identity(value) for alias, value in zip(aliases, outputs.values(), strict=True)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    @tf.autograph.experimental.do_not_convert
    def serving(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return predict(encoder(text))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    @tf.autograph.experimental.do_not_convert
    def measure(text: tf.Tensor) -> dict[str, tf.Tensor]:
        began = tf.timestamp()
        with tf.control_dependencies([began]):
            text = tf.identity(text)
        inputs = encoder(text)
        with tf.control_dependencies(list(inputs.values())):
            tokenized = tf.timestamp()
        outputs = predict(inputs)
        with tf.control_dependencies(list(outputs.values())):
            ended = tf.timestamp()
        seconds = {"tokenize_seconds": tokenized - began, "model_seconds": ended - tokenized}
        return outputs | {"unknown_share": encoder.unk_rates(inputs)} | seconds

    @tf.function(input_signature=[tf.TensorSpec([None], dtype) for dtype in (tf.string, tf.int32, tf.int32)])
    @tf.autograph.experimental.do_not_convert
    def targets(text: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> dict[str, tf.Tensor]:
        return predict(encoder(mark_bytes(text, start, end)))

    module = tf.Module()
    # The variables themselves rather than the Keras model, so that neither its layers' own functions nor the
    # optimizer's state are saved.
    module.weights = list(model.variables)
    module.encoder = encoder
    module.serving, module.measure = serving, measure
    signatures = {model_dir.SIGNATURE: serving, model_dir.MEASURE: measure}
    if tasks[0].name == TARGET.name:
        module.targets = targets
        signatures["targets"] = targets
    try:
        tf.saved_model.save(module, str(folder), signatures=signatures)
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, "No space left on device") from error
    except tf.errors.OpError as error:
        raise ModelError(f"the model cannot be saved: {first_line(error)}") from error
