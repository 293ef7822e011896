"""Neural networks as scikit-learn classifiers of raw texts, to compare them with the baselines on equal terms.

One process holds two libraries: Keras 3, which keras-nlp builds on, and tf_keras, which transformers builds on.
:func:`tf_model.device.prepare` sets up tf_keras; the classes here set up Keras 3.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import device
from tf_model.modeling import backbone

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_model.config import TrainingConfig
    from tf_model.preprocessing.tokenizer import TextEncoder

SCORING_BATCH = 64
Inputs = dict[str, Any]


class FineTuned:
    """Our own model, trained as by ``python -m tf_model.train`` and scored in float32.

    ``classes`` is the number of classes of each task; ``options`` go to ``tf_model.training.trainer.fit``.
    """

    def __init__(self, config: TrainingConfig, classes: Sequence[int], **options: Any):
        self._config = config
        self._classes, self._options = classes, options
        self.classes_ = np.arange(sum(classes))

    def fit(self, texts: Sequence[str], label_ids: np.ndarray, targets: np.ndarray | None = None) -> FineTuned:
        """Train from the pretrained weights; ``label_ids`` int [N], or [N, tasks] with -1 for none.

        ``targets``, float32 [N, classes of all tasks], replace the labels: the share of each class of a task.
        """
        runtime = device.prepare(self._config.seed)
        import tf_keras

        from tf_model.preprocessing.batching import encode
        from tf_model.training import trainer

        tf_keras.backend.clear_session()
        weights = backbone.find(self._config.backbone)
        encoder = trainer.text_encoder(self._config, weights)
        label_ids = np.reshape(label_ids, (len(texts), -1))
        examples = trainer.Examples(encode(encoder, list(texts)), label_ids, texts, targets)
        fitted = trainer.fit(self._config, weights, self._classes, encoder, examples, runtime=runtime, **self._options)
        self._fitted = fitted.in_float32()
        return self

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Class probabilities, float32 [N, classes of all tasks]."""
        from tf_model.preprocessing.batching import encode

        return self._fitted.probabilities(encode(self._fitted.encoder, list(texts)))


class KerasNlpBert:
    """keras-nlp's ``BertTextClassifier``: dropout and a dense layer on the tanh layer over ``[CLS]``.

    Texts, batches, loss, optimizer and learning rate are those of our own training; only the network is theirs. It
    computes GELU by the tanh approximation, whatever the weights were trained with, and is scored in the number format
    of its training. If not ``pretrained``, it starts from random weights of the same shapes.
    """

    def __init__(self, config: TrainingConfig, classes: int, pretrained: bool = True):
        self._config = config
        self._pretrained = pretrained
        self.classes_ = np.arange(classes)

    def fit(self, texts: Sequence[str], label_ids: np.ndarray) -> KerasNlpBert:
        """Train the whole network; ``label_ids`` int [N]."""
        config = self._config
        runtime = device.prepare(config.seed)
        import keras

        from tf_model.preprocessing import batching
        from tf_model.training.trainer import text_encoder

        keras.utils.clear_session(free_memory=True)
        gc.collect()
        keras.utils.set_random_seed(config.seed)
        weights = backbone.find(config.backbone)
        self._encoder = text_encoder(config, weights)
        self._model = classifier(weights, len(self.classes_), self._pretrained, runtime.precision)
        steps = batching.steps_per_epoch(len(label_ids), config.batch_size)
        batches = batching.training_batches(  # in the order of our own training
            batching.encode(self._encoder, list(texts)),
            np.reshape(label_ids, (-1, 1)),
            batch_size=config.batch_size,
            max_tokens=config.max_tokens,
            seed=config.seed,
            first_epoch=0,
            epochs=config.epochs,
        )
        self._model.compile(
            optimizer=_optimizer(config, steps * config.epochs),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[],
            jit_compile=False,  # XLA would recompile for each batch length
        )
        self._model.optimizer.build(self._model.trainable_variables)  # in the first step, it would be traced twice
        batches = batches.map(lambda inputs, ids: (keras_nlp_inputs(inputs), ids))
        self._model.fit(batches, epochs=config.epochs, steps_per_epoch=steps, verbose=0, shuffle=False)
        return self

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Class probabilities, float32 [N, classes]."""
        import tensorflow as tf

        def probabilities(inputs: Inputs) -> tf.Tensor:
            return tf.nn.softmax(tf.cast(self._model(keras_nlp_inputs(inputs), training=False), tf.float32))

        return score(probabilities, self._encoder, texts)


def score(network: Callable[[Inputs], tf.Tensor], encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    """The output of ``network`` for each text, float32 [N, ...], computed in batches of similar length."""
    from tf_model.preprocessing import batching

    return batching.scores(
        batching.traced_once(network),
        batching.encode(encoder, list(texts)),
        batch_size=SCORING_BATCH,
        max_tokens=encoder.max_tokens,
    )


def classifier(weights: backbone.Backbone, classes: int, pretrained: bool = True, dtype: str = "float32") -> Any:
    """keras-nlp's ``BertTextClassifier`` in the size of ``weights``, whose tensors it maps to its own names.

    Reads their safetensors file; nothing is fetched or unpickled. Logits are in float32 like ours, whatever ``dtype``.
    """
    import keras
    import keras_nlp

    bert = keras_nlp.models.BertBackbone.from_preset(str(weights.folder), load_weights=pretrained, dtype=dtype)
    model = keras_nlp.models.BertTextClassifier(bert, num_classes=classes, activation=None)
    model.output_dense.dtype_policy = keras.dtype_policies.DTypePolicy("float32")
    return model


def keras_nlp_inputs(inputs: Inputs) -> Inputs:
    """Inputs of transformers' BERT (``input_ids`` and ``attention_mask``, int32 [B, L]) under keras-nlp's names."""
    import tensorflow as tf

    token_ids = tf.convert_to_tensor(inputs["input_ids"])
    return {
        "token_ids": token_ids,
        "padding_mask": tf.convert_to_tensor(inputs["attention_mask"]),
        "segment_ids": tf.zeros_like(token_ids),
    }


def _optimizer(config: TrainingConfig, steps: int) -> Any:
    """Adam of Keras 3 with the schedule of our own training, which is one of tf_keras."""
    import keras

    from tf_model.modeling.classifier import learning_rate

    schedule = learning_rate(config, steps)
    optimizer = keras.optimizers.Adam(lambda: schedule(optimizer.iterations.value))
    return optimizer
