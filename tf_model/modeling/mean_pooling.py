"""A ``TFBertForSequenceClassification`` that reads the mean of its tokens' outputs instead of the first token's.

Imported only where a model is built: it needs transformers.
"""

from typing import Any

import tensorflow as tf
from transformers import TFBertForSequenceClassification
from transformers.modeling_tf_outputs import TFSequenceClassifierOutput
from transformers.models.bert.modeling_tf_bert import TFBertMainLayer


class MeanPooledBertForSequenceClassification(TFBertForSequenceClassification):
    """BERT whose classification layer sees the mean of the last layer over the tokens that are not padding.

    The packaged backbone was pretrained with this pooling (N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019):
    its first token and the pooling layer on top of it have learned nothing.
    """

    def __init__(self, config: Any, *inputs: Any, **kwargs: Any):
        super().__init__(config, *inputs, **kwargs)
        self.bert = TFBertMainLayer(config, add_pooling_layer=False, name="bert")

    def call(self, inputs: dict[str, tf.Tensor], training: bool = False) -> TFSequenceClassifierOutput:
        """Logits, float32 [B, classes], of ``input_ids`` int32 [B, L] or ``inputs_embeds`` float32 [B, L, hidden].

        Without an ``attention_mask``, int32 [B, L], every token counts.
        """
        tokens = tf.cast(self.bert(inputs, training=training).last_hidden_state, tf.float32)  # (B, L, hidden)
        mask = inputs.get("attention_mask")
        weights = tf.ones(tf.shape(tokens)[:2]) if mask is None else tf.cast(mask, tf.float32)  # (B, L)
        total = tf.reduce_sum(tokens * weights[..., tf.newaxis], axis=1)  # (B, hidden)
        mean = total / tf.reduce_sum(weights, axis=1, keepdims=True)
        return TFSequenceClassifierOutput(
            logits=self.classifier(inputs=self.dropout(inputs=mean, training=training))  # (B, classes)
        )
