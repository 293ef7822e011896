"""Train a backbone to find masked words in the texts of a task, before it is fine-tuned on their labels.

Source: S. Gururangan et al., "Don't Stop Pretraining: Adapt Language Models to Domains and Tasks", ACL 2020.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tf_model import cli, device
from tf_model.modeling import backbone
from tf_model.preprocessing.cleaning import MASK
from tf_model.preprocessing.light_tokenizer import CLS, PAD, SEP, UNKNOWN, read_vocabulary

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_model.config import TrainingConfig

# As in J. Devlin et al., "BERT", NAACL 2019: of the chosen words, 80% are masked, 10% replaced and 10% left.
CHOSEN, MASKED, REPLACED = 0.15, 0.8, 0.1


def mask(token_ids: tf.Tensor, vocabulary: Sequence[str], seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mask words of ``token_ids``, int32 [B, L]: the masked ids, and which ones were chosen, bool [B, L]."""
    import tensorflow as tf

    special = [vocabulary.index(token) for token in (PAD, UNKNOWN, CLS, SEP, MASK)]
    draw = tf.random.stateless_uniform(tf.shape(token_ids), seed) / CHOSEN  # below 1 for the chosen
    is_chosen = (draw < 1) & tf.reduce_all(tf.not_equal(token_ids[..., tf.newaxis], special), axis=-1)
    others = tf.random.stateless_uniform(tf.shape(token_ids), seed + 1, maxval=len(vocabulary), dtype=tf.int32)
    replaced = tf.where(draw < MASKED, vocabulary.index(MASK), tf.where(draw < MASKED + REPLACED, others, token_ids))
    return tf.where(is_chosen, replaced, token_ids), is_chosen


def pretrain(texts: Sequence[str], config: TrainingConfig, folder: Path) -> list[float]:
    """Write into ``folder`` the BERT of ``config`` as it is after masked-language training on ``texts``.

    Epochs, batches, learning rate and seed are those of ``config``. Returns the mean loss of each epoch.
    """
    device.prepare(config.seed)
    import tensorflow as tf
    import tf_keras
    import transformers

    from tf_model.modeling.classifier import learning_rate
    from tf_model.preprocessing.batching import encode, steps_per_epoch, training_batches
    from tf_model.training.trainer import text_encoder

    tf_keras.backend.clear_session()
    weights = backbone.find(config.backbone)
    vocabulary, token_ids = read_vocabulary(weights.vocabulary), encode(text_encoder(config, weights), list(texts))
    transformers.logging.set_verbosity_error()  # new layers are no news
    model = transformers.TFBertForMaskedLM.from_pretrained(weights.folder, use_safetensors=True, local_files_only=True)
    steps = steps_per_epoch(len(texts), config.batch_size)
    optimizer = tf_keras.optimizers.Adam(learning_rate(config, steps * config.epochs), jit_compile=False)
    optimizer.build(model.trainable_variables)
    tokens = tf.TensorSpec([None, None], tf.int32)

    @tf.function(input_signature=[tokens, tokens, tf.TensorSpec([2], tf.int64)], autograph=False)
    def train_step(input_ids: tf.Tensor, attention_mask: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        masked_ids, is_chosen = mask(input_ids, vocabulary, seed)
        with tf.GradientTape() as tape:
            hidden = model.bert(masked_ids, attention_mask, training=True).last_hidden_state  # (B, L, units)
            # Words are predicted only where they were chosen: scores of the whole vocabulary take most of the time.
            scores = model.mlm(tf.boolean_mask(hidden, is_chosen)[tf.newaxis])[0]  # (chosen, vocabulary)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.boolean_mask(input_ids, is_chosen), tf.cast(scores, tf.float32)
            )
            loss = tf.reduce_mean(losses)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    batches = training_batches(
        token_ids,
        np.zeros((len(texts), 1), np.int32),  # no labels
        batch_size=config.batch_size,
        max_tokens=config.max_tokens,
        seed=config.seed,
        first_epoch=0,
        epochs=config.epochs,
    )
    losses: list[float] = []
    for number, (inputs, _) in enumerate(batches):
        losses.append(float(train_step(**inputs, seed=[config.seed, 2 * number])))
        if (number + 1) % steps == 0:
            cli.say(f"masked words, epoch {(number + 1) // steps}/{config.epochs}  loss {np.mean(losses[-steps:]):.4f}")
    model.save_pretrained(folder, safe_serialization=True)
    for file in ("vocab.txt", backbone.TOKENIZER):
        if (weights.folder / file).is_file():
            shutil.copy(weights.folder / file, folder)
    return np.reshape(losses, (config.epochs, steps)).mean(axis=1).tolist()
