"""The variants: what each one learns from, that nothing else differs, and that later figures are comparable."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from research import ablation, runs, study, variants
from research.methods import bugs
from tf_model import config, data, device, paths, tasks
from tf_model.training import distillation
from tf_model.training.cross_validation import FOLD_SEED

CLASSES = [len(task.labels) for task in tasks.ANSWER_TASKS]

pytestmark = pytest.mark.timeout(1200)  # several tests train a network or more


@pytest.fixture(scope="module")
def problem(problems):
    return problems[tasks.ANSWER]


@pytest.fixture(scope="module")
def settings(shallow_bert, without_graphs):
    prepare = device.prepare
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "prepare", lambda seed, **_: prepare(seed, precision="float32"))
        yield replace(config.ANSWER, backbone=str(shallow_bert), epochs=1, batch_size=16, learning_rate=1e-2, seed=3)


@pytest.fixture(scope="module")
def rows(problem) -> data.TrainingRows:
    return problem.rows.take(np.arange(0, len(problem.rows), 2))  # enough for the mechanics


@pytest.fixture(scope="module")
def unchanged(rows, settings) -> np.ndarray:
    """The probabilities of 20 texts after the training as it is."""
    return variants.train_and_score(rows, settings, rows.texts[:20])


# ---------------------------------------------------------------- what is learned


def test_a_student_is_taught_by_models_that_had_not_seen_the_row(rows, stores, monkeypatch):
    asked = []

    def train_and_score(part, settings, texts, *_):
        assert not set(part.texts) & set(texts)
        asked.append((settings.seed, len(texts)))
        product, emotion = ([0.9] + [0.1 / (size - 1)] * (size - 1) for size in CLASSES)
        return np.tile(np.float32(product + emotion), (len(texts), 1))

    monkeypatch.setattr(variants, "train_and_score", train_and_score)
    for _ in "ab":  # the second time, what the teachers said is kept
        targets = variants.distilled({"seed": 5}, {"seed": 6})(rows, replace(config.ANSWER, teacher_weight=0.5))
    assert [seed for seed, _ in asked] == [5] * 3 + [6] * 3
    assert sum(number for _, number in asked) == 2 * len(rows)
    for part, ids in zip(np.split(targets, [CLASSES[0]], axis=1), rows.label_ids.T, strict=True):
        np.testing.assert_allclose(part.sum(axis=1), 1, atol=1e-5)  # also where there is no label
        others = np.flatnonzero(ids > 0)
        assert (part[others, ids[others]] > 0.5).all()


# ---------------------------------------------------------------- nothing else differs


def test_labels_as_targets_are_the_training_as_it_is(rows, settings, unchanged):
    texts = rows.texts[:20]

    def labels(rows, _):
        no_teacher = np.zeros((len(rows), sum(CLASSES)), np.float32)
        return distillation.blend(rows.label_ids, no_teacher, weight=0.0, tasks=rows.tasks)

    as_targets = variants.train_and_score(rows, settings, texts, labels)
    np.testing.assert_allclose(as_targets, unchanged, atol=1e-4)


def test_a_fold_is_trained_on_its_training_part_as_the_variant_says_and_kept(problem, settings, stores, monkeypatch):
    trained, read, folds = [], set(), problem.folds[study.GROUPED]

    def train_and_score(rows, settings, texts, targets=None, prepare=None):
        read.update(rows.texts, texts)
        trained.append((rows.rows.tolist(), settings.r_drop, targets, prepare))
        return np.full((len(texts), sum(CLASSES)), 0.25, np.float32)

    monkeypatch.setattr(variants, "train_and_score", train_and_score)
    parts = [problem.rows.rows[split.train].tolist() for split in folds]
    for name, *options in (
        ("unchanged", 0, None, None),
        ("distilled_minilm", 0, variants.VARIANTS["distilled_minilm"].targets, None),
        ("r_drop", 1.0, None, None),
        ("second_layer", 0, None, bugs.add_second_layer),
    ):
        for _ in "ab":
            variants.out_of_fold(name, (variants.VARIANTS | ablation.SWITCHES)[name], problem, folds, settings)
            assert trained == [(part, *options) for part in parts]
        trained.clear()
    other = replace(variants.VARIANTS["r_drop"], settings={"r_drop": 0.2})
    variants.out_of_fold("r_drop", other, problem, folds, settings)
    assert {r_drop for _, r_drop, *_ in trained} == {0.2}, "folds of other settings are not taken"
    trained.clear()
    monkeypatch.setattr(device, "prepare", lambda _: SimpleNamespace(precision="mixed_bfloat16", gpus=0))
    variants.out_of_fold("r_drop", other, problem, folds, settings)
    assert len(trained) == len(folds), "nor folds in another number format"
    read.clear()
    shouted = replace(other, inputs=lambda texts: np.array([text.upper() for text in texts], object))
    variants.out_of_fold("r_drop", shouted, problem, folds, settings)
    assert read == {text.upper() for text in problem.rows.texts}


# ---------------------------------------------------------------- the record


@pytest.fixture
def made_up(made_once, monkeypatch, tmp_path):
    """The command with a stand-in for training: each variant predicts a set share of the rows correctly."""
    shares = {variants.UNCHANGED: 0.6, "r_drop": 0.7, "lora": 0.6}
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    asked = []

    def out_of_fold(name, variant, problem, folds, recipe):
        asked.append((name, recipe.seed))
        random, parts = np.random.default_rng(recipe.seed), []
        for ids, size in zip(problem.rows.label_ids.T, CLASSES, strict=True):
            said = np.where(random.random(len(ids)) < shares[name], np.maximum(ids, 0), (ids + 1) % size)
            parts.append(np.eye(size, dtype=np.float32)[said] * 0.8 + 0.2 / size)
        return study.OutOfFold(np.concatenate(parts, axis=1), 10.0)

    monkeypatch.setattr(variants, "out_of_fold", out_of_fold)

    def command(*names: str, seeds: str = "0") -> dict:
        arguments = ["--data", str(paths.SAMPLE_CORPUS), *(["--variants", *names] if names else [])]
        arguments += ["--fold-seed", str(FOLD_SEED), "--seeds", *seeds.split()]
        variants.main(arguments)
        path = tmp_path / "variants.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    command.asked = asked
    return command


def test_a_variant_that_is_measured_later_is_compared_tweet_by_tweet(made_up):
    made_up(variants.UNCHANGED, seeds="0 1")
    run = made_up("r_drop", seeds="1 0")
    assert made_up.asked == [
        (variants.UNCHANGED, 0),
        (variants.UNCHANGED, 1),
        ("r_drop", 1),
        ("r_drop", 0),
    ]
    found = run["variants"]["r_drop"]
    assert list(found["seeds"]) == ["0", "1"]
    assert found["paired"]["emotion"]["seeds"] == ["0", "1"]
    low, high = found["paired"]["emotion"]["interval"]
    assert 0 < low < found["paired"]["emotion"]["difference"] < high
    unchanged, changed = (
        {seed: each["headline"] for seed, each in run["variants"][name]["seeds"].items()}
        for name in (variants.UNCHANGED, "r_drop")
    )
    gain = np.mean([changed[seed]["emotion_accuracy"] - unchanged[seed]["emotion_accuracy"] for seed in changed])
    assert found["paired"]["emotion"]["difference"] == pytest.approx(gain)
    run = made_up("lora")
    base = "python -m research.variants --variants"
    assert run["command"].split(" and ") == [
        f"{base} unchanged --fold-seed 0 --seeds 0 1",
        f"{base} r_drop --fold-seed 0 --seeds 1 0",
        f"{base} lora --fold-seed 0 --seeds 0",
    ]


def test_tweets_with_an_emotion_are_compared_by_themselves(made_up, problem):
    run = made_up(variants.UNCHANGED, "r_drop")
    with_emotion = problem.rows.label_ids[:, 1]
    with_emotion = np.isin(
        with_emotion, [tasks.EMOTION.labels.index(label) for label in (tasks.NEGATIVE, tasks.POSITIVE)]
    )
    sides = []
    for name in (variants.UNCHANGED, "r_drop"):
        right = runs.unpack(
            run["variants"][name]["seeds"]["0"]["right"]["answer"], (problem.rows.label_ids[:, 1] >= 0).sum()
        )
        sides.append(right[with_emotion[problem.rows.label_ids[:, 1] >= 0]].mean())
    found = run["variants"]["r_drop"]["paired"]
    assert found["answer_emotion_rows"]["difference"] == pytest.approx(sides[1] - sides[0])
    assert found["answer_emotion_rows"]["difference"] != pytest.approx(found["answer"]["difference"])


def test_without_a_seed_variants_are_measured_on_other_folds_than_the_reported_ones_and_recorded_apart(
    made_up, tmp_path, capsys
):
    variants.main(["--data", str(paths.SAMPLE_CORPUS), "--variants", "r_drop"])
    printed = capsys.readouterr().out
    assert "r_drop, seed 100: product_accuracy 0." in printed
    assert "r_drop less unchanged, emotion: seeds [100], difference " in printed
    assert "unchanged less unchanged" not in printed
    chosen = json.loads((tmp_path / "variants_folds_100.json").read_text())["variants"]
    assert set(chosen) == {variants.UNCHANGED, "r_drop"}
    assert made_up.asked == [(variants.UNCHANGED, 100), ("r_drop", 100)]
    assert not (tmp_path / "variants.json").exists()


def test_number_formats_are_not_compared_with_each_other(made_up, tmp_path, monkeypatch):
    made_up(variants.UNCHANGED)
    before = (tmp_path / "variants.json").read_bytes()
    monkeypatch.setattr(study, "precision_and_gpus", lambda: ["float32", 0])
    made_up("r_drop")
    assert made_up.asked[1:] == [(variants.UNCHANGED, 0), ("r_drop", 0)]
    assert list(json.loads((tmp_path / "variants_float32.json").read_text())["variants"]) == [
        variants.UNCHANGED,
        "r_drop",
    ]
    assert (tmp_path / "variants.json").read_bytes() == before


def test_the_training_as_it_is_is_measured_for_each_seed(made_up):
    assert list(made_up("r_drop")["variants"]) == [variants.UNCHANGED, "r_drop"]
    made_up("lora", seeds="0 1")
    assert made_up.asked[2:] == [("lora", 0), (variants.UNCHANGED, 1), ("lora", 1)]


def test_figures_from_before_a_setting_was_added_stay(made_up, tmp_path):
    run = made_up(variants.UNCHANGED)
    del run["recipe"]["label_smoothing"]
    run["variants"]["no longer in the code"] = run["variants"][variants.UNCHANGED]
    (tmp_path / "variants.json").write_text(json.dumps(run))
    found = made_up("r_drop")["variants"]
    assert list(found) == [variants.UNCHANGED, "no longer in the code", "r_drop"]
    assert found["no longer in the code"] == run["variants"][variants.UNCHANGED]


def test_figures_of_another_recipe_do_not_stay(made_up, monkeypatch):
    made_up(variants.UNCHANGED, "r_drop")
    monkeypatch.setattr(config, "ANSWER", replace(config.ANSWER, epochs=7))
    run = made_up(variants.UNCHANGED)
    assert list(run["variants"]) == [variants.UNCHANGED]
    assert run["recipe"]["epochs"] == 7
