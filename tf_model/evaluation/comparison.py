"""Whether one model is better than another: both answer the same labelled texts, which neither has trained on.

Two accuracies on the same rows differ by the rows that only one of the models gets right, so these are what is tested:
an exact McNemar test says how surprising their numbers are if both models are equally good, and a paired bootstrap how
large the difference may be. Intervals of two separate accuracies would hide most differences that are real.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import data, paths, tasks
from tf_model.data.splits import near_duplicate_groups
from tf_model.errors import DataError, ModelError, plural
from tf_model.evaluation.metrics import CONFIDENCE, RESAMPLES, evaluate_probabilities, mean_interval, wilson_interval
from tf_model.inference.predictor import Predictor, probability_column
from tf_model.model_dir import PREDICTIONS
from tf_model.modeling.joint_label import confidence_and_right

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no clear difference"
SIGNIFICANCE = 0.05


# ---------------------------------------------------------------- figures, from arrays


def mcnemar_test(old_right: np.ndarray, new_right: np.ndarray) -> float:
    """Exact two-sided p-value of McNemar's test that both models are right equally often.

    Rows that both models get right, or both wrong, say nothing; of the others, each model should win half. Source:
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947), in its exact binomial form.

    Args:
        old_right: bool [N], whether the old model is right.
        new_right: bool [N], the same of the new one, in the same order.

    Returns:
        Probability of a difference at least as large if there is none, 0 to 1; 1 where the models never differ.

    Raises:
        DataError: The arrays are not both of shape [N].
    """
    from scipy.stats import binomtest

    old_right, new_right = _check_right(old_right, new_right)
    only_new, only_old = int((new_right & ~old_right).sum()), int((old_right & ~new_right).sum())
    return float(binomtest(only_new, only_new + only_old).pvalue) if only_new + only_old else 1.0


def difference_interval(
    old_right: np.ndarray,
    new_right: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Percentile interval of the accuracy of the new model less that of the old one, by a paired bootstrap.

    Args:
        old_right: bool [N], whether the old model is right.
        new_right: bool [N], the same of the new one, in the same order.
        groups: See :func:`tf_model.evaluation.metrics.mean_interval`.
        confidence: Coverage, between 0 and 1.
        resamples: How often rows are drawn with replacement.

    Returns:
        Lower and upper bound, -1 to 1.

    Raises:
        DataError: The arrays do not fit together, or there are fewer than two rows or groups to draw from.
    """
    old_right, new_right = _check_right(old_right, new_right)
    gains = new_right.astype(float) - old_right
    return mean_interval(gains, groups, confidence=confidence, resamples=resamples)


def compare_right(old_right: np.ndarray, new_right: np.ndarray, groups: np.ndarray | None = None) -> dict[str, Any]:
    """Everything about two models that answered the same rows, ready for JSON.

    Args:
        old_right: bool [N], whether the old model is right.
        new_right: bool [N], the same of the new one, in the same order.
        groups: See :func:`difference_interval`.

    Returns:
        ``rows``; ``groups`` (the number of rows that are no near-duplicates of each other); ``difference`` (new less
        old accuracy, -1 to 1) and ``difference_interval``; ``only_old_right`` and ``only_new_right``, numbers of rows;
        ``p_value`` of :func:`mcnemar_test`; and ``verdict`` on the new model: :data:`BETTER` or :data:`WORSE` where
        ``p_value`` is below :data:`SIGNIFICANCE` and the interval leaves 0 out, else :data:`NO_DIFFERENCE`.

    Raises:
        DataError: The arrays do not fit together, or there are too few rows.
    """
    old_right, new_right = _check_right(old_right, new_right)
    p_value = mcnemar_test(old_right, new_right)
    difference = float(new_right.mean() - old_right.mean())
    low, high = difference_interval(old_right, new_right, groups)
    clear = p_value < SIGNIFICANCE and (low > 0 or high < 0)  # the test takes retweets of one tweet for as many tweets
    verdict = NO_DIFFERENCE if not clear else BETTER if difference > 0 else WORSE
    return {
        "rows": len(old_right),
        "groups": len(old_right) if groups is None else len(np.unique(groups)),
        "difference": difference,
        "difference_interval": [low, high],
        "only_old_right": int((old_right & ~new_right).sum()),
        "only_new_right": int((new_right & ~old_right).sum()),
        "p_value": p_value,
        "verdict": verdict,
    }


def _check_right(old_right: np.ndarray, new_right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    old_right, new_right = np.asarray(old_right), np.asarray(new_right)
    for right in (old_right, new_right):
        if right.ndim != 1 or right.dtype != bool or not len(right) or len(right) != len(old_right):
            raise DataError(
                "expected for each row whether each of the two models is right, as two bool arrays of one length, got "
                f"{old_right.dtype} {list(old_right.shape)} and {new_right.dtype} {list(new_right.shape)}; let both "
                "models answer the same rows"
            )
    return old_right, new_right


# ---------------------------------------------------------------- models


def compare(old: Path | str, new: Path | str, path: Path | str | None = None) -> dict[str, Any]:
    """Load two models and a dataset and compare them, saying which data is used; see :func:`compare_models`.

    Args:
        old: Folder of a saved model.
        new: Folder of another one.
        path: The dataset; None: see :func:`tf_model.data.resolve`.

    Raises:
        DataError: The dataset cannot be had.
        ModelError: A model cannot be loaded, or the two cannot be compared.
    """
    predictors = [Predictor.load(folder) for folder in (old, new)]
    source = data.resolve(path)
    data.announce(source)
    return compare_models(*predictors, data.read(source.path))


def compare_models(old: Predictor, new: Predictor, dataset: data.Dataset) -> dict[str, Any]:
    """Let two models answer the texts that both of them validated on, and compare what they say.

    The rows are those in ``validation_predictions.csv`` of both: the validation part of the report's split where both
    were trained with it. Each task that both models know is compared, and the answer as a whole where both give one.

    Returns:
        ``old`` and ``new`` (the folders), ``dataset``, ``data_sha256``, ``rows``, ``tasks``: for each task what
        :func:`compare_right` gives and under ``old`` and ``new`` the ``accuracy``, ``accuracy_interval`` and, but for
        the answer, ``macro_f1`` and ``loss`` of each; ``task``, the one that decides: the answer if both give one, else
        the first; and ``verdict``, that of this task.

    Raises:
        ModelError: They have no task in common, or it cannot be told which rows neither has trained on.
        DataError: There are fewer than two rows to compare on.
    """
    names = [name for name in tasks.TASKS if name in old.labels and name in new.labels]
    if not names:
        raise ModelError(
            f"{_shown(old)} predicts {', '.join(old.labels)} and {_shown(new)} predicts {', '.join(new.labels)}; "
            "compare models of one task"
        )
    unseen = _unseen_rows(old, dataset) & _unseen_rows(new, dataset)
    frame = dataset.labelled[dataset.labelled["row"].isin(unseen)]
    if len(frame) < 2:
        raise ModelError(
            f"{_shown(old)} and {_shown(new)} validated on different rows: only {len(frame)} "
            f"{plural(len(frame), 'row is', 'rows are')} unknown to both; train them with one --split-seed"
        )
    texts = frame[tasks.TEXT_COLUMN].tolist()
    groups = near_duplicate_groups(texts)
    predictions = [model.predict(texts, probabilities=True) for model in (old, new)]
    compared = {}
    for name in names:
        compared[name] = _compare_task(tasks.TASKS[name], (old, new), frame, predictions, groups)
    if old.has_answer and new.has_answer:
        compared[tasks.ANSWER] = _compare_answer((old, new), frame, predictions, groups)
    deciding = tasks.ANSWER if tasks.ANSWER in compared else names[0]
    return {
        "old": _shown(old),
        "new": _shown(new),
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "rows": len(frame),
        "tasks": compared,
        "task": deciding,
        "verdict": compared[deciding]["verdict"],
    }


def _unseen_rows(model: Predictor, dataset: data.Dataset) -> set[int]:
    """Rows of the dataset that a model validated on, and so has not trained on."""
    import pandas as pd

    trained_on = model.metrics.get("data_sha256")
    if trained_on != dataset.sha256:
        raise ModelError(
            f"{_shown(model)} was trained on other data (sha256 {trained_on}) than {paths.shown(dataset.path)}: which "
            "of these rows it has seen cannot be told; name its own data with --data"
        )
    assert model.folder is not None
    try:
        return set(pd.read_csv(model.folder / PREDICTIONS, usecols=["row"], dtype="int64")["row"])
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{_shown(model)} does not say which rows it validated on: {PREDICTIONS} cannot be used "
            f"({type(error).__name__}); train it again"
        ) from error


def _compare_task(
    task: tasks.Task,
    models: Sequence[Predictor],
    frame: pd.DataFrame,
    predictions: Sequence[pd.DataFrame],
    groups: np.ndarray,
) -> dict[str, Any]:
    known = frame[task.column].isin(task.labels).to_numpy()
    labels = frame[task.column][known].to_numpy(object)
    figures, right = [], []
    for model, predicted in zip(models, predictions, strict=True):
        ids = _ids(labels, model.labels[task.name])
        found = evaluate_probabilities(ids, _probabilities(model, task, predicted)[known], model.labels[task.name])
        figures.append({name: found[name] for name in ("accuracy", "accuracy_interval", "macro_f1", "loss")})
        right.append(predicted[task.name].to_numpy(object)[known] == labels)
    return dict(zip(("old", "new"), figures, strict=True)) | compare_right(*right, groups[known])


def _compare_answer(
    models: Sequence[Predictor], frame: pd.DataFrame, predictions: Sequence[pd.DataFrame], groups: np.ndarray
) -> dict[str, Any]:
    """The best guesses, so that a model gains nothing by saying "Not sure"."""
    known = frame[tasks.EMOTION_COLUMN].isin(tasks.EMOTIONS).to_numpy()
    right = []
    for model, predicted in zip(models, predictions, strict=True):
        ids = [_ids(frame[task.column][known], model.labels[task.name]) for task in tasks.ANSWER_TASKS]
        scores = [_probabilities(model, task, predicted)[known] for task in tasks.ANSWER_TASKS]
        right.append(confidence_and_right(*ids, *scores)[1])
    figures = [
        {
            "accuracy": float(each.mean()),
            "accuracy_interval": list(wilson_interval(int(each.sum()), len(each))),
        }
        for each in right
    ]
    return dict(zip(("old", "new"), figures, strict=True)) | compare_right(*right, groups[known])


def _probabilities(model: Predictor, task: tasks.Task, predicted: pd.DataFrame) -> np.ndarray:
    """Float32 [N, classes] in the order of the model's labels."""
    return predicted[[probability_column(task.name, label) for label in model.labels[task.name]]].to_numpy()


def _ids(labels: Sequence[Any], classes: Sequence[str]) -> np.ndarray:
    """int64 [N], positions of the labels in ``classes``, -1 for any that is not there."""
    ids: Mapping[Any, int] = {label: number for number, label in enumerate(classes)}
    return np.array([ids.get(label, tasks.NO_LABEL) for label in labels], dtype=np.int64)


def _shown(model: Predictor) -> str:
    return paths.shown(model.folder) if model.folder else "the model"


# ---------------------------------------------------------------- words


def print_comparison(console: Console, comparison: Mapping[str, Any]) -> None:
    """Print what :func:`compare_models` returned: a line per task, and the verdict.

    The new model has ``won`` the rows that it alone gets right, and ``lost`` those that the old one alone does.
    """
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    title = f"{comparison['new']} (new) against {comparison['old']} (old), on {comparison['rows']:,} rows new to both"
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("accuracy", no_wrap=True)
    for column in ("rows", "old", "new", "gain", "95% interval", "lost", "won", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, found in comparison["tasks"].items():
        low, high = found["difference_interval"]
        accuracies = (f"{found[model]['accuracy']:.4f}" for model in ("old", "new"))
        counts = (str(found[f"only_{model}_right"]) for model in ("old", "new"))
        p_value = f"{found['p_value']:.3f}" if found["p_value"] >= 0.001 else "<0.001"
        spread = f"{low:+.3f}, {high:+.3f}"
        table.add_row(name, f"{found['rows']:,}", *accuracies, f"{found['difference']:+.4f}", spread, *counts, p_value)
    console.print(Text(title), soft_wrap=True)
    console.print(table)
    console.print(Text(verdict_line(comparison)), soft_wrap=True)


def verdict_line(comparison: Mapping[str, Any]) -> str:
    """The verdict in one line, with the figures that it rests on."""
    found = comparison["tasks"][comparison["task"]]
    said = {
        BETTER: "the new model is better",
        WORSE: "the new model is worse",
        NO_DIFFERENCE: "no clear difference between the models",
    }[comparison["verdict"]]
    return (
        f"{said}: accuracy of the {comparison['task']} {found['new']['accuracy']:.4f} against "
        f"{found['old']['accuracy']:.4f}, right where the other is wrong {found['only_new_right']} against "
        f"{found['only_old_right']} times, p = {found['p_value']:.2g}"
    )
