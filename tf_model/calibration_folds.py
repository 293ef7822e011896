"""Calibration of a model of both tasks, from predictions of rows that were left out of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tf_model import answer_figures, console, crossval, runtime, splits
from tf_model.backbone import Backbone
from tf_model.data import TrainingRows
from tf_model.recipes import Recipe

FOLDS = 3


def out_of_fold_calibration(
    rows: TrainingRows, recipe: Recipe, weights: Backbone, used: runtime.Runtime, *, store: Path, data_sha256: list[str]
) -> dict[str, Any]:
    """Cross-validate ``recipe`` on the training part and fit what makes its probabilities mean what they say.

    Args:
        rows: The training part; the validation part stays out, so that it can judge the calibration too.
        store: Folder under which finished folds are kept until the model is saved.
        data_sha256: Of the dataset, and of the extra rows if there are any.

    Returns:
        What ``calibration.json`` holds: ``temperature`` by task, ``threshold`` (of "Not sure"), ``target_accuracy``,
        ``risk_coverage``, and by task ``before`` and ``after`` with ``ece``, ``brier`` and ``reliability``. The figures
        are out of fold, the temperatures' own as well: judge them by the validation part or by
        ``python -m tf_model.evaluate --task answer --protocol grouped``.
    """
    console.say(f"calibration: {FOLDS} folds of the training part, then the model itself")
    before = out_of_fold_probabilities(
        rows, recipe, weights, used, store=store, data_sha256=data_sha256, purpose="calibration"
    )
    temperatures = answer_figures.fit_temperatures(rows.label_ids, before)
    after = answer_figures.calibrate(before, temperatures)
    return {
        "temperature": temperatures,
        **answer_figures.threshold_for(rows.label_ids, after),
        "folds": FOLDS,
        "rows": len(rows),
        **answer_figures.evaluate_calibration(rows.label_ids, before, after),
    }


def out_of_fold_probabilities(
    rows: TrainingRows,
    recipe: Recipe,
    weights: Backbone,
    used: runtime.Runtime,
    *,
    store: Path,
    data_sha256: list[str],
    purpose: str,
) -> np.ndarray:
    """What models trained on the other two thirds say of each row, float32 [N, classes of all tasks].

    No near-duplicate of a row is among what its model was trained on. ``purpose`` is what the progress is said to be
    of; see :func:`out_of_fold_calibration` for the rest.
    """
    groups = splits.near_duplicate_groups(rows.texts)
    folds = splits.folds_of(rows, groups, FOLDS, recipe.split_seed)
    place = crossval.store_of_folds(store, data=data_sha256, folds=folds, backbone=weights, runtime=used, recipe=recipe)
    results = list(
        crossval.cross_validate(
            recipe,
            weights,
            [len(task.labels) for task in rows.tasks],
            rows.texts,
            rows.label_ids,
            folds,
            seeds=[recipe.seed],
            runtime=used,
            store=place,
            callbacks=crossval.progress(recipe, lambda seed, fold: f"{purpose}, fold {fold} of {FOLDS}"),
        )
    )
    return crossval.out_of_fold(results, recipe.seed, len(rows))
