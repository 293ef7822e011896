"""From raw strings to batches of token ids, with tf.data."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_model.io.characters import well_formed
from tf_model.preprocessing.tokenizer import TextEncoder, pad

# Texts are sorted by length within this many batches: long enough that a batch holds texts of nearly one length,
# short enough that the batches of an epoch are still a random mixture.
WINDOW = 16
ENCODE_ROWS = 1024


def encode(encoder: TextEncoder, texts: Sequence[str]) -> tf.RaggedTensor:
    """Token ids of all ``texts``, int32 [N, (tokens)], cleaned and tokenized once, in memory."""
    texts = tf.constant([well_formed(text).encode("utf-8") for text in texts], tf.string)
    parts = [encoder.token_ids(texts[start : start + ENCODE_ROWS]) for start in range(0, len(texts), ENCODE_ROWS)]
    return tf.concat(parts, axis=0) if parts else tf.RaggedTensor.from_row_lengths(tf.zeros([0], tf.int32), [])


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Batches in an epoch; the last may be smaller."""
    return -(-rows // batch_size)


@tf.autograph.experimental.do_not_convert
def training_batches(
    token_ids: tf.RaggedTensor,
    label_ids: np.ndarray,
    *,
    batch_size: int,
    max_tokens: int,
    seed: int,
    first_epoch: int,
    epochs: int,
    copies: int = 1,
    replicas: int = 1,
    own_shares: range = range(1),
) -> tf.data.Dataset:
    """The batches of the epochs ``first_epoch`` (from 0) to ``epochs`` (exclusive), in order.

    The order within an epoch depends only on ``seed`` and the number of the epoch, so a resumed run sees the same
    batches. Within a window of :data:`WINDOW` batches texts are sorted by length, each batch is padded to its own
    longest text, and the batches are shuffled.

    A batch is ``({"input_ids": int32 [B, L], "attention_mask": int32 [B, L]}, label ids int32 [B, tasks])``. If
    ``label_ids`` are float32, they are soft targets, and so is the batch: float32 [B, classes of all tasks]. If several
    ``replicas`` share each batch, only the ``own_shares`` are returned, one after the other, of ``ceil(B / replicas)``
    rows each; padding rows have the label -1. Each row comes ``copies`` times in succession.
    """
    rows = len(label_ids)
    lengths = token_ids.row_lengths()
    label_ids = tf.constant(label_ids, tf.float32 if label_ids.dtype == np.float32 else tf.int32)
    batches_per_epoch = steps_per_epoch(rows, batch_size)

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        # Positions of the examples of each batch, int64 [B].
        order = tf.random.experimental.stateless_shuffle(tf.range(rows, dtype=tf.int64), [seed, 2 * number])
        window = tf.range(rows, dtype=tf.int64) // (batch_size * WINDOW)
        order = tf.gather(order, tf.argsort(window * 100_000 + tf.gather(lengths, order), stable=True))
        numbers = tf.random.experimental.stateless_shuffle(tf.range(batches_per_epoch), [seed, 2 * number + 1])
        return tf.data.Dataset.from_tensor_slices(numbers).map(
            lambda batch: order[batch * batch_size : (batch + 1) * batch_size]
        )

    def shares(positions: tf.Tensor) -> tf.data.Dataset:
        # Every ``replicas``-th position, so that each share has long and short texts; -1 is padding.
        padding = tf.math.floormod(-tf.size(positions), replicas)
        columns = tf.reshape(tf.pad(positions, [[0, padding]], constant_values=-1), [-1, replicas])
        return tf.data.Dataset.from_tensor_slices(tf.transpose(columns)[own_shares.start : own_shares.stop])

    def batch(positions: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        positions = tf.repeat(positions, copies)
        present = tf.maximum(positions, 0)
        labels = tf.where(positions[:, tf.newaxis] >= 0, tf.gather(label_ids, present), -1)
        return pad(tf.gather(token_ids, present), max_tokens), labels

    epochs_left = tf.data.Dataset.range(first_epoch, epochs)
    return epochs_left.flat_map(epoch).flat_map(shares).map(batch).prefetch(tf.data.AUTOTUNE)


def traced_once(score: Callable[[dict[str, tf.Tensor]], tf.Tensor]) -> Callable[[dict[str, tf.Tensor]], tf.Tensor]:
    """Compile ``score``, a function of a batch of inputs, to a graph traced once for all batch sizes and lengths."""
    batch = tf.TensorSpec([None, None], tf.int32)  # (B, L)
    inputs = {"input_ids": batch, "attention_mask": batch}
    # ``score`` branches and loops in Python only; AutoGraph's conversion would take longer than all the rest.
    return tf.function(tf.autograph.experimental.do_not_convert(score), input_signature=[inputs])


def scores(
    score: Callable[[dict[str, tf.Tensor]], tf.Tensor], token_ids: tf.RaggedTensor, *, batch_size: int, max_tokens: int
) -> np.ndarray:
    """Apply ``score``, from :func:`traced_once`, to all texts: [N, ...], in the order of ``token_ids``."""
    # Texts of similar length share a batch, so that it needs little padding.
    order = np.argsort(token_ids.row_lengths().numpy(), kind="stable")
    batches = (tf.gather(token_ids, order[start : start + batch_size]) for start in range(0, len(order), batch_size))
    return np.concatenate([score(pad(ids, max_tokens)).numpy() for ids in batches])[np.argsort(order)]
