"""Neural networks as scikit-learn classifiers of raw texts, so that they stand among the baselines on equal terms.

Two libraries live in one process: Keras 3, which keras-nlp builds on, and tf_keras, which transformers builds on. They
share TensorFlow and nothing else; :func:`tf_model.device.prepare` sets tf_keras up, the classes here set up Keras 3.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_model.config import Recipe
from tf_model.modeling import backbone

ANSWERED_AT_ONCE = 64


class FineTuned:
    """Our own model, trained by a recipe as ``python -m tf_model.train`` does it, scored in float32.

    Args:
        recipe: Settings; its seed is the training seed.
        classes: Number of classes.
    """

    def __init__(self, recipe: Recipe, classes: int):
        self._recipe = recipe
        self.classes_ = np.arange(classes)

    def fit(self, texts: Sequence[str], label_ids: np.ndarray) -> FineTuned:
        """Train from the pretrained weights."""
        from tf_model import device

        used = device.prepare(self._recipe.seed)
        import tf_keras

        from tf_model.training.trainer import Part, fit

        tf_keras.backend.clear_session()
        weights = backbone.find(self._recipe.backbone)
        part = Part(list(texts), np.asarray(label_ids))
        self._fitted = fit(self._recipe, weights, [len(self.classes_)], part, runtime=used).in_float32()
        return self

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 [N, classes]."""
        from tf_model.preprocessing.batching import encode

        return self._fitted.probabilities(encode(self._fitted.encoder, list(texts)))


class KerasNlpBert:
    """keras-nlp's ``BertTextClassifier``: dropout and a dense layer on the tanh layer over ``[CLS]``.

    Texts, batches, loss, optimizer and learning rate are those of our own training; only the network is theirs. It
    computes GELU by the tanh approximation, whatever the weights were trained with.

    Args:
        recipe: Settings; its pooling is not used.
        classes: Number of classes.
        pretrained: Start from the recipe's backbone, else from random weights of the same shapes.
    """

    def __init__(self, recipe: Recipe, classes: int, pretrained: bool = True):
        self._recipe = recipe
        self._pretrained = pretrained
        self.classes_ = np.arange(classes)

    def fit(self, texts: Sequence[str], label_ids: np.ndarray) -> KerasNlpBert:
        """Train the whole network."""
        from tf_model import device

        recipe = self._recipe
        used = device.prepare(recipe.seed)
        import keras

        from tf_model.preprocessing.batching import encode, steps_per_epoch, training_batches
        from tf_model.preprocessing.tokenizer import TextEncoder

        keras.utils.clear_session(free_memory=True)
        gc.collect()
        keras.utils.set_random_seed(recipe.seed)
        weights = backbone.find(recipe.backbone)
        self._encoder = TextEncoder(weights.vocabulary, recipe.cleaning, weights.lower_case, recipe.max_tokens)
        self._model = classifier(keras_nlp_backbone(weights, self._pretrained, used.precision), len(self.classes_))
        steps = steps_per_epoch(len(label_ids), recipe.batch_size)
        self._model.compile(
            optimizer=keras.optimizers.Adam(_learning_rate(recipe, steps * recipe.epochs)),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[],
            jit_compile=False,  # XLA would compile anew for each length of a batch
        )
        batches = training_batches(
            encode(self._encoder, list(texts)),
            np.asarray(label_ids),
            batch_size=recipe.batch_size,
            max_tokens=recipe.max_tokens,
            seed=recipe.seed,
            first_epoch=0,
            epochs=recipe.epochs,
        )
        batches = batches.map(lambda inputs, ids: (keras_nlp_inputs(inputs), ids))
        self._model.fit(batches, epochs=recipe.epochs, steps_per_epoch=steps, verbose=0, shuffle=False)
        return self

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 [N, classes]."""
        import tensorflow as tf

        from tf_model.preprocessing.batching import encode, scores, traced_once

        @traced_once
        def probabilities(inputs: dict[str, tf.Tensor]) -> tf.Tensor:
            return tf.nn.softmax(tf.cast(self._model(keras_nlp_inputs(inputs), training=False), tf.float32))

        token_ids = encode(self._encoder, list(texts))
        return scores(probabilities, token_ids, batch_size=ANSWERED_AT_ONCE, max_tokens=self._recipe.max_tokens)


def keras_nlp_backbone(weights: backbone.Backbone, pretrained: bool = True, dtype: str = "float32") -> Any:
    """keras-nlp's ``BertBackbone`` of the size of ``weights``, whose tensors it maps to its own names.

    Args:
        weights: A BERT in the format of transformers; its safetensors file is read, nothing is fetched or unpickled.
        pretrained: Load the tensors, else leave the layers as they are initialised.
        dtype: ``"float32"`` or ``"mixed_bfloat16"``.
    """
    import keras_nlp

    return keras_nlp.models.BertBackbone.from_preset(str(weights.folder), load_weights=pretrained, dtype=dtype)


def classifier(bert: Any, classes: int) -> Any:
    """keras-nlp's ``BertTextClassifier`` on a backbone, its logits in float32 like ours."""
    import keras
    import keras_nlp

    model = keras_nlp.models.BertTextClassifier(bert, num_classes=classes, activation=None)
    model.output_dense.dtype_policy = keras.dtype_policies.DTypePolicy("float32")
    return model


def keras_nlp_inputs(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs of transformers' BERT (``input_ids`` and ``attention_mask``, int32 [B, L]) under keras-nlp's names."""
    import tensorflow as tf

    token_ids = tf.convert_to_tensor(inputs["input_ids"])
    return {
        "token_ids": token_ids,
        "padding_mask": tf.convert_to_tensor(inputs["attention_mask"]),
        "segment_ids": tf.zeros_like(token_ids),
    }


def _learning_rate(recipe: Recipe, steps: int) -> Any:
    """The recipe's schedule for Keras 3: as :func:`tf_model.modeling.classifier.compile_model` has it for tf_keras."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    import keras

    warmup_steps = int(recipe.warmup * steps)

    class WarmUpAndDecay(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            step = keras.ops.cast(step, "float32")
            rising = step / max(warmup_steps, 1)
            falling = 1 - (step - warmup_steps) / max(steps - warmup_steps, 1)
            return recipe.learning_rate * keras.ops.maximum(keras.ops.minimum(rising, falling), 0.0)

        def get_config(self) -> dict[str, Any]:
            return {}

    return WarmUpAndDecay()
