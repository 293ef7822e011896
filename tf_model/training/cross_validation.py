"""The leak-free protocol: cross-validation with no near-duplicate on both sides, resumable fold by fold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import cli
from tf_model.config import Recipe
from tf_model.device import Runtime, versions
from tf_model.io.files import whole_file
from tf_model.modeling.backbone import Backbone

if TYPE_CHECKING:
    from tf_model.data.splits import Split

FOLDS = 5
FOLD_SEED = 0


@dataclass(frozen=True)
class FoldResult:
    """What one model said of the rows that it was not trained on.

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
    callbacks: Callable[[int, int, int], Sequence[Any]] = lambda seed, fold, rows: (),
) -> Iterator[FoldResult]:
    """Train on each fold's training part with each seed, and score its validation part.

    Args:
        texts: N raw texts.
        classes: Number of classes of each task.
        label_ids: int64 [N], or [N, tasks] with -1 where a text has no label of a task.
        folds: From :func:`tf_model.data.splits.grouped_folds`.
        seeds: One training per seed and fold.
        store: Folder that keeps finished folds: a run that was stopped goes on where it was.
        each_epoch: Score the validation part after every epoch, for the history.
        callbacks: Keras callbacks for the training of ``seed`` and ``fold`` on ``rows`` examples.

    Yields:
        One result per seed and fold.
    """
    for seed in seeds:
        for number, split in enumerate(folds, start=1):
            path = store / f"seed-{seed}-fold-{number}.npz"
            if not path.is_file():
                probabilities, history = _train_fold(
                    replace(recipe, seed=seed),
                    backbone,
                    classes,
                    texts,
                    label_ids,
                    split,
                    runtime=runtime,
                    each_epoch=each_epoch,
                    callbacks=callbacks(seed, number, len(split.train)),
                )
                write_fold(path, split.validation, probabilities, history)
            yield read_fold(path, seed, number)


def store_for(base: Path, **fingerprint: Any) -> Path:
    """A folder under ``base`` of its own for everything that the numbers depend on."""
    text = json.dumps(fingerprint, sort_keys=True)
    return base / f"grouped-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def store_of_folds(
    base: Path,
    *,
    data: Any,
    folds: Sequence[Split],
    backbone: Backbone,
    runtime: Runtime,
    recipe: Recipe,
    **more: Any,
) -> Path:
    """:func:`store_for` what every cross-validation depends on: the data's hash, who trains for whom, weights, recipe,
    and how it is computed; ``more`` is what else tells two runs apart.
    """
    return store_for(
        base,
        data=data,
        folds=[[split.train.tolist(), split.validation.tolist()] for split in folds],
        backbone=backbone.sha256,
        computed=[runtime.precision, runtime.xla, runtime.deterministic],
        versions=versions(),
        recipe=recipe.to_dict(),
        **more,
    )


def progress(recipe: Recipe, title: Callable[[int, int], str]) -> Callable[[int, int, int], list[Any]]:
    """The callbacks of :func:`cross_validate` that say, under ``title(seed, fold)``, how far each training is."""

    def callbacks(seed: int, fold: int, rows: int) -> list[Any]:
        from tf_model.cli import show_epochs
        from tf_model.preprocessing.batching import steps_per_epoch

        cli.say(title(seed, fold))
        return [show_epochs(cli.stderr(), recipe.epochs, steps_per_epoch(rows, recipe.batch_size))]

    return callbacks


def out_of_fold(results: Sequence[FoldResult], seed: int, rows: int) -> np.ndarray:
    """The probabilities of all rows with one seed, float32 [rows, classes], each from the fold that left it out."""
    own = [result for result in results if result.seed == seed]
    probabilities = np.full((rows, own[0].probabilities.shape[1]), np.nan, np.float32)
    for result in own:
        probabilities[result.positions] = result.probabilities
    return probabilities


def _train_fold(recipe, backbone, classes, texts, label_ids, split, *, runtime, each_epoch, callbacks):
    import tf_keras

    from tf_model.preprocessing.batching import encode
    from tf_model.training.trainer import Part, fit

    def part(positions: np.ndarray) -> Part:
        return Part([texts[position] for position in positions], label_ids[positions])

    tf_keras.backend.clear_session()
    validation = part(split.validation)
    try:
        fitted = fit(
            recipe,
            backbone,
            classes,
            part(split.train),
            validation if each_epoch else None,
            runtime=runtime,
            callbacks=callbacks,
        ).in_float32()
    except BaseException:
        for callback in callbacks:
            if hasattr(callback, "stop"):
                callback.stop()  # Keras does not: a bar would leave the terminal without a cursor
        raise
    return fitted.probabilities(encode(fitted.encoder, validation.texts)), fitted.history


def write_fold(path: Path, positions: np.ndarray, probabilities: np.ndarray, history: list[dict[str, float]]) -> None:
    """Keep what a model said of the rows at ``positions``, whole or not at all."""
    with whole_file(path, overwrite=True) as part, part.open("wb") as file:
        np.savez(file, positions=positions, probabilities=probabilities, history=np.array(json.dumps(history)))


def read_fold(path: Path, seed: int, fold: int) -> FoldResult:
    """What :func:`write_fold` kept."""
    with np.load(path, allow_pickle=False) as kept:
        return FoldResult(seed, fold, kept["positions"], kept["probabilities"], json.loads(str(kept["history"])))
