"""Knowledge distillation: a student learns from labels and from the predictions of trained models, its teachers.

Source: G. Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tf_model import cli, model_dir
from tf_model.config import TrainingConfig
from tf_model.data import Dataset, TrainingRows
from tf_model.data.dataset import UNLABELLED_COLUMN
from tf_model.data.splits import Split, near_validation
from tf_model.errors import ModelError
from tf_model.evaluation.joint_metrics import by_task, calibrate
from tf_model.inference.predictor import Predictor
from tf_model.tasks import NO_LABEL, TEXT_COLUMN, Task

NO_ROW = -1  # the row number of a text that is not in the dataset


def teach(
    folders: Sequence[Path],
    dataset: Dataset,
    rows: TrainingRows,
    split: Split,
    config: TrainingConfig,
    extra_texts: Sequence[str] = (),
    extra_sha256: str | None = None,
) -> tuple[TrainingRows, Split]:
    """Add soft targets to ``rows``, and the texts of the sheet Test and ``extra_texts`` to the training part.

    Near-duplicates of validation texts are left out. Targets of a labelled row are :func:`blend` from its labels and
    the teachers' out-of-fold predictions. Targets of a text without a label are the teachers' predictions; the most
    probable classes become labels that are not used for evaluation. ``extra_sha256`` is the hash of the file
    ``--extra``, if rows are from one. Raises :class:`ModelError` for a teacher with other classes or rows, or no
    out-of-fold predictions.
    """
    unlabelled = [] if dataset.unlabelled is None else dataset.unlabelled[UNLABELLED_COLUMN].tolist()
    dataset_texts = {*rows.texts, ""}
    texts = [text for text in dict.fromkeys([*unlabelled, *extra_texts]) if text not in dataset_texts]
    is_near = near_validation(texts, rows, split, dataset.labelled[TEXT_COLUMN])
    texts = [text for text, is_left_out in zip(texts, is_near, strict=True) if not is_left_out]
    row_scores, text_scores = [], []
    for folder in folders:
        predictor = Predictor.load(folder, "tensorflow")
        if predictor.labels != {task.name: task.labels for task in rows.tasks}:
            raise ModelError(f"the teacher {folder} predicts other classes than this model; choose another one")
        numbers, probabilities = model_dir.read_out_of_fold(folder)
        is_same = np.array_equal(numbers, rows.rows[split.train])
        files = predictor.data_sha256, predictor.metrics.get("extra", {}).get("sha256")
        if files != (dataset.sha256, extra_sha256) or not is_same:
            raise ModelError(
                f"the teacher {folder} was trained on other rows than this model will be, perhaps on its "
                "validation rows; train it with the same --data, --extra, --split-seed and --validation-size"
            )
        row_scores.append(probabilities)
        text_scores.append(predictor.probabilities(texts))
    temperatures = dict.fromkeys([task.name for task in rows.tasks], config.teacher_temperature)
    row_targets, text_targets = (
        calibrate(np.mean(scores, axis=0), temperatures, rows.tasks) for scores in (row_scores, text_scores)
    )
    cli.say(f"teachers: {len(folders)}, for {len(row_targets):,} labelled rows and {len(texts):,} unlabelled texts")

    targets = np.zeros((len(rows) + len(texts), row_targets.shape[1]), np.float32)
    targets[split.train] = blend(rows.label_ids[split.train], row_targets, config.teacher_weight, rows.tasks)
    targets[len(rows) :] = text_targets
    label_ids = np.stack([part.argmax(axis=1) for part in by_task(text_targets, rows.tasks).values()], axis=1)
    all_rows = replace(
        rows,
        rows=np.concatenate([rows.rows, np.full(len(texts), NO_ROW)]),
        texts=[*rows.texts, *texts],
        label_ids=np.concatenate([rows.label_ids, label_ids]),
        is_weak=np.arange(len(targets)) >= len(rows),
        targets=targets,
    )
    return all_rows, Split(np.concatenate([split.train, np.arange(len(rows), len(targets))]), split.validation)


def blend(label_ids: np.ndarray, predictions: np.ndarray, weight: float, tasks: Sequence[Task]) -> np.ndarray:
    """Mix labels, int [N, tasks], with a share ``weight`` of ``predictions``: float32 [N, classes of all tasks].

    A row without a label of a task gets ``predictions`` alone.
    """
    columns = []
    for ids, probabilities in zip(label_ids.T, by_task(predictions, tasks).values(), strict=True):
        labels = np.eye(probabilities.shape[1])[np.maximum(ids, 0)]
        shares = np.where(ids == NO_LABEL, 1.0, weight)[:, np.newaxis]
        columns.append((1 - shares) * labels + shares * probabilities)
    return np.concatenate(columns, axis=1).astype(np.float32)
