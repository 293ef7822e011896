"""Both protocols by the real command: a saved model, and a recipe without leakage."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
from model_folders import eagerly, guessed_fold
from sample_datasets import GOOD, long_targets, write_csv
from stub_model import stub, target_stub

from tf_model import config, data, evaluate, paths, tasks
from tf_model.data import splits
from tf_model.errors import DataError, ModelError, OutputError, UsageError
from tf_model.inference.predictor import Predictor
from tf_model.model_dir import read_validation_rows
from tf_model.preprocessing import batching
from tf_model.training import cross_validation, trainer

SAMPLE = ["--data", str(paths.SAMPLE_CORPUS)]
FLOAT32 = ["--precision", "float32"]
FAST = ["--learning-rate", "1e-2", "--batch-size", "64", "--epochs", "2"]
load_once = cache(Predictor.load)


@pytest.fixture(autouse=True)
def each_model_is_loaded_once(monkeypatch):
    monkeypatch.setattr(Predictor, "load", load_once)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CHECKPOINTS", tmp_path / "checkpoints")
    return tmp_path / "checkpoints"


def grouped(shallow_bert, path, *more: str) -> dict:
    arguments = [*SAMPLE, *FLOAT32, *FAST, "--protocol", "grouped", "--folds", "2", "--seeds", "5"]
    arguments += ["--backbone", str(shallow_bert), "--json", str(path), "--overwrite", *more]
    assert evaluate.main(arguments) == 0
    return json.loads(path.read_text(encoding="utf-8"))


def test_grouped_predicts_every_row_once_and_reuses_finished_folds(shallow_bert, tmp_path, store, monkeypatch, capsys):
    train_fold = cross_validation._train_fold
    figures = {"seconds": 1.0, "val_accuracy": 0.5, "val_loss": 1.0, "loss": 1.0}
    history = [{"epoch": epoch, **figures} for epoch in (1, 2)]

    def guess(*arguments, **options):
        return guessed_fold(*arguments, **options)._replace(history=history)

    monkeypatch.setattr(trainer, "fit", partial(trainer.fit, prepare=eagerly))
    folds = iter([train_fold, guess])  # the first fold, and the second
    monkeypatch.setattr(cross_validation, "_train_fold", lambda *given, **options: next(folds)(*given, **options))
    found = grouped(shallow_bert, tmp_path / "first.json", "--each-epoch")
    examples = data.training_rows(data.read(paths.SAMPLE_CORPUS), "product")
    assert found["rows"] == found["seeds"]["5"]["product"]["rows"] == len(examples)
    assert found["folds"] == 2
    assert found["dataset"] == "sample"
    assert found["groups"] < found["rows"]  # the corpus holds retweets
    assert [row["epoch"] for row in found["epochs"]] == [1, 2]
    accuracy = found["summary"]["product_accuracy"]["mean"]
    assert accuracy == found["seeds"]["5"]["product"]["accuracy"]
    right = np.unpackbits(np.frombuffer(base64.b64decode(found["seeds"]["5"]["right"]["product"]), np.uint8))
    assert right.sum() == round(accuracy * len(examples)), "research.compare reads which rows"
    assert f"product_accuracy: mean {accuracy:.4f}" in capsys.readouterr().out

    folder = next(store.iterdir())
    kept = [np.load(path)["positions"] for path in sorted(folder.glob("*.npz"))]
    assert sorted(np.concatenate(kept)) == list(range(len(examples)))

    def no_training(*arguments, **options):
        raise AssertionError("a finished fold was trained again")

    monkeypatch.setattr(cross_validation, "_train_fold", no_training)
    assert grouped(shallow_bert, tmp_path / "second.json", "--each-epoch")["seeds"] == found["seeds"]


def test_figures_of_an_epoch_count_each_fold_by_its_rows():
    def fold(rows, *history):
        names = ("epoch", "val_accuracy", "val_loss", "loss")
        history = [dict(zip(names, figures, strict=True)) for figures in history]
        return cross_validation.FoldResult(np.arange(rows), np.zeros((rows, 2), np.float32), history)

    found = evaluate._by_epoch([fold(3, (1, 0.5, 1.0, 2.0), (2, 0.6, 0.8, 1.0)), fold(1, (1, 0.9, 3, 4), (2, 1, 2, 3))])
    assert found == [
        {"epoch": 1, "val_accuracy": pytest.approx(0.6), "val_loss": pytest.approx(1.5), "loss": pytest.approx(2.5)},
        {"epoch": 2, "val_accuracy": pytest.approx(0.7), "val_loss": pytest.approx(1.1), "loss": pytest.approx(1.5)},
    ]


@pytest.mark.parametrize("task", ["product", "answer"])
def test_part_train_leaves_out_what_a_trained_model_validates_on(task, shallow_bert, tmp_path, store, monkeypatch):
    seen = []

    def remember(recipe, backbone, rows, encoded, split, **options):
        counts = [len(task.labels) for task in rows.tasks]
        shares = [np.full((len(split.validation), count), 1 / count, np.float32) for count in counts]
        history = [{"epoch": 1, "seconds": 1.0}]
        return cross_validation.FoldResult(split.validation, np.concatenate(shares, axis=1), history)

    monkeypatch.setattr(cross_validation, "_train_fold", remember)
    encode = batching.encode
    monkeypatch.setattr(batching, "encode", lambda encoder, texts: seen.extend(texts) or encode(encoder, texts))
    options = ["--part", "train", "--task", task, "--split-seed", "7", "--validation-size", "0.25"]
    grouped(shallow_bert, tmp_path / "part.json", *options)
    rows = data.training_rows(data.read(paths.SAMPLE_CORPUS), task)
    split, _ = splits.training_split(rows, 7, 0.25)
    texts = np.array(rows.texts, dtype=object)
    assert set(seen) == set(texts[split.train])
    assert not set(seen) & (set(texts[split.validation]) - set(texts[split.train]))
    if task == "product":
        assert np.array_equal(split.train, splits.report_split(rows.label_ids[:, 0], 7, 0.25).train)


def test_mentions_of_one_long_text_validate_together(shallow_bert, tmp_path, store, monkeypatch):
    shared = []

    def guess(config, backbone, rows, encoded, split, **options):
        shared.append({*split.train // 2} & {*split.validation // 2})  # each text has two mentions
        return guessed_fold(config, backbone, rows, encoded, split, **options)

    monkeypatch.setattr(cross_validation, "_train_fold", guess)
    options = ["--task", "target", "--data", str(long_targets(tmp_path)), "--fold-seed"]
    for seed in ("0", "1"):  # other folds
        found = grouped(shallow_bert, tmp_path / "x.json", *options, seed)
        assert (found["rows"], found["groups"]) == (40, 20)
    assert shared == [set()] * 4
    assert len(list(store.iterdir())) == 2


def test_targets_are_cross_validated_on_the_mentions_of_the_products_listed(shallow_bert, tmp_path, store, monkeypatch):
    monkeypatch.setattr(cross_validation, "_train_fold", guessed_fold)
    products = tmp_path / "products.csv"
    counts = []
    for names in ("Kindle\nXbox\n", "Kindle\n"):
        products.write_text(f"name\n{names}", encoding="utf-8")
        options = ["--task", "target", "--data", str(long_targets(tmp_path)), "--products", str(products)]
        counts.append(grouped(shallow_bert, tmp_path / "x.json", *options)["rows"])
    assert counts == [40, 20]
    assert len(list(store.iterdir())) == 2, "the folds of one list are not taken for those of another"
    with pytest.raises(UsageError, match="--products needs --task target"):
        grouped(shallow_bert, tmp_path / "x.json", "--task", "answer", "--products", str(products))


def test_a_task_with_one_class_is_refused_before_the_training(shallow_bert, tmp_path, monkeypatch):
    monkeypatch.setattr(cross_validation, "_train_fold", lambda *_, **__: pytest.fail("it trains"))
    rows = [
        (f"{word} {number}", ("iPad", "iPhone")[number % 2], GOOD) for word in ("love", "buy") for number in range(9)
    ]
    path = write_csv(tmp_path / "mine.csv", rows)
    with pytest.raises(DataError, match=r"at least two classes of the task 'emotion', got only 'Positive emotion'"):
        evaluate.main(
            ["--protocol", "grouped", "--task", "answer", "--backbone", str(shallow_bert), "--data", str(path)]
        )


def test_report_protocol_finds_what_the_training_measured(trained, tmp_path, capsys):
    model, _ = trained
    path = tmp_path / "evaluated.json"
    assert evaluate.main([*SAMPLE, "--model", str(model), "--json", str(path)]) == 0
    found = json.loads(path.read_text(encoding="utf-8"))["validation"]["product"]
    expected = json.loads((model / "metrics.json").read_text(encoding="utf-8"))["validation"]["product"]
    assert found["confusion_matrix"] == expected["confusion_matrix"]
    assert found["loss"] == pytest.approx(expected["loss"], abs=1e-5)
    said = capsys.readouterr()
    assert "precision" in said.out
    assert "protocol: random split (seed 42, 20% to validate), as in the report" in said.err


BRANDS = ["--data", str(paths.SAMPLE_CORPUS.with_name("brands.csv"))]


def test_a_model_of_targets_is_evaluated_as_it_was_after_its_training(target_model, tmp_path, capsys):
    path = tmp_path / "targets.json"
    assert evaluate.main([*BRANDS, "--model", str(target_model), "--json", str(path)]) == 0
    found = json.loads(path.read_text(encoding="utf-8"))
    expected = json.loads((target_model / "metrics.json").read_text(encoding="utf-8"))
    assert found["task"] == "target"
    assert found["validation"].keys() == expected["validation"].keys() == {"target", "answer"}
    for name in ("rows", "accuracy"):
        for part in ("target", "answer"):
            assert found["validation"][part][name] == expected["validation"][part][name]
    assert found["validation"]["target"]["loss"] == pytest.approx(expected["validation"]["target"]["loss"], abs=1e-4)
    said = capsys.readouterr()
    assert "protocol: one of 5 grouped folds (seed 42): no near-duplicate is on both sides" in said.err
    assert "warning" not in said.err
    assert "answer, validation part: exactly correct" in said.out


def test_a_model_of_targets_is_judged_alike_when_its_list_of_products_was_edited(target_model, tmp_path):
    folder = shutil.copytree(target_model, tmp_path / "copy")
    (folder / "products.csv").write_text("name,aliases\nXbox,\nWii,\n", encoding="utf-8")
    path = tmp_path / "targets.json"
    assert evaluate.main([*BRANDS, "--model", str(folder), "--json", str(path)]) == 0
    found, whole = (json.loads(each.read_text(encoding="utf-8")) for each in (path, target_model / "metrics.json"))
    assert found["validation"]["target"]["confusion_matrix"] == whole["validation"]["target"]["confusion_matrix"]
    rows = data.training_rows(data.read(BRANDS[1]), "target")
    unseen = np.isin(rows.rows, read_validation_rows(target_model))  # whatever the new split would be
    assert found["validation"]["target"]["rows"] == (unseen & ~rows.is_weak).sum()
    assert found["protocol"] == whole["protocol"]


def test_targets_are_cross_validated_by_the_labels_that_are_not_assumed(
    shallow_bert, tmp_path, store, capsys, monkeypatch
):
    monkeypatch.setattr(cross_validation, "_train_fold", guessed_fold)
    found = grouped(shallow_bert, tmp_path / "targets.json", *BRANDS, "--task", "target")
    rows = data.training_rows(data.read(BRANDS[1]), "target")
    of_seed = found["seeds"]["5"]
    assert found["rows"] == len(rows)
    assert of_seed["target"]["rows"] == of_seed["answer"]["rows"] == (~rows.is_weak).sum() < len(rows)
    assert of_seed["headline"]["answer_accuracy"] == of_seed["headline"]["target_accuracy"]
    assert found["summary"]["target_accuracy"]["interval"]
    assert of_seed["calibration"]["threshold"] == of_seed["answer"]["threshold"]
    assert "target_ece: mean" in capsys.readouterr().out


def test_a_model_of_products_needs_no_emotions(trained, tmp_path, capsys):
    table = pd.read_csv(paths.SAMPLE_CORPUS, keep_default_na=False)
    table.iloc[:, :2].to_csv(tmp_path / "other.csv", index=False)
    table.set_axis([*table.columns[:2], "mood"], axis=1).assign(mood="odd").to_csv(tmp_path / "named.csv", index=False)
    table.set_axis(["post", "brand", "sentiment"], axis=1).to_csv(tmp_path / "renamed.csv", index=False)
    for options in (["other.csv"], ["named.csv", "--emotion-column", "mood"], ["renamed.csv"]):
        options[0] = str(tmp_path / options[0])
        assert evaluate.main(["--model", str(trained[0]), "--data", *options]) == 0
        assert ("emotion: " in capsys.readouterr().err) == ("mood" in options)
    with pytest.raises(UsageError, match="has no column 'mood'"):
        evaluate.main(["--model", str(trained[0]), "--data", options[0], "--emotion-column", "mood"])


@pytest.mark.parametrize("product", [None, ""])
def test_a_model_of_both_is_judged_on_data_that_labels_one(product, tmp_path, monkeypatch, capsys):
    model = replace(stub(True), folder=tmp_path, recipe=config.ANSWER.to_dict())
    monkeypatch.setattr(Predictor, "load", lambda *_: model)
    table = pd.DataFrame({"text": ["my iPad is great", "not so good"], "sentiment": [GOOD, tasks.NEGATIVE]})
    path = tmp_path / "emotions.csv"
    (table if product is None else table.assign(product=product)).to_csv(path, index=False)
    assert evaluate.main(["--data", str(path), "--json", str(tmp_path / "out.json")]) == 0
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (found["task"], list(found["validation"])) == ("emotion", ["emotion"])
    assert found["validation"]["emotion"]["rows"] == 2


def test_all_rows_of_other_data_count_however_few(trained, target_model, tmp_path, capsys):
    for model, corpus, count in ((trained[0], paths.SAMPLE_CORPUS, 3), (target_model, BRANDS[1], 2)):
        held_out, path = tmp_path / f"{model.name}.csv", tmp_path / f"{model.name}.json"
        table = pd.read_csv(corpus, keep_default_na=False)
        is_labelled = table.iloc[:, 1].ne("") & table.iloc[:, 2].ne("")
        table[is_labelled].head(count).to_csv(held_out, index=False)
        assert evaluate.main(["--data", str(held_out), "--model", str(model), "--json", str(path)]) == 0
        found = json.loads(path.read_text(encoding="utf-8"))
        assert found["protocol"] == "all rows"
        assert found["validation"][model.name]["rows"] == count
        said = capsys.readouterr()
        assert "some of these rows may have been among its training examples" in said.err
        assert f"{model.name}, all rows" in said.out
        assert "validation part" not in said.out


def test_a_model_without_its_recipe_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Predictor, "load", lambda *_: replace(stub(), folder=tmp_path, recipe={"colour": "red"}))
    with pytest.raises(ModelError, match="recipe setting colour: unexpected"):
        evaluate.main(SAMPLE)


@pytest.mark.parametrize("option", ["extra", "unlabelled"])
def test_rows_that_were_added_in_training_do_not_judge_a_model(option, tmp_path, monkeypatch):
    path = write_csv(tmp_path / "more.csv", [("my iPad is great", "iPad", GOOD)])
    model = replace(stub(), recipe=config.REPORT.to_dict(), metrics={option: {"sha256": data.read(path).sha256}})
    monkeypatch.setattr(Predictor, "load", lambda *_: model)
    with pytest.raises(UsageError, match=rf"was trained on the rows of .*more\.csv \(--{option}\); evaluate it on"):
        evaluate.main(["--data", str(path)])


def test_a_model_of_targets_is_evaluated_on_mentions_of_other_products(tmp_path, monkeypatch, capsys):
    (tmp_path / "products.csv").write_text("name,aliases\niPad,\n", encoding="utf-8")
    (tmp_path / "own.csv").write_text("name,aliases\nKindle,\n", encoding="utf-8")
    rows = [("my Kindle is great", "Kindle"), ("my Kindle is bad", "Kindle"), ("an iPad is great", "iPad")]
    lines = [f"{text},{product},{tasks.POSITIVE}" for text, product in rows]
    (tmp_path / "rows.csv").write_text("\n".join(["text,product,emotion", *lines]), encoding="utf-8")
    (tmp_path / "validation_predictions.csv").write_text("row,product\n2,iPad\n", encoding="utf-8")
    model = replace(target_stub(), folder=tmp_path, recipe=config.TARGET.to_dict())
    monkeypatch.setattr(Predictor, "load", lambda *_: model)
    arguments = ["--data", str(tmp_path / "rows.csv")]
    evaluate.main(arguments)
    said = capsys.readouterr()
    assert "note: 2 rows are left out: their texts do not name the labelled product" in said.err
    assert "accuracy 1.0000" in said.out
    evaluate.main([*arguments, "--products", str(tmp_path / "own.csv")])
    said = capsys.readouterr()
    assert "note: 1 row is left out" in said.err
    assert "accuracy 0.5000" in said.out
    metrics = {"data_sha256": data.read(tmp_path / "rows.csv").sha256, "protocol": "random split"}
    monkeypatch.setattr(Predictor, "load", lambda *_: replace(model, metrics=metrics))
    with pytest.raises(DataError, match=r"no validation text of .* names a product of .*own\.csv; list those that"):
        evaluate.main([*arguments, "--products", str(tmp_path / "own.csv")])
    monkeypatch.setattr(Predictor, "load", lambda *_: replace(stub(), folder=tmp_path, recipe=config.REPORT.to_dict()))
    (tmp_path / "known.csv").write_text("text,product\nan iPad,iPad\nmy iPhone,iPhone\n", encoding="utf-8")
    with pytest.raises(UsageError, match="--products needs a model of the task target"):
        evaluate.main(["--data", str(tmp_path / "known.csv"), "--products", str(tmp_path / "own.csv")])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--protocol", "grouped", "--model", "x"], "give --recipe and --seeds"),
        (["--protocol", "grouped", "--seeds", "1", "-1"], "recipe setting seed: input should be"),
        (["--protocol", "grouped", "--fold-seed", "-1"], "recipe setting seed: input should be"),
        (["--epochs", "3"], "--epochs would have no effect"),
        (["--task", "emotion"], "--task would have no effect; name the model with --model DIR"),
        (
            ["--seeds", "1", "--fold-seed", "1", "--deterministic"],
            "--seeds, --fold-seed, --deterministic would have no",
        ),
        (["--split-seed", "7"], "--split-seed would have no effect; name the model"),
        (["--protocol", "grouped", "--split-seed", "7"], "--split-seed would have no effect without --part train"),
        (["--compare", "a", "b", "--products", "x.csv"], "--products would have no effect with --compare"),
        (["--compare", "a", "b", "--part", "train"], "--part would have no effect"),
        (["--no-emotion", "neutral"], "--no-emotion would have no effect"),
        (["--compare", "a", "b", "--no-emotion", "neutral"], "--no-emotion would have no effect"),
    ],
)
def test_options_that_would_be_ignored_are_refused(arguments, words):
    with pytest.raises(UsageError, match=words):
        evaluate.main(arguments)


def test_the_dataset_is_not_overwritten(tmp_path):
    own = tmp_path / "mine.csv"
    shutil.copy(paths.SAMPLE_CORPUS, own)
    with pytest.raises(UsageError, match="is the input itself"):
        evaluate.main(["--data", str(own), "--json", str(own), "--overwrite"])


def test_the_help_lists_no_option_that_is_refused_or_without_effect(capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["--help"])
    listed = capsys.readouterr().out
    assert not [option for option in ("--seed ", "--teacher-weight", "--teacher-temperature") if option in listed]
    assert "--seeds" in listed


def test_an_existing_json_file_is_kept(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(OutputError, match="already exists; add --overwrite"):
        evaluate.main([*SAMPLE, "--json", str(path)])
    assert path.read_text(encoding="utf-8") == "{}"
