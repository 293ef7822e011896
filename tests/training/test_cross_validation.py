"""Cross-validation: each row predicted once by a model that did not see it, and finished folds kept."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tf_model import paths
from tf_model.config import TARGET, TrainingConfig
from tf_model.data import TrainingRows
from tf_model.data.splits import Split
from tf_model.device import Runtime, import_tensorflow
from tf_model.errors import DataError, OutputError
from tf_model.modeling.backbone import Backbone
from tf_model.preprocessing import batching
from tf_model.preprocessing.cleaning import CLEANINGS
from tf_model.tasks import Task
from tf_model.training import cross_validation, trainer
from tf_model.training.cross_validation import FoldResult, cross_validate, grouped_store, out_of_fold

ROWS, CLASSES = 11, 3
TEXTS = [f"text {row}" for row in range(ROWS)]
LABEL_IDS = (np.arange(ROWS) % CLASSES)[:, np.newaxis]
TASK = Task("product", "brand", ("a", "b", "c"))
EXAMPLES = TrainingRows((TASK,), np.arange(ROWS), TEXTS, LABEL_IDS)
# Row r is in the validation part of fold r % 3 + 1.
FOLDS = [Split(*(np.flatnonzero((np.arange(ROWS) % 3 == fold) == part) for part in (False, True))) for fold in range(3)]
HISTORY = [{"epoch": 1, "seconds": 1.5, "loss": 0.1, "accuracy": 1.0}]
RUNTIME = Runtime("CPU", 0, "float32", deterministic=False)
BACKBONE = Backbone("tiny", Path("nowhere"), "nowhere", True, "0" * 64, "0" * 64)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Replaces training: each fold is recorded; its probabilities are the seed, the row, and how many rows trained."""
    done = []

    def train_fold(recipe, backbone, rows, encoded, split, **options):
        done.append((recipe.seed, split.validation.tolist(), options))
        return FoldResult(split.validation, probabilities(recipe.seed, split), HISTORY)

    monkeypatch.setattr(cross_validation, "_train_fold", train_fold)
    monkeypatch.setattr(trainer, "text_encoder", lambda *_: "encoder")
    monkeypatch.setattr("tf_model.preprocessing.batching.encode", lambda *_: "token ids")
    return done


def probabilities(seed: int, split: Split) -> np.ndarray:
    columns = [np.full(len(split.validation), seed), split.validation, np.full(len(split.validation), len(split.train))]
    return np.stack(columns, axis=1).astype(np.float32)


def validate(store: Path, seed: int = 5, **options) -> list[FoldResult]:
    options = {"runtime": RUNTIME, "store": store, "title": f"seed {seed}", **options}
    return cross_validate(TrainingConfig(seed=seed), BACKBONE, EXAMPLES, FOLDS, **options)


def test_each_row_is_predicted_once_with_each_seed(trainings, tmp_path):
    for seed in (5, 6):
        results = validate(tmp_path, seed)
        assert [result.positions.tolist() for result in results] == [split.validation.tolist() for split in FOLDS]
        found = out_of_fold(results, ROWS)
        assert found.dtype == np.float32
        assert found[:, 0].tolist() == [seed] * ROWS
        assert found[:, 1].tolist() == [*range(ROWS)]
        assert found[:, 2].tolist() == [len(FOLDS[row % 3].train) for row in range(ROWS)]


def test_a_row_that_no_fold_validates_has_no_probabilities():
    found = out_of_fold([FoldResult(np.array([0, 2]), np.ones((2, CLASSES), np.float32), HISTORY)], 4)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False, True]


def test_finished_folds_are_not_trained_again(trainings, tmp_path):
    first = validate(tmp_path / "store")
    second = validate(tmp_path / "store")
    assert [seed for seed, *_ in trainings] == [5, 5, 5]
    validate(tmp_path / "store", seed=7)
    assert [seed for seed, *_ in trainings] == [5, 5, 5, 7, 7, 7]
    for ours, theirs in zip(second, first, strict=True):
        assert ours.history == HISTORY
        np.testing.assert_array_equal(ours.positions, theirs.positions)
        np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)


def test_an_interruption_costs_the_fold_that_was_training(trainings, tmp_path, monkeypatch):
    train_fold = cross_validation._train_fold

    def interrupted(recipe, backbone, rows, encoded, split, **options):
        if split is FOLDS[1]:
            raise KeyboardInterrupt
        return train_fold(recipe, backbone, rows, encoded, split, **options)

    with monkeypatch.context() as patch:
        patch.setattr(cross_validation, "_train_fold", interrupted)
        with pytest.raises(KeyboardInterrupt):
            validate(tmp_path / "store")
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["seed-5-fold-1.npz"]
    trainings.clear()
    resumed = validate(tmp_path / "store")
    assert [rows for _, rows, _ in trainings] == [FOLDS[1].validation.tolist(), FOLDS[2].validation.tolist()]
    whole = validate(tmp_path / "other")
    np.testing.assert_array_equal(out_of_fold(resumed, ROWS), out_of_fold(whole, ROWS))


def test_a_full_disk_leaves_no_half_fold(trainings, tmp_path, monkeypatch):
    def full(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(OutputError, match="the disk is full; free some space and run the command again"):
            validate(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(validate(tmp_path)) == 3


def test_progress_is_shown_for_the_folds_that_are_trained(trainings, tmp_path, capsys):
    validate(tmp_path, each_epoch=True)
    assert capsys.readouterr().err.splitlines() == [f"seed 5, fold {fold} of 3" for fold in (1, 2, 3)]
    assert [options["each_epoch"] for *_, options in trainings] == [True] * 3
    validate(tmp_path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("each_epoch", [False, True])
def test_a_fold_learns_from_its_training_part_alone_and_texts_are_encoded_once(monkeypatch, tmp_path, each_epoch):
    tf = import_tensorflow()
    seen, encoded = [], []

    def fake_fit(recipe, backbone, classes, encoder, training, validation=None, **options):
        seen.append((recipe.seed, training, validation))
        assert len(options["callbacks"]) == 1, "the progress"
        exact = SimpleNamespace(history=HISTORY, probabilities=lambda ids: ids.to_tensor().numpy().astype(float))
        return SimpleNamespace(in_float32=lambda: exact)  # this is exported, so this must be evaluated

    def encode(encoder, texts):
        encoded.append(list(texts))
        numbers = [int(text.split()[1]) for text in texts]
        return tf.ragged.constant([[number, 1 - number, 0] for number in numbers])  # as if they were probabilities

    monkeypatch.setattr(trainer, "fit", fake_fit)
    monkeypatch.setattr(trainer, "text_encoder", lambda recipe, backbone: "encoder")
    monkeypatch.setattr(batching, "encode", encode)
    results = validate(tmp_path, each_epoch=each_epoch)
    assert encoded == [TEXTS]
    for (seed, training, validation), split, result in zip(seen, FOLDS, results, strict=True):
        assert seed == 5
        assert training.token_ids.to_tensor().numpy()[:, 0].tolist() == split.train.tolist()
        assert training.label_ids.tolist() == LABEL_IDS[split.train].tolist()
        assert result.probabilities[:, 0].tolist() == split.validation.tolist()
        if each_epoch:
            assert validation.token_ids.to_tensor().numpy()[:, 0].tolist() == split.validation.tolist()
            assert validation.label_ids.tolist() == LABEL_IDS[split.validation].tolist()
        else:
            assert validation is None


def test_a_fold_that_diverged_is_one_clear_line_and_is_not_kept(monkeypatch, tmp_path):
    tf = import_tensorflow()
    diverged = SimpleNamespace(history=HISTORY, probabilities=lambda ids: np.full((len(ids), CLASSES), np.nan))
    monkeypatch.setattr(trainer, "fit_rows", lambda *_, **__: diverged)
    monkeypatch.setattr(trainer, "text_encoder", lambda *_: "encoder")
    monkeypatch.setattr(batching, "encode", lambda _, texts: tf.zeros([len(texts), 1]))
    with pytest.raises(DataError, match="train again with a lower learning rate"):
        validate(tmp_path)
    assert not list(tmp_path.iterdir())


WHAT_FOLDS_DEPEND_ON = {
    "config": TrainingConfig(),
    "backbone": BACKBONE,
    "runtime": RUNTIME,
    "folds": FOLDS,
    "dataset_identity": "a" * 64,
    "rows": EXAMPLES,
    "task": "product",
}


def test_the_same_run_has_the_same_store_whatever_the_seed():
    again = {
        "config": TrainingConfig(seed=7),
        "backbone": replace(BACKBONE),
        "runtime": replace(RUNTIME),
        "folds": [Split(split.train.copy(), split.validation.copy()) for split in FOLDS],
        "dataset_identity": "a" * 64,
        "rows": replace(EXAMPLES),
        "task": "product",
    }
    assert grouped_store(**again) == grouped_store(**WHAT_FOLDS_DEPEND_ON)


@pytest.mark.parametrize(
    "other",
    [
        {"dataset_identity": "b" * 64},
        {"folds": FOLDS[:2]},
        {"folds": [Split(FOLDS[0].train[1:], FOLDS[0].validation), *FOLDS[1:]]},
        {"folds": [Split(FOLDS[0].train, FOLDS[0].validation[1:]), *FOLDS[1:]]},
        {"backbone": replace(BACKBONE, identity="1" * 64)},
        {"runtime": replace(RUNTIME, precision="mixed_bfloat16")},
        {"runtime": replace(RUNTIME, deterministic=True)},
        {"runtime": replace(RUNTIME, gpus=1)},
        {"config": TrainingConfig(epochs=TrainingConfig().epochs + 1)},
        {"task": "emotion"},
        {"part": "train"},
        {"each_epoch": True},
    ],
    ids=[
        *("data", "number of folds", "rows that train", "rows that validate", "weights"),
        *("precision", "deterministic", "a GPU", "recipe", "task", "part", "each epoch"),
    ],
)
def test_folds_of_another_run_are_kept_elsewhere(tmp_path, monkeypatch, other):
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path)
    store = grouped_store(**WHAT_FOLDS_DEPEND_ON)
    assert store.parent == tmp_path
    assert grouped_store(**WHAT_FOLDS_DEPEND_ON | other) != store
    assert not list(tmp_path.iterdir())  # naming the folder does not create it


def test_folds_of_other_versions_are_kept_elsewhere(monkeypatch):
    store = grouped_store(**WHAT_FOLDS_DEPEND_ON)
    monkeypatch.setattr(cross_validation, "versions", lambda: {"tensorflow": "0"})
    assert grouped_store(**WHAT_FOLDS_DEPEND_ON) != store


def test_folds_of_mentions_depend_on_texts_opinions_and_cleaning(tmp_path, monkeypatch):
    def store(rows: TrainingRows = EXAMPLES) -> Path:
        return grouped_store(TARGET, BACKBONE, RUNTIME, FOLDS, "a" * 64, rows, "target")

    before, opinions = store(), tmp_path / "opinions.csv"
    # The products decide which mention of a text is marked.
    assert store(replace(EXAMPLES, texts=["other", *TEXTS[1:]])) != before
    with monkeypatch.context() as patch:
        cleaning = replace(CLEANINGS[TARGET.cleaning], steps=CLEANINGS[TARGET.cleaning].steps[1:])
        patch.setitem(CLEANINGS, TARGET.cleaning, cleaning)
        assert store() != before
    content = paths.OPINIONS.read_text(encoding="utf-8")
    monkeypatch.setattr(paths, "OPINIONS", opinions)
    opinions.write_text(content, encoding="utf-8")
    assert store() == before
    opinions.write_text(content + content.splitlines()[-1], encoding="utf-8")
    assert store() != before
