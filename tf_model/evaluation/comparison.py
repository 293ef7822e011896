"""Whether one model is better than another, on the same labelled texts, which neither was trained on.

An exact McNemar test uses the rows that only one of the models gets right; a paired bootstrap gives an interval for the
difference in accuracy.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tf_model import data, paths, tasks
from tf_model.data.splits import near_duplicate_groups
from tf_model.errors import ModelError, plural
from tf_model.evaluation.joint_metrics import by_task, correct_by_question, evaluate_predictions
from tf_model.evaluation.metrics import mean_interval, table_of_numbers
from tf_model.inference.predictor import Predictor
from tf_model.model_dir import read_validation_rows

BETTER, WORSE, NO_DIFFERENCE = "better", "worse", "no clear difference"
SIGNIFICANCE = 0.05
COMPARED = ("accuracy", "accuracy_interval", "macro_f1", "loss")  # of each model and task; the answer has the first two


def paired_test(old_correct: np.ndarray, new_correct: np.ndarray, groups: np.ndarray | None = None) -> dict[str, Any]:
    """How two models differ on the same rows (correct: bool [N]; near-duplicate group: int [N]).

    ``difference`` is new less old accuracy; ``verdict`` says which is better where test and interval agree. The test is
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947), in its exact binomial form, two-sided.
    """
    from scipy.stats import binomtest

    only_old, only_new = int((old_correct & ~new_correct).sum()), int((new_correct & ~old_correct).sum())
    p_value = float(binomtest(only_new, only_new + only_old).pvalue) if only_new + only_old else 1.0
    difference = float(new_correct.mean() - old_correct.mean())
    low, high = mean_interval(new_correct.astype(float) - old_correct, groups)
    is_significant = p_value < SIGNIFICANCE and (low > 0 or high < 0)  # the test alone counts retweets as new tweets
    return {
        "rows": len(old_correct),
        "groups": len(old_correct) if groups is None else len(np.unique(groups)),
        "difference": difference,
        "difference_interval": [low, high],
        "only_old_right": only_old,
        "only_new_right": only_new,
        "p_value": p_value,
        "verdict": NO_DIFFERENCE if not is_significant else BETTER if difference > 0 else WORSE,
    }


def compare_models(old: Predictor, new: Predictor, dataset: data.Dataset) -> dict[str, Any]:
    """Compare the answers of two models on the texts, or labelled mentions, that are in both validation parts.

    ``tasks`` holds :func:`paired_test` and both models' metrics for each task that they share, and for the answer;
    ``task`` is the task that decides. Raises :class:`ModelError` if there is nothing to compare on.
    """
    old_name, new_name = paths.shown(old.folder), paths.shown(new.folder)
    shared_tasks = [task for task in old.tasks if task in new.tasks]
    for task in old.tasks:
        if task not in shared_tasks and set(task.labels) == set(new.labels.get(task.name, ())):
            raise ModelError(
                f"{old_name} and {new_name} take different labels for no emotion; train both with the same --no-emotion"
            )
    if not shared_tasks:
        raise ModelError(
            f"{old_name} predicts {', '.join(old.labels)} and {new_name} predicts {', '.join(new.labels)}"
            f"{' with other classes' if new.labels.keys() == old.labels.keys() else ''}; "
            "compare models of the same task, with the same classes"
        )
    labels = tasks.TASKS if tasks.TARGET.name in old.labels else [task.name for task in shared_tasks]
    for part in ("text", *labels):
        columns = [model.metrics.get("columns", {}).get(part) for model in (old, new)]
        if all(model.metrics.get("columns") for model in (old, new)) and columns[0] != columns[1]:
            raise ModelError(
                f"{old_name} and {new_name} were trained on different columns, {columns[0]!r} and {columns[1]!r}; "
                f"train both with the same --{part}-column"
            )
    row_numbers = np.intersect1d(_validation_rows(old, dataset), _validation_rows(new, dataset))
    name = tasks.name_of(task.name for task in shared_tasks)
    products = data.products_to_judge(name, old.folder, dataset)
    rows = data.training_rows(dataset, name, products).numbered(row_numbers)
    rows = rows.take(np.flatnonzero((rows.judged_ids != tasks.NO_LABEL).any(axis=1)))
    if len(rows) < 2:
        raise ModelError(
            f"{old_name} and {new_name} validated on different rows: only {len(rows)} "
            f"{plural(len(rows), 'row is', 'rows are')} unknown to both; train them with the same --split-seed"
        )
    for task, ids in zip(shared_tasks, rows.label_ids.T, strict=True):
        if (ids == tasks.NO_LABEL).all():
            raise ModelError(
                f"none of the {len(rows)} rows that {old_name} and {new_name} validated on has a label of the task "
                f"{task.name!r}; train them with the same --split-seed"
            )
    rows, groups = replace(rows, tasks=tuple(shared_tasks)), near_duplicate_groups(rows.texts)
    parts = [by_task(model.probabilities(rows.texts), model.tasks) for model in (old, new)]
    scores = [np.concatenate([each[task.name] for task in shared_tasks], axis=1) for each in parts]
    threshold = 0.0 if name == tasks.ANSWER else None  # best guesses: "Not sure" gives no advantage
    evaluations = [evaluate_predictions(rows, each, threshold) for each in scores]
    correct = [correct_by_question(rows, each) for each in scores]
    results = {}
    for question in evaluations[0]:
        metrics = [{key: each[question][key] for key in COMPARED if key in each[question]} for each in evaluations]
        test = paired_test(*(each[question][1] for each in correct), groups[correct[0][question][0]])
        results[question] = dict(zip(("old", "new"), metrics, strict=True)) | test
    return {
        "old": old_name,
        "new": new_name,
        "dataset": dataset.name,
        "data_sha256": dataset.sha256,
        "rows": len(rows),
        "tasks": results,
        "task": name,
        "verdict": results[name]["verdict"],
    }


def _validation_rows(model: Predictor, dataset: data.Dataset) -> np.ndarray:
    """Row numbers of the validation part of a model, which it was not trained on, int64 [N]."""
    if model.data_sha256 != dataset.sha256:
        raise ModelError(
            f"{paths.shown(model.folder)} was trained on other data (sha256 {model.data_sha256}) than "
            f"{paths.shown(dataset.path)}; give that data with --data"
        )
    return read_validation_rows(model.folder)


def print_comparison(console: Any, comparison: Mapping[str, Any]) -> None:
    """Print what :func:`compare_models` returned: a line per task with the rows lost and won, and the result."""
    from rich.text import Text

    title = f"{comparison['new']} (new) against {comparison['old']} (old), on {comparison['rows']:,} rows new to both"
    table = table_of_numbers(("accuracy", "rows", "old", "new", "gain", "95% interval", "lost", "won", "p"))
    for name, result in comparison["tasks"].items():
        low, high = result["difference_interval"]
        accuracies = (f"{result[model]['accuracy']:.4f}" for model in ("old", "new"))
        counts = (str(result[f"only_{model}_right"]) for model in ("old", "new"))
        p_value = f"{result['p_value']:.3f}" if result["p_value"] >= 0.001 else "<0.001"
        interval = f"{low:+.3f}, {high:+.3f}"
        table.add_row(
            name, f"{result['rows']:,}", *accuracies, f"{result['difference']:+.4f}", interval, *counts, p_value
        )
    console.print(Text(title), soft_wrap=True)
    console.print(table)
    console.print(Text(result_line(comparison)), soft_wrap=True)


def result_line(comparison: Mapping[str, Any]) -> str:
    """The result in one line, with the metrics behind it."""
    result = comparison["tasks"][comparison["task"]]
    outcome = NO_DIFFERENCE + " between the models"
    if comparison["verdict"] != NO_DIFFERENCE:
        outcome = f"the new model is {comparison['verdict']}"
    return (
        f"{outcome}: accuracy of the {comparison['task']} {result['new']['accuracy']:.4f} against "
        f"{result['old']['accuracy']:.4f}, correct where the other is wrong: new {result['only_new_right']} times, old "
        f"{result['only_old_right']}, p = {result['p_value']:.2g}"
    )
