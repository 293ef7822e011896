"""``python -m research.baselines``: plain methods on the same rows and protocols as our models.

Each method answers the product (3,291 tweets), the emotion (8,579), and, if it is quick, the whole question: which
emotion towards which product. Predictions of rows that a method was not fitted on are kept in
saved_models/.checkpoints, so that a run that was stopped goes on, and a model can be compared row by row
(research.compare). The recorded run grows: what it has of the same data and folds stays in it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from research.methods.baseline_models.baseline_models import (
    CHOICES,
    EMBEDDINGS,
    Method,
    embeddings,
    methods,
    with_choice,
)
from research.runs import kept_methods, load, pack, record, unpack
from tf_model import cli, data, paths, tasks
from tf_model.data import splits
from tf_model.device import versions
from tf_model.errors import UsageError
from tf_model.evaluation.calibration import accuracy_at_coverage
from tf_model.evaluation.comparison import compare_right
from tf_model.evaluation.joint_metrics import COVERAGE, answer_metrics
from tf_model.evaluation.metrics import evaluate_probabilities, mean_interval, summarize
from tf_model.io.files import whole_file
from tf_model.modeling.joint_label import confidence_and_right
from tf_model.training import cross_validation

REPORT, GROUPED = "report", "grouped"
PROTOCOLS = (GROUPED, REPORT)
PROBLEMS = (*tasks.TASKS, tasks.ANSWER)
COPIES = "report_less_grouped"  # what near-duplicates on both sides are worth to a method
CHOOSING_FOLDS, CHOOSING_SEED = 3, 7  # as `make choose-epochs` does it


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows to be classified, and who trains for whom.

    Attributes:
        name: ``"product"``, ``"emotion"``, or ``"answer"`` for both on the same rows.
        rows: Texts and labels; a row without a label of a task is answered, but not learned from.
        groups: Near-duplicates, int64 [N].
        folds: By protocol.
    """

    name: str
    rows: data.TrainingRows
    groups: np.ndarray
    folds: Mapping[str, Sequence[splits.Split]]

    def label_ids(self, task: tasks.Task) -> np.ndarray:
        """Class ids of a task, int64 [N], -1 where there is none."""
        return self.rows.label_ids.reshape(len(self.rows), -1)[:, self.rows.tasks.index(task)]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a method said of the rows that it was not fitted on.

    Attributes:
        predicted: Class ids, int64 [N], -1 for rows that never validate.
        probabilities: float32 [N, classes]; None where the method has none.
        seconds: Fitting and answering.
    """

    predicted: np.ndarray
    probabilities: np.ndarray | None
    seconds: float


def main(argv: list[str] | None = None) -> int:
    """Run the methods that were asked for, print their figures and record them."""
    known = methods()
    quick = [name for name, method in known.items() if not method.slow]
    parser = cli.parser("research.baselines", __doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="workbook or CSV file; found by itself if not given")
    parser.add_argument(
        "--methods", nargs="+", choices=list(known), default=quick, help="which methods; those left out take hours"
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="training seeds of the methods with randomness; else 3")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS), help="what is answered")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="on which rows")
    parser.add_argument("--choose", action="store_true", help="choose settings inside the report's training part")
    arguments = parser.parse_args(argv)
    source = data.resolve(arguments.data)
    data.announce(source)
    dataset = data.read(source.path)
    with cli.stopped_cleanly():
        return (_choose if arguments.choose else _evaluate)(arguments, dataset)


def _evaluate(arguments: Any, dataset: data.Dataset) -> int:
    known = methods()
    problems = {name: make_problem(dataset, name) for name in PROBLEMS}
    results = {
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "fold_seed": cross_validation.FOLD_SEED,
        "folds": cross_validation.FOLDS,
        "rows": {
            name: {protocol: sum(len(split.validation) for split in folds) for protocol, folds in problem.folds.items()}
            for name, problem in problems.items()
        },
        "groups": {name: int(problem.groups.max()) + 1 for name, problem in problems.items()},
    }
    found = kept_methods("baselines", results, {name: method.settings for name, method in known.items()})
    wanted = {name: problems[name] for name in arguments.problems}
    for name in arguments.methods:
        method = known[name]
        for figures in evaluate_method(
            method, wanted, arguments.protocols, arguments.seeds, dataset.sha256, found.get(name)
        ):
            found[name] = figures
            # The plainest first, whatever was run first.
            in_order = {name: found[name] for name in known if name in found}
            path = record("baselines", command(in_order, known), results | {"methods": in_order})
        _print(found[name])
    cli.say(f"written to {paths.shown(path)}")
    return 0


def command(recorded: Mapping[str, Any], known: Mapping[str, Method]) -> str:
    """What measures the methods as they are recorded: a command for those of the same problems, protocols and seeds."""
    by_scope: dict[str, list[str]] = {}
    for name, found in recorded.items():
        for scope in _scopes(found, known[name]):
            by_scope.setdefault(scope, []).append(name)
    quick = [name for name, method in known.items() if not method.slow]
    return " and ".join(
        "make baselines" if names == quick and not scope else f"python -m research.baselines --methods {shown}{scope}"
        for scope, names in by_scope.items()
        for shown in [" ".join(names)]
    )


def _scopes(found: Mapping[str, Any], method: Method) -> list[str]:
    """Options that ask for what is recorded of a method: its seeds, unless they are its own, problems and protocols."""
    asked = [name for name in PROBLEMS if not (method.slow and name == tasks.ANSWER)]
    by_seeds: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for name in asked:
        for protocol, figures in found.get(name, {}).items():
            by_seeds.setdefault(tuple(figures["seeds"]), {}).setdefault(name, []).append(protocol)
    scopes = []
    for seeds, by_problem in by_seeds.items():
        own = seeds == tuple(map(str, method.seeds))
        options = "" if own or len(method.seeds) == 1 else f" --seeds {' '.join(seeds)}"
        groups: dict[tuple[str, ...], list[str]] = {}
        for name, protocols in by_problem.items():
            groups.setdefault(tuple(sorted(protocols, key=PROTOCOLS.index)), []).append(name)
        for protocols, names in groups.items():
            of_problems = "" if names == asked else f" --problems {' '.join(names)}"
            of_protocols = "" if protocols == tuple(PROTOCOLS) else f" --protocols {' '.join(protocols)}"
            scopes.append(options + of_problems + of_protocols)
    return scopes


# ---------------------------------------------------------------- rows and folds


def make_problem(dataset: data.Dataset, name: str) -> Problem:
    """Rows, groups and folds exactly as ``python -m tf_model.evaluate --task NAME`` makes them.

    The whole answer takes its folds over all rows with an emotion or a product: each row is answered by models that
    saw neither the row nor a near-duplicate of it, be it for the emotion or for the product.
    """
    rows = data.training_rows(dataset, name)
    groups = splits.near_duplicate_groups(rows.texts)
    folds = splits.folds_of(rows, groups, cross_validation.FOLDS, cross_validation.FOLD_SEED)
    report = splits.report_split(rows.strata, labels=rows.strata_names)
    return Problem(name, rows, groups, {REPORT: (report,), GROUPED: folds})


# ---------------------------------------------------------------- fit and answer


def answers(method: Method, problem: Problem, task: tasks.Task, protocol: str, seed: int, data_sha256: str) -> Answers:
    """Out-of-fold answers, from the store or computed and kept there; of a slow method fold by fold."""
    path = store_path(method, problem, task, protocol, seed, data_sha256)
    if path.is_file():
        return _read(path)
    folds = problem.folds[protocol]
    if not method.slow:
        return _keep(path, fit_and_answer(method, problem, task, folds, seed))
    parts = []
    for number, split in enumerate(folds, start=1):
        part = path.with_suffix(f".fold-{number}.npz")
        if not part.is_file():
            cli.say(f"{method.name}, {task.name}, {protocol}, seed {seed}, fold {number} of {len(folds)}")
            _keep(part, fit_and_answer(method, problem, task, [split], seed))
        parts.append(part)
    joined = _keep(path, _join(list(map(_read, parts))))
    for part in parts:
        part.unlink()
    return joined


def _join(parts: Sequence[Answers]) -> Answers:
    """Answers to all rows, from those of each fold to its own."""
    predicted = np.max([part.predicted for part in parts], axis=0)  # -1 where a fold does not answer
    probabilities = None
    if parts[0].probabilities is not None:
        probabilities = np.sum([part.probabilities for part in parts], axis=0)
    return Answers(predicted, probabilities, sum(part.seconds for part in parts))


def _keep(path: Path, said: Answers) -> Answers:
    arrays = {"predicted": said.predicted, "seconds": np.array(said.seconds)}
    if said.probabilities is not None:
        arrays["probabilities"] = said.probabilities
    with whole_file(path, overwrite=True) as part, part.open("wb") as file:
        np.savez(file, **arrays)
    return _read(path)


def _read(path: Path) -> Answers:
    with np.load(path, allow_pickle=False) as kept:
        return Answers(kept["predicted"], kept.get("probabilities"), float(kept["seconds"]))


def store_path(method: Method, problem: Problem, task: tasks.Task, protocol: str, seed: int, data_sha256: str) -> Path:
    """Where the answers are kept: a name of its own for everything that they depend on."""
    folds = [[split.train.tolist(), split.validation.tolist()] for split in problem.folds[protocol]]
    rows = problem.rows.rows.tolist()
    parts = [data_sha256, rows, method.settings, folds, versions(), version("scikit-learn")]
    fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
    name = f"{method.name}-{task.name}-of-{problem.name}-{protocol}-seed-{seed}-{fingerprint}.npz"
    return paths.CHECKPOINTS / "baselines" / name


def fit_and_answer(
    method: Method, problem: Problem, task: tasks.Task, folds: Sequence[splits.Split], seed: int
) -> Answers:
    """Fit on each fold's training rows that have a label, and answer its validation rows."""
    texts, label_ids = problem.rows.texts, problem.label_ids(task)
    inputs = embeddings(texts) if method.inputs == EMBEDDINGS else np.array(texts, dtype=object)
    begin = time.perf_counter()
    predicted = np.full(len(texts), -1, np.int64)
    probabilities = np.zeros((len(texts), len(task.labels)), np.float32)
    for split in folds:
        train = split.train[label_ids[split.train] != tasks.NO_LABEL]
        model = method.make(task, seed).fit(inputs[train], label_ids[train])
        if method.has_probabilities:
            scores = model.predict_proba(inputs[split.validation])
            probabilities[np.ix_(split.validation, model.classes_)] = scores
            predicted[split.validation] = model.classes_[scores.argmax(axis=1)]
        else:
            predicted[split.validation] = model.predict(inputs[split.validation])
    seconds = time.perf_counter() - begin
    return Answers(predicted, probabilities if method.has_probabilities else None, seconds)


# ---------------------------------------------------------------- figures


def evaluate_method(
    method: Method,
    problems: Mapping[str, Problem],
    protocols: Sequence[str],
    seeds: Sequence[int] | None,
    data_sha256: str,
    recorded: Mapping[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """All figures of one method, ready for JSON: by problem and protocol, of each seed and their spread.

    Args:
        method: The method.
        problems: What it is to answer, by name.
        protocols: On which rows.
        seeds: In place of the method's own; one without randomness has no others.
        data_sha256: Of the dataset.
        recorded: Its figures of earlier runs, which stay.

    Yields:
        What is known of the method after each problem, protocol and seed; once a task has been answered under both
        protocols, also what :func:`worth_of_copies` says of it, under :data:`COPIES` by task and seed.
    """
    found: dict[str, Any] = {"title": method.title, "settings": method.settings, **(recorded or {})}
    wanted = [name for name in problems if not (method.slow and name == tasks.ANSWER)]
    for seed in seeds if seeds and len(method.seeds) > 1 else method.seeds:
        for name in wanted:
            problem = problems[name]
            for protocol in protocols:
                said = {
                    task.name: answers(method, problem, task, protocol, seed, data_sha256)
                    for task in problem.rows.tasks
                }
                known = found.get(name, {}).get(protocol, {}).get("seeds", {})
                figures = _figures(problem, said) | {"seconds": sum(each.seconds for each in said.values())}
                of_seeds = dict(sorted((known | {str(seed): figures}).items(), key=lambda item: int(item[0])))
                of_protocol = {
                    "seeds": of_seeds,
                    "summary": _summary(of_seeds),
                    "intervals": _intervals(problem, said, of_seeds),
                }
                by_protocol = found.get(name, {}) | {protocol: of_protocol}
                found = found | {name: by_protocol}
                found["seconds"] = _seconds(found)
                yield found
            by_protocol = found.get(name, {})
            both = all(str(seed) in by_protocol.get(protocol, {}).get("seeds", {}) for protocol in PROTOCOLS)
            if name != tasks.ANSWER and both:
                worth = worth_of_copies(method, problem, seed, data_sha256)
                of_task = found.get(COPIES, {}).get(name, {}) | {str(seed): worth}
                found = found | {COPIES: found.get(COPIES, {}) | {name: of_task}}
                yield found


def worth_of_copies(method: Method, problem: Problem, seed: int, data_sha256: str) -> dict[str, Any]:
    """What it is worth to a method that near-duplicates of the tweets it answers were among those it learned from.

    Both protocols train on four fifths of the same tweets; on the rows that the report's split validates on, each
    answers once with near-duplicates in training and once without.

    Args:
        method: The method.
        problem: Of a single task.
        seed: Of the training.
        data_sha256: Of the dataset.

    Returns:
        What ``compare_right`` says of the report's split (new) less the grouped folds (old),
        and ``accuracy`` on these rows by protocol.
    """
    (task,) = problem.rows.tasks
    said = {name: answers(method, problem, task, name, seed, data_sha256).predicted for name in PROTOCOLS}
    rows = problem.folds[REPORT][0].validation
    right = {name: predicted[rows] == problem.label_ids(task)[rows] for name, predicted in said.items()}
    accuracy = {name: float(each.mean()) for name, each in right.items()}
    return {"accuracy": accuracy, **compare_right(right[GROUPED], right[REPORT], problem.groups[rows])}


def _seconds(found: Mapping[str, Any]) -> float:
    """Of fitting and answering, over all problems, protocols and seeds; the oldest records do not have it of each."""
    by_protocol = [protocol for name in PROBLEMS for protocol in found.get(name, {}).values()]
    return sum(figures.get("seconds", 0.0) for protocol in by_protocol for figures in protocol["seeds"].values())


def _intervals(
    problem: Problem, said: Mapping[str, Answers], seeds: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[float]]:
    """95% intervals of each question's accuracy, of the mean over the seeds, with near-duplicates drawn together.

    A question of which a seed was recorded without saying which rows it answered right is left out.
    """
    found = {}
    for question, (rows, _) in right_by_question(problem, said).items():
        packed = [figures.get("right", {}).get(question) for figures in seeds.values()]
        if all(packed):
            right = np.mean([unpack(each, len(rows)) for each in packed], axis=0)
            found[question] = list(mean_interval(right, problem.groups[rows]))
    return found


def right_by_question(problem: Problem, said: Mapping[str, Answers]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Positions of the rows that each question can be judged on, and whether they are answered right.

    The whole answer is a question where both tasks were answered on all rows.
    """
    found = {}
    for task in problem.rows.tasks:
        if task.name not in said:
            continue
        label_ids, predicted = problem.label_ids(task), said[task.name].predicted
        rows = np.flatnonzero((label_ids != tasks.NO_LABEL) & (predicted >= 0))
        found[task.name] = rows, predicted[rows] == label_ids[rows]
    if problem.name == tasks.ANSWER and len(said) == len(problem.rows.tasks) and _answered_alike(said):
        found[tasks.ANSWER] = right_answers(problem, said)
    return found


def asked_rows(problem: Problem) -> dict[str, np.ndarray]:
    """Positions of the rows that each question can be judged on once all are answered, int64 [rows], by question.

    Those with a label of the task; of the whole answer, those with an emotion.
    """
    found = {task.name: np.flatnonzero(problem.label_ids(task) != tasks.NO_LABEL) for task in problem.rows.tasks}
    return found | ({tasks.ANSWER: found[tasks.EMOTION.name]} if problem.name == tasks.ANSWER else {})


def _answered_alike(said: Mapping[str, Answers]) -> bool:
    """Whether each task was answered on the same rows."""
    first, *others = ((each.predicted >= 0) for each in said.values())
    return all(np.array_equal(first, each) for each in others)


def _figures(problem: Problem, said: Mapping[str, Answers]) -> dict[str, Any]:
    """Metrics of a single task; of both tasks and the joined answer: ``product``, ``emotion`` and ``answer``.

    And ``right``: by question, which of its rows are answered right, as :func:`research.runs.pack` writes it.
    """
    right = {question: pack(each) for question, (_, each) in right_by_question(problem, said).items()}
    return {**_metrics(problem, said), "right": right}


def _metrics(problem: Problem, said: Mapping[str, Answers]) -> dict[str, Any]:
    scores = {task.name: score(task, problem.label_ids(task), said[task.name]) for task in problem.rows.tasks}
    if problem.name != tasks.ANSWER:
        return scores[problem.name]
    rows, right = right_answers(problem, said)
    emotions = problem.label_ids(tasks.EMOTION)[rows]
    joined = answer_metrics(emotions, np.ones(len(rows)), right, threshold=0.0)
    shares = ("rows", "accuracy", "accuracy_interval", "emotion_rows", "emotion_rows_accuracy")
    return {**scores, tasks.ANSWER: {name: joined[name] for name in shares}}


def right_answers(problem: Problem, said: Mapping[str, Answers]) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows with an emotion that were answered, and whether the whole answer is exactly right."""
    ids = {task.name: problem.label_ids(task) for task in tasks.ANSWER_TASKS}
    answered = said[tasks.EMOTION.name].predicted >= 0
    rows = np.flatnonzero(answered & (ids[tasks.EMOTION.name] != tasks.NO_LABEL))
    chosen = [np.eye(len(task.labels))[said[task.name].predicted[rows]] for task in tasks.ANSWER_TASKS]
    _, right = confidence_and_right(*(ids[task.name][rows] for task in tasks.ANSWER_TASKS), *chosen)
    return rows, right


def score(task: tasks.Task, label_ids: np.ndarray, said: Answers) -> dict[str, Any]:
    """Figures of one task over the rows that were answered and have a label.

    As ``evaluate_probabilities``, without the loss where the method gives no probabilities, and
    with ``accuracy_at_80_percent``, that of the most confident 80%, where it does.
    """
    rows = np.flatnonzero((said.predicted >= 0) & (label_ids != tasks.NO_LABEL))
    label_ids, predicted = label_ids[rows], said.predicted[rows]
    # The class that a method answers counts as the most probable one where it gives no probabilities.
    scores = np.eye(len(task.labels))[predicted] if said.probabilities is None else said.probabilities[rows]
    metrics = evaluate_probabilities(label_ids, scores, task.labels)
    del metrics["confusion_matrix"]
    if said.probabilities is None:
        del metrics["loss"]
    else:
        right = predicted == label_ids
        metrics["accuracy_at_80_percent"] = accuracy_at_coverage(scores.max(axis=1), right, COVERAGE)
    return metrics


def _summary(seeds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The spread over seeds of every share, at whatever depth."""
    first = next(iter(seeds.values()))
    found: dict[str, Any] = {}
    for name, value in first.items():
        if isinstance(value, float) and name != "seconds":
            found[name] = summarize(figures[name] for figures in seeds.values())
        elif name in (*tasks.TASKS, tasks.ANSWER):
            found[name] = _summary({seed: figures[name] for seed, figures in seeds.items()})
    return found


def _print(found: Mapping[str, Any]) -> None:
    stdout = cli.stdout()
    stdout.print(f"{found['title']} ({found['settings'] or 'nothing to set'})", highlight=False, markup=False)
    for protocol in PROTOCOLS:
        shown = []
        for name in PROBLEMS:
            if protocol not in found.get(name, {}):
                continue
            summary = found[name][protocol]["summary"]
            if name == tasks.ANSWER:
                summary = summary[tasks.ANSWER]
                shown.append(
                    f"answer {summary['accuracy']['mean']:.4f}, with emotion "
                    f"{summary['emotion_rows_accuracy']['mean']:.4f}"
                )
            else:
                shown.append(f"{name} {summary['accuracy']['mean']:.4f}, macro-F1 {summary['macro_f1']['mean']:.4f}")
        if shown:
            stdout.print(f"  {protocol}: {'; '.join(shown)}", highlight=False, soft_wrap=True)


# ---------------------------------------------------------------- choose


def _choose(arguments: Any, dataset: data.Dataset) -> int:
    """Cross-validate each setting inside the training part of the report's split, and record what is best."""
    problems = [_choosing_problem(dataset, task) for task in (tasks.PRODUCT, tasks.EMOTION)]
    protocol = "3 grouped folds inside the training part of the report's split, fold seed 7; the best of each task"
    results = {
        "protocol": protocol,
        "rows": {problem.name: len(problem.rows) for problem in problems},
        "data_sha256": dataset.sha256,
    }
    run = load("choose_baselines")
    fits = run is not None and all(run.get(name) == value for name, value in results.items())
    found: dict[str, Any] = dict(run["methods"]) if fits else {}
    path = None
    for name in [name for name in arguments.methods if name in CHOICES]:
        tried: dict[str, Any] = {}
        for value in CHOICES[name]:
            method = with_choice(name, dict.fromkeys(tasks.TASKS, value))
            tried[f"{value:g}"] = {}
            for problem in problems:
                (task,) = problem.rows.tasks
                said = answers(method, problem, task, GROUPED, 0, dataset.sha256)
                tried[f"{value:g}"][task.name] = score(task, problem.label_ids(task), said)["accuracy"]
            cli.say(f"{name}, {value:g}: {tried[f'{value:g}']}")
        best = {task: float(max(tried, key=lambda value, task=task: tried[value][task])) for task in tasks.TASKS}
        found[name] = {"title": method.title, "tried": tried, "best": best}
        in_order = {name: found[name] for name in CHOICES if name in found}
        command = f"python -m research.baselines --choose --methods {' '.join(in_order)}"
        path = record("choose_baselines", command, results | {"methods": in_order})
    if path is None:
        raise UsageError(f"--choose needs a method with a setting to choose; these have one: {', '.join(CHOICES)}")
    cli.say(f"written to {paths.shown(path)}")
    return 0


def _choosing_problem(dataset: data.Dataset, task: tasks.Task) -> Problem:
    rows = data.training_rows(dataset, task.name)
    rows = rows.take(np.sort(splits.report_split(rows.strata, labels=rows.strata_names).train))
    groups = splits.near_duplicate_groups(rows.texts)
    folds = splits.folds_of(rows, groups, CHOOSING_FOLDS, CHOOSING_SEED)
    return Problem(task.name, rows, groups, {GROUPED: folds})


if __name__ == "__main__":
    cli.run(main)
