"""``python -m tf_model.evaluate``: how good a model is, or, without leakage, how good a recipe is."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from tf_model import backbone, console, crossval, data, files, paths, recipes, runtime, splits, tasks
from tf_model.errors import ModelError, UsageError
from tf_model.metrics import evaluate_probabilities, print_metrics, summarize
from tf_model.recipes import Recipe
from tf_model.text import CLEANINGS
from tf_model.train import add_runtime_arguments

PROTOCOLS = ("report", "grouped")
PARTS = ("all", "train")


def main(argv: list[str] | None = None) -> int:
    """Evaluate by the protocol that was asked for, print a table and write JSON."""
    arguments = _parser().parse_args(argv)
    _check_usage(arguments)
    if arguments.json:
        files.refuse_to_overwrite(arguments.json, arguments.overwrite)
    source = data.resolve(arguments.data)
    data.announce(source)
    dataset = data.read(source.path)
    with console.stopped_cleanly():
        evaluated = (_evaluate_model if arguments.protocol == "report" else _evaluate_recipe)(arguments, dataset)
    if arguments.json:
        files.write_json(arguments.json, evaluated, overwrite=arguments.overwrite)
        console.say(f"written to {paths.shown(arguments.json)}")
    return 0


def _evaluate_model(arguments: argparse.Namespace, dataset: data.Dataset) -> dict[str, Any]:
    """Score a saved model on the validation part of the split that it was trained with."""
    from tf_model.predict import Predictor, predict_texts

    predictor = Predictor.load(arguments.model)
    task = tasks.TASKS.get(predictor.metrics.get("task", ""))
    if task is None:
        raise ModelError(f"{predictor.folder} does not say which task it was trained for; train it again")
    recipe = _recipe_of(predictor)
    examples = data.examples(dataset, task)
    label_ids = examples["label_id"].to_numpy()
    split = splits.report_split(label_ids, recipe.split_seed, recipe.validation_size, task.labels)
    if predictor.metrics.get("data_sha256") != dataset.sha256:
        console.say(
            f"warning: {predictor.folder} was trained on other data (sha256 {predictor.metrics.get('data_sha256')}); "
            "some of these rows may have been among its training examples"
        )
    texts = examples["text"].iloc[split.validation].tolist()
    frame = predict_texts(predictor, texts, probabilities=True)
    probabilities = frame[[f"{task.name}_probability_{label}" for label in task.labels]].to_numpy()
    metrics = evaluate_probabilities(label_ids[split.validation], probabilities, task.labels)
    print_metrics(console.stdout(), f"{task.name}, report's split, validation part", metrics)
    return {
        "protocol": "report",
        "task": task.name,
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "model": paths.shown(predictor.folder),
        "recipe": recipe.to_dict(),
        "validation": metrics,
    }


def _recipe_of(predictor: Any) -> Recipe:
    """The recipe that a saved model was trained with, which says how its data was split."""
    try:
        if predictor.recipe:
            return Recipe.from_dict(predictor.recipe)
        reason = "it is not there"
    except (UsageError, TypeError) as error:
        reason = str(error)
    raise ModelError(f"recipe.json of {predictor.folder} cannot be used ({reason}); train the model again")


def _evaluate_recipe(arguments: argparse.Namespace, dataset: data.Dataset) -> dict[str, Any]:
    """Cross-validate a recipe on folds that no near-duplicate crosses."""
    recipe, task = recipes.from_arguments(arguments), tasks.TASKS[arguments.task]
    texts, label_ids = _rows(data.examples(dataset, task), arguments.part, recipe, task)
    groups = splits.near_duplicate_groups(texts)
    folds = splits.grouped_folds(label_ids, groups, arguments.folds, arguments.fold_seed, task.labels)
    weights = backbone.find(recipe.backbone)
    used = runtime.prepare(
        recipe.seed, precision=arguments.precision, xla=arguments.xla, deterministic=arguments.deterministic
    )
    store = crossval.store_for(
        paths.CHECKPOINTS,
        task=task.name,
        data=dataset.sha256,
        part=arguments.part,
        folds=[[split.train.tolist(), split.validation.tolist()] for split in folds],
        cleaning=asdict(CLEANINGS[recipe.cleaning]),
        each_epoch=arguments.each_epoch,
        backbone=weights.sha256,
        computed=[used.precision, used.xla, used.deterministic],
        versions=runtime.versions(),
        recipe=replace(recipe, seed=0).to_dict(),
    )
    console.say(f"recipe: {recipe}")
    console.say(f"device: {used.describe()}; finished folds are kept in {paths.shown(store)}")

    def callbacks(seed: int, fold: int, rows: int) -> list[Any]:
        from tf_model.pipeline import steps_per_epoch
        from tf_model.progress import show_epochs

        console.say(f"seed {seed}, fold {fold} of {len(folds)}")
        return [show_epochs(console.stderr(), recipe.epochs, steps_per_epoch(rows, recipe.batch_size))]

    results = list(
        crossval.cross_validate(
            recipe,
            weights,
            len(task.labels),
            texts,
            label_ids,
            folds,
            seeds=arguments.seeds,
            runtime=used,
            store=store,
            each_epoch=arguments.each_epoch,
            callbacks=callbacks,
        )
    )
    by_seed = {
        str(seed): evaluate_probabilities(label_ids, crossval.out_of_fold(results, seed, len(texts)), task.labels)
        for seed in arguments.seeds
    }
    summary = {
        name: summarize(metrics[name] for metrics in by_seed.values()) for name in ("accuracy", "macro_f1", "loss")
    }
    stdout = console.stdout()
    for seed, metrics in by_seed.items():
        print_metrics(stdout, f"{task.name}, grouped {len(folds)}-fold, seed {seed}", metrics)
    for name, values in summary.items():
        spread = "" if values["sd"] is None else f", sd {values['sd']:.4f}, {values['min']:.4f} to {values['max']:.4f}"
        stdout.print(f"{name}: mean {values['mean']:.4f}{spread} over {values['n']} seeds", highlight=False)
    evaluated = {
        "protocol": "grouped",
        "part": arguments.part,
        "folds": len(folds),
        "fold_seed": arguments.fold_seed,
        "task": task.name,
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "rows": len(texts),
        "groups": int(groups.max()) + 1,
        "recipe": recipe.to_dict(),
        "backbone_sha256": weights.sha256,
        "device": used.describe(),
        "seconds": sum(row["seconds"] for result in results for row in result.history),
        "seeds": by_seed,
        "summary": summary,
        "versions": runtime.versions(),
    }
    if arguments.each_epoch:
        evaluated["epochs"] = _by_epoch(results)
    return evaluated


def _rows(examples: Any, part: str, recipe: Recipe, task: tasks.Task) -> tuple[list[str], np.ndarray]:
    texts, label_ids = examples["text"].tolist(), examples["label_id"].to_numpy()
    if part == "all":
        return texts, label_ids
    # Settings are chosen here, so that the validation part of the report's split has no say in them.
    train = np.sort(splits.report_split(label_ids, recipe.split_seed, recipe.validation_size, task.labels).train)
    return [texts[row] for row in train], label_ids[train]


def _by_epoch(results: list[crossval.FoldResult]) -> list[dict[str, float]]:
    """Accuracy after each epoch: the mean over seeds and folds, each weighted by its rows."""
    weights = [len(result.positions) for result in results]
    epochs = zip(*(result.history for result in results), strict=True)
    return [
        {
            "epoch": rows[0]["epoch"],
            "val_accuracy": float(np.average([row["val_accuracy"] for row in rows], weights=weights)),
            "val_loss": float(np.average([row["val_loss"] for row in rows], weights=weights)),
            "loss": float(np.average([row["loss"] for row in rows], weights=weights)),
        }
        for rows in epochs
    ]


def _check_usage(arguments: argparse.Namespace) -> None:
    if arguments.protocol == "grouped" and arguments.model:
        raise UsageError("--protocol grouped trains models of its own; give --recipe instead of --model")
    if arguments.protocol == "grouped" and arguments.seed is not None:
        raise UsageError("--protocol grouped trains with several seeds; give --seeds instead of --seed")
    if arguments.protocol == "report" and recipes.from_arguments(arguments) != recipes.REPORT_DEFAULT:
        raise UsageError("--protocol report evaluates a saved model as it is; settings belong to --protocol grouped")
    if len(set(arguments.seeds)) < len(arguments.seeds):
        raise UsageError("--seeds names a seed twice")


def _parser() -> argparse.ArgumentParser:
    parser = console.parser("tf_model.evaluate", "Evaluate a saved model, or cross-validate a recipe without leakage.")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="report",
        help="report: a saved model on the validation part of the report's split; grouped: train and score a recipe by "
        "cross-validation with no near-duplicate on both sides",
    )
    parser.add_argument("--model", type=Path, help="folder of a saved model; found by itself if not given")
    parser.add_argument("--task", choices=sorted(tasks.TASKS), default=tasks.PRODUCT.name, help="task (grouped)")
    parser.add_argument("--data", type=Path, help="workbook or CSV file; found by itself if not given")
    parser.add_argument("--json", type=Path, help="also write everything as JSON into this file")
    parser.add_argument("--overwrite", action="store_true", help="replace the JSON file if it exists")
    group = parser.add_argument_group("cross-validation (--protocol grouped)")
    group.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="training seeds")
    group.add_argument("--folds", type=int, default=crossval.FOLDS, help="number of folds")
    group.add_argument("--fold-seed", type=int, default=crossval.FOLD_SEED, help="seed of the folds")
    group.add_argument(
        "--part",
        choices=PARTS,
        default="all",
        help="rows to use: all, or only the training part of the report's split, to choose settings on",
    )
    group.add_argument("--each-epoch", action="store_true", help="score after every epoch, to choose their number")
    add_runtime_arguments(parser)
    recipes.add_arguments(parser)
    return parser


if __name__ == "__main__":
    console.run(main)
