"""``python -m research.label_queue``: whether tweets chosen by the label queue teach more than tweets drawn at random.

In each grouped fold a cheap model is trained on 400 tweets of the training part and predicts the rest of it. Some of
the rest are then labelled, chosen by the queue or at random. Macro-F1 is over all validation parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from research import study
from research.methods.baseline_models import methods
from research.runs import load_to_extend, record
from tf_model import cli, data, tasks
from tf_model.analysis.label_queue import label_queue
from tf_model.evaluation.metrics import evaluate_probabilities, summarize
from tf_model.model_dir import probability_column
from tf_model.training.cross_validation import FOLD_SEED

METHOD = "frozen_minilm"
START, CHOSEN, MORE = 400, 400, 600  # labels: at first, added in each way, and a larger random addition
TASK = tasks.EMOTION
COLUMNS = [probability_column(TASK.name, label) for label in TASK.labels]

Choose = Callable[[pd.DataFrame, int], Sequence[int]]  # answered rows in random order, how many -> chosen index values


def main(argv: list[str] | None = None) -> int:
    """Measure each way to choose; print and record the results."""
    from threadpoolctl import threadpool_limits

    parser = study.parser("label_queue", __doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the first labels")
    arguments = parser.parse_args(argv)
    dataset = data.load(arguments.data)
    problem = study.make_problem(dataset, TASK.name)
    with threadpool_limits(1):  # the fits are so small that threads would only wait for each other
        results = measure(problem, arguments.seeds)
    for name, each in results.items():
        print(f"{name}: macro-F1 {each['macro_f1']['mean']:.3f}, {each['negative']:.1%} of the labels negative")
    run = load_to_extend("label_queue", study.size_of(problem) | {"method": METHOD, "labels_at_first": START})
    run["results"] = {"fold_seed": FOLD_SEED, "seeds": arguments.seeds, "ways": results}
    record("label_queue", study.command_line("label_queue", argv), run)
    return 0


def at_random(rows: pd.DataFrame, size: int) -> Sequence[int]:
    """Choose at random: the rows are in random order already."""
    return rows.index[:size]


def by_queue(rows: pd.DataFrame, size: int) -> Sequence[int]:
    """Choose as the app does, all at once."""
    return label_queue(rows, TASK.labels, size)


WAYS: Mapping[str, tuple[Choose, int]] = {
    "none added": (at_random, 0),
    f"{CHOSEN} at random": (at_random, CHOSEN),
    f"{MORE} at random": (at_random, MORE),
    f"{CHOSEN} by the queue": (by_queue, CHOSEN),
}


def measure(problem: study.Problem, seeds: Sequence[int]) -> dict[str, Any]:
    """For each way to choose: ``macro_f1`` by seed and its mean, and the share of labels that is ``negative``."""
    method, label_ids = methods()[METHOD], problem.label_ids(TASK)
    inputs, texts = method.inputs(problem.rows.texts), np.array(problem.rows.texts, object)
    scores: dict[str, list[float]] = {name: [] for name in WAYS}
    labelled: dict[str, list[int]] = {name: [] for name in WAYS}
    for seed in seeds:
        by_way = {name: np.zeros((len(texts), len(TASK.labels))) for name in WAYS}
        for number, split in enumerate(problem.folds[study.GROUPED]):
            order = np.random.default_rng([seed, number]).permutation(split.train)
            first, others = order[:START], order[START:]

            def fitted(rows: np.ndarray, seed: int = seed) -> Any:
                return method.make(TASK, seed).fit(inputs[rows], label_ids[rows])

            answered = pd.DataFrame(fitted(first).predict_proba(inputs[others]), others, COLUMNS)
            answered = answered.assign(text=texts[others], product="")
            for name, (choose, size) in WAYS.items():
                rows = np.concatenate([first, choose(answered, size)])
                by_way[name][split.validation] = fitted(rows).predict_proba(inputs[split.validation])
                labelled[name].extend(label_ids[rows])
        for name, probabilities in by_way.items():
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
