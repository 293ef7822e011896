"""``python -m tf_model.train``: from the dataset to a saved model, in one command."""

import argparse
import resource
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tf_model import cli, data, device, distributed, model_dir, paths, tasks
from tf_model.config import REPORT, TrainingConfig, add_config_arguments, parse_config
from tf_model.data import corrections, splits
from tf_model.errors import TweetTargetError, UsageError
from tf_model.evaluation import joint_metrics
from tf_model.evaluation import metrics as single_task
from tf_model.export.saved_model import export
from tf_model.io import files, tables
from tf_model.modeling import backbone
from tf_model.preprocessing.cleaning import CLEANINGS, MASK
from tf_model.training import checkpoint as checkpoints
from tf_model.training import cross_validation, distillation, trainer

PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, the peak memory of a process, in bytes


def main(argv: list[str] | None = None) -> int:
    """Read the data, split, calibrate, fit, evaluate, export, and show the result beside the report's."""
    arguments = _parser().parse_args(argv)
    config = parse_config(arguments)
    folder = _model_folder(arguments)
    cluster = distributed.from_environment()

    _check_teachers(arguments, config)
    dataset = data.load(arguments.data, **data.options_of(arguments))
    products = data.products_for(arguments.task, arguments.products, dataset)
    rows = data.checked_rows(dataset, arguments.task, products)
    config = config.for_tasks(rows.tasks)
    weights = backbone.find(config.backbone)  # before the search for near-duplicates, which takes longer
    if arguments.extra:
        files.check_file(arguments.extra)
    split, protocol = splits.training_split(rows, config.split_seed, config.validation_size)
    extra = {}
    if arguments.extra:
        rows, split, extra = corrections.join(arguments.extra, dataset, rows, split, products)
    extra_sha256 = extra.get("sha256")
    has_answer = tasks.has_answer(task.name for task in rows.tasks)
    if cluster:
        cli.say(
            f"{cluster.describe()}: waiting for the others, {arguments.workers_timeout} s at most; start the same "
            f"command on each, with its own index in {distributed.VARIABLE}, and check that the ports can be reached"
        )
    runtime = device.prepare(
        config.seed,
        precision=arguments.precision,
        deterministic=arguments.deterministic,
        cluster=cluster,
        cluster_seconds=arguments.workers_timeout,
    )
    from tf_model.preprocessing.batching import encode

    taught = {}
    if arguments.teacher:
        rows, split, taught = _teach(arguments, dataset, rows, split, config, extra_sha256)
    cli.say(f"backbone: {weights.name}, {weights.source}")
    cli.say(f"recipe: {config}")
    cli.say(f"device: {runtime.describe()}")
    cli.say(f"rows: {len(split.train):,} to train, {len(split.validation):,} to validate")
    _note_unread(rows.texts, config)

    sources = [dataset.identity, extra_sha256, *(each["sha256"] for each in taught.get("teachers", ()))]
    data_identity = cross_validation.data_identity([*filter(None, sources)], rows, config)
    with _lock(folder, runtime.worker_index), cli.stopped_cleanly():
        checkpoint = _checkpoint(arguments, folder, config, data_identity, weights, runtime)
        try:
            calibration, threshold, out_of_fold = None, None, None
            if has_answer:
                store = checkpoint.folder / checkpoints.CALIBRATION
                calibration, calibrated = cross_validation.calibrate_out_of_fold(
                    rows.take(split.train), config, weights, runtime, store
                )
                threshold = calibration["threshold"]
                numbers = rows.rows[split.train]
                is_dataset_row = numbers != distillation.NO_ROW
                out_of_fold = numbers[is_dataset_row], calibrated[is_dataset_row]
            # All workers run all of this; only the chief saves.
            encoder = trainer.text_encoder(config, weights)
            encoded = encoder, encode(encoder, rows.texts)
            fitted = trainer.fit_rows(config, weights, rows, encoded, split, runtime=runtime, checkpoint=checkpoint)
            scores = fitted.probabilities(encoded[1])
        except BaseException as error:
            progress = checkpoint.progress()
            if progress and not isinstance(error, TweetTargetError):
                location = paths.shown(checkpoint.folder)
                option = " with --resume" * (not arguments.resume) + " without --restart" * arguments.restart
                cli.say(f"stopped; {progress} kept in {location}: run the same command again{option} to continue")
            raise
        if runtime.worker_index:
            cluster.wait()
            cli.say(f"{cluster.describe()} is done; the first one has saved {paths.shown(folder)}")
            return 0
        if calibration:
            scores = joint_metrics.calibrate(scores, calibration["temperature"], rows.tasks)
        metrics = {
            "dataset": dataset.name,
            "data_sha256": dataset.sha256,
            "columns": asdict(dataset.columns),
            "task": arguments.task,
            "recipe": config.name,
            "protocol": protocol,
            "backbone": {"name": weights.name, "source": weights.source, "sha256": weights.sha256},
            "rows": len(rows),
            **{
                name: joint_metrics.evaluate_predictions(rows.take(part), scores[part], threshold)
                for name, part in (("train", split.train), ("validation", split.validation))
            },
            "seconds": sum(row["seconds"] for row in fitted.history),  # in epochs, without interruptions
            "seed": config.seed,
            "device": runtime.describe(),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT,
            "command": shlex.join(["python", "-m", "tf_model.train", *(sys.argv[1:] if argv is None else argv)]),
            "versions": device.versions(),
            **({"extra": extra} if extra else {}),
            **taught,
        }
        validation, scores = rows.take(split.validation), scores[split.validation]
        export(
            fitted,
            folder,
            config=config,
            metrics=metrics,
            validation=validation,
            probabilities=scores,
            training_texts=[rows.texts[position] for position in sorted(split.train)],
            calibration=calibration,
            out_of_fold=out_of_fold,
            reference=None if products else _reference(fitted.encoder, validation, scores, threshold, metrics),
            products=products,
            overwrite=arguments.overwrite,
        )
        if cluster:
            with suppress(distributed.WorkerLost):  # the model is saved: a lost worker no longer matters
                cluster.wait()
        checkpoint.remove()
    _show(rows, config, metrics, folder)
    return 0


def _check_teachers(arguments: argparse.Namespace, config: TrainingConfig) -> None:
    if arguments.teacher and arguments.task != tasks.ANSWER:
        raise UsageError(f"--teacher needs --task {tasks.ANSWER}; add it")
    if arguments.teacher and config.label_smoothing:
        raise UsageError("--label-smoothing has no effect with a --teacher; leave one of them out")
    for name in ("unlabelled", "teacher_weight", "teacher_temperature"):
        if getattr(arguments, name) is not None and not arguments.teacher:
            raise UsageError(f"--{name.replace('_', '-')} needs a --teacher; add one, or leave it out")


def _teach(
    arguments: argparse.Namespace,
    dataset: data.Dataset,
    rows: data.TrainingRows,
    split: splits.Split,
    config: TrainingConfig,
    extra_sha256: str | None,
) -> tuple[data.TrainingRows, splits.Split, dict[str, Any]]:
    """:func:`tf_model.training.distillation.teach`; also the hashes of the teachers and of the unlabelled texts."""
    texts, unlabelled = [], {}
    if arguments.unlabelled:
        with tables.open_table(arguments.unlabelled, sheet_option="a file without it") as table:
            cli.say(f"reading the texts of column {table.text_column!r} ({table.reason})")
            cli.say_notes(table.notes)
            cells = (cell for chunk in table.chunks() for cell in table.texts(chunk))
            texts = [tables.as_text(cell) for cell in cells if isinstance(cell, str | bytes)]
        unlabelled = {"file": arguments.unlabelled.name, "sha256": files.sha256_of(arguments.unlabelled)}
    rows, split = distillation.teach(arguments.teacher, dataset, rows, split, config, texts, extra_sha256)
    teacher_files = [(each.name, each / model_dir.OUT_OF_FOLD) for each in arguments.teacher]
    teachers = [{"name": name, "sha256": files.sha256_of(path)} for name, path in teacher_files]
    return rows, split, {"teachers": teachers} | ({"unlabelled": unlabelled} if unlabelled else {})


def _note_unread(texts: Sequence[str], config: TrainingConfig) -> None:
    """Note on standard error if most texts are in another script than Latin."""
    cleaned = (CLEANINGS[config.cleaning].clean(text).replace(MASK, "") for text in texts)
    unread = sum(not any(map(str.isalnum, text)) for text in cleaned)
    if unread > len(texts) / 2:
        cli.say(
            f"note: {unread:,} of {len(texts):,} texts have no Latin letter or digit, and the model reads no others"
        )


def _lock(folder: Path, worker: int) -> Any:
    """Lock out other training runs of this model, because checkpoints would mix; the chief locks for all workers."""
    if worker:
        return nullcontext()
    lock = folder.parent / paths.CHECKPOINTS.name / f"{folder.name}.lock"
    return files.locked(
        lock, f"another training of {paths.shown(folder)}", "wait until it ends, or choose another --name"
    )


def _checkpoint(
    arguments, folder: Path, config: TrainingConfig, data_identity: str, weights, runtime
) -> checkpoints.Checkpoint:
    settings = {
        "task": arguments.task,
        "data": data_identity,
        "weights": weights.identity,  # "backbone" is the setting, its name
        "precision": runtime.precision,
        "gpus": runtime.gpus,
        "deterministic": runtime.deterministic,
        "versions": device.versions(),
        **config.to_dict(),
    }
    checkpoint_folder = folder.parent / paths.CHECKPOINTS.name / folder.name
    checkpoint = checkpoints.Checkpoint(checkpoint_folder, settings, runtime.worker_index)
    if not runtime.worker_index:  # only the chief decides about an earlier run
        checkpoint.open(resume=arguments.resume, restart=arguments.restart)
    checkpoint.make_folder()
    if cluster := runtime.workers:  # wait for all: settings, data and the folder of checkpoints must be the same
        if differences := cluster.agree(**checkpoint.settings):
            raise UsageError(f"the workers differ in {', '.join(differences)}; start the same command everywhere")
        written = checkpoint_folder / checkpoints.SETTINGS  # by the chief
        run = written.read_text(encoding="utf-8") if written.is_file() else None
        if cluster.agree(run=run, progress=checkpoint.progress()):
            raise UsageError(
                f"the workers do not see the same {paths.shown(checkpoint_folder)}; give an --output-dir that "
                "all of them share"
            )
    return checkpoint


def _reference(encoder, validation: data.TrainingRows, scores, threshold, metrics) -> Any:
    """Statistics of the validation predictions, the reference for monitoring."""
    from tf_model.monitor import reference
    from tf_model.preprocessing.batching import encode
    from tf_model.preprocessing.tokenizer import pad

    unk_rates = encoder.unk_rates(pad(encode(encoder, validation.texts), encoder.max_tokens))
    return reference.build(
        validation.texts,
        joint_metrics.predictions(scores, threshold, validation.tasks),
        f"validation part ({metrics['protocol']})",
        unk_rates.numpy().tolist(),
        {name: task_metrics["accuracy"] for name, task_metrics in metrics["validation"].items()},
        validation.tasks[-1].no_emotion,
    )


def _show(rows: data.TrainingRows, config: TrainingConfig, metrics: dict[str, Any], folder: Path) -> None:
    stdout = cli.stdout()
    validation = metrics["validation"]
    if not tasks.has_answer(task.name for task in rows.tasks):
        (task,) = rows.tasks
        same_split = all(getattr(config, name) == getattr(REPORT, name) for name in ("split_seed", "validation_size"))
        comparable = metrics["dataset"] == data.ASSIGNMENT and task == tasks.PRODUCT and same_split
        parts = (metrics[part][task.name] for part in ("train", "validation"))
        stdout.print(single_task.comparison_table(*parts, single_task.REPORT if comparable else {}))
    else:
        joint_metrics.print_evaluation(stdout, "validation part", validation)
    result = validation[metrics["task"]]
    noun = "mentions" if metrics["task"] == tasks.TARGET.name else "tweets"
    low, high = result["accuracy_interval"]
    stdout.print(
        f"validation accuracy {result['accuracy']:.4f} (95% interval {low:.3f} to {high:.3f}, "
        f"{result['rows']:,} {noun}) after {cli.duration(metrics['seconds'])} of training on {metrics['device']}\n"
        f"saved in {paths.shown(folder)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _model_folder(arguments: argparse.Namespace) -> Path:
    """The folder for the model; an existing model is replaced only with ``--overwrite``, anything else never."""
    name = arguments.name or arguments.task
    if name.startswith(".") or Path(name).name != name:
        raise UsageError(f"--name is the name of a folder in --output-dir, such as my-model, not {name!r}")
    folder = arguments.output_dir / name
    model_dir.refuse_to_replace(folder, arguments.overwrite)
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.train", "Train a classifier, evaluate it and export it as a SavedModel.")
    parser.add_argument(
        "--task",
        choices=[*tasks.ALL_TASKS, tasks.ANSWER],
        default=tasks.PRODUCT.name,
        help="the task to learn; answer: product and emotion in one calibrated model; target: the emotion directed at "
        "each product that a text names",
    )
    parser.add_argument(
        "--products",
        type=Path,
        metavar="FILE",
        help="product names and aliases for --task target (default: those of the labels)",
    )
    data.add_data_arguments(parser)
    parser.add_argument(
        "--extra", type=Path, help="more labelled rows to train on, such as those of `tf_model.monitor export`"
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="saved models of --task answer, trained on the same rows: learn from their mean predictions too, also on "
        "the unlabelled tweets (sheet Test)",
    )
    parser.add_argument("--unlabelled", type=Path, metavar="FILE", help="more texts for --teacher to predict")
    parser.add_argument("--name", help="name of the saved model (default: the task's)")
    parser.add_argument(
        "--output-dir", type=Path, default=Path(paths.shown(paths.SAVED_MODELS)), help="folder of saved models"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a saved model of this name")
    parser.add_argument("--resume", action="store_true", help="resume an unfinished run, if there is one")
    parser.add_argument("--restart", action="store_true", help="discard an unfinished run, even with --resume")
    device.add_arguments(parser)
    parser.add_argument(
        "--workers-timeout",
        type=cli.positive_integer,
        default=distributed.STARTUP_SECONDS,
        metavar="SECONDS",
        help="how long to wait for the other workers in TF_CONFIG, if any",
    )
    add_config_arguments(parser)
    return parser


if __name__ == "__main__":
    cli.run(main)
