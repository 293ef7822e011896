"""A tiny real SavedModel, whole and broken in every way."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy
import pandas
import pytest
from stub_model import EMOTIONS, PRODUCTS

from tf_model import model_dir, paths, predict, signing
from tf_model.errors import ModelError, UsageError
from tf_model.inference import predictor
from tf_model.inference.predictor import Predictor


@pytest.fixture(scope="session")
def save_model(tmp_path_factory):
    """A function that saves a small TensorFlow model of a task and returns its folder."""
    import tensorflow as tf

    class Tiny(tf.Module):
        def __init__(self, labels):
            super().__init__()
            self.weights = tf.Variable([[2.0, 1.0, 0.0], [1.0, 4.0, 0.0]])  # (without "ipad", with it) x 3 classes
            self.labels = labels

        def task(self, text, labels):
            has_ipad = tf.strings.regex_full_match(tf.strings.lower(text), "(?s).*ipad.*")
            probabilities = tf.nn.softmax(tf.gather(self.weights, tf.cast(has_ipad, tf.int32)))  # (N, 3)
            label = tf.gather(tf.constant(labels), tf.argmax(probabilities, 1))
            return label, tf.reduce_max(probabilities, 1), probabilities

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text):
            outputs = {}
            for task, labels in self.labels.items():
                label, confidence, probabilities = self.task(text, labels)
                outputs |= {task: label, f"{task}_confidence": confidence, f"{task}_probabilities": probabilities}
            if len(self.labels) == 1:
                return outputs | {"label": label, "confidence": confidence, "probabilities": probabilities}
            answer = outputs["emotion"] + " → " + outputs["product"]
            sure = {"answer_confidence": outputs["emotion_confidence"] * outputs["product_confidence"]}
            return outputs | sure | {"answer": answer, "best_guess": answer, "second_guess": answer}

    def save(labels, **files):
        folder = tmp_path_factory.mktemp("model")
        model = Tiny(labels)
        tf.saved_model.save(model, str(folder), signatures=model.serve)
        for name, value in {"labels": {"task": "any", "labels": labels}, **files}.items():
            (folder / f"{name}.json").write_text(json.dumps(value))
        return folder

    return save


@pytest.fixture(scope="session")
def product_model(save_model):
    return save_model({"product": PRODUCTS}, recipe={"name": "tuned"}, metrics={"dataset": "assignment"})


@pytest.fixture(scope="session")
def answer_model(save_model):
    return save_model({"product": PRODUCTS, "emotion": EMOTIONS})


def test_a_saved_model_of_one_task(product_model):
    model = Predictor.load(product_model)
    assert model.labels == {"product": PRODUCTS}
    assert (model.recipe, model.metrics) == ({"name": "tuned"}, {"dataset": "assignment"})
    texts = ["My iPad", "phone", "", "\ud83d ipad\0", "ipad " * 50_000, None] * 5
    frame = replace(model, batch_size=4).predict(texts, probabilities=True)
    assert frame["product"].tolist() == ["iPad", "iPhone", "iPhone", "iPad", "iPad", "iPhone"] * 5
    assert frame["product_confidence"].iloc[0] == pytest.approx(numpy.exp(4) / (numpy.exp(4) + numpy.exp(1) + 1))
    assert frame[[f"product_probability_{label}" for label in PRODUCTS]].sum(axis=1).tolist() == pytest.approx([1] * 30)
    pandas.testing.assert_frame_equal(frame, replace(model, batch_size=1).predict(texts, probabilities=True))


def test_a_saved_model_of_the_emotion_alone(save_model):
    folder = save_model({"emotion": EMOTIONS})
    assert list(Predictor.load(folder).predict(["a"])) == ["emotion", "emotion_confidence"]
    with pytest.raises(ModelError, match="predicts emotion, not the product; name another model"):
        predict.main(["--test-predictions", "--model", str(folder), "--output", str(folder / "never.csv")])


def test_default_models(monkeypatch, tmp_path, product_model, answer_model):
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path / "saved_models")
    with pytest.raises(ModelError, match="no trained model in saved_models/; run `make answer`, or name the folder"):
        Predictor.load()
    paths.SAVED_MODELS.mkdir()
    (paths.SAVED_MODELS / "product").symlink_to(product_model)
    assert predictor.find_model(None) == paths.SAVED_MODELS / "product"
    with pytest.raises(ModelError, match=r"product is not a folder; .*such as saved_models/answer"):
        Predictor.load("product")
    (paths.SAVED_MODELS / "answer").symlink_to(answer_model)
    assert predictor.find_model(None) == paths.SAVED_MODELS / "answer"


def test_a_model_that_does_not_verify_is_not_loaded(monkeypatch, tmp_path, product_model, keys):
    folder, link = shutil.copytree(product_model, tmp_path / "1"), tmp_path / "product"
    link.symlink_to(folder)
    signing.signer(keys[0])(folder)
    assert Predictor.load(link, verify=keys[1]).folder == link
    (folder / "recipe.json").write_text("{}")
    monkeypatch.setattr(Predictor, "_load", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(ModelError, match=r"Hash mismatch for 'recipe\.json'"):
        Predictor.load(link, verify=keys[1])


def test_a_link_that_is_moved_meanwhile_does_not_mix_two_versions(monkeypatch, tmp_path, product_model, answer_model):
    link, read = tmp_path / "answer", model_dir.read_labels
    link.symlink_to(product_model)

    def move(folder):
        labels = read(folder)
        link.unlink()
        link.symlink_to(answer_model)
        return labels

    monkeypatch.setattr(model_dir, "read_labels", move)
    model = Predictor.load(link)
    assert (model.name, model.folder, model.labels) == ("answer", link, {"product": PRODUCTS})
    assert (model.recipe, model.version) == ({"name": "tuned"}, model_dir.training_of(product_model))
    assert model.predict(["My iPad"])["product"].tolist() == ["iPad"]


def copy_of(model: Path, folder: Path, **files: str) -> Path:
    shutil.copytree(model, folder)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content)
    return folder


def test_labels_that_do_not_fit(tmp_path, product_model):
    labels = '{"task": "answer", "labels": {"product": ["a"], "emotion": ["b"]}}'
    with pytest.raises(ModelError, match=r"does not return 'answer', 'answer_confidence'.*; train the model again"):
        Predictor.load(copy_of(product_model, tmp_path / "m", labels=labels))


def test_folders_that_hold_no_whole_model(tmp_path, product_model):
    with pytest.raises(ModelError, match=r"no is not a folder; give that of a saved model, such as"):
        Predictor.load(tmp_path / "no")
    with pytest.raises(ModelError, match=r"b+ is not a folder; give that of"):
        Predictor.load("b" * 300)
    with pytest.raises(ModelError, match=r"holds no complete model: saved_model\.pb is missing"):
        Predictor.load(tmp_path)
    with pytest.raises(ModelError, match="is not a folder; give that of"):
        Predictor.load(product_model / "saved_model.pb")
    with pytest.raises(UsageError, match=r"in .*/m \[1\] for a pattern; choose another folder or name"):
        Predictor.load(copy_of(product_model, tmp_path / "m [1]"))
    folder = copy_of(product_model, tmp_path / "m")
    (folder / "labels.json").unlink()
    with pytest.raises(ModelError, match=r"labels\.json is missing; train it again"):
        Predictor.load(folder)
    for damage in ("saved_model.pb", "variables/variables.index"):
        folder = copy_of(product_model, tmp_path / damage.split("/")[0])
        (folder / damage).write_bytes(b"no model")
        with pytest.raises(ModelError, match=r"TensorFlow .* cannot load it \(.*train it again") as caught:
            Predictor.load(folder)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"metrics\.json cannot be read"):
        Predictor.load(copy_of(product_model, tmp_path / "n", metrics="nonsense"))


def test_a_model_without_signatures(tmp_path):
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path))
    (tmp_path / "labels.json").write_text('{"task": "product", "labels": {"product": ["a"]}}')
    with pytest.raises(ModelError, match="serving_default does not return 'product', 'product_confidence'"):
        Predictor.load(tmp_path)


def test_a_gpu_keeps_room_for_other_programs(product_model, monkeypatch):
    import tensorflow as tf

    growing = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["GPU:0"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *call: growing.append(call))
    Predictor.load(product_model, "tensorflow")
    assert growing == [("GPU:0", True)]


def test_a_batch_that_does_not_fit_into_memory_is_halved():
    import tensorflow as tf

    sizes = []

    def signature(text):
        sizes.append(len(text))
        if len(text) > room:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM")
        return {"product": tf.identity(text), "model_seconds": tf.constant(0.5)}

    room = 2
    score = predictor._scorer(SimpleNamespace(signatures={"serving_default": signature}))
    outputs = score([b"a", b"b", b"c", b"d", b"e"])
    assert outputs["product"].tolist() == ["a", "b", "c", "d", "e"]
    assert outputs["model_seconds"] == pytest.approx(1.5)
    assert sizes == [5, 2, 3, 1, 2]
    room = 0
    with pytest.raises(ModelError, match="not even a single text fits into memory"):
        score([b"a", b"b"])


def test_warning_about_the_sample_corpus(monkeypatch, capsys, product_model, tmp_path):
    folder = copy_of(product_model, tmp_path / "m", metrics='{"dataset": "sample"}')
    predict.main(["--text", "iPad", "--model", str(folder)])
    captured = capsys.readouterr()
    assert captured.err.startswith(f"warning: {folder} was trained on the small sample corpus, not on the real data")
    assert captured.out.splitlines()[1].startswith("iPad,iPad,0.9")
