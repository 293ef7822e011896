"""The model card: what a saved model is, what it was measured to do, and what it is not for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_model.config import TrainingConfig
from tf_model.data.dataset import ASSIGNMENT, SAMPLE
from tf_model.evaluation.metrics import figure
from tf_model.tasks import Task

# The weights that it started from, on the Hugging Face hub; all are Apache-2.0. Those of a folder are not known.
HUB_NAMES = {
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
    "mpnet": "sentence-transformers/all-mpnet-base-v2",
    "bert-base-uncased": "google-bert/bert-base-uncased",
}
DATASET_NAMES = {ASSIGNMENT: "CrowdFlower, Brands and Product Emotions (SXSW 2011)", SAMPLE: "the sample corpus"}


def model_card(
    name: str,
    tasks: Sequence[Task],
    config: TrainingConfig,
    metrics: Mapping[str, Any],
    calibration: Mapping[str, Any] | None = None,
) -> str:
    """Markdown with the YAML header that the Hugging Face hub reads."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, autoescape=False)
    environment.filters["number"] = figure
    recalls = []
    for task in tasks:
        per_class = metrics["validation"][task.name]["per_class"]
        known = [(label, scores["recall"]) for label, scores in per_class.items() if scores["support"]]
        recalls += [pick(known, key=lambda each: each[1]) for pick in (min, max)]
    template = Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        name=name,
        header=_header(name, tasks, metrics),
        tasks=tasks,
        config=config.to_dict(),
        metrics=metrics,
        calibration=calibration,
        recalls=recalls,
    )


def _header(name: str, tasks: Sequence[Task], metrics: Mapping[str, Any]) -> str:
    """The fields that the hub reads, the validation metrics among them as ``model-index``."""
    from huggingface_hub import EvalResult, ModelCardData

    backbone, dataset = metrics["backbone"]["name"], metrics["dataset"]
    results = [
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
            metric_value=round(metrics["validation"][task.name][metric], 4),
        )
        for task in tasks
        for metric, kind, title in (("accuracy", "accuracy", "accuracy"), ("macro_f1", "f1", "macro-F1"))
    ]
    return ModelCardData(
        language="en",
        license="apache-2.0" if backbone in HUB_NAMES else "other",
        library_name="tensorflow",
        pipeline_tag="text-classification",
        tags=["bert", "sentiment", "brand-monitoring"],
        base_model=HUB_NAMES.get(backbone),
        metrics=["accuracy", "f1"],
        model_name=name,
        eval_results=results,
    ).to_yaml()
