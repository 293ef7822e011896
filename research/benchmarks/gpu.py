"""``python -m research.benchmarks.gpu``: training and prediction on a GPU, in about ten minutes.

The networks are the packaged one and a BERT of bert-base's size with random weights, as fast as a trained one.
"""

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from research.benchmarks import harness
from research.runs import show
from tf_model import cli, data, tasks
from tf_model.errors import TweetTargetError
from tf_model.inference.predictor import Predictor
from tf_model.model_dir import read_json
from tf_model.modeling import backbone

EPOCHS = 3  # the first also builds the graph
COPIES, BATCH = 100, 1024  # of the Test tweets, each made different by a number; texts in a batch


def main(argv: list[str] | None = None) -> int:
    """Time epochs, the whole training and prediction, print and record them."""
    cli.parser("research.benchmarks.gpu", __doc__.splitlines()[0]).parse_args(argv)
    from tf_model.device import import_tensorflow

    if not import_tensorflow().config.list_physical_devices("GPU"):
        raise TweetTargetError("no GPU is visible to TensorFlow; run `make install-gpu`")
    tweets = harness.test_tweets(data.load())
    texts = [f"{tweet} {number}" for number in range(COPIES) for tweet in tweets]
    epochs = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for network in ("minilm", str(random_bert_base(folder))):
            for precision in ("float32", "mixed_bfloat16"):
                options = ("--backbone", network, "--precision", precision, "--epochs", str(EPOCHS), "--overwrite")
                title = f"{Path(network).name}, {precision}"
                epochs[title] = train(folder, *options)
                show(title, epochs[title])
        whole = train(folder, "--overwrite")
        show("make train", whole)
        predictor = replace(Predictor.load(folder / tasks.PRODUCT.name, "tensorflow"), batch_size=BATCH)
        predictor.predict(texts[: len(tweets)])
        began = time.monotonic()
        predictor.predict(texts)
    per_second = len(texts) / (time.monotonic() - began)
    print(f"tweets a second: {per_second:,.0f}")
    harness.record("gpu", argv, {"epochs": epochs, "train": whole, "tweets_per_second": per_second})
    return 0


def train(folder: Path, *options: str) -> dict[str, Any]:
    """Train by the real command; times in seconds, that of an epoch without the first."""
    began = time.monotonic()
    harness.run_training("--output-dir", str(folder), *options)
    seconds, model = time.monotonic() - began, folder / tasks.PRODUCT.name
    metrics = read_json(model / "metrics.json")
    return {
        "device": metrics["device"],
        "epoch_seconds": float(pd.read_csv(model / "history.csv")["seconds"][1:].mean()),
        "seconds": seconds,
        "validation_accuracy": metrics["validation"][tasks.PRODUCT.name]["accuracy"],
    }


def random_bert_base(folder: Path) -> Path:
    """A backbone with bert-base-uncased's configuration, the packaged vocabulary, and random weights."""
    import transformers

    transformers.logging.set_verbosity_error()
    model = transformers.TFBertModel(transformers.BertConfig())
    model(model.dummy_inputs)
    model.save_pretrained(folder / "bert-base", safe_serialization=True)
    shutil.copy(backbone.find("minilm").vocabulary, folder / "bert-base" / "vocab.txt")
    return folder / "bert-base"


if __name__ == "__main__":
    cli.run(main)
