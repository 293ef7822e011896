"""``python -m research.benchmarks.peers``: compare the light model with other runtimes on the same weights.

Each runtime predicts the Test tweets from string to label, one by one and all together, in its own process; they take
turns, one at a time. The rivals get cleaned texts, so that all read the same tokens; our time includes cleaning. Quote
the ratios, not the times.
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

from research.benchmarks import harness, peer_worker
from tf_model import cli, data, paths
from tf_model.errors import ModelError
from tf_model.io.files import write_json
from tf_model.tasks import TEXT_COLUMN

ROUNDS = 6  # the first warms up
OURS, BEST_INT8 = "ours", "ONNX Runtime int8"
MOST_LATENCY, LEAST_THROUGHPUT = 0.8, 1.2  # of ONNX Runtime int8's p50; of the best rival's texts a second


def main(argv: list[str] | None = None) -> int:
    """Measure, print and record the results; exit code 1 if a target is missed."""
    parser = cli.parser("research.benchmarks.peers", __doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, default=Path(".venv-peers/bin/python"), help="the rivals' Python")
    parser.add_argument(
        "--model", type=Path, default=paths.SAVED_MODELS / "product", help="model folder with a light model"
    )
    parser.add_argument("--data", type=Path, help="workbook with a Test sheet; by default, the dataset that is found")
    arguments = parser.parse_args(argv)
    dataset = data.load(arguments.data)
    raw = harness.test_tweets(dataset)
    with tempfile.TemporaryDirectory() as folder:
        clean = write_rival(arguments.model, Path(folder), dataset.labelled[TEXT_COLUMN].tolist()[:300])
        subprocess.run([arguments.python, peer_worker.__file__, "prepare", folder], check=True, stdout=sys.stderr)
        texts = {kind: raw if kind == OURS else [clean(text) for text in raw] for kind in peer_worker.KINDS}
        results = measure(arguments.python, arguments.model, folder, texts)
    for kind, metrics in results.items():
        harness.show(kind, metrics)
    rivals = {kind: metrics for kind, metrics in results.items() if kind != OURS}
    latency = results[OURS]["p50"] / results[BEST_INT8]["p50"]
    throughput = results[OURS]["texts_per_second"] / max(each["texts_per_second"] for each in rivals.values())
    harness.show("ours", {"p50, of ONNX Runtime int8's": latency, "texts a second, of the best rival's": throughput})
    missed = [f"p50 is {latency:.2f} of {BEST_INT8}'s, above {MOST_LATENCY}"] if latency > MOST_LATENCY else []
    if throughput < LEAST_THROUGHPUT:
        missed.append(f"texts a second are {throughput:.2f} of the best rival's, below {LEAST_THROUGHPUT}")
    ratios = {"latency_ratio": latency, "throughput_ratio": throughput}
    return harness.finish("peers", argv, {"texts": len(raw), "ways": results, **ratios}, missed)


def write_rival(model: Path, folder: Path, calibration: Sequence[str]) -> Any:
    """Write the weights in the format of Hugging Face's PyTorch classes, and return the function that cleans texts."""
    import numpy as np
    from safetensors.numpy import save_file

    from tf_model.export import restore

    fitted, predictor = restore.load(model)
    if predictor.recipe.get("pooling") != "cls":
        raise ModelError(f"PyTorch's class cannot pool tokens as {model} does; give a model of the recipe report")
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


def measure(python: Path, model: Path, folder: str, texts: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """By kind: p50 and p95 of one text in ms, texts a second, and the share of labels equal to ours."""
    workers = {}
    for kind in texts:
        program, model_folder = (sys.executable, model) if kind == OURS else (python, folder)
        command = [program, peer_worker.__file__, kind, model_folder]
        environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
        workers[kind] = subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environment)
        ask(workers[kind])
    single_seconds: dict[str, list[float]] = {kind: [] for kind in texts}
    batch_seconds: dict[str, list[float]] = {kind: [] for kind in texts}
    labels = {}
    for number in range(ROUNDS):
        for kind, worker in workers.items():
            single_reply = ask(worker, texts=texts[kind], together=False)
            batch_reply = ask(worker, texts=texts[kind], together=True)
            labels[kind] = single_reply["labels"]
            if number:
                single_seconds[kind] += single_reply["seconds"]
                batch_seconds[kind] += batch_reply["seconds"]
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return {
        kind: {
            **harness.percentiles([1000 * each for each in single_seconds[kind]], (50, 95)),
            "texts_per_second": len(texts[kind]) / statistics.median(batch_seconds[kind]),
            "labels_as_ours": statistics.mean(map(str.__eq__, labels[kind], labels[OURS])),
        }
        for kind in texts
    }


def ask(worker: Any, **request: Any) -> dict[str, Any]:
    """A worker's reply to a request, or its ready message without one; ModelError if it has died."""
    if request:
        print(json.dumps(request), file=worker.stdin, flush=True)
    reply = worker.stdout.readline()
    if not reply:
        raise ModelError(f"{worker.args[2]} failed; see its message above")
    return json.loads(reply)


if __name__ == "__main__":
    cli.run(main)
