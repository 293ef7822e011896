"""Cross-validation with no near-duplicate on both sides, resumable fold by fold; and the calibration made from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import cli
from tf_model.config import Recipe
from tf_model.device import Runtime, versions
from tf_model.evaluation import joint_metrics
from tf_model.io.files import whole_file
from tf_model.modeling.backbone import Backbone

if TYPE_CHECKING:
    from tf_model.data import TrainingRows
    from tf_model.data.splits import Split

FOLDS = 5
FOLD_SEED = 0
CALIBRATION_FOLDS = 3


@dataclass(frozen=True)
class FoldResult:
    """What one model predicted for the rows that it was not trained on.

    Attributes:
        seed: Training seed.
        fold: Number of the fold, from 1.
        positions: int64 [V], which of the examples they are.
        probabilities: float32 [V, classes], those of several tasks side by side.
        history: One row an epoch, see :class:`tf_model.training.trainer.Fitted`.
    """

    seed: int
    fold: int
    positions: np.ndarray
    probabilities: np.ndarray
    history: list[dict[str, float]]


def cross_validate(
    recipe: Recipe,
    backbone: Backbone,
    classes: Sequence[int],
    texts: Sequence[str],
    label_ids: np.ndarray,
    folds: Sequence[Split],
    *,
    seeds: Sequence[int],
    runtime: Runtime,
    store: Path,
    each_epoch: bool = False,
    title: Callable[[int, int], str] | None = None,
) -> Iterator[FoldResult]:
    """Train on each fold's training part with each seed, and score its validation part: one result each.

    Args:
        classes: Number of classes of each task.
        texts: N raw texts.
        label_ids: int64 [N, tasks], -1 where a text has no label of a task.
        folds: From :func:`tf_model.data.splits.grouped_folds`.
        store: Folder that keeps finished folds: a run that was stopped goes on where it was.
        each_epoch: Score the validation part after every epoch, for the history.
        title: What the progress of ``seed`` and ``fold`` is called; None shows none.
    """

    @cache
    def examples() -> Any:
        """All texts, encoded once, when the first fold needs them."""
        from tf_model.preprocessing.batching import encode
        from tf_model.training.trainer import Examples, text_encoder

        encoder = text_encoder(recipe, backbone)
        return encoder, Examples(encode(encoder, texts), label_ids)

    for seed in seeds:
        for number, split in enumerate(folds, start=1):
            path = store / f"seed-{seed}-fold-{number}.npz"
            if not path.is_file():
                callbacks = _progress(recipe, title(seed, number), len(split.train)) if title else []
                own = replace(recipe, seed=seed)
                options = {"runtime": runtime, "each_epoch": each_epoch, "callbacks": callbacks}
                probabilities, history = _train_fold(own, backbone, classes, examples, split, **options)
                write_fold(path, split.validation, probabilities, history)
            yield read_fold(path, seed, number)


def _train_fold(recipe, backbone, classes, examples, split, *, runtime, each_epoch, callbacks):
    """What a model trained on one fold predicts for the rest, float32 [V, classes], and its history."""
    import tf_keras

    from tf_model.training.trainer import fit

    encoder, encoded = examples()
    tf_keras.backend.clear_session()
    training, validation = encoded.take(split.train), encoded.take(split.validation)
    watched = validation if each_epoch else None
    try:
        fitted = fit(recipe, backbone, classes, encoder, training, watched, runtime=runtime, callbacks=callbacks)
        fitted = fitted.in_float32()
    except BaseException:
        for callback in callbacks:
            callback.stop()  # Keras does not: a bar would leave the terminal without a cursor
        raise
    return fitted.probabilities(validation.token_ids), fitted.history


def _progress(recipe: Recipe, title: str, rows: int) -> list[Any]:
    from tf_model.preprocessing.batching import steps_per_epoch

    cli.say(title)
    return [cli.show_epochs(cli.stderr(), recipe.epochs, steps_per_epoch(rows, recipe.batch_size))]


def fold_store(
    base: Path,
    *,
    data: Any,
    folds: Sequence[Split],
    backbone: Backbone,
    runtime: Runtime,
    recipe: Recipe,
    **more: Any,
) -> Path:
    """A folder under ``base`` of its own for everything that decides the predictions; ``data`` is the data's hash."""
    fingerprint = {
        "data": data,
        "folds": [[split.train.tolist(), split.validation.tolist()] for split in folds],
        "backbone": backbone.sha256,
        "computed": [runtime.precision, runtime.xla, runtime.deterministic],
        "versions": versions(),
        "recipe": recipe.to_dict(),
        **more,
    }
    return base / f"grouped-{hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:12]}"


def out_of_fold(results: Sequence[FoldResult], seed: int, rows: int) -> np.ndarray:
    """The probabilities of all rows with one seed, float32 [rows, classes], each from the fold that left it out."""
    own = [result for result in results if result.seed == seed]
    probabilities = np.full((rows, own[0].probabilities.shape[1]), np.nan, np.float32)
    for result in own:
        probabilities[result.positions] = result.probabilities
    return probabilities


def write_fold(path: Path, positions: np.ndarray, probabilities: np.ndarray, history: list[dict[str, float]]) -> None:
    """Write the predictions for the rows at ``positions``, whole or not at all."""
    with whole_file(path, overwrite=True) as part, part.open("wb") as file:
        np.savez(file, positions=positions, probabilities=probabilities, history=np.array(json.dumps(history)))


def read_fold(path: Path, seed: int, fold: int) -> FoldResult:
    """The opposite of :func:`write_fold`."""
    with np.load(path, allow_pickle=False) as kept:
        return FoldResult(seed, fold, kept["positions"], kept["probabilities"], json.loads(str(kept["history"])))


# ---------------------------------------------------------------- calibration


def out_of_fold_probabilities(
    rows: TrainingRows,
    recipe: Recipe,
    backbone: Backbone,
    runtime: Runtime,
    *,
    store: Path,
    data_sha256: list[str],
    purpose: str,
) -> np.ndarray:
    """Predictions for each row by a model that saw neither it nor a near-duplicate, float32 [N, classes of all tasks].

    Args:
        rows: The training part alone, so that the validation part can judge what is made of this.
        store: Folder under which finished folds are kept.
        data_sha256: Of the dataset, and of the extra rows if there are any.
        purpose: What the progress is called.
    """
    from tf_model.data import splits

    folds = splits.folds_of(rows, splits.near_duplicate_groups(rows.texts), CALIBRATION_FOLDS, recipe.split_seed)
    results = list(
        cross_validate(
            recipe,
            backbone,
            [len(task.labels) for task in rows.tasks],
            rows.texts,
            rows.label_ids,
            folds,
            seeds=[recipe.seed],
            runtime=runtime,
            store=fold_store(store, data=data_sha256, folds=folds, backbone=backbone, runtime=runtime, recipe=recipe),
            title=lambda seed, fold: f"{purpose}, fold {fold} of {CALIBRATION_FOLDS}",
        )
    )
    return out_of_fold(results, recipe.seed, len(rows))


def calibrate_out_of_fold(
    rows: TrainingRows, recipe: Recipe, backbone: Backbone, runtime: Runtime, *, store: Path, data_sha256: list[str]
) -> dict[str, Any]:
    """What ``calibration.json`` holds, from :func:`out_of_fold_probabilities`.

    ``temperature`` by task, ``threshold`` (of "Not sure"), ``target_accuracy``, ``risk_coverage``, and by task
    ``before`` and ``after`` with ``ece``, ``brier`` and ``reliability``, on the rows that the temperatures were fitted
    on: judge them by the validation part.
    """
    cli.say(f"calibration: {CALIBRATION_FOLDS} folds of the training part, then the model itself")
    before = out_of_fold_probabilities(
        rows, recipe, backbone, runtime, store=store, data_sha256=data_sha256, purpose="calibration"
    )
    temperatures = joint_metrics.fit_temperatures(rows.label_ids, before)
    after = joint_metrics.calibrate(before, temperatures)
    return {
        "temperature": temperatures,
        **joint_metrics.threshold_for(rows.label_ids, after),
        "folds": CALIBRATION_FOLDS,
        "rows": len(rows),
        **joint_metrics.evaluate_calibration(rows.label_ids, before, after),
    }
