"""What is known of the trained models: the papers in every folder of ``saved_models/``, and what follows from them.

A paper that is missing or damaged costs what it would have shown and nothing else: :attr:`ModelReport.problems` says
in one line each what is wrong. No model is loaded and TensorFlow is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import config, paths, tasks
from tf_model.data.dataset import ASSIGNMENT, SAMPLE
from tf_model.errors import DataError
from tf_model.evaluation import model_files
from tf_model.evaluation.metrics import REPORT, wilson_interval
from tf_model.evaluation.model_files import Predictions
from tf_model.inference.predictor import ANSWER, probability_column

if TYPE_CHECKING:
    import pandas as pd

    from tf_model.data.dataset import Dataset

REPORT_VALIDATION_ROWS = 659  # 20% of the 3,291 tweets with a product, rounded up

Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, eq=False)
class ModelReport:
    """One folder of a saved model, as far as it can be read.

    Attributes:
        folder: Where it is; its last part is the model's name.
        task: ``"product"``, ``"emotion"``, ``"answer"``, or empty where ``labels.json`` cannot be read.
        labels: The classes of each task, by its name.
        metrics: ``metrics.json``, empty if there is none.
        recipe: ``recipe.json``, empty if there is none.
        history: ``history.csv``, one line per epoch.
        predictions: The validation rows of each task that ``validation_predictions.csv`` holds.
        joint: For ``answer``: every validation row, with ``row`` (int64), the true ``product`` and ``emotion`` (str,
            missing where unknown) and the probability columns.
        calibration: ``calibration.json``.
        card: ``model_card.md``.
        problems: What is missing or damaged, one line each, the gravest first.
        is_whole: Whether the folder holds what a model needs to be loaded: its graph and its labels.
    """

    folder: Path
    task: str = ""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    history: pd.DataFrame | None = None
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    joint: pd.DataFrame | None = None
    calibration: Mapping[str, Any] = field(default_factory=dict)
    card: str | None = None
    problems: tuple[str, ...] = ()
    is_whole: bool = True

    @property
    def name(self) -> str:
        """The name of the model, which is its folder's."""
        return self.folder.name

    @property
    def is_sample(self) -> bool:
        """Whether it was trained on the sample corpus, so that its figures say nothing about real tweets."""
        return self.metrics.get("dataset") == SAMPLE

    @property
    def data_sha256(self) -> str | None:
        """Of the data file that it was trained and validated on."""
        return self.metrics.get("data_sha256")

    @property
    def protocol(self) -> str:
        """How the rows that train and those that validate were chosen, in words."""
        return str(self.metrics.get("protocol") or "not recorded")

    def part(self, part: str, task: str) -> Mapping[str, Any]:
        """The figures of ``"train"`` or ``"validation"`` for one task, or for ``"answer"``; empty if there are none."""
        figures = self.metrics.get(part)
        if self.task == ANSWER and isinstance(figures, Mapping):
            figures = figures.get(task)
        elif task != self.task:
            figures = None
        return figures if isinstance(figures, Mapping) else {}

    def reference(self, task: str) -> tuple[Mapping[str, Mapping[str, float]], str]:
        """The report's figures for a task, and whether they were measured alike, in words.

        Returns:
            :data:`tf_model.evaluation.metrics.REPORT` for products, nothing for other tasks; and one sentence.
        """
        if task != tasks.PRODUCT.name:
            return {}, f"The report gives no figure for the {task}."
        settings = {name: getattr(config.REPORT, name) for name in ("split_seed", "validation_size")}
        split = {name: self.recipe.get(name) for name in settings}
        if self.metrics.get("dataset") != ASSIGNMENT:
            return REPORT, "Not comparable: the report used another dataset."
        if split != settings or self.part("validation", task).get("rows") != REPORT_VALIDATION_ROWS:
            return REPORT, "Not comparable: the report validated on other rows."
        return REPORT, "Comparable: measured on the same 659 tweets as the report's figure."


# ---------------------------------------------------------------- read


def model_folders(folder: Path | str = paths.SAVED_MODELS) -> tuple[Path, ...]:
    """The folders of ``folder`` that hold a model or a part of one, by name; hidden ones are work in progress."""
    folder = Path(folder)
    if not folder.is_dir():
        return ()
    order = {ANSWER: 0, tasks.PRODUCT.name: 1, tasks.EMOTION.name: 2}
    found = [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")]
    return tuple(sorted(found, key=lambda each: (order.get(each.name, len(order)), each.name)))


def fingerprint(folder: Path) -> Fingerprint:
    """What changes when a paper of a model changes: name, time of change in ns and size in bytes of each."""
    found = []
    for name in model_files.PAPERS:
        try:
            status = (folder / name).stat()
        except OSError:
            continue
        found.append((name, status.st_mtime_ns, status.st_size))
    return tuple(found)


def read_report(folder: Path | str) -> ModelReport:
    """Read the papers of one model. Never raises: what cannot be read is told in :attr:`ModelReport.problems`."""
    folder, problems = Path(folder), []
    read = model_files.Reader(folder, problems)
    is_whole = read.must_hold(model_files.GRAPH)
    task, labels = model_files.check_labels(read.json(model_files.LABELS), problems)
    metrics = model_files.check_metrics(read.json(model_files.METRICS), task, labels, problems)
    predictions, joint = model_files.check_predictions(read.table(model_files.PREDICTIONS), task, labels, problems)
    return ModelReport(
        folder=folder,
        task=task,
        labels=labels,
        metrics=metrics,
        recipe=read.json(model_files.RECIPE),
        history=model_files.check_history(read.table(model_files.HISTORY), problems),
        predictions=predictions,
        joint=joint,
        calibration=read.json(model_files.CALIBRATION, optional=task != ANSWER),
        card=read.text(model_files.CARD),
        problems=tuple(problems),
        is_whole=is_whole and bool(labels),
    )


# ---------------------------------------------------------------- what follows from the predictions


@dataclass(frozen=True)
class ThresholdEffect:
    """What would happen if a model answered only where it is at least so confident.

    Attributes:
        threshold: 0 to 1.
        rows: All rows.
        answered: Rows that still get an answer.
        right: Of these, the right ones.
        withheld_right: Right answers that would be withheld.
        withheld_wrong: Wrong answers that would be withheld.
    """

    threshold: float
    rows: int
    answered: int
    right: int
    withheld_right: int
    withheld_wrong: int

    @property
    def coverage(self) -> float:
        """Share of the rows that get an answer, 0 to 1."""
        return self.answered / self.rows

    @property
    def accuracy(self) -> float | None:
        """Share of the answers that are right, 0 to 1; None where nothing is answered."""
        return self.right / self.answered if self.answered else None

    @property
    def accuracy_interval(self) -> tuple[float, float] | None:
        """Its 95% Wilson interval."""
        return wilson_interval(self.right, self.answered) if self.answered else None


def threshold_effect(confidences: np.ndarray, right: np.ndarray, threshold: float) -> ThresholdEffect:
    """Count what a threshold would let through and withhold.

    Args:
        confidences: float [N], N at least 1.
        right: bool [N], whether each answer is right.
        threshold: Answers with at least this confidence are given.

    Raises:
        DataError: There is no row, or the shapes differ.
    """
    confidences, right = np.asarray(confidences, np.float64), np.asarray(right, bool)
    if not len(confidences) or confidences.shape != right.shape:
        raise DataError(
            f"expected one confidence and one verdict per row, got {confidences.shape} and {right.shape}; "
            "give those of the same rows"
        )
    given = confidences >= threshold
    answered, good = int(given.sum()), int((given & right).sum())
    total_good = int(right.sum())
    return ThresholdEffect(
        float(threshold),
        len(right),
        answered,
        good,
        total_good - good,
        len(right) - answered - (total_good - good),
    )


def answer_verdicts(report: ModelReport) -> tuple[np.ndarray, np.ndarray] | None:
    """How sure the model ``answer`` was of each validation row, and whether its answer was exactly right.

    Returns:
        ``confidences`` float [N] and ``right`` bool [N] over the rows with a known emotion, by the rule of
        :mod:`tf_model.modeling.joint_label`; None for another model, or one without validation predictions.
    """
    from tf_model.modeling.joint_label import confidence_and_right

    if report.joint is None or "emotion" not in report.predictions:
        return None
    frame = report.joint[report.joint["emotion"].notna()]
    ids, probabilities = {}, {}
    for task, labels in report.labels.items():
        numbers = {label: number for number, label in enumerate(labels)}
        ids[task] = frame[task].map(numbers).fillna(tasks.NO_LABEL).to_numpy(np.int64)
        probabilities[task] = frame[[probability_column(task, label) for label in labels]].to_numpy(np.float64)
    return confidence_and_right(ids["product"], ids["emotion"], probabilities["product"], probabilities["emotion"])


def hardest_mistakes(predictions: Predictions, most: int = 50) -> pd.DataFrame:
    """The wrong answers that were given with the least doubt: those whose true class was thought least probable.

    Returns:
        At most ``most`` rows with ``row`` (int64), ``label``, ``predicted`` (str), ``confidence`` and
        ``true_probability`` (float64, 0 to 1), the hardest first.
    """
    import pandas as pd

    wrong = np.flatnonzero(~predictions.right)
    true = predictions.probabilities[np.arange(len(predictions.rows)), predictions.label_ids]
    hardest = wrong[np.lexsort((predictions.rows[wrong], true[wrong]))][:most]
    labels = np.asarray(predictions.labels, object)
    return pd.DataFrame(
        {
            "row": predictions.rows[hardest],
            "label": labels[predictions.label_ids[hardest]],
            "predicted": labels[predictions.predicted_ids[hardest]],
            "confidence": predictions.confidences[hardest],
            "true_probability": true[hardest],
        }
    )


def with_texts(mistakes: pd.DataFrame, texts: Mapping[int, str]) -> pd.DataFrame:
    """``mistakes`` with a first column ``text``: that of the same row number, missing where there is none."""
    frame = mistakes.copy()
    frame.insert(0, "text", [texts.get(int(row)) for row in mistakes["row"]])
    return frame


def texts_of(dataset: Dataset, data_sha256: str | None) -> dict[int, str]:
    """The texts of a dataset by row number.

    Args:
        dataset: The dataset at hand.
        data_sha256: Of the file that the row numbers belong to.

    Raises:
        DataError: It is another file, where the same row number is another text.
    """
    if dataset.sha256 != data_sha256:
        wanted = (data_sha256 or "not recorded")[:12]
        raise DataError(
            f"expected the dataset that the model was validated on (sha256 {wanted}), found "
            f"{paths.shown(dataset.path)} (sha256 {dataset.sha256[:12]}); give that file with TWEETS_DATA"
        )
    return dict(zip(dataset.labelled["row"].tolist(), dataset.labelled[tasks.TEXT_COLUMN].tolist(), strict=True))
