"""The reference of a model: counts of its predictions on known good data that it was not trained on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas

from tf_model import tasks
from tf_model.errors import ModelError, first_line
from tf_model.io.files import write_json
from tf_model.model_dir import METRICS, is_of_training, read_json, training_of
from tf_model.model_dir import REFERENCE as FILE
from tf_model.monitor.aggregates import BINS, Counts, prediction_counts
from tf_model.monitor.events import counted_columns
from tf_model.promote import versions

FORMAT = 2


@dataclass(frozen=True)
class Reference:
    """Predictions on known good data, counted as the log counts them."""

    origin: str  # a description of the predictions
    rows: int
    counts: Counts
    # Share of correct predictions by task, where known; for the answer, that of the best guess, without abstention.
    accuracy: Mapping[str, float] = field(default_factory=dict)
    # Accuracy of the answers other than "Not sure", where known. It is read from the model's metrics, not this file.
    answered_accuracy: float | None = None

    def save(self, folder: Path) -> None:
        """Write ``reference.json`` into a model's folder; :class:`OutputError` if it cannot be written."""
        counts: dict[str, dict[str, Any]] = {}  # the count and the sum of each label or bin
        for (name, key), (count, total) in sorted(self.counts.items(), key=lambda item: (item[0][0], str(item[0][1]))):
            counts.setdefault(name, {})[str(key)] = [count, round(total, 6)]
        header = {"format": FORMAT, "origin": self.origin, "rows": self.rows, "accuracy": dict(self.accuracy)}
        write_json(folder / FILE, header | {"counts": counts})


def build(
    texts: Sequence[str],
    predictions: pandas.DataFrame,
    origin: str,
    unk_rates: Sequence[float | None] | None = None,
    accuracy: Mapping[str, float] | None = None,
    no_emotion: str | None = tasks.NO_EMOTION,
) -> Reference:
    """A reference from predictions on raw texts outside the training data, made with the threshold that is in use."""
    counts = prediction_counts(counted_columns(texts, predictions, unk_rates, no_emotion))
    return Reference(origin, len(texts), counts, dict(accuracy or {}))


def load(folder: Path, version: str | None = None) -> Reference | None:
    """The reference of the model in ``folder``, or of a kept version of it; None if that version has none.

    ``version`` is as in the log: the training of the model (:func:`tf_model.model_dir.training_of`), or its number on a
    server (:func:`tf_model.model_dir.served_version`); None: any. Raises :class:`ModelError` if it cannot be read.
    """
    folders = (folder, *versions.versions(folder))  # what was replaced may still answer, as in an API until its restart
    return next((found for each in folders if (found := _load(each, version))), None)


def _load(folder: Path, version: str | None) -> Reference | None:
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {content['format']}")
        counts = {
            (name, int(key) if name in BINS else key): (int(count), float(total))
            for name, sums in content["counts"].items()
            for key, (count, total) in sums.items()
        }
        accuracy = {task: float(share) for task, share in content["accuracy"].items()}
        reference = Reference(str(content["origin"]), int(content["rows"]), counts, accuracy)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} cannot be used ({first_line(error)}); train the model again") from error
    if version is not None and not is_of_training(version, training_of(path.parent)):
        return None
    answer_metrics = read_json(path.parent / METRICS).get("validation", {}).get("answer", {})
    return replace(reference, answered_accuracy=answer_metrics.get("answered_accuracy"))
