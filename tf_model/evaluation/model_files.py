"""The papers beside a saved model: each read and checked by itself, with what is wrong put into words.

Nothing here raises for what a file holds: a finding is added to a list of problems, and the paper counts as absent.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model.errors import DataError, first_line, listed
from tf_model.evaluation.metrics import SUM_TOLERANCE
from tf_model.inference.predictor import ANSWER, probability_column
from tf_model.model_dir import CALIBRATION, CARD, GRAPH, HISTORY, LABELS, METRICS, PREDICTIONS, RECIPE, classes_of

if TYPE_CHECKING:
    import pandas as pd

PAPERS = (GRAPH, LABELS, METRICS, RECIPE, HISTORY, PREDICTIONS, CALIBRATION, CARD)
PARTS = ("train", "validation")


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said of the labelled validation rows of one task.

    Attributes:
        labels: The C classes, in the order of their ids.
        rows: int64 [N], row numbers in the data file, counted from 0.
        label_ids: int64 [N], the true classes.
        probabilities: float64 [N, C], each row a distribution.
    """

    labels: tuple[str, ...]
    rows: np.ndarray
    label_ids: np.ndarray
    probabilities: np.ndarray

    @property
    def predicted_ids(self) -> np.ndarray:
        """int64 [N], the most probable class, the first of several."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidences(self) -> np.ndarray:
        """float64 [N], the probability of the predicted class, 0 to 1."""
        return self.probabilities.max(axis=1)

    @property
    def right(self) -> np.ndarray:
        """bool [N], whether the predicted class is the true one."""
        return self.predicted_ids == self.label_ids


@dataclass(frozen=True)
class Reader:
    """Reads the files of one folder, and adds what is wrong with them to a list.

    Attributes:
        folder: The model's folder.
        problems: Where to add; one line each.
    """

    folder: Path
    problems: list[str]

    def must_hold(self, name: str) -> bool:
        """Whether there is such a file, which the model needs to be loaded."""
        found = (self.folder / name).is_file()
        if not found:
            self.problems.append(f"{name} is missing: the model cannot be loaded; train or export it again")
        return found

    def text(self, name: str, optional: bool = False) -> str | None:
        """A file of UTF-8 text; its absence is a problem unless it is ``optional``."""
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            if not optional:
                self.problems.append(f"{name} is missing; train the model again to have it")
        except (OSError, ValueError) as error:
            self.problems.append(f"{name} cannot be read ({first_line(error)}); train the model again")
        return None

    def json(self, name: str, optional: bool = False) -> dict[str, Any]:
        """A file that holds a JSON object; an empty one where it cannot be had."""
        content = self.text(name, optional)
        if content is None:
            return {}
        try:
            value = json.loads(content)
        except ValueError as error:
            self.problems.append(f"{name} is damaged ({first_line(error)}); train the model again")
            return {}
        if not isinstance(value, dict):
            self.problems.append(f"{name}: expected an object, found a {type(value).__name__}; train the model again")
            return {}
        return value

    def table(self, name: str) -> pd.DataFrame | None:
        """A CSV file with at least one row; an empty cell is a missing value, and nothing else is."""
        import pandas as pd

        content = self.text(name)
        if content is None:
            return None
        try:
            # Labels are text: "None" or "NA" among them would be a label, not a missing one.
            frame = pd.read_csv(io.StringIO(content), keep_default_na=False, na_values=[""])
        except (ValueError, pd.errors.ParserError) as error:
            self.problems.append(f"{name} is damaged ({first_line(error)}); train the model again")
            return None
        if frame.empty:
            self.problems.append(f"{name} has no rows; train the model again")
            return None
        return frame


def check_labels(found: Mapping[str, Any], problems: list[str]) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The task of ``labels.json`` and the classes of each task that the model predicts; empty where there are none."""
    classes = classes_of(found)
    if found and not classes:
        problems.append(f"{LABELS}: expected a task and its labels, found {str(found)[:80]!r}; export it again")
    return (found["task"] if classes else ""), classes


def check_metrics(
    metrics: dict[str, Any], task: str, labels: Mapping[str, Sequence[str]], problems: list[str]
) -> dict[str, Any]:
    """``metrics`` without the parts that have not the figures of ``evaluate_probabilities``."""
    for part in PARTS if metrics and task else ():
        figures = metrics.get(part)
        by_task = figures if task == ANSWER else {task: figures}
        wrong = not isinstance(by_task, dict) or any(
            not _has_figures(by_task.get(name), classes) for name, classes in labels.items()
        )
        if wrong:
            problems.append(f"{METRICS}: the figures of the part {part!r} are not complete; evaluate the model again")
            metrics = {name: value for name, value in metrics.items() if name != part}
    return metrics


def _has_figures(figures: Any, labels: Sequence[str]) -> bool:
    if not isinstance(figures, dict) or not all(_is_number(figures.get(name)) for name in ("rows", "accuracy")):
        return False
    matrix = figures.get("confusion_matrix", [])
    square = isinstance(matrix, list) and all(isinstance(row, list) and len(row) == len(labels) for row in matrix)
    per_class = figures.get("per_class", {})
    return square and len(matrix) in (0, len(labels)) and isinstance(per_class, dict) and set(per_class) <= set(labels)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)


def check_history(frame: pd.DataFrame | None, problems: list[str]) -> pd.DataFrame | None:
    """``history.csv``, if it has the columns of a training run."""
    if frame is None or {"epoch", "loss", "accuracy"} <= set(frame.columns):
        return frame
    problems.append(
        f"{HISTORY}: expected the columns epoch, loss, accuracy, found {listed(frame.columns)}; train it again"
    )
    return None


def check_predictions(
    frame: pd.DataFrame | None, task: str, labels: Mapping[str, tuple[str, ...]], problems: list[str]
) -> tuple[dict[str, Predictions], pd.DataFrame | None]:
    """``validation_predictions.csv`` by task, its labelled rows alone, and for ``answer`` as a whole as well.

    A model of one task has the columns ``row``, ``label``, ``predicted`` and one per class; ``answer`` has ``row``,
    ``product``, ``emotion`` and ``<task>_probability_<class>``.
    """
    if frame is None or not labels:
        return {}, None
    found = {}
    for name, classes in labels.items():
        truth = name if task == ANSWER else "label"
        columns = [probability_column(name, label) if task == ANSWER else label for label in classes]
        try:
            found[name] = _predictions_of(frame, truth, columns, classes)
        except DataError as error:
            problems.append(f"{PREDICTIONS}: {error}")
            return {}, None
    return found, frame if task == ANSWER else None


def _predictions_of(frame: pd.DataFrame, truth: str, columns: list[str], labels: tuple[str, ...]) -> Predictions:
    import pandas as pd

    missing = [name for name in ("row", truth, *columns) if name not in frame]
    if missing:
        raise DataError(f"expected the columns {listed(missing)}, which are missing; train the model again")
    known = frame[frame[truth].notna()]  # an unknown target is nothing to be right or wrong about
    unknown = sorted(set(known[truth].astype(str)) - set(labels))
    if unknown:
        raise DataError(f"expected the labels of {LABELS}, found {listed(unknown)}; train the model again")
    rows = pd.to_numeric(known["row"], errors="coerce")
    probabilities = known[columns].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    off = ~(np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE)  # so written, NaN is off as well
    if rows.isna().any() or off.any():
        raise DataError("expected row numbers, and probabilities that sum to 1, found others; train the model again")
    ids = {label: number for number, label in enumerate(labels)}
    return Predictions(
        labels, rows.to_numpy(np.int64), known[truth].astype(str).map(ids).to_numpy(np.int64), probabilities
    )
