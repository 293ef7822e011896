"""A tiny real SavedModel, whole and broken in every way."""

import json
from pathlib import Path

import numpy
import pandas
import pytest
from stub_model import EMOTIONS, PRODUCTS

from tf_model import paths, predict
from tf_model.errors import ModelError
from tf_model.inference import predictor
from tf_model.inference.predictor import Predictor


@pytest.fixture(scope="session")
def save_model(tmp_path_factory):
    """A function that saves a small TensorFlow model of a task and returns its folder."""
    import tensorflow as tf

    class Tiny(tf.Module):
        def __init__(self, names):
            super().__init__()
            self.weights = tf.Variable([[2.0, 1.0, 0.0], [1.0, 4.0, 0.0]])  # (without "ipad", with it) x 3 classes
            self.names = names

        def task(self, text, labels):
            has_ipad = tf.strings.regex_full_match(tf.strings.lower(text), "(?s).*ipad.*")
            probabilities = tf.nn.softmax(tf.gather(self.weights, tf.cast(has_ipad, tf.int32)))  # (N, 3)
            label = tf.gather(tf.constant(labels), tf.argmax(probabilities, 1))
            return {"label": label, "confidence": tf.reduce_max(probabilities, 1), "probabilities": probabilities}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve_task(self, text):
            return self.task(text, PRODUCTS)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve_answer(self, text):
            outputs = {}
            for task, labels in {"product": PRODUCTS, "emotion": EMOTIONS}.items():
                found = self.task(text, labels)
                outputs[task] = found.pop("label")
                outputs |= {f"{task}_{name}": value for name, value in found.items()}
            answer = outputs["emotion"] + " → " + outputs["product"]
            sure = {"answer_confidence": outputs["emotion_confidence"] * outputs["product_confidence"]}
            return outputs | sure | {"answer": answer, "best_guess": answer, "second_guess": answer}

    def save(labels, signature="task", **files):
        folder = tmp_path_factory.mktemp("model")
        model = Tiny(PRODUCTS)
        signatures = {"task": model.serve_task, "answer": model.serve_answer}[signature]
        tf.saved_model.save(model, str(folder), signatures=signatures)
        for name, value in {"labels": labels, **files}.items():
            (folder / f"{name}.json").write_text(json.dumps(value))
        return folder

    return save


@pytest.fixture(scope="session")
def product_model(save_model):
    labels = {"task": "product", "labels": PRODUCTS}
    return save_model(labels, recipe={"name": "tuned"}, metrics={"dataset": "assignment"})


@pytest.fixture(scope="session")
def answer_model(save_model):
    return save_model({"task": "answer", "product": PRODUCTS, "emotion": EMOTIONS}, "answer")


def test_a_saved_model_of_one_task(product_model):
    model = Predictor.load(product_model)
    assert model.labels == {"product": PRODUCTS}
    assert (model.recipe, model.warning) == ({"name": "tuned"}, None)
    texts = ["My iPad", "phone", "", "\ud83d ipad\0", "ipad " * 50_000, None] * 5
    frame = model.predict(texts, batch_size=4, probabilities=True)
    assert frame["product"].tolist() == ["iPad", "iPhone", "iPhone", "iPad", "iPad", "iPhone"] * 5
    assert frame["product_confidence"].iloc[0] == pytest.approx(numpy.exp(4) / (numpy.exp(4) + numpy.exp(1) + 1))
    assert frame[[f"product_probability_{label}" for label in PRODUCTS]].sum(axis=1).tolist() == pytest.approx([1] * 30)
    pandas.testing.assert_frame_equal(frame, model.predict(texts, batch_size=1, probabilities=True))


def test_a_saved_model_of_both_tasks(answer_model):
    model = Predictor.load(answer_model)
    frame = model.predict(["My iPad", "phone"])
    assert frame["answer"].tolist() == ["No emotion toward brand or product → iPad", "Negative emotion → iPhone"]
    assert frame["emotion"].tolist() == [EMOTIONS[1], EMOTIONS[0]]
    assert list(frame) == ["product", "product_confidence", "emotion", "emotion_confidence", "answer"]


def test_a_saved_model_of_the_emotion_alone(save_model):
    model = Predictor.load(save_model({"task": "emotion", "labels": PRODUCTS}))
    assert list(model.predict(["a"])) == ["emotion", "emotion_confidence"]
    with pytest.raises(ModelError, match="predicts emotion, not the product; give another --model"):
        predict.write_test_predictions(model, output=Path("never.csv"))


def test_default_models(monkeypatch, tmp_path, product_model, answer_model):
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path / "saved_models")
    with pytest.raises(ModelError, match=r"no trained model in saved_models/; run `make train`.*--model DIR"):
        Predictor.load()
    paths.SAVED_MODELS.mkdir()
    (paths.SAVED_MODELS / "product").symlink_to(product_model)
    assert Predictor.load().folder == paths.SAVED_MODELS / "product"
    with pytest.raises(
        ModelError, match=r"product does not exist; did you mean saved_models/product\? Else run `make train`"
    ):
        Predictor.load("product")
    (paths.SAVED_MODELS / "answer").symlink_to(answer_model)
    assert Predictor.load().folder == paths.SAVED_MODELS / "answer"


def copy_of(model: Path, folder: Path, **files: str) -> Path:
    import shutil

    shutil.copytree(model, folder)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content)
    return folder


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("{", r"labels\.json cannot be read .*export the model again"),
        ("[]", "expected a JSON object, found a list"),
        ('{"task": "colour", "labels": ["a"]}', r"expected a task \(product, emotion, answer\) and its labels"),
        ('{"task": "product", "labels": []}', "expected a task"),
        ('{"task": "answer", "product": ["a"]}', "expected a task"),
        (
            '{"task": "product", "labels": ["a", "b"]}',
            r"has 3 classes and labels\.json names 2; export the model again",
        ),
        (
            '{"task": "answer", "product": ["a"], "emotion": ["b"]}',
            "to return product, product_confidence,.*found confidence, label",
        ),
    ],
)
def test_labels_that_do_not_fit(tmp_path, product_model, labels, words):
    with pytest.raises(ModelError, match=words):
        Predictor.load(copy_of(product_model, tmp_path / "m", labels=labels))


def test_folders_that_hold_no_whole_model(tmp_path, product_model):
    with pytest.raises(ModelError, match=r"does not exist; run `make train`, or give the folder of a saved model"):
        Predictor.load(tmp_path / "no")
    with pytest.raises(ModelError, match=r"holds no whole model: saved_model\.pb is missing"):
        Predictor.load(tmp_path)
    with pytest.raises(ModelError, match="is a file; give the folder"):
        Predictor.load(product_model / "saved_model.pb")
    folder = copy_of(product_model, tmp_path / "m")
    (folder / "labels.json").unlink()
    with pytest.raises(ModelError, match=r"labels\.json is missing; export it again"):
        Predictor.load(folder)
    for damage in ("saved_model.pb", "variables/variables.index"):
        folder = copy_of(product_model, tmp_path / damage.split("/")[0])
        (folder / damage).write_bytes(b"no model")
        with pytest.raises(ModelError, match=r"holds no model that TensorFlow .* can load .*export it again") as caught:
            Predictor.load(folder)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"metrics\.json cannot be read"):
        Predictor.load(copy_of(product_model, tmp_path / "n", metrics="nonsense"))


def test_signatures_that_do_not_fit(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    serve = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    for folder, signatures, found in (("a", None, "no signature"), ("b", serve, r"with the inputs \['x'\]")):
        tf.saved_model.save(module, str(tmp_path / folder), signatures=signatures)
        (tmp_path / folder / "labels.json").write_text('{"task": "product", "labels": ["a"]}')
        with pytest.raises(
            ModelError, match=r"expected the signature serving_default\(text: string\[N\]\), .*" + found
        ):
            Predictor.load(tmp_path / folder)


def test_a_batch_that_does_not_fit_into_memory():
    import tensorflow as tf

    def signature(text):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    model = Predictor({"product": PRODUCTS}, predictor._scorer(signature, {}))
    with pytest.raises(ModelError, match="a batch of 2 texts does not fit into memory; give a smaller --batch-size"):
        model.predict(["a", "b"])


def test_warning_about_the_sample_corpus(monkeypatch, capsys, save_model):
    folder = save_model({"task": "product", "labels": PRODUCTS}, metrics={"dataset": "sample"})
    predict.main(["--text", "iPad", "--model", str(folder)])
    captured = capsys.readouterr()
    assert captured.err.startswith(f"warning: {folder} was trained on the small sample corpus, not on the real data")
    assert captured.out.splitlines()[1].startswith("iPad,iPad,0.9")
