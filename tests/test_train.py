"""The real command, end to end on the sample corpus with a tiny BERT, and what it refuses."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas
import pytest
from model_folders import eagerly, guessed_fold
from sample_datasets import BAD, GOOD, unlike, write_csv

from tf_model import cli, data, device, evaluate, paths, tasks, train
from tf_model.config import TrainingConfig, make_config
from tf_model.data import splits
from tf_model.errors import DataError, OutputError, UsageError
from tf_model.evaluation import error_analysis
from tf_model.inference.predictor import Predictor
from tf_model.model_dir import read_report
from tf_model.monitor import reference
from tf_model.monitor.aggregates import DIRECTED_CONFIDENCE
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.store import Store
from tf_model.training import cross_validation, trainer
from tf_model.training.checkpoint import Checkpoint

pytestmark = pytest.mark.timeout(300)  # the default, given so that this slow file begins early

SAMPLE = ["--data", str(paths.SAMPLE_CORPUS)]
BRANDS = paths.SAMPLE_CORPUS.with_name("brands.csv")
EPOCHS = 6
FAST = ["--precision", "float32", "--learning-rate", "1e-2", "--batch-size", "64"]


def test_every_file_of_the_contract_is_there(trained):
    folder, _ = trained
    files = {path.name for path in folder.iterdir()}
    assert files >= {"saved_model.pb", "variables", "recipe.json", "labels.json", "metrics.json", "history.csv"}
    assert files >= {"model_card.md", "validation_predictions.csv", "light", "manifest.json"}
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".product")] == []


@pytest.fixture
def without_graph() -> Iterator[None]:
    """Train eagerly: a few steps take less time than making the graph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "fit", partial(trainer.fit, prepare=eagerly))
        yield


@pytest.mark.usefixtures("without_graph")
def test_an_mpnet_learns_extra_rows_answers_from_its_saved_model_and_has_no_light_one(
    trained, tiny_mpnet, tmp_path, capsys
):
    extra = write_csv(tmp_path / "corrections.csv", [("my toaster runs android and I adore it", "Android", GOOD)])
    options = ["--recipe", "tuned", "--epochs", "1", "--backbone", str(tiny_mpnet), "--output-dir", str(tmp_path)]
    options += ["--extra", str(extra)]
    assert train.main([*SAMPLE, *FAST, *options]) == 0
    assert "no light model: it supports only BERT, not the model 'mpnet'" in capsys.readouterr().err
    predictor = Predictor.load(tmp_path / "product")
    validated = pandas.read_csv(tmp_path / "product" / "validation_predictions.csv")
    texts = data.read(paths.SAMPLE_CORPUS).labelled.set_index("row")[tasks.TEXT_COLUMN][validated["row"]].tolist()
    columns = [name for name in validated if name.startswith("product_probability_")]
    served = predictor.predict(texts, probabilities=True)[columns]
    np.testing.assert_allclose(served, validated[columns], atol=1e-5)
    assert predictor.explain("I love my iPad").words == ("I", "love", "my", "iPad")
    plain, more = (json.loads((folder / "metrics.json").read_text()) for folder in (trained[0], tmp_path / "product"))
    assert more["train"]["product"]["rows"] == plain["train"]["product"]["rows"] + 1
    assert more["validation"]["product"]["rows"] == plain["validation"]["product"]["rows"]
    assert "extra" in more
    assert "extra" not in plain


def test_metrics_say_what_was_measured_and_on_what(trained, shallow_bert):
    folder, _ = trained
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    examples = data.training_rows(data.read(paths.SAMPLE_CORPUS), "product")
    assert metrics["dataset"] == "sample"
    assert metrics["task"] == "product"
    assert metrics["rows"] == len(examples)
    train, validation = metrics["train"]["product"], metrics["validation"]["product"]
    assert train["rows"] + validation["rows"] == len(examples)
    assert {"loss", "accuracy", "macro_f1"} <= set(train) & set(validation)
    assert metrics["seed"] == 42
    assert metrics["backbone"]["name"] == str(shallow_bert)
    assert metrics["seconds"] > 0
    assert metrics["versions"]["tensorflow"]


def test_the_recipe_is_saved_as_it_was_used(trained, shallow_bert):
    folder, _ = trained
    saved = TrainingConfig.from_dict(json.loads((folder / "recipe.json").read_text(encoding="utf-8")))
    assert saved == make_config("report", backbone=str(shallow_bert), epochs=EPOCHS, learning_rate=1e-2, batch_size=64)


def test_validation_predictions_name_rows_and_hold_no_text(trained):
    folder, _ = trained
    content = (folder / "validation_predictions.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(content.splitlines()))
    examples = data.training_rows(data.read(paths.SAMPLE_CORPUS), "product")
    label_of = {row: tasks.PRODUCTS[ids[0]] for row, ids in zip(examples.rows, examples.label_ids, strict=True)}
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["validation"]["product"]
    assert len(rows) == metrics["rows"]
    assert all(label_of[int(row["row"])] == row["product"] for row in rows)
    columns = [f"product_probability_{label}" for label in tasks.PRODUCTS]
    assert list(rows[0]) == ["row", "product", *columns]
    best = [max(columns, key=lambda name: float(row[name])).removeprefix("product_probability_") for row in rows]
    correct = sum(row["product"] == label for row, label in zip(rows, best, strict=True))
    assert correct / len(rows) == pytest.approx(metrics["accuracy"])
    assert not any(text[:40] in content for text in examples.texts)


def test_the_history_has_a_row_for_each_epoch(trained):
    folder, _ = trained
    rows = list(csv.DictReader((folder / "history.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, EPOCHS + 1)]
    assert all(0 <= float(row["val_accuracy"]) <= 1 for row in rows)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["seconds"] == pytest.approx(sum(float(row["seconds"]) for row in rows))


def test_the_command_announces_data_recipe_device_and_shows_both_parts(trained):
    folder, done = trained
    assert "THIS IS NOT THE REAL DATASET" in done.stderr
    assert "learning_rate 0.01" in done.stderr
    assert "device: CPU" in done.stderr
    assert ", float32, deterministic\n" in done.stderr
    assert f"epoch {EPOCHS}/{EPOCHS}" in done.stderr
    assert "train" in done.stdout
    assert "validation" in done.stdout
    assert "0.8741" not in done.stdout  # the report's figures are for the real data only
    assert "sample corpus" in (folder / "model_card.md").read_text(encoding="utf-8")
    assert "Traceback" not in done.stderr


def test_the_checkpoint_is_gone_when_the_model_is_there(trained):
    folder, _ = trained
    assert not (folder.parent / ".checkpoints" / "product").exists()


def test_an_existing_model_is_not_replaced_unasked(trained):
    folder, _ = trained
    before = (folder / "metrics.json").read_bytes()
    with pytest.raises(OutputError, match="already exists; add --overwrite"):
        train.main([*SAMPLE, "--output-dir", str(folder.parent)])
    assert (folder / "metrics.json").read_bytes() == before


def test_a_model_of_targets_learns_what_is_assumed_and_is_judged_by_the_rest(target_model):
    dataset = data.read(BRANDS)
    rows = data.training_rows(dataset, "target")
    labels = json.loads((target_model / "labels.json").read_text(encoding="utf-8"))
    emotions = ["negative", "neutral", "positive"]
    assert labels == {"task": "target", "labels": {"target": emotions}, "no_emotion": "neutral"}
    metrics = json.loads((target_model / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["rows"], metrics["task"], metrics["recipe"]) == (len(rows), "target", "target")
    judged = int((~rows.is_weak).sum())
    assert metrics["train"]["target"]["rows"] + metrics["validation"]["target"]["rows"] == judged < len(rows)
    assert metrics["validation"]["answer"]["rows"] == metrics["validation"]["target"]["rows"]
    assert json.loads((target_model / "calibration.json").read_text(encoding="utf-8"))["temperature"].keys() == {
        "target"
    }
    products = (target_model / "products.csv").read_text(encoding="utf-8").split()
    assert products == ["name,aliases", "Kindle,", "Nintendo", "Switch,", "Xbox,"]
    content = (target_model / "validation_predictions.csv").read_text(encoding="utf-8")
    predictions = list(csv.DictReader(content.splitlines()))
    probabilities = [f"target_probability_{label}" for label in emotions]
    assert list(predictions[0]) == ["row", "target", *probabilities, "product"]
    of_row = {(number, emotions[ids[0]]) for number, ids in zip(rows.rows, rows.judged_ids, strict=True) if ids[0] >= 0}
    assert {(int(row["row"]), row["target"]) for row in predictions if row["target"]} <= of_row
    labelled_products = dataset.labelled.set_index("row")[tasks.PRODUCT_COLUMN]
    felt = [row for row in predictions if row["target"] not in ("", "neutral")]
    assert [row["product"] for row in felt] == [labelled_products[int(row["row"])] for row in felt]
    assert {row["product"] for row in predictions} == {"Kindle", "Nintendo Switch", "Xbox"}
    assert not any(text[:30] in content for text in dataset.labelled[tasks.TEXT_COLUMN])
    card = (target_model / "model_card.md").read_text(encoding="utf-8")
    assert "`target`: negative, neutral, positive" in card
    assert "the products that they name" in card
    assert "| emotion, validation part |" in card
    assert "whole answer" not in card


def test_products_go_with_targets_alone(tmp_path):
    arguments = ["--data", str(BRANDS), "--output-dir", str(tmp_path), "--products", str(tmp_path / "none.csv")]
    with pytest.raises(UsageError, match="--products needs --task target"):
        train.main([*arguments, "--task", "answer"])
    with pytest.raises(DataError, match=r"none\.csv"):
        train.main([*arguments, "--task", "target"])
    with pytest.raises(SystemExit, match="2"):
        train.main([*arguments, "--task", "colour"])


@pytest.mark.parametrize("task", ["emotion", "target"])
def test_texts_of_which_nothing_is_read_are_noted(tmp_path, shallow_bert, monkeypatch, capsys, task):
    monkeypatch.setattr(Checkpoint, "open", lambda *_, **__: pytest.fail("it trains"))
    cyrillic = str.maketrans("abcdefghijklmnop", "абвгдежзийклмноп")
    name = "Kindle" if task == "target" else "Киндл"  # the mention is masked
    rows = [(f"{text.translate(cyrillic)} {name}", name, (GOOD, BAD)[n % 2]) for n, text in enumerate(unlike(20))]
    arguments = ["--data", str(write_csv(tmp_path / "mine.csv", rows)), "--output-dir", str(tmp_path), "--task", task]
    with pytest.raises(pytest.fail.Exception):
        train.main([*arguments, *FAST, "--recipe", "target", "--backbone", str(shallow_bert)])
    assert "note: 20 of 20 texts have no Latin letter or digit" in capsys.readouterr().err


def test_only_a_model_is_ever_replaced(tmp_path):
    precious = tmp_path / "product" / "letters.txt"
    precious.parent.mkdir()
    precious.write_text("dear", encoding="utf-8")
    with pytest.raises(OutputError, match="is not a saved model, so it is not replaced"):
        train.main([*SAMPLE, "--output-dir", str(tmp_path), "--overwrite"])
    assert precious.read_text(encoding="utf-8") == "dear"


@pytest.mark.parametrize("name", [".", "..", "a/b", "../up", ".hidden"])
def test_a_name_that_would_leave_the_folder_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="--name is the name of a folder"):
        train.main([*SAMPLE, "--output-dir", str(tmp_path), "--name", name, "--overwrite"])


def test_a_name_that_tensorflow_would_take_for_a_pattern_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"in .*/brands \[2\] for a pattern; choose another folder"):
        train.main([*SAMPLE, "--output-dir", str(tmp_path), "--name", "brands [2]"])


def test_a_class_with_one_example_is_named(tmp_path):
    rows = [(f"love my {name} {number}", name, GOOD) for name in ("iPad", "iPhone") for number in range(9)]
    path = write_csv(tmp_path / "few.csv", [*rows, ("maps are great", "Google", GOOD)])
    with pytest.raises(DataError, match="Google"):
        train.main(["--data", str(path), "--output-dir", str(tmp_path)])


def test_a_validation_part_without_a_label_of_a_task_is_refused_before_the_training(tmp_path):
    words = ["battery", "screen", "camera", "price", "queue", "colour", "weight", "sound", "speed", "store"]
    rows = [(f"{one} and {other}", ("iPad", "iPhone")[n % 2], "") for n, one in enumerate(words) for other in words]
    rows += [(f"just {word}", "", (GOOD, BAD)[n % 2]) for n, word in enumerate(words[:4])]
    few = data.training_rows(data.read(write_csv(tmp_path / "few.csv", rows)), "answer")
    split, _ = splits.training_split(few, 1, 0.2)
    assert (few.label_ids[split.validation, 1] >= 0).any()
    with pytest.raises(DataError, match=r"with seed 0 none has a label of 'emotion'; label more"):
        splits.training_split(few, 0, 0.2)


def test_a_place_that_cannot_be_written_to_fails_before_the_training(tmp_path, shallow_bert, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        train.main([*SAMPLE, *FAST, "--backbone", str(shallow_bert), "--output-dir", str(tmp_path / "file")])
    assert "epoch 1/" not in capsys.readouterr().err


class Begun(Exception):
    """Raised where training would begin."""


@pytest.fixture
def begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise :class:`Begun` instead of training."""

    def begin(*_, **__):
        raise Begun

    monkeypatch.setattr(trainer, "fit_rows", begin)


@pytest.mark.usefixtures("begins")
def test_two_trainings_of_one_name_do_not_share_a_checkpoint(tmp_path, shallow_bert):
    arguments = [*SAMPLE, *FAST, "--backbone", str(shallow_bert), "--epochs", "1", "--output-dir", str(tmp_path)]
    with train._lock(tmp_path / "product", worker=0):
        with pytest.raises(OutputError, match=r"another training of .*product is under way .*choose another --name"):
            train.main(arguments)
        assert not (tmp_path / ".checkpoints" / "product").exists()
        with pytest.raises(Begun):
            train.main([*arguments, "--name", "other"])
    with pytest.raises(Begun):  # the lock is gone
        train.main(arguments)


def test_the_light_model_learns_its_scales_from_the_training_texts_alone(tmp_path, shallow_bert, monkeypatch):
    fitted, exported = Mock(history=[]), {}
    fitted.probabilities = lambda token_ids: np.full((token_ids.shape[0], len(tasks.PRODUCTS)), 1 / len(tasks.PRODUCTS))
    monkeypatch.setattr(trainer, "fit_rows", lambda *_, **__: fitted)
    monkeypatch.setattr(train, "_reference", lambda *_: None)
    monkeypatch.setattr(train, "export", lambda fitted, folder, **given: exported.update(given))
    options = ["--split-seed", "7", "--validation-size", "0.3", "--output-dir", str(tmp_path)]
    train.main([*SAMPLE, *FAST, "--backbone", str(shallow_bert), *options])
    rows = data.training_rows(data.read(paths.SAMPLE_CORPUS), tasks.PRODUCT.name)
    split, _ = splits.training_split(rows, 7, 0.3)
    assert exported["training_texts"] == [rows.texts[position] for position in sorted(split.train)]
    assert exported["validation"].texts == [rows.texts[position] for position in split.validation]


@pytest.mark.usefixtures("begins")
def test_a_run_does_not_go_on_with_other_rows_or_weights(tmp_path, shallow_bert, monkeypatch):
    lines = paths.SAMPLE_CORPUS.read_text(encoding="utf-8").splitlines(keepends=True)
    own, extra = tmp_path / "mine.csv", tmp_path / "corrections.csv"
    own.write_text("".join(lines), encoding="utf-8")
    extra.write_text(f"{lines[0]}my toaster runs android and I adore it,Android,Positive emotion\n", encoding="utf-8")
    bert = shutil.copytree(shallow_bert, tmp_path / "bert")
    arguments = ["--data", str(own), "--extra", str(extra), *FAST, "--backbone", str(bert), "--resume"]
    arguments += ["--output-dir", str(tmp_path / "models")]
    with pytest.raises(Begun):
        train.main(arguments)
    monkeypatch.setattr(Checkpoint, "epochs_done", lambda self: 1)
    with pytest.raises(Begun):  # the same rows and weights
        train.main(arguments)
    for changed, setting in ((own, "data"), (extra, "data"), (bert / "model.safetensors", "weights")):
        content = changed.read_bytes()
        other_end = content[:-1] + bytes([content[-1] ^ 1])
        changed.write_bytes(content.replace(b"Positive", b"Negative", 1) if setting == "data" else other_end)
        with pytest.raises(UsageError, match=rf"had other settings \({setting} was [^ ]+\); resume with those, or add"):
            train.main(arguments)
        changed.write_bytes(content)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("precision", "mixed_bfloat16"), ("gpus", 2), ("deterministic", True), ("versions", {"tensorflow": "1.0"})],
)
def test_a_run_does_not_go_on_in_another_way_of_computing(tmp_path, monkeypatch, setting, value):
    arguments, weights = Mock(task="product", resume=True, restart=False), Mock(identity="abc")
    runtime = device.Runtime("CPU", gpus=0, precision="float32", deterministic=False)
    begin = partial(train._checkpoint, arguments, tmp_path / "product", make_config("report"), "data", weights)
    begin(runtime)
    monkeypatch.setattr(Checkpoint, "epochs_done", lambda self: 1)
    begin(runtime)
    if setting == "versions":
        monkeypatch.setattr(device, "versions", lambda: value)
    else:
        runtime = replace(runtime, **{setting: value})
    with pytest.raises(UsageError, match=rf"had other settings \({setting} was [^()]+\); resume with those"):
        begin(runtime)
    arguments.restart = True
    begin(runtime)  # the run before is discarded


@pytest.mark.usefixtures("begins")
def test_a_run_on_mentions_does_not_go_on_with_other_products(tmp_path, shallow_bert, monkeypatch):
    products = tmp_path / "products.csv"
    products.write_text("name,aliases\niPad,\niPhone,\n", encoding="utf-8")
    calibrated = {"threshold": 0.5}
    monkeypatch.setattr(
        cross_validation, "calibrate_out_of_fold", lambda rows, *_, **__: (calibrated, np.zeros(len(rows)))
    )
    arguments = [*SAMPLE, *FAST, "--task", "target", "--products", str(products), "--backbone", str(shallow_bert)]
    arguments += ["--output-dir", str(tmp_path / "models"), "--resume"]
    with pytest.raises(Begun):
        train.main(arguments)
    monkeypatch.setattr(Checkpoint, "epochs_done", lambda self: 1)
    products.write_text("name,aliases\niPad,\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"had other settings \(data was [^ ]+\); resume with those"):
        train.main(arguments)


@pytest.fixture
def terminable() -> Iterator[None]:
    """A SIGTERM that the command does not handle fails this test, not all."""

    def unhandled(*_: object) -> None:
        raise AssertionError("SIGTERM was not handled")

    before = signal.signal(signal.SIGTERM, unhandled)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("terminable", "without_graph")
def test_a_termination_keeps_the_epochs_and_leaves_nothing_half(tmp_path, steady_bert, capsys, monkeypatch):
    """SIGTERM after an epoch, Ctrl-C after the next, SIGTERM during saving; each message says what to do."""
    import tensorflow as tf

    def run(*more: str) -> tuple[int, str]:
        arguments = [*SAMPLE, *FAST, "--task", "emotion", "--backbone", str(steady_bert), "--epochs", "2"]
        with pytest.raises(SystemExit) as stopped:
            cli.run(lambda _: train.main([*arguments, "--output-dir", str(tmp_path), *more]))
        return stopped.value.code, capsys.readouterr().err

    def signalled_after(owner, name: str, number: signal.Signals) -> None:
        function = getattr(owner, name)

        def call(*arguments, **options):
            function(*arguments, **options)
            os.kill(os.getpid(), number)

        monkeypatch.setattr(owner, name, call)

    signalled_after(Checkpoint, "save", signal.SIGTERM)
    code, said = run("--restart")
    assert code == 143
    assert "terminated" in said
    assert "stopped; 1 epoch kept in " in said
    assert "run the same command again with --resume without --restart to continue" in said
    assert "Traceback" not in said
    monkeypatch.undo()

    code, said = run()
    assert code == 2
    assert "holds an unfinished run (1 epoch); add --resume to continue it, or --restart to start again" in said
    code, said = run("--resume", "--learning-rate", "1e-3", "--batch-size", "32")
    assert code == 2
    assert "had other settings (batch_size was 64, learning_rate was 0.01); resume with those, or add --rest" in said

    signalled_after(Checkpoint, "save", signal.SIGINT)
    code, said = run("--resume")
    assert code == 130
    assert "stopped; 2 epochs kept in " in said
    assert "run the same command again to continue" in said
    assert "Traceback" not in said
    monkeypatch.undo()

    signalled_after(tf.saved_model, "save", signal.SIGTERM)
    code, said = run("--resume")
    assert code == 143
    assert [path.name for path in tmp_path.iterdir()] == [".checkpoints"]
    monkeypatch.undo()

    code, said = run("--resume")
    assert code == 0
    assert "resuming after 2 epochs" in said
    assert "epoch 1/2" not in said  # nothing was lost: only saving was left
    assert "epoch 2/2" not in said
    folder = tmp_path / "emotion"
    assert json.loads((folder / "labels.json").read_text(encoding="utf-8"))["labels"] == {
        "emotion": list(tasks.EMOTIONS)
    }
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["task"] == "emotion"
    assert list(metrics["validation"]["emotion"]["per_class"]) == list(tasks.EMOTIONS)
    assert len((folder / "history.csv").read_text(encoding="utf-8").splitlines()) == 3


# ---------------------------------------------------------------- products and emotions of one's own

COLUMNS = ("satz", "Marke", "Stimmung")
NAMED = ["--product-column", "Marke", "--emotion-column", "stimmung"]
load_once = cache(Predictor.load)  # takes a second


@pytest.fixture(scope="module", params=["so | so", None])
def own(request, tmp_path_factory, shallow_bert) -> tuple[Path, Path, str | None]:
    """A model of the sample of other brands, its data, and its label of no emotion; without one all is positive or
    negative."""
    folder = tmp_path_factory.mktemp("own")
    with (paths.SAMPLE_CORPUS.with_name("brands.csv")).open(encoding="utf-8") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    rows = [(*row[:2], "so | so" if row[2] == "neutral" else row[2]) for row in rows]
    path = write_csv(folder / "mine.csv", [row for row in rows if request.param or row[2] != "so | so"], COLUMNS)
    arguments = ["--data", str(path), "--task", "answer", "--name", "own", "--output-dir", str(folder), *NAMED]
    none = ["--no-emotion", "so | so"] if request.param else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_validation, "_train_fold", guessed_fold)
        patch.setattr(trainer, "fit", partial(trainer.fit, prepare=eagerly))
        assert train.main([*arguments, *none, *FAST, "--epochs", "1", "--backbone", str(shallow_bert)]) == 0
    return folder / "own", path, request.param


def test_own_labels_go_all_the_way(own, capsys, monkeypatch):
    monkeypatch.setattr(Predictor, "load", load_once)
    folder, path, no_emotion = own
    emotions = sorted(filter(None, ["negative", "positive", no_emotion]))
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    assert labels["labels"] == {"product": ["Kindle", "Nintendo Switch", "Xbox"], "emotion": emotions}
    assert labels["no_emotion"] == no_emotion
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["columns"] == dict(zip(("text", "product", "emotion"), COLUMNS, strict=True))
    answer = metrics["validation"]["answer"]
    assert list(answer["emotion_shares"]) == emotions
    assert (answer["emotion_rows"] == answer["rows"]) is (no_emotion is None)
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    assert "`product`: Kindle, Nintendo Switch, Xbox" in card
    assert "Apple and Google" not in card
    assert (r"| so \| so | 0." in card) is bool(no_emotion)

    confidence, correct = error_analysis.joint_correctness(read_report(folder))
    assert correct.mean() == pytest.approx(answer["accuracy"])
    assert (confidence < answer["threshold"]).mean() == pytest.approx(answer["not_sure_share"])
    outcomes = {key for name, key in reference.load(folder).counts if name == "outcome"}
    assert outcomes <= {"answered", "not_sure", *(["no_emotion"] if no_emotion else [])}

    model = Predictor.load(folder)
    texts = data.read(path, columns=data.Columns(**metrics["columns"])).labelled[tasks.TEXT_COLUMN].tolist()
    measured = model.predict_measured(texts, threshold=0)
    assert measured.no_emotion == no_emotion
    for row in measured.predictions.itertuples():
        assert row.answer == (row.emotion if row.emotion == no_emotion else f"{row.emotion} → {row.product}")

    capsys.readouterr()
    assert evaluate.main(["--model", str(folder), "--data", str(path)]) == 0, "the columns are those of the training"
    printed = capsys.readouterr()
    assert f"exactly correct {answer['accuracy']:.4f}" in printed.out
    assert "columns: text: satz, product: Marke, emotion: Stimmung" in printed.err


def test_own_labels_are_compared_and_recorded(own, tmp_path, monkeypatch):
    monkeypatch.setattr(Predictor, "load", load_once)
    folder, path, no_emotion = own
    arguments = ["--compare", str(folder), str(folder), "--data", str(path), "--json", str(tmp_path / "compared.json")]
    assert evaluate.main(arguments) == 0
    compared = json.loads((tmp_path / "compared.json").read_text(encoding="utf-8"))
    assert set(compared["tasks"]) == {"product", "emotion", "answer"}
    assert compared["tasks"]["answer"]["difference"] == 0
    model = Predictor.load(folder)
    with Recorder(tmp_path / "log.sqlite", model="own", version="1") as recorder:
        texts = [f"text {number}" for number in range(40)]
        measured = model.predict_measured(texts, threshold=0)
        recorder.record_measured(texts, measured, "app")
    found = measured.predictions
    window = Store(tmp_path / "log.sqlite").series(0, time.time() + 1, math.inf, ("own", "1"))[0]
    directed = int((found["emotion"] != no_emotion).sum())
    assert window.labels("outcome").get("answered", 0) == directed
    assert window.histogram(DIRECTED_CONFIDENCE).count == directed


def test_resuming_with_another_column_is_another_run(own, shallow_bert, tmp_path, monkeypatch):
    _, path, _ = own
    monkeypatch.setattr(Checkpoint, "open", lambda checkpoint, **_: pytest.fail(str(checkpoint.settings["data"])))
    arguments = ["--data", str(path), "--output-dir", str(tmp_path), *FAST, "--backbone", str(shallow_bert)]
    with pytest.raises(pytest.fail.Exception, match="product='Marke', emotion='Stimmung'"):
        train.main([*arguments, *NAMED])
