"""What the benchmarks share: recording runs, percentiles, and training by the real command."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from research import runs
from research.study import command_line
from tf_model import paths
from tf_model.data import Dataset
from tf_model.errors import DataError, TweetTargetError


def record(module: str, argv: Sequence[str] | None, results: Mapping[str, Any], name: str | None = None) -> None:
    """Record a run as ``bench_<name>``, by default the name of its module."""
    runs.record(f"bench_{name or module}", command_line(f"benchmarks.{module}", argv), results)


def percentiles(values: Sequence[float], ranks: Sequence[int] = (50, 95, 99)) -> dict[str, float]:
    """Percentiles of ``values``, as ``p50`` and so on."""
    return {f"p{rank}": float(value) for rank, value in zip(ranks, np.percentile(values, ranks), strict=True)}


def test_tweets(dataset: Dataset) -> list[str]:
    """The texts of the sheet ``Test``; DataError if there is none."""
    if dataset.unlabelled is None:
        raise DataError(f"{dataset.path} has no Test sheet; give the workbook with --data")
    return dataset.unlabelled["Tweet"].tolist()


def run_training(*options: str) -> None:
    """Train by the real command; TweetTargetError if it fails."""
    command = [sys.executable, "-m", "tf_model.train", *options]
    if subprocess.run(command, cwd=paths.ROOT, stdout=subprocess.DEVNULL).returncode:
        raise TweetTargetError("training failed; see its message above")
