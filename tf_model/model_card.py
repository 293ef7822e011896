"""The model card: what a saved model is, what it was measured to do, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tf_model.recipes import Recipe
from tf_model.tasks import Task


def model_card(name: str, task: Task, recipe: Recipe, metrics: Mapping[str, Any]) -> str:
    """Markdown with the YAML header that the Hugging Face hub reads.

    Args:
        metrics: As in ``metrics.json``.
    """
    train, validation = metrics["train"], metrics["validation"]
    low, high = validation["accuracy_interval"]
    warning = (
        "> **Trained on the small sample corpus, not on the real data.** It shows that the program works; "
        "it says nothing about real tweets.\n\n"
        if metrics["dataset"] == "sample"
        else ""
    )
    classes = "\n".join(
        f"| {label} | {scores['precision']:.3f} | {scores['recall']:.3f} | {scores['f1']:.3f} | {scores['support']} |"
        for label, scores in validation["per_class"].items()
    )
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

{warning}Classifies the `{task.name}` of a short English text: {", ".join(task.labels)}.
A BERT with a classification layer, fine-tuned from {metrics["backbone"]["source"]}.

## Measured

Protocol: {metrics["protocol"]}. Dataset: {metrics["dataset"]} (sha256 `{metrics["data_sha256"]}`).
Command: `{metrics["command"]}` ({metrics["seconds"]:.0f} s in epochs on {metrics["device"]}; seed {metrics["seed"]}).

| | rows | loss | accuracy | macro-F1 |
|---|---|---|---|---|
| train | {train["rows"]} | {train["loss"]:.4f} | {train["accuracy"]:.4f} | {train["macro_f1"]:.4f} |
| validation | {validation["rows"]} | {validation["loss"]:.4f} | {validation["accuracy"]:.4f} | \
{validation["macro_f1"]:.4f} |

95% interval of the validation accuracy (Wilson): {low:.4f} to {high:.4f}. One seed; see `research/` for the spread.

| class | precision | recall | F1 | rows |
|---|---|---|---|---|
{classes}

## Settings

| setting | value |
|---|---|
{settings}

## Use

{_use(metrics["dataset"])}
"""


def _license(backbone: str) -> str:
    """That of the weights it started from: both known backbones are Apache-2.0."""
    return "apache-2.0" if backbone in ("minilm", "bert-base-uncased") else "other"


def _use(dataset: str) -> str:
    scope = "For short English texts about Apple and Google products. A text about another brand, or about none, still "
    scope += "gets one of the\nclasses above. Do not use it to judge persons."
    if dataset != "assignment":
        return scope
    return f"""{scope}

It was trained on tweets of one festival (SXSW, Austin, March 2011): products, words and opinions have changed since.
The labels are crowd-sourced and noisy, the classes are uneven, and near-duplicates of validation tweets are among the
training tweets of a random split, which flatters its accuracy."""
