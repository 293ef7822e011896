"""The model card: what a saved model is, what it was measured to do, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tf_model.recipes import Recipe
from tf_model.tasks import ANSWER, Task


def model_card(
    name: str,
    tasks: Sequence[Task],
    recipe: Recipe,
    metrics: Mapping[str, Any],
    calibration: Mapping[str, Any] | None = None,
) -> str:
    """Markdown with the YAML header that the Hugging Face hub reads.

    Args:
        tasks: What the model answers.
        metrics: As in ``metrics.json``.
        calibration: As in ``calibration.json``, of a model of both tasks.
    """
    by_task = dict.fromkeys(tasks, (metrics["train"], metrics["validation"]))
    if len(tasks) > 1:
        by_task = {task: (metrics["train"][task.name], metrics["validation"][task.name]) for task in tasks}
    warning = (
        "> **Trained on the small sample corpus, not on the real data.** It shows that the program works; "
        "it says nothing about real tweets.\n\n"
        if metrics["dataset"] == "sample"
        else ""
    )
    measured = "\n\n".join(_measured(task, *parts) for task, parts in by_task.items())
    if calibration:
        measured += "\n\n" + _answers(metrics["validation"][ANSWER], calibration)
    classes = "; ".join(f"`{task.name}`: {', '.join(task.labels)}" for task in tasks)
    settings = "\n".join(f"| {key} | {value} |" for key, value in recipe.to_dict().items())
    return f"""---
language: en
license: {_license(metrics["backbone"]["name"])}
pipeline_tag: text-classification
library_name: tensorflow
tags: [bert, sentiment, brand-monitoring]
metrics: [accuracy, f1]
---

# {name}

{warning}Classifies a short English text. {classes}.
A BERT with a classification layer, fine-tuned from {metrics["backbone"]["source"]}.

## Measured

Protocol: {metrics["protocol"]}. Dataset: {metrics["dataset"]} (sha256 `{metrics["data_sha256"]}`).
Command: `{metrics["command"]}` ({metrics["seconds"]:.0f} s in epochs on {metrics["device"]}; seed {metrics["seed"]}).
One seed; see `research/` for the spread.

{measured}

## Settings

| setting | value |
|---|---|
{settings}

## Use

{_use(metrics["dataset"], bool(calibration))}
"""


def _measured(task: Task, train: Mapping[str, Any], validation: Mapping[str, Any]) -> str:
    low, high = validation["accuracy_interval"]
    classes = "\n".join(
        f"| {label} | {scores['precision']:.3f} | {scores['recall']:.3f} | {scores['f1']:.3f} | {scores['support']} |"
        for label, scores in validation["per_class"].items()
    )
    return f"""| {task.name} | rows | loss | accuracy | macro-F1 |
|---|---|---|---|---|
| train | {train["rows"]} | {train["loss"]:.4f} | {train["accuracy"]:.4f} | {train["macro_f1"]:.4f} |
| validation | {validation["rows"]} | {validation["loss"]:.4f} | {validation["accuracy"]:.4f} | \
{validation["macro_f1"]:.4f} |

95% interval of the validation accuracy (Wilson): {low:.4f} to {high:.4f}.

| {task.name} | precision | recall | F1 | rows |
|---|---|---|---|---|
{classes}"""


def _answers(answer: Mapping[str, Any], calibration: Mapping[str, Any]) -> str:
    temperatures = ", ".join(f"{task} {value:.3f}" for task, value in calibration["temperature"].items())
    errors = "; ".join(
        f"{task} {calibration[task]['before']['ece']:.3f} before, {calibration[task]['after']['ece']:.3f} after"
        for task in calibration["temperature"]
    )
    given = "-" if answer["answered_accuracy"] is None else f"{answer['answered_accuracy']:.4f}"
    return f"""| joined answer, validation part | |
|---|---|
| exactly right, {answer["rows"]} rows | {answer["accuracy"]:.4f} |
| exactly right, {answer["emotion_rows"]} rows that carry an emotion | {_share(answer["emotion_rows_accuracy"])} |
| "Not sure" (confidence below {answer["threshold"]:.2f}) | {answer["not_sure_share"]:.4f} |
| right where an answer is given | {given} |

Temperatures, fitted out of fold on the training part: {temperatures}. Expected calibration error there, 15 bins:
{errors}. The threshold was chosen there for {calibration["target_accuracy"]:.0%} of the given answers being right."""


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _license(backbone: str) -> str:
    """That of the weights it started from: both known backbones are Apache-2.0."""
    return "apache-2.0" if backbone in ("minilm", "bert-base-uncased") else "other"


def _use(dataset: str, answers: bool) -> str:
    scope = "For short English texts about Apple and Google products. A text about another brand, or about none, still "
    scope += "gets one of the\nclasses above. "
    if answers:
        scope += "`product` is meaningful only where `answer` names one. "
    scope += "Do not use it to judge persons."
    if dataset != "assignment":
        return scope
    return f"""{scope}

It was trained on tweets of one festival (SXSW, Austin, March 2011): products, words and opinions have changed since.
The labels are crowd-sourced and noisy, the classes are uneven, and near-duplicates of validation tweets are among the
training tweets of a random split, which flatters its accuracy."""
