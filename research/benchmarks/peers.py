"""``python -m research.benchmarks.peers``: compare the light model with other runtimes on the same weights.

Each runtime predicts the Test tweets from string to label, one by one and all together, in a process of its own; they
take turns. The rivals get cleaned texts, so that all read the same tokens; our time includes cleaning. Quote the
ratios, not the times.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from research import study
from research.benchmarks import harness, peer_worker
from research.runs import show
from tf_model import cli, data, paths
from tf_model.errors import ModelError
from tf_model.io.files import write_json
from tf_model.tasks import TEXT_COLUMN

PYTHON = Path(".venv-peers/bin/python")  # the rivals'
MODEL = paths.SAVED_MODELS / "product"
ROUNDS = 5
OURS, BEST_INT8 = "ours", "ONNX Runtime int8"


def main(argv: list[str] | None = None) -> int:
    """Measure, print and record the results."""
    arguments = study.parser("benchmarks.peers", __doc__.splitlines()[0]).parse_args(argv)
    dataset = data.load(arguments.data)
    raw = harness.test_tweets(dataset)
    with tempfile.TemporaryDirectory() as folder:
        clean = write_rival(Path(folder), dataset.labelled[TEXT_COLUMN].tolist()[:300])
        subprocess.run([PYTHON, peer_worker.__file__, "prepare", folder], check=True, stdout=sys.stderr)
        texts = {kind: raw if kind == OURS else [clean(text) for text in raw] for kind in peer_worker.KINDS}
        results = measure(folder, texts)
    for kind, metrics in results.items():
        show(kind, metrics)
    rivals = {kind: metrics for kind, metrics in results.items() if kind != OURS}
    latency = results[OURS]["p50"] / results[BEST_INT8]["p50"]
    throughput = results[OURS]["texts_per_second"] / max(each["texts_per_second"] for each in rivals.values())
    show("ours", {"p50, of ONNX Runtime int8's": latency, "texts a second, of the best rival's": throughput})
    ratios = {"latency_ratio": latency, "throughput_ratio": throughput}
    harness.record("peers", argv, {"texts": len(raw), "ways": results, **ratios})
    return 0


def write_rival(folder: Path, calibration: Sequence[str]) -> Any:
    """Write the weights in the format of Hugging Face's PyTorch classes, and return the function that cleans texts."""
    import numpy as np
    from safetensors.numpy import save_file

    from tf_model.export import restore

    fitted, predictor = restore.load(MODEL)
    suffixes = {"kernel": "weight", "gamma": "weight", "beta": "bias", "embeddings": "weight"}
    weights = {}
    for variable in fitted.model.variables:
        *path, last = variable.name.split("/", 1)[1].removesuffix(":0").split("/")
        values = variable.numpy().T if last == "kernel" else variable.numpy()
        name = ".".join([*path, suffixes.get(last, last)]).replace("layer_._", "layer.")
        weights[name] = np.ascontiguousarray(values)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    [task] = predictor.tasks
    labels = {"id2label": dict(enumerate(task.labels)), "label2id": {name: i for i, name in enumerate(task.labels)}}
    write_json(folder / "config.json", fitted.model.config.to_dict() | labels | {"architectures": None})
    (folder / "vocab.txt").write_text("\n".join(fitted.encoder.vocabulary) + "\n", encoding="utf-8")
    clean = fitted.encoder.cleaning.clean
    write_json(folder / "calibration.json", [clean(text) for text in calibration])
    return clean


def measure(folder: str, texts: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """By kind: p50 and p95 of one text in ms, texts a second, and the share of labels equal to ours.

    Raises :class:`ModelError` if a kind fails, such as ours without a light model.
    """
    replies: dict[str, list[dict[str, Any]]] = {kind: [] for kind in texts}
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
    for _ in range(ROUNDS):
        for kind in texts:
            program, model_folder = (sys.executable, MODEL) if kind == OURS else (PYTHON, folder)
            command = [program, peer_worker.__file__, kind, model_folder]
            options = {"input": json.dumps(texts[kind]), "stdout": subprocess.PIPE, "text": True, "env": environment}
            worker = subprocess.run(command, **options)
            if worker.returncode:
                raise ModelError(f"{kind} failed; see its message above")
            replies[kind].append(json.loads(worker.stdout))
    labels = {kind: rounds[0]["labels"] for kind, rounds in replies.items()}
    return {
        kind: {
            **harness.percentiles([1000 * seconds for each in rounds for seconds in each["seconds"]], (50, 95)),
            "texts_per_second": len(texts[kind]) / statistics.median(each["seconds_together"] for each in rounds),
            "labels_as_ours": statistics.mean(map(str.__eq__, labels[kind], labels[OURS])),
        }
        for kind, rounds in replies.items()
    }


if __name__ == "__main__":
    cli.run(main)
