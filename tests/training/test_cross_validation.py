"""Cross-validation: each row predicted once by a model that did not see it, and finished folds kept."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tf_model.config import Recipe
from tf_model.data.splits import Split
from tf_model.device import Runtime, import_tensorflow
from tf_model.errors import OutputError
from tf_model.modeling.backbone import Backbone
from tf_model.preprocessing import batching
from tf_model.training import cross_validation, trainer
from tf_model.training.cross_validation import FoldResult, cross_validate, out_of_fold, store_for, store_of_folds

ROWS, CLASSES = 11, 3
TEXTS = [f"text {row}" for row in range(ROWS)]
LABEL_IDS = np.arange(ROWS) % CLASSES
# Row r validates in fold r % 3 + 1.
FOLDS = [Split(*(np.flatnonzero((np.arange(ROWS) % 3 == fold) == part) for part in (False, True))) for fold in range(3)]
HISTORY = [{"epoch": 1, "seconds": 1.5, "loss": 0.1, "accuracy": 1.0}]
RUNTIME = Runtime("CPU", 0, "float32", xla=False, deterministic=False)
BACKBONE = Backbone("tiny", Path("nowhere"), "nowhere", True, "0" * 64)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """In place of trainings: each is recorded, and its probabilities tell the seed, the rows and the training rows."""
    done = []

    def train_fold(recipe, backbone, classes, texts, label_ids, split, **options):
        done.append((recipe.seed, split.validation.tolist(), options))
        return probabilities(recipe.seed, split), HISTORY

    monkeypatch.setattr(cross_validation, "_train_fold", train_fold)
    return done


def probabilities(seed: int, split: Split) -> np.ndarray:
    columns = [np.full(len(split.validation), seed), split.validation, np.full(len(split.validation), len(split.train))]
    return np.stack(columns, axis=1).astype(np.float32)


def validate(store: Path, seeds: tuple[int, ...] = (5, 6), **options) -> list[FoldResult]:
    options = {"runtime": RUNTIME, "store": store, "seeds": seeds, **options}
    return list(cross_validate(Recipe(), BACKBONE, [CLASSES], TEXTS, LABEL_IDS, FOLDS, **options))


def test_each_row_is_predicted_once_with_each_seed(trainings, tmp_path):
    results = validate(tmp_path)
    assert [(result.seed, result.fold) for result in results] == [(5, 1), (5, 2), (5, 3), (6, 1), (6, 2), (6, 3)]
    for seed in (5, 6):
        found = out_of_fold(results, seed, ROWS)
        assert found.dtype == np.float32
        assert found[:, 0].tolist() == [seed] * ROWS
        assert found[:, 1].tolist() == [*range(ROWS)]
        assert found[:, 2].tolist() == [len(FOLDS[row % 3].train) for row in range(ROWS)]


def test_a_row_that_no_fold_validates_has_no_probabilities():
    result = FoldResult(5, 1, np.array([0, 2]), np.ones((2, CLASSES), np.float32), HISTORY)
    other_seed = FoldResult(6, 1, np.array([1]), np.zeros((1, CLASSES), np.float32), HISTORY)
    found = out_of_fold([result, other_seed], 5, 4)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False, True]


def test_finished_folds_are_not_trained_again(trainings, tmp_path):
    first = validate(tmp_path / "store")
    assert len(trainings) == 6
    second = validate(tmp_path / "store", seeds=(5, 6, 7))
    assert [seed for seed, *_ in trainings[6:]] == [7, 7, 7]
    for ours, theirs in zip(second, first, strict=False):
        assert (ours.seed, ours.fold, ours.history) == (theirs.seed, theirs.fold, HISTORY)
        np.testing.assert_array_equal(ours.positions, theirs.positions)
        np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)


def test_an_interruption_costs_the_fold_that_was_training(trainings, tmp_path, monkeypatch):
    train_fold = cross_validation._train_fold

    def interrupted(recipe, backbone, classes, texts, label_ids, split, **options):
        if split is FOLDS[1]:
            raise KeyboardInterrupt
        return train_fold(recipe, backbone, classes, texts, label_ids, split, **options)

    with monkeypatch.context() as patch:
        patch.setattr(cross_validation, "_train_fold", interrupted)
        with pytest.raises(KeyboardInterrupt):
            validate(tmp_path / "store", seeds=(5,))
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["seed-5-fold-1.npz"]
    trainings.clear()
    resumed = validate(tmp_path / "store", seeds=(5,))
    assert [rows for _, rows, _ in trainings] == [FOLDS[1].validation.tolist(), FOLDS[2].validation.tolist()]
    whole = validate(tmp_path / "other", seeds=(5,))
    np.testing.assert_array_equal(out_of_fold(resumed, 5, ROWS), out_of_fold(whole, 5, ROWS))


def test_a_full_disk_leaves_no_half_fold(trainings, tmp_path, monkeypatch):
    def full(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(OutputError, match="the disk is full; free some space and run the command again"):
            validate(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(validate(tmp_path)) == 6


def test_callbacks_are_made_for_the_folds_that_are_trained(trainings, tmp_path):
    asked = []

    def callbacks(seed, fold, rows):
        asked.append((seed, fold, rows))
        return [f"{seed}/{fold}"]

    validate(tmp_path, seeds=(5,), callbacks=callbacks, each_epoch=True)
    assert asked == [(5, fold, len(split.train)) for fold, split in enumerate(FOLDS, start=1)]
    assert [options["callbacks"] for *_, options in trainings] == [["5/1"], ["5/2"], ["5/3"]]
    assert [options["each_epoch"] for *_, options in trainings] == [True] * 3
    validate(tmp_path, seeds=(5,), callbacks=callbacks)
    assert len(asked) == 3


@pytest.mark.parametrize("each_epoch", [False, True])
def test_a_fold_learns_from_its_training_part_alone(monkeypatch, tmp_path, each_epoch):
    import_tensorflow()
    seen = []

    def fake_fit(recipe, backbone, classes, training, validation=None, **options):
        seen.append((recipe.seed, training, validation))
        exact = SimpleNamespace(encoder="encoder", history=HISTORY, probabilities=lambda rows: np.array(rows, float))
        return SimpleNamespace(in_float32=lambda: exact)  # what is exported, and so what is to be judged

    monkeypatch.setattr(trainer, "fit", fake_fit)
    monkeypatch.setattr(batching, "encode", lambda encoder, texts: [[int(text.split()[1])] * 3 for text in texts])
    results = validate(tmp_path, seeds=(5,), each_epoch=each_epoch)
    for (seed, training, validation), split, result in zip(seen, FOLDS, results, strict=True):
        assert seed == 5
        assert training.texts == [TEXTS[row] for row in split.train]
        assert training.label_ids.tolist() == LABEL_IDS[split.train].tolist()
        assert not set(training.texts) & {TEXTS[row] for row in split.validation}
        assert result.probabilities[:, 0].tolist() == split.validation.tolist()
        if each_epoch:
            assert validation.texts == [TEXTS[row] for row in split.validation]
            assert validation.label_ids.tolist() == LABEL_IDS[split.validation].tolist()
        else:
            assert validation is None


def test_other_settings_have_another_store(tmp_path):
    settings = {"task": "product", "recipe": {"epochs": 2, "seed": 0}, "folds": [[[0], [1]]]}
    store = store_for(tmp_path, **settings)
    assert store.parent == tmp_path
    assert store == store_for(tmp_path, **dict(reversed(settings.items())))
    others = [
        settings | {"task": "emotion"},
        settings | {"recipe": {"epochs": 3, "seed": 0}},
        settings | {"folds": [[[1], [0]]]},
        settings | {"precision": "float32"},
    ]
    assert len({store, *(store_for(tmp_path, **other) for other in others)}) == 5
    assert not list(tmp_path.iterdir())  # asking for its name makes no folder


WHAT_FOLDS_DEPEND_ON = {
    "data": "a" * 64,
    "folds": FOLDS,
    "backbone": BACKBONE,
    "runtime": RUNTIME,
    "recipe": Recipe(),
    "task": "product",
}


def test_the_same_run_has_the_same_store_of_folds(tmp_path):
    again = {
        "data": "a" * 64,
        "folds": [Split(split.train.copy(), split.validation.copy()) for split in FOLDS],
        "backbone": replace(BACKBONE),
        "runtime": replace(RUNTIME),
        "recipe": Recipe(),
        "task": "product",
    }
    assert store_of_folds(tmp_path, **again) == store_of_folds(tmp_path, **WHAT_FOLDS_DEPEND_ON)


@pytest.mark.parametrize(
    "other",
    [
        {"data": "b" * 64},
        {"folds": FOLDS[:2]},
        {"folds": [Split(FOLDS[0].train[1:], FOLDS[0].validation), *FOLDS[1:]]},
        {"folds": [Split(FOLDS[0].train, FOLDS[0].validation[1:]), *FOLDS[1:]]},
        {"backbone": replace(BACKBONE, sha256="1" * 64)},
        {"runtime": replace(RUNTIME, precision="mixed_bfloat16")},
        {"runtime": replace(RUNTIME, xla=True)},
        {"runtime": replace(RUNTIME, deterministic=True)},
        {"recipe": Recipe(epochs=Recipe().epochs + 1)},
        {"task": "emotion"},
        {"each_epoch": True},
    ],
    ids=[
        *("data", "number of folds", "rows that train", "rows that validate", "weights"),
        *("precision", "xla", "deterministic", "recipe", "task", "one thing more"),
    ],
)
def test_folds_of_another_run_are_kept_elsewhere(tmp_path, other):
    store = store_of_folds(tmp_path, **WHAT_FOLDS_DEPEND_ON)
    assert store_of_folds(tmp_path, **WHAT_FOLDS_DEPEND_ON | other) != store


def test_folds_of_other_versions_are_kept_elsewhere(tmp_path, monkeypatch):
    store = store_of_folds(tmp_path, **WHAT_FOLDS_DEPEND_ON)
    monkeypatch.setattr(cross_validation, "versions", lambda: {"tensorflow": "0"})
    assert store_of_folds(tmp_path, **WHAT_FOLDS_DEPEND_ON) != store
