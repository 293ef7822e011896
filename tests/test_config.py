"""Recipes: their values, their limits, and the command line that changes them."""

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from tf_model import tasks
from tf_model.config import (
    CONFIGS,
    REPORT,
    REPORT_EPOCHS,
    TARGET,
    TUNED,
    TrainingConfig,
    add_config_arguments,
    config_of,
    make_config,
    parse_config,
)
from tf_model.errors import ModelError, UsageError

FIELDS = [field.name for field in fields(TrainingConfig)]


def parse(*argv):
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    return parse_config(parser.parse_args(argv))


def test_the_report_recipe_is_the_reports_settings_to_the_letter():
    assert REPORT.to_dict() == {
        "name": "report",
        "backbone": "minilm",
        "cleaning": "report",
        "pooling": "cls",
        "max_tokens": 128,
        "epochs": 10,
        "batch_size": 32,
        "learning_rate": 1e-5,
        "schedule": "constant",
        "warmup": 0.0,
        "label_smoothing": 0.0,
        "r_drop": 0.0,
        "lora_rank": 0,
        "joined_pairs": 0.0,
        "opinion_pairs": 0.0,
        "teacher_weight": 0.5,
        "teacher_temperature": 1.0,
        "seed": 42,
        "split_seed": 42,
        "validation_size": 0.2,
    }


def test_the_report_recipe_is_the_default():
    assert parse() == make_config("report")
    assert TrainingConfig() == REPORT
    assert str(REPORT).startswith("name report, backbone minilm, cleaning report, ")


@pytest.mark.parametrize(
    ("backbone", "epochs"),
    [("bert-base-uncased", 10), ("./folder", 10), ("minilm", REPORT_EPOCHS["minilm"])],
)
def test_the_reports_epochs_depend_on_the_backbone(backbone, epochs):
    assert make_config("report", backbone=backbone).epochs == epochs
    assert parse("--backbone", backbone).epochs == epochs
    assert make_config("report", backbone=backbone, epochs=3).epochs == 3


def test_the_tuned_recipe_keeps_the_reports_split():
    assert (TUNED.cleaning, TUNED.schedule) == ("normalized", "linear")
    assert 0 < TUNED.warmup < 1
    assert (TUNED.split_seed, TUNED.validation_size) == (REPORT.split_seed, REPORT.validation_size)
    assert make_config("tuned", backbone="bert-base-uncased").epochs == TUNED.epochs


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backbone", "bert-base-uncased"),
        ("cleaning", "normalized"),
        ("cleaning", "report"),
        ("max_tokens", 64),
        ("epochs", 1),
        ("batch_size", 8),
        ("learning_rate", 3e-4),
        ("schedule", "linear"),
        ("schedule", "constant"),
        ("warmup", 0.25),
        ("label_smoothing", 0.2),
        ("seed", 0),
        ("split_seed", 7),
        ("validation_size", 0.5),
    ],
)
def test_every_field_can_be_changed_on_the_command_line(name, field, value):
    found = parse("--recipe", name, f"--{field.replace('_', '-')}", str(value))
    expected = make_config(name).to_dict() | {field: value}
    if (name, field) == ("report", "backbone"):
        expected["epochs"] = 10
    assert found.to_dict() == expected
    assert type(getattr(found, field)) is type(value)


def test_no_field_lacks_an_option():
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    options = {option for action in parser._actions for option in action.option_strings}
    assert options >= {f"--{name.replace('_', '-')}" for name in FIELDS if name != "name"} | {"--recipe"}


def test_pairs_are_made_for_targets_alone_and_opinions_for_their_own_classes():
    own = replace(tasks.EMOTION, name="target", labels=("bad", "good"))
    for model_tasks, joined, opinions in (
        ([tasks.TARGET], TARGET.joined_pairs, TARGET.opinion_pairs),
        ([own], TARGET.joined_pairs, 0),
        ([tasks.EMOTION], 0, 0),
        (tasks.ANSWER_TASKS, 0, 0),
    ):
        config = TARGET.for_tasks(model_tasks)
        assert (config.joined_pairs, config.opinion_pairs) == (joined, opinions)


@pytest.mark.parametrize("argv", [["--joined-pairs", "0.1"], ["--recipe", "target", "--opinion-pairs", "0.1"]])
def test_pairs_without_effect_are_refused(argv):
    with pytest.raises(UsageError, match="--joined-pairs and --opinion-pairs need --task target"):
        parse(*argv)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "target"])
def test_targets_need_a_cleaning_that_masks_the_mention(name):
    with pytest.raises(UsageError, match=r"--task target needs a cleaning that masks .*, or add --cleaning target"):
        make_config(name).for_tasks([tasks.TARGET])
    assert make_config(name, cleaning="target").for_tasks([tasks.TARGET]).cleaning == "target"
    assert make_config(name).for_tasks(tasks.ANSWER_TASKS).cleaning == CONFIGS[name].cleaning


def test_help_shows_the_value_of_each_recipe():
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_config_arguments(parser)
    text = " ".join(parser.format_help().split())
    assert f"report: {REPORT_EPOCHS['minilm']}; tuned: {TUNED.epochs}" in text
    assert f"peak learning rate of Adam (report: 1e-05; tuned: {TUNED.learning_rate}" in text
    assert "minilm, mpnet, a hub name such as bert-base-uncased, or a folder (report: minilm" in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cleaning", "Report"),
        ("schedule", "cosine"),
        ("max_tokens", 2),
        ("max_tokens", 513),
        ("epochs", 0),
        ("epochs", -1),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", -1e-5),
        ("learning_rate", 1.0),
        ("learning_rate", float("nan")),
        ("teacher_temperature", float("inf")),
        ("warmup", -0.1),
        ("warmup", 1.0),
        ("label_smoothing", -0.1),
        ("label_smoothing", 1.0),
        ("seed", -1),
        ("seed", 2**31),
        ("split_seed", -1),
        ("split_seed", 2**32),
        ("validation_size", 0.0),
        ("validation_size", 1.0),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line(field, value):
    for make in (lambda: TrainingConfig.from_dict({field: value}), lambda: make_config("tuned", **{field: value})):
        with pytest.raises(UsageError) as refused:
            make()
        message = str(refused.value)
        assert message.startswith(f"recipe setting {field}: ")
        assert repr(value) in message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 3),
        ("max_tokens", 512),
        ("epochs", 1),
        ("batch_size", 1),
        ("warmup", 0.99),
        ("seed", 2**31 - 1),
        ("split_seed", 2**32 - 1),
    ],
)
def test_the_ends_of_a_range_are_allowed(field, value):
    assert getattr(TrainingConfig(**{field: value}), field) == value


@pytest.mark.parametrize(
    "argv", [("--epochs", "ten"), ("--epochs", "1.5"), ("--cleaning", "none"), ("--recipe", "best"), ("--seed", "")]
)
def test_what_is_no_value_at_all_is_wrong_usage(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(*argv)
    assert stopped.value.code == 2
    assert argv[0] in capsys.readouterr().err.splitlines()[-1]


def test_unknown_fields_are_refused():
    with pytest.raises(UsageError) as refused:
        TrainingConfig.from_dict({"epochs": 3, "momentum": 0.9, "dropout": 0.1})
    assert str(refused.value) == "recipe setting momentum: unexpected keyword argument, got 0.9"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_recipe_survives_json(name):
    recipe = make_config(name, seed=7, learning_rate=3e-5)
    kept = json.loads(json.dumps(recipe.to_dict()))
    assert list(kept) == FIELDS
    assert TrainingConfig.from_dict(kept) == recipe


def test_the_recipe_of_a_model_is_its_own_and_never_a_default():
    recipe = make_config("tuned", epochs=3)
    assert config_of(Path("m"), recipe.to_dict()) == recipe
    with pytest.raises(ModelError, match=r"m has no recipe\.json; train"):
        config_of(Path("m"), {})
    with pytest.raises(ModelError, match="recipe setting colour: unexpected"):
        config_of(Path("m"), {"colour": "red"})
