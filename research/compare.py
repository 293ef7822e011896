"""``python -m research.compare``: our model against each recorded baseline, row by row, on either protocol.

Both sides predict the same rows and were trained on none of them. The record of ``make baselines`` says which rows a
baseline's first seed predicts correctly, and that of ``make grouped-answer``, or ``make grouped`` for a single task,
which rows our model does; with ``--models``, the validation predictions saved with these models are taken.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from research import study
from research.methods.baseline_models import OURS, Method, methods
from research.runs import load, record, show, still_valid
from research.study import GROUPED, REPORT, Correct, Problem, make_problem
from tf_model import cli, config, data, paths, tasks
from tf_model.errors import DataError, UsageError
from tf_model.evaluation.comparison import paired_test
from tf_model.model_dir import read_report
from tf_model.training.cross_validation import FOLD_SEED, FOLDS


def main(argv: list[str] | None = None) -> int:
    """Compare with each baseline, print and record."""
    methods_by_name = {name: method for name, method in methods().items() if name != OURS}
    parser = study.parser("compare", __doc__.splitlines()[0], methods_by_name, list(methods_by_name))
    parser.add_argument("--task", choices=study.PROBLEMS, default=tasks.ANSWER, help="what was trained")
    parser.add_argument(
        "--models", type=Path, nargs="+", metavar="DIR", help="models trained on the report's split, one a seed"
    )
    arguments = parser.parse_args(argv)
    if arguments.models and arguments.task == tasks.ANSWER:
        raise UsageError("--models needs --task product or emotion: answer is not trained on the report's split")
    command = study.command_line("compare", argv)
    dataset = data.load(arguments.data)
    problem, protocol = make_problem(dataset, arguments.task), REPORT if arguments.models else GROUPED
    by_seed, folds = _ours(arguments, problem), problem.folds[protocol]
    name = f"compare_{REPORT}_{arguments.task}" if arguments.models else f"compare_{arguments.task}"
    identity = {
        "protocol": f"grouped {len(folds)}-fold" if protocol == GROUPED else "the report's random split, seed 42",
        "task": arguments.task,
        **study.size_of(problem),
        "rows": sum(len(split.validation) for split in folds),
    }
    entries = {}
    for method in (method for method in methods_by_name.values() if method.name in arguments.methods):
        tests = compare_all(problem, by_seed, recorded_baseline(method, problem, protocol), method.title)
        entries[method.name] = {"title": method.title, "settings": method.settings, **tests}
    record(name, command, identity | {"methods": entries})
    return 0


def compare_all(problem: Problem, ours: Mapping[str, Correct], theirs: Correct, title: str) -> dict[str, Any]:
    """Test our accuracy less a baseline's with ``paired_test``, by question and by seed; each test is printed.

    Only questions that the baseline predicts are compared. DataError if the two sides predicted other rows.
    """
    tests: dict[str, dict[str, Any]] = {question: {} for question in theirs}
    for question, (their_rows, their_correct) in theirs.items():
        for key, our_correct in ours.items():
            rows, correct = our_correct[question]
            if not np.array_equal(rows, their_rows):
                raise DataError("the baseline and our model predicted different rows; run both on all folds")
            tests[question][key] = test = paired_test(their_correct, correct, problem.groups[rows])
            show(f"{question}, seed {key}, ours less {title}", test)
    return tests


def recorded_baseline(method: Method, problem: Problem, protocol: str) -> Correct:
    """Which rows a baseline predicts correctly with its first seed, from the record of ``make baselines``.

    A slow baseline is recorded for each task on that task's own folds, which also keep near-duplicates together and
    leave as many tweets to train on. DataError if it is not recorded.
    """
    run, seed, packed = load("baselines"), str(method.seeds[0]), {}
    if run is not None and run["data_sha256"] == problem.data_sha256:
        entry = still_valid(run["methods"], {method.name: method}).get(method.name, {})
        for name in tasks.TASKS if method.slow else (problem.name,):
            packed |= entry.get(name, {}).get(protocol, {}).get("seeds", {}).get(seed, {}).get("right", {})
    correct = study.unpacked(packed, study.question_rows(problem, protocol))
    if not correct:
        raise DataError(
            f"{method.name} with its current settings is not recorded on this dataset; run `python -m "
            f"research.baselines --methods {method.name} --protocols {protocol}` first, or leave it out"
        )
    return correct


def _ours(arguments: argparse.Namespace, problem: Problem) -> dict[str, Correct]:
    """Which rows our model predicts correctly, by seed."""
    if arguments.models:
        scores = load_validated(arguments.models, problem)
        return {seed: study.correct_by_question(problem, each) for seed, each in scores.items()}
    if by_seed := recorded_ours(problem, problem.name):
        return by_seed
    commands = {tasks.ANSWER: "make grouped-answer", tasks.PRODUCT.name: "make grouped"}
    emotion = 'make grouped ARGS="--task emotion --json research/runs/grouped_emotion.json"'  # not over the product's
    command = commands.get(problem.name, emotion)
    raise DataError(f"which {problem.name} rows our model predicts correctly is not recorded; run `{command}` first")


def recorded_ours(problem: Problem, trained: str = tasks.ANSWER) -> dict[str, Correct]:
    """Which rows our model predicts correctly, by seed; empty if cross-validation has not recorded it.

    The model is ``answer``, or, if a task is ``trained``, of this task alone.
    """
    identity = {"data_sha256": problem.data_sha256, "part": "all", "folds": FOLDS, "fold_seed": FOLD_SEED}
    recipe = config.ANSWER if trained == tasks.ANSWER else config.TUNED
    name = f"grouped_{config.TUNED.name if trained == tasks.PRODUCT.name else trained}"
    run, rows = study.load_to_extend(name, identity, recipe), study.question_rows(problem)
    seeds = run.get("seeds", {}).items()
    by_seed = {seed: study.unpacked(metrics.get("right", {}), rows) for seed, metrics in seeds}
    return {seed: correct for seed, correct in by_seed.items() if correct}


def load_validated(models: Sequence[Path], problem: Problem) -> dict[str, np.ndarray]:
    """Validation predictions of models of one task on the report's split by seed, float32 [N, classes].

    NaN in other rows. DataError if a model is of another task, dataset or split, or two have the same seed.
    """
    [split] = problem.folds[REPORT]
    validated_rows = problem.rows.rows[np.sort(split.validation)]
    by_seed: dict[str, np.ndarray] = {}
    for folder in models:
        report = read_report(folder)
        is_comparable = (report.task, report.data_sha256) == (problem.name, problem.data_sha256)
        if not is_comparable or not np.array_equal(np.sort(report.predictions[problem.name].rows), validated_rows):
            raise DataError(
                f"expected a model of {problem.name} with the report's split of this dataset in {paths.shown(folder)}; "
                f"train one with `python -m tf_model.train --task {problem.name}`"
            )
        seed, predictions = str(report.recipe.get("seed")), report.predictions[problem.name]
        if seed in by_seed:
            raise DataError(f"two models have the seed {seed}; leave one out")
        by_seed[seed] = np.full((len(problem.rows), predictions.probabilities.shape[1]), np.nan, np.float32)
        by_seed[seed][np.searchsorted(problem.rows.rows, predictions.rows)] = predictions.probabilities
    return by_seed


if __name__ == "__main__":
    cli.run(main)
