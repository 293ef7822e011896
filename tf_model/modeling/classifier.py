"""The classifier: ``TFBertForSequenceClassification``, built and compiled as in the report, or its MPNet counterpart.

In tf_model, only this and ``mean_pooling`` import transformers; prediction imports neither transformers nor Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tf_model.config import TrainingConfig
from tf_model.device import import_tensorflow
from tf_model.errors import ModelError, first_line
from tf_model.modeling.backbone import Backbone

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from transformers import TFBertForSequenceClassification


def build(backbone: Backbone, classes: Sequence[int], pooling: str = "cls") -> TFBertForSequenceClassification:
    """A pretrained BERT with a new, random classification layer; :class:`ModelError` if its weights do not fit.

    ``classes`` is the number of classes of each task; the logits of all tasks are in one layer, side by side.
    """
    import_tensorflow()
    import tf_keras
    import transformers

    from tf_model.modeling import mean_pooling

    architecture = {
        ("bert", "cls"): transformers.TFBertForSequenceClassification,
        ("bert", "mean"): mean_pooling.MeanPooledBertForSequenceClassification,
        ("mpnet", "cls"): transformers.TFMPNetForSequenceClassification,
        ("mpnet", "mean"): mean_pooling.MeanPooledMPNetForSequenceClassification,
    }[backbone.model_type, pooling]
    transformers.logging.set_verbosity_error()
    try:
        # Local safetensors only: nothing is fetched, nothing is unpickled. A classification layer of an earlier
        # fine-tuning may have another size and is replaced; anything else that does not fit is refused below.
        model, info = architecture.from_pretrained(
            backbone.folder,
            num_labels=sum(classes),
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"the backbone {backbone.name} cannot be loaded as a BERT: {first_line(error)}") from error
    names = [*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])]
    # A pretrained BERT may lack the classifier and the pooler: they are new, random and trained from scratch.
    missing = [name for name in names if "classifier" not in name and "pooler" not in name]
    if missing:
        raise ModelError(
            f"the weights of {backbone.name} do not fit its config.json: {len(missing)} of its layers' weights are "
            f"missing or of another size, such as {missing[0]}; download the folder again or choose another backbone"
        )
    # In mixed precision the logits and the loss stay in float32, as TensorFlow's guide recommends for the last layer.
    last_layer = getattr(model.classifier, "out_proj", model.classifier)  # MPNet's head has two layers
    last_layer._set_dtype_policy(tf_keras.mixed_precision.Policy("float32"))
    model.config.task_classes = list(classes)  # in the configuration, which copies of the model share
    return model


def compile_model(
    model: TFBertForSequenceClassification, config: TrainingConfig, steps: int, *, soft: bool = False
) -> None:
    """Compile with Adam and sparse categorical cross-entropy on the logits, summed over the model's tasks.

    Labels are int32 [B, tasks], -1 where there is none. The learning-rate schedule covers the ``steps`` of the whole
    run. With ``soft``, labels are soft targets, float32 [B, classes of all tasks]: the share of each class of a task,
    all 0 where there is no label. With R-Drop, each row of a batch comes twice in succession.
    """
    import tensorflow as tf
    import tf_keras

    # By default tf_keras uses XLA for the optimizer on a GPU.
    optimizer = tf_keras.optimizers.Adam(learning_rate(config, steps), jit_compile=False)
    classes, smoothing = model.config.task_classes, config.label_smoothing
    is_one_device = tf.distribute.get_strategy().num_replicas_in_sync == 1
    if len(classes) == 1 and is_one_device and not (soft or smoothing or config.r_drop):
        loss, metrics = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"]
    else:
        loss = _loss_of_targets(classes) if soft else _loss_of_tasks(classes, smoothing)
        metrics = [_accuracy_of_tasks(classes, soft)]
    if config.r_drop:
        loss = _with_r_drop(loss, classes, config.r_drop)
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics, jit_compile=False)
    # Without AutoGraph, as in `traced_once`.
    model.train_step = tf.autograph.experimental.do_not_convert(model.train_step)


def build_metrics(model: TFBertForSequenceClassification, label_ids: np.ndarray) -> None:
    """Create the variables of loss and metrics, which Keras would create in the first step and then trace it again.

    ``label_ids`` are those of one row of a batch, with its copy if there is one: int [rows, tasks], or soft targets.
    """
    import tensorflow as tf

    labels, logits = tf.constant(label_ids), tf.zeros([len(label_ids), sum(model.config.task_classes)])
    model.compiled_loss(labels, logits)
    model.compiled_metrics.update_state(labels, logits)
    model.reset_metrics()


def _loss_of_tasks(classes: Sequence[int], smoothing: float = 0.0) -> Any:
    """Mean cross-entropy of each task over the examples that have a label of it, summed over the tasks.

    ``smoothing`` spreads a share of each label evenly over all classes of its task (C. Szegedy et al., "Rethinking the
    Inception Architecture for Computer Vision", CVPR 2016). If several devices share a batch, the mean is over the
    whole batch; Keras divides each device's loss by the number of devices and adds the losses up.
    """
    import tensorflow as tf

    def losses_of(label_ids: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        if not smoothing:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(label_ids, scores)
        size = scores.shape[-1]
        targets = tf.one_hot(label_ids, size) * (1 - smoothing) + tf.constant(smoothing, tf.float32) / size
        return -tf.reduce_sum(targets * tf.nn.log_softmax(scores), axis=-1)

    def cross_entropy(label_ids: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        total = 0.0
        label_ids = tf.reshape(label_ids, [-1, len(classes)])
        for task, scores in enumerate(tf.split(logits, classes, axis=-1)):
            positions = tf.where(label_ids[:, task] >= 0)[:, 0]
            losses = losses_of(tf.gather(label_ids[:, task], positions), tf.gather(scores, positions))
            total += _mean_of_devices(losses, tf.cast(tf.size(losses), tf.float32))
        return total

    return cross_entropy


def _loss_of_targets(classes: Sequence[int]) -> Any:
    """:func:`_loss_of_tasks` for soft targets."""
    import tensorflow as tf

    def cross_entropy(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        total = 0.0
        targets = tf.maximum(targets, 0.0)  # -1 in the padding rows of a device's share
        for task_targets, scores in zip(tf.split(targets, classes, -1), tf.split(logits, classes, -1), strict=True):
            losses = -tf.reduce_sum(task_targets * tf.nn.log_softmax(scores), axis=-1)  # (B)
            label_count = tf.reduce_sum(tf.cast(tf.reduce_sum(task_targets, axis=-1) > 0, tf.float32))
            total += _mean_of_devices(losses, label_count)
        return total

    return cross_entropy


def _with_r_drop(cross_entropy: Any, classes: Sequence[int], weight: float) -> Any:
    """Add ``weight`` times the symmetric divergence between the two predictions of each row, summed over the tasks.

    The two differ by their dropout.
    Source: X. Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021.
    """
    import tensorflow as tf

    def loss(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        total = cross_entropy(labels, logits)
        is_row = tf.cast(tf.reduce_max(labels, axis=-1) >= 0, tf.float32)[::2]  # not padding of a device's share
        for scores in tf.split(logits, classes, axis=-1):
            one, other = scores[::2], scores[1::2]
            difference = tf.nn.log_softmax(one) - tf.nn.log_softmax(other)
            divergences = tf.reduce_sum((tf.nn.softmax(one) - tf.nn.softmax(other)) * difference, axis=-1) / 2
            total += weight * _mean_of_devices(divergences * is_row, tf.reduce_sum(is_row))
        return total

    return loss


def _mean_of_devices(losses: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The sum of losses, divided by their ``count`` on all devices, times the number of devices."""
    import tensorflow as tf

    devices = tf.distribute.get_replica_context()
    if devices.num_replicas_in_sync > 1:
        count = devices.all_reduce(tf.distribute.ReduceOp.SUM, count)
    return tf.math.divide_no_nan(tf.reduce_sum(losses), count) * devices.num_replicas_in_sync


def _accuracy_of_tasks(classes: Sequence[int], soft: bool = False) -> Any:
    """Accuracy over the labels of all tasks; the label of a soft target is its most probable class."""
    import tensorflow as tf
    import tf_keras

    class Accuracy(tf_keras.metrics.Mean):
        def update_state(self, label_ids, logits, sample_weight=None):
            predictions = [tf.argmax(scores, axis=-1) for scores in tf.split(logits, classes, axis=-1)]
            if soft:  # the most probable class of each task
                parts = tf.split(label_ids, classes, axis=-1)
                ids = [tf.where(tf.reduce_max(each, axis=-1) > 0, tf.argmax(each, axis=-1), -1) for each in parts]
                label_ids = tf.stack(ids, axis=1)
            label_ids = tf.reshape(tf.cast(label_ids, tf.int64), [-1, len(classes)])
            correct = tf.cast(tf.stack(predictions, axis=1) == label_ids, tf.float32)
            return super().update_state(correct, sample_weight=tf.cast(label_ids >= 0, tf.float32))

    return Accuracy("accuracy")


def learning_rate(config: TrainingConfig, steps: int) -> Any:
    """The learning rate, or a schedule of tf_keras for so many steps."""
    if config.schedule == "constant":
        return config.learning_rate
    import tf_keras
    from transformers import WarmUp

    warmup_steps = int(config.warmup * steps)
    decay = tf_keras.optimizers.schedules.PolynomialDecay(
        config.learning_rate, decay_steps=max(steps - warmup_steps, 1), end_learning_rate=0.0
    )
    return WarmUp(config.learning_rate, decay, warmup_steps) if warmup_steps else decay


def reseed_dropout(model: TFBertForSequenceClassification, seed: int) -> None:
    """Seed every dropout layer, so that dropout in one epoch does not depend on the epochs before it."""
    for number, layer in enumerate(layer for layer in model.submodules if hasattr(layer, "_random_generator")):
        layer._random_generator._maybe_init()  # otherwise Keras creates the generator at the first call
        layer._random_generator._generator.reset_from_seed(seed * 1009 + number)


def task_logits(model: TFBertForSequenceClassification, inputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
    """Logits of each task for one batch, float32 [B, classes] whatever the number format of the layers."""
    import tensorflow as tf

    logits = tf.cast(model(inputs, training=False).logits, tf.float32)  # (B, classes of all tasks)
    return tf.split(logits, model.config.task_classes, axis=-1)


def class_probabilities(model: TFBertForSequenceClassification, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
    """Softmax of each task's logits, side by side: float32 [B, classes of all tasks]."""
    import tensorflow as tf

    return tf.concat([tf.nn.softmax(logits) for logits in task_logits(model, inputs)], axis=-1)
