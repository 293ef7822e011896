"""Folders like those of trained models, made in a moment: real files, an empty graph; and networks never trained."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tf_model import config, tasks
from tf_model.device import prepare
from tf_model.evaluation.metrics import evaluate_probabilities
from tf_model.model_dir import probability_column
from tf_model.modeling import backbone, classifier
from tf_model.training.cross_validation import FoldResult
from tf_model.training.trainer import Fitted, text_encoder

SHA256 = "f" * 64
ROWS = 60


def distributions(label_ids: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Float [N, C]: mostly highest for the true class, rounded as in the files."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(len(label_ids), classes))
    logits[np.arange(len(label_ids)), label_ids] += 2
    exponentials = np.exp(logits)
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).round(6)


def labelled(labels, rows: int = ROWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    label_ids = np.random.default_rng(seed).integers(0, len(labels), rows)
    return label_ids, distributions(label_ids, len(labels), seed)


def random_classifier(bert: Path, recipe, chosen: Sequence[tasks.Task], *, seed: int = 3, scale: float = 12) -> Fitted:
    """A classifier of the ``chosen`` tasks whose random weights are large enough for texts to get different classes."""
    prepare(seed, precision="float32")
    weights = backbone.find(str(bert))
    network = classifier.build(weights, [len(task.labels) for task in chosen], recipe.pooling)
    for variable in network.trainable_variables:
        if "LayerNorm" not in variable.name:
            variable.assign(variable * scale)
    return Fitted(network, text_encoder(recipe, weights))


def eagerly(model: Any) -> None:
    """Train without a graph, which takes longer to make than few steps save."""
    model.run_eagerly = True


def guessed_fold(config, backbone, rows, encoded, split, **_) -> FoldResult:
    """In place of ``cross_validation._train_fold``, which takes seconds."""
    label_ids = rows.label_ids[split.validation].T
    scores = [distributions(ids, len(task.labels), 0) for ids, task in zip(label_ids, rows.tasks, strict=True)]
    return FoldResult(split.validation, np.concatenate(scores, axis=1).astype(np.float32), [])


def write_single(parent: Path, task: str = "product", *, name: str | None = None, **changes) -> Path:
    """A model of one task; ``changes`` go into its metrics."""
    folder = parent / (name or task)
    labels = tasks.ALL_TASKS[task].labels
    label_ids, probabilities = labelled(labels)
    parts = {
        "train": {task: evaluate_probabilities(*labelled(labels, 2 * ROWS, 100), labels)},
        "validation": {task: evaluate_probabilities(label_ids, probabilities, labels)},
    }
    _write(folder, task, [task], parts, changes)
    _write_predictions(folder, np.arange(ROWS) * 3, {task: ([labels[each] for each in label_ids], probabilities)})
    if task == "target":
        calibration = {"temperature": {"target": 1.5}, "threshold": 0.5}
        (folder / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
    return folder


def write_answer(parent: Path, *, name: str = "answer", **changes) -> Path:
    """A model of both tasks, with its calibration; every third row has no product label."""
    folder = parent / name
    parts, calibration, predictions = {}, {"temperature": {}, "threshold": 0.5}, {}
    for task in ("product", "emotion"):
        labels = tasks.ALL_TASKS[task].labels
        label_ids, probabilities = labelled(labels)
        known = np.arange(ROWS) % 3 != 0 if task == "product" else np.ones(ROWS, bool)
        parts[task] = evaluate_probabilities(label_ids[known], probabilities[known], labels)
        names = [labels[each] if keep else None for each, keep in zip(label_ids, known, strict=True)]
        predictions[task] = (names, probabilities)
        bins = [{"low": 0.8, "high": 0.9, "rows": 20, "confidence": 0.85, "accuracy": 0.75}]
        calibration["temperature"][task] = 1.5
        calibration[task] = {
            "before": {"ece": 0.0912, "brier": 0.31, "reliability": bins},
            "after": {"ece": 0.0213, "brier": 0.29, "reliability": bins},
        }
    parts["answer"] = {
        "rows": ROWS,
        "accuracy": 0.75,
        "accuracy_interval": [0.63, 0.84],
        "emotion_rows_accuracy": 0.58,
        "not_sure_share": 0.1,
        "answered_accuracy": 0.8,
    }
    calibration["risk_coverage"] = [
        {"threshold": 0.0, "coverage": 1.0, "accuracy": 0.75, "rows": ROWS},
        {"threshold": 0.5, "coverage": 0.5, "accuracy": 0.9, "rows": ROWS // 2},
    ]
    _write(folder, "answer", ["product", "emotion"], {"train": parts, "validation": parts}, changes)
    _write_predictions(folder, np.arange(ROWS), predictions)
    (folder / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
    return folder


def _write_predictions(folder: Path, rows: np.ndarray, predictions: dict[str, tuple[list, np.ndarray]]) -> None:
    labels = pd.DataFrame({"row": rows} | {task: names for task, (names, _) in predictions.items()})
    probabilities = [
        pd.DataFrame(values, columns=[probability_column(task, label) for label in tasks.ALL_TASKS[task].labels])
        for task, (_, values) in predictions.items()
    ]
    pd.concat([labels, *probabilities], axis=1).to_csv(folder / "validation_predictions.csv", index=False)


def _write(folder: Path, task: str, names: list[str], parts: dict, changes: dict) -> None:
    folder.mkdir(parents=True)
    metrics = {
        "dataset": "assignment",
        "data_sha256": SHA256,
        "task": task,
        "recipe": "report",
        "protocol": "random split (seed 42, 20% to validate)",
        "backbone": {"name": "minilm", "source": "a package", "sha256": SHA256},
        "rows": ROWS * 2,
        **parts,
        "seconds": 12.0,
        "seed": 42,
        "device": "CPU, 2 cores, float32",
        "command": "python -m tf_model.train",
        "versions": {"python": "3.11"},
    }
    (folder / "saved_model.pb").write_bytes(b"")
    for file, value in {
        "labels.json": {"task": task, "labels": {name: list(tasks.ALL_TASKS[name].labels) for name in names}},
        "recipe.json": config.REPORT.to_dict(),
        "metrics.json": metrics | changes,
    }.items():
        (folder / file).write_text(json.dumps(value), encoding="utf-8")
    (folder / "model_card.md").write_text(f"---\nlanguage: en\n---\n\n# {folder.name}\n\nA card.\n", encoding="utf-8")
