"""The calibration of an answer model: temperatures, fitted on out-of-fold rows, undo its overconfidence.

Training is replaced by a stand-in that makes true probabilities overconfident, so the right temperature is known.
"""

import numpy as np
import pytest

from tf_model import config, device, tasks
from tf_model.data import TrainingRows, splits
from tf_model.evaluation import joint_metrics
from tf_model.training import cross_validation

TOO_SURE = {"product": 2.0, "emotion": 1.25}
COPIES = 2
RECIPE = config.make_config("answer")


def made_up(count: int = 1500, seed: int = 0) -> tuple[TrainingRows, np.ndarray]:
    """Rows, each text twice, with labels drawn from known probabilities; and these probabilities."""
    random = np.random.default_rng(seed)
    truth = [random.dirichlet(np.full(len(task.labels), 0.5), count) for task in tasks.ANSWER_TASKS]
    truth = [np.repeat(part, COPIES, axis=0) for part in truth]
    ids = np.stack([(part.cumsum(axis=1) > random.uniform(size=(len(part), 1))).argmax(axis=1) for part in truth], 1)
    ids[random.uniform(size=len(ids)) < 0.4, 0] = tasks.NO_LABEL
    words = [f"word{number} other{number} third{number}" for number in range(count) for _ in range(COPIES)]
    rows = TrainingRows(tasks.ANSWER_TASKS, np.arange(len(ids)), words, ids)
    return rows, np.concatenate(truth, axis=1)


@pytest.fixture(scope="module")
def before():
    """The uncalibrated probabilities, by row."""
    return {}


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory, before):
    """The fitted calibration, the rows, and the folds trained."""
    rows, truth = made_up()
    trained = []

    def cross_validate(recipe, weights, rows, folds, **_):
        assert rows.tasks == tasks.ANSWER_TASKS
        results = []
        for split in folds:
            trained.append(split)
            parts = joint_metrics.by_task(truth[split.validation])
            said = [
                part ** TOO_SURE[name] / (part ** TOO_SURE[name]).sum(1, keepdims=True) for name, part in parts.items()
            ]
            probabilities = np.concatenate(said, 1).astype(np.float32)
            before.update(zip(split.validation.tolist(), probabilities, strict=True))
            results.append(cross_validation.FoldResult(split.validation, probabilities, []))
        return results

    used, folder = device.Runtime("CPU", 0, "float32", deterministic=False), tmp_path_factory.mktemp("calibration")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_validation, "cross_validate", cross_validate)
        found, after = cross_validation.calibrate_out_of_fold(rows, RECIPE, None, used, folder)
    assert after.shape == (len(rows), truth.shape[1])
    return found, rows, trained


def test_the_temperatures_undo_what_the_model_overdoes(calibrated):
    found, *_ = calibrated
    assert found["temperature"] == pytest.approx(TOO_SURE, rel=0.1)
    for name in TOO_SURE:
        assert found[name]["after"]["ece"] < found[name]["before"]["ece"] / 1.5
        assert found[name]["after"]["brier"] < found[name]["before"]["brier"]


def test_every_row_is_judged_by_a_model_that_saw_neither_it_nor_its_copy(calibrated):
    found, rows, trained = calibrated
    assert len(trained) == found["folds"] == cross_validation.CALIBRATION_FOLDS
    left_out = np.concatenate([split.validation for split in trained])
    assert np.array_equal(np.sort(left_out), np.arange(len(rows)))
    groups = splits.near_duplicate_groups(rows.texts)
    assert len(np.unique(groups)) == len(rows) // COPIES
    for split in trained:
        assert not np.intersect1d(groups[split.train], groups[split.validation]).size


def test_the_threshold_is_that_of_the_calibrated_probabilities(calibrated, before):
    found, rows, _ = calibrated
    said = np.stack([before[position] for position in range(len(rows))])
    after = joint_metrics.calibrate(said, found["temperature"], rows.tasks)
    expected = joint_metrics.threshold_for(rows, after)
    assert {name: found[name] for name in expected} == expected
    assert found["threshold"] != joint_metrics.threshold_for(rows, said)["threshold"]
    row = next(row for row in found["risk_coverage"] if row["threshold"] == found["threshold"])
    assert row["accuracy"] >= found["target_accuracy"] == joint_metrics.TARGET_ACCURACY
