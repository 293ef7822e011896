"""The folder of a saved model: what its files are called, what the model answers, and which training it comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tf_model import tasks
from tf_model.errors import ModelError, first_line

SIGNATURE = "serving_default"  # texts in, answers out
GRAPH, FINGERPRINT = "saved_model.pb", "fingerprint.pb"
SAVED_MODEL = (GRAPH, FINGERPRINT, "variables", "assets")  # what TensorFlow writes; all else are the model's papers
LABELS, METRICS, RECIPE = "labels.json", "metrics.json", "recipe.json"
HISTORY, PREDICTIONS = "history.csv", "validation_predictions.csv"
CALIBRATION, CARD, REFERENCE = "calibration.json", "model_card.md", "reference.json"
_TRAININGS = 10**6  # that the last six digits of a version on a server tell apart


# ---------------------------------------------------------------- what it answers


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file of the folder, empty if there is no such file.

    Raises:
        ModelError: It cannot be read, or is no object.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read ({first_line(error)}); export the model again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{file}: expected a JSON object, found a {type(value).__name__}; export the model again")
    return value


def read_labels(folder: Path) -> dict[str, tuple[str, ...]]:
    """Classes by task, as :func:`classes_of` finds them in ``labels.json``.

    Raises:
        ModelError: There is no whole model in the folder, or its labels cannot be read.
    """
    file = folder / LABELS
    try:
        missing = next((name for name in (GRAPH, LABELS) if not (folder / name).is_file()), None)
    except OSError as error:
        raise ModelError(f"{folder} cannot be read ({error.strerror}); check its permissions") from error
    if missing:
        raise ModelError(
            f"{folder} holds no whole model: {missing} is missing; export it again, or give another folder"
        )
    found = read_json(file)
    classes = classes_of(found)
    if not classes:
        raise ModelError(
            f"{file}: expected a task ({', '.join([*tasks.TASKS, tasks.ANSWER])}) and its labels, found "
            f"{str(found)[:200]}; export the model again"
        )
    return classes


def classes_of(found: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Classes by task, from ``{"task": T, "labels": [...]}`` or ``{"task": "answer", "product": [...], ...}``.

    Empty where ``found`` is neither.
    """
    classes = found.get("labels") if isinstance(found.get("labels"), dict) else {"": None}
    if not all(name in tasks.TASKS and _is_list_of_text(labels) for name, labels in classes.items()):
        return {}
    return {name: tuple(labels) for name, labels in classes.items()}


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


# ---------------------------------------------------------------- which training, and which version


def training_of(folder: Path) -> str:
    """Which training a model comes from, the same for every copy of it: a hash of what TensorFlow wrote; "" of none."""
    for name in (FINGERPRINT, GRAPH):
        with suppress(OSError):
            return hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12]
    return ""


def served_version(training: str, seconds: int) -> int:
    """The number of a version on a server: when it was saved, then six digits of which training it is.

    A later one is higher, as a server wants it, and of each it can be told whether it is the model in a folder.

    Args:
        training: See :func:`training_of`.
        seconds: Since 1970.
    """
    return seconds * _TRAININGS + int(training or "0", 16) % _TRAININGS


def served_since(version: int) -> int:
    """The ``seconds`` of :func:`served_version`."""
    return version // _TRAININGS


def is_of_training(version: str, training: str) -> bool:
    """Whether a version, as the log has it, is a training: its hash itself, or a number of :func:`served_version`."""
    if not training or not version.isdecimal():
        return bool(training) and version == training
    return version == training or int(version) == served_version(training, served_since(int(version)))
