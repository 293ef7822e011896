"""``python -m research.compare``: our model against each baseline, row by row, on either protocol.

Both sides answered the same rows, none of which they were trained on. On the leak-free folds our model's answers are
those that ``python -m tf_model.evaluate --protocol grouped`` kept; it prints in which folder. On the report's split
(``--models``) they are the validation predictions that were saved with each model. A baseline answers with its first
seed; one that trains for minutes is compared by the answers that ``python -m research.baselines`` kept, with the answer
model by those to each task on folds of its own. Where all of that is gone, ``--recorded`` compares what the records of
``make levers`` and ``python -m research.baselines`` keep: which tweets were answered right, seed by seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from research.baselines import (
    GROUPED,
    REPORT,
    Answers,
    Problem,
    answers,
    asked_rows,
    make_problem,
    right_by_question,
    store_path,
)
from research.methods.baseline_models import recorded_answers
from research.methods.baseline_models.baseline_models import Method, baselines
from research.runs import load, record, today, write_run
from tf_model import cli, data, paths, tasks
from tf_model.errors import DataError, UsageError
from tf_model.evaluation.comparison import compare_right
from tf_model.model_dir import read_report

AVERAGED = "averaged"
RECORDED = "recorded"  # of a method that was compared by records alone

Rights = Mapping[str, tuple[np.ndarray, np.ndarray]]  # as right_by_question returns them


def main(argv: list[str] | None = None) -> int:
    """Compare with each baseline, print and record."""
    known = baselines()
    parser = cli.parser("research.compare", __doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="workbook or CSV file; found by itself if not given")
    parser.add_argument("--task", choices=[*tasks.TASKS, tasks.ANSWER], default=tasks.ANSWER, help="what was trained")
    parser.add_argument(
        "--store", type=Path, help="folder of the folds that evaluate kept; found by itself where one alone fits"
    )
    parser.add_argument(
        "--models", type=Path, nargs="+", metavar="DIR", help="models trained on the report's split, one a seed"
    )
    parser.add_argument(
        "--recorded", action="store_true", help="by what the records of the answer model and the baselines keep"
    )
    quick = [name for name, method in known.items() if not method.slow]
    parser.add_argument("--methods", nargs="+", choices=list(known), default=quick, help="which baselines")
    arguments = parser.parse_args(argv)
    if arguments.models and arguments.store:
        raise UsageError("expected --store, for the leak-free folds, or --models, for the report's split, got both")
    if arguments.recorded and (arguments.models or arguments.store or arguments.task != tasks.ANSWER):
        raise UsageError("--recorded takes the recorded answer model; leave out --store, --models and --task")
    source = data.resolve(arguments.data)
    data.announce(source)
    dataset = data.read(source.path)
    problem = make_problem(dataset, arguments.task)
    protocol, name, given = GROUPED, f"compare_{arguments.task}", []
    if arguments.recorded:
        given, ours = ["--recorded"], load_recorded(problem, dataset)
    elif arguments.models:
        protocol, name, given = REPORT, f"compare_{REPORT}_{arguments.task}", ["--models", *arguments.models]
        ours = rights_of(problem, load_validated(arguments.models, problem, dataset.sha256))
    else:
        given = ["--store", arguments.store] if arguments.store else []
        ours = rights_of(problem, load_out_of_fold(arguments.store or find_store(problem), problem))
    command = " ".join(
        [
            "python -m research.compare",
            *([] if arguments.recorded else ["--task", arguments.task]),
            *given[:1],
            *(paths.shown(Path(each)) for each in given[1:]),
            *(["--methods", *arguments.methods] if arguments.methods != quick else []),
        ]
    )
    found: dict[str, Any] = {}
    for method in (known[chosen] for chosen in arguments.methods):
        if arguments.recorded:
            kept = _compared_by_answers(name, method)
            theirs = {key: right for key, right in _recorded(method, problem, dataset).items() if key not in kept}
            if not theirs:
                cli.say(f"{method.name} was compared by its answers, our seeds averaged too; it stays so")
                continue
            made = {RECORDED: {"command": command, "date": today(), "questions": list(theirs)}}
        else:
            kept, made = {}, {}
            theirs = right_by_question(problem, _answers(method, problem, protocol, dataset))
        tests = compare_all(problem, ours, theirs)
        found[method.name] = {"title": method.title, "settings": method.settings, **made, **kept, **tests}
        for question, by_seed in tests.items():
            _print(method.title, question, by_seed)
    folds = problem.folds[protocol]
    results = {
        "protocol": f"grouped {len(folds)}-fold" if protocol == GROUPED else "the report's random split, seed 42",
        "task": arguments.task,
        "rows": sum(len(split.validation) for split in folds),
        "groups": int(problem.groups.max()) + 1,
        "data_sha256": dataset.sha256,
        "methods": found,
    }
    path = (_add if arguments.recorded else record)(name, command, results)
    cli.say(f"written to {paths.shown(path)}")
    return 0


def _compared_by_answers(name: str, method: Method) -> dict[str, Any]:
    """Tests by question of a method as it is fitted now, recorded from answers of which our seeds were averaged."""
    run = load(name)
    found = run["methods"].get(method.name, {}) if run else {}
    if found.get("settings") != method.settings:
        return {}
    by_records = found.get(RECORDED, {}).get("questions", ())
    return {question: tests for question, tests in tests_of(found).items() if question not in by_records}


def _add(name: str, command: str, results: dict[str, Any]) -> Path:
    """Record methods beside those that were recorded of the same tweets, whose command and date stay.

    Raises:
        DataError: Those are of other seeds of ours.
    """
    run = load(name)
    if run is None or any(run[key] != value for key, value in results.items() if key != "methods"):
        return record(name, command, results)
    methods = run["methods"] | results["methods"]
    seeds = {
        tuple(key for key in tests if key != AVERAGED) for each in methods.values() for tests in tests_of(each).values()
    }
    if len(seeds) > 1:
        raise DataError(
            f"the recorded comparison and the record of our answer model have other seeds, {sorted(seeds)}; run `make "
            "compare` after `make grouped-answer` instead"
        )
    return write_run(name, run | {"methods": {method: methods[method] for method in baselines() if method in methods}})


def _answers(method: Method, problem: Problem, protocol: str, dataset: data.Dataset) -> dict[str, Answers]:
    """What a method said; of a slow one what is kept."""
    if not method.slow:
        return {
            task.name: answers(method, problem, task, protocol, method.seeds[0], dataset.sha256)
            for task in problem.rows.tasks
        }
    said = kept_answers(method, problem, protocol, dataset)
    if not said:
        raise DataError(
            f"{method.name} trains for minutes and has no kept answers; run `python -m research.baselines "
            f"--methods {method.name} --seeds {method.seeds[0]} --protocols {protocol}` first, or leave it out"
        )
    return said


def _recorded(method: Method, problem: Problem, dataset: data.Dataset) -> Rights:
    found = recorded_answers.of_baseline(method, problem, dataset)
    if not found:
        raise DataError(
            f"{method.name}, as it is fitted now, is not recorded on this dataset; run `python -m research.baselines "
            f"--methods {method.name}` first, or leave it out"
        )
    rows = asked_rows(problem)
    return {question: (rows[question], right) for question, right in found.items()}


def load_recorded(problem: Problem, dataset: data.Dataset) -> dict[str, Rights]:
    """What ``make levers`` recorded of our answer model: by seed, as :func:`rights_of`; nothing is averaged.

    Raises:
        DataError: Nothing is recorded of this dataset.
    """
    found, rows = recorded_answers.of_ours(problem, dataset), asked_rows(problem)
    if found is None:
        raise DataError("our answer model is not recorded on this dataset; run `make levers` first")
    return {seed: {name: (rows[name], right) for name, right in asked.items()} for seed, asked in found.items()}


def rights_of(problem: Problem, probabilities: Mapping[str, np.ndarray]) -> dict[str, Rights]:
    """Rows of each question and whether they are answered right, by seed or ``"averaged"``, of probabilities by it."""
    return {key: right_by_question(problem, as_answers(problem, scores)) for key, scores in probabilities.items()}


def kept_answers(method: Method, problem: Problem, protocol: str, dataset: data.Dataset) -> dict[str, Answers]:
    """What a slow method said of each task's tweets on folds of that task alone, by task; a task without is left out.

    These folds keep near-duplicates together as well and leave as many tweets to train on, but are not those of the
    whole answer.
    """
    found = {}
    for task in problem.rows.tasks:
        own = problem if problem.name == task.name else make_problem(dataset, task.name)
        seed = method.seeds[0]
        if not store_path(method, own, task, protocol, seed, dataset.sha256).is_file():
            continue
        said = answers(method, own, task, protocol, seed, dataset.sha256)
        predicted = np.full(len(problem.rows), -1, np.int64)
        predicted[np.searchsorted(problem.rows.rows, own.rows.rows)] = said.predicted
        found[task.name] = Answers(predicted, None, said.seconds)
    return found


def compare_all(problem: Problem, ours: Mapping[str, Rights], theirs: Rights) -> dict[str, dict[str, Any]]:
    """Paired tests of every question that a problem asks.

    Args:
        problem: The rows.
        ours: As :func:`rights_of` returns them, by seed or ``"averaged"``.
        theirs: A baseline's, as :func:`research.baselines.right_by_question` returns them.

    Returns:
        By question ("product", "emotion", "answer" where both were asked in one) and by key of ``ours``, what
        :func:`tf_model.evaluation.comparison.compare_right` returns with the baseline as the old model.

    Raises:
        DataError: The two sides answered other rows.
    """
    found: dict[str, dict[str, Any]] = {question: {} for question in theirs}
    for key, of_ours in ours.items():
        for question, (old_rows, old_right) in theirs.items():
            rows, right = of_ours[question]
            if not np.array_equal(rows, old_rows):
                raise DataError("expected answers to the same rows from both sides; run both on all folds")
            found[question][key] = compare_right(old_right, right, problem.groups[rows])
    return found


def tests_of(recorded: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What :func:`compare_all` returned of a recorded method, without what else is recorded of it."""
    return {question: tests for question, tests in recorded.items() if question not in ("title", "settings", RECORDED)}


def load_out_of_fold(store: Path, problem: Problem) -> dict[str, np.ndarray]:
    """What ``cross_validate`` kept: float32 [N, classes of all tasks] by seed, and averaged.

    Raises:
        DataError: No seed has all folds, or they are not the folds of this problem.
    """
    folds = problem.folds[GROUPED]
    complete: dict[str, np.ndarray] = {}
    for first in sorted(Path(store).glob("seed-*-fold-1.npz")):
        seed = first.name.split("-")[1]
        files = [first.with_name(f"seed-{seed}-fold-{number}.npz") for number in range(1, len(folds) + 1)]
        if all(file.is_file() for file in files):
            complete[seed] = _read_folds(files, problem)
    if not complete:
        raise DataError(
            f"expected all {len(folds)} folds of a seed in {store}, found none complete; run `python -m "
            f"tf_model.evaluate --protocol grouped --task {problem.name}` to its end"
        )
    return _with_average(complete)


def _with_average(by_seed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    averaged = {AVERAGED: np.mean(list(by_seed.values()), axis=0)} if len(by_seed) > 1 else {}
    return by_seed | averaged


def load_validated(models: Sequence[Path], problem: Problem, data_sha256: str) -> dict[str, np.ndarray]:
    """What models said of the validation part of the report's split: as :func:`load_out_of_fold`, NaN elsewhere.

    Raises:
        DataError: A model is of another task, dataset or split, or two have the same seed.
    """
    (split,), (task, *others) = problem.folds[REPORT], problem.rows.tasks
    if others:
        raise DataError(f"expected a model of one task on the report's split, got {problem.name}; compare its folds")
    by_seed: dict[str, np.ndarray] = {}
    for folder in models:
        report = read_report(folder)
        said, seed = report.predictions.get(task.name), str(report.recipe.get("seed"))
        if report.task != task.name or said is None:
            raise DataError(
                f"expected a model of {task.name} with its validation predictions in {paths.shown(folder)}; train one "
                f"with `python -m tf_model.train --task {task.name}`"
            )
        if report.data_sha256 != data_sha256 or not np.array_equal(
            np.sort(said.rows), np.sort(problem.rows.rows[split.validation])
        ):
            raise DataError(
                f"{paths.shown(folder)} was validated on other rows than the report's; train it on its split"
            )
        if seed in by_seed:
            raise DataError(f"expected models of different seeds, two have the seed {seed}; leave one out")
        by_seed[seed] = np.full((len(problem.rows), len(task.labels)), np.nan, np.float32)
        by_seed[seed][np.searchsorted(problem.rows.rows, said.rows)] = said.probabilities
    return _with_average(by_seed)


def find_store(problem: Problem) -> Path:
    """The one folder in saved_models/.checkpoints that holds all folds of a seed of this problem.

    Raises:
        DataError: There is none, or more than one.
    """
    found = []
    for store in sorted(paths.CHECKPOINTS.glob("grouped-*")):
        try:
            load_out_of_fold(store, problem)
        except DataError:
            continue
        found.append(store)
    if len(found) != 1:
        several = f"{len(found)} fit: {', '.join(map(paths.shown, found))}" if found else "none fits"
        raise DataError(
            f"expected one folder of finished folds of {problem.name} in {paths.shown(paths.CHECKPOINTS)}, {several}; "
            "name one with --store, or run `python -m tf_model.evaluate --protocol grouped` to its end"
        )
    return found[0]


def _read_folds(files: list[Path], problem: Problem) -> np.ndarray:
    classes = sum(len(task.labels) for task in problem.rows.tasks)
    probabilities = np.zeros((len(problem.rows), classes), np.float32)
    for file, split in zip(files, problem.folds[GROUPED], strict=True):
        with np.load(file, allow_pickle=False) as kept:
            fits = np.array_equal(kept["positions"], split.validation) and kept["probabilities"].shape[1] == classes
            if not fits:
                raise DataError(f"{file} holds other rows or classes than {problem.name}; give the store of this task")
            probabilities[split.validation] = kept["probabilities"]
    return probabilities


def as_answers(problem: Problem, probabilities: np.ndarray) -> dict[str, Answers]:
    """Probabilities of all tasks side by side, float [N, classes], as the answers to each task; NaN is no answer."""
    ends = np.cumsum([len(task.labels) for task in problem.rows.tasks])[:-1]
    found = {}
    for task, part in zip(problem.rows.tasks, np.split(probabilities, ends, axis=1), strict=True):
        predicted = np.where(np.isnan(part).any(axis=1), -1, np.nan_to_num(part).argmax(axis=1))
        found[task.name] = Answers(predicted, part, 0.0)
    return found


def _print(title: str, question: str, by_seed: Mapping[str, Any]) -> None:
    for key, test in by_seed.items():
        low, high = test["difference_interval"]
        line = (
            f"{question}, seed {key}, less {title}: {test['difference']:+.4f} ({low:+.4f} to {high:+.4f}), "
            f"p {test['p_value']:.2g}"
        )
        cli.stdout().print(line, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    cli.run(main)
