"""Write the light model beside a SavedModel: the network for OpenVINO, as small as its answers allow.

The network is built operation by operation from the trained weights, for batches of texts with the same number of
tokens, which need no mask. Weights and activations become 8-bit integers. The scale of most activations is fixed
beforehand; those that a layer's activation function has made have too wide a range, and get a scale for each group
while the network runs. A text gets the same answer alone and among others.

The scales and the rounding are ours because NNCF's changed more of the answers of `answer` than the limits allow, also
with SmoothQuant, its slower bias correction, or floats after the activation functions.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tf_model import cli, model_dir
from tf_model.data import TrainingRows
from tf_model.data.source import DATA_VARIABLE
from tf_model.device import cores
from tf_model.errors import ModelError
from tf_model.evaluation import joint_metrics
from tf_model.inference.light import FORMAT, NETWORK, SETTINGS, VOCABULARY, LightModel, compile_network
from tf_model.io.files import write_json
from tf_model.tasks import ANSWER, Task
from tf_model.training.trainer import Fitted

# How many weights or activations share a scale (None: they stay 32-bit floats), and the first layer with fixed scales
# (None: there is none), fastest first.
NETWORKS = {
    "int8, fixed scales": (64, 0),
    "int8, fixed scales from layer 3 on": (64, 2),
    "int8, groups of 64": (64, None),
    "int8, groups of 32": (32, None),
    "int8, groups of 16": (16, None),
    "float32": (None, None),
}
# The products of a layer whose inputs get a fixed scale. The others read what an activation function made: too wide a
# range.
FIXED = ("attention/self", "attention/output/dense", "intermediate/dense")
SCALE_TEXTS = 500  # least training texts that show these inputs, at most twice as many; fewer fix no scales
SMOOTHING = 0.85  # share of the inputs' range that is moved into the weights; less and more changed more answers
DAMPING = 0.01  # share of the inputs' mean square that is added to each, as GPTQ's authors do
# The most that the light model may lose on the validation rows of each task, and the least share of equal answers.
MOST_LOST = {"accuracy": 0.003, "macro_f1": 0.003, "ece": 0.005}
LEAST_AGREEMENT = 0.99


def write_light(
    fitted: Fitted,
    tasks: Sequence[Task],
    folder: Path,
    calibration: Mapping[str, Any] | None,
    validation: TrainingRows | None,
    probabilities: np.ndarray | None,
    training_texts: Sequence[str] = (),
) -> None:
    """Write ``light/`` into a model's ``folder``, with the first of :data:`NETWORKS` that :func:`passes`.

    It is compared with the calibrated ``probabilities`` of the SavedModel, float [N, classes of all tasks], on the rows
    ``validation``. Without these rows the network stays in 32-bit floats. Scales are fixed by some of the
    ``training_texts``. If no network will do, such as for another activation function, a line on standard error says
    why, and no ``light/`` is written.
    """
    import openvino as ov

    light_folder, encoder = folder / model_dir.LIGHT, fitted.encoder
    settings = {
        "format": FORMAT,
        "cleaning": asdict(encoder.cleaning),
        "lower_case": encoder.lower_case,
        "max_tokens": encoder.max_tokens,
        "labels": {task.name: list(task.labels) for task in tasks},
        "no_emotion": tasks[-1].no_emotion,
        "temperature": calibration["temperature"] if calibration else {task.name: 1.0 for task in tasks},
        "threshold": calibration["threshold"] if calibration else None,
    }
    light_folder.mkdir()
    (light_folder / VOCABULARY).write_text("\n".join(encoder.vocabulary) + "\n", encoding="utf-8")
    measured = {}
    try:
        for name in NETWORKS if validation else [*NETWORKS][-1:]:
            group, first = NETWORKS[name]
            if first is not None and len(training_texts) < SCALE_TEXTS:
                continue
            texts = training_texts[:: max(len(training_texts) // SCALE_TEXTS, 1)]
            built = network(fitted, group, {} if first is None else measure_inputs(fitted, texts, first))
            try:
                ov.save_model(built, light_folder / NETWORK, compress_to_fp16=False)
            except RuntimeError as error:  # OpenVINO does not say why it cannot write
                raise OSError(errno.ENOSPC, "No space left on device") from error
            settings |= {"network": name, "group": group or 0, "measured": measured}
            write_json(light_folder / SETTINGS, settings)
            model = LightModel(light_folder)
            if not validation:
                cli.say(
                    f"light model: {name}, as the validation rows were not found; set {DATA_VARIABLE} to "
                    "the file that the model was trained on"
                )
                return
            actual = np.concatenate(model.probabilities(model.logits(model.token_ids(validation.texts))), axis=1)
            measured[name] = differences(validation, probabilities, actual, settings["threshold"])
            write_json(light_folder / SETTINGS, settings)
            if passes(measured[name]):
                agreement = min(measured[name]["agreement"].values())
                cli.say(f"light model: {name}, {agreement:.1%} of the answers as in the SavedModel")
                return
        problem = f"its answers would differ too much from the SavedModel's: {measured[name]}"
    except ModelError as error:
        problem = str(error)
    shutil.rmtree(light_folder)
    cli.say(f"no light model: {problem}")


def differences(
    rows: TrainingRows, expected: np.ndarray, actual: np.ndarray, threshold: float | None
) -> dict[str, Any]:
    """What the probabilities ``actual`` lose against ``expected``, both float [N, classes of all tasks].

    ``lost``: by task, on its labelled rows; ``agreement``: share of equal answers, by task and for the joint answer.
    """
    full, light = (joint_metrics.evaluate_predictions(rows, each) for each in (expected, actual))
    sign = {key: -1 if key == "ece" else 1 for key in MOST_LOST}  # a loss is above 0
    lost = {task: {key: sign[key] * (full[task][key] - light[task][key]) for key in sign} for task in full}
    tables = [joint_metrics.predictions(each, threshold, rows.tasks) for each in (expected, actual)]
    columns = [*(task.name for task in rows.tasks), *([ANSWER] if threshold is not None else [])]
    return {
        "rows": len(rows),
        "lost": lost,
        "agreement": {name: float((tables[0][name] == tables[1][name]).mean()) for name in columns},
    }


def passes(comparison: Mapping[str, Any]) -> bool:
    """Whether the losses and the agreement of a light model are within the limits."""
    is_accurate = all(each[key] <= most for each in comparison["lost"].values() for key, most in MOST_LOST.items())
    return is_accurate and min(comparison["agreement"].values()) >= LEAST_AGREEMENT


class Inputs(NamedTuple):
    """What the K inputs of a product of a layer were for some texts."""

    peaks: np.ndarray  # float32 [K], their greatest absolute values
    squares: np.ndarray  # float64 [K, K], the sum of their products with each other


def measure_inputs(fitted: Fitted, texts: Sequence[str], first: int) -> dict[str, Inputs]:
    """The inputs of each product :data:`FIXED`, by name; ``first`` is the number of the first layer, from 0."""
    import openvino as ov
    from openvino import opset15 as op

    from tf_model.preprocessing.batching import encode

    built = network(fitted, None)
    products = {each.get_friendly_name(): each for each in built.get_ops()}
    layers = range(first, fitted.model.config.num_hidden_layers)
    names = [f"bert/encoder/layer_._{number}/{name}" for number in layers for name in FIXED]
    results = [op.result(products[name].input_value(0)) for name in names]
    probe = compile_network(ov.Model(results, built.get_parameters(), "inputs"), 0, cores())
    inputs = {name: Inputs(np.float32(0), np.float64(0)) for name in names}
    for ids in encode(fitted.encoder, texts).to_list():
        for name, values in zip(names, probe([np.array([ids], np.int32)]).values(), strict=True):
            values, before = values[0], inputs[name]  # float32 [L, K]
            peaks = np.maximum(before.peaks, np.abs(values).max(axis=0))
            inputs[name] = Inputs(peaks, before.squares + values.T @ values)
    return inputs


def network(fitted: Fitted, group: int | None, inputs: Mapping[str, Inputs] = {}) -> Any:
    """The OpenVINO model from ``input_ids``, int32 [B, L] without padding, to ``logits``, float32 [B, classes].

    ``group`` weights of a product share a scale; None: they stay 32-bit floats. Those with measured ``inputs`` have
    fixed scales instead. Raises :class:`ModelError` for an architecture or activation function that it cannot compute.
    """
    import openvino as ov
    from openvino import opset15 as op

    config = fitted.model.config
    if config.model_type != "bert":
        raise ModelError(f"it supports only BERT, not the model {config.model_type!r}")
    if config.hidden_act != "gelu":
        raise ModelError(f"it does not support the activation function {config.hidden_act!r}")
    weights = {each.name.split("/", 1)[1].removesuffix(":0"): each.numpy() for each in fitted.model.variables}
    pools_cls = "bert/pooler/dense/kernel" in weights  # only [CLS] is read, so the last layer computes only that
    heads, width = config.num_attention_heads, config.hidden_size // config.num_attention_heads

    def integers(*values: int) -> Any:
        return op.constant(np.array(values, np.int64))

    def product(values: Any, kernel: np.ndarray, name: str) -> Any:
        if name in inputs:
            peaks, squares = inputs[name]
            factors, greatest = smooth(kernel, peaks)
            bounds = [op.constant(np.float32(bound)) for bound in (-greatest * 128 / 127, greatest)]
            values = op.fake_quantize(op.multiply(values, op.constant(1 / factors)), *bounds, *bounds, 256)
            quantized, scales = quantize_pairs(kernel * factors[:, np.newaxis], squares / np.outer(factors, factors))
            matrix = op.multiply(op.convert(op.constant(quantized), "f32"), op.constant(scales))
        elif group is None:
            matrix = op.constant(kernel.T)
        else:
            quantized, scales = quantize(kernel, group)
            blocks = op.multiply(op.convert(op.constant(quantized), "f32"), op.constant(scales))
            matrix = op.reshape(blocks, integers(*kernel.T.shape), False)
        return op.matmul(values, matrix, False, True, name=name)

    def dense(values: Any, name: str) -> Any:
        return op.add(product(values, weights[f"{name}/kernel"], name), op.constant(weights[f"{name}/bias"]))

    def normalize(values: Any, name: str) -> Any:
        gamma, beta = (op.constant(weights[f"{name}/LayerNorm/{each}"]) for each in ("gamma", "beta"))
        values = op.mvn(values, integers(-1), True, config.layer_norm_eps, "inside_sqrt")
        return op.add(op.multiply(values, gamma), beta)

    input_ids = op.parameter([-1, -1], np.int32, name="input_ids")
    positions = weights["bert/embeddings/position_embeddings/embeddings"]
    positions = positions + weights["bert/embeddings/token_type_embeddings/embeddings"][0]
    length = op.gather(op.shape_of(input_ids), integers(1), op.constant(0))
    positions = op.slice(op.constant(positions), integers(0), length, integers(1), integers(0))
    table = weights["bert/embeddings/word_embeddings/weight"]
    # float16 halves the size, and is as accurate as the 8-bit weights that read it.
    words = op.gather(op.constant(table if group is None else table.astype(np.float16)), input_ids, op.constant(0))
    words = op.convert(words, "f32")
    hidden = normalize(op.add(words, positions), "bert/embeddings")  # (B, L, hidden)
    for number in range(config.num_hidden_layers):
        layer = f"bert/encoder/layer_._{number}"
        kernel, bias = (
            np.concatenate([weights[f"{layer}/attention/self/{each}/{kind}"] for each in ("query", "key", "value")], -1)
            for kind in ("kernel", "bias")
        )
        qkv = op.add(product(hidden, kernel, f"{layer}/attention/self"), op.constant(bias))
        qkv = op.transpose(op.reshape(qkv, integers(0, 0, 3, heads, width), True), integers(2, 0, 3, 1, 4))
        query, key, value = (op.squeeze(each, integers(0)) for each in op.split(qkv, op.constant(0), 3).outputs())
        if pools_cls and number == config.num_hidden_layers - 1:
            query = op.slice(query, integers(0), integers(1), integers(1), integers(2))
            hidden = op.slice(hidden, integers(0), integers(1), integers(1), integers(1))
        scores = op.multiply(op.matmul(query, key, False, True), op.constant(np.float32(width**-0.5)))
        context = op.transpose(op.matmul(op.softmax(scores, -1), value, False, False), integers(0, 2, 1, 3))
        context = op.reshape(context, integers(0, 0, config.hidden_size), True)
        attention_output = op.add(dense(context, f"{layer}/attention/output/dense"), hidden)
        hidden = normalize(attention_output, f"{layer}/attention/output")
        intermediate = op.gelu(dense(hidden, f"{layer}/intermediate/dense"), "erf")
        hidden = normalize(op.add(dense(intermediate, f"{layer}/output/dense"), hidden), f"{layer}/output")
    if pools_cls:
        pooled = op.tanh(dense(op.squeeze(hidden, integers(1)), "bert/pooler/dense"))
    else:
        pooled = op.reduce_mean(hidden, integers(1), False)
    return ov.Model([op.result(dense(pooled, "classifier"))], [input_ids], "classifier")


def smooth(kernel: np.ndarray, peaks: np.ndarray) -> tuple[np.ndarray, float]:
    """What to divide a layer's inputs by and to multiply its weights with, float32 [K], and the inputs' new peak.

    ``kernel`` is float32 [K, N], ``peaks`` float32 [K] the greatest inputs. All inputs share one scale, so without this
    a few large ones would leave the others little precision.
    Source: G. Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models",
    ICML 2023.
    """
    peaks, weights = np.maximum(peaks, 1e-3), np.maximum(np.abs(kernel).max(axis=1), 1e-6)
    factors = (peaks**SMOOTHING / weights ** (1 - SMOOTHING)).astype(np.float32)
    return factors, float((peaks / factors).max())


def quantize_pairs(kernel: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights of a layer, float32 [K, N], as int8 [N, K], and their scales, float32 [N, 1].

    Two neighbours add up to at most 127: processors without VNNI add two products with an 8-bit input in 16 bits. What
    rounding a weight changes in the layer's output is made up for by the next weights, given the ``squares`` of
    :class:`Inputs`.
    Source: E. Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
    ICLR 2023.
    """
    weights = kernel.T.astype(np.float64)
    pairs = np.abs(weights).reshape(len(weights), -1, 2).sum(axis=2)
    scales = np.maximum(pairs.max(axis=1) / 127, 1e-12)
    damped = squares + max(DAMPING * np.diag(squares).mean(), 1e-12) * np.eye(len(squares))
    effects = np.linalg.cholesky(np.linalg.inv(damped)).T
    quantized = np.zeros_like(weights)
    for number, column in enumerate(weights.T):
        most = 127 - np.abs(quantized[:, number - 1]) if number % 2 else 127
        quantized[:, number] = np.clip(np.round(column / scales), -most, most)
        errors = (column - quantized[:, number] * scales) / effects[number, number]
        weights[:, number + 1 :] -= np.outer(errors, effects[number, number + 1 :])
    return quantized.astype(np.int8), scales[:, np.newaxis].astype(np.float32)


def quantize(kernel: np.ndarray, group: int) -> tuple[np.ndarray, np.ndarray]:
    """The weights of a layer, float32 [K, N], as int8 [N, blocks, block], and their scales, float32 [N, blocks, 1].

    A block has ``group`` weights, or fewer if ``group`` does not divide K.
    """
    blocks = kernel.T.reshape(kernel.shape[1], -1, np.gcd(kernel.shape[0], group))
    scales = np.maximum(np.abs(blocks).max(axis=2, keepdims=True) / 127, 1e-12).astype(np.float32)
    return np.round(blocks / scales).astype(np.int8), scales
