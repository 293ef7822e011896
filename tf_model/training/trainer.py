"""Train one classifier on one training part, with a checkpoint after each epoch and exact resumption."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import cli
from tf_model.config import TrainingConfig
from tf_model.data import TrainingRows
from tf_model.data.opinions import opinion_pairs
from tf_model.data.splits import Split
from tf_model.device import Runtime
from tf_model.errors import ModelError
from tf_model.modeling import classifier as bert
from tf_model.modeling.backbone import Backbone
from tf_model.preprocessing.cleaning import unmark
from tf_model.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    import tensorflow as tf
    from transformers import TFBertForSequenceClassification

    from tf_model.preprocessing.tokenizer import TextEncoder

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Examples:
    """Encoded texts, int32 [N, (tokens)], and their classes, int64 [N, tasks], -1 where a text has no label."""

    token_ids: tf.RaggedTensor
    label_ids: np.ndarray
    texts: Sequence[str] = ()  # raw texts, if more examples are made from them
    targets: np.ndarray | None = None  # float32 [N, classes of all tasks]: soft targets, learned instead of classes

    def __len__(self) -> int:
        return len(self.label_ids)

    def with_pairs(self, encoder: TextEncoder, joined_count: int, opinion_count: int, seed: int) -> Examples:
        """These examples, and those made by :func:`join_texts` and :func:`opinion_pairs`."""
        import tensorflow as tf

        from tf_model.preprocessing.batching import encode

        texts, positions = join_texts(self.texts, self.label_ids[:, 0], joined_count, seed)
        opinion_texts, emotions = opinion_pairs(opinion_count, seed)
        token_ids = tf.concat([self.token_ids, encode(encoder, texts + opinion_texts)], axis=0)
        return Examples(token_ids, np.concatenate([self.label_ids, self.label_ids[positions], emotions[:, np.newaxis]]))


def join_texts(texts: Sequence[str], label_ids: np.ndarray, pairs: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Join marked texts in pairs: ``2 * pairs`` texts, and the position of the text whose mark each keeps, int64.

    Few tweets express opposite emotions about two products, but two tweets together can, and both labels are known. All
    classes of ``label_ids``, int [N], are drawn equally often, so that opposites are common.
    """
    weights = 1 / np.bincount(label_ids)[label_ids]
    positions = np.random.default_rng(seed).choice(len(texts), size=2 * pairs, p=weights / weights.sum())
    joined_texts = []
    for first, second in positions.reshape(-1, 2):
        joined_texts += [f"{texts[first]} {unmark(texts[second])}", f"{unmark(texts[first])} {texts[second]}"]
    return joined_texts, positions


def text_encoder(config: TrainingConfig, backbone: Backbone) -> TextEncoder:
    """The encoder of raw strings to token ids; :class:`UsageError` if the backbone cannot read ``max_tokens``."""
    backbone.check_length(config.max_tokens)
    return _text_encoder(backbone, config.cleaning, config.max_tokens)


@lru_cache(maxsize=4)  # tracing takes a second; calibration folds, the training after them and all seeds share one
def _text_encoder(backbone: Backbone, cleaning: str, max_tokens: int) -> TextEncoder:
    from tf_model.preprocessing.tokenizer import TextEncoder

    return TextEncoder(backbone.vocabulary, cleaning, backbone.lower_case, max_tokens)


@dataclass
class Fitted:
    """A trained classifier with everything needed to use it."""

    model: TFBertForSequenceClassification
    encoder: TextEncoder
    # One row per epoch: ``epoch``, ``seconds``, ``loss``, ``accuracy``, and with a validation part ``val_loss`` and
    # ``val_accuracy``. Training metrics are running means with dropout, as Keras reports them.
    history: list[dict[str, float]] = field(default_factory=list)

    @cached_property
    def _score(self) -> Callable[[dict[str, tf.Tensor]], tf.Tensor]:
        from tf_model.preprocessing.batching import traced_once

        return traced_once(lambda inputs: bert.class_probabilities(self.model, inputs))

    def probabilities(self, token_ids: tf.RaggedTensor) -> np.ndarray:
        """Class probabilities, float32 [N, classes], of encoded texts, int32 [N, (tokens)], in their order."""
        from tf_model.preprocessing.batching import scores

        return scores(self._score, token_ids, batch_size=EVALUATION_BATCH, max_tokens=self.encoder.max_tokens)

    def in_float32(self) -> Fitted:
        """The classifier on one device in float32, as it is exported; itself if it already is."""
        import tf_keras

        is_distributed = self.model.distribute_strategy.num_replicas_in_sync > 1
        if self.model.dtype_policy.name == "float32" and not is_distributed:
            return self
        policy = tf_keras.mixed_precision.global_policy()
        tf_keras.mixed_precision.set_global_policy("float32")
        try:
            model = type(self.model)(self.model.config)
            model.build_in_name_scope()  # creates the variables
        finally:
            tf_keras.mixed_precision.set_global_policy(policy)
        model.set_weights(self.model.get_weights())
        return Fitted(model, self.encoder, self.history)


def fit_rows(
    config: TrainingConfig,
    backbone: Backbone,
    rows: TrainingRows,
    encoded: tuple[TextEncoder, tf.RaggedTensor],
    split: Split,
    *,
    runtime: Runtime,
    checkpoint: Checkpoint | None = None,
    each_epoch: bool = True,
) -> Fitted:
    """:func:`fit` on the training part of ``rows``, with progress on standard error; the classifier in float32.

    ``encoded``: the encoder, and the token ids of all texts, int32 [N, (tokens)]. ``each_epoch``: score the validation
    part after each epoch.
    """
    import tensorflow as tf

    encoder, token_ids = encoded
    learned, validation = rows.take(split.train), None
    training = Examples(tf.gather(token_ids, split.train), learned.label_ids, learned.texts, learned.targets)
    if each_epoch:
        validation = Examples(tf.gather(token_ids, split.validation), rows.judged_ids[split.validation])
    classes = [len(task.labels) for task in rows.tasks]
    with cli.show_epochs(cli.stderr()) as bar:
        options = {"runtime": runtime, "checkpoint": checkpoint, "callbacks": [bar]}
        return fit(config, backbone, classes, encoder, training, validation, **options).in_float32()


def fit(
    config: TrainingConfig,
    backbone: Backbone,
    classes: Sequence[int],
    encoder: TextEncoder,
    training: Examples,
    validation: Examples | None = None,
    *,
    runtime: Runtime,
    checkpoint: Checkpoint | None = None,
    callbacks: Sequence[Any] = (),
    prepare: Callable[[Any], None] | None = None,
) -> Fitted:
    """Train a classifier on examples encoded by ``encoder``; ``classes`` is the number of classes of each task.

    ``validation`` is scored after each epoch for the history only: nothing is selected on it. ``checkpoint`` saves the
    state after each epoch, and training resumes from it if it holds one. ``prepare`` may change the compiled model.
    """
    import tf_keras

    from tf_model.modeling import lora
    from tf_model.preprocessing.batching import steps_per_epoch, training_batches

    pairs = [round(share * len(training)) for share in (config.joined_pairs, config.opinion_pairs)]
    if any(pairs):
        training = training.with_pairs(encoder, *pairs, config.seed)
    labels = training.label_ids if training.targets is None else training.targets
    steps, copies = steps_per_epoch(len(training), config.batch_size), 2 if config.r_drop else 1
    tf_keras.utils.set_random_seed(config.seed)
    strategy = runtime.strategy()
    with strategy.scope():
        model = bert.build(backbone, classes, config.pooling)
        if config.lora_rank:
            lora.attach(model, config.lora_rank)
        bert.compile_model(model, config, steps * config.epochs, soft=training.targets is not None)
        if prepare:
            prepare(model)
        model.optimizer.build(model.trainable_variables)
        if strategy.num_replicas_in_sync == 1:  # with several replicas, Keras creates them inside a step
            bert.build_metrics(model, labels[:1].repeat(copies, axis=0))
        bert.reseed_dropout(model, config.seed)
    fitted = Fitted(model, encoder)
    if checkpoint:
        fitted.history = checkpoint.restore(model)
    epochs_done = len(fitted.history)
    batches = partial(
        training_batches,
        training.token_ids,
        labels,
        batch_size=config.batch_size,
        max_tokens=config.max_tokens,
        seed=config.seed,
        first_epoch=epochs_done,
        epochs=config.epochs,
        copies=copies,
    )
    if epochs_done < config.epochs:
        with (
            _explain_memory(config, checkpoint),
            runtime.workers.explain_losses() if runtime.workers else nullcontext(),
        ):
            model.fit(
                _distribute(batches, strategy) if strategy.num_replicas_in_sync > 1 else batches(),
                initial_epoch=epochs_done,
                epochs=config.epochs,
                steps_per_epoch=steps,
                verbose=0,
                callbacks=[_epoch_callback(fitted, config, validation, checkpoint, runtime.worker_index), *callbacks],
            )
    if config.lora_rank:
        lora.merge(model)
        return Fitted(model, encoder, fitted.history)  # the graph that ``fitted`` has traced may contain adapters
    return fitted


@contextmanager
def _explain_memory(config: TrainingConfig, checkpoint: Checkpoint | None) -> Iterator[None]:
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        resume, restart = (" and add --resume", " and add --restart") if checkpoint else ("", "")
        raise ModelError(
            f"not enough memory for batches of {config.batch_size} texts of up to {config.max_tokens} tokens; free "
            f"some{resume}, or lower --batch-size or --max-tokens{restart}"
        ) from error


def _distribute(batches: Callable[..., tf.data.Dataset], strategy: Any) -> Any:
    """Share every batch among the devices of all workers."""

    def local_batches(context: Any) -> tf.data.Dataset:
        local_replicas = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * local_replicas
        return batches(replicas=context.num_replicas_in_sync, own_shares=range(first, first + local_replicas))

    return strategy.distribute_datasets_from_function(local_batches)


def _epoch_callback(
    fitted: Fitted, config: TrainingConfig, validation: Examples | None, checkpoint: Checkpoint | None, worker: int
) -> Any:
    """A Keras callback that reseeds before each epoch, and times, scores and saves after it."""
    import tf_keras

    model, start_time = fitted.model, 0.0

    def on_epoch_begin(epoch, logs=None):
        nonlocal start_time
        start_time = time.perf_counter()
        # Each worker has its own seed, or all shares of a batch would drop the same units.
        bert.reseed_dropout(model, config.seed * 1_000_003 + worker * 7919 + epoch)

    def on_epoch_end(epoch, logs=None):
        row = {"epoch": epoch + 1, "seconds": time.perf_counter() - start_time}
        row |= {name: float(value) for name, value in (logs or {}).items()}
        if validation:
            scores = fitted.probabilities(validation.token_ids)
            row |= _validation_metrics(validation.label_ids, scores, model.config.task_classes)
            logs.update(val_loss=row["val_loss"], val_accuracy=row["val_accuracy"])
        fitted.history.append(row)
        if checkpoint:
            checkpoint.save(fitted.history)

    return tf_keras.callbacks.LambdaCallback(on_epoch_begin=on_epoch_begin, on_epoch_end=on_epoch_end)


def _validation_metrics(label_ids: np.ndarray, probabilities: np.ndarray, classes: Sequence[int]) -> dict[str, float]:
    """Loss (summed over the tasks) and accuracy (of all labels) of a validation part, for the history."""
    from tf_model.evaluation.metrics import evaluate_probabilities

    columns = np.split(probabilities, np.cumsum(classes)[:-1], axis=1)
    task_metrics = [
        evaluate_probabilities(ids[ids >= 0], scores[ids >= 0], [str(number) for number in range(scores.shape[1])])
        for ids, scores in zip(label_ids.T, columns, strict=True)
        if (ids >= 0).any()
    ]
    accuracy = np.average([task["accuracy"] for task in task_metrics], weights=[task["rows"] for task in task_metrics])
    return {"val_loss": sum(task["loss"] for task in task_metrics), "val_accuracy": float(accuracy)}
