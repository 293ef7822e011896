"""``python -m research.benchmarks.gpu``: the time of an epoch on a GPU by number format, with and without XLA.

The backbones are the packaged one and a BERT of bert-base's size with random weights, as fast as a trained one.
"""

import csv
import shutil
import tempfile
from pathlib import Path
from typing import Any

from research.benchmarks import harness
from tf_model import cli, tasks
from tf_model.errors import TweetTargetError
from tf_model.model_dir import read_json
from tf_model.modeling import backbone

EPOCHS = 3
FORMATS = {
    "float32": ["--precision", "float32"],
    "mixed bfloat16": ["--precision", "mixed_bfloat16"],
    "mixed bfloat16, LoRA of rank 16": ["--precision", "mixed_bfloat16", "--lora-rank", "16"],
    "mixed bfloat16, XLA": ["--precision", "mixed_bfloat16", "--xla"],
}


def main(argv: list[str] | None = None) -> int:
    """Train a few epochs in each format, print and record the results."""
    cli.parser("research.benchmarks.gpu", __doc__.splitlines()[0]).parse_args(argv)
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    if not tf.config.list_physical_devices("GPU"):
        raise TweetTargetError("no GPU is visible to TensorFlow; run `make install-gpu`")
    tf.config.set_visible_devices([], "GPU")  # leaves the GPU memory to the training processes
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        bert_base = str(_random_bert_base(Path(folder)))
        for name, weights in (("minilm", "minilm"), ("bert-base, random weights", bert_base)):
            for setup, options in FORMATS.items():
                runs[f"{name}, {setup}"] = run = train_epochs(*options, "--backbone", weights)
                print(f"{name}, {setup}: first {run['first_epoch_seconds']:.1f} s, then {run['epoch_seconds']:.1f} s")
    return harness.finish("gpu", argv, {"runs": runs})


def train_epochs(*options: str) -> dict[str, Any]:
    """Train with the real command and ``options``; the first epoch, which also builds the graph, is timed apart."""
    with tempfile.TemporaryDirectory() as folder:
        harness.run_training("--learning-rate", "1e-4", "--epochs", str(EPOCHS), "--output-dir", folder, *options)
        model = Path(folder) / tasks.PRODUCT.name
        metrics = read_json(model / "metrics.json")
        with (model / "history.csv").open(encoding="utf-8", newline="") as file:
            first, *others = (float(row["seconds"]) for row in csv.DictReader(file))
    return {
        "device": metrics["device"],
        "first_epoch_seconds": first,
        "epoch_seconds": sum(others) / len(others),
        "validation_accuracy": metrics["validation"][tasks.PRODUCT.name]["accuracy"],
    }


def _random_bert_base(folder: Path) -> Path:
    """A backbone folder with bert-base-uncased's configuration, the same vocabulary, and random weights."""
    import transformers

    transformers.logging.set_verbosity_error()
    model = transformers.TFBertModel(transformers.BertConfig())
    model(model.dummy_inputs)
    model.save_pretrained(folder / "bert-base", safe_serialization=True)
    shutil.copy(backbone.find("minilm").vocabulary, folder / "bert-base" / "vocab.txt")
    return folder / "bert-base"


if __name__ == "__main__":
    cli.run(main)
