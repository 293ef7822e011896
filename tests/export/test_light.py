"""Writing the light model: the same network, judged, and left out if it cannot be made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from model_folders import random_classifier

from tests.evaluation.test_joint_metrics import rows_of, surely
from tf_model import config, data, model_dir, tasks
from tf_model.errors import OutputError
from tf_model.export import light
from tf_model.inference.light import LightModel
from tf_model.io.files import whole_folder
from tf_model.preprocessing.batching import encode
from tf_model.training.trainer import Fitted

TEXTS = [
    "I love my new iPad 2!",
    "google maps at #sxsw",
    "",
    "\U0001f389" * 280,
    "the apps " * 100,
    "I hate my iphone",
] * 8
CALIBRATION = {"temperature": {"product": 1.7, "emotion": 0.8}, "threshold": 0.4}
# The poolings differ in the last operation alone, which the first two tests hold.
ONE_POOLING = pytest.mark.parametrize("fitted", ["cls"], indirect=True)


@pytest.fixture(scope="module", params=["cls", "mean"])
def fitted(request, tiny_bert: Path) -> Fitted:
    recipe = config.make_config("answer", backbone=str(tiny_bert), pooling=request.param)
    return random_classifier(tiny_bert, recipe, tasks.ANSWER_TASKS)


@pytest.fixture(scope="module")
def rows() -> data.TrainingRows:
    draw = np.random.default_rng(0)
    label_ids = np.stack([draw.integers(0, len(task.labels), len(TEXTS)) for task in tasks.ANSWER_TASKS], axis=1)
    return data.TrainingRows(tasks.ANSWER_TASKS, np.arange(len(TEXTS)), TEXTS, label_ids)


@pytest.fixture(scope="module")
def probabilities(fitted, rows) -> np.ndarray:
    from tf_model.evaluation.joint_metrics import calibrate

    return calibrate(fitted.probabilities(encode(fitted.encoder, TEXTS)), CALIBRATION["temperature"], rows.tasks)


def write(fitted, folder: Path, rows=None, probabilities=None, training_texts=()) -> dict:
    light.write_light(fitted, tasks.ANSWER_TASKS, folder, CALIBRATION, rows, probabilities, training_texts)
    return json.loads((folder / "light" / "light.json").read_text(encoding="utf-8"))


def scored(folder: Path) -> np.ndarray:
    outputs = LightModel(folder / "light").score([text.encode() for text in TEXTS])
    return np.concatenate([outputs[f"{task.name}_probabilities"] for task in tasks.ANSWER_TASKS], axis=1)


def test_without_rows_to_judge_by_it_stays_in_32_bit_floats(fitted, tmp_path, capsys, probabilities):
    assert write(fitted, tmp_path)["network"] == "float32"
    said = capsys.readouterr().err
    assert "light model: float32, as the validation rows were not found" in said
    assert "set TWEETS_DATA to the file that the model was trained on" in said
    np.testing.assert_allclose(scored(tmp_path), probabilities, atol=1e-5)
    assert probabilities.std(axis=0).max() > 1e-3  # or any weights would pass


def test_8_bits_are_taken_where_they_lose_little(fitted, tmp_path, monkeypatch, rows, probabilities, capsys):
    monkeypatch.setattr(light, "passes", lambda measured: True)
    settings = write(fitted, tmp_path, rows, probabilities, TEXTS * 11)
    assert settings["network"] == "int8, fixed scales"
    assert "light model: int8, fixed scales, " in capsys.readouterr().err
    measured = settings["measured"]["int8, fixed scales"]
    assert measured == light.differences(rows, probabilities, scored(tmp_path), 0.4)
    assert measured["agreement"].keys() == {"product", "emotion", "answer"}
    assert 0 < np.abs(scored(tmp_path) - probabilities).max() < 0.3


@ONE_POOLING
def test_few_texts_fix_no_scales(fitted, tmp_path, monkeypatch, rows, probabilities):
    monkeypatch.setattr(light, "passes", lambda measured: True)
    assert write(fitted, tmp_path, rows, probabilities, TEXTS * 10)["network"] == "int8, groups of 64"


@ONE_POOLING
def test_what_loses_too_much_gives_way_to_the_next(fitted, tmp_path, monkeypatch, rows, probabilities):
    judged = []
    monkeypatch.setattr(light, "passes", lambda measured: judged.append(measured) or len(judged) == 6)
    settings = write(fitted, tmp_path, rows, probabilities, TEXTS * 11)
    assert settings["network"] == "float32"
    assert list(settings["measured"]) == list(light.NETWORKS)
    losses = [np.mean([*measured["lost"]["product"].values()]) for measured in judged]
    assert losses[1] == losses[2]  # the tiny network has no third layer
    # Each other one is different. Without AVX-512, activations are not quantized, and in rows of 32 weights, groups of
    # 64 and of 32 are the same.
    cpuinfo = Path("/proc/cpuinfo")
    quantizes_activations = not cpuinfo.is_file() or "avx512" in cpuinfo.read_text()
    assert len(set(losses)) == (5 if quantizes_activations else 4)
    assert settings["measured"]["float32"]["agreement"] == {"product": 1, "emotion": 1, "answer": 1}


@ONE_POOLING
def test_a_full_disk_is_one_clear_line(fitted, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("basic_ios::clear: iostream error")  # what OpenVINO raises for /dev/full

    monkeypatch.setattr("openvino.save_model", fail)
    with pytest.raises(OutputError, match="the disk is full"), whole_folder(tmp_path / "model") as part:
        write(fitted, part)
    assert not list(tmp_path.iterdir())


@ONE_POOLING
def test_where_none_will_do_there_is_none(fitted, tmp_path, monkeypatch, rows, probabilities, capsys):
    with pytest.raises(FileNotFoundError):
        write(fitted, tmp_path, rows, np.concatenate([probabilities[:, 8::-1], probabilities[:, :8:-1]], axis=1))
    assert "no light model: its answers would differ too much from the SavedModel's" in capsys.readouterr().err
    monkeypatch.setattr(fitted.model.config, "hidden_act", "relu")
    with pytest.raises(FileNotFoundError):
        write(fitted, tmp_path, rows, probabilities)
    assert "no light model: it does not support the activation function 'relu'" in capsys.readouterr().err
    assert not (tmp_path / "light").exists()


def test_what_is_lost_is_above_0_and_answers_differ_also_by_the_threshold():
    label_ids = np.array([[0, 0], [1, 2], [0, 2], [1, 0], [0, 2]])
    expected = np.stack([surely(*ids, 0.95) for ids in label_ids])
    wrong, unsure = np.array([surely(1, 2, 0.95), *expected[1:]]), np.array([surely(0, 0, 0.6), *expected[1:]])
    found = light.differences(rows_of(label_ids), expected, wrong, 0.5)
    for lost in found["lost"].values():
        assert (lost["accuracy"], lost["ece"]) == pytest.approx((0.2, 0.1))
        assert lost["macro_f1"] > 0
    assert found["agreement"] == {"product": 0.8, "emotion": 0.8, "answer": 0.8}
    found = light.differences(rows_of(label_ids), expected, unsure, 0.5)
    assert found["agreement"] == {"product": 1, "emotion": 1, "answer": 0.8}


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        ({}, True),
        ({"accuracy": 0.0031}, False),
        ({"macro_f1": 0.0031}, False),
        ({"ece": 0.0051}, False),
        ({"agreement": 0.989}, False),
        ({"accuracy": -0.1}, True),
    ],
)
def test_the_gate(change, passes):
    values = {"accuracy": 0.003, "macro_f1": 0.003, "ece": 0.005, "agreement": 0.99} | change
    agreement = {"product": 1.0, "answer": values.pop("agreement")}
    assert light.passes({"lost": {"product": values}, "agreement": agreement}) == passes


@ONE_POOLING
def test_the_inputs_are_those_of_the_texts(fitted):
    measured = light.measure_inputs(fitted, TEXTS, 0)
    layers = fitted.model.config.num_hidden_layers
    assert len(measured) == 3 * layers
    assert list(light.measure_inputs(fitted, TEXTS, layers - 1)) == list(measured)[-3:]
    embeddings = fitted.model.bert.embeddings
    inputs = [embeddings(input_ids=np.array([ids])).numpy()[0] for ids in encode(fitted.encoder, TEXTS).to_list()]
    first, inputs = next(iter(measured.values())), np.concatenate(inputs)
    np.testing.assert_allclose(first.peaks, np.abs(inputs).max(axis=0), rtol=1e-4)
    np.testing.assert_allclose(first.squares, inputs.T @ inputs, rtol=1e-3, atol=1e-2)


def test_a_few_large_inputs_leave_the_others_their_precision():
    draw = np.random.default_rng(0)
    inputs, kernel = draw.normal(size=(200, 32)), draw.normal(size=(32, 8)).astype(np.float32)
    inputs[:, 3] *= 100

    def rounded(values: np.ndarray, peak: float) -> np.ndarray:
        return np.round(values / peak * 127) * peak / 127

    factors, peak = light.smooth(kernel, np.abs(inputs).max(axis=0))
    assert np.abs(inputs / factors).max() == pytest.approx(peak)
    smoothed = rounded(inputs / factors, peak) @ (kernel * factors[:, np.newaxis])
    plain = rounded(inputs, np.abs(inputs).max()) @ kernel
    assert np.abs(smoothed - inputs @ kernel).mean() < np.abs(plain - inputs @ kernel).mean() / 3


def test_two_neighbouring_weights_do_not_overflow_16_bits():
    kernel = np.random.default_rng(0).normal(size=(96, 24)).astype(np.float32)
    kernel[:2, 0] = 9, 9  # worst: both of the greatest weight
    kernel[:2, 1] = -9, -9
    for squares in (np.eye(96), np.zeros((96, 96))):  # zeros: no text has any input
        quantized, scales = light.quantize_pairs(kernel, squares)
        assert quantized.dtype == np.int8
        assert np.abs(quantized.astype(int)).reshape(24, -1, 2).sum(axis=2).max() * 255 <= np.iinfo(np.int16).max
        np.testing.assert_allclose((quantized * scales).T, kernel, atol=np.abs(kernel).max() / 120)


def test_weights_make_up_for_the_rounding_of_others():
    draw = np.random.default_rng(0)
    kernel = draw.normal(size=(96, 24)).astype(np.float32)
    inputs = draw.normal(size=(500, 8)) @ draw.normal(size=(8, 96)) + 0.1 * draw.normal(size=(500, 96))
    alone, together = (
        (quantized * scales).T
        for quantized, scales in (light.quantize_pairs(kernel, each) for each in (np.eye(96), inputs.T @ inputs))
    )
    changed = [np.abs(inputs @ (each - kernel)).mean() for each in (alone, together)]
    assert changed[1] < changed[0] / 2


def test_a_matrix_of_8_bits_is_nearly_the_same():
    kernel = np.random.default_rng(0).normal(size=(96, 24)).astype(np.float32)
    kernel[:32] *= 100  # a group of large weights must not spoil the others
    quantized, scales = light.quantize(kernel, 32)
    assert quantized.dtype == np.int8
    again = (quantized * scales).reshape(24, 96).T
    np.testing.assert_allclose(again[:32], kernel[:32], atol=2, rtol=0)
    np.testing.assert_allclose(again[32:], kernel[32:], atol=0.02, rtol=0)


@ONE_POOLING
def test_the_manifest_names_what_decides_an_answer(fitted, tmp_path):
    (tmp_path / "labels.json").write_text("{}")
    (tmp_path / "metrics.json").write_text("{}")
    write(fitted, tmp_path)
    model_dir.write_manifest(tmp_path)
    named = json.loads((tmp_path / "manifest.json").read_text())["sha256"]
    assert list(named) == [
        "labels.json",
        "light/light.json",
        "light/network.bin",
        "light/network.xml",
        "light/vocab.txt",
    ]
