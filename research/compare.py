"""``python -m research.compare``: our model against each recorded baseline, row by row, on either protocol.

Both sides predicted the same rows, none of which they were trained on. Which rows a baseline predicts correctly, with
its first seed, stands in the record of ``make baselines``. On the leak-free folds our model's predictions are those
that ``python -m tf_model.evaluate --protocol grouped`` kept; it prints in which folder. On the report's split
(``--models``) they are the validation predictions that were saved with each model. Where the folds are gone,
``--recorded`` takes the record of ``make variants``, which has our answer model seed by seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from research import study, training
from research.methods.baseline_models import Method, baselines
from research.runs import UNCHANGED, load, load_to_extend, record, still_valid, today, unpack, write_run
from research.study import GROUPED, REPORT, Correct, Problem, make_problem
from tf_model import cli, config, data, paths, tasks
from tf_model.errors import DataError, UsageError
from tf_model.evaluation.comparison import compare_right
from tf_model.model_dir import read_report

AVERAGED = "averaged"
RECORDED = "recorded"  # key of what says that a method was compared by the record of our model


def main(argv: list[str] | None = None) -> int:
    """Compare with each baseline, print and record."""
    known = baselines()
    quick = [name for name, method in known.items() if not method.slow]
    parser = study.parser("compare", __doc__.splitlines()[0])
    parser.add_argument("--task", choices=study.PROBLEMS, default=tasks.ANSWER, help="what was trained")
    parser.add_argument(
        "--store", type=Path, help="folder of the folds that evaluate kept; found by itself where one alone fits"
    )
    parser.add_argument(
        "--models", type=Path, nargs="+", metavar="DIR", help="models trained on the report's split, one a seed"
    )
    parser.add_argument("--recorded", action="store_true", help="take our answer model from the record of the variants")
    parser.add_argument("--methods", nargs="+", choices=list(known), default=quick, help="which baselines")
    arguments = parser.parse_args(argv)
    if arguments.models and arguments.store:
        raise UsageError("expected --store, for the leak-free folds, or --models, for the report's split, got both")
    if arguments.recorded and (arguments.models or arguments.store or arguments.task != tasks.ANSWER):
        raise UsageError("--recorded takes the recorded answer model; leave out --store, --models and --task")
    command = study.command_line("compare", argv)
    dataset = study.read_dataset(arguments.data)
    problem, protocol = make_problem(dataset, arguments.task), REPORT if arguments.models else GROUPED
    ours, folds = _ours(arguments, problem, dataset), problem.folds[protocol]
    name = f"compare_{REPORT}_{arguments.task}" if arguments.models else f"compare_{arguments.task}"
    same = {
        "protocol": f"grouped {len(folds)}-fold" if protocol == GROUPED else "the report's random split, seed 42",
        "task": arguments.task,
        **study.size_of(dataset, problem),
        "rows": sum(len(split.validation) for split in folds),
    }
    run = load_to_extend(name, same) if arguments.recorded else same
    entries = run.get("methods", {})
    for method in (known[each] for each in arguments.methods):
        before = still_valid(entries, {method.name: method}).get(method.name, {})
        kept = {question: tests for question, tests in tests_of(before).items() if AVERAGED in tests}
        theirs = recorded_baseline(method, problem, protocol, dataset)
        tests = compare_all(problem, ours, {key: each for key, each in theirs.items() if key not in kept}, method.title)
        if not tests:
            cli.say(f"{method.name} was compared with our seeds averaged too; it stays so")
            continue
        made = {RECORDED: {"command": command, "date": today(), "questions": list(tests)}} if arguments.recorded else {}
        entries[method.name] = {"title": method.title, "settings": method.settings, **made, **kept, **tests}
    _refuse_other_seeds(entries)
    run["methods"] = {name: entries[name] for name in known if name in entries}
    # A run that methods were added to keeps its command and date: what was added has its own.
    path = write_run(name, run) if "command" in run else record(name, command, run)
    cli.say(f"written to {paths.shown(path)}")
    return 0


def compare_all(problem: Problem, ours: Mapping[str, Correct], theirs: Correct, title: str) -> dict[str, Any]:
    """Paired tests of every question that a baseline predicts, by question and by seed of ours; each is printed.

    They are those of :func:`tf_model.evaluation.comparison.compare_right` with the baseline as the old model.

    Raises:
        DataError: The two sides predicted other rows.
    """
    tests: dict[str, dict[str, Any]] = {question: {} for question in theirs}
    for question, (old_rows, old_correct) in theirs.items():
        for key, of_ours in ours.items():
            rows, correct = of_ours[question]
            if not np.array_equal(rows, old_rows):
                raise DataError("expected predictions of the same rows from both sides; run both on all folds")
            tests[question][key] = test = compare_right(old_correct, correct, problem.groups[rows])
            low, high = test["difference_interval"]
            study.show(
                f"{question}, seed {key}, less {title}: {test['difference']:+.4f} ({low:+.4f} to {high:+.4f}), "
                f"p {test['p_value']:.2g}"
            )
    return tests


def tests_of(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What :func:`compare_all` returned of a recorded method, without what else is recorded of it."""
    return {question: tests for question, tests in entry.items() if question not in ("title", "settings", RECORDED)}


def _refuse_other_seeds(entries: Mapping[str, Any]) -> None:
    of_questions = (tests for entry in entries.values() for tests in tests_of(entry).values())
    seeds = {tuple(key for key in tests if key != AVERAGED) for tests in of_questions}
    if len(seeds) > 1:
        raise DataError(
            f"the recorded comparison and the record of our answer model have other seeds, {sorted(seeds)}; run `make "
            "compare` after `make grouped-answer` instead"
        )


# ---------------------------------------------------------------- the baselines


def recorded_baseline(method: Method, problem: Problem, protocol: str, dataset: data.Dataset) -> Correct:
    """Which rows a baseline predicts correctly with its first seed, from the record of ``make baselines``.

    A slow one is recorded of each task by itself, on folds of that task alone, and not of the whole answer. These
    folds keep near-duplicates together as well and leave as many tweets to train on.

    Raises:
        DataError: It is not recorded.
    """
    run, seed, packed = load("baselines"), str(method.seeds[0]), {}
    if run is not None and run["data_sha256"] == dataset.sha256:
        entry = still_valid(run["methods"], {method.name: method}).get(method.name, {})
        for name in tasks.TASKS if method.slow else (problem.name,):
            packed |= entry.get(name, {}).get(protocol, {}).get("seeds", {}).get(seed, {}).get("right", {})
    correct = _unpacked(packed, study.question_rows(problem, protocol))
    if not correct:
        raise DataError(
            f"{method.name}, as it is fitted now, is not recorded on this dataset; run `python -m research.baselines "
            f"--methods {method.name} --protocols {protocol}` first, or leave it out"
        )
    return correct


def _unpacked(packed: Mapping[str, str], rows: Mapping[str, np.ndarray]) -> Correct:
    return {key: (rows[key], unpack(packed[key], len(rows[key]))) for key in rows if key in packed}


# ---------------------------------------------------------------- our model


def _ours(arguments: argparse.Namespace, problem: Problem, dataset: data.Dataset) -> dict[str, Correct]:
    """Which rows our model predicts correctly, by seed, and of its seeds averaged."""
    if arguments.recorded:
        by_seed = recorded_ours(problem, dataset)
        if by_seed is None:
            raise DataError("our answer model is not recorded on this dataset; run `make variants` first")
        return by_seed
    if arguments.models:
        scores = load_validated(arguments.models, problem, dataset.sha256)
    else:
        scores = load_out_of_fold(arguments.store or find_store(problem), problem)
    return {
        key: study.correct_by_question(problem, study.predicted_by_task(problem, each)) for key, each in scores.items()
    }


def recorded_ours(problem: Problem, dataset: data.Dataset) -> dict[str, Correct] | None:
    """Our answer model by seed, on the questions of ``problem``, from the record of ``make variants``.

    None where nothing is recorded of this dataset and of the training as it is now.
    """
    run = load("levers")
    if run is None or run["data_sha256"] != dataset.sha256:
        return None
    if not study.is_recorded_config(run["recipe"], replace(config.ANSWER, seed=0)):
        return None
    seeds, rows = run["levers"][UNCHANGED]["seeds"], study.question_rows(problem, GROUPED)
    return {seed: _unpacked(figures["right"], rows) for seed, figures in seeds.items()}


def load_out_of_fold(store: Path, problem: Problem) -> dict[str, np.ndarray]:
    """What ``evaluate --protocol grouped`` kept: float32 [N, classes of all tasks] by seed, and averaged.

    Raises:
        DataError: No seed has all folds, or they are not the folds of this problem.
    """
    folds, classes = problem.folds[GROUPED], sum(len(task.labels) for task in problem.rows.tasks)
    by_seed: dict[str, np.ndarray] = {}
    for first in sorted(store.glob("seed-*-fold-1.npz")):
        seed = first.name.split("-")[1]
        files = [store / f"seed-{seed}-fold-{number}.npz" for number in range(1, len(folds) + 1)]
        if not all(file.is_file() for file in files):
            continue
        by_seed[seed] = np.zeros((len(problem.rows), classes), np.float32)
        for file, split in zip(files, folds, strict=True):
            positions, probabilities = training.read_fold(file)
            if not np.array_equal(positions, split.validation) or probabilities.shape[1] != classes:
                raise DataError(f"{file} holds other rows or classes than {problem.name}; give the store of this task")
            by_seed[seed][positions] = probabilities
    if not by_seed:
        raise DataError(
            f"expected all {len(folds)} folds of a seed in {store}, found none complete; run `python -m "
            f"tf_model.evaluate --protocol grouped --task {problem.name}` to its end"
        )
    return _with_average(by_seed)


def find_store(problem: Problem) -> Path:
    """The one folder in saved_models/.checkpoints that holds all folds of a seed of this problem.

    Raises:
        DataError: There is none, or more than one.
    """
    fitting = []
    for store in sorted(paths.CHECKPOINTS.glob("grouped-*")):
        with suppress(DataError):
            load_out_of_fold(store, problem)
            fitting.append(store)
    if len(fitting) != 1:
        which = f"{len(fitting)} fit: {', '.join(map(paths.shown, fitting))}" if fitting else "none fits"
        raise DataError(
            f"expected one folder of finished folds of {problem.name} in {paths.shown(paths.CHECKPOINTS)}, {which}; "
            "name one with --store, or run `python -m tf_model.evaluate --protocol grouped` to its end"
        )
    return fitting[0]


def load_validated(models: Sequence[Path], problem: Problem, data_sha256: str) -> dict[str, np.ndarray]:
    """What models predicted of the validation part of the report's split: as :func:`load_out_of_fold`, NaN elsewhere.

    Raises:
        DataError: A model is of another task, dataset or split, or two have the same seed.
    """
    (split,), (task, *others) = problem.folds[REPORT], problem.rows.tasks
    if others:
        raise DataError(f"expected a model of one task on the report's split, got {problem.name}; compare its folds")
    by_seed: dict[str, np.ndarray] = {}
    for folder in models:
        report = read_report(folder)
        validated, seed = report.predictions.get(task.name), str(report.recipe.get("seed"))
        if report.task != task.name or validated is None:
            raise DataError(
                f"expected a model of {task.name} with its validation predictions in {paths.shown(folder)}; train one "
                f"with `python -m tf_model.train --task {task.name}`"
            )
        is_alike = np.array_equal(np.sort(validated.rows), np.sort(problem.rows.rows[split.validation]))
        if report.data_sha256 != data_sha256 or not is_alike:
            raise DataError(
                f"{paths.shown(folder)} was validated on other rows than the report's; train it on its split"
            )
        if seed in by_seed:
            raise DataError(f"expected models of different seeds, two have the seed {seed}; leave one out")
        by_seed[seed] = np.full((len(problem.rows), len(task.labels)), np.nan, np.float32)
        by_seed[seed][np.searchsorted(problem.rows.rows, validated.rows)] = validated.probabilities
    return _with_average(by_seed)


def _with_average(by_seed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    averaged = {AVERAGED: np.mean(list(by_seed.values()), axis=0)} if len(by_seed) > 1 else {}
    return by_seed | averaged


if __name__ == "__main__":
    cli.run(main)
