"""The model card: what a saved model is, how well it performs, and what it is not for."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tf_model.config import TrainingConfig
from tf_model.evaluation.metrics import decimal
from tf_model.modeling.backbone import HUB_NAMES, LOCAL
from tf_model.tasks import Task


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
    environment.filters["number"] = decimal
    environment.filters["cell"] = lambda label: re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(label.split()))
    recalls = []
    for task in tasks:
        per_class = metrics["validation"][task.name]["per_class"]
        recall_by_label = [(label, scores["recall"]) for label, scores in per_class.items() if scores["support"]]
        recalls += [pick(recall_by_label, key=lambda each: each[1]) for pick in (min, max)]
    template = Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        name=name,
        base_model=HUB_NAMES.get(metrics["backbone"]["name"]) if metrics["backbone"]["source"] != LOCAL else None,
        tasks=tasks,
        config=config.to_dict(),
        metrics=metrics,
        calibration=calibration,
        recalls=recalls,
    )
