"""``python -m research.label_quality``: how far the labels can be trusted, and what that costs.

Three views: what people said of a text that occurs twice, which labels a model that never saw them doubts, and whether
training gets better when the most doubtful labels are left out. What is fitted is kept in saved_models/.checkpoints,
and the run is recorded method by method.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from research.baselines import GROUPED, Answers, Problem, answers, asked_rows, make_problem, score
from research.compare import AVERAGED, load_out_of_fold
from research.methods.baseline_models import recorded_answers
from research.methods.baseline_models.baseline_models import OURS, Method, methods
from research.runs import load, record
from tf_model import cli, data, paths, tasks
from tf_model.data import label_errors, splits
from tf_model.evaluation.comparison import compare_right
from tf_model.evaluation.metrics import summarize
from tf_model.training import cross_validation

SAME_TEXT = 0.95  # least cosine of texts most of which differ in a link or a mention only
SHARES = (0.02, 0.05, 0.10)
DRAWS = 3
RESAMPLES = 2000
WORDS = "words_logistic"
CHEAP = (WORDS, "frozen_minilm")


def main(argv: list[str] | None = None) -> int:
    """Measure, print and record."""
    parser = cli.parser("research.label_quality", __doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="workbook or CSV file; found by itself if not given")
    parser.add_argument("--tasks", nargs="+", choices=list(tasks.TASKS), default=list(tasks.TASKS), help="which labels")
    parser.add_argument(
        "--methods",
        nargs="*",
        choices=list(methods()),
        default=list(CHEAP),
        help=f"what is trained without the doubtful labels, or nothing; {OURS}, our own model, takes hours on a CPU",
    )
    parser.add_argument(
        "--store", type=Path, help="folder of our answer model's folds, which evaluate printed: its doubts are compared"
    )
    arguments = parser.parse_args(argv)
    source = data.resolve(arguments.data)
    data.announce(source)
    dataset = data.read(source.path)
    run = load("label_quality")
    known = run if run and run["data_sha256"] == dataset.sha256 else {}
    found: dict[str, Any] = dict(known.get("tasks", {}))
    answers_agree = known.get("answers_agree", {})
    ours = our_probabilities(dataset, arguments.store) if arguments.store else {}
    problems = {name: make_problem(dataset, name) for name in arguments.tasks}
    # What is quick comes first, so that a run that is stopped has it of every task.
    with cli.stopped_cleanly():
        for name, problem in problems.items():
            before = found.get(name, {})
            found[name] = {
                "rows": len(problem.rows),
                "agreement": agreements(problem, dataset),
                "doubts": before.get("doubts", dict.fromkeys(("words", "ours", "both"))),
                "without_doubtful": _still_true(before.get("without_doubtful", {})),
            }
            _record(dataset, found, answers_agree)
        answers_agree = agreements(make_problem(dataset, tasks.ANSWER), dataset)
        path = _record(dataset, found, answers_agree)
        for name, problem in problems.items():
            # Counted together: those of an earlier run stay until ours is at hand again.
            if name in ours or not found[name]["doubts"]["ours"]:
                counted = doubts(problem, out_of_fold(problem, dataset.sha256), ours.get(name))
                found[name]["doubts"] = counted | {"settings": methods()[WORDS].settings}
                _record(dataset, found, answers_agree)
        for name, problem in problems.items():
            orders = [most_doubtful_first(problem, split, dataset.sha256) for split in problem.folds[GROUPED]]
            for method in (methods()[each] for each in arguments.methods):
                kept = {"title": method.title, "settings": method.settings}
                kept |= without_doubtful(method, problem, orders, dataset.sha256)
                measured = found[name]["without_doubtful"] | {method.name: kept}
                found[name]["without_doubtful"] = _still_true(measured)
                path = _record(dataset, found, answers_agree)
            _print(name, found[name])
    cli.say(f"written to {paths.shown(path)}")
    return 0


def _still_true(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded figures of methods that are still what they were, in the order of ``methods``."""
    return {
        name: recorded[name]
        for name, method in methods().items()
        if name in recorded and recorded[name]["settings"] == method.settings
    }


def _record(dataset: data.Dataset, found: Mapping[str, Any], answers_agree: Mapping[str, Any]) -> Path:
    results = {"protocol": f"grouped {cross_validation.FOLDS}-fold", "data_sha256": dataset.sha256, "tasks": found}
    results["answers_agree"] = answers_agree  # agreements of both labels together
    measured = {method for of_task in found.values() for method in of_task["without_doubtful"]}
    chosen = " ".join(name for name in methods() if name in measured)
    is_default = measured <= set(CHEAP)
    command = "make label-quality" if is_default else f"python -m research.label_quality --methods {chosen}"
    return record("label_quality", command, results)


# ---------------------------------------------------------------- what people said


def groups_at(problem: Problem, threshold: float) -> np.ndarray:
    """Near-duplicates at a threshold, int64 [N]; those at the threshold of the folds are known already."""
    if threshold == splits.THRESHOLD:
        return problem.groups
    return splits.near_duplicate_groups(problem.rows.texts, threshold)


def agreements(problem: Problem, dataset: data.Dataset) -> dict[str, Any]:
    """:func:`agreement` of texts that are the same but for a link, and of near-duplicates.

    Of a single task's labels, or of whole answers: then a text without an emotion has one label, "none", whatever it
    names, and one whose target is unknown has none.
    """
    rows, label_ids = judged_labels(problem)
    ours = our_rights(problem, dataset)
    return {
        f"{threshold:g}": agreement(
            groups_at(problem, threshold)[rows], label_ids, None if ours is None else ours[rows]
        )
        for threshold in (SAME_TEXT, splits.THRESHOLD)
    }


def judged_labels(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows with a label of a task, or with a whole answer, and these labels; both int64."""
    if problem.name != tasks.ANSWER:
        label_ids = problem.label_ids(problem.rows.tasks[0])
        rows = np.flatnonzero(label_ids != tasks.NO_LABEL)
        return rows, label_ids[rows]
    product, emotion = problem.label_ids(tasks.PRODUCT), problem.label_ids(tasks.EMOTION)
    none = emotion == tasks.EMOTIONS.index(tasks.NO_EMOTION)
    rows = np.flatnonzero(none | ((emotion != tasks.NO_LABEL) & (product != tasks.NO_LABEL)))
    return rows, np.where(none, 0, 1 + emotion * len(tasks.PRODUCTS) + product)[rows]


def our_rights(problem: Problem, dataset: data.Dataset) -> np.ndarray | None:
    """How many of our answer model's seeds are right on each row, 0 to 1, float [N], out of fold.

    From the recorded run of ``make levers``, which keeps the answers of the recipe as it is; None without one. Rows
    that the question is not asked of are NaN.
    """
    seeds = recorded_answers.of_ours(problem, dataset)
    if seeds is None:
        return None
    found = np.full(len(problem.rows), np.nan)
    found[asked_rows(problem)[problem.name]] = np.mean([right[problem.name] for right in seeds.values()], axis=0)
    return found


def agreement(groups: np.ndarray, label_ids: np.ndarray, ours: np.ndarray | None = None) -> dict[str, Any]:
    """How often two labels of the same text agree, and what accuracy that leaves room for.

    Let a text get each label with some probability, and p be the greatest of these probabilities: no answer to that
    text is right more often than p, so the mean of p is the best accuracy that can be had on such texts. Two labels
    agree with a probability A, the sum of the squares, and A <= p <= sqrt(A). The mean of A is estimated without bias
    by the share of pairs that agree, so the ceiling lies between that share and its root (the mean of a root is at
    most the root of the mean).

    It holds for texts that occur more than once, which are mostly retweets of news, and takes their labels as given
    independently.

    Args:
        groups: Group of each row, int64 [N].
        label_ids: int64 [N].
        ours: How many of our answer model's seeds are right on each row, 0 to 1, float [N].

    Returns:
        ``groups`` and ``rows`` of texts that occur more than once, ``disagreeing_groups``, ``pairwise`` (each group
        weighs as many as its rows, 0 to 1) with its ``interval`` (95%, groups resampled), and the ``ceiling``: from the
        low end of that interval to the root of its high one; with ``ours`` also ``our_accuracy`` on these rows and its
        ``our_interval``, likewise.
    """
    members = [label_ids[groups == number] for number in np.flatnonzero(np.bincount(groups) > 1)]
    if not members:
        return {"groups": 0, "rows": 0}
    sizes = np.array([len(ids) for ids in members], dtype=float)
    agreeing = np.array([_share_of_agreeing_pairs(ids) for ids in members])
    low, high = _resampled(agreeing, sizes)
    found = {
        "groups": len(members),
        "rows": int(sizes.sum()),
        "disagreeing_groups": int((agreeing < 1).sum()),
        "pairwise": float(np.average(agreeing, weights=sizes)),
        "interval": [low, high],
        "ceiling": [low, float(np.sqrt(high))],
    }
    if ours is not None:
        right = np.array([ours[groups == number].mean() for number in np.flatnonzero(np.bincount(groups) > 1)])
        found |= {"our_accuracy": float(np.average(right, weights=sizes)), "our_interval": _resampled(right, sizes)}
    return found


def _resampled(shares: np.ndarray, sizes: np.ndarray) -> list[float]:
    """95% interval of the mean share, by drawing groups with all of their rows."""
    generator = np.random.default_rng(0)
    drawn = (generator.integers(len(sizes), size=len(sizes)) for _ in range(RESAMPLES))
    return np.quantile([np.average(shares[some], weights=sizes[some]) for some in drawn], [0.025, 0.975]).tolist()


def _share_of_agreeing_pairs(label_ids: np.ndarray) -> float:
    counts, size = np.bincount(label_ids), len(label_ids)
    return float((counts * (counts - 1)).sum() / (size * (size - 1)))


# ---------------------------------------------------------------- what models doubt


def out_of_fold(problem: Problem, data_sha256: str) -> np.ndarray:
    """The words model's probabilities of rows that it was not fitted on, float32 [N, classes]."""
    (task,) = problem.rows.tasks
    return answers(methods()[WORDS], problem, task, GROUPED, 0, data_sha256).probabilities


def our_probabilities(dataset: data.Dataset, store: Path) -> dict[str, np.ndarray]:
    """Our answer model's out-of-fold probabilities for the rows of each task, float32 [N, classes], seeds averaged."""
    problem = make_problem(dataset, tasks.ANSWER)
    kept = load_out_of_fold(store, problem)
    probabilities = kept.get(AVERAGED, next(iter(kept.values())))
    ends = np.cumsum([len(task.labels) for task in tasks.ANSWER_TASKS])[:-1]
    parts = zip(tasks.ANSWER_TASKS, np.split(probabilities, ends, axis=1), strict=True)
    return {task.name: part[problem.label_ids(task) != tasks.NO_LABEL] for task, part in parts}


def doubts(problem: Problem, words: np.ndarray, ours: np.ndarray | None = None) -> dict[str, Any]:
    """Labels that confident learning takes for wrong, by the words model and, where it is given, by ours.

    Returns:
        For ``words`` and ``ours`` (None where not given) ``rows``, ``share`` (0 to 1) and ``by_class``; ``both``, the
        number of rows that both doubt.
    """
    (task,) = problem.rows.tasks
    label_ids = problem.label_ids(task)
    found: dict[str, Any] = {"words": None, "ours": None, "both": None}
    positions = {}
    for name, probabilities in (("words", words), ("ours", ours)):
        if probabilities is None:
            continue
        positions[name] = label_errors.find_label_errors(label_ids, probabilities)
        counts = Counter(label_ids[positions[name]].tolist())
        found[name] = {
            "rows": len(positions[name]),
            "share": len(positions[name]) / len(label_ids),
            "by_class": {label: counts.get(number, 0) for number, label in enumerate(task.labels)},
        }
    if len(positions) == 2:
        found["both"] = len(np.intersect1d(positions["words"], positions["ours"]))
    return found


# ---------------------------------------------------------------- what leaving them out does


def without_doubtful(
    method: Method,
    problem: Problem,
    orders: Sequence[np.ndarray],
    data_sha256: str,
    shares: Sequence[float] = SHARES,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """A method, trained without the most doubtful labels, and without as many of each class at random.

    Doubts fall on rare classes most: without as many of the same classes, the difference would be that of the balance.
    The validation part keeps all of its labels, wrong ones included.

    Args:
        method: What is trained, with its first seed.
        problem: The rows, of one task.
        orders: Of each fold's training part, see :func:`most_doubtful_first`.
        data_sha256: Of the dataset.
        shares: How much is left out, 0 to 1.
        draws: How often as many are left out at random.

    Returns:
        ``all`` (nothing left out) and by share ("0.02"): ``doubtful``, metrics; ``random``, their spread over draws;
        ``difference``, what leaving out doubtful ones gains over random ones on the same tweets, and its ``interval``
        (95%), for which groups of near-duplicates are drawn with the answers of all draws.
    """
    (task,) = problem.rows.tasks
    folds, seed, label_ids = problem.folds[GROUPED], method.seeds[0], problem.label_ids(task)

    def trained_on(kept: Sequence[np.ndarray], name: str) -> Answers:
        parts = [splits.Split(rows, split.validation) for rows, split in zip(kept, folds, strict=True)]
        return answers(method, replace(problem, folds={name: parts}), task, name, seed, data_sha256)

    found: dict[str, Any] = {"all": _shares(task, problem, trained_on([split.train for split in folds], GROUPED))}
    for share in shares:
        left_out = [order[: round(share * len(order))] for order in orders]
        doubtful = [np.setdiff1d(order, some) for order, some in zip(orders, left_out, strict=True)]
        random = [
            trained_on(
                [
                    np.setdiff1d(order, as_many_of_each_class(order, some, label_ids, [number, fold]))
                    for fold, (order, some) in enumerate(zip(orders, left_out, strict=True))
                ],
                f"without-{share:g}-random",
            )
            for number in range(draws)
        ]
        said = trained_on(doubtful, f"without-{share:g}-doubtful")
        of_random = [_shares(task, problem, each) for each in random]
        test = compare_right(
            np.concatenate([each.predicted == label_ids for each in random]),
            np.tile(said.predicted == label_ids, draws),
            np.tile(problem.groups, draws),
        )
        found[f"{share:g}"] = {
            "doubtful": _shares(task, problem, said),
            "random": {name: summarize(each[name] for each in of_random) for name in of_random[0]},
            "difference": test["difference"],
            "interval": test["difference_interval"],
        }
    return found


def as_many_of_each_class(
    positions: np.ndarray, some: np.ndarray, label_ids: np.ndarray, seed: Sequence[int]
) -> np.ndarray:
    """Of ``positions`` as many of each class, drawn at random, as there are among ``some`` of them; int64 [some]."""
    generator = np.random.default_rng(seed)
    drawn = [
        generator.choice(positions[label_ids[positions] == number], count, replace=False)
        for number, count in zip(*np.unique(label_ids[some], return_counts=True), strict=True)
    ]
    return np.concatenate(drawn) if drawn else np.array([], dtype=np.int64)


def most_doubtful_first(problem: Problem, split: splits.Split, data_sha256: str) -> np.ndarray:
    """Positions of a training part, by the probability that the words model, fitted on its other folds, gives them.

    The labels of the validation part have no say in it.
    """
    (task,) = problem.rows.tasks
    rows, groups = problem.rows.take(split.train), problem.groups[split.train]
    inner = splits.folds_of(rows, groups, cross_validation.FOLDS, cross_validation.FOLD_SEED)
    part = Problem(problem.name, rows, groups, {"inner": inner})
    said = answers(methods()[WORDS], part, task, "inner", 0, data_sha256)
    confidence = label_errors.label_confidence(part.label_ids(task), said.probabilities)
    return split.train[np.argsort(confidence, kind="stable")]


def _shares(task: tasks.Task, problem: Problem, said: Answers) -> dict[str, float]:
    metrics = score(task, problem.label_ids(task), said)
    return {name: metrics[name] for name in ("accuracy", "macro_f1")}


def _print(name: str, found: Mapping[str, Any]) -> None:
    lines = []
    for threshold, values in found["agreement"].items():
        if values["groups"]:
            low, high = values["ceiling"]
            lines.append(
                f"{values['rows']:,} rows repeat a text (cosine {threshold}); {values['pairwise']:.1%} of pairs of "
                f"labels agree, so the ceiling is {low:.3f} to {high:.3f}"
            )
    words = found["doubts"]["words"]
    lines.append(f"{words['rows']:,} labels doubted by the words model ({words['share']:.1%})")
    for kept in found["without_doubtful"].values():
        lines.append(f"{kept['title']}: accuracy trained on all labels {kept['all']['accuracy']:.4f}")
        for share in (key for key in kept if key.startswith("0.")):
            random, accuracy = kept[share]["random"]["accuracy"]["mean"], kept[share]["doubtful"]["accuracy"]
            low, high = kept[share]["interval"]
            lines.append(
                f"  without the most doubtful {float(share):.0%}: {accuracy:.4f} (at random: {random:.4f}; "
                f"{kept[share]['difference']:+.4f}, {low:+.4f} to {high:+.4f})"
            )
    for line in lines:
        cli.stdout().print(f"{name}: {line}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    cli.run(main)
