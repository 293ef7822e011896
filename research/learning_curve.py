"""``python -m research.learning_curve``: accuracy against the number of labelled tweets, 50 to all.

In each fold of the leak-free protocol, a method trains on tweets drawn at random from the training part, more and more
of them, and answers the whole validation part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from research.baselines import GROUPED, Problem, answers, make_problem, score
from research.methods import Method, methods
from research.runs import record
from tf_model import console, crossval, data, paths, splits, tasks
from tf_model.errors import UsageError
from tf_model.metrics import evaluate_probabilities, summarize

SIZES = (50, 100, 200, 400, 800, 1600, 2632)  # the last is the size of the report's training part
DRAWS = 3
CHEAP = ("keywords", "words_logistic", "frozen_minilm")


def main(argv: list[str] | None = None) -> int:
    """Measure the curve of each method, print and record it."""
    parser = console.parser("research.learning_curve", __doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="workbook or CSV file; found by itself if not given")
    parser.add_argument("--task", choices=list(tasks.TASKS), default=tasks.PRODUCT.name, help="what is answered")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of labelled tweets")
    parser.add_argument("--draws", type=int, default=DRAWS, help="random draws of the tweets")
    parser.add_argument("--methods", nargs="+", choices=list(methods()), default=list(CHEAP), help="which baselines")
    parser.add_argument("--minilm", action="store_true", help="also fine-tune our model: hours on a CPU (resumes)")
    parser.add_argument("--recipe", default="tuned", help="recipe of --minilm")
    arguments = parser.parse_args(argv)
    if min(arguments.sizes) < 20 or arguments.draws < 1:
        raise UsageError("--sizes must be at least 20 tweets and --draws at least 1; leave them out for the usual ones")
    source = data.resolve(arguments.data)
    data.announce(source)
    dataset = data.read(source.path)
    problem = make_problem(dataset, arguments.task)
    sizes = sorted({min(size, smallest_training_part(problem)) for size in arguments.sizes})
    found: dict[str, Any] = {}
    results = {
        "protocol": f"grouped {crossval.FOLDS}-fold, training parts drawn down to the size",
        "task": arguments.task,
        "rows": len(problem.rows),
        "draws": arguments.draws,
        "data_sha256": dataset.sha256,
        "methods": found,
    }
    known = methods()
    for name in arguments.methods:
        found[name] = curve(known[name], problem, sizes, arguments.draws, dataset.sha256)
        record(run_name(arguments.task), _command(arguments), results)
        _print(found[name])
    if arguments.minilm:
        found["minilm"] = fine_tuned_curve(arguments.recipe, problem, sizes, arguments.draws, dataset.sha256)
        _print(found["minilm"])
    console.say(f"written to {paths.shown(record(run_name(arguments.task), _command(arguments), results))}")
    return 0


def run_name(task: str) -> str:
    """Name of the recorded run of a task."""
    return "learning_curve" if task == tasks.PRODUCT.name else f"learning_curve_{task}"


def smallest_training_part(problem: Problem) -> int:
    """The most tweets that every fold can train on."""
    return min(len(split.train) for split in problem.folds[GROUPED])


def draw(problem: Problem, size: int, number: int) -> tuple[splits.Split, ...]:
    """The folds with ``size`` rows of each training part, drawn at random; draws of one number are nested."""
    generators = (np.random.default_rng([number, fold]) for fold in range(len(problem.folds[GROUPED])))
    return tuple(
        splits.Split(np.sort(generator.permutation(split.train)[:size]), split.validation)
        for generator, split in zip(generators, problem.folds[GROUPED], strict=True)
    )


def curve(method: Method, problem: Problem, sizes: Sequence[int], draws: int, data_sha256: str) -> dict[str, Any]:
    """Accuracy and macro-F1 of a baseline at each size, with their spread over the draws."""
    (task,) = problem.rows.tasks
    points, seconds = [], 0.0
    for size in sizes:
        metrics = []
        for number in range(draws):
            drawn = replace(problem, folds={f"{size}-rows": draw(problem, size, number)})
            said = answers(method, drawn, task, f"{size}-rows", number, data_sha256)
            metrics.append(score(task, problem.label_ids(task), said))
            seconds += said.seconds
        points.append(_point(size, metrics))
    return {"title": method.title, "settings": method.settings, "points": points, "seconds": seconds}


def fine_tuned_curve(
    recipe_name: str, problem: Problem, sizes: Sequence[int], draws: int, data_sha256: str
) -> dict[str, Any]:
    """The same of our model, trained anew for each size, draw and fold."""
    from tf_model import backbone, recipes, runtime
    from tf_model.text import CLEANINGS

    (task,) = problem.rows.tasks
    recipe = recipes.make_recipe(recipe_name)
    weights, used = backbone.find(recipe.backbone), runtime.prepare(recipe.seed)
    points, seconds = [], 0.0
    for size in sizes:
        metrics = []
        for number in range(draws):
            folds = draw(problem, size, number)
            store = crossval.store_for(
                paths.CHECKPOINTS,
                task=task.name,
                data=data_sha256,
                folds=[[split.train.tolist(), split.validation.tolist()] for split in folds],
                cleaning=asdict(CLEANINGS[recipe.cleaning]),
                backbone=weights.sha256,
                computed=used.precision,
                recipe=replace(recipe, seed=0).to_dict(),
                versions=runtime.versions(),
            )
            console.say(f"{size} tweets, draw {number + 1} of {draws}; finished folds are kept in {paths.shown(store)}")
            results = list(
                crossval.cross_validate(
                    recipe,
                    weights,
                    [len(task.labels)],
                    problem.rows.texts,
                    problem.rows.label_ids,
                    folds,
                    seeds=[number],
                    runtime=used,
                    store=store,
                )
            )
            seconds += sum(row["seconds"] for result in results for row in result.history)
            probabilities = crossval.out_of_fold(results, number, len(problem.rows))
            metrics.append(evaluate_probabilities(problem.rows.label_ids, probabilities, task.labels))
        points.append(_point(size, metrics))
    title = f"MiniLM fine-tuned, `{recipe_name}` recipe"
    return {"title": title, "settings": str(recipe), "points": points, "seconds": seconds}


def _point(size: int, metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"size": size} | {name: summarize(figures[name] for figures in metrics) for name in ("accuracy", "macro_f1")}


def _command(arguments: Any) -> str:
    extra = f" --task {arguments.task}" if arguments.task != tasks.PRODUCT.name else ""
    extra += f" --minilm --recipe {arguments.recipe}" if arguments.minilm else ""
    return f"python -m research.learning_curve{extra}"


def _print(found: dict[str, Any]) -> None:
    points = ", ".join(f"{point['size']:,}: {point['accuracy']['mean']:.3f}" for point in found["points"])
    console.stdout().print(f"{found['title']}: {points}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    console.run(main)
