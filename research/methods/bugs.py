"""The bugs of the report's published code, to measure the effect of each. Nothing that ships has them.

* No mask: the Keras ``Sequential`` wrapper dropped ``attention_mask``, so the network attended to padding.
* Second layer: a second ``Dense(classes, softmax)`` read the classifier's logits.
* URLs first is no bug but what the report intended: URLs are removed while they can still be recognized.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from research.methods.neural import FineTuned
from tf_model.config import TrainingConfig

NO_MASK, SECOND_LAYER, URLS_FIRST = "no mask", "second layer", "URLs first"
PADDED_TO = 64  # the report padded all tweets to one length; the longest needs 62
URL = re.compile(r"http[s]?://\S+")


class BuggyBert(FineTuned):
    """Our model and training, with some of the bugs."""

    def __init__(self, config: TrainingConfig, classes: int, bugs: Sequence[str] = ()):
        super().__init__(config, [classes], prepare=partial(add_to_network, bugs=bugs))
        self._urls_first = URLS_FIRST in bugs

    def fit(self, texts: Sequence[str], label_ids: np.ndarray) -> BuggyBert:
        """Train as ``python -m tf_model.train`` does, except for the bugs."""
        return super().fit(self._texts(texts), label_ids)

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Class probabilities, float32 [N, classes]."""
        return super().predict_proba(self._texts(texts))

    def _texts(self, texts: Sequence[str]) -> list[str]:
        return [URL.sub("", text.lower()) if self._urls_first else text for text in texts]


def add_to_network(model: Any, bugs: Sequence[str]) -> None:
    """Put the bugs of the network into a compiled BERT classifier.

    The second layer gives logits: the loss and the probabilities apply the report's softmax to them.
    """
    import tf_keras
    from transformers import TFBertForSequenceClassification

    class Network(TFBertForSequenceClassification):
        def build(self, input_shape: Any = None) -> None:
            super().build(input_shape)
            if SECOND_LAYER in bugs:
                self.second_layer = tf_keras.layers.Dense(self.config.num_labels, dtype="float32")
                self.second_layer.build([None, self.config.num_labels])

        def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
            outputs = super().call(padded(inputs) if NO_MASK in bugs else inputs, training=training)
            if SECOND_LAYER in bugs:
                outputs.logits = self.second_layer(outputs.logits)
            return outputs

    model.__class__ = Network  # so that a copy of the model, such as that in float32, has the bugs too
    model.build()


def padded(inputs: dict[str, Any]) -> dict[str, Any]:
    """Token ids, int32 [B, L], padded to one length, [B, 64], and attended to throughout."""
    import tensorflow as tf

    padding = tf.maximum(PADDED_TO - tf.shape(inputs["input_ids"])[1], 0)
    input_ids = tf.pad(inputs["input_ids"], [[0, 0], [0, padding]])
    return {"input_ids": input_ids, "attention_mask": tf.ones_like(input_ids)}
