"""A saved model is read back as it was trained, and exported once more."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tf_model import config, data, evaluate, paths, tasks, train
from tf_model.errors import ModelError, OutputError, UsageError
from tf_model.export import restore, saved_model
from tf_model.inference.predictor import Predictor
from tf_model.modeling import backbone

TEXTS = ["I love my new iPad 2!", "google maps at #sxsw", "", "\U0001f389" * 280, "the apps " * 100]
TEMPERATURES = {"product": 1.7, "emotion": 0.8}
PAPERS = ["metrics.json", "history.csv", "model_card.md", "mine.txt"]


@pytest.fixture(scope="module", params=[("product", "cls"), ("answer", "mean")], ids=lambda each: each[0])
def folder(request, tiny_bert: Path, tmp_path_factory) -> Path:
    """A saved model of a tiny BERT with random weights, large enough for texts to differ in their classes."""
    from tf_model.device import prepare
    from tf_model.io.files import write_json
    from tf_model.modeling import classifier
    from tf_model.preprocessing.tokenizer import TextEncoder
    from tf_model.training.trainer import Fitted

    name, pooling = request.param
    recipe = config.make_recipe("answer", backbone=str(tiny_bert), pooling=pooling)
    chosen = tasks.ANSWER_TASKS if name == tasks.ANSWER else (tasks.TASKS[name],)
    labels = {task.name: task.labels for task in chosen}
    prepare(3, precision="float32")
    tiny = backbone.find(str(tiny_bert))
    bert = classifier.build(tiny, [len(names) for names in labels.values()], pooling)
    for variable in bert.trainable_variables:
        if "LayerNorm" not in variable.name:
            variable.assign(variable * 12)
    fitted = Fitted(bert, TextEncoder(tiny.vocabulary, recipe.cleaning, tiny.lower_case, recipe.max_tokens))
    folder = tmp_path_factory.mktemp("models") / name
    if len(chosen) == 1:
        saved_model.save_graph(fitted, chosen[0], folder)
        written = {"task": name, "labels": chosen[0].labels}
    else:
        saved_model.save_answer_graph(fitted, labels, folder, TEMPERATURES, 0.4)
        written = {"task": name, **labels}
        write_json(folder / "calibration.json", {"temperature": TEMPERATURES, "threshold": 0.4})
    write_json(folder / "labels.json", written)
    write_json(folder / "recipe.json", recipe.to_dict())
    write_json(folder / "metrics.json", {"dataset": "custom", "backbone": {"sha256": tiny.sha256}})
    for paper in PAPERS[1:]:
        (folder / paper).write_text(paper, encoding="utf-8")
    return folder


def same(one: Path, other: Path) -> None:
    """Both models give the same answers with the same probabilities."""
    left, right = (Predictor.load(each).predict(TEXTS, probabilities=True) for each in (one, other))
    numbers = left.select_dtypes("number").columns
    np.testing.assert_allclose(left[numbers], right[numbers], atol=1e-6)
    assert (left[numbers].std() > 1e-3).any()  # or any weights would do
    assert left.drop(columns=numbers).equals(right.drop(columns=numbers))


def test_a_model_that_is_exported_once_more_is_the_same_model(folder, tmp_path, capsys):
    again = tmp_path / "again"
    assert saved_model.main([str(folder), "--output", str(again)]) == 0
    assert "use it with `python -m tf_model.predict --model" in capsys.readouterr().err
    same(folder, again)
    assert all((again / paper).read_bytes() == (folder / paper).read_bytes() for paper in PAPERS)
    assert Predictor.load(again).can_explain
    with pytest.raises(OutputError, match="again already exists; add --overwrite"):
        saved_model.main([str(folder), "--output", str(again)])


@pytest.mark.parametrize("kind", saved_model.FORMATS)
def test_only_an_earlier_export_is_replaced(folder, tmp_path, kind):
    mine = tmp_path / "results"
    mine.mkdir()
    (mine / "mine.txt").write_text("mine")
    command = [str(folder), "--format", kind, "--overwrite", "--output"]
    with pytest.raises(OutputError, match="holds neither a saved model nor weights and is not replaced"):
        saved_model.main([*command, str(mine)])
    assert (mine / "mine.txt").read_text() == "mine"
    for place in (folder, folder.parent):
        with pytest.raises(UsageError, match="is or holds the model that is exported"):
            saved_model.main([*command, str(place)])
    assert (folder / "saved_model.pb").is_file()
    assert saved_model.main([*command, str(tmp_path / "new")]) == 0
    assert saved_model.main([*command, str(tmp_path / "new")]) == 0


def test_its_weights_are_a_backbone(folder, tmp_path):
    assert saved_model.main([str(folder), "--output", str(tmp_path / "weights"), "--format", "weights"]) == 0
    found = backbone.find(str(tmp_path / "weights"))
    from tf_model.modeling import classifier

    labels = Predictor.load(folder).labels
    pooling = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["pooling"]
    again = classifier.build(found, [len(names) for names in labels.values()], pooling)
    kept = {restore._name(variable): variable for variable in restore.load(folder).fitted.model.variables}
    for variable in again.variables:
        np.testing.assert_array_equal(variable, kept[restore._name(variable)])


def test_weights_know_which_labels_they_have_learned(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    sample = data.read(paths.SAMPLE_CORPUS)
    metrics = json.loads((copy / "metrics.json").read_text(encoding="utf-8")) | {"data_sha256": sample.sha256}
    (copy / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    unseen = list(range(0, 503, 5))
    (copy / "validation_predictions.csv").write_text("\n".join(["row,label", *(f"{row},x" for row in unseen)]))
    assert saved_model.main([str(copy), "--output", str(tmp_path / "weights"), "--format", "weights"]) == 0
    found = backbone.find(str(tmp_path / "weights"))
    assert found.trained_on == (backbone.TrainedOn(sample.sha256, frozenset(unseen)),)
    found.refuse_seen(sample.sha256, unseen)
    found.refuse_seen("of other data", range(503))
    with pytest.raises(UsageError, match="has learned the labels of 1 of the 102 rows that are to judge the model"):
        found.refuse_seen(sample.sha256, [*unseen, 3])
    chosen = ["--data", str(paths.SAMPLE_CORPUS), "--backbone", str(tmp_path / "weights")]
    for command in (train.main, evaluate.main):
        options = ["--protocol", "grouped"] if command == evaluate.main else ["--output-dir", str(tmp_path / "new")]
        with pytest.raises(UsageError, match="rows that are to judge the model, whose figures would say too much"):
            command([*chosen, *options])
    (tmp_path / "weights" / backbone.TRAINED_ON).write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"trained_on.json of the backbone .* cannot be read"):
        backbone.find(str(tmp_path / "weights"))


def test_weights_know_that_they_have_learned_extra_rows(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    metrics = json.loads((copy / "metrics.json").read_text(encoding="utf-8"))
    metrics["extra"] = {"file": "more.csv", "sha256": "of more"}
    (copy / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    assert saved_model.main([str(copy), "--output", str(tmp_path / "weights"), "--format", "weights"]) == 0
    with pytest.raises(UsageError, match="has learned the labels of 2 of the 2 rows"):
        backbone.find(str(tmp_path / "weights")).refuse_seen("of more", [0, 1])


def refusal(folder: Path, *more: str) -> str:
    with pytest.raises(ModelError) as refused:
        saved_model.main([str(folder), "--output", str(folder.parent / "new"), *more])
    assert not (folder.parent / "new").exists()
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("recipe.json", {"cleaning": "report"}, r"and its export differ by .* reads texts in another way; train it ag"),
        ("recipe.json", {"colour": "red"}, r"recipe.json of .* cannot be used \(unknown recipe fields colour"),
        ("metrics.json", {"backbone": {"sha256": "0" * 64}}, r"was trained from other weights \(sha256 000"),
    ],
)
def test_what_would_not_be_the_same_model_is_refused(folder, tmp_path, name, change, words):
    copy = shutil.copytree(folder, tmp_path / "copy")
    value = json.loads((copy / name).read_text(encoding="utf-8"))
    (copy / name).write_text(json.dumps(value | change), encoding="utf-8")
    assert re.search(words, refusal(copy))


def test_a_model_of_another_project_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(restore, "_saved_variables", lambda folder: {})
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert "lacks" in refusal(copy)
    assert "train it again" in refusal(copy, "--format", "weights")
