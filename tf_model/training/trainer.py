"""Fitting: one model on one training part, with progress, a checkpoint after each epoch, and exact resumption."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model.config import Recipe
from tf_model.device import Runtime
from tf_model.errors import OutputError, UsageError, first_line
from tf_model.io.files import explain_write_errors, write_json
from tf_model.modeling import classifier as bert
from tf_model.modeling.backbone import Backbone

if TYPE_CHECKING:
    import tensorflow as tf
    from transformers import TFBertForSequenceClassification

    from tf_model.preprocessing.tokenizer import TextEncoder

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Part:
    """Texts and their classes: the training or the validation part of a split."""

    texts: Sequence[str]
    label_ids: np.ndarray  # int64 [N], or [N, tasks] with -1 where a text has no label of a task

    def __len__(self) -> int:
        return len(self.label_ids)


@dataclass
class Fitted:
    """A trained classifier with everything needed to use it.

    Attributes:
        model: The compiled classifier.
        encoder: From raw strings to its inputs.
        history: One row per epoch: ``epoch``, ``seconds``, ``loss``, ``accuracy``, and with a validation part
            ``val_loss`` and ``val_accuracy``. Training figures are running means with dropout, as Keras reports them.
    """

    model: TFBertForSequenceClassification
    encoder: TextEncoder
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time spent in epochs, interruptions left out."""
        return sum(row["seconds"] for row in self.history)

    @cached_property
    def _score(self) -> Callable[[dict[str, tf.Tensor]], tf.Tensor]:
        """Traced once, for all lengths and epochs."""
        from tf_model.preprocessing.batching import traced_once

        return traced_once(lambda inputs: bert.class_probabilities(self.model, inputs))

    def probabilities(self, token_ids: tf.RaggedTensor) -> np.ndarray:
        """Class probabilities, float32 [N, classes], of encoded texts (int32 [N, (tokens)]), in their order."""
        from tf_model.preprocessing.batching import scores

        return scores(self._score, token_ids, batch_size=EVALUATION_BATCH, max_tokens=self.encoder.max_tokens)

    def in_float32(self) -> Fitted:
        """The same classifier on one device, computing in float32, as it is exported; itself if it does so already."""
        import tf_keras

        shared = self.model.distribute_strategy.num_replicas_in_sync > 1
        if self.model.bert.dtype_policy.name == "float32" and not shared:
            return self
        policy = tf_keras.mixed_precision.global_policy()
        tf_keras.mixed_precision.set_global_policy("float32")
        try:
            model = type(self.model)(self.model.config)
            model(self.model.dummy_inputs)  # makes the variables
        finally:
            tf_keras.mixed_precision.set_global_policy(policy)
        model.set_weights(self.model.get_weights())
        return Fitted(model, self.encoder, self.history)


def fit(
    recipe: Recipe,
    backbone: Backbone,
    classes: Sequence[int],
    training: Part,
    validation: Part | None = None,
    *,
    runtime: Runtime,
    checkpoint: Checkpoint | None = None,
    callbacks: Sequence[Any] = (),
    pad_to: int | None = None,
    loss: Any = None,
) -> Fitted:
    """Train a classifier.

    Args:
        recipe: Every setting that decides what is learned.
        backbone: Weights to start from.
        classes: Number of classes of each task.
        training: What is learned from.
        validation: Scored after each epoch, for the history only: nothing is chosen by it.
        runtime: Devices and number format, from :func:`tf_model.device.prepare`.
        checkpoint: Where the state is kept after each epoch, and resumed from if it holds any.
        callbacks: More Keras callbacks, such as a progress bar.
        pad_to: See :func:`tf_model.preprocessing.batching.training_batches`.
        loss: See :func:`tf_model.modeling.classifier.compile_model`.

    Raises:
        UsageError: The backbone cannot read inputs of that many tokens.
    """
    backbone.check_length(max(recipe.max_tokens, pad_to or 0))
    import tf_keras

    from tf_model.preprocessing.batching import encode, steps_per_epoch, training_batches
    from tf_model.preprocessing.tokenizer import TextEncoder

    tf_keras.utils.set_random_seed(recipe.seed)
    encoder = TextEncoder(backbone.vocabulary, recipe.cleaning, backbone.lower_case, recipe.max_tokens)
    token_ids = encode(encoder, training.texts)
    steps = steps_per_epoch(len(training), recipe.batch_size)
    strategy = runtime.strategy()
    with strategy.scope():
        model = bert.build(backbone, classes, recipe.pooling)
        bert.compile_model(model, recipe, steps * recipe.epochs, xla=runtime.xla, loss=loss)
        model.optimizer.build(model.trainable_variables)
        if strategy.num_replicas_in_sync == 1:  # several make theirs inside a step
            bert.build_metrics(model, training.label_ids[:1])
        bert.reseed_dropout(model, recipe.seed)
    fitted = Fitted(model, encoder)
    if checkpoint:
        fitted.history = checkpoint.restore(model)
    done = len(fitted.history)
    if done >= recipe.epochs:
        return fitted
    batches = partial(
        training_batches,
        token_ids,
        training.label_ids,
        batch_size=recipe.batch_size,
        max_tokens=recipe.max_tokens,
        seed=recipe.seed,
        first_epoch=done,
        epochs=recipe.epochs,
        pad_to=pad_to,
    )
    with runtime.workers.losses_explained() if runtime.workers else nullcontext():
        model.fit(
            _shared(batches, strategy) if strategy.num_replicas_in_sync > 1 else batches(),
            initial_epoch=done,
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            verbose=0,
            callbacks=[_epochs(fitted, recipe, validation, checkpoint, runtime.place), *callbacks],
        )
    return fitted


def _shared(batches: Callable[..., tf.data.Dataset], strategy: Any) -> Any:
    """Every batch shared among the devices of all workers."""

    def own(context: Any) -> tf.data.Dataset:
        replicas, workers, worker = (
            context.num_replicas_in_sync,
            context.num_input_pipelines,
            context.input_pipeline_id,
        )
        here = replicas // workers
        return batches(replicas=replicas, own=range(worker * here, (worker + 1) * here))

    return strategy.distribute_datasets_from_function(own)


class Checkpoint:
    """The state of a run after its last whole epoch: weights, optimizer and history, replaced as one.

    Args:
        folder: Where it is kept; of several workers, one folder that all of them see.
        fingerprint: What must be the same for a run to be resumed: recipe, data, task. JSON-ready.
        place: Which worker this process is. Only the chief's state, that of worker 0, is resumed from; the others save
            along, each into a folder of its own, because TensorFlow may ask them for their part of it.
    """

    FINGERPRINT = "run.json"

    def __init__(self, folder: Path, fingerprint: dict[str, Any], place: int = 0):
        self.folder = folder
        self._own = folder / f"worker-{place}" if place else folder
        self.fingerprint = json.loads(json.dumps(fingerprint))
        self._manager: Any = None
        self._history: Any = None

    def epochs_done(self) -> int | None:
        """Epochs that can be resumed from, or None if there is no checkpoint."""
        import tensorflow as tf

        latest = tf.train.latest_checkpoint(str(self.folder))
        return len(json.loads(tf.train.load_variable(latest, _HISTORY_KEY))) if latest else None

    def check_resumable(self) -> None:
        """Raise :class:`UsageError` if the checkpoint belongs to another run."""
        path = self.folder / self.FINGERPRINT
        if not path.is_file():
            return
        then = json.loads(path.read_text(encoding="utf-8"))
        names = sorted({*then, *self.fingerprint})
        differing = [name for name in names if then.get(name) != self.fingerprint.get(name)]
        if differing:
            was = ", ".join(f"{name} was {then.get(name)}" for name in differing)
            raise UsageError(
                f"the unfinished run in {self.folder} had other settings ({was}); "
                "resume with those, or add --restart to begin again"
            )

    def forget_settings(self) -> None:
        """Let a run of other settings begin here; for a folder without a finished epoch."""
        (self.folder / self.FINGERPRINT).unlink(missing_ok=True)

    def begin(self) -> None:
        """Make the folder and say in it what the run is: a place that cannot be written to fails before the training.

        Raises:
            OutputError: It cannot be written to.
        """
        with explain_write_errors(self._own):
            self._own.mkdir(parents=True, exist_ok=True)
        if self._own != self.folder:
            return
        if not (self.folder / self.FINGERPRINT).is_file():
            write_json(self.folder / self.FINGERPRINT, self.fingerprint)

    def restore(self, model: TFBertForSequenceClassification) -> list[dict[str, float]]:
        """Load the last state into ``model`` if there is one, and return the history so far."""
        import tensorflow as tf

        self._history = tf.Variable("[]", dtype=tf.string, trainable=False)
        state = tf.train.Checkpoint(model=model, optimizer=model.optimizer, history=self._history)
        self._manager = tf.train.CheckpointManager(state, str(self._own), max_to_keep=1)
        latest = tf.train.latest_checkpoint(str(self.folder))
        if latest:
            state.restore(latest).assert_existing_objects_matched()
        return json.loads(self._history.numpy())

    def save(self, history: list[dict[str, float]]) -> None:
        """Keep the present state; the one before it is removed only when this one is whole."""
        import tensorflow as tf

        self.begin()
        self._history.assign(json.dumps(history))
        with explain_write_errors(self.folder):
            try:
                self._manager.save(checkpoint_number=len(history))
            except tf.errors.OpError as error:
                kept = "the epoch before is kept: free some space, then add --resume"
                raise OutputError(
                    f"cannot write the checkpoint in {self.folder}: {first_line(error)}; "
                    f"{kept if len(history) > 1 else 'free some space, then run the command again'}"
                ) from error

    def remove(self) -> None:
        """Delete the checkpoint: the run is over or starts again."""
        shutil.rmtree(self.folder, ignore_errors=True)


_HISTORY_KEY = "history/.ATTRIBUTES/VARIABLE_VALUE"


def _epochs(fitted: Fitted, recipe: Recipe, validation: Part | None, checkpoint: Checkpoint | None, place: int) -> Any:
    """A Keras callback that frames each epoch: reseeds before it; times, scores and saves after it.

    Each worker draws its dropout from a seed of its own, or the shares of a batch would all lose the same units.
    """
    import tf_keras

    from tf_model.preprocessing.batching import encode

    validation_ids = encode(fitted.encoder, validation.texts) if validation else None
    model, begun = fitted.model, 0.0

    def on_epoch_begin(epoch, logs=None):
        nonlocal begun
        begun = time.perf_counter()
        bert.reseed_dropout(model, recipe.seed * 1_000_003 + place * 7919 + epoch)

    def on_epoch_end(epoch, logs=None):
        row = {"epoch": epoch + 1, "seconds": time.perf_counter() - begun}
        row |= {name: float(value) for name, value in (logs or {}).items()}
        if validation:
            scores = fitted.probabilities(validation_ids)
            row |= _validated(validation.label_ids, scores, model.config.task_classes)
            logs.update(val_loss=row["val_loss"], val_accuracy=row["val_accuracy"])
        fitted.history.append(row)
        if checkpoint:
            checkpoint.save(fitted.history)

    return tf_keras.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin, on_epoch_end=on_epoch_end)


def _validated(label_ids: np.ndarray, probabilities: np.ndarray, classes: Sequence[int]) -> dict[str, float]:
    """Loss (summed over the tasks) and accuracy (of all labels) of a validation part, for the history."""
    from tf_model.evaluation.metrics import evaluate_probabilities

    found = []
    columns = np.split(probabilities, np.cumsum(classes)[:-1], axis=1)
    for ids, scores in zip(label_ids.reshape(len(label_ids), -1).T, columns, strict=True):
        if (ids >= 0).any():
            labels = [str(number) for number in range(scores.shape[1])]
            found.append(evaluate_probabilities(ids[ids >= 0], scores[ids >= 0], labels))
    accuracy = np.average([task["accuracy"] for task in found], weights=[task["rows"] for task in found])
    return {"val_loss": sum(task["loss"] for task in found), "val_accuracy": float(accuracy)}
