"""``python -m research.learning_curve``: accuracy and cost against the number of labelled tweets, 50 to all.

In each fold of the leak-free protocol, a method trains on tweets drawn at random from the training part, more and more
of them, and answers the whole validation part. What is fitted is kept, and the run is recorded after each size: what it
has of the same rows and draws stays in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from research.baselines import GROUPED, Problem, answers, make_problem, score
from research.methods.baseline_models.baseline_models import OURS, Method, methods
from research.runs import kept_methods, record
from tf_model import cli, data, paths, tasks
from tf_model.data import splits
from tf_model.errors import UsageError
from tf_model.evaluation.metrics import summarize
from tf_model.training import cross_validation

SIZES = (50, 100, 200, 400, 800, 1600, 2632)  # the last is the size of the report's training part
DRAWS = 3
CHEAP = ("keywords", "words_logistic", "words_svm", "frozen_minilm")


def main(argv: list[str] | None = None) -> int:
    """Measure the curve of each method, print and record it."""
    parser = cli.parser("research.learning_curve", __doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="workbook or CSV file; found by itself if not given")
    parser.add_argument("--task", choices=list(tasks.TASKS), default=tasks.PRODUCT.name, help="what is answered")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of labelled tweets")
    parser.add_argument("--draws", type=int, default=DRAWS, help="random draws of the tweets")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=list(methods()),
        default=list(CHEAP),
        help=f"which methods; {OURS}, our own model, takes hours on a CPU",
    )
    arguments = parser.parse_args(argv)
    if min(arguments.sizes) < 20 or arguments.draws < 1:
        raise UsageError("--sizes must be at least 20 tweets and --draws at least 1; leave them out for the usual ones")
    source = data.resolve(arguments.data)
    data.announce(source)
    dataset = data.read(source.path)
    problem = make_problem(dataset, arguments.task)
    sizes = sorted({min(size, smallest_training_part(problem)) for size in arguments.sizes})
    results = {
        "protocol": f"grouped {cross_validation.FOLDS}-fold, training parts drawn down to the size",
        "task": arguments.task,
        "rows": len(problem.rows),
        "draws": arguments.draws,
        "data_sha256": dataset.sha256,
    }
    known = methods()
    settings = {name: method.settings for name, method in known.items()}
    found = kept_methods(run_name(arguments.task), results, settings)
    with cli.stopped_cleanly():
        for name in arguments.methods:
            for points in curve(known[name], problem, sizes, arguments.draws, dataset.sha256, found.get(name)):
                found[name] = points
                in_order = {name: found[name] for name in known if name in found}
                path = record(
                    run_name(arguments.task),
                    command(arguments.task, in_order, arguments.draws),
                    results | {"methods": in_order},
                )
            _print(found[name])
    cli.say(f"written to {paths.shown(path)}")
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


def curve(
    method: Method,
    problem: Problem,
    sizes: Sequence[int],
    draws: int,
    data_sha256: str,
    recorded: Mapping[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """Accuracy, macro-F1 and seconds of a method at each size, with their spread over the draws.

    Yields:
        All points so far, those of ``recorded`` among them, after each size.
    """
    (task,) = problem.rows.tasks
    points = {point["size"]: point for point in (recorded or {}).get("points", ())}
    for size in sizes:
        metrics = []
        for number in range(draws):
            drawn = replace(problem, folds={f"{size}-rows": draw(problem, size, number)})
            said = answers(method, drawn, task, f"{size}-rows", number, data_sha256)
            # Seconds of fitting once, and answering a fifth of the tweets.
            seconds = said.seconds / len(problem.folds[GROUPED])
            metrics.append(score(task, problem.label_ids(task), said) | {"seconds": seconds})
        names = ("accuracy", "macro_f1", "seconds")
        points[size] = {"size": size} | {name: summarize(figures[name] for figures in metrics) for name in names}
        yield {
            "title": method.title,
            "settings": method.settings,
            "points": [points[size] for size in sorted(points)],
            "seconds": sum(point["seconds"]["mean"] * draws * len(problem.folds[GROUPED]) for point in points.values()),
        }


def command(task: str, recorded: Mapping[str, Any], draws: int = DRAWS) -> str:
    """What measures the methods as they are recorded: a command for those of the same sizes."""
    by_sizes: dict[tuple[int, ...], list[str]] = {}
    for name, found in recorded.items():
        by_sizes.setdefault(tuple(point["size"] for point in found["points"]), []).append(name)
    drawn = f" --draws {draws}" if draws != DRAWS else ""
    return " and ".join(_command(task, names, sizes) + drawn for sizes, names in by_sizes.items())


def _command(task: str, names: Sequence[str], sizes: Sequence[int]) -> str:
    of_task = f"--task {task}" if task != tasks.PRODUCT.name else ""
    chosen = f"--methods {' '.join(names)}" if set(names) != set(CHEAP) else ""
    wanted = f"--sizes {' '.join(map(str, sizes))}" if tuple(sizes) != SIZES else ""
    return " ".join(["python -m research.learning_curve", *filter(None, [of_task, chosen, wanted])])


def _print(found: dict[str, Any]) -> None:
    points = ", ".join(f"{point['size']:,}: {point['accuracy']['mean']:.3f}" for point in found["points"])
    cli.stdout().print(f"{found['title']}: {points}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    cli.run(main)
