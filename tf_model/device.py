"""Set up TensorFlow once: quiet, seeded, and on the available devices.

Only this module sets TensorFlow's environment variables; call :func:`prepare` before building a model.
"""

import argparse
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_model.distributed import STARTUP_SECONDS, Cluster


@dataclass(frozen=True)
class Runtime:
    """Where and how a run computes."""

    device: str  # in words, e.g. "CPU, 2 cores" or "NVIDIA H100 80GB HBM3"
    gpus: int  # how many are used
    precision: str  # "float32" or "mixed_bfloat16"
    deterministic: bool  # whether the same run gives the same numbers on the same machine
    workers: Cluster | None = None  # the processes that train together, if there are several

    def describe(self) -> str:
        """One line for the log."""
        options = ["deterministic"] if self.deterministic else []
        worker = [self.workers.describe()] if self.workers else []
        return ", ".join([self.device, self.precision, *options, *worker])

    @property
    def worker_index(self) -> int:
        """The index of this worker process, from 0; 0 is the chief."""
        return self.workers.index if self.workers else 0

    def strategy(self) -> Any:
        """The workers' strategy, ``tf.distribute.MirroredStrategy`` for several GPUs, or else the default strategy."""
        import tensorflow as tf

        if self.workers:
            return self.workers.strategy
        return tf.distribute.MirroredStrategy() if self.gpus > 1 else tf.distribute.get_strategy()


def import_tensorflow() -> Any:
    """The ``tensorflow`` module, imported without its start-up chatter and with legacy Keras for transformers."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # transformers 4 builds on Keras 2
    # By default oneDNN needs a CPU with AVX-512 VNNI; with AVX2 alone it also shortens a training step, by a fifth.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if "tensorflow" not in sys.modules:
        with _quiet():
            import tensorflow as tf

            tf.config.list_physical_devices()
    tf = sys.modules["tensorflow"]
    # Its warnings are for developers: on a small table, each fold would print 500 characters about "retracing".
    tf.get_logger().setLevel("ERROR")
    return tf


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what is written on standard error: TensorFlow's C++ code logs before its log level applies."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)


def prepare(
    seed: int,
    *,
    precision: str = "auto",
    deterministic: bool = False,
    cluster: Cluster | None = None,
    cluster_seconds: float = STARTUP_SECONDS,
) -> Runtime:
    """Seed Python, NumPy and TensorFlow, set the devices and the number format, and wait for the other workers.

    The precision ``"auto"`` is ``"mixed_bfloat16"`` if the device supports it (an NVIDIA GPU since Ampere, or a CPU
    with AVX512_BF16 or AMX), else ``"float32"``. Weights are float32 either way.
    """
    tf = import_tensorflow()
    import tf_keras

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if cluster:
        cluster.connect(cluster_seconds)  # before any TensorFlow operation
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    if precision == "auto":
        is_ampere = [each.get("compute_capability", (0, 0)) >= (8, 0) for each in details]
        precision = "mixed_bfloat16" if (all(is_ampere) if gpus else _cpu_has_bfloat16()) else "float32"
    tf_keras.mixed_precision.set_global_policy(precision)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    # These generators keep their state in variables, so that each epoch can be seeded.
    tf_keras.backend.experimental.enable_tf_random_generator()
    tf_keras.utils.set_random_seed(seed)
    name = details[0].get("device_name", "GPU") if gpus else f"CPU, {cores()} cores"
    name = f"{len(gpus)} x {name}" if len(gpus) > 1 else name
    return Runtime(name, len(gpus), precision, deterministic, cluster)


def _cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU has bfloat16 instructions; without them, bfloat16 is slower than float32."""
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:  # not Linux
        return False
    return bool(re.search(r"^flags\s*:.*\b(avx512_bf16|amx_bf16)\b", text, re.MULTILINE))


def schedulable_cores() -> int:
    """The number of cores that this process may run on, or of the machine if the system does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The number of cores whose time this process may use: fewer than it may run on where a container limits it.

    More threads would use up the limit early in each period, and then all wait for the next one.
    """
    with suppress(OSError, ValueError):  # not a container on Linux, or "max 100000": no limit
        microseconds, period = quota.read_text(encoding="ascii").split()
        return min(schedulable_cores(), math.ceil(int(microseconds) / int(period)))
    return schedulable_cores()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect the results."""
    import platform
    from importlib.metadata import version

    packages = ("tensorflow", "tf-keras", "tensorflow-text", "transformers", "keras-nlp", "keras", "numpy")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}


def add_arguments(parser: argparse.ArgumentParser, title: str = "how to compute") -> None:
    """Add the options for number format and determinism."""
    group = parser.add_argument_group(title)
    group.add_argument(
        "--precision",
        choices=("auto", "float32", "mixed_bfloat16"),
        default="auto",
        help="number format of the layers; auto: chosen by the device",
    )
    group.add_argument("--deterministic", action="store_true", help="same numbers on every run on this machine")
