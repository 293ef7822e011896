"""Restore the classifier of a saved model, to export it again."""

from pathlib import Path
from typing import Any

from tf_model import device
from tf_model.config import config_of
from tf_model.errors import ModelError
from tf_model.inference.predictor import Predictor
from tf_model.modeling import backbone
from tf_model.modeling import classifier as bert
from tf_model.training.trainer import Fitted, text_encoder


def load(folder: Path) -> tuple[Fitted, Predictor]:
    """Restore a saved model, with the architecture and the vocabulary of the backbone that its recipe names.

    Returns the classifier, in float32 and without a history, and the loaded model. Raises :class:`ModelError` if the
    model is incomplete or its weights do not fit.
    """
    # As in Predictor.load: a promotion that moves a link meanwhile cannot mix the files of two versions.
    folder = folder.resolve() if folder.is_symlink() else folder
    device.prepare(0, precision="float32")  # before a model is loaded: then GPUs can no longer be set up
    predictor = Predictor.load(folder, "tensorflow")
    config = config_of(folder, predictor.recipe)
    weights = backbone.find(config.backbone)
    model = bert.build(weights, [len(labels) for labels in predictor.labels.values()], config.pooling)
    saved, variables = _saved_variables(folder), {_name(variable): variable for variable in model.variables}
    missing = [name for name, each in variables.items() if name not in saved or saved[name].shape != each.shape]
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} of the {len(variables)} weights of its classifier, such as {missing[0]}; "
            "it was not exported by this project, or its backbone has changed: train it again"
        )
    for name, variable in variables.items():
        variable.assign(saved[name])
    return Fitted(model, text_encoder(config, weights)), predictor


def _saved_variables(folder: Path) -> dict[str, Any]:
    """The variables of a SavedModel by their name in the classifier."""
    import tensorflow as tf

    return {_name(variable): variable for variable in getattr(tf.saved_model.load(str(folder)), "weights", ())}


def _name(variable: Any) -> str:
    """The name without the classifier's own, which counts the classifiers of a process: ``bert/.../kernel:0``."""
    return variable.name.split("/", 1)[-1]
