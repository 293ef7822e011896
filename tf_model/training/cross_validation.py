"""Cross-validation without near-duplicates across folds, resumable fold by fold, and the calibration based on it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tf_model import cli, paths
from tf_model.config import TrainingConfig
from tf_model.data import TrainingRows, splits
from tf_model.data.splits import Split
from tf_model.device import Runtime, versions
from tf_model.evaluation import joint_metrics
from tf_model.io.files import whole_file
from tf_model.modeling.backbone import Backbone
from tf_model.preprocessing.cleaning import CLEANINGS
from tf_model.training import trainer

FOLDS = 5
FOLD_SEED = 0
CALIBRATION_FOLDS = 3


@dataclass(frozen=True)
class FoldResult:
    """What one model predicted for the rows that it was not trained on."""

    seed: int
    fold: int  # from 1
    positions: np.ndarray  # int64 [V], their positions among the examples
    probabilities: np.ndarray  # float32 [V, classes of all tasks]
    history: list[dict[str, float]]  # as in :class:`tf_model.training.trainer.Fitted`


def cross_validate(
    config: TrainingConfig,
    backbone: Backbone,
    rows: TrainingRows,
    folds: Sequence[Split],
    *,
    seeds: Sequence[int],
    runtime: Runtime,
    store: Path,
    title: Callable[[int, int], str],
    each_epoch: bool = False,
) -> Iterator[FoldResult]:
    """Train on each fold's training part with each seed, score its validation part, and yield each result.

    ``store`` keeps finished folds, so that a stopped run can resume; ``title(seed, fold)`` is printed before a fold.
    """
    classes = [len(task.labels) for task in rows.tasks]

    @cache
    def examples() -> Any:
        """Encode all texts once, when the first fold needs them: the encoder, what is learned, and what is judged."""
        from tf_model.preprocessing.batching import encode

        encoder = trainer.text_encoder(config, backbone)
        token_ids = encode(encoder, rows.texts)
        learned = trainer.Examples(token_ids, rows.label_ids, rows.texts, rows.targets)
        return encoder, learned, trainer.Examples(token_ids, rows.judged_ids)

    for seed in seeds:
        for number, split in enumerate(folds, start=1):
            path = store / f"seed-{seed}-fold-{number}.npz"
            if not path.is_file():
                cli.say(title(seed, number))
                seed_config, steps = replace(config, seed=seed), trainer.steps_per_epoch(config, len(split.train))
                with cli.show_epochs(cli.stderr(), config.epochs, steps) as bar:
                    options = {"runtime": runtime, "each_epoch": each_epoch, "callbacks": [bar]}
                    probabilities, history = _train_fold(seed_config, backbone, classes, examples, split, **options)
                write_fold(path, split.validation, probabilities, history)
            yield read_fold(path, seed, number)


def _train_fold(config, backbone, classes, examples, split, *, runtime, each_epoch, callbacks):
    """Train on one fold; return its validation part's predictions, float32 [V, classes], and the history."""
    import tf_keras

    encoder, learned, judged = examples()
    tf_keras.backend.clear_session()
    training, validation = learned.take(split.train), judged.take(split.validation)
    epoch_validation = validation if each_epoch else None
    options = {"runtime": runtime, "callbacks": callbacks}
    fitted = trainer.fit(config, backbone, classes, encoder, training, epoch_validation, **options).in_float32()
    return fitted.probabilities(validation.token_ids), fitted.history


def fold_store(
    base: Path,
    *,
    data: Any,
    folds: Sequence[Split],
    backbone: Backbone,
    runtime: Runtime,
    config: TrainingConfig,
    **other_settings: Any,
) -> Path:
    """The folder under ``base`` named by a hash of all that decides the predictions; ``data`` identifies the data."""
    settings = {
        "data": data,
        "folds": [[split.train.tolist(), split.validation.tolist()] for split in folds],
        "backbone": backbone.sha256,
        "computed": [runtime.precision, runtime.xla, runtime.deterministic],
        "versions": versions(),
        "recipe": config.to_dict(),
        **other_settings,
    }
    return base / f"grouped-{hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]}"


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
    """Where ``python -m tf_model.evaluate --protocol grouped`` keeps a configuration's folds, for all seeds."""
    return fold_store(
        paths.CHECKPOINTS,
        data=data_identity([dataset_identity], rows, config),
        folds=folds,
        backbone=backbone,
        runtime=runtime,
        config=replace(config, seed=0),
        task=task,
        part=part,
        each_epoch=each_epoch,
    )


def out_of_fold(results: Sequence[FoldResult], seed: int, rows: int) -> np.ndarray:
    """The probabilities of all rows with one seed, float32 [rows, classes], each from the fold that left it out."""
    seed_results = [result for result in results if result.seed == seed]
    probabilities = np.full((rows, seed_results[0].probabilities.shape[1]), np.nan, np.float32)
    for result in seed_results:
        probabilities[result.positions] = result.probabilities
    return probabilities


def write_fold(path: Path, positions: np.ndarray, probabilities: np.ndarray, history: list[dict[str, float]]) -> None:
    """Write the predictions for the rows at ``positions``."""
    with whole_file(path, overwrite=True) as part, part.open("wb") as file:
        np.savez(file, positions=positions, probabilities=probabilities, history=np.array(json.dumps(history)))


def read_fold(path: Path, seed: int, fold: int) -> FoldResult:
    """Read what :func:`write_fold` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return FoldResult(seed, fold, arrays["positions"], arrays["probabilities"], json.loads(str(arrays["history"])))


def calibrate_out_of_fold(
    rows: TrainingRows,
    config: TrainingConfig,
    backbone: Backbone,
    runtime: Runtime,
    *,
    store: Path,
    data_identity: str,
) -> tuple[dict[str, Any], np.ndarray]:
    """Return the content of ``calibration.json`` and calibrated predictions, float64 [N, classes of all tasks].

    Each row is predicted by a model that saw no near-duplicate of it. The content is ``temperature`` by task,
    ``threshold`` (of "Not sure"), ``target_accuracy``, ``risk_coverage``, and by task ``before`` and ``after`` with
    ``ece``, ``brier`` and ``reliability``, measured on the ``rows`` that the temperatures were fitted on: the training
    part, so that the validation part can evaluate them. ``store`` keeps finished folds.
    """
    cli.say(f"calibration: {CALIBRATION_FOLDS} folds of the training part, then the model itself")
    folds = splits.folds_of(rows, splits.near_duplicate_groups(rows.texts), CALIBRATION_FOLDS, config.split_seed)
    results = cross_validate(
        config,
        backbone,
        rows,
        folds,
        seeds=[config.seed],
        runtime=runtime,
        store=fold_store(store, data=data_identity, folds=folds, backbone=backbone, runtime=runtime, config=config),
        title=lambda seed, fold: f"calibration, fold {fold} of {CALIBRATION_FOLDS}",
    )
    before = out_of_fold(list(results), config.seed, len(rows))
    temperatures = joint_metrics.fit_temperatures(rows.judged_ids, before, rows.tasks)
    after = joint_metrics.calibrate(before, temperatures, rows.tasks)
    calibration = {
        "temperature": temperatures,
        **joint_metrics.threshold_for(rows.judged_ids, after, rows.tasks),
        "folds": CALIBRATION_FOLDS,
        "rows": len(rows),
        **joint_metrics.evaluate_calibration(rows.judged_ids, before, after, model_tasks=rows.tasks),
    }
    return calibration, after
