"""The classifier: ``TFBertForSequenceClassification``, built and compiled as in the report.

The only module that imports transformers; prediction imports neither it nor Keras.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tf_model.backbone import Backbone
from tf_model.errors import ModelError
from tf_model.messages import first_line
from tf_model.recipes import Recipe
from tf_model.runtime import import_tensorflow

if TYPE_CHECKING:
    import tensorflow as tf
    from transformers import TFBertForSequenceClassification

# Layers that a pretrained BERT may lack: they are new, random and trained from scratch.
NEW_LAYERS = ("classifier", "pooler")


def build(backbone: Backbone, classes: int) -> TFBertForSequenceClassification:
    """A pretrained BERT with a new, random classification layer of ``classes`` logits.

    Raises:
        ModelError: The weights do not fit the configuration.
    """
    import_tensorflow()
    import transformers

    transformers.logging.set_verbosity_error()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        # Local files in safetensors format only: nothing is fetched here and nothing is unpickled. A layer of another
        # number of classes, from an earlier fine-tuning, is replaced; anything else that does not fit is refused below.
        model, loaded = transformers.TFBertForSequenceClassification.from_pretrained(
            backbone.folder,
            num_labels=classes,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"the backbone {backbone.name} cannot be loaded as a BERT: {first_line(error)}") from error
    names = [*loaded["missing_keys"], *(key[0] if isinstance(key, tuple) else key for key in loaded["mismatched_keys"])]
    absent = [name for name in names if not any(layer in name for layer in NEW_LAYERS)]
    if absent:
        raise ModelError(
            f"the weights of {backbone.name} do not fit its config.json: {len(absent)} of its layers' weights are "
            f"missing or of another size, such as {absent[0]}; download the folder again or choose another backbone"
        )
    _keep_logits_in_float32(model)
    return model


def _keep_logits_in_float32(model: TFBertForSequenceClassification) -> None:
    """In mixed precision, compute the logits, and so the loss and its gradient, in float32.

    As TensorFlow's guide to mixed precision asks of the last layer; transformers leaves it in bfloat16.
    """
    import tf_keras

    model.classifier._set_dtype_policy(tf_keras.mixed_precision.Policy("float32"))


def compile_model(model: TFBertForSequenceClassification, recipe: Recipe, steps: int, *, xla: bool = False) -> None:
    """Compile with Adam and sparse categorical cross-entropy on the logits.

    Args:
        model: What :func:`build` returns.
        recipe: Its ``learning_rate``, ``schedule`` and ``warmup`` are used.
        steps: Steps of the whole run, over which the schedule stretches.
        xla: Compile the training step.
    """
    import tf_keras

    # tf_keras picks XLA by itself for the optimizer on a GPU; one switch decides for all.
    optimizer = tf_keras.optimizers.Adam(_learning_rate(recipe, steps), jit_compile=xla)
    model.compile(
        optimizer=optimizer,
        loss=tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=xla,
    )


def _learning_rate(recipe: Recipe, steps: int) -> Any:
    if recipe.schedule == "constant":
        return recipe.learning_rate
    import tf_keras
    from transformers import WarmUp

    warmup_steps = int(recipe.warmup * steps)
    decay = tf_keras.optimizers.schedules.PolynomialDecay(
        recipe.learning_rate, decay_steps=max(steps - warmup_steps, 1), end_learning_rate=0.0
    )
    return WarmUp(recipe.learning_rate, decay, warmup_steps) if warmup_steps else decay


def reseed_dropout(model: TFBertForSequenceClassification, seed: int) -> None:
    """Start every dropout layer from a seed, so that what an epoch draws does not depend on the epochs before it."""
    for number, layer in enumerate(layer for layer in model.submodules if hasattr(layer, "_random_generator")):
        layer._random_generator._maybe_init()  # Keras makes the generator at the first call otherwise
        layer._random_generator._generator.reset_from_seed(seed * 1009 + number)


def class_probabilities(model: TFBertForSequenceClassification, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
    """Softmax of the logits of one batch, float32 [B, classes] whatever the number format of the layers."""
    import tensorflow as tf

    logits = model(inputs, training=False).logits  # (B, classes)
    return tf.nn.softmax(tf.cast(logits, tf.float32), axis=-1)
