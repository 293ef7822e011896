"""Low-rank adapters: a few weights that are trained instead of the encoder's, and then added to them.

Source: E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021. Imported only to build a model.
"""

from typing import Any

import tensorflow as tf
import tf_keras

from tf_model.errors import UsageError

ALPHA = 8  # an adapter's output is scaled by ALPHA / rank; the paper's value for RoBERTa
PROJECTIONS = {"query", "value", "q", "v"}  # attention layers, as BERT and MPNet name them


class Adapter(tf_keras.layers.Layer):
    """Computes what is added to the outputs of a dense layer, [..., units]: zero before training."""

    def __init__(self, dense: Any, rank: int):
        super().__init__()
        width, units = dense.kernel.shape
        self._scale = ALPHA / rank
        self.down = self.add_weight("down", [width, rank], initializer="he_normal")
        self.up = self.add_weight("up", [rank, units], initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Multiply ``inputs`` by :meth:`kernel`, in the number format of the layers."""
        return self._scale * tf.tensordot(tf.tensordot(inputs, self.down, 1), self.up, 1)

    def kernel(self) -> tf.Tensor:
        """What the adapter adds to the weights of the dense layer, float32 [width, units]."""
        return self._scale * tf.matmul(self.down, self.up)


def attach(model: Any, rank: int) -> None:
    """Freeze embeddings and encoder, and add adapters to query and value of every layer; the head stays trainable.

    Raises :class:`UsageError` for a rank above the width of the encoder.
    """
    if rank > model.config.hidden_size:
        raise UsageError(
            f"--lora-rank {rank} is above the width of the backbone, {model.config.hidden_size}; give a smaller one, "
            "or 0 to train all weights"
        )
    _set_trainable(model, False)
    model.adapters = [Adapter(dense, rank) for dense in _projections(model)]  # saved in checkpoints with the model
    for dense, adapter in zip(_projections(model), model.adapters, strict=True):
        dense.call = lambda inputs, call=dense.call, adapter=adapter: call(inputs) + adapter(inputs)


def merge(model: Any) -> None:
    """Add the adapters to the weights that they adapt, remove them, and make all weights trainable again."""
    for dense, adapter in zip(_projections(model), model.adapters, strict=True):
        dense.kernel.assign_add(adapter.kernel())
        del dense.call
    del model.adapters
    _set_trainable(model, True)


def _projections(model: Any) -> list[Any]:
    layers = getattr(model, model.base_model_prefix).encoder.submodules
    return [layer for layer in layers if isinstance(layer, tf_keras.layers.Dense) and layer.name in PROJECTIONS]


def _set_trainable(model: Any, trainable: bool) -> None:
    encoder = getattr(model, model.base_model_prefix)
    encoder.embeddings.trainable = encoder.encoder.trainable = trainable
