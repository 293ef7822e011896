"""The one place where the studies call :mod:`tf_model.training`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import device
from tf_model.training import cross_validation

if TYPE_CHECKING:
    from tf_model.config import TrainingConfig
    from tf_model.modeling.backbone import Backbone
    from tf_model.training.trainer import Fitted

FOLDS, FOLD_SEED = cross_validation.FOLDS, cross_validation.FOLD_SEED


def fit(
    config: TrainingConfig,
    weights: Backbone,
    classes: Sequence[int],
    texts: Sequence[str],
    label_ids: np.ndarray,
    *,
    loss: Any = None,
    callbacks: Sequence[Any] = (),
) -> Fitted:
    """Train as ``python -m tf_model.train`` does, and score in float32.

    Args:
        config: Settings; its seed is the training seed.
        weights: To start from.
        classes: Number of classes of each task.
        texts: N raw texts.
        label_ids: int [N, tasks], -1 where a text has no label of a task.
        loss: See :func:`tf_model.modeling.classifier.compile_model`.
        callbacks: More Keras callbacks.
    """
    used = device.prepare(config.seed)
    import tf_keras

    from tf_model.preprocessing.batching import encode
    from tf_model.training import trainer

    tf_keras.backend.clear_session()
    encoder = trainer.text_encoder(config, weights)
    examples = trainer.Examples(encode(encoder, list(texts)), np.asarray(label_ids))
    fitted = trainer.fit(config, weights, classes, encoder, examples, runtime=used, callbacks=callbacks, loss=loss)
    return fitted.in_float32()


def predict(fitted: Fitted, texts: Sequence[str]) -> np.ndarray:
    """Probabilities of a trained model, float32 [N, classes of all tasks]."""
    from tf_model.preprocessing.batching import encode

    return fitted.probabilities(encode(fitted.encoder, list(texts)))


def read_fold(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """What ``tf_model.evaluate --protocol grouped`` kept of a fold: positions int64 [V], probabilities [V, classes]."""
    fold = cross_validation.read_fold(path, seed=0, fold=0)
    return fold.positions, fold.probabilities
