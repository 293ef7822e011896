"""One switch at a time: with none, training is the same as ours; with one, only that differs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from research import ablation, runs, study, variants
from research.methods import bugs
from research.methods.neural import FineTuned
from research.study import GROUPED, REPORT, OutOfFold
from tf_model import config, data, device, paths, tasks
from tf_model.modeling import backbone
from tf_model.preprocessing.batching import encode
from tf_model.training import trainer

TEXTS = ["i love my ipad", "the new google maps are bad", "android", "my iphone is great and new and great"] * 4
LABEL_IDS = np.array([0, 1, 2, 0] * 4)

pytestmark = [
    pytest.mark.timeout(1200),  # several tests train a network or more
    pytest.mark.usefixtures("made_once", "stores"),
]


@pytest.fixture(scope="module")
def problem(problems):
    return problems["product"]


@pytest.fixture(scope="module")
def recipe(shallow_bert, without_graphs) -> Iterator[config.TrainingConfig]:
    prepare = device.prepare
    changes = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-2, "seed": 3}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "prepare", lambda seed: prepare(seed, precision="float32"))
        yield replace(config.make_config("report"), backbone=str(shallow_bert), **changes)


@pytest.fixture(scope="module")
def without_bugs(recipe) -> np.ndarray:
    """The probabilities of ``TEXTS``."""
    return FineTuned(recipe, [3]).fit(TEXTS, LABEL_IDS).predict_proba(TEXTS)


# ---------------------------------------------------------------- bugs


def test_without_a_bug_our_own_model_is_trained(recipe, without_bugs):
    def change_nothing(model):
        model.__class__ = type("Network", (type(model),), {})
        model.build()

    weights = backbone.find(recipe.backbone)
    encoder = trainer.text_encoder(recipe, weights)
    encoded = encode(encoder, TEXTS)
    examples = trainer.Examples(encoded, LABEL_IDS[:, np.newaxis])
    options = {"runtime": device.prepare(recipe.seed), "prepare": change_nothing}
    fitted = trainer.fit(recipe, weights, [3], encoder, examples, **options)
    assert np.allclose(fitted.in_float32().probabilities(encoded), without_bugs, atol=1e-6)


def test_without_the_mask_padding_is_attended_to_and_all_is_padded_alike(recipe, without_bugs):
    model = FineTuned(recipe, [3], prepare=bugs.drop_mask).fit(TEXTS, LABEL_IDS)
    found = model.predict_proba(TEXTS[:4])
    assert np.allclose(model.predict_proba([TEXTS[2]])[0], found[2], atol=1e-6), "whatever else is in the batch"
    assert not np.allclose(found, without_bugs[:4], atol=1e-3)
    inputs = bugs.padded({"input_ids": np.array([[2, 7, 3]]), "attention_mask": np.array([[1, 1, 1]])})
    assert inputs["input_ids"].shape == (1, bugs.PADDED_TO)
    assert inputs["attention_mask"].numpy().all()


def test_the_second_layer_is_trained_with_the_rest(recipe, without_bugs):
    model = FineTuned(recipe, [3], prepare=bugs.add_second_layer).fit(TEXTS, LABEL_IDS)
    found = model.predict_proba(TEXTS[:4])
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    layer = model._fitted.model.second_layer
    assert layer.count_params() == 3 * 3 + 3
    assert layer.bias.numpy().any(), "it starts with zeros"
    assert not np.allclose(found, without_bugs[:4], atol=1e-3)
    weights = backbone.find(recipe.backbone)
    from tf_model.modeling import classifier as bert

    start = bert.build(weights, [3]).bert.get_weights()[0]
    assert not np.allclose(model._fitted.model.bert.get_weights()[0], start), "BERT learns too"


def test_the_copy_in_float32_has_the_second_layer_too(shallow_bert):
    import tf_keras

    from tf_model.modeling import classifier as bert
    from tf_model.training.trainer import Fitted

    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = bert.build(backbone.find(str(shallow_bert)), [3])
        bugs.add_second_layer(model)
        copy = Fitted(model, None).in_float32().model
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    assert copy is not model
    assert np.array_equal(copy.second_layer.kernel, model.second_layer.kernel)


def test_the_report_meant_to_remove_urls():
    assert bugs.without_urls(["Look HTTP://t.co/aBc now", "no address"]).tolist() == ["look  now", "no address"]
    assert ablation.SWITCHES["urls_first"].inputs is bugs.without_urls


# ---------------------------------------------------------------- splits


def test_near_duplicates_of_validation_tweets_are_left_out_and_the_control_leaves_out_as_many(problem):
    (split,) = problem.folds[REPORT]
    (clean,) = ablation.without_duplicates(problem, 0)
    (control,) = ablation.as_many_left_out(problem, 0)
    (other,) = ablation.as_many_left_out(problem, 1)
    assert set(problem.groups[split.train]) & set(problem.groups[split.validation])
    assert not set(problem.groups[clean.train]) & set(problem.groups[clean.validation])
    assert set(clean.train) < set(split.train)
    assert len(control.train) == len(clean.train) < len(split.train)
    assert set(control.train) < set(split.train)
    assert set(other.train) != set(control.train)
    for each in (clean, control):
        assert np.array_equal(each.validation, split.validation)


@pytest.mark.parametrize(("folds", "grouped"), [(ablation.unstratified, True), (ablation.duplicates_across, False)])
def test_other_folds_answer_each_row_once(problem, folds, grouped):
    parts = folds(problem, 0)
    assert np.array_equal(np.sort(np.concatenate([part.validation for part in parts])), np.arange(len(problem.rows)))
    crossing = any(set(problem.groups[part.train]) & set(problem.groups[part.validation]) for part in parts)
    assert crossing == (not grouped)


def test_the_stratified_split_has_the_same_size_and_like_classes(problem):
    (split,), (other,) = problem.folds[REPORT], ablation.stratified(problem, 0)
    assert len(other.validation) == len(split.validation)
    everything, part = (np.bincount(problem.rows.strata[at], minlength=9) for at in (slice(None), other.validation))
    assert np.abs(part - everything * len(other.validation) / len(problem.rows)).max() <= 1


# ---------------------------------------------------------------- the comparison and the command


def test_switches_are_compared_on_the_same_rows_and_seeds_alone(problem):
    def figures(predicted: np.ndarray) -> dict:
        scores = np.where((predicted >= 0)[:, np.newaxis], np.eye(9, dtype=np.float32)[predicted], np.nan)
        return ablation.seed_metrics(problem, OutOfFold(scores, 0.0))

    right, some = (problem.label_ids(tasks.PRODUCT).copy() for _ in range(2))
    some[:5] = -1
    unchanged = {"0": figures(right)}
    assert ablation.compare(problem.groups, unchanged, {"0": figures(some)}) is None
    assert ablation.compare(problem.groups, unchanged, {"3": figures(right)}) is None


class Counted:
    """Stands in for training: records each fit, and predicts class 0."""

    fitted: list[tuple] = []  # noqa: RUF012

    def __init__(self, recipe, classes, callbacks, prepare):
        assert classes == [9]
        self._key = recipe.seed, recipe.epochs, prepare

    def fit(self, texts, label_ids, targets):
        Counted.fitted.append(self._key)
        return self

    def predict_proba(self, texts):
        return np.eye(9)[np.zeros(len(texts), int)]


def test_command_records_run_by_run_and_fits_nothing_twice(monkeypatch, capsys):
    monkeypatch.setattr(variants, "FineTuned", Counted)
    monkeypatch.setattr(Counted, "fitted", [])
    command = ["--data", str(paths.SAMPLE_CORPUS), "--setting", "quick"]
    assert ablation.main([*command, "--seeds", "0", "--switches", "unchanged", "no_mask", "stratified"]) == 0
    assert len(Counted.fitted) == (1 + 5) * 2 + 1, "no fold is stratified twice"
    assert ablation.main([*command, "--seeds", "1", "--protocols", REPORT]) == 0
    run = runs.load("ablation")
    found = run["settings"]["quick"]["protocols"]
    assert list(found[GROUPED]) == ["unchanged", "no_mask"]
    assert "unstratified" not in found[REPORT], "it says nothing of the report's split"
    assert list(found[REPORT]["no_mask"]["seeds"]) == ["0", "1"]
    assert found[REPORT]["no_mask"]["paired"]["seeds"] == ["0", "1"], "what was recorded before is compared too"
    assert found[REPORT]["no_mask"]["paired"]["difference"] == 0
    assert found[REPORT]["stratified"]["paired"] is None, "other tweets validate"
    assert found[REPORT]["unchanged"]["summary"]["accuracy"]["n"] == 2
    assert {epochs for _, epochs, _ in Counted.fitted} == {3}
    before = len(Counted.fitted)
    assert ablation.main([*command, "--seeds", "1", "--protocols", REPORT]) == 0
    assert len(Counted.fitted) == before
    assert not any(text in json.dumps(run) for text in data.read(paths.SAMPLE_CORPUS).labelled[tasks.TEXT_COLUMN])
    printed = capsys.readouterr().out
    assert "quick, report, seed 1, no_mask: accuracy " in printed
    assert "quick, report, no_mask less unchanged: seeds [0, 1], difference 0, interval [" in printed


def test_what_was_left_out_is_compared_with_its_control(problem):
    rows = len(problem.rows)
    every, none = runs.pack(np.ones(rows, bool)), runs.pack(np.zeros(rows, bool))
    figures = {"accuracy": 0.5, "answered": every}

    def entry(correct: str) -> dict:
        return {"seeds": {"0": figures | {"right": correct}}}

    switches = {"without_duplicates": entry(none), "as_many_left_out": entry(every), "unchanged": entry(none)}
    results = ablation.summarized(switches, problem.groups)
    assert list(results) == ["unchanged", "without_duplicates", "as_many_left_out"]
    assert results["unchanged"]["paired"] is None
    assert results["without_duplicates"]["paired"]["difference"] == 0
    assert results["without_duplicates"]["beside_control"]["difference"] == -1
    assert results["without_duplicates"]["beside_control"]["seeds"] == ["0"]
    assert results["as_many_left_out"]["paired"]["difference"] == 1
    assert "beside_control" not in results["as_many_left_out"]


def test_a_switch_alone_is_compared_with_the_unchanged_training_that_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(variants, "FineTuned", Counted)
    monkeypatch.setattr(Counted, "fitted", [])
    command = ["--data", str(paths.SAMPLE_CORPUS), "--setting", "quick", "--protocols", REPORT]
    assert ablation.main([*command, "--seeds", "0", "--switches", "no_mask"]) == 0
    assert len(Counted.fitted) == 2, "the unchanged training was not recorded"
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "of another machine")
    assert ablation.main([*command, "--seeds", "0", "--switches", "normalized"]) == 0
    assert len(Counted.fitted) == 3, "the unchanged training is not repeated"
    found = runs.load("ablation")["settings"]["quick"]["protocols"][REPORT]
    assert found["normalized"]["paired"]["seeds"] == ["0"]
    assert list(found) == ["unchanged", "no_mask", "normalized"]
    monkeypatch.setattr(study, "precision_and_gpus", lambda: ["float32", 0])
    assert ablation.main([*command, "--seeds", "0", "--switches", "normalized"]) == 0
    assert len(Counted.fitted) == 5, "it is repeated in another number format"
    assert runs.load("ablation")["settings"]["quick"]["protocols"][REPORT] == found


def test_figures_of_other_settings_do_not_stay(monkeypatch):
    monkeypatch.setattr(variants, "FineTuned", Counted)
    command = ["--data", str(paths.SAMPLE_CORPUS), "--protocols", REPORT, "--seeds", "0", "--switches", "unchanged"]
    for setting in ("quick", "report"):
        assert ablation.main([*command, "--setting", setting]) == 0
    monkeypatch.setitem(ablation.SETTINGS, "quick", replace(ablation.SETTINGS["quick"], epochs=4))
    report = runs.load("ablation")["settings"]["report"]
    assert ablation.main([*command, "no_mask", "--setting", "quick"]) == 0
    settings = runs.load("ablation")["settings"]
    assert settings["report"] == report
    assert settings["quick"]["recipe"]["epochs"] == 4
