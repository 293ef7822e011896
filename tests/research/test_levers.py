"""The levers: what each one learns from, that nothing else differs, and that figures measured later are comparable."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from research import baselines, levers, runs
from tf_model import config, data, device, paths, tasks
from tf_model.errors import UsageError
from tf_model.modeling import backbone

CLASSES = levers.CLASSES
NONE = tasks.NO_LABEL

pytestmark = pytest.mark.timeout(1200)  # several tests train a network or more


@pytest.fixture(scope="module")
def problem():
    return baselines.make_problem(data.read(paths.SAMPLE_CORPUS), tasks.ANSWER)


@pytest.fixture
def recipe(tiny_bert, monkeypatch) -> config.Recipe:
    prepare = device.prepare
    monkeypatch.setattr(device, "prepare", lambda seed: prepare(seed, precision="float32"))
    return replace(config.ANSWER, backbone=str(tiny_bert), epochs=1, batch_size=16, learning_rate=1e-2, seed=3)


@pytest.fixture
def training(problem, recipe, monkeypatch, tmp_path) -> levers.Training:
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path)
    used, weights = device.prepare(recipe.seed), backbone.find(recipe.backbone)
    some = problem.rows.take(np.arange(0, len(problem.rows), 2))  # enough for the mechanics
    return levers.Training(some, recipe, weights, used, "0")


def labels_of(training: levers.Training, label_ids: list[list[int]]) -> levers.Training:
    rows = training.rows.take(np.arange(len(label_ids)))
    return replace(training, rows=replace(rows, label_ids=np.array(label_ids)))


# ---------------------------------------------------------------- what is learned


def test_a_row_without_a_label_of_a_task_has_no_target_of_it(training):
    few = labels_of(training, [[0, NONE], [NONE, 2], [3, 1]])
    for targets in (levers.hard_targets, levers.balanced):
        product, emotion = np.split(targets(few), [CLASSES[0]], axis=1)
        assert (product.sum(axis=1) > 0).tolist() == [True, False, True]
        assert (emotion.sum(axis=1) > 0).tolist() == [False, True, True]


def test_rare_classes_weigh_more_and_all_together_as_much_as_before(training):
    weights = levers.balanced(labels_of(training, [[0, 1]] * 9 + [[1, 1]])).sum(axis=0)
    assert weights[:2].sum() == pytest.approx(10)
    assert (weights[1] / 1) / (weights[0] / 9) == pytest.approx(3)  # nine times as rare
    assert weights[CLASSES[0] + 1] == pytest.approx(10)


def test_the_labels_that_the_words_model_doubts_most_are_left_out(training, monkeypatch):
    doubted = set(training.rows.texts[::7])

    def out_of_fold(texts, label_ids, folds, classes):
        assert label_ids.min() >= 0
        answered = np.concatenate([fold.validation for fold in folds])
        assert np.array_equal(np.sort(answered), np.arange(len(texts)))
        assert not any(np.intersect1d(fold.train, fold.validation).size for fold in folds)
        said = np.full((len(texts), classes), 0.5)
        said[[text in doubted for text in texts]] = 0.1
        return said

    monkeypatch.setattr(levers.suspicious, "out_of_fold", out_of_fold)
    every, kept = levers.hard_targets(training), levers.without_doubtful(training)
    for all_of_task, left in zip(*(np.split(targets, [CLASSES[0]], axis=1) for targets in (every, kept)), strict=True):
        without = np.flatnonzero((all_of_task != left).any(axis=1))
        assert len(without) == round(0.05 * all_of_task.sum()) > 0
        assert not left[without].any()
        assert {training.rows.texts[position] for position in without} <= doubted


def test_half_of_a_soft_label_is_what_others_say(training, monkeypatch):
    few = labels_of(training, [[0, 2], [NONE, 1]])
    said = {0: np.full((2, sum(CLASSES)), 0.25), 1: np.full((2, sum(CLASSES)), 0.75)}
    monkeypatch.setattr(levers, "_taught", lambda training, number: said[number])
    soft = levers.softened(2)(few)
    assert soft[0, 0] == pytest.approx(0.5 + 0.5 * 0.5)
    assert soft[0, 1] == pytest.approx(0.25)
    assert not soft[1, : CLASSES[0]].any()


def test_teachers_answer_only_rows_that_they_did_not_see(training, monkeypatch):
    from tf_model.training import cross_validation

    parts = []
    train_fold = cross_validation._train_fold

    def spy(recipe, backbone, classes, texts, label_ids, split, **options):
        parts.append((recipe.seed, split))
        return train_fold(recipe, backbone, classes, texts, label_ids, split, **options)

    monkeypatch.setattr(cross_validation, "_train_fold", spy)
    soft = levers.softened(1)(training)
    assert soft.shape == (len(training.rows), sum(CLASSES))
    assert {seed for seed, _ in parts} == {1003}, "no teacher has the student's seed"
    answered = np.concatenate([split.validation for _, split in parts])
    assert np.array_equal(np.sort(answered), np.arange(len(training.rows)))
    assert not any(np.intersect1d(split.train, split.validation).size for _, split in parts)


# ---------------------------------------------------------------- nothing else differs


def test_labels_as_targets_are_the_recipe_as_it_is(training):
    texts = training.rows.texts[:20]
    unchanged, _ = levers.answer(levers.LEVERS[levers.UNCHANGED], training, texts)
    through_targets, history = levers.answer(levers.Lever("the labels", levers.hard_targets), training, texts)
    np.testing.assert_allclose(through_targets, unchanged, atol=1e-4)
    assert len(history) == training.recipe.epochs
    smoothed, _ = levers.answer(levers.LEVERS["label_smoothing"], training, texts)
    assert np.abs(smoothed - unchanged).max() > 1e-3


def test_a_model_for_each_task_learns_from_its_own_labels_alone(training):
    texts = training.rows.texts[:20]
    apart, history = levers.answer(levers.LEVERS["two_models"], training, texts)
    assert len(history) == 2 * training.recipe.epochs
    others = training.rows.label_ids.copy()
    others[:, 1] = np.where(others[:, 1] == NONE, NONE, 0)  # other emotions
    changed, _ = levers.answer(
        levers.LEVERS["two_models"], replace(training, rows=replace(training.rows, label_ids=others)), texts
    )
    np.testing.assert_allclose(changed[:, : CLASSES[0]], apart[:, : CLASSES[0]], atol=1e-4)
    assert np.abs(changed[:, CLASSES[0] :] - apart[:, CLASSES[0] :]).max() > 0.05


# ---------------------------------------------------------------- what is made of the answers


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
    mended = levers.with_class_bias(label_ids, said, parts)
    assert np.abs(said[:, CLASSES[0] :].mean(axis=0) - shares).max() > 0.1
    np.testing.assert_allclose(mended[:, CLASSES[0] :].mean(axis=0), shares, atol=0.005)
    np.testing.assert_allclose(mended[:, : CLASSES[0]].sum(axis=1), 1, atol=1e-6)
    own = label_ids.copy()
    own[parts[0], 1] = 0
    np.testing.assert_array_equal(levers.with_class_bias(own, said, parts)[parts[0]], mended[parts[0]])


def test_a_lever_that_recalibrates_trains_nothing_of_its_own(problem, recipe, monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path)
    trained = []
    real = levers.answer

    def watched(lever, training, texts):
        trained.append(lever.title)
        return real(lever, training, texts)

    monkeypatch.setattr(levers, "answer", watched)
    some = replace(problem, folds={baselines.GROUPED: problem.folds[baselines.GROUPED]})
    unchanged, _ = levers.out_of_fold(levers.UNCHANGED, some, recipe, "0")
    mended, seconds = levers.out_of_fold("class_bias", some, recipe, "0")
    assert trained == ["as it is"] * len(problem.folds[baselines.GROUPED])
    parts = [split.validation for split in problem.folds[baselines.GROUPED]]
    np.testing.assert_array_equal(mended, levers.with_class_bias(problem.rows.label_ids, unchanged, parts))
    assert seconds == 0


# ---------------------------------------------------------------- the record


def test_which_rows_are_right_survives_the_record():
    right = np.random.default_rng(0).random(8579) < 0.7
    packed = runs.pack(right)
    assert len(packed) < 1500
    assert np.array_equal(runs.unpack(packed, len(right)), right)


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """The command with a stand-in for the trainings: each lever answers a share of the rows right."""
    shares = {levers.UNCHANGED: 0.6, "label_smoothing": 0.7, "two_models": 0.6, "without_doubtful": 0.6}
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    asked = []

    def out_of_fold(name, problem, recipe, data_sha256):
        asked.append((name, recipe.seed))
        random, parts = np.random.default_rng(recipe.seed), []
        for ids, size in zip(problem.rows.label_ids.T, CLASSES, strict=True):
            said = np.where(random.random(len(ids)) < shares[name], np.maximum(ids, 0), (ids + 1) % size)
            parts.append(np.eye(size, dtype=np.float32)[said] * 0.8 + 0.2 / size)
        return np.concatenate(parts, axis=1), 10.0

    monkeypatch.setattr(levers, "out_of_fold", out_of_fold)

    def command(*names: str, seeds: str = "0") -> dict:
        arguments = ["--data", str(paths.SAMPLE_CORPUS), "--levers", *names, "--seeds", *seeds.split()]
        levers.main(arguments)
        return json.loads((tmp_path / "levers.json").read_text())

    command.asked = asked
    return command


def test_a_lever_that_is_measured_later_is_compared_tweet_by_tweet(made_up):
    made_up(levers.UNCHANGED, seeds="0 1")
    run = made_up("label_smoothing", seeds="1 0")
    assert made_up.asked == [
        (levers.UNCHANGED, 0),
        (levers.UNCHANGED, 1),
        ("label_smoothing", 1),
        ("label_smoothing", 0),
    ]
    found = run["levers"]["label_smoothing"]
    assert list(found["seeds"]) == ["0", "1"]
    assert found["paired"]["seeds"] == ["0", "1"]
    low, high = found["paired"]["emotion"]["interval"]
    assert 0 < low < found["paired"]["emotion"]["difference"] < high
    assert found["summary"]["emotion_accuracy"]["n"] == 2
    assert found["paired"]["emotion"]["difference"] == pytest.approx(
        found["summary"]["emotion_accuracy"]["mean"]
        - run["levers"][levers.UNCHANGED]["summary"]["emotion_accuracy"]["mean"]
    )
    assert run["command"] == "python -m research.levers --levers unchanged label_smoothing --seeds 0 1"
    run = made_up("without_doubtful")
    assert run["command"].endswith(" --seeds 0 1 and python -m research.levers --levers without_doubtful --seeds 0")
    seeds = {name: found["seeds"]["0"] for name, found in run["levers"].items()}
    assert [name for name, seed in seeds.items() if seed.get("words") == levers.WORDS_MODEL] == ["without_doubtful"]


def test_tweets_with_an_emotion_are_compared_by_themselves(made_up, problem):
    run = made_up(levers.UNCHANGED, "label_smoothing")
    with_emotion = problem.rows.label_ids[:, 1]
    with_emotion = np.isin(
        with_emotion, [tasks.EMOTION.labels.index(label) for label in (tasks.NEGATIVE, tasks.POSITIVE)]
    )
    sides = []
    for name in (levers.UNCHANGED, "label_smoothing"):
        right = runs.unpack(
            run["levers"][name]["seeds"]["0"]["right"]["answer"], (problem.rows.label_ids[:, 1] >= 0).sum()
        )
        sides.append(right[with_emotion[problem.rows.label_ids[:, 1] >= 0]].mean())
    found = run["levers"]["label_smoothing"]["paired"]
    assert found["answer_emotion_rows"]["difference"] == pytest.approx(sides[1] - sides[0])
    assert found["answer_emotion_rows"]["difference"] != pytest.approx(found["answer"]["difference"])


def test_without_levers_what_is_recorded_is_summed_up_anew(made_up, tmp_path):
    run = made_up(levers.UNCHANGED, "label_smoothing")
    wanted = run["levers"]["label_smoothing"].pop("paired")
    (tmp_path / "levers.json").write_text(json.dumps(run))
    assert made_up()["levers"]["label_smoothing"]["paired"] == wanted
    assert len(made_up.asked) == 2


def test_without_the_recipe_as_it_is_nothing_is_trained(made_up):
    with pytest.raises(UsageError, match="each lever is compared with 'unchanged'; name it too, for seed 0"):
        made_up("label_smoothing")
    made_up(levers.UNCHANGED)
    with pytest.raises(UsageError, match="for seed 1"):
        made_up("label_smoothing", seeds="0 1")
    assert made_up.asked == [(levers.UNCHANGED, 0)]


def test_figures_from_before_a_setting_was_added_stay(made_up, tmp_path):
    run = made_up(levers.UNCHANGED)
    del run["recipe"]["label_smoothing"]
    (tmp_path / "levers.json").write_text(json.dumps(run))
    assert list(made_up("label_smoothing")["levers"]) == [levers.UNCHANGED, "label_smoothing"]


def test_figures_of_another_recipe_do_not_stay(made_up, monkeypatch):
    made_up(levers.UNCHANGED, "label_smoothing")
    monkeypatch.setattr(config, "ANSWER", replace(config.ANSWER, epochs=7))
    run = made_up(levers.UNCHANGED)
    assert list(run["levers"]) == [levers.UNCHANGED]
    assert run["recipe"]["epochs"] == 7
