"""The bugs of the report's published code, to measure the effect of each. Nothing that ships has them.

The first two change a compiled BERT classifier: its class, so that a copy, such as that in float32, has the bug too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

PADDED_TO = 64  # the report padded all tweets to one length; the longest needs 45
URL = re.compile(r"http[s]?://\S+")


def drop_mask(model: Any) -> None:
    """Attend to padding: the report's Keras ``Sequential`` wrapper dropped ``attention_mask``."""
    from transformers import TFBertForSequenceClassification

    class Network(TFBertForSequenceClassification):
        def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
            return super().call(padded(inputs), training=training)

    model.__class__ = Network


def padded(inputs: dict[str, Any]) -> dict[str, Any]:
    """Token ids, int32 [B, L], padded to one length, [B, 64], and attended to throughout."""
    import tensorflow as tf

    padding = tf.maximum(PADDED_TO - tf.shape(inputs["input_ids"])[1], 0)
    input_ids = tf.pad(inputs["input_ids"], [[0, 0], [0, padding]])
    return {"input_ids": input_ids, "attention_mask": tf.ones_like(input_ids)}


def add_second_layer(model: Any) -> None:
    """Let a second layer read the logits, like the report's ``Dense(classes, softmax)``.

    It gives logits: the loss and the probabilities apply the softmax to them.
    """
    import tf_keras
    from transformers import TFBertForSequenceClassification

    class Network(TFBertForSequenceClassification):
        def build(self, input_shape: Any = None) -> None:
            super().build(input_shape)
            self.second_layer = tf_keras.layers.Dense(self.config.num_labels, dtype="float32")
            self.second_layer.build([None, self.config.num_labels])

        def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
            outputs = super().call(inputs, training=training)
            outputs.logits = self.second_layer(outputs.logits)
            return outputs

    model.__class__ = Network
    model.build()


def without_urls(texts: Sequence[str]) -> np.ndarray:
    """The texts, object [N], as the report intended: URLs are removed while they can still be recognized."""
    return np.array([URL.sub("", text.lower()) for text in texts], object)
