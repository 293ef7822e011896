"""``python -m research.benchmarks.epoch``: an epoch of bucketed batches against the same epoch padded to 64 tokens."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from research.runs import record
from tf_model import cli, paths
from tf_model.errors import TweetTargetError

PADDED = 64
EPOCHS = 3


def main(argv: list[str] | None = None) -> int:
    """Train three epochs both ways, at a rate at which three epochs are enough to compare what was learned."""
    parser = cli.parser("research.benchmarks.epoch", __doc__.splitlines()[0])
    parser.add_argument("--precision", default="auto", help="number format of the layers")
    arguments = parser.parse_args(argv)
    ways = {
        "bucketed": train_epochs([], arguments.precision),
        "padded": train_epochs(["--pad-to", str(PADDED)], arguments.precision),
    }
    ratio = ways["bucketed"]["epoch_seconds"] / ways["padded"]["epoch_seconds"]
    path = record("bench_epoch", "make bench-epoch", {"padded_to": PADDED, "epochs": EPOCHS, "ratio": ratio, **ways})
    for name, run in ways.items():
        print(f"{name}: {run['epoch_seconds']:.1f} s an epoch, validation accuracy {run['validation_accuracy']:.4f}")
    print(f"bucketed takes {ratio:.2f} of the time")
    cli.say(f"written to {paths.shown(path)}")
    return 0


def train_epochs(options: list[str], precision: str | None) -> dict:
    """Train by the real command with more ``options``.

    Returns:
        The mean time of all epochs but the first, which also builds the graph, the accuracy after the last, and more.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tf_model.train", "--learning-rate", "1e-4", "--epochs", str(EPOCHS)]
        command += ["--output-dir", folder, *options, *(["--precision", precision] if precision else [])]
        if subprocess.run(command, cwd=paths.ROOT, stdout=subprocess.DEVNULL).returncode:
            raise TweetTargetError("training failed; its own message stands above")
        model = Path(folder) / "product"
        metrics = json.loads((model / "metrics.json").read_text(encoding="utf-8"))
        header, *rows = (model / "history.csv").read_text(encoding="utf-8").splitlines()
    column = header.split(",").index("seconds")
    seconds = [float(row.split(",")[column]) for row in rows]
    return {
        "device": metrics["device"],
        "first_epoch_seconds": seconds[0],
        "epoch_seconds": sum(seconds[1:]) / len(seconds[1:]),
        "validation_accuracy": metrics["validation"]["accuracy"],
        "validation_accuracy_interval": metrics["validation"]["accuracy_interval"],
        "peak_memory_bytes": metrics["peak_memory_bytes"],
    }


if __name__ == "__main__":
    cli.run(main)
