"""A ``TFBertForSequenceClassification`` that reads the mean of its tokens' outputs instead of the first token's.

Imported only where a model is built: it needs transformers.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from transformers import TFBertForSequenceClassification
from transformers.modeling_tf_outputs import TFSequenceClassifierOutput
from transformers.modeling_tf_utils import unpack_inputs
from transformers.models.bert.modeling_tf_bert import TFBertMainLayer


class MeanPooledBertForSequenceClassification(TFBertForSequenceClassification):
    """BERT whose classification layer sees the mean of the last layer over the tokens that are not padding.

    The packaged backbone was pretrained with this pooling (N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019):
    its first token and the pooling layer on top of it have learned nothing.
    """

    def __init__(self, config: Any, *inputs: Any, **kwargs: Any):
        super().__init__(config, *inputs, **kwargs)
        self.bert = TFBertMainLayer(config, add_pooling_layer=False, name="bert")

    @unpack_inputs
    def call(
        self,
        input_ids: tf.Tensor | None = None,
        attention_mask: tf.Tensor | None = None,
        token_type_ids: tf.Tensor | None = None,
        position_ids: tf.Tensor | None = None,
        head_mask: tf.Tensor | None = None,
        inputs_embeds: tf.Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        labels: tf.Tensor | None = None,
        training: bool | None = False,
    ) -> TFSequenceClassifierOutput | tuple[tf.Tensor, ...]:
        """As its base class; without ``attention_mask`` every token counts. The loss is Keras' own: no ``labels``."""
        outputs = self.bert(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            head_mask=head_mask,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
            training=training,
        )
        tokens = tf.cast(outputs[0], tf.float32)  # (B, L, hidden)
        counted = tf.ones(tf.shape(tokens)[:2]) if attention_mask is None else attention_mask  # (B, L)
        weights = tf.cast(counted, tf.float32)
        total = tf.reduce_sum(tokens * weights[..., tf.newaxis], axis=1)  # (B, hidden)
        mean = total / tf.reduce_sum(weights, axis=1, keepdims=True)
        logits = self.classifier(inputs=self.dropout(inputs=mean, training=training))  # (B, classes)
        if not return_dict:
            return (logits, *outputs[2:])  # outputs[1] is the pooled output, of which there is none
        return TFSequenceClassifierOutput(
            logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )
