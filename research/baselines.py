"""``python -m research.baselines``: other methods on the same rows and protocols as our models.

Each method predicts the product, the emotion and, unless it is slow, both together. Finished folds are kept, so a
stopped run resumes. The record keeps earlier results on the same data and folds, and which tweets each method predicts
correctly (for research.compare).
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from research import study
from research.methods.baseline_models import CANDIDATES, Method, methods, with_setting
from research.runs import record, show, still_valid, unpack
from research.study import GROUPED, PROBLEMS, PROTOCOLS, REPORT, Problem, make_problem
from tf_model import cli, data, tasks
from tf_model.data import splits
from tf_model.errors import UsageError
from tf_model.evaluation.comparison import paired_test
from tf_model.evaluation.joint_metrics import answer_metrics
from tf_model.evaluation.metrics import mean_interval, summarize
from tf_model.training.cross_validation import FOLD_SEED, FOLDS

DUPLICATE_GAIN = "report_less_grouped"  # key of the gain from near-duplicates in training
CHOOSING_FOLDS, CHOOSING_SEED = 3, 7  # as in `make choose-epochs`


def main(argv: list[str] | None = None) -> int:
    """Run the chosen methods, print their metrics and record them."""
    methods_by_name = methods()
    parser = study.parser("baselines", __doc__.splitlines()[0], methods_by_name)
    parser.add_argument("--seeds", type=int, nargs="+", help="training seeds of methods with randomness; 3 by default")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS), help="what is predicted")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="on which rows")
    parser.add_argument("--choose", action="store_true", help="choose settings inside the report's training part")
    arguments = parser.parse_args(argv)
    command = study.command_line("baselines", argv)
    dataset = data.load(arguments.data)
    with cli.stopped_cleanly():
        return (_choose if arguments.choose else _evaluate)(arguments, command, dataset)


def _evaluate(arguments: argparse.Namespace, command: str, dataset: data.Dataset) -> int:
    methods_by_name = methods()
    problems = {name: make_problem(dataset, name) for name in PROBLEMS}
    identity = {
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "fold_seed": FOLD_SEED,
        "folds": FOLDS,
        "rows": {
            name: {protocol: sum(len(split.validation) for split in folds) for protocol, folds in problem.folds.items()}
            for name, problem in problems.items()
        },
        "groups": {name: int(problem.groups.max()) + 1 for name, problem in problems.items()},
    }
    run = study.load_to_extend("baselines", identity)
    entries = still_valid(run.get("methods", {}), methods_by_name)
    chosen_problems = {name: problems[name] for name in arguments.problems}
    for name in arguments.methods:
        method = methods_by_name[name]
        recorded = entries.get(name, {})
        entries[name] = evaluate_method(method, chosen_problems, arguments.protocols, arguments.seeds, recorded)
        run["methods"] = still_valid(entries, methods_by_name)
        record("baselines", command, run)
        for problem in PROBLEMS:
            for protocol, each in entries[name].get(problem, {}).items():
                summary = each["summary"].get(tasks.ANSWER, each["summary"])
                figures = {key: value["mean"] for key, value in summary.items()}
                figures["accuracy_interval"] = each["intervals"][problem]
                show(f"{method.title}, {problem}, {protocol}", figures)
    return 0


def evaluate_method(
    method: Method,
    problems: Mapping[str, Problem],
    protocols: Sequence[str],
    seeds: Sequence[int] | None,
    recorded: Mapping[str, Any],
) -> dict[str, Any]:
    """The entry of one method: metrics by problem, protocol and seed, and their spread over seeds.

    ``seeds`` replace the method's own, if it has randomness; ``recorded``, its entry from earlier runs, is kept.
    :data:`DUPLICATE_GAIN` holds :func:`duplicate_gain` for each task that was predicted under both protocols.
    """
    entry: dict[str, Any] = {"title": method.title, "settings": method.settings, **recorded}
    for seed in seeds if seeds and len(method.seeds) > 1 else method.seeds:
        for name, problem in problems.items():
            if method.slow and name == tasks.ANSWER:
                continue
            by_protocol = entry.setdefault(name, {})
            for protocol in protocols:
                results = {
                    task.name: study.score_method(method, problem, task, protocol, seed) for task in problem.rows.tasks
                }
                scores = np.concatenate([result.scores for result in results.values()], axis=1)
                correct = study.correct_by_question(problem, scores)
                metrics = _metrics(problem, results, correct, method.has_probabilities) | {
                    "right": study.packed(correct),
                    "seconds": sum(result.seconds for result in results.values()),
                }
                by_seed = study.with_seed(by_protocol.get(protocol, {}), seed, metrics)
                by_protocol[protocol] = {
                    "seeds": by_seed,
                    "summary": _summary(by_seed),
                    "intervals": _intervals(problem, correct, by_seed),
                }
            both = [by_protocol.get(protocol, {}).get("seeds", {}).get(str(seed)) for protocol in (GROUPED, REPORT)]
            if name != tasks.ANSWER and all(both):
                gain = duplicate_gain(problem, *(each["right"][name] for each in both))
                entry.setdefault(DUPLICATE_GAIN, {}).setdefault(name, {})[str(seed)] = gain
    return entry


def duplicate_gain(problem: Problem, grouped: str, report: str) -> dict[str, Any]:
    """How much a method gains when near-duplicates of the tweets that it predicts are in its training part.

    Both protocols train on four fifths of the same tweets. The validation rows of the report's split are predicted once
    with near-duplicates in training (new) and once without (old). ``grouped`` and ``report`` are the correct rows,
    packed by :func:`research.runs.pack`.
    """
    rows = np.sort(problem.folds[REPORT][0].validation)
    return paired_test(unpack(grouped, len(problem.rows))[rows], unpack(report, len(rows)), problem.groups[rows])


def _metrics(
    problem: Problem, results: Mapping[str, study.OutOfFold], correct: study.Correct, has_probabilities: bool
) -> dict[str, Any]:
    """Metrics of a single task; for the whole answer, those of ``product``, ``emotion`` and ``answer``."""
    metrics = {
        task.name: study.evaluate(task, problem.label_ids(task), results[task.name], has_probabilities)
        for task in problem.rows.tasks
    }
    if problem.name != tasks.ANSWER:
        return metrics[problem.name]
    rows, is_correct = correct[tasks.ANSWER]
    joined = answer_metrics(problem.label_ids(tasks.EMOTION)[rows], np.ones(len(rows)), is_correct, threshold=0.0)
    shares = ("rows", "accuracy", "accuracy_interval", "emotion_rows", "emotion_rows_accuracy")
    return {**metrics, tasks.ANSWER: {name: joined[name] for name in shares}}


def _intervals(problem: Problem, correct: study.Correct, seeds: Mapping[str, Any]) -> dict[str, list[float]]:
    """95% intervals of each question's accuracy, averaged over seeds; near-duplicates are resampled together."""
    intervals = {}
    for question, (rows, _) in correct.items():
        shares = np.mean([unpack(metrics["right"][question], len(rows)) for metrics in seeds.values()], axis=0)
        intervals[question] = list(mean_interval(shares, problem.groups[rows]))
    return intervals


def _summary(seeds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and spread over seeds of every share, at any depth of nesting."""
    summary: dict[str, Any] = {}
    for name, value in next(iter(seeds.values())).items():
        if isinstance(value, float) and name != "seconds":
            summary[name] = summarize(metrics[name] for metrics in seeds.values())
        elif name in PROBLEMS:
            summary[name] = _summary({seed: metrics[name] for seed, metrics in seeds.items()})
    return summary


def _choose(arguments: argparse.Namespace, command: str, dataset: data.Dataset) -> int:
    """Cross-validate each setting inside the training part of the report's split, and record the best."""
    tunable = [name for name in arguments.methods if name in CANDIDATES]
    if not tunable:
        raise UsageError(f"expected --methods with a setting to choose; these have one: {', '.join(CANDIDATES)}")
    problems = [_choosing_problem(dataset, task) for task in tasks.TASKS.values()]
    protocol = "3 grouped folds inside the training part of the report's split, fold seed 7; the best of each task"
    identity = {
        "protocol": protocol,
        "rows": {problem.name: len(problem.rows) for problem in problems},
        "data_sha256": dataset.sha256,
    }
    run = study.load_to_extend("choose_baselines", identity)
    entries = run.get("methods", {})
    for name in tunable:
        by_value: dict[str, Any] = {}
        for value in CANDIDATES[name]:
            method = with_setting(name, dict.fromkeys(tasks.TASKS, value))
            accuracies = {}
            for problem in problems:
                (task,) = problem.rows.tasks
                result = study.score_method(method, problem, task, GROUPED, 0)
                metrics = study.evaluate(task, problem.label_ids(task), result, method.has_probabilities)
                accuracies[task.name] = metrics["accuracy"]
            by_value[f"{value:g}"] = accuracies
            cli.say(f"{name}, {value:g}: {accuracies}")
        best = {task: float(max(by_value, key=lambda value, task=task: by_value[value][task])) for task in tasks.TASKS}
        entries[name] = {"title": method.title, "tried": by_value, "best": best}
        run["methods"] = {name: entries[name] for name in CANDIDATES if name in entries}
        record("choose_baselines", command, run)
    return 0


def _choosing_problem(dataset: data.Dataset, task: tasks.Task) -> Problem:
    rows = data.training_rows(dataset, task.name)
    rows = rows.take(np.sort(splits.report_split(rows.strata, labels=rows.strata_names).train))
    groups = splits.near_duplicate_groups(rows.texts)
    folds = {GROUPED: splits.folds_of(rows, groups, CHOOSING_FOLDS, CHOOSING_SEED)}
    return Problem(task.name, rows, groups, folds, dataset.sha256)


if __name__ == "__main__":
    cli.run(main)
