"""The saved model: what it returns and needs, the files beside it, and that it is complete or absent."""

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
import yaml
from model_folders import random_classifier

from tf_model import data, model_dir, paths, tasks
from tf_model.config import make_config
from tf_model.errors import ModelError, OutputError
from tf_model.evaluation.joint_metrics import evaluate_predictions
from tf_model.export import saved_model
from tf_model.inference import predictor
from tf_model.modeling.classifier import compile_model
from tf_model.preprocessing.cleaning import mark

TASK = tasks.PRODUCT
RECIPE = make_config("tuned", epochs=2, pooling="cls")
OWN_FILES = {
    *("recipe.json", "labels.json", "metrics.json", "manifest.json"),
    *("history.csv", "validation_predictions.csv", "model_card.md"),
}
HISTORY = [
    {"epoch": 1, "seconds": 3.5, "loss": 2.1, "accuracy": 0.25, "val_loss": 2.0, "val_accuracy": 0.3},
    {"epoch": 2, "seconds": 1.5, "loss": 1.9, "accuracy": 0.5, "val_loss": 1.8, "val_accuracy": 0.4},
]
ODD_TEXTS = [
    *("", " ", "\n\t", "#sxsw", "🎉🎉🎉", "iPad iPad iPad", "¿Dónde está el iPad?", "日本語のツイート", "\x00 nul"),
    *("RT @user: &quot;great&quot; {link}", "http://example.com/a?b=c", "a" * 300, "ipad apps for the user " * 60),
]
# Runs where only TensorFlow may be imported: loads the folder argv[1], scores the texts of argv[2], and writes argv[3].
SERVE = """
import json, sys

BANNED = {"transformers", "tf_keras", "keras_nlp", "keras_hub", "tf_model"}  # tensorflow itself needs keras

from importlib.machinery import PathFinder

class Ban:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.split(".")[0] in BANNED else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not PathFinder] + [Ban]
import tensorflow as tf
import tensorflow_text
import numpy as np

texts = json.load(open(sys.argv[2], encoding="utf-8"))
signatures = tf.saved_model.load(sys.argv[1]).signatures
answer = signatures["serving_default"](text=tf.constant(texts))
assert not BANNED & {name.split(".")[0] for name in sys.modules}
np.savez(sys.argv[3], **{name: value.numpy().astype("S" if value.dtype == tf.string else value.numpy().dtype)
                         for name, value in answer.items()})
"""


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Some 50 texts: made-up tweets and oddities."""
    return [*pandas.read_csv(paths.SAMPLE_CORPUS)[tasks.TEXT_COLUMN][:40], *ODD_TEXTS]


@pytest.fixture(scope="module")
def fitted(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory):
    """A classifier with large random weights, so that texts differ in their classes, and a built optimizer."""
    folder = shutil.copytree(tiny_bert, tmp_path_factory.mktemp("gone"), dirs_exist_ok=True)
    made = random_classifier(folder, RECIPE, [TASK], seed=1, scale=50)
    compile_model(made.model, RECIPE, steps=1)
    made.model.optimizer.build(made.model.trainable_variables)
    shutil.rmtree(folder)  # the export must not need it
    return replace(made, history=HISTORY)


@pytest.fixture(scope="module")
def validation() -> data.TrainingRows:
    return data.TrainingRows((TASK,), np.arange(100, 120), ["text"] * 20, (np.arange(20) % 9)[:, np.newaxis])


@pytest.fixture(scope="module")
def probabilities() -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.ones(9), 20).astype(np.float32)


@pytest.fixture(scope="module")
def metrics(validation, probabilities) -> dict:
    measured = evaluate_predictions(validation, probabilities)
    return {
        "dataset": data.SAMPLE,
        "data_sha256": "0" * 64,
        "task": TASK.name,
        "recipe": RECIPE.name,
        "protocol": "random split",
        "backbone": {"name": "tiny", "source": "local folder", "sha256": "1" * 64},
        "rows": 40,
        "train": measured,
        "validation": measured,
        "seconds": 5.0,
        "seed": RECIPE.seed,
        "device": "CPU",
        "command": "python -m tf_model.train",
        "versions": {"python": "3"},
    }


@pytest.fixture(scope="module")
def save(fitted, validation, probabilities, metrics):
    """A function that exports the classifier into a folder."""

    def save(folder: Path, **options) -> None:
        options |= {"validation": validation, "probabilities": probabilities}
        saved_model.export(fitted, folder, config=RECIPE, metrics=metrics, **options)

    return save


@pytest.fixture(scope="module")
def folder(save, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported model, moved after export."""
    home = tmp_path_factory.mktemp("exported")
    save(home / "first" / "product")
    assert [path.name for path in (home / "first").iterdir()] == ["product"]
    return (home / "first" / "product").rename(home / "moved")


@pytest.fixture(scope="module")
def serve(folder: Path):
    """The signature ``serving_default`` of the exported model."""
    import tensorflow as tf

    model = tf.saved_model.load(str(folder))
    signature = model.signatures[model_dir.SIGNATURE]
    signature.model = model

    def serve(texts: list[str]) -> dict:
        return signature(text=tf.constant(texts, tf.string, shape=[len(texts)]))

    serve.signature = signature
    return serve


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replaces TensorFlow's saving: writes one file, raises ``error`` if set, and counts its calls."""
    import tensorflow as tf

    stub = SimpleNamespace(error=None, calls=0)

    def saved(module, folder, signatures=None):
        stub.calls += 1
        (Path(folder) / "saved_model.pb").write_bytes(b"graph")
        if stub.error:
            raise stub.error

    monkeypatch.setattr(tf.saved_model, "save", saved)
    monkeypatch.setattr(saved_model, "write_light", lambda *_: None)
    return stub


# ---------------------------------------------------------------------------------------------------- signature


def test_signature_is_as_documented(serve):
    import tensorflow as tf

    inputs = serve.signature.structured_input_signature[1]
    assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in inputs.items()} == {"text": (tf.string, [None])}
    outputs = serve.signature.structured_outputs
    assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in outputs.items()} == {
        "product": (tf.string, [None]),
        "product_confidence": (tf.float32, [None]),
        "product_probabilities": (tf.float32, [None, 9]),
        # As first published.
        "label": (tf.string, [None]),
        "confidence": (tf.float32, [None]),
        "probabilities": (tf.float32, [None, 9]),
    }


@pytest.fixture(scope="module")
def score(serve):
    return predictor._scorer(serve.signature.model)


def test_measured_it_says_the_same_and_how_long_it_took_and_which_tokens_are_unknown(score, serve, texts):
    batch = [text.encode() for text in texts]
    plain = serve(batch)
    began = time.perf_counter()
    measured = score(batch)
    taken = time.perf_counter() - began
    assert measured.keys() - plain.keys() == {"unknown_share", "tokenize_seconds", "model_seconds"}
    for name in ("product_confidence", "product_probabilities"):
        np.testing.assert_array_equal(measured[name], plain[name], err_msg=name)
    assert measured["tokenize_seconds"] > 0 < measured["model_seconds"]
    assert measured["tokenize_seconds"] + measured["model_seconds"] < taken
    unknown = measured["unknown_share"]
    assert (unknown.dtype, unknown.shape) == (np.float32, (len(batch),))
    assert unknown[texts.index("")] == 0
    assert unknown[texts.index("a" * 300)] == 1  # too long a word to be split


def test_the_time_of_the_model_grows_with_the_tokens_and_that_of_tokenizing_with_the_texts(score):
    # Texts of the first kind lose all tokens; the second, of similar length, keep 126.
    few, many = [b"http://" + b"x" * 2000] * 200, [b"my ipad " * 251] * 200

    def least(batch, stage):
        return min(score(batch)[f"{stage}_seconds"] for _ in range(5))

    assert least(many, "model") > 2 * least(few, "model")
    assert least(few, "tokenize") > 2 * least(few[:1], "tokenize")


def test_the_signature_of_targets_marks_the_mention_itself(target_model):
    import tensorflow as tf

    model = tf.saved_model.load(str(target_model))
    targets, plain = model.signatures["targets"], model.signatures[model_dir.SIGNATURE]
    inputs = targets.structured_input_signature[1]
    assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in inputs.items()} == {
        "text": (tf.string, [None]),
        "start": (tf.int32, [None]),
        "end": (tf.int32, [None]),
    }
    texts = ["I love the iPad, not Google", "\u00e9\U0001f600 hate the iPad", "iPad" + " bad app" * 300, "iPad"]
    starts = [text.index("iPad") for text in texts]
    found = targets(
        text=tf.constant(texts),
        start=tf.constant([len(text[:start].encode()) for text, start in zip(texts, starts, strict=True)]),
        end=tf.constant([len(text[: start + 4].encode()) for text, start in zip(texts, starts, strict=True)]),
    )
    marked = [mark(text, start, start + 4) for text, start in zip(texts, starts, strict=True)]
    expected = plain(text=tf.constant(marked))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), values.numpy(), err_msg=name)
    assert (found["target_probabilities"].numpy().std(axis=0) > 0).any(), "or all would be alike"
    for start, end in ((0, 5), (-1, 2), (3, 2)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected 0 <= start <= end <= bytes of the text"):
            targets(text=tf.constant(["iPad"]), start=tf.constant([start]), end=tf.constant([end]))


def test_a_model_of_another_task_has_no_signature_of_targets(serve):
    assert set(serve.signature.model.signatures) == {"serving_default", "measure"}


@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_texts(serve, texts, count):
    answer = serve(texts[:count])
    assert answer["label"].shape == answer["confidence"].shape == [count]
    assert answer["probabilities"].shape == [count, 9]
    scores = answer["probabilities"].numpy()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(answer["confidence"].numpy(), scores.max(axis=1) if count else [])
    assert [label.decode() for label in answer["label"].numpy()] == [TASK.labels[i] for i in scores.argmax(axis=1)]
    for name, alias in (("product", "label"), ("product_confidence", "confidence")):
        np.testing.assert_array_equal(answer[name].numpy(), answer[alias].numpy())
    np.testing.assert_array_equal(answer["product_probabilities"].numpy(), scores)


def test_says_what_the_classifier_said(serve, fitted, texts):
    from tf_model.preprocessing.batching import encode

    scores = serve(texts)["probabilities"].numpy()
    expected = fitted.probabilities(encode(fitted.encoder, texts))
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert len({*expected.argmax(axis=1)}) >= 2  # with one class, this would prove little
    assert np.ptp(expected, axis=0).max() > 0.5


def test_a_text_does_not_depend_on_its_batch(serve, texts):
    together = serve(texts)["probabilities"].numpy()
    order = np.random.default_rng(1).permutation(len(texts))
    shuffled = serve([texts[place] for place in order])["probabilities"].numpy()
    np.testing.assert_allclose(shuffled, together[order], atol=1e-5)
    alone = np.concatenate([serve([text])["probabilities"].numpy() for text in texts])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_needs_tensorflow_and_tensorflow_text_alone(folder, serve, texts, tmp_path):
    texts = [text for text in texts if "\0" not in text]  # NumPy's byte strings end at a NUL
    (tmp_path / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    environment = {
        name: value for name, value in os.environ.items() if name not in ("TF_USE_LEGACY_KERAS", "PYTHONPATH")
    }
    command = [sys.executable, "-c", SERVE, str(folder), "texts.json", "answer.npz"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = serve(texts)
    with np.load(tmp_path / "answer.npz") as answer:
        assert {*answer} == {*expected}
        assert answer["label"].tolist() == expected["label"].numpy().tolist()
        np.testing.assert_allclose(answer["probabilities"], expected["probabilities"].numpy(), atol=1e-5)
        np.testing.assert_allclose(answer["confidence"], expected["confidence"].numpy(), atol=1e-5)


# ------------------------------------------------------------------------------------------------------- folder


def test_folder_holds_what_the_design_says(folder, metrics):
    assert {path.name for path in folder.iterdir()} == OWN_FILES | {
        *("saved_model.pb", "fingerprint.pb", "variables", "assets")
    }
    assert json.loads((folder / "recipe.json").read_text()) == RECIPE.to_dict()
    assert json.loads((folder / "labels.json").read_text()) == {
        "task": "product",
        "labels": {"product": list(TASK.labels)},
        "no_emotion": None,
    }
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    with (folder / "history.csv").open(newline="") as file:
        assert [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)] == HISTORY


def test_only_weights_are_saved_not_the_state_of_the_optimizer(folder, fitted):
    import tensorflow as tf

    saved = [shape for name, shape in tf.train.list_variables(str(folder / "variables" / "variables")) if shape]
    assert sorted(saved) == sorted(variable.shape.as_list() for variable in fitted.model.variables)


def test_model_card_says_what_was_measured_and_warns_of_the_sample(folder, metrics):
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["pipeline_tag"] == "text-classification"
    assert header["license"] == "other"  # that of the base weights, unknown for a folder
    assert "base_model" not in header
    validation = metrics["validation"]["product"]
    assert "# product\n\n> **Trained on the small sample corpus, not on the real data.**" in card
    figures = " | ".join(f"{validation[name]:.4f}" for name in ("loss", "accuracy", "macro_f1"))
    assert f"| validation | 20 | {figures} |" in card
    for label, scores in validation["per_class"].items():
        assert f"| {label} | {scores['precision']:.4f} | {scores['recall']:.4f} | " in card
    for name, value in RECIPE.to_dict().items():
        assert f"| {name} | {value} |" in card
    assert "`python -m tf_model.train`" in card
    assert "SXSW" not in card, "the limits are those of the data it was trained on"
    assert "research/results.md" not in card, "its figures are of the real data"
    for chapter in ("Intended use", "Limits", "Risks"):
        assert f"\n## {chapter}\n" in card


def test_model_card_of_real_data_has_no_warning_and_says_what_the_data_was(metrics):
    from tf_model.export.model_card import model_card

    weights = {"backbone": {"name": "minilm", "source": "a package"}}
    card = model_card("product", [TASK], RECIPE, {**metrics, **weights, "dataset": data.ASSIGNMENT})
    assert "sample corpus" not in card
    header = yaml.safe_load(card.split("---\n")[1])
    assert (header["license"], header["base_model"]) == ("apache-2.0", "sentence-transformers/all-MiniLM-L6-v2")
    assert "SXSW, Austin, March 2011" in card
    assert header["language"] == "en"
    own = model_card("product", [TASK], RECIPE, {**metrics, **weights, "dataset": "custom"})
    assert "language" not in yaml.safe_load(own.split("---\n")[1])
    assert "English" not in own
    for protocol, leaks in (("random split, as in the report", True), ("one of 5 grouped folds", False)):
        changed = {**metrics, **weights, "dataset": data.ASSIGNMENT, "protocol": protocol}
        assert ("can flatter " in model_card("product", [TASK], RECIPE, changed)) == leaks


def test_model_card_names_other_rows_and_teachers_and_takes_no_folder_for_a_release(metrics):
    from tf_model.export.model_card import model_card

    changed = {
        **metrics,
        "dataset": data.ASSIGNMENT,
        "backbone": {"name": "bert-base-uncased", "source": "local folder"},
        "extra": {"rows": 7, "sha256": "abc"},
        "teachers": [{"name": "mpnet"}, {"name": "answer"}],
    }
    card = model_card("product", [TASK], RECIPE, changed)
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "other"
    for words in ("7 rows of another file", "It learned from mpnet, answer too", "trained mainly on tweets"):
        assert words in card


# ------------------------------------------------------------------------------------------- whole or not at all


def test_a_model_that_is_there_is_not_replaced_unasked(save, unsaved, tmp_path):
    (tmp_path / "product").mkdir()
    (tmp_path / "product" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"product already exists; add --overwrite to replace it, or choose another"):
        save(tmp_path / "product")
    assert unsaved.calls == 0
    assert [path.name for path in tmp_path.rglob("*")] == ["product", "mine.txt"]
    save(tmp_path / "product", overwrite=True)
    assert unsaved.calls == 1
    assert [path.name for path in tmp_path.iterdir()] == ["product"]
    assert {path.name for path in (tmp_path / "product").iterdir()} == {*OWN_FILES, "saved_model.pb"}


def out_of_room() -> Exception:
    import tensorflow as tf

    return tf.errors.ResourceExhaustedError(None, None, "variables_temp/part-00000; No space left on device\nmore")


def lost() -> Exception:
    import tensorflow as tf

    return tf.errors.DataLossError(None, None, "broken\nmore")


DISK_FULL = "the disk is full; free some space and run the command again"


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (lambda: OSError(errno.ENOSPC, "No space left on device"), OutputError, DISK_FULL),
        (out_of_room, OutputError, DISK_FULL),
        (lost, ModelError, "the model cannot be saved: broken"),
        (KeyboardInterrupt, KeyboardInterrupt, ""),
    ],
)
def test_a_failure_in_the_middle_leaves_nothing_half(save, unsaved, tmp_path, error, expected, message):
    unsaved.error = error()
    with pytest.raises(expected) as raised:
        save(tmp_path / "product")
    assert unsaved.calls == 1
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
