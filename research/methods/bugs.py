"""The bugs of the report's published code, to measure the effect of each. Nothing that ships has them.

* No mask: the Keras ``Sequential`` wrapper dropped ``attention_mask``, so the network attended to padding.
* Second layer: a second ``Dense(classes, softmax)`` read the classifier's logits.
* URLs first is no bug but what the report intended: URLs are removed while they can still be recognized.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from research.methods.neural import Inputs, score, training_batches
from tf_model import device
from tf_model.modeling import backbone
from tf_model.modeling import classifier as bert

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_model.config import TrainingConfig

NO_MASK, SECOND_LAYER, URLS_FIRST = "no mask", "second layer", "URLs first"
PADDED_TO = 64  # the report padded all tweets to one length; the longest needs 62
URL = re.compile(r"http[s]?://\S+")


class BuggyBert:
    """Our model and training, with some of the bugs; without any it is :class:`research.methods.neural.FineTuned`."""

    def __init__(self, config: TrainingConfig, classes: int, bugs: Sequence[str] = ()):
        self._config = config
        self._bugs = frozenset(bugs)
        self.classes_ = np.arange(classes)

    def fit(self, texts: Sequence[str], label_ids: np.ndarray) -> BuggyBert:
        """Train as :func:`tf_model.training.trainer.fit` does, with the same seeds by epoch, except for the bugs."""
        config = self._config
        runtime = device.prepare(config.seed)
        import tf_keras

        from tf_model.training.trainer import Fitted, text_encoder

        tf_keras.backend.clear_session()
        tf_keras.utils.set_random_seed(config.seed)
        weights = backbone.find(config.backbone)
        encoder = text_encoder(config, weights)
        model = bert.build(weights, [len(self.classes_)], config.pooling)
        batches, steps = training_batches(config, encoder, self._texts(texts), label_ids, self._inputs)
        bert.compile_model(model, config, steps * config.epochs, xla=runtime.xla)
        trained_model, self._second_layer = model, None
        if SECOND_LAYER in self._bugs:
            self._second_layer = tf_keras.layers.Dense(len(self.classes_), activation="softmax", dtype="float32")
            trained_model = _with_second_layer(model, self._second_layer)
        bert.reseed_dropout(model, config.seed)
        reseeding = tf_keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: bert.reseed_dropout(model, config.seed * 1_000_003 + epoch)
        )
        trained_model.fit(batches, epochs=config.epochs, steps_per_epoch=steps, verbose=0, callbacks=[reseeding])
        self._fitted = Fitted(model, encoder).in_float32()
        return self

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Class probabilities, float32 [N, classes]."""
        import tensorflow as tf

        def probabilities(inputs: Inputs) -> tf.Tensor:
            logits = self._fitted.model(self._inputs(inputs), training=False).logits
            return self._second_layer(logits) if self._second_layer else tf.nn.softmax(logits)

        return score(probabilities, self._fitted.encoder, self._texts(texts))

    def _texts(self, texts: Sequence[str]) -> list[str]:
        return [URL.sub("", text.lower()) if URLS_FIRST in self._bugs else text for text in texts]

    def _inputs(self, inputs: Inputs) -> Inputs:
        """The inputs; with the mask bug, all padded to one length and attended to throughout."""
        import tensorflow as tf

        if NO_MASK not in self._bugs:
            return inputs
        padding = tf.maximum(PADDED_TO - tf.shape(inputs["input_ids"])[1], 0)
        input_ids = tf.pad(inputs["input_ids"], [[0, 0], [0, padding]])  # (B, 64)
        return {"input_ids": input_ids, "attention_mask": tf.ones_like(input_ids)}


def _with_second_layer(model: Any, second_layer: Any) -> Any:
    """The classifier with a softmax layer on its logits, compiled with the same optimizer and the same loss."""
    import tf_keras

    class SecondLayer(tf_keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.bert, self.second_layer = model, second_layer

        def call(self, inputs: Any, training: bool = False) -> Any:
            return self.second_layer(self.bert(inputs, training=training).logits)

    wrapped = SecondLayer()
    wrapped.compile(optimizer=model.optimizer, loss=tf_keras.losses.SparseCategoricalCrossentropy(), jit_compile=False)
    return wrapped
