"""The model card: what a saved model is, what it was measured to do, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tf_model.config import Recipe
from tf_model.data.dataset import ASSIGNMENT, SAMPLE
from tf_model.evaluation.metrics import figure
from tf_model.tasks import ANSWER, Task

# Of the weights that it started from, on the Hugging Face hub; those of a folder are not known.
HUB_NAMES = {
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
    "bert-base-uncased": "google-bert/bert-base-uncased",
}
DATASET_NAMES = {ASSIGNMENT: "CrowdFlower, Brands and Product Emotions (SXSW 2011)", SAMPLE: "the sample corpus"}


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
        if metrics["dataset"] == SAMPLE
        else ""
    )
    measured = "\n\n".join(_measured(task, *parts) for task, parts in by_task.items())
    if calibration:
        measured += "\n\n" + _answers(metrics["validation"][ANSWER], calibration)
    classes = "; ".join(f"`{task.name}`: {', '.join(task.labels)}" for task in tasks)
    settings = "\n".join(f"| {key} | {value} |" for key, value in recipe.to_dict().items())
    return f"""---
{_header(name, by_task, metrics)}
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

{_use(metrics["dataset"], metrics["protocol"], recipe.max_tokens, bool(calibration))}

{_risks(by_task)}
"""


def _header(name: str, by_task: Mapping[Task, tuple[Any, Any]], metrics: Mapping[str, Any]) -> str:
    """The fields that the hub reads, the validation figures among them as ``model-index``."""
    from huggingface_hub import EvalResult, ModelCardData

    backbone, dataset = metrics["backbone"]["name"], metrics["dataset"]
    found = [
        EvalResult(
            task_type="text-classification",
            task_name=task.name,
            dataset_type=dataset,
            dataset_name=DATASET_NAMES.get(dataset, dataset),
            dataset_config=task.name,  # results of one dataset and configuration would be put together
            dataset_split=f"validation: {metrics['protocol']}",
            dataset_revision=metrics["data_sha256"],
            metric_type=kind,
            metric_name=f"{task.name} {title}",
            metric_value=round(validation[figure], 4),
        )
        for task, (_, validation) in by_task.items()
        for figure, kind, title in (("accuracy", "accuracy", "accuracy"), ("macro_f1", "f1", "macro-F1"))
    ]
    return ModelCardData(
        language="en",
        license=_license(backbone),
        library_name="tensorflow",
        pipeline_tag="text-classification",
        tags=["bert", "sentiment", "brand-monitoring"],
        base_model=HUB_NAMES.get(backbone),
        metrics=["accuracy", "f1"],
        model_name=name,
        eval_results=found,
    ).to_yaml()


def _measured(task: Task, train: Mapping[str, Any], validation: Mapping[str, Any]) -> str:
    low, high = validation["accuracy_interval"]
    classes = "\n".join(
        f"| {label} | {scores['precision']:.3f} | {scores['recall']:.3f} | {scores['f1']:.3f} | {scores['support']} |"
        for label, scores in validation["per_class"].items()
    )
    calibrated = ""
    if "ece" in validation:
        calibrated = (
            f" Its expected calibration error there is {validation['ece']:.3f} (15 bins), its Brier score "
            f"{validation['brier']:.3f}."
        )
    return f"""| {task.name} | rows | loss | accuracy | macro-F1 |
|---|---|---|---|---|
| train | {train["rows"]} | {train["loss"]:.4f} | {train["accuracy"]:.4f} | {train["macro_f1"]:.4f} |
| validation | {validation["rows"]} | {validation["loss"]:.4f} | {validation["accuracy"]:.4f} | \
{validation["macro_f1"]:.4f} |

95% interval of the validation accuracy (Wilson): {low:.4f} to {high:.4f}.{calibrated}

| {task.name} | precision | recall | F1 | rows |
|---|---|---|---|---|
{classes}"""


def _answers(answer: Mapping[str, Any], calibration: Mapping[str, Any]) -> str:
    temperatures = ", ".join(f"{task} {value:.3f}" for task, value in calibration["temperature"].items())
    errors = "; ".join(
        f"{task} {calibration[task]['before']['ece']:.3f} before, {calibration[task]['after']['ece']:.3f} after"
        for task in calibration["temperature"]
    )
    return f"""| joined answer, validation part | |
|---|---|
| exactly right, {answer["rows"]} rows | {answer["accuracy"]:.4f} |
| exactly right, {answer["emotion_rows"]} rows that carry an emotion | {figure(answer["emotion_rows_accuracy"])} |
| "Not sure" (confidence below {answer["threshold"]:.2f}) | {answer["not_sure_share"]:.4f} |
| right where an answer is given | {figure(answer["answered_accuracy"])} |

Temperatures, fitted out of fold on the training part: {temperatures}. Expected calibration error on those same
rows, 15 bins: {errors}. The threshold was chosen there for {calibration["target_accuracy"]:.0%} of the given answers
being right."""


def _license(backbone: str) -> str:
    """That of the weights it started from: both known backbones are Apache-2.0."""
    return "apache-2.0" if backbone in HUB_NAMES else "other"


def _use(dataset: str, protocol: str, max_tokens: int, answers: bool) -> str:
    meaning = "\n`product` is meaningful only where `answer` names one." if answers else ""
    limits = [
        "A text about another brand, or about none, still gets one of the classes above.",
        "One text, one answer: of several products or feelings in a text, one is answered.",
        f"English only; at most {max_tokens} tokens, what is beyond is cut off.",
    ]
    if dataset == ASSIGNMENT:
        limits += [
            "It was trained on tweets of one festival (SXSW, Austin, March 2011): products, words and opinions have "
            "changed since.",
            "Apple and Google products of that year only.",
            "The labels are crowd-sourced and noisy, and the classes are uneven: the small ones rest on a few dozen "
            "tweets.",
        ]
    if dataset == ASSIGNMENT and protocol.startswith("random"):
        limits.append(
            "Near-duplicates of validation tweets are among the training tweets of a random split, which can flatter "
            "its accuracy; `research/results.md` has figures without them."
        )
    lines = "\n".join(f"- {limit}" for limit in limits)
    return f"""## Intended use

To sort short English texts about Apple and Google products, and to count opinions over many of them, where single
mistakes cancel or are looked at by people.{meaning}

## Limits

{lines}"""


def _risks(by_task: Mapping[Task, tuple[Any, Any]]) -> str:
    missed = []
    for _, validation in by_task.values():
        recalls = {label: scores["recall"] for label, scores in validation["per_class"].items() if scores["support"]}
        if recalls:
            worst, best = (pick(recalls, key=recalls.__getitem__) for pick in (min, max))
            missed.append(f"{worst} is found in {recalls[worst]:.0%} of its texts, {best} in {recalls[best]:.0%}")
    return f"""## Risks

- Its mistakes are not spread evenly, so that counts lean: {"; ".join(missed)} (validation part, above). Check counts
  against a sample that people have read. How it takes irony was not measured.
- A confidence is an estimate for texts like those of training. It says little about other times, topics and languages.
- Texts can name persons. Do not use it to judge persons, or to decide about any of them."""
