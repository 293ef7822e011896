"""``python -m research.label_queue``: whether tweets chosen by the label queue teach more than tweets drawn at random.

In each grouped fold a cheap model is trained on 400 tweets of the training part and predicts the rest of it. Some of
the rest are then labelled, chosen by the queue or at random. Macro-F1 is over all validation parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from research import study
from research.methods.baseline_models import methods
from research.runs import record
from tf_model import cli, data, tasks
from tf_model.analysis.label_queue import label_queue
from tf_model.evaluation.metrics import evaluate_probabilities, summarize
from tf_model.model_dir import probability_column
from tf_model.training.cross_validation import FOLD_SEED

METHOD = "frozen_minilm"
INITIAL_LABELS, ADDED_LABELS, MORE_LABELS = 400, 400, 600  # at first, added, in a larger addition
TASK = tasks.EMOTION
COLUMNS = [probability_column(TASK.name, label) for label in TASK.labels]

Strategy = Callable[[pd.DataFrame, int], Sequence[int]]  # predicted rows in random order, number -> index values


def main(argv: list[str] | None = None) -> int:
    """Measure each way to choose; print and record the results."""
    parser = study.parser("label_queue", __doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of the first labels")
    arguments = parser.parse_args(argv)
    dataset = data.load(arguments.data)
    problem = study.make_problem(dataset, TASK.name)
    with threadpool_limits(1):  # the fits are so small that threads would only wait for each other
        results = measure(problem, arguments.seeds)
    for name, each in results.items():
        print(f"{name}: macro-F1 {each['macro_f1']['mean']:.3f}, {each['negative']:.1%} of the labels negative")
    run = study.load_to_extend(
        "label_queue", study.size_of(problem) | {"method": METHOD, "labels_at_first": INITIAL_LABELS}
    )
    run["results"] = {"fold_seed": FOLD_SEED, "seeds": arguments.seeds, "ways": results}
    record("label_queue", study.command_line("label_queue", argv), run)
    return 0


def at_random(rows: pd.DataFrame, size: int) -> Sequence[int]:
    """Choose at random: the rows are in random order already."""
    return rows.index[:size]


def by_queue(rows: pd.DataFrame, size: int) -> Sequence[int]:
    """Choose as the app does, all at once."""
    return label_queue(rows, TASK.labels, size)


STRATEGIES: Mapping[str, tuple[Strategy, int]] = {
    "none added": (at_random, 0),
    f"{ADDED_LABELS} at random": (at_random, ADDED_LABELS),
    f"{MORE_LABELS} at random": (at_random, MORE_LABELS),
    f"{ADDED_LABELS} by the queue": (by_queue, ADDED_LABELS),
}


def measure(problem: study.Problem, seeds: Sequence[int]) -> dict[str, Any]:
    """For each way to choose: ``macro_f1`` by seed and its mean, and the share of labels that is ``negative``."""
    method, label_ids = methods()[METHOD], problem.label_ids(TASK)
    inputs, texts = method.inputs(problem.rows.texts), np.array(problem.rows.texts, object)
    scores: dict[str, list[float]] = {name: [] for name in STRATEGIES}
    labelled: dict[str, list[int]] = {name: [] for name in STRATEGIES}
    for seed in seeds:
        probabilities_by_strategy = {name: np.zeros((len(texts), len(TASK.labels))) for name in STRATEGIES}
        for number, split in enumerate(problem.folds[study.GROUPED]):
            order = np.random.default_rng([seed, number]).permutation(split.train)
            first, others = order[:INITIAL_LABELS], order[INITIAL_LABELS:]

            def fit(rows: np.ndarray, seed: int = seed) -> Any:
                return method.make(TASK, seed).fit(inputs[rows], label_ids[rows])

            predictions = pd.DataFrame(fit(first).predict_proba(inputs[others]), others, COLUMNS)
            predictions = predictions.assign(text=texts[others], product="")
            for name, (choose, size) in STRATEGIES.items():
                rows = np.concatenate([first, choose(predictions, size)])
                probabilities_by_strategy[name][split.validation] = fit(rows).predict_proba(inputs[split.validation])
                labelled[name].extend(label_ids[rows])
        for name, probabilities in probabilities_by_strategy.items():
            scores[name].append(evaluate_probabilities(label_ids, probabilities, TASK.labels)["macro_f1"])
    negative = TASK.labels.index(tasks.NEGATIVE)
    return {
        name: {
            "macro_f1": summarize(each) | {"by_seed": each},
            "negative": labelled[name].count(negative) / len(labelled[name]),
        }
        for name, each in scores.items()
    }


if __name__ == "__main__":
    cli.run(main)
