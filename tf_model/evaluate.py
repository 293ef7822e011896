"""``python -m tf_model.evaluate``: evaluate a saved model, or cross-validate a configuration without leakage."""

import argparse
import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tf_model import cli, data, device, paths, tasks
from tf_model.config import add_config_arguments, config_of, make_config, parse_config
from tf_model.data import splits
from tf_model.errors import DataError, UsageError, count_of
from tf_model.evaluation import joint_metrics
from tf_model.evaluation.metrics import pack, summarize
from tf_model.io import files
from tf_model.model_dir import read_validation_rows
from tf_model.modeling import backbone
from tf_model.training import cross_validation

# Options for saved models; all others belong to cross-validation.
OF_MODELS = {"protocol", "compare", "model", "data", "json", "overwrite"}
OF_MODELS |= {"products", "text_column", "product_column", "emotion_column"}


def main(argv: list[str] | None = None) -> int:
    """Evaluate by the chosen protocol, print a table and write JSON."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    changed_options = [name for name, value in vars(arguments).items() if value != parser.get_default(name)]
    options = [f"--{name.replace('_', '-')}" for name in changed_options if name not in OF_MODELS]
    _check_usage(arguments, options)
    if arguments.json:
        files.refuse_to_overwrite(arguments.json, arguments.overwrite, arguments.data)
        files.make_folder(arguments.json.parent)
    evaluators = {"report": _evaluate_model, "grouped": _cross_validate}
    evaluate = _compare if arguments.compare else evaluators[arguments.protocol]
    command = shlex.join(["python", "-m", "tf_model.evaluate", *(sys.argv[1:] if argv is None else argv)])
    with cli.stopped_cleanly():
        results = {"command": command, "date": datetime.now(UTC).date().isoformat(), **evaluate(arguments)}
    if arguments.json:
        files.write_json(arguments.json, results, overwrite=arguments.overwrite)
        cli.say(f"written to {paths.shown(arguments.json)}")
    return 0


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say which of two saved models is better, by a paired test."""
    from tf_model.evaluation import comparison
    from tf_model.inference.predictor import Predictor

    old, new = (Predictor.load(folder, "tensorflow") for folder in arguments.compare)
    options = data.options_of(arguments, old.metrics)
    results = comparison.compare_models(old, new, data.load(arguments.data, **options, known_tasks=old.tasks))
    comparison.print_comparison(cli.stdout(), results)
    return results


def _evaluate_model(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score a saved model on the rows that it was validated on, or, of other data than in training, on all rows."""
    from tf_model.inference.predictor import Predictor

    predictor = Predictor.load(arguments.model, "tensorflow")
    config = config_of(predictor.folder, predictor.recipe)
    options = data.options_of(arguments, predictor.metrics)
    dataset = data.load(arguments.data, **options, known_tasks=predictor.tasks)
    products = data.products_to_judge(predictor.task, predictor.folder, dataset, arguments.products)
    # Other data may label only one of an answer's tasks.
    labelled = [task.name for task in dataset.tasks if dataset.labelled[task.column].isin(task.labels).any()]
    name = labelled[0] if predictor.task == tasks.ANSWER and len(labelled) == 1 else predictor.task
    rows = data.training_rows(dataset, name, products)
    if arguments.products or predictor.data_sha256 != dataset.sha256:
        data.say_unnamed(dataset, rows)
    if predictor.data_sha256 == dataset.sha256:
        # Use the recorded rows: with another list of products than in training, the split would differ.
        part, protocol = "validation part", predictor.metrics["protocol"]
        rows = rows.numbered(read_validation_rows(predictor.folder))
        if not len(rows):
            raise DataError(
                f"no validation text of {predictor.folder} names a product of {arguments.products}; list those that "
                "it was trained on, or name other data with --data"
            )
    else:
        for option in ("extra", "unlabelled"):
            if dataset.sha256 == predictor.metrics.get(option, {}).get("sha256"):
                raise UsageError(
                    f"{predictor.folder} was trained on the rows of {dataset.path} (--{option}); evaluate it on others"
                )
        part = protocol = "all rows"
        cli.say(
            f"warning: {predictor.folder} was trained on other data (sha256 {predictor.data_sha256}); "
            "some of these rows may have been among its training examples"
        )
    cli.say(f"protocol: {protocol}")
    scores = joint_metrics.by_task(predictor.probabilities(rows.texts), predictor.tasks)
    probabilities = np.concatenate([scores[task.name] for task in rows.tasks], axis=1)
    threshold = predictor.threshold if name == predictor.task else None
    metrics = joint_metrics.evaluate_predictions(rows, probabilities, threshold)
    joint_metrics.print_evaluation(cli.stdout(), part, metrics)
    return {
        "protocol": protocol,
        "task": name,
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "model": paths.shown(predictor.folder),
        "recipe": config.to_dict(),
        "validation": metrics,
    }


def _cross_validate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Cross-validate a configuration, with no near-duplicates across folds."""
    config = parse_config(arguments)
    dataset = data.load(arguments.data, **data.options_of(arguments))
    products = data.products_for(arguments.task, arguments.products, dataset)
    rows = data.checked_rows(dataset, arguments.task, products)
    config = config.for_tasks(rows.tasks)
    weights = backbone.find(config.backbone)  # before the search for near-duplicates, which takes longer
    if arguments.part == "train":
        # For choosing settings: leave out the rows that a trained model validates on.
        split, _ = splits.training_split(rows, config.split_seed, config.validation_size)
        rows = rows.take(np.sort(split.train))
    groups = splits.near_duplicate_groups(rows.texts)
    folds = splits.folds_of(rows, groups, arguments.folds, arguments.fold_seed)
    runtime = device.prepare(config.seed, precision=arguments.precision, deterministic=arguments.deterministic)
    store = cross_validation.grouped_store(
        config, weights, runtime, folds, dataset.identity, rows, arguments.task, arguments.part, arguments.each_epoch
    )
    files.make_folder(store)  # before the first fold is trained rather than after it
    cli.say(f"recipe: {config}")
    cli.say(f"device: {runtime.describe()}; finished folds are kept in {paths.shown(store)}")
    results, probabilities = [], {}
    for seed in dict.fromkeys(arguments.seeds):
        seed_results = cross_validation.cross_validate(
            replace(config, seed=seed),
            weights,
            rows,
            folds,
            runtime=runtime,
            store=store,
            title=f"seed {seed}",
            each_epoch=arguments.each_epoch,
        )
        probabilities[seed] = cross_validation.out_of_fold(seed_results, len(rows))
        results += seed_results
    return {
        "protocol": "grouped",
        "part": arguments.part,
        "folds": len(folds),
        "fold_seed": arguments.fold_seed,
        "task": arguments.task,
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "rows": len(rows),
        "groups": int(groups.max()) + 1,
        "recipe": config.to_dict(),
        "backbone_sha256": weights.sha256,
        "device": runtime.describe(),
        "seconds": sum(row["seconds"] for result in results for row in result.history),
        **_evaluate_seeds(rows, folds, groups, probabilities),
        "versions": device.versions(),
        **({"epochs": _by_epoch(results)} if arguments.each_epoch else {}),
    }


def _evaluate_seeds(
    rows: data.TrainingRows, folds: Any, groups: np.ndarray, probabilities: dict[int, np.ndarray]
) -> dict[str, Any]:
    """Metrics of each seed's out-of-fold predictions and their spread; for answers, also of the seeds' mean."""
    parts, stdout, scores = [split.validation for split in folds], cli.stdout(), list(probabilities.values())
    has_answer = tasks.has_answer(task.name for task in rows.tasks)

    def evaluate(title: str, scores: np.ndarray) -> dict[str, Any]:
        metrics = joint_metrics.evaluate_out_of_fold(rows, scores, parts, groups)
        joint_metrics.print_evaluation(stdout, f"grouped {len(folds)}-fold, {title}", metrics)
        return metrics

    def right(scores: np.ndarray) -> dict[str, str]:  # for research.compare
        correct = joint_metrics.correct_by_question(rows, scores)
        return {question: pack(is_correct) for question, (_, is_correct) in correct.items()}

    seed_metrics = {
        str(seed): evaluate(f"seed {seed}", each) | {"right": right(each)} for seed, each in probabilities.items()
    }
    has_average = has_answer and len(scores) > 1
    average_metrics = {"averaged": evaluate("all seeds averaged", np.mean(scores, axis=0))} if has_average else {}
    headlines = [metrics["headline"] for metrics in seed_metrics.values()]
    summary = {name: summarize(each[name] for each in headlines) for name in headlines[0]}
    for name, interval in joint_metrics.accuracy_intervals(rows, scores, groups).items():
        summary[name]["interval"] = interval
    for name, values in summary.items():
        spread = "" if values["sd"] is None else f", sd {values['sd']:.4f}, {values['min']:.4f} to {values['max']:.4f}"
        line = f"{name}: mean {values['mean']:.4f}{spread} over {count_of(values['n'], 'seed')}"
        if "interval" in values:
            low, high = values["interval"]
            line += f"; 95% interval {low:.3f} to {high:.3f}, near-duplicates resampled together"
        stdout.print(line, highlight=False, soft_wrap=True)
    return {"seeds": seed_metrics, "summary": summary, **average_metrics}


def _by_epoch(results: list[cross_validation.FoldResult]) -> list[dict[str, float]]:
    """Accuracy and losses after each epoch: the mean over seeds and folds, weighted by rows."""
    weights = [len(result.positions) for result in results]
    names = ("val_accuracy", "val_loss", "loss")
    return [
        {"epoch": rows[0]["epoch"]}
        | {name: float(np.average([row[name] for row in rows], weights=weights)) for name in names}
        for rows in zip(*(result.history for result in results), strict=True)
    ]


def _check_usage(arguments: argparse.Namespace, options: list[str]) -> None:
    """Refuse options that would have no effect; ``options`` lists the cross-validation options that were set."""
    if arguments.compare and (arguments.model or arguments.protocol == "grouped"):
        raise UsageError("--compare OLD NEW names two saved models; leave out --model and --protocol grouped")
    if arguments.compare and arguments.products:
        raise UsageError("--products would have no effect with --compare; leave it out")
    if arguments.protocol == "report" and options:
        raise UsageError(
            f"a saved model is evaluated as it is: {', '.join(options)} would have no effect; "
            "name the model with --model DIR, or add --protocol grouped"
        )
    if arguments.part == "all" and (
        unused := [each for each in options if each in ("--split-seed", "--validation-size")]
    ):
        raise UsageError(f"{' and '.join(unused)} would have no effect without --part train; leave them out")
    if arguments.protocol == "grouped" and arguments.model:
        raise UsageError("--protocol grouped trains its own models with several seeds; give --recipe and --seeds")
    for seed in (*arguments.seeds, arguments.fold_seed):
        make_config("report", seed=seed)  # fails now, not after an hour of training


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.evaluate", "Evaluate a saved model, or cross-validate a recipe without leakage.")
    parser.add_argument(
        "--protocol",
        choices=("report", "grouped"),
        default="report",
        help="report: evaluate a saved model on its own validation part, or on all rows of other data; grouped: "
        "cross-validate a recipe, with near-duplicates kept together",
    )
    parser.add_argument(
        "--compare", type=Path, nargs=2, metavar=("OLD", "NEW"), help="say whether NEW is better, by a paired test"
    )
    parser.add_argument("--model", type=Path, help="a saved model (default: saved_models/answer, else product)")
    data.add_data_arguments(parser)
    products_help = (
        "names and aliases, for --task target (default: those of the labels) or its model (default: its own)"
    )
    parser.add_argument("--products", type=Path, metavar="FILE", help=products_help)
    parser.add_argument("--json", type=Path, help="also write all results to this JSON file")
    parser.add_argument("--overwrite", action="store_true", help="replace the JSON file if it exists")
    group = parser.add_argument_group("cross-validation (--protocol grouped)")
    names = [*tasks.ALL_TASKS, tasks.ANSWER]
    group.add_argument("--task", choices=names, default=tasks.PRODUCT.name, help="the task to learn")
    group.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="training seeds")
    group.add_argument("--folds", type=int, default=cross_validation.FOLDS, help="number of folds")
    group.add_argument("--fold-seed", type=int, default=cross_validation.FOLD_SEED, help="seed of the folds")
    group.add_argument(
        "--part",
        choices=("all", "train"),
        default="all",
        help="rows to use: all; train: only the training rows of `tf_model.train`, to choose settings",
    )
    group.add_argument("--each-epoch", action="store_true", help="score every epoch, to choose the number of epochs")
    device.add_arguments(parser, "how to compute (--protocol grouped)")
    # --seeds instead; and no teachers
    add_config_arguments(parser, without={"seed", "teacher_weight", "teacher_temperature"})
    return parser


if __name__ == "__main__":
    cli.run(main)
