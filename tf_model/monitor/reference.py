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
from tf_model.monitor import tally

if TYPE_CHECKING:
    import pandas

FORMAT = 1
_FIELDS = {"format", "origin", "rows", "labels", "histograms", "accuracy"}


@dataclass(frozen=True)
class Reference:
    """Predictions of known good data, counted as :mod:`tf_model.monitor.tally` counts.

    Attributes:
        origin: Which predictions these are, in words.
        rows: How many.
        counts: Labels of ``product``, ``emotion`` and ``outcome``; histograms of confidences, length and share of
            unknown tokens.
        accuracy: Share of right predictions among them by task (``product``, ``emotion``, ``answer``), where known;
            that of the answer is of the best guess, as if nothing was withheld.
        answered_accuracy: Share of right answers among those that are not "Not sure", where known. It stands in the
            model's figures, not in this file.
    """

    origin: str
    rows: int
    counts: tally.Counts
    accuracy: Mapping[str, float] = field(default_factory=dict)
    answered_accuracy: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values; a label or bin comes with its count and its sum."""
        labels: dict[str, Any] = {}
        histograms: dict[str, Any] = {}
        for (name, key), (count, total) in sorted(self.counts.items(), key=lambda item: (item[0][0], str(item[0][1]))):
            place = histograms if name in tally.BINS else labels
            place.setdefault(name, {})[str(key)] = [count, round(total, 6)]
        return {
            "format": FORMAT,
            "origin": self.origin,
            "rows": self.rows,
            "labels": labels,
            "histograms": histograms,
            "accuracy": dict(self.accuracy),
        }

    @classmethod
    def from_json(cls, value: Any) -> Reference:
        """The reference that :meth:`to_json` gave.

        Raises:
            ValueError: It is none, or of another version of this program.
        """
        if not isinstance(value, dict) or set(value) != _FIELDS or value["format"] != FORMAT:
            raise ValueError(f"expected an object of format {FORMAT} with {', '.join(sorted(_FIELDS))}")
        counts: tally.Counts = {}
        for name, sums in value["labels"].items():
            counts |= {(name, key): (int(count), float(total)) for key, (count, total) in sums.items()}
        for name, sums in value["histograms"].items():
            if name not in tally.BINS:
                raise ValueError(f"{name!r} is no histogram that this program knows")
            counts |= {(name, int(key)): (int(count), float(total)) for key, (count, total) in sums.items()}
        accuracy = {task: float(share) for task, share in value["accuracy"].items()}
        return cls(str(value["origin"]), int(value["rows"]), counts, accuracy)

    def save(self, folder: Path, overwrite: bool = False) -> Path:
        """Write ``reference.json`` into a model's folder.

        Raises:
            OutputError: It exists and ``overwrite`` is false, or it cannot be written.
        """
        path = Path(folder) / FILE
        write_json(path, self.to_json(), overwrite)
        return path


def build(
    texts: Sequence[str],
    predictions: pandas.DataFrame,
    origin: str,
    unknown_shares: Sequence[float | None] | None = None,
    accuracy: Mapping[str, float] | None = None,
) -> Reference:
    """A reference from predictions that the model made of texts it was not trained on.

    Args:
        texts: The N texts, raw, as the model is given them later.
        predictions: N rows, as ``predict`` gives them, by the same threshold as later.
        origin: Which predictions these are, in words.
        unknown_shares: For each text the share of unknown tokens, 0 to 1.
        accuracy: Share of right predictions by task.

    Raises:
        DataError: There are none.
        ValueError: The lengths differ.
    """
    from tf_model.monitor.rows import columns_of

    if not len(texts):
        raise DataError("expected predictions to make a reference of, got none; give a part with rows")
    counts: tally.Counts = {}
    tally.count_columns(counts, columns_of(texts, predictions, unknown_shares))
    return Reference(origin, len(texts), counts, dict(accuracy or {}))


def load(folder: Path) -> Reference | None:
    """The reference of the model in ``folder``, None if there is none.

    Raises:
        ModelError: It cannot be read.
    """
    path = Path(folder) / FILE
    try:
        found = Reference.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} cannot be used ({first_line(error)}); export the model again") from error
    return replace(found, answered_accuracy=_answered_accuracy(Path(folder)))


def _answered_accuracy(folder: Path) -> float | None:
    """Of the same part, by the model's own threshold; None where the model gives no answers, or has no figures."""
    found: Any = read_json(folder / METRICS)
    for name in ("validation", tasks.ANSWER, "answered_accuracy"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, float) else None


def load_of(folder: Path, version: str) -> Reference | None:
    """The reference of one version of the model in ``folder``: None if there is none, or another version is there now.

    Args:
        folder: Of a saved model.
        version: As the log has it: of a model that was loaded which training it comes from
            (:func:`tf_model.model_dir.training_of`), of one on a server its number there
            (:func:`tf_model.model_dir.served_version`).

    Raises:
        ModelError: It cannot be read.
    """
    return load(folder) if is_of_training(version, training_of(Path(folder))) else None
