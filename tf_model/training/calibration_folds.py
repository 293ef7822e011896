"""Calibration of a model of both tasks, from predictions of rows that were left out of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tf_model import cli, device
from tf_model.config import Recipe
from tf_model.data import TrainingRows, splits
from tf_model.evaluation import joint_metrics
from tf_model.modeling.backbone import Backbone
from tf_model.training import cross_validation

FOLDS = 3


def out_of_fold_calibration(
    rows: TrainingRows, recipe: Recipe, weights: Backbone, used: device.Runtime, *, store: Path, data_sha256: list[str]
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
    cli.say(f"calibration: {FOLDS} folds of the training part, then the model itself")
    before = out_of_fold_probabilities(
        rows, recipe, weights, used, store=store, data_sha256=data_sha256, purpose="calibration"
    )
    temperatures = joint_metrics.fit_temperatures(rows.label_ids, before)
    after = joint_metrics.calibrate(before, temperatures)
    return {
        "temperature": temperatures,
        **joint_metrics.threshold_for(rows.label_ids, after),
        "folds": FOLDS,
        "rows": len(rows),
        **joint_metrics.evaluate_calibration(rows.label_ids, before, after),
    }


def out_of_fold_probabilities(
    rows: TrainingRows,
    recipe: Recipe,
    weights: Backbone,
    used: device.Runtime,
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
    place = cross_validation.store_of_folds(
        store, data=data_sha256, folds=folds, backbone=weights, runtime=used, recipe=recipe
    )
    results = list(
        cross_validation.cross_validate(
            recipe,
            weights,
            [len(task.labels) for task in rows.tasks],
            rows.texts,
            rows.label_ids,
            folds,
            seeds=[recipe.seed],
            runtime=used,
            store=place,
            callbacks=cross_validation.progress(recipe, lambda seed, fold: f"{purpose}, fold {fold} of {FOLDS}"),
        )
    )
    return cross_validation.out_of_fold(results, recipe.seed, len(rows))
