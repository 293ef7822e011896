"""``python -m research.benchmarks.gpu``: time of an epoch on a GPU, by number format, with and without XLA.

For the packaged backbone and for a BERT of bert-base's size with random weights, which is as fast as a trained one.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from research.report.benchmarks.epoch import train_epochs
from research.runs import record
from tf_model import cli, paths
from tf_model.errors import TweetTargetError
from tf_model.modeling import backbone

WAYS = {
    "float32": ["--precision", "float32"],
    "mixed bfloat16": ["--precision", "mixed_bfloat16"],
    "mixed bfloat16, XLA": ["--precision", "mixed_bfloat16", "--xla"],
}


def main(argv: list[str] | None = None) -> int:
    """Train a few epochs each way, print and record the times."""
    parser = cli.parser("research.benchmarks.gpu", __doc__.splitlines()[0])
    parser.add_argument("--allow-cpu", action="store_true", help="run without a GPU too (hours)")
    arguments = parser.parse_args(argv)
    _require_gpu(arguments.allow_cpu)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, weights in (
            ("minilm", "minilm"),
            ("bert-base, random weights", str(_random_bert_base(Path(folder)))),
        ):
            for way, options in WAYS.items():
                run = train_epochs([*options, "--backbone", weights], precision=None)
                results[f"{name}, {way}"] = run
                print(f"{name}, {way}: first {run['first_epoch_seconds']:.1f} s, then {run['epoch_seconds']:.1f} s")
    path = record("bench_gpu", "make bench-gpu", {"runs": results})
    cli.say(f"written to {paths.shown(path)}")
    return 0


def _require_gpu(allow_cpu: bool) -> None:
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    if not tf.config.list_physical_devices("GPU") and not allow_cpu:
        raise TweetTargetError("no GPU is visible to TensorFlow; run `make install-gpu`, or add --allow-cpu")
    tf.config.set_visible_devices([], "GPU")  # this process leaves the memory to those that it measures


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
