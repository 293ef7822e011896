"""Which tweets were answered right without leakage, as recorded runs keep it.

What a model said is kept in ``saved_models/.checkpoints/``, which is not part of the repository; which of its answers
were right is in ``research/runs/``, a bit a tweet. That is enough for a paired test.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from research.baselines import GROUPED, Problem, asked_rows
from research.methods.baseline_models.baseline_models import Method
from research.runs import UNCHANGED, load, unpack
from tf_model import config, data
from tf_model.config import Recipe


def of_ours(problem: Problem, dataset: data.Dataset) -> dict[str, dict[str, np.ndarray]] | None:
    """Of our answer model, from the record of ``make levers``, which trains its recipe as it is.

    Args:
        problem: Of one task, or of the whole answer.
        dataset: Whose tweets these are.

    Returns:
        By seed and question, whether each row of :func:`research.baselines.asked_rows` was answered right out of fold,
        bool [rows]; None where nothing is recorded of this dataset and of the recipe as it is now.

    Raises:
        ValueError: The record is of another number of rows.
    """
    run = load("levers")
    if run is None or run["data_sha256"] != dataset.sha256:
        return None
    if Recipe.from_dict(run["recipe"]) != replace(config.ANSWER, seed=0):
        return None
    asked = asked_rows(problem)
    seeds = run["levers"][UNCHANGED]["seeds"]
    return {
        seed: {name: unpack(packed, len(asked[name])) for name, packed in found["right"].items() if name in asked}
        for seed, found in seeds.items()
    }


def of_baseline(method: Method, problem: Problem, dataset: data.Dataset) -> dict[str, np.ndarray]:
    """Of a baseline, with its first seed, from the record of ``python -m research.baselines``.

    Args:
        method: The baseline; one that trains for minutes is recorded of each task by itself, and not of the whole
            answer.
        problem: The whole answer, whose folds the quick ones were answered on.
        dataset: Whose tweets these are.

    Returns:
        By question, as :func:`of_ours`; one that is not recorded is left out.

    Raises:
        ValueError: The record is of another number of rows.
    """
    run = load("baselines")
    if run is None or run["data_sha256"] != dataset.sha256:
        return {}
    recorded = run["methods"].get(method.name)
    if recorded is None or recorded["settings"] != method.settings:
        return {}
    found = {}
    for question, rows in asked_rows(problem).items():
        seeds = recorded.get(question if method.slow else problem.name, {}).get(GROUPED, {}).get("seeds", {})
        figures = seeds.get(str(method.seeds[0]), {})
        if question in figures.get("right", {}):
            found[question] = unpack(figures["right"][question], len(rows))
    return found
