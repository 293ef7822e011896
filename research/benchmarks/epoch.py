"""``python -m research.benchmarks.epoch``: an epoch of bucketed batches against the same epoch padded to 64 tokens.

With ``--gpu`` instead the time of an epoch on a GPU by number format, with and without XLA, for the packaged backbone
and for a BERT of bert-base's size with random weights, which is as fast as a trained one.
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

PADDED = 64
EPOCHS = 3
FORMATS = {
    "float32": ["--precision", "float32"],
    "mixed bfloat16": ["--precision", "mixed_bfloat16"],
    "mixed bfloat16, XLA": ["--precision", "mixed_bfloat16", "--xla"],
}


def main(argv: list[str] | None = None) -> int:
    """Train a few epochs each way, at a rate at which they are enough to compare what was learned."""
    parser = cli.parser("research.benchmarks.epoch", __doc__.splitlines()[0])
    parser.add_argument("--gpu", action="store_true", help="compare number formats on a GPU instead")
    arguments = parser.parse_args(argv)
    if arguments.gpu:
        return harness.finish("epoch", argv, {"runs": _by_format()}, name="gpu")
    ways = {
        "bucketed": train_epochs(),
        "padded": train_epochs("--pad-to", str(PADDED)),
    }
    ratio = ways["bucketed"]["epoch_seconds"] / ways["padded"]["epoch_seconds"]
    for name, run in ways.items():
        print(f"{name}: {run['epoch_seconds']:.1f} s an epoch, validation accuracy {run['validation_accuracy']:.4f}")
    print(f"bucketed takes {ratio:.2f} of the time")
    return harness.finish("epoch", argv, {"padded_to": PADDED, "epochs": EPOCHS, "ratio": ratio, **ways})


def train_epochs(*options: str) -> dict[str, Any]:
    """Train by the real command with more ``options``; the first epoch, which also builds the graph, counts apart."""
    with tempfile.TemporaryDirectory() as folder:
        harness.run_training("--learning-rate", "1e-4", "--epochs", str(EPOCHS), "--output-dir", folder, *options)
        model = Path(folder) / tasks.PRODUCT.name
        metrics = read_json(model / "metrics.json")
        with (model / "history.csv").open(encoding="utf-8", newline="") as file:
            first, *others = (float(row["seconds"]) for row in csv.DictReader(file))
    validation = metrics["validation"][tasks.PRODUCT.name]
    return {
        "device": metrics["device"],
        "first_epoch_seconds": first,
        "epoch_seconds": sum(others) / len(others),
        "validation_accuracy": validation["accuracy"],
        "validation_accuracy_interval": validation["accuracy_interval"],
    }


def _by_format() -> dict[str, Any]:
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    if not tf.config.list_physical_devices("GPU"):
        raise TweetTargetError("no GPU is visible to TensorFlow; run `make install-gpu`, or leave out --gpu")
    tf.config.set_visible_devices([], "GPU")  # this process leaves the memory to those that it measures
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        large = str(_random_bert_base(Path(folder)))
        for name, weights in (("minilm", "minilm"), ("bert-base, random weights", large)):
            for way, options in FORMATS.items():
                runs[f"{name}, {way}"] = run = train_epochs(*options, "--backbone", weights)
                print(f"{name}, {way}: first {run['first_epoch_seconds']:.1f} s, then {run['epoch_seconds']:.1f} s")
    return runs


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
