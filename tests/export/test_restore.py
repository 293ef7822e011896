"""A saved model is restored as it was trained, and exported again."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tf_model import data, model_dir, paths, signing
from tf_model.errors import ModelError, OutputError, UsageError
from tf_model.export import __main__ as export
from tf_model.export import restore
from tf_model.inference.predictor import Predictor
from tf_model.io.files import write_json
from tf_model.model_dir import read_validation_rows
from tf_model.modeling import backbone

pytestmark = pytest.mark.timeout(300)  # the default, given so that this slow file begins early

TEXTS = ["I love my new iPad 2!", "google maps at #sxsw", "", "\U0001f389" * 280, "the apps " * 100]
ARTIFACTS = ["metrics.json", "history.csv", "model_card.md", "mine.txt"]


@pytest.fixture(scope="module")
def models(random_models: Path, tiny_bert: Path, tmp_path_factory) -> Path:
    """The models as before light models and manifests existed, with the artifacts of a training."""
    parent = tmp_path_factory.mktemp("models")
    for name in ("product", "answer"):
        ignore = shutil.ignore_patterns(model_dir.LIGHT, model_dir.MANIFEST)
        folder = shutil.copytree(random_models / name, parent / name, ignore=ignore)
        # Its data is never found, so the light model stays in 32-bit floats.
        source = {"sha256": backbone.find(str(tiny_bert)).sha256}
        write_json(folder / "metrics.json", {"dataset": "custom", "data_sha256": "0" * 64, "backbone": source})
        for artifact in ARTIFACTS[1:]:
            (folder / artifact).write_text(artifact, encoding="utf-8")
    return parent


@pytest.fixture
def product(models) -> Path:
    return models / "product"


@pytest.fixture(params=["product", "answer"])
def folder(models, request) -> Path:
    return models / request.param


@pytest.fixture
def copy(product, tmp_path) -> Path:
    """The product model, which a test may damage."""
    return shutil.copytree(product, tmp_path / "copy")


def same(one: Predictor, other: Path) -> None:
    """Both models give the same answers with the same probabilities."""
    first = one.predict(TEXTS, probabilities=True)
    numbers = first.select_dtypes("number").columns
    assert (first[numbers].std() > 1e-3).any()  # or any weights would pass
    for runtime in ("tensorflow", "light"):
        second = Predictor.load(other, runtime).predict(TEXTS, probabilities=True)
        np.testing.assert_allclose(first[numbers], second[numbers], atol=1e-6)
        assert first.drop(columns=numbers).equals(second.drop(columns=numbers))


def test_a_model_that_is_exported_once_more_is_the_same_model(folder, tmp_path, keys, monkeypatch, capsys):
    """One model into its own place, without its earlier signature; the other one elsewhere, with a signature."""
    load, loaded = restore.load, []
    monkeypatch.setattr(restore, "load", lambda folder: loaded.append(load(folder)) or loaded[-1])
    again, is_in_place = tmp_path / "again", folder.name == "product"
    if is_in_place:
        shutil.copytree(folder, again)
        signing.signer(keys[0])(again)
    command = [str(again if is_in_place else folder), "--output", str(again)]
    with pytest.raises(UsageError, match="expected an elliptic-curve key"):
        export.main([*command, "--overwrite", "--sign", str(keys[1])])
    assert export.main([*command, *(["--overwrite"] if is_in_place else ["--sign", str(keys[0])])]) == 0
    if is_in_place:
        assert not (again / signing.SIGNATURE).exists()
    else:
        signing.verify(again, keys[1])
    assert f"use it with `python -m tf_model.predict --model {paths.shown(again)}`" in capsys.readouterr().err
    same(loaded[0][1], again)
    assert all((again / artifact).read_bytes() == (folder / artifact).read_bytes() for artifact in ARTIFACTS)
    with pytest.raises(OutputError, match="again already exists; add --overwrite"):
        export.main([str(folder), "--output", str(again)])


def test_only_a_model_is_replaced(product, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(restore, "load", lambda folder: (None, SimpleNamespace(labels={"target": ()})))
    monkeypatch.setattr(export, "_export_again", lambda *given: (given[-1] / "saved_model.pb").write_text("new"))
    mine = tmp_path / "results"
    mine.mkdir()
    (mine / "mine.txt").write_text("mine")
    command = [str(product), "--overwrite", "--output"]
    for output in (mine, product.parent):
        with pytest.raises(OutputError, match="is not a saved model, so it is not replaced"):
            export.main([*command, str(output)])
    assert (mine / "mine.txt").read_text() == "mine"
    assert (product / "saved_model.pb").is_file()
    assert export.main([*command, str(tmp_path / "new")]) == 0
    assert export.main([*command, str(tmp_path / "new")]) == 0
    assert "`python -m tf_model.predict --targets --model" in capsys.readouterr().err


def test_the_rows_that_validated_judge_the_light_model_again(trained, monkeypatch):
    folder, _ = trained
    model = Predictor.load(folder)
    monkeypatch.setenv(data.DATA_VARIABLE, str(paths.SAMPLE_CORPUS))
    rows, training_texts = export._rows(model)
    assert sorted(rows.rows) == sorted(read_validation_rows(folder))
    assert len(rows) == model.metrics["validation"]["product"]["rows"]
    assert len(training_texts) == model.metrics["train"]["product"]["rows"]
    assert set(training_texts).isdisjoint(rows.texts)
    monkeypatch.setenv(data.DATA_VARIABLE, str(paths.SAMPLE_CORPUS.with_name("brands.csv")))
    assert export._rows(model) == (None, [])


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as refused:
        export.main([str(folder), "--output", str(folder.parent / "new")])
    assert not (folder.parent / "new").exists()
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("recipe.json", {"cleaning": "report"}, r"and its export differ by .* reads texts differently; train it again"),
        ("recipe.json", {"colour": "red"}, r"recipe.json of .* cannot be used \(recipe setting colour: unexpected"),
    ],
)
def test_what_would_not_be_the_same_model_is_refused(copy, name, change, words):
    value = json.loads((copy / name).read_text(encoding="utf-8"))
    (copy / name).write_text(json.dumps(value | change), encoding="utf-8")
    assert re.search(words, refusal(copy))


def test_a_model_of_another_project_is_refused(copy, monkeypatch):
    monkeypatch.setattr(restore, "_saved_variables", lambda folder: {})
    message = refusal(copy)
    assert "lacks" in message
    assert "train it again" in message
