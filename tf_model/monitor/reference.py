"""What a model's predictions look like where all is well: counts of a part that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import tasks
from tf_model.errors import DataError, ModelError, first_line
from tf_model.io.files import write_json
from tf_model.model_dir import METRICS, is_of_training, read_json, training_of
from tf_model.model_dir import REFERENCE as FILE
from tf_model.monitor.aggregates import BINS, Counts
from tf_model.monitor.events import Answered, Stream, columns_of

if TYPE_CHECKING:
    import pandas

FORMAT = 2


@dataclass(frozen=True)
class Reference:
    """Predictions of known good data, counted as the log counts.

    Attributes:
        origin: Which predictions these are, in words.
        rows: How many.
        counts: Labels of ``product``, ``emotion`` and ``outcome``; histograms of confidences, length and UNK rate.
        accuracy: Share of correct predictions among them by task (``product``, ``emotion``, ``answer``), where known;
            that of the answer is of the best guess, without abstention.
        answered_accuracy: Share of correct answers among those that are not "Not sure", where known. It stands in the
            model's metrics, not in this file.
    """

    origin: str
    rows: int
    counts: Counts
    accuracy: Mapping[str, float] = field(default_factory=dict)
    answered_accuracy: float | None = None

    def save(self, folder: Path, overwrite: bool = False) -> Path:
        """Write ``reference.json`` into a model's folder.

        Raises:
            OutputError: It exists and ``overwrite`` is false, or it cannot be written.
        """
        counts: dict[str, dict[str, Any]] = {}  # a label or bin comes with its count and its sum
        for (name, key), (count, total) in sorted(self.counts.items(), key=lambda item: (item[0][0], str(item[0][1]))):
            counts.setdefault(name, {})[str(key)] = [count, round(total, 6)]
        about = {"format": FORMAT, "origin": self.origin, "rows": self.rows, "accuracy": dict(self.accuracy)}
        path = Path(folder) / FILE
        write_json(path, about | {"counts": counts}, overwrite)
        return path


def build(
    texts: Sequence[str],
    predictions: pandas.DataFrame,
    origin: str,
    unk_rates: Sequence[float | None] | None = None,
    accuracy: Mapping[str, float] | None = None,
) -> Reference:
    """A reference from predictions that the model made of texts it was not trained on.

    Args:
        texts: The N texts, raw, as the model is given them later.
        predictions: N rows, as ``predict`` gives them, by the same threshold as later.
        origin: See :class:`Reference`, as of ``accuracy``.
        unk_rates: For each text the share of its tokens that are [UNK], 0 to 1.
        accuracy: By task.

    Raises:
        DataError: There are none.
        ValueError: The lengths differ.
    """
    from tf_model.monitor.store import counts_of

    if not len(texts):
        raise DataError("expected predictions to make a reference of, got none; give a part with rows")
    columns = columns_of(texts, predictions, unk_rates)
    call = Answered(0.0, Stream("", "", ""), {}, columns, [0] * len(texts))
    return Reference(origin, len(texts), counts_of(call), dict(accuracy or {}))


def load(folder: Path) -> Reference | None:
    """The reference of the model in ``folder``, None if there is none.

    Raises:
        ModelError: It cannot be read.
    """
    path = Path(folder) / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {value['format']}")
        counts = {
            (name, int(key) if name in BINS else key): (int(count), float(total))
            for name, sums in value["counts"].items()
            for key, (count, total) in sums.items()
        }
        accuracy = {task: float(share) for task, share in value["accuracy"].items()}
        reference = Reference(str(value["origin"]), int(value["rows"]), counts, accuracy)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} cannot be used ({first_line(error)}); train the model again") from error
    return replace(reference, answered_accuracy=_answered_accuracy(Path(folder)))


def _answered_accuracy(folder: Path) -> float | None:
    """Of the same part, by the model's own threshold; None where the model gives no answers, or has no metrics."""
    value: Any = read_json(folder / METRICS)
    for name in ("validation", tasks.ANSWER, "answered_accuracy"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, float) else None


def load_of(folder: Path, version: str) -> tuple[Reference | None, str]:
    """The reference of one version of the model in ``folder``, or None and why there is none.

    The version is as the log has it: which training a model comes from (:func:`tf_model.model_dir.training_of`), or its
    number on a server (:func:`tf_model.model_dir.served_version`).

    Raises:
        ModelError: It cannot be read.
    """
    folder = Path(folder)
    reference = load(folder)
    if reference is None:
        return None, f"{folder.name} has no {FILE}: it was saved without one"
    if not is_of_training(version, training_of(folder)):
        return None, f"the {FILE} of {folder.name} belongs to another version of it"
    return reference, ""
