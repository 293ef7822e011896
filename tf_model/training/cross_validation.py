"""Cross-validation without near-duplicates across folds, resumable fold by fold, and the calibration based on it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tf_model import cli, paths
from tf_model.config import TrainingConfig
from tf_model.data import TrainingRows, splits
from tf_model.data.splits import Split
from tf_model.device import Runtime, versions
from tf_model.evaluation import joint_metrics
from tf_model.evaluation.metrics import check_probabilities
from tf_model.io.files import whole_file
from tf_model.modeling.backbone import Backbone
from tf_model.preprocessing.cleaning import CLEANINGS
from tf_model.training import trainer

FOLDS = 5
FOLD_SEED = 0
CALIBRATION_FOLDS = 3


class FoldResult(NamedTuple):
    """What one model predicted for the rows that it was not trained on."""

    positions: np.ndarray  # int64 [V], their positions among the examples
    probabilities: np.ndarray  # float32 [V, classes of all tasks]
    history: list[dict[str, float]]  # as in :class:`tf_model.training.trainer.Fitted`


def cross_validate(
    config: TrainingConfig,
    backbone: Backbone,
    rows: TrainingRows,
    folds: Sequence[Split],
    *,
    runtime: Runtime,
    store: Path,
    title: str,
    each_epoch: bool = False,
) -> list[FoldResult]:
    """Train on each fold's training part and score its validation part.

    ``store`` keeps finished folds, so that a stopped run can resume. ``title`` is printed before a fold is trained.
    """
    from tf_model.preprocessing.batching import encode

    encoded, results = None, []
    for number, split in enumerate(folds, start=1):
        path = store / f"seed-{config.seed}-fold-{number}.npz"
        if not path.is_file():
            cli.say(f"{title}, fold {number} of {len(folds)}")
            if encoded is None:
                encoder = trainer.text_encoder(config, backbone)
                encoded = encoder, encode(encoder, rows.texts)
            fold = _train_fold(config, backbone, rows, encoded, split, runtime=runtime, each_epoch=each_epoch)
            history = np.array(json.dumps(fold.history))
            with whole_file(path, overwrite=True) as part, part.open("wb") as file:
                np.savez(file, positions=fold.positions, probabilities=fold.probabilities, history=history)
        with np.load(path, allow_pickle=False) as arrays:
            history = json.loads(str(arrays["history"]))
            results.append(FoldResult(arrays["positions"], arrays["probabilities"], history))
    return results


def _train_fold(config, backbone, rows, encoded, split, **options) -> FoldResult:
    import tensorflow as tf
    import tf_keras

    tf_keras.backend.clear_session()
    fitted = trainer.fit_rows(config, backbone, rows, encoded, split, **options)
    probabilities = fitted.probabilities(tf.gather(encoded[1], split.validation))
    for task_probabilities in joint_metrics.by_task(probabilities, rows.tasks).values():
        check_probabilities(task_probabilities)
    return FoldResult(split.validation, probabilities, fitted.history)


def data_identity(files_sha256: Sequence[str], rows: TrainingRows, config: TrainingConfig) -> str:
    """Names what is learned: kept work is of no use with other files, rows, cleaning or opinions."""
    opinions = paths.OPINIONS.read_text(encoding="utf-8") if config.opinion_pairs else ""
    labels = rows.label_ids.tolist(), rows.judged_ids.tolist()
    learned = rows.texts, labels, asdict(CLEANINGS[config.cleaning]), opinions
    return "+".join([*files_sha256, hashlib.sha256(json.dumps(learned).encode()).hexdigest()])


def grouped_store(
    config: TrainingConfig,
    backbone: Backbone,
    runtime: Runtime,
    folds: Sequence[Split],
    dataset_identity: str,
    rows: TrainingRows,
    task: str,
    part: str = "all",
    each_epoch: bool = False,
) -> Path:
    """Where ``python -m tf_model.evaluate --protocol grouped`` keeps a configuration's folds, for all seeds.

    The name of the folder is a hash of all that decides the predictions but the seed.
    """
    settings = {
        "data": data_identity([dataset_identity], rows, config),
        "folds": [[split.train.tolist(), split.validation.tolist()] for split in folds],
        "backbone": backbone.identity,
        # False: no XLA, as in the folds that are kept.
        "computed": [runtime.precision, False, runtime.deterministic, *([runtime.gpus] if runtime.gpus else [])],
        "versions": versions(),
        "recipe": replace(config, seed=0).to_dict(),
        "task": task,
        "part": part,
        "each_epoch": each_epoch,
    }
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return paths.CHECKPOINTS / f"grouped-{key[:12]}"


def out_of_fold(results: Sequence[FoldResult], rows: int) -> np.ndarray:
    """The probabilities of all rows, float32 [rows, classes], each from the fold that left it out."""
    probabilities = np.full((rows, results[0].probabilities.shape[1]), np.nan, np.float32)
    for result in results:
        probabilities[result.positions] = result.probabilities
    return probabilities


def calibrate_out_of_fold(
    rows: TrainingRows, config: TrainingConfig, backbone: Backbone, runtime: Runtime, store: Path
) -> tuple[dict[str, Any], np.ndarray]:
    """Return the content of ``calibration.json`` and calibrated predictions, float64 [N, classes of all tasks].

    Each row is predicted by a model that saw no near-duplicate of it. The content is ``temperature`` by task,
    ``threshold`` (of "Not sure"), ``target_accuracy``, ``risk_coverage``, and by task ``before`` and ``after`` with
    ``ece``, ``brier`` and ``reliability``, measured on the ``rows`` that the temperatures were fitted on: the training
    part, so that the validation part can evaluate them. ``store``, a folder of this run alone, keeps finished folds.
    """
    cli.say(f"calibration: {CALIBRATION_FOLDS} folds of the training part, then the model itself")
    folds = splits.folds_of(rows, splits.near_duplicate_groups(rows.texts), CALIBRATION_FOLDS, config.split_seed)
    results = cross_validate(config, backbone, rows, folds, runtime=runtime, store=store, title="calibration")
    before = out_of_fold(results, len(rows))
    temperatures = joint_metrics.fit_temperatures(rows, before)
    after = joint_metrics.calibrate(before, temperatures, rows.tasks)
    calibration = {
        "temperature": temperatures,
        **joint_metrics.threshold_for(rows, after),
        "folds": CALIBRATION_FOLDS,
        **joint_metrics.evaluate_calibration(rows, before, after),
    }
    return calibration, after
