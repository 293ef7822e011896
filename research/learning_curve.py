"""``python -m research.learning_curve``: accuracy against the number of labelled tweets, 50 to 2,632.

In each grouped fold, a method trains on larger and larger random samples of the training part and predicts the whole
validation part. The run is recorded after each method; finished folds and earlier results are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from research import study
from research.methods.baseline_models import Method, methods
from research.runs import record, still_valid
from research.study import GROUPED, Problem, make_problem
from tf_model import cli, data, tasks
from tf_model.data import splits
from tf_model.evaluation.metrics import summarize
from tf_model.training.cross_validation import FOLDS

SIZES = (50, 100, 200, 400, 800, 1600, 2632)  # the last is the size of the report's training part
DRAWS = 3
QUICK = ("keywords", "words_logistic", "words_svm", "frozen_minilm")


def main(argv: list[str] | None = None) -> int:
    """Measure the curve of each method, print and record it."""
    methods_by_name = methods()
    parser = study.parser("learning_curve", __doc__.splitlines()[0], methods_by_name, QUICK)
    parser.add_argument("--task", choices=list(tasks.TASKS), default=tasks.PRODUCT.name, help="what is predicted")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of labelled tweets")
    arguments = parser.parse_args(argv)
    dataset = data.load(arguments.data)
    problem = make_problem(dataset, arguments.task)
    largest = min(len(split.train) for split in problem.folds[GROUPED])
    sizes = sorted({min(size, largest) for size in arguments.sizes})
    identity = {
        "protocol": f"grouped {FOLDS}-fold, training parts drawn down to the size",
        "task": arguments.task,
        "rows": len(problem.rows),
        "draws": DRAWS,
        "data_sha256": dataset.sha256,
    }
    name = "learning_curve" if arguments.task == tasks.PRODUCT.name else f"learning_curve_{arguments.task}"
    command = study.command_line("learning_curve", argv)
    run = study.load_to_extend(name, identity)
    entries = still_valid(run.get("methods", {}), methods_by_name)
    with cli.stopped_cleanly():
        for method in (methods_by_name[each] for each in arguments.methods):
            entries[method.name] = curve(method, problem, sizes, entries.get(method.name, {}))
            run["methods"] = still_valid(entries, methods_by_name)
            record(name, command, run)
            points = (f"{point['size']:,}: {point['accuracy']['mean']:.3f}" for point in entries[method.name]["points"])
            print(f"{method.title}: {', '.join(points)}")
    return 0


def sample_folds(problem: Problem, size: int, number: int) -> tuple[splits.Split, ...]:
    """The folds with ``size`` random rows of each training part; draws with the same number are nested."""
    return tuple(
        splits.Split(np.sort(np.random.default_rng([number, fold]).permutation(split.train)[:size]), split.validation)
        for fold, split in enumerate(problem.folds[GROUPED])
    )


def curve(method: Method, problem: Problem, sizes: Sequence[int], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a method, with the points of ``recorded``: accuracy and spread over draws at each size."""
    (task,) = problem.rows.tasks
    points = {point["size"]: point for point in recorded.get("points", ())}
    for size in sizes:
        accuracies = []
        for number in range(DRAWS):
            sampled = replace(problem, folds={f"{size}-rows": sample_folds(problem, size, number)})
            result = study.score_method(method, sampled, task, f"{size}-rows", number)
            accuracies.append(study.evaluate(task, problem.label_ids(task), result)["accuracy"])
        points[size] = {"size": size, "accuracy": summarize(accuracies)}
    return {"title": method.title, "settings": method.settings, "points": [points[size] for size in sorted(points)]}


if __name__ == "__main__":
    cli.run(main)
