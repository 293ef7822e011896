"""Time one way to answer, in its own process: texts in from standard input, their labels and the seconds out, as JSON.

Usage: ``peer_worker.py KIND FOLDER``. It runs in the rivals' environment, or in this project's for the kind "ours", so
it imports neither's packages at the top.
"""

import json
import os
import sys
import time
from pathlib import Path

BATCH = 32  # as for a plain user: texts sorted by length, and padded to the longest of a batch
LENGTH = 128


def ours(folder):
    """The light model, from raw strings."""
    from tf_model.inference.predictor import Predictor

    score, task = (model := Predictor.load(folder, "light")).score, next(iter(model.labels))
    return lambda texts: score([text.encode() for text in texts])[task].tolist()


def pipeline(folder):
    """Hugging Face's pipeline on PyTorch."""
    import transformers

    model = transformers.BertForSequenceClassification.from_pretrained(folder)
    tokenizer = transformers.BertTokenizerFast.from_pretrained(folder, model_max_length=LENGTH)
    classify = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, truncation=True)
    return lambda texts: [each["label"] for each in classify(list(texts), batch_size=BATCH)]


def onnxruntime(folder, file):
    """ONNX Runtime with its default options."""
    import onnxruntime as runtime

    session = runtime.InferenceSession(f"{folder}/{file}", providers=["CPUExecutionProvider"])
    return _with_tokenizer(folder, lambda inputs: session.run(None, inputs)[0])


def openvino(folder, file):
    """OpenVINO with its default options."""
    import openvino as runtime

    model = runtime.Core().compile_model(f"{folder}/{file}", "CPU")
    return _with_tokenizer(folder, lambda inputs: model(inputs)[0])


def _with_tokenizer(folder, logits_of):
    import transformers

    tokenizer = transformers.BertTokenizerFast.from_pretrained(folder)
    names = json.loads(Path(folder, "config.json").read_text())["id2label"]

    def answer(texts):
        labels = []
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            inputs = tokenizer(batch, padding=True, truncation=True, max_length=LENGTH, return_tensors="np")
            labels += [names[str(number)] for number in logits_of(dict(inputs)).argmax(axis=1)]
        return labels

    return answer


def prepare(folder):
    """Write the rivals' files from ``model.safetensors``: ONNX and OpenVINO, in float32 and int8."""
    import nncf
    import openvino
    import torch
    import transformers
    from onnxruntime.quantization import QuantType, quantize_dynamic

    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # or the tokenizer warns at each fork that follows
    model = transformers.BertForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    names = ["input_ids", "token_type_ids", "attention_mask"]
    example = tuple(torch.ones(2, 16, dtype=torch.long) for _ in names)
    model.forward = lambda *tensors, forward=model.forward: forward(**dict(zip(names, tensors, strict=True)))
    axes = {name: {0: "rows", 1: "tokens"} for name in names}
    file = f"{folder}/float32.onnx"
    torch.onnx.export(model, example, file, input_names=names, output_names=["logits"], dynamic_axes=axes, dynamo=False)
    quantize_dynamic(file, f"{folder}/int8.onnx", weight_type=QuantType.QInt8)
    network = openvino.convert_model(file)
    openvino.save_model(network, f"{folder}/float32.xml", compress_to_fp16=False)
    tokenizer = transformers.BertTokenizerFast.from_pretrained(folder)
    texts = json.loads(Path(folder, "calibration.json").read_text())
    texts = [dict(tokenizer(text, truncation=True, max_length=LENGTH, return_tensors="np")) for text in texts]
    quantized = nncf.quantize(network, nncf.Dataset(texts), model_type=nncf.ModelType.TRANSFORMER)
    openvino.save_model(quantized, f"{folder}/int8.xml", compress_to_fp16=False)


KINDS = {
    "ours": ours,
    "Hugging Face pipeline": pipeline,
    "ONNX Runtime float32": lambda folder: onnxruntime(folder, "float32.onnx"),
    "ONNX Runtime int8": lambda folder: onnxruntime(folder, "int8.onnx"),
    "OpenVINO float32": lambda folder: openvino(folder, "float32.xml"),
    "OpenVINO int8": lambda folder: openvino(folder, "int8.xml"),
}


def main():
    """Answer each text by itself, then all together; ``prepare`` writes the rivals' files instead."""
    kind, folder = sys.argv[1:]
    if kind == "prepare":
        prepare(folder)
        return
    reply, sys.stdout = sys.stdout, sys.stderr  # keeps what libraries print out of the reply
    answer, texts = KINDS[kind](folder), json.load(sys.stdin)
    for _ in range(2):  # the first round warms up
        seconds, labels = [], []
        for text in texts:
            began = time.perf_counter()
            labels += answer([text])
            seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        answer(sorted(texts, key=len))
        together = time.perf_counter() - began
    json.dump({"labels": labels, "seconds": seconds, "seconds_together": together}, reply)


if __name__ == "__main__":
    main()
