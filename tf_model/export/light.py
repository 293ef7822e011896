"""The light model beside a SavedModel: the trained network for ONNX Runtime, as small as its answers allow.

The network is written operation by operation from the trained weights, in ONNX Runtime's own fused operations, for
texts of equally many tokens, which need no mask. Weights become 8-bit integers in blocks, and so do activations, block
by block while it runs: a text is answered alike alone and among others, and no calibration data is needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tf_model import cli, model_dir
from tf_model.data import TrainingRows
from tf_model.errors import ModelError
from tf_model.evaluation import joint_metrics
from tf_model.inference.light import FORMAT, NETWORK, SETTINGS, VOCABULARY, LightModel
from tf_model.io.files import write_json
from tf_model.tasks import ANSWER, Task
from tf_model.training.trainer import Fitted

BLOCKS = (64, 32, 16, None)  # weights that share a scale, the fastest first; None: 32-bit floats
# What the light model may lose on the validation rows, of each task, and how many of its answers must be the same.
MOST_LOST = {"accuracy": 0.003, "macro_f1": 0.003, "ece": 0.005}
LEAST_AGREEMENT = 0.99
STANDARD = {
    *("Add", "Cast", "Gather", "Gemm", "LayerNormalization", "MatMul", "ReduceMean", "Shape", "Slice", "Split", "Tanh")
}  # the other operations are ONNX Runtime's


def write_light(
    fitted: Fitted,
    tasks: Sequence[Task],
    folder: Path,
    calibration: Mapping[str, Any] | None,
    no_emotion: str | None,
    validation: TrainingRows | None,
    probabilities: np.ndarray | None,
) -> None:
    """Write ``light/`` into the ``folder`` of a model, with the first of :data:`BLOCKS` that loses no more than it may.

    That is judged on the rows ``validation`` and the calibrated ``probabilities``, float [N, classes of all tasks],
    that the SavedModel gives them. Without them the network stays in 32-bit floats. Where none will do, such as for
    another activation function, a line on standard error says so, and there is no ``light/``.
    """
    light, encoder = folder / model_dir.LIGHT, fitted.encoder
    settings = {
        "format": FORMAT,
        "cleaning": asdict(encoder.cleaning),
        "lower_case": encoder.lower_case,
        "max_tokens": encoder.max_tokens,
        "labels": {task.name: list(task.labels) for task in tasks},
        "no_emotion": no_emotion,
        "temperature": calibration["temperature"] if calibration else {task.name: 1.0 for task in tasks},
        "threshold": calibration["threshold"] if calibration else None,
    }
    light.mkdir()
    (light / VOCABULARY).write_text("\n".join(encoder.vocabulary) + "\n", encoding="utf-8")
    measured = {}
    try:
        for block in BLOCKS if validation else BLOCKS[-1:]:
            name = f"int8, blocks of {block}" if block else "float32"
            (light / NETWORK).write_bytes(network(fitted, block).SerializeToString())
            write_json(light / SETTINGS, settings | {"network": name, "measured": measured})
            model = LightModel(light)
            if not validation:
                cli.say(f"light model: {name}, for want of the rows that would judge a smaller one")
                return
            found = np.concatenate(model.probabilities(model.logits(model.token_ids(validation.texts))), axis=1)
            measured[name] = differences(validation.judged_ids, probabilities, found, tasks, settings["threshold"])
            write_json(light / SETTINGS, settings | {"network": name, "measured": measured})
            if passes(measured[name]):
                agreement = min(measured[name]["agreement"].values())
                cli.say(f"light model: {name}, {agreement:.1%} of the answers as by the SavedModel")
                return
        problem = f"it would not answer as the SavedModel does: {measured[name]}"
    except ModelError as error:
        problem = str(error)
    shutil.rmtree(light)
    cli.say(f"no light model: {problem}")


def differences(
    label_ids: np.ndarray,
    expected: np.ndarray,
    found: np.ndarray,
    tasks: Sequence[Task],
    threshold: float | None,
) -> dict[str, Any]:
    """What is lost by the probabilities ``found`` in place of ``expected``, both float [N, classes of all tasks].

    ``lost`` by task, on its labelled rows; ``agreement`` by task, and of the joint answer: the share of equal ones.
    """
    one, other = (joint_metrics.evaluate_predictions(label_ids, each, None, tasks) for each in (expected, found))
    sign = {"accuracy": 1, "macro_f1": 1, "ece": -1}  # a loss is above 0
    lost = {task: {key: sign[key] * (one[task][key] - other[task][key]) for key in sign} for task in one}
    tables = [joint_metrics.predictions(each, threshold, tasks) for each in (expected, found)]
    columns = [*(task.name for task in tasks), *([ANSWER] if threshold is not None else [])]
    return {
        "rows": len(label_ids),
        "lost": lost,
        "agreement": {name: float((tables[0][name] == tables[1][name]).mean()) for name in columns},
    }


def passes(measured: Mapping[str, Any]) -> bool:
    """Whether a light model loses no more than it may."""
    lost = all(each[key] <= most for each in measured["lost"].values() for key, most in MOST_LOST.items())
    return lost and min(measured["agreement"].values()) >= LEAST_AGREEMENT


def network(fitted: Fitted, block: int | None) -> Any:
    """The ONNX model from ``input_ids``, int32 [B, L] without padding, to ``logits``, float32 [B, classes].

    ``block`` weights of a matrix share a scale; None: they stay 32-bit floats. :class:`ModelError` for a network that
    has other operations.
    """
    from onnx import TensorProto, helper, numpy_helper

    config = fitted.model.config
    if config.hidden_act != "gelu":
        raise ModelError(f"it cannot compute the activation function {config.hidden_act!r}")
    weights = {each.name.split("/", 1)[1].removesuffix(":0"): each.numpy() for each in fitted.model.variables}
    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, f"constant_{len(constants)}"))
        return constants[-1].name

    def node(kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{kind}_{len(nodes)}_{number}" for number in range(outputs)]
        domain = "" if kind in STANDARD else "com.microsoft"
        nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names if outputs > 1 else names[0]

    def product(values: str, kernel: np.ndarray) -> str:
        if block is None:
            return node("MatMul", values, constant(kernel))
        quantized, scales = quantize(kernel, block)
        size = {"K": kernel.shape[0], "N": kernel.shape[1], "bits": 8, "block_size": block, "accuracy_level": 4}
        return node("MatMulNBits", values, constant(quantized), constant(scales), **size)

    def normalize(values: str, name: str) -> str:
        parts = [constant(weights[f"{name}/LayerNorm/{each}"]) for each in ("gamma", "beta")]
        return node("LayerNormalization", values, *parts, epsilon=config.layer_norm_eps)

    def add_and_normalize(values: str, rest: str, name: str) -> str:
        # Not SkipLayerNormalization, which does the same in four times the time.
        biased = node("Add", values, constant(weights[f"{name}/dense/bias"]))
        return normalize(node("Add", biased, rest), name)

    table = weights["bert/embeddings/word_embeddings/weight"]
    words = node("Gather", constant(table if block is None else table.astype(np.float16)), "input_ids")
    if block is not None:
        words = node("Cast", words, to=TensorProto.FLOAT)
    places = weights["bert/embeddings/position_embeddings/embeddings"]
    places = places + weights["bert/embeddings/token_type_embeddings/embeddings"][0]
    length = node("Shape", "input_ids", start=1, end=2)
    hidden = node("Add", words, node("Slice", constant(places), constant(np.zeros(1, np.int64)), length))
    hidden = normalize(hidden, "bert/embeddings")  # (B, L, hidden)
    for number in range(config.num_hidden_layers):
        layer = f"bert/encoder/layer_._{number}"
        kernel, bias = (
            np.concatenate([weights[f"{layer}/attention/self/{each}/{kind}"] for each in ("query", "key", "value")], -1)
            for kind in ("kernel", "bias")
        )
        heads = node("Split", product(hidden, kernel), outputs=3, axis=2, num_outputs=3)
        context = node("MultiHeadAttention", *heads, constant(bias), num_heads=config.num_attention_heads)
        context = product(context, weights[f"{layer}/attention/output/dense/kernel"])
        hidden = add_and_normalize(context, hidden, f"{layer}/attention/output")
        wide = product(hidden, weights[f"{layer}/intermediate/dense/kernel"])
        wide = node("BiasGelu", wide, constant(weights[f"{layer}/intermediate/dense/bias"]))
        hidden = add_and_normalize(product(wide, weights[f"{layer}/output/dense/kernel"]), hidden, f"{layer}/output")

    def dense(values: str, name: str) -> str:
        return node("Gemm", values, *(constant(weights[f"{name}/{kind}"]) for kind in ("kernel", "bias")))

    if "bert/pooler/dense/kernel" in weights:
        first = node("Gather", hidden, constant(np.array(0)), axis=1)
        pooled = node("Tanh", dense(first, "bert/pooler/dense"))
    else:
        pooled = node("ReduceMean", hidden, constant(np.array([1])), keepdims=0)
    logits = dense(pooled, "classifier")
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["B", "L"])]
    outputs = [helper.make_tensor_value_info(logits, TensorProto.FLOAT, ["B", sum(config.task_classes)])]
    graph = helper.make_graph(nodes, "classifier", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)  # what ONNX Runtime reads since 1.18


def quantize(kernel: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """A matrix, float32 [K, N], as ``MatMulNBits`` has it: uint8 [N, blocks, block], 128 for 0; scales [N * blocks]."""
    rows, columns = kernel.shape
    blocks = np.pad(kernel.T, [(0, 0), (0, -rows % block)]).reshape(columns, -1, block)
    scales = np.maximum(np.abs(blocks).max(axis=2, keepdims=True) / 127, 1e-12)
    return (np.round(blocks / scales) + 128).astype(np.uint8), scales.ravel().astype(np.float32)
