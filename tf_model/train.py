"""``python -m tf_model.train``: from the dataset to a saved model, in one command."""

from __future__ import annotations

import argparse
import math
import resource
import secrets
import shlex
import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from tf_model import cli, config, data, device, distributed, model_dir, paths, tasks
from tf_model.config import Recipe
from tf_model.data import corrections, splits
from tf_model.errors import DataError, OutputError, TweetTargetError, UsageError, listed, plural
from tf_model.evaluation import joint_metrics
from tf_model.io import files
from tf_model.modeling import backbone

CALIBRATION = "calibration"  # below a checkpoint: the folds of a model of both tasks
MOST_SECONDS = 7 * 24 * 3600  # that anybody waits for another worker
WORKERS_MARK = "workers"


def main(argv: list[str] | None = None) -> int:
    """Resolve, read, split, build, fit, evaluate, export, and show the result beside the report's."""
    began = time.monotonic()
    arguments = _parser().parse_args(argv)
    recipe = config.from_arguments(arguments)
    folder = _model_folder(arguments)
    cluster = distributed.from_environment()

    source = data.resolve(arguments.data)
    data.announce(source)
    dataset = data.read(source.path)
    rows = checked_rows(dataset, arguments.task)
    split, protocol = training_split(rows, recipe)
    added = None
    if arguments.extra:
        joined = corrections.join(arguments.extra, dataset, rows, split)
        rows, split, added = joined.rows, joined.split, joined.extra
        for line in added.describe():
            cli.say(line)

    weights = backbone.find(recipe.backbone)
    # The calibration of a model of both tasks is judged by the rows that train it as well.
    weights.refuse_seen(dataset.sha256, rows.rows[split.validation] if len(rows.tasks) == 1 else rows.rows)
    if cluster:
        cli.say(f"{cluster.describe()}: waiting for the others, {arguments.workers_timeout:g} s at most")
    used = device.prepare(
        recipe.seed,
        precision=arguments.precision,
        xla=arguments.xla,
        deterministic=arguments.deterministic,
        cluster=cluster,
        cluster_seconds=arguments.workers_timeout,
    )
    _announce(recipe, weights, used, rows=[len(part) for part in split])

    learned_from = [dataset.sha256, *([added.sha256] if added else [])]
    with _alone(folder, used.place), cli.stopped_cleanly():
        checkpoint = _checkpoint(arguments, folder, recipe, "+".join(learned_from), weights, used)
        checkpoint.begin()
        if used.workers:
            _agree(used.workers, checkpoint)
        calibration = _calibrate(rows.take(split.train), recipe, weights, used, checkpoint.folder, learned_from)
        fitted, scores = _train(recipe, weights, rows, split, used, checkpoint, arguments)
        if used.place:
            used.workers.wait()
            cli.say(f"{used.workers.cluster.describe()} is done; the first one has saved {paths.shown(folder)}")
            return 0
        if calibration:
            scores = joint_metrics.calibrate(scores, calibration["temperature"])
        measured = {
            name: _measure(rows.take(part), scores[part], calibration)
            for name, part in zip(("train", "validation"), split, strict=True)
        }
        metrics = {
            "dataset": dataset.name,
            "data_sha256": dataset.sha256,
            "task": arguments.task,
            "recipe": recipe.name,
            "protocol": protocol,
            "backbone": {"name": weights.name, "source": weights.source, "sha256": weights.sha256},
            "rows": len(rows),
            "ignored": rows.ignored,
            **measured,
            "seconds": fitted.seconds,
            "wall_seconds": time.monotonic() - began,
            "seed": recipe.seed,
            "device": used.describe(),
            "peak_memory_bytes": _peak_memory(),
            "command": shlex.join(["python", "-m", "tf_model.train", *(sys.argv[1:] if argv is None else argv)]),
            "versions": device.versions(),
            **({"extra": added.to_json()} if added else {}),
        }
        _export(
            fitted,
            folder,
            rows.take(split.validation),
            scores[split.validation],
            recipe,
            metrics,
            calibration,
            arguments.overwrite,
        )
        if used.workers:
            with suppress(distributed.WorkerLost):  # it is no longer needed
                used.workers.wait()
        checkpoint.remove()
    _show(rows, recipe, dataset, measured, metrics, folder)
    return 0


def _alone(folder: Path, place: int) -> AbstractContextManager[Any]:
    """Let no other training of this model in: two would take each other's checkpoints for their own.

    Of several workers of one training the chief, at place 0, holds the lock for all.
    """
    if place:
        return nullcontext()
    lock = _checkpoint_folder(folder).with_name(f"{folder.name}.lock")
    return files.locked(
        lock, f"another training of {paths.shown(folder)}", "wait until it ends, or choose another --name"
    )


def _export(fitted, folder, validation, scores, recipe, metrics, calibration, overwrite) -> None:
    """Write the model folder; ``scores`` are those of the rows of ``validation``."""
    from tf_model.export.saved_model import Validated, export

    export(
        fitted,
        folder,
        tasks=validation.tasks,
        recipe=recipe,
        metrics=metrics,
        validated=Validated(validation.rows, validation.label_ids, scores),
        calibration=calibration,
        reference=_reference(
            validation, scores, fitted.encoder, calibration, metrics["validation"], metrics["protocol"]
        ),
        overwrite=overwrite,
    )


def checked_rows(dataset: data.Dataset, name: str) -> data.TrainingRows:
    """:func:`tf_model.data.training_rows` for a training: what it will not learn is said.

    Raises:
        DataError: There is too little of a class, or only one; see :func:`tf_model.data.check_classes`.
    """
    rows = data.training_rows(dataset, name)
    for task in rows.tasks:
        absent = data.check_classes(data.examples(dataset, task), task)
        if absent:
            cli.say(f"note: no example of {', '.join(absent)}; the model will hardly ever answer so")
    for line in data.describe_ignored(rows.ignored):
        cli.say(f"note: {line}")
    return rows


def training_split(rows: data.TrainingRows, recipe: Recipe) -> tuple[splits.Split, str]:
    """Training and validation part, and in words how they were made.

    One task is split as in the report, to compare with it; both tasks so that no near-duplicate is on both sides.

    Raises:
        DataError: There are too few rows, or too few of a class or of a task for both parts.
        UsageError: The recipe's share of rows to validate cannot be had.
    """
    if len(rows.tasks) == 1:
        split = splits.report_split(rows.strata, recipe.split_seed, recipe.validation_size, rows.strata_names)
        return split, (
            f"random split (seed {recipe.split_seed}, {recipe.validation_size:.0%} to validate), as in the report: "
            "near-duplicates may be on both sides"
        )
    folds = max(2, round(1 / recipe.validation_size))
    if abs(1 / folds - recipe.validation_size) > 0.01:
        raise UsageError(
            "a model of both tasks validates on one of several folds, so that --validation-size can be 0.5, 0.33, "
            f"0.25, 0.2 and so on, not {recipe.validation_size:g}; the nearest is {1 / folds:.2g}"
        )
    groups = splits.near_duplicate_groups(rows.texts)
    split = splits.folds_of(rows, groups, folds, recipe.split_seed)[0]
    judged = (rows.label_ids[split.validation] != tasks.NO_LABEL).any(axis=0)
    unjudged = [task.name for task, is_judged in zip(rows.tasks, judged, strict=True) if not is_judged]
    if unjudged:
        raise DataError(
            f"expected rows of each task to validate, but with seed {recipe.split_seed} none has a label of "
            f"{listed(unjudged)}; label more of them, or choose another --split-seed"
        )
    return split, f"one of {folds} grouped folds (seed {recipe.split_seed}): no near-duplicate is on both sides"


def _calibrate(
    rows: data.TrainingRows,
    recipe: Recipe,
    weights: backbone.Backbone,
    used: device.Runtime,
    checkpoint: Path,
    learned_from: list[str],
) -> dict[str, Any] | None:
    """Temperatures and threshold from out-of-fold predictions of the training part, for a model of both tasks."""
    if len(rows.tasks) == 1:
        return None
    from tf_model.training.calibration_folds import out_of_fold_calibration

    store = checkpoint / CALIBRATION
    try:
        return out_of_fold_calibration(rows, recipe, weights, used, store=store, data_sha256=learned_from)
    except (KeyboardInterrupt, SystemExit):
        if done := len(list(store.rglob("*.npz"))):
            cli.say(
                f"stopped after {done} {plural(done, 'fold', 'folds')} of the calibration, kept in "
                f"{paths.shown(store)}; run the same command with --resume to go on"
            )
        raise


def _measure(rows: data.TrainingRows, scores: Any, calibration: dict[str, Any] | None) -> dict[str, Any]:
    from tf_model.evaluation.metrics import evaluate_probabilities

    if calibration:
        return joint_metrics.evaluate_answers(rows.label_ids, scores, calibration["threshold"])
    return evaluate_probabilities(rows.label_ids, scores, rows.tasks[0].labels)


def _reference(rows, scores, encoder, calibration, figures, protocol) -> Any:
    """What the model's predictions look like where all is well: those of the validation part."""
    from tf_model.monitor import reference
    from tf_model.preprocessing.batching import encode
    from tf_model.preprocessing.tokenizer import pad

    if calibration:
        frame = joint_metrics.predictions(scores, calibration["threshold"])
        accuracy = {name: found["accuracy"] for name, found in figures.items()}
    else:
        import pandas

        (task,) = rows.tasks
        labels = [task.labels[number] for number in scores.argmax(axis=1)]
        frame = pandas.DataFrame({task.name: labels, f"{task.name}_confidence": scores.max(axis=1)})
        accuracy = {task.name: figures["accuracy"]}
    unknown_shares = encoder.unknown_shares(pad(encode(encoder, rows.texts), encoder.max_tokens)).numpy().tolist()
    return reference.build(rows.texts, frame, f"validation part ({protocol})", unknown_shares, accuracy)


def _show(rows, recipe, dataset, measured, metrics, folder) -> None:
    from tf_model.evaluation.metrics import REPORT, comparison_table

    stdout = cli.stdout()
    if len(rows.tasks) == 1:
        comparable = dataset.name == data.ASSIGNMENT and rows.tasks == (tasks.PRODUCT,) and _is_report_split(recipe)
        stdout.print(comparison_table(measured["train"], measured["validation"], REPORT if comparable else {}))
    else:
        joint_metrics.print_answers(stdout, "validation part", measured["validation"])
    stdout.print(_closing_line(folder, metrics), highlight=False, markup=False, soft_wrap=True)


def _model_folder(arguments: argparse.Namespace) -> Path:
    """Where the model goes; only a model is ever replaced, and only with ``--overwrite``."""
    name = arguments.name or arguments.task
    if name.startswith(".") or Path(name).name != name:
        raise UsageError(f"--name is the name of a folder in --output-dir, such as my-model, not {name!r}")
    folder = arguments.output_dir / name
    files.refuse_to_overwrite(folder, arguments.overwrite)
    with files.explain_write_errors(folder):
        is_model = (folder / model_dir.GRAPH).is_file()
        exists = folder.exists()
    if exists and not is_model:
        raise OutputError(f"{paths.shown(folder)} is not a saved model and is not replaced; choose another --name")
    return folder


def _is_report_split(recipe: Recipe) -> bool:
    return (recipe.split_seed, recipe.validation_size) == (config.REPORT.split_seed, config.REPORT.validation_size)


def _train(recipe, weights, rows, split, used, checkpoint, arguments):
    """Fit on the training part and score both parts: the classifier, and float32 [N, classes]."""
    from tf_model.cli import show_epochs
    from tf_model.preprocessing.batching import encode, steps_per_epoch
    from tf_model.training.trainer import Part, fit

    # Every worker goes through all of this: what the chief does alone is to save.
    parts = [Part(part.texts, part.label_ids) for part in (rows.take(positions) for positions in split)]
    stderr = cli.stderr()
    bar = show_epochs(stderr, recipe.epochs, steps_per_epoch(len(parts[0]), recipe.batch_size))
    try:
        fitted = fit(
            recipe,
            weights,
            [len(task.labels) for task in rows.tasks],
            *parts,
            runtime=used,
            checkpoint=checkpoint,
            callbacks=[bar, *_tensorboard(arguments, checkpoint.folder.name)],
            pad_to=arguments.pad_to,
        )
    except BaseException as error:
        bar.stop()
        done = checkpoint.epochs_done()
        if done and not isinstance(error, TweetTargetError):
            print(
                f"stopped after {done} of {recipe.epochs} epochs, which are kept in {paths.shown(checkpoint.folder)}; "
                "run the same command with --resume to go on",
                file=sys.stderr,
            )
        raise
    fitted = fitted.in_float32()
    return fitted, fitted.probabilities(encode(fitted.encoder, rows.texts))


def _checkpoint_folder(folder: Path) -> Path:
    return folder.parent / paths.CHECKPOINTS.name / folder.name


def _checkpoint(arguments, folder: Path, recipe: Recipe, learned_from: str, weights, used) -> Any:
    from tf_model.training.trainer import Checkpoint

    fingerprint = {
        "task": arguments.task,
        "data": learned_from,
        "backbone": weights.sha256,
        "precision": used.precision,
        "xla": used.xla,
        "gpus": used.gpus,
        "deterministic": used.deterministic,
        "versions": device.versions(),
        "pad_to": arguments.pad_to,
        **recipe.to_dict(),
    }
    checkpoint = Checkpoint(_checkpoint_folder(folder), fingerprint, used.place)
    if used.place:
        return checkpoint  # what becomes of an earlier run is the chief's to decide
    done = checkpoint.epochs_done()
    folds = 0 if done else len(list((checkpoint.folder / CALIBRATION).rglob("*.npz")))
    if folds and not (arguments.resume or arguments.restart):
        raise UsageError(
            f"{paths.shown(checkpoint.folder)} holds an unfinished run, {folds} {plural(folds, 'fold', 'folds')} of "
            "its calibration; add --resume to go on or --restart to begin again"
        )
    if arguments.restart or (done is None and not arguments.resume):
        checkpoint.remove()
    elif done is None:
        checkpoint.forget_settings()  # there may be folds of its calibration, which know their own
    elif arguments.resume:
        checkpoint.check_resumable()
        cli.say(f"resuming after epoch {done} of {recipe.epochs}")
    else:
        raise UsageError(
            f"{paths.shown(checkpoint.folder)} holds an unfinished run of {done} {plural(done, 'epoch', 'epochs')}; "
            "add --resume to go on with it, or --restart to begin again"
        )
    return checkpoint


def _agree(together: distributed.Workers, checkpoint: Any) -> None:
    """Begin once all workers are there, with the same settings and data and one folder of checkpoints.

    Raises:
        UsageError: They differ in these.
        WorkerLost: One of them is gone.
    """
    mark = checkpoint.folder / WORKERS_MARK
    if together.cluster.is_chief:
        with files.explain_write_errors(mark):
            mark.write_text(secrets.token_hex(), encoding="utf-8")
    differing = together.agree(**checkpoint.fingerprint)
    if differing:
        raise UsageError(f"the workers differ in {', '.join(differing)}; start the same command everywhere")
    seen = mark.read_text(encoding="utf-8") if mark.is_file() else None
    if together.agree(mark=seen, epochs=checkpoint.epochs_done()):
        raise UsageError(
            f"the workers do not see the same {paths.shown(checkpoint.folder)}; give an --output-dir that is one "
            "folder for all of them"
        )


def _tensorboard(arguments: argparse.Namespace, name: str) -> list[Any]:
    if arguments.log_dir is None:
        return []
    import tf_keras

    folder = arguments.log_dir / name
    files.make_folder(folder)  # TensorFlow would say so in a traceback, and only after the first epoch's graph
    return [tf_keras.callbacks.TensorBoard(str(folder), profile_batch=0, update_freq="epoch")]


def _announce(recipe: Recipe, weights: backbone.Backbone, used: device.Runtime, rows: list[int]) -> None:
    cli.say(f"backbone: {weights.name}, {weights.source}")
    cli.say(f"recipe: {', '.join(f'{name} {value}' for name, value in recipe.to_dict().items())}")
    cli.say(f"device: {used.describe()}")
    cli.say(f"rows: {rows[0]:,} to train, {rows[1]:,} to validate")


def _peak_memory() -> int:
    """Greatest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _closing_line(folder: Path, metrics: dict[str, Any]) -> str:
    from tf_model.cli import duration

    validation = metrics["validation"].get(tasks.ANSWER, metrics["validation"])
    low, high = validation["accuracy_interval"]
    return (
        f"validation accuracy {validation['accuracy']:.4f} (95% interval {low:.3f} to {high:.3f}, "
        f"{validation['rows']:,} tweets) after {duration(metrics['seconds'])} of training on {metrics['device']}\n"
        f"saved in {paths.shown(folder)}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.train", "Train a classifier, evaluate it and export it as a SavedModel.")
    parser.add_argument(
        "--task",
        choices=[*sorted(tasks.TASKS), tasks.ANSWER],
        default=tasks.PRODUCT.name,
        help="what to learn; answer: product and emotion in one calibrated model",
    )
    parser.add_argument("--data", type=Path, help="workbook or CSV file; found by itself if not given")
    parser.add_argument(
        "--extra", type=Path, help="more labelled rows to train on, such as `python -m tf_model.monitor export` writes"
    )
    parser.add_argument("--name", help="name of the saved model; the task's if not given")
    parser.add_argument(
        "--output-dir", type=Path, default=Path(paths.shown(paths.SAVED_MODELS)), help="where models go"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a saved model of this name")
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished run, if there is one")
    parser.add_argument("--restart", action="store_true", help="forget an unfinished run, even with --resume")
    parser.add_argument("--log-dir", type=Path, help="write TensorBoard logs into this folder")
    parser.add_argument(
        "--pad-to", type=_padding, help="pad all batches to this many tokens (for comparison: it is slower)"
    )
    add_runtime_arguments(parser)
    parser.add_argument(
        "--workers-timeout",
        type=_seconds,
        default=distributed.STARTUP_SECONDS,
        metavar="SECONDS",
        help="how long to wait for the other workers that TF_CONFIG names, if it names any",
    )
    config.add_arguments(parser)
    return parser


def add_runtime_arguments(parser: argparse.ArgumentParser, title: str = "how to compute") -> None:
    """Options that decide how a run computes."""
    group = parser.add_argument_group(title)
    group.add_argument(
        "--precision",
        choices=device.PRECISIONS,
        default="auto",
        help="number format of the layers; auto, by the device, if not given",
    )
    group.add_argument("--xla", action=argparse.BooleanOptionalAction, default=False, help="compile training steps")
    group.add_argument(
        "--deterministic", action=argparse.BooleanOptionalAction, default=False, help="same numbers at each run"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"expected seconds above 0 and up to {MOST_SECONDS}, got {text!r}")
    return seconds


def _padding(text: str) -> int:
    try:
        tokens = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number of tokens, got {text!r}") from None
    if not 64 <= tokens <= 512:
        raise argparse.ArgumentTypeError(f"must be between 64, which holds every tweet, and 512, not {tokens}")
    return tokens


if __name__ == "__main__":
    cli.run(main)
