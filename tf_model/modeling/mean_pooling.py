"""Classifiers that use the mean of all tokens' outputs instead of the first token's output.

Imported only to build a model, because it needs transformers.
"""

from typing import Any

import tensorflow as tf
import tf_keras
from transformers import TFBertForSequenceClassification, TFMPNetModel
from transformers.modeling_tf_outputs import TFSequenceClassifierOutput
from transformers.models.bert.modeling_tf_bert import TFBertMainLayer


class _MeanPooled:
    """Feeds the classification layer the mean of the last layer over all tokens that are not padding.

    The packaged backbones were pretrained with this pooling (N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019):
    their first token and the pooling layer on top of it have learned nothing.
    """

    def call(self, inputs: dict[str, tf.Tensor], training: bool = False) -> TFSequenceClassifierOutput:
        """Logits, float32 [B, classes], of ``input_ids``, int32 [B, L].

        Without an ``attention_mask``, int32 [B, L], every token counts.
        """
        tokens = getattr(self, self.base_model_prefix)(inputs, training=training).last_hidden_state  # (B, L, hidden)
        pooling = tf_keras.layers.GlobalAveragePooling1D(dtype="float32")
        mean = pooling(tokens, mask=inputs.get("attention_mask"))  # (B, hidden)
        return TFSequenceClassifierOutput(
            logits=self.classifier(inputs=self.dropout(inputs=mean, training=training))  # (B, classes)
        )


class MeanPooledBertForSequenceClassification(_MeanPooled, TFBertForSequenceClassification):
    """A BERT without its pooling layer."""

    def __init__(self, config: Any, *inputs: Any, **kwargs: Any):
        super().__init__(config, *inputs, **kwargs)
        self.bert = TFBertMainLayer(config, add_pooling_layer=False, name="bert")


class MeanPooledMPNetForSequenceClassification(_MeanPooled, TFMPNetModel):
    """An MPNet without its pooling layer and with BERT's single classification layer; transformers' MPNet has two."""

    def __init__(self, config: Any, *inputs: Any, **kwargs: Any):
        super().__init__(config, *inputs, **kwargs)
        self.mpnet.pooler = tf_keras.layers.Activation("linear", name="pooler")  # the pooler cannot be left out
        self.dropout = tf_keras.layers.Dropout(config.hidden_dropout_prob)
        initializer = tf_keras.initializers.TruncatedNormal(stddev=config.initializer_range)
        self.classifier = tf_keras.layers.Dense(config.num_labels, kernel_initializer=initializer, name="classifier")

    def build(self, input_shape: Any = None) -> None:
        """Create the variables."""
        super().build(input_shape)
        if not self.classifier.built:
            with tf.name_scope("classifier"):
                self.classifier.build([None, self.config.hidden_size])
