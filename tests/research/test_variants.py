"""The variants: what each one learns from, that nothing else differs, and that later figures are comparable."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from research import runs, study, variants
from tf_model import config, data, device, paths, tasks
from tf_model.training.cross_validation import FOLD_SEED

CLASSES = variants.CLASSES
NONE = tasks.NO_LABEL

pytestmark = pytest.mark.timeout(1200)  # several tests train a network or more


@pytest.fixture(scope="module")
def dataset():
    return data.read(paths.SAMPLE_CORPUS)


@pytest.fixture(scope="module")
def problem(dataset):
    return study.make_problem(dataset, tasks.ANSWER)


@pytest.fixture(scope="module")
def settings(shallow_bert):
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


def labels_of(rows: data.TrainingRows, label_ids: list[list[int]]) -> data.TrainingRows:
    return replace(rows.take(np.arange(len(label_ids))), label_ids=np.array(label_ids))


# ---------------------------------------------------------------- what is learned


def test_a_row_without_a_label_of_a_task_has_no_target_of_it(rows):
    few = labels_of(rows, [[0, NONE], [NONE, 2], [3, 1]])
    for targets in (variants.hard_targets, variants.class_balanced):
        product, emotion = np.split(targets(few, config.ANSWER), [CLASSES[0]], axis=1)
        assert (product.sum(axis=1) > 0).tolist() == [True, False, True]
        assert (emotion.sum(axis=1) > 0).tolist() == [False, True, True]


def test_rare_classes_weigh_more_and_all_together_as_much_as_before(rows):
    weights = variants.class_balanced(labels_of(rows, [[0, 1]] * 9 + [[1, 1]]), config.ANSWER).sum(axis=0)
    assert weights[:2].sum() == pytest.approx(10)
    assert (weights[1] / 1) / (weights[0] / 9) == pytest.approx(3)  # nine times as rare
    assert weights[CLASSES[0] + 1] == pytest.approx(10)


def test_the_labels_that_the_tfidf_baseline_doubts_most_are_left_out(rows, monkeypatch):
    doubted = set(rows.texts[::7])

    def out_of_fold(texts, label_ids, folds, classes):
        assert label_ids.min() >= 0
        answered = np.concatenate([fold.validation for fold in folds])
        assert np.array_equal(np.sort(answered), np.arange(len(texts)))
        assert not any(np.intersect1d(fold.train, fold.validation).size for fold in folds)
        probabilities = np.full((len(texts), classes), 0.5)
        probabilities[[text in doubted for text in texts]] = 0.1
        return probabilities

    monkeypatch.setattr(variants.label_errors, "out_of_fold", out_of_fold)
    every, kept = (targets(rows, config.ANSWER) for targets in (variants.hard_targets, variants.without_doubtful))
    for all_of_task, left in zip(*(np.split(targets, [CLASSES[0]], axis=1) for targets in (every, kept)), strict=True):
        without = np.flatnonzero((all_of_task != left).any(axis=1))
        assert len(without) == round(0.05 * all_of_task.sum()) > 0
        assert not left[without].any()
        assert {rows.texts[position] for position in without} <= doubted


def test_a_student_is_taught_by_models_that_had_not_seen_the_row(rows, monkeypatch):
    asked = []

    def train_and_score(part, settings, texts):
        assert not set(part.texts) & set(texts)
        asked.append((settings.seed, len(texts)))
        product, emotion = ([0.9] + [0.1 / (size - 1)] * (size - 1) for size in CLASSES)
        return np.tile(np.float32(product + emotion), (len(texts), 1))

    monkeypatch.setattr(variants, "train_and_score", train_and_score)
    targets = variants.distilled({"seed": 5}, {"seed": 6})(rows, replace(config.ANSWER, teacher_weight=0.5))
    assert [seed for seed, _ in asked] == [5] * 3 + [6] * 3
    assert sum(number for _, number in asked) == 2 * len(rows)
    for part, ids in zip(np.split(targets, [CLASSES[0]], axis=1), rows.label_ids.T, strict=True):
        np.testing.assert_allclose(part.sum(axis=1), 1, atol=1e-5)  # also where there is no label
        others = np.flatnonzero(ids > 0)
        assert (part[others, ids[others]] > 0.5).all()


# ---------------------------------------------------------------- nothing else differs


def test_each_way_of_learning_makes_another_model(rows, settings, unchanged):
    for name in ("ema", "layer_rates", "r_drop", "lora"):
        variant = variants.VARIANTS[name]
        own_settings = replace(settings, lora_rank=2) if name == "lora" else replace(settings, **variant.settings)
        changed = variants.train_and_score(rows, own_settings, rows.texts[:20], prepare=variant.prepare)
        assert np.isfinite(changed).all(), name
        assert np.abs(changed - unchanged).max() > 1e-4, name


def test_lower_layers_learn_more_slowly(shallow_bert):
    from tf_model.modeling import backbone, classifier

    device.prepare(0, precision="float32")
    model = classifier.build(backbone.find(str(shallow_bert)), CLASSES)
    classifier.compile_model(model, replace(config.REPORT, learning_rate=0.01), steps=1)
    variants.layer_wise_rates(model)
    model.optimizer.build(model.trainable_variables)
    before = {each.name: each.numpy() for each in model.trainable_variables}
    model.optimizer.apply_gradients([(each * 0 + 1, each) for each in model.trainable_variables])
    steps = {each.name: np.abs(each.numpy() - before[each.name]).max() for each in model.trainable_variables}
    for part, powers in {"classifier": 0, "layer_._0": 1, "embeddings": 2}.items():
        found = [step for name, step in steps.items() if part in name]
        np.testing.assert_allclose(found, 0.01 * variants.LAYER_DECAY**powers, rtol=1e-3)


def test_labels_as_targets_are_the_training_as_it_is(rows, settings, unchanged):
    texts = rows.texts[:20]
    as_targets = variants.train_and_score(rows, settings, texts, variants.hard_targets)
    np.testing.assert_allclose(as_targets, unchanged, atol=1e-4)
    smoothed = variants.train_and_score(rows, replace(settings, label_smoothing=variants.SMOOTHING), texts)
    assert np.abs(smoothed - unchanged).max() > 1e-3


def test_a_model_for_each_task_learns_from_its_own_labels_alone(rows, monkeypatch):
    learned = []

    def train_and_score(part, settings, texts):
        learned.append(dict(zip(part.texts, part.label_ids.tolist(), strict=True)))
        return np.full((len(texts), sum(CLASSES)), len(learned))

    monkeypatch.setattr(variants, "train_and_score", train_and_score)
    found = variants.two_models(rows, config.ANSWER, rows.texts[:20])
    labelled = list(zip(rows.texts, rows.label_ids.tolist(), strict=True))
    assert learned == [
        {text: [product, NONE] for text, (product, _) in labelled if product != NONE},
        {text: [NONE, emotion] for text, (_, emotion) in labelled if emotion != NONE},
    ]
    np.testing.assert_array_equal(found, np.tile(np.repeat([1, 2], CLASSES), (20, 1)))


def test_targets_as_a_third_task_are_those_of_the_training_part(problem, settings, dataset, stores, monkeypatch):
    learned = []

    class Classifier:
        def __init__(self, settings, classes, **_):
            assert (settings.cleaning, classes) == ("target", [*CLASSES, 3])

        def fit(self, texts, label_ids):
            learned.append(dict(zip(texts, label_ids.tolist(), strict=True)))
            return self

        def predict_proba(self, texts):
            return np.full((len(texts), sum(CLASSES) + 3), 0.5, np.float32)

    monkeypatch.setattr(variants, "FineTuned", Classifier)
    found = variants.out_of_fold("with_targets", problem, settings, dataset)
    assert found.scores.shape == (len(problem.rows), sum(CLASSES))
    mentions = data.training_rows(dataset, tasks.TARGET.name)
    for part, split in zip(learned, problem.folds[study.GROUPED], strict=True):
        train = problem.rows.take(split.train)
        own = mentions.numbered(train.rows)
        assert len(part) == len(train) + len(own)
        assert all(part[text] == [*ids, NONE] for text, ids in zip(train.texts, train.label_ids.tolist(), strict=True))
        assert all(part[text] == [NONE, NONE, each] for text, [each] in zip(own.texts, own.label_ids, strict=True))


def test_a_fold_is_trained_on_its_training_part_as_the_variant_says_and_kept(
    problem, settings, dataset, stores, monkeypatch
):
    trained, folds = [], problem.folds[study.GROUPED]

    def train_and_score(rows, settings, texts, targets=None, prepare=None):
        trained.append((rows.rows.tolist(), settings.label_smoothing, targets, prepare))
        return np.full((len(texts), sum(CLASSES)), 0.25, np.float32)

    monkeypatch.setattr(variants, "train_and_score", train_and_score)
    parts = [problem.rows.rows[split.train].tolist() for split in folds]
    for name, *options in (
        ("unchanged", 0, None, None),
        ("class_balanced", 0, variants.class_balanced, None),
        ("label_smoothing", variants.SMOOTHING, None, None),
        ("half_layers", 0, None, variants.half_the_layers),
    ):
        for _ in "ab":
            variants.out_of_fold(name, problem, settings, dataset)
            assert trained == [(part, *options) for part in parts]
        trained.clear()
    other = replace(variants.VARIANTS["label_smoothing"], settings={"label_smoothing": 0.2})
    monkeypatch.setitem(variants.VARIANTS, "label_smoothing", other)
    variants.out_of_fold("label_smoothing", problem, settings, dataset)
    assert {smoothing for _, smoothing, *_ in trained} == {0.2}, "folds of other settings are not taken"


def test_what_recalibrates_trains_nothing_of_its_own(problem, settings, dataset, stores, monkeypatch):
    random = np.random.default_rng(0)

    def train_and_score(rows, settings, texts, *_):
        return random.dirichlet(np.ones(sum(CLASSES)), len(texts)).astype(np.float32)

    monkeypatch.setattr(variants, "train_and_score", train_and_score)
    unchanged = variants.out_of_fold(variants.UNCHANGED, problem, settings, dataset)
    recalibrated = variants.out_of_fold("class_bias", problem, settings, dataset)
    parts = [split.validation for split in problem.folds[study.GROUPED]]
    expected = variants.with_class_bias(problem.rows.label_ids, unchanged.scores, parts, variants.likeliest_bias)
    np.testing.assert_array_equal(recalibrated.scores, expected)
    assert recalibrated.seconds == 0


# ---------------------------------------------------------------- how the probabilities are adjusted


def test_a_bias_of_each_class_mends_the_shares_by_the_labels_of_the_other_parts():
    random = np.random.default_rng(0)
    label_ids = np.stack([random.choice(size, 4000) for size in CLASSES], axis=1)
    label_ids[:, 1] = random.choice(CLASSES[1], 4000, p=[0.05, 0.65, 0.3])
    label_ids[::7, 0] = NONE
    columns = []
    for ids, size in zip(label_ids.T, CLASSES, strict=True):
        scores = random.normal(size=(4000, size)) + 1.5 * np.eye(size)[ids]
        columns.append(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))
    said = np.concatenate(columns, axis=1)  # as if all emotions were equally frequent
    parts = np.array_split(random.permutation(4000), 4)
    shares = np.bincount(label_ids[:, 1]) / 4000
    mended = variants.with_class_bias(label_ids, said, parts, variants.likeliest_bias)
    assert np.abs(said[:, CLASSES[0] :].mean(axis=0) - shares).max() > 0.1
    np.testing.assert_allclose(mended[:, CLASSES[0] :].mean(axis=0), shares, atol=0.005)
    np.testing.assert_allclose(mended[:, : CLASSES[0]].sum(axis=1), 1, atol=1e-6)
    own = label_ids.copy()
    own[parts[0], 1] = 0
    np.testing.assert_array_equal(
        variants.with_class_bias(own, said, parts, variants.likeliest_bias)[parts[0]], mended[parts[0]]
    )


def test_a_bias_for_macro_f1_finds_a_rare_class():
    random = np.random.default_rng(1)
    label_ids = random.choice(3, 600, p=[0.1, 0.6, 0.3])
    scores = np.log([0.1, 0.6, 0.3]) + random.normal(size=(600, 3)) + 1.2 * np.eye(3)[label_ids]
    said = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    better = variants._scaled(said, variants.macro_f1_bias(label_ids, said))
    old, new = (f1_score(label_ids, each.argmax(axis=1), average="macro") for each in (said, better))
    assert new > old + 0.02
    np.testing.assert_allclose(better.sum(axis=1), 1)


# ---------------------------------------------------------------- the record


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """The command with a stand-in for training: each variant predicts a set share of the rows correctly."""
    shares = {variants.UNCHANGED: 0.6, "label_smoothing": 0.7, "two_models": 0.6, "without_doubtful": 0.6}
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    asked = []

    def out_of_fold(name, problem, recipe, _):
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
        path = tmp_path / "levers.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    command.asked = asked
    return command


def test_a_variant_that_is_measured_later_is_compared_tweet_by_tweet(made_up):
    made_up(variants.UNCHANGED, seeds="0 1")
    run = made_up("label_smoothing", seeds="1 0")
    assert made_up.asked == [
        (variants.UNCHANGED, 0),
        (variants.UNCHANGED, 1),
        ("label_smoothing", 1),
        ("label_smoothing", 0),
    ]
    found = run["levers"]["label_smoothing"]
    assert list(found["seeds"]) == ["0", "1"]
    assert found["paired"]["emotion"]["seeds"] == ["0", "1"]
    low, high = found["paired"]["emotion"]["interval"]
    assert 0 < low < found["paired"]["emotion"]["difference"] < high
    unchanged, smoothed = (
        {seed: each["headline"] for seed, each in run["levers"][name]["seeds"].items()}
        for name in (variants.UNCHANGED, "label_smoothing")
    )
    gain = np.mean(runs.gains(smoothed, unchanged, "emotion_accuracy"))
    assert found["paired"]["emotion"]["difference"] == pytest.approx(gain)
    run = made_up("without_doubtful")
    base = "python -m research.variants --variants"
    assert run["command"].split(" and ") == [
        f"{base} unchanged --fold-seed 0 --seeds 0 1",
        f"{base} label_smoothing --fold-seed 0 --seeds 1 0",
        f"{base} without_doubtful --fold-seed 0 --seeds 0",
    ]


def test_tweets_with_an_emotion_are_compared_by_themselves(made_up, problem):
    run = made_up(variants.UNCHANGED, "label_smoothing")
    with_emotion = problem.rows.label_ids[:, 1]
    with_emotion = np.isin(
        with_emotion, [tasks.EMOTION.labels.index(label) for label in (tasks.NEGATIVE, tasks.POSITIVE)]
    )
    sides = []
    for name in (variants.UNCHANGED, "label_smoothing"):
        right = runs.unpack(
            run["levers"][name]["seeds"]["0"]["right"]["answer"], (problem.rows.label_ids[:, 1] >= 0).sum()
        )
        sides.append(right[with_emotion[problem.rows.label_ids[:, 1] >= 0]].mean())
    found = run["levers"]["label_smoothing"]["paired"]
    assert found["answer_emotion_rows"]["difference"] == pytest.approx(sides[1] - sides[0])
    assert found["answer_emotion_rows"]["difference"] != pytest.approx(found["answer"]["difference"])


def test_without_a_seed_variants_are_measured_on_other_folds_than_the_reported_ones_and_recorded_apart(
    made_up, tmp_path, capsys
):
    variants.main(["--data", str(paths.SAMPLE_CORPUS), "--variants", "label_smoothing"])
    printed = capsys.readouterr().out
    assert "label_smoothing, seed 100: product_accuracy 0." in printed
    assert "label_smoothing less unchanged, emotion: seeds [100], difference " in printed
    assert "unchanged less unchanged" not in printed
    chosen = json.loads((tmp_path / "levers_folds_100.json").read_text())["levers"]
    assert set(chosen) == {variants.UNCHANGED, "label_smoothing"}
    assert made_up.asked == [(variants.UNCHANGED, 100), ("label_smoothing", 100)]
    assert not (tmp_path / "levers.json").exists()


def test_the_training_as_it_is_is_measured_for_each_seed(made_up):
    assert list(made_up("label_smoothing")["levers"]) == [variants.UNCHANGED, "label_smoothing"]
    made_up("two_models", seeds="0 1")
    assert made_up.asked[2:] == [("two_models", 0), (variants.UNCHANGED, 1), ("two_models", 1)]


def test_figures_from_before_a_setting_was_added_stay(made_up, tmp_path):
    run = made_up(variants.UNCHANGED)
    del run["recipe"]["label_smoothing"]
    (tmp_path / "levers.json").write_text(json.dumps(run))
    assert list(made_up("label_smoothing")["levers"]) == [variants.UNCHANGED, "label_smoothing"]


def test_figures_of_another_recipe_do_not_stay(made_up, monkeypatch):
    made_up(variants.UNCHANGED, "label_smoothing")
    monkeypatch.setattr(config, "ANSWER", replace(config.ANSWER, epochs=7))
    run = made_up(variants.UNCHANGED)
    assert list(run["levers"]) == [variants.UNCHANGED]
    assert run["recipe"]["epochs"] == 7
