"""``python -m research.label_quality``: how reliable the labels are, and what label errors cost.

It measures how often two labels of the same text agree, and whether training improves without the labels that a model
that never saw them doubts most. The run is recorded after each method.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from research import study
from research.compare import recorded_ours
from research.methods.baseline_models import Method, methods
from research.runs import record, show, still_valid
from research.study import GROUPED, OutOfFold, Problem, make_problem
from tf_model import cli, data, tasks
from tf_model.data import splits
from tf_model.evaluation.metrics import mean_interval, summarize
from tf_model.training.cross_validation import FOLD_SEED, FOLDS

SAME_TEXT = 0.95  # least cosine; most such texts differ only in a link or a mention
SHARES = (0.02, 0.05, 0.10)
DRAWS = 3
TFIDF = "words_logistic"
QUICK = (TFIDF, "frozen_minilm")


def main(argv: list[str] | None = None) -> int:
    """Measure, print and record."""
    methods_by_name = methods()
    parser = study.parser("label_quality", __doc__.splitlines()[0], methods_by_name, QUICK)
    parser.add_argument("--tasks", nargs="+", choices=list(tasks.TASKS), default=list(tasks.TASKS), help="which labels")
    arguments = parser.parse_args(argv)
    command = study.command_line("label_quality", argv)
    dataset = data.load(arguments.data)
    run = study.load_to_extend("label_quality", {"protocol": f"grouped {FOLDS}-fold", "data_sha256": dataset.sha256})
    entries = run.setdefault("tasks", {})
    with cli.stopped_cleanly():
        run["answers_agree"] = agreements(make_problem(dataset, tasks.ANSWER))
        for name in arguments.tasks:
            problem, entry = make_problem(dataset, name), entries.setdefault(name, {})
            entry |= {"rows": len(problem.rows), "agreement": agreements(problem)}
            orders = [most_doubtful_first(problem, split) for split in problem.folds[GROUPED]]
            method_entries = entry.get("without_doubtful", {})
            for method in (methods_by_name[each] for each in arguments.methods):
                results = without_doubtful(method, problem, orders)
                method_entries[method.name] = {"title": method.title, "settings": method.settings, **results}
                entry["without_doubtful"] = still_valid(method_entries, methods_by_name)
                record("label_quality", command, run)
            _print(name, entry)
    return 0


# ---------------------------------------------------------------- agreement of labels


def agreements(problem: Problem) -> dict[str, Any]:
    """:func:`agreement` of texts that are the same except for a link, and of near-duplicates."""
    rows, label_ids = rows_with_labels(problem)
    shares, same_texts = our_accuracy(problem), splits.near_duplicate_groups(problem.rows.texts, SAME_TEXT)
    ours = None if shares is None else shares[rows]
    return {
        f"{threshold:g}": agreement(groups[rows], label_ids, ours)
        for threshold, groups in {SAME_TEXT: same_texts, splits.THRESHOLD: problem.groups}.items()
    }


def rows_with_labels(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows that have a label of the task or a joint label, and these labels; both int64.

    A text without an emotion has one joint label, whatever product it names; an emotion without a product has none.
    """
    if problem.name != tasks.ANSWER:  # every row of a single task has a label
        return np.arange(len(problem.rows)), problem.label_ids(problem.rows.tasks[0])
    product, emotion = problem.label_ids(tasks.PRODUCT), problem.label_ids(tasks.EMOTION)
    is_neutral = emotion == tasks.EMOTION.neutral
    rows = np.flatnonzero(is_neutral | ((emotion != tasks.NO_LABEL) & (product != tasks.NO_LABEL)))
    return rows, np.where(is_neutral, 0, 1 + emotion * len(tasks.PRODUCTS) + product)[rows]


def our_accuracy(problem: Problem) -> np.ndarray | None:
    """Share of our answer model's recorded seeds that are correct on each row, float [N]; None without a record.

    NaN in rows on which the question cannot be judged.
    """
    seeds = recorded_ours(problem)
    if not seeds:
        return None
    shares = np.full(len(problem.rows), np.nan)
    shares[study.question_rows(problem)[problem.name]] = np.mean(
        [by_question[problem.name][1] for by_question in seeds.values()], axis=0
    )
    return shares


def agreement(groups: np.ndarray, label_ids: np.ndarray, ours: np.ndarray | None = None) -> dict[str, Any]:
    """How often two labels of the same text agree, and how accurate a model can be at best.

    Suppose a text gets each label with some probability, and p is the greatest of them. No answer to that text is
    correct more often than p, so the mean of p is the best possible accuracy on such texts. Two labels agree with
    probability A, the sum of the squared probabilities, and A <= p <= sqrt(A). The share of pairs that agree estimates
    the mean of A without bias, so the ceiling lies between that share and its root (the mean of a root is at most the
    root of the mean).

    This holds for texts that occur more than once, mostly retweets of news, and assumes that their labels were given
    independently. ``groups`` and ``label_ids`` are int64 [N], ``ours`` is :func:`our_accuracy` of these rows.
    ``pairwise`` weights each group by its number of rows; the 95% intervals resample groups.
    """
    members = [np.flatnonzero(groups == number) for number in np.flatnonzero(np.bincount(groups) > 1)]
    if len(members) < 2:  # an interval needs two
        return {"groups": len(members), "rows": sum(map(len, members))}
    rows = np.concatenate(members)
    agreeing_shares = [_share_of_agreeing_pairs(label_ids[each]) for each in members]
    by_row = np.repeat(agreeing_shares, [len(each) for each in members])
    low, high = mean_interval(by_row, groups[rows])
    metrics = {
        "groups": len(members),
        "rows": len(rows),
        "disagreeing_groups": sum(share < 1 for share in agreeing_shares),
        "pairwise": float(by_row.mean()),
        "interval": [low, high],
        "ceiling": [low, float(np.sqrt(high))],
    }
    if ours is not None:
        metrics["our_accuracy"] = float(ours[rows].mean())
        metrics["our_interval"] = list(mean_interval(ours[rows], groups[rows]))
    return metrics


def _share_of_agreeing_pairs(label_ids: np.ndarray) -> float:
    counts, size = np.bincount(label_ids), len(label_ids)
    return float((counts * (counts - 1)).sum() / (size * (size - 1)))


# ---------------------------------------------------------------- training without doubtful labels


def without_doubtful(method: Method, problem: Problem, orders: Sequence[np.ndarray]) -> dict[str, Any]:
    """Train without the most doubtful labels; compare with :data:`DRAWS` trainings without as many random ones.

    The random labels are of the same classes: most doubts fall on rare classes, and the changed class balance alone
    would make a difference. The validation part keeps all labels, wrong ones included. ``orders`` has
    :func:`most_doubtful_first` of each fold's training part.
    """
    (task,) = problem.rows.tasks
    folds, label_ids = problem.folds[GROUPED], problem.label_ids(task)

    def train_without(left_out: Sequence[np.ndarray], name: str) -> OutOfFold:
        parts = [
            splits.Split(np.setdiff1d(split.train, positions), split.validation)
            for split, positions in zip(folds, left_out, strict=True)
        ]
        reduced = replace(problem, folds={name: parts})
        return study.score_method(method, reduced, task, name, method.seeds[0])

    def metrics(result: OutOfFold) -> dict[str, float]:
        all_metrics = study.evaluate(task, label_ids, result, method.has_probabilities)
        return {name: all_metrics[name] for name in ("accuracy", "macro_f1")}

    unchanged = study.score_method(method, problem, task, GROUPED, method.seeds[0])
    results: dict[str, Any] = {"all": metrics(unchanged)}
    for share in SHARES:
        left_out = [order[: round(share * len(order))] for order in orders]
        doubtful = train_without(left_out, f"without-{share:g}-doubtful")
        random = []
        for number in range(DRAWS):
            random_left_out = [
                as_many_of_each_class(order, positions, label_ids, [number, fold])
                for fold, (order, positions) in enumerate(zip(orders, left_out, strict=True))
            ]
            random.append(train_without(random_left_out, f"without-{share:g}-random"))
        random_metrics = [metrics(each) for each in random]
        random_correct = {number: each.predicted == label_ids for number, each in enumerate(random)}
        paired = study.paired_difference(
            random_correct, dict.fromkeys(random_correct, doubtful.predicted == label_ids), problem.groups
        )
        results[f"{share:g}"] = {
            "doubtful": metrics(doubtful),
            "random": {name: summarize(each[name] for each in random_metrics) for name in random_metrics[0]},
            "difference": paired["difference"],
            "interval": paired["interval"],
        }
    return results


def as_many_of_each_class(
    positions: np.ndarray, sample: np.ndarray, label_ids: np.ndarray, seed: Sequence[int]
) -> np.ndarray:
    """A random choice from ``positions`` with as many rows of each class as ``sample`` has; int64 [sample]."""
    generator = np.random.default_rng(seed)
    choices = [
        generator.choice(positions[label_ids[positions] == number], count, replace=False)
        for number, count in zip(*np.unique(label_ids[sample], return_counts=True), strict=True)
    ]
    return np.concatenate(choices)


def most_doubtful_first(problem: Problem, split: splits.Split) -> np.ndarray:
    """Positions of a training part, least confident label first, by the TF-IDF baseline fitted on its other folds."""
    (task,) = problem.rows.tasks
    rows, groups = problem.rows.take(split.train), problem.groups[split.train]
    inner = splits.folds_of(rows, groups, FOLDS, FOLD_SEED)
    part = replace(problem, rows=rows, groups=groups, folds={"inner": inner})
    result = study.score_method(methods()[TFIDF], part, task, "inner", 0)
    confidence = result.scores[np.arange(len(rows)), part.label_ids(task)]
    return split.train[np.argsort(confidence, kind="stable")]


def _print(name: str, entry: Mapping[str, Any]) -> None:
    for threshold, values in entry["agreement"].items():
        if "pairwise" in values:
            low, high = values["ceiling"]
            shown = f"{values['pairwise']:.1%} of pairs of labels agree, so the ceiling is {low:.3f} to {high:.3f}"
            print(f"{name}: {values['rows']:,} rows repeat a text (cosine {threshold}); {shown}")
    for method in entry["without_doubtful"].values():
        for share in (key for key in method if key.startswith("0.")):
            title = f"{name}: {method['title']}, without the most doubtful {float(share):.0%}, beside as many at random"
            show(title, {"accuracy difference": method[share]["difference"], "interval": method[share]["interval"]})


if __name__ == "__main__":
    cli.run(main)
