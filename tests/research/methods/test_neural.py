"""The networks among the baselines: keras-nlp's are what they claim to be."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from research.methods import neural
from tf_model import config, device
from tf_model.modeling import backbone, classifier

TEXTS = ["i love my ipad", "the new google maps are bad", "android at sxsw", "my iphone is great"] * 4
LABEL_IDS = np.array([0, 1, 2, 0] * 4)

pytestmark = pytest.mark.timeout(1200)  # each test builds and traces a network or more


@pytest.fixture(scope="module", autouse=True)
def in_float32():
    device.prepare(0, precision="float32")


@pytest.fixture(scope="module")
def tiny_torch(tiny_bert, tmp_path_factory) -> Path:
    """The tiny BERT with tensors named and transposed as in PyTorch, the format that keras-nlp reads."""
    folder = tmp_path_factory.mktemp("tiny-torch")
    tensors = {}
    with safe_open(tiny_bert / "model.safetensors", framework="np") as kept:
        for name in kept.keys():  # noqa: SIM118 (no mapping)
            *layers, kind = name.removesuffix(":0").split("/")
            value = kept.get_tensor(name)
            layers = [layer.replace("_._", ".") for layer in layers]
            turned = value.T if kind == "kernel" else value
            is_weight = kind in ("kernel", "gamma", "weight", "embeddings")
            tensors[".".join([*layers, "weight" if is_weight else "bias"])] = np.ascontiguousarray(turned)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for name in ("config.json", "vocab.txt"):
        shutil.copy(tiny_bert / name, folder)
    return folder


@pytest.fixture(autouse=True)
def nothing_changes_the_number_format(monkeypatch):
    prepare = device.prepare
    monkeypatch.setattr(device, "prepare", lambda seed, precision="float32": prepare(seed, precision=precision))


@pytest.fixture
def recipe(tiny_torch, tmp_path) -> config.TrainingConfig:
    shallow = shutil.copytree(tiny_torch, tmp_path / "shallow")  # tracing takes the time
    settings = (shallow / "config.json").read_text()
    (shallow / "config.json").write_text(settings.replace('"num_hidden_layers": 2', '"num_hidden_layers": 1'))
    return replace(config.TUNED, backbone=str(shallow), epochs=2, batch_size=4, learning_rate=1e-2, seed=3)


def padded_inputs() -> dict[str, np.ndarray]:
    """Two texts, the second with three tokens of padding."""
    input_ids = np.random.default_rng(0).integers(5, 60, (2, 9)).astype(np.int32)
    attention_mask = np.ones_like(input_ids)
    attention_mask[1, 6:] = input_ids[1, 6:] = 0
    return {"input_ids": input_ids, "attention_mask": attention_mask}


def test_keras_nlp_maps_the_weights_to_the_same_outputs():
    import keras

    weights = backbone.find("minilm")
    theirs, ours = neural.classifier(weights, 3).backbone, classifier.build(weights, [3]).bert
    inputs = padded_inputs()
    expected = ours({name: value.copy() for name, value in inputs.items()}, training=False)
    is_text = inputs["attention_mask"] == 1

    def difference() -> float:
        found = theirs(neural.keras_nlp_inputs(inputs), training=False)
        pooled = np.abs(np.asarray(found["pooled_output"]) - expected.pooler_output.numpy()).max()
        tokens = np.abs(np.asarray(found["sequence_output"]) - expected.last_hidden_state.numpy())[is_text].max()
        return float(max(pooled, tokens))

    assert difference() < 0.02, "but for keras-nlp's approximation of GELU"
    for layer in theirs.transformer_layers:
        layer._feedforward_intermediate_dense.activation = lambda x: keras.ops.gelu(x, approximate=False)
    assert difference() < 1e-5


def test_from_scratch_has_the_same_size_and_other_weights(tiny_torch):
    weights = backbone.find(str(tiny_torch))
    pretrained, scratch = (neural.classifier(weights, 9, each) for each in (True, False))
    assert scratch.count_params() == pretrained.count_params() == classifier.build(weights, [9]).count_params()
    embedded = (np.asarray(each.backbone.token_embedding.embeddings) for each in (pretrained, scratch))
    assert not np.allclose(*embedded)


def test_keras_nlp_learns_and_answers_in_order_whatever_the_batch_and_the_same_for_the_same_seed(recipe):
    recipe, two_classes = replace(recipe, epochs=20, batch_size=8), np.minimum(LABEL_IDS, 1)
    fitted, again, other = (
        neural.KerasNlpBert(replace(recipe, seed=seed), 2).fit(TEXTS, two_classes) for seed in (3, 3, 4)
    )
    found = fitted.predict_proba(TEXTS[:4])
    assert found.shape == (4, 2)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert found.argmax(axis=1).tolist() == two_classes[:4].tolist()
    assert np.allclose(fitted.predict_proba([TEXTS[2]])[0], found[2], atol=1e-5), "padding is masked"
    assert np.allclose(again.predict_proba(TEXTS[:4]), found, atol=1e-6)
    assert not np.allclose(other.predict_proba(TEXTS[:4]), found, atol=1e-3)


def test_the_rate_rises_and_falls_as_in_our_own_training(recipe):
    recipe = replace(recipe, warmup=0.25)
    optimizer, rates = neural._optimizer(recipe, 40), []
    for step in (0, 5, 10, 25, 40):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0, 0.5e-2, 1e-2, 0.5e-2, 0], abs=1e-8)
