"""How busy and how full the GPUs are, as far as it can be told without setting anything up."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

SECONDS = 10.0  # between two questions to nvidia-smi, which takes a second where a driver must wake up
TIMEOUT = 5.0  # seconds
QUERY = ("--query-gpu=index,memory.used,memory.total,utilization.gpu", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """One GPU, whoever uses it; a figure that the driver does not tell, as under MIG, is NaN.

    Attributes:
        index: Its number.
        used: Memory in use, in bytes.
        size: Memory, in bytes.
        utilization: Share of the time that it works, 0 to 1.
    """

    index: str
    used: float
    size: float
    utilization: float


class GpuReader:
    """Asks ``nvidia-smi`` at most every :data:`SECONDS`; from any thread."""

    def __init__(self) -> None:
        self._command = shutil.which("nvidia-smi")
        self._lock = threading.Lock()
        self._asked = -math.inf
        self._gpus: tuple[Gpu, ...] = ()

    @property
    def available(self) -> bool:
        """Whether there is an ``nvidia-smi`` to ask."""
        return self._command is not None

    def read(self) -> tuple[Gpu, ...]:
        """The GPUs; none where there is no ``nvidia-smi`` or it fails."""
        with self._lock:
            if self._command and time.monotonic() - self._asked > SECONDS:
                self._gpus, self._asked = _ask(self._command), time.monotonic()
            return self._gpus

    def latest(self) -> tuple[Gpu, ...]:
        """What was read last, at first nothing; asks in the background when that is old, for who must not wait."""
        if self._command and not self._lock.locked() and time.monotonic() - self._asked > SECONDS:
            threading.Thread(target=self.read, name="nvidia-smi", daemon=True).start()
        return self._gpus


def tensorflow_memory() -> dict[str, int]:
    """Bytes that TensorFlow uses of each GPU in this process, by its number; nothing if TensorFlow is not loaded.

    Call it only when a model is loaded: asking sets up the GPUs, and settings such as memory growth then come too late.
    """
    tf = sys.modules.get("tensorflow")
    try:
        count = len(tf.config.list_physical_devices("GPU")) if tf else 0
        return {str(i): tf.config.experimental.get_memory_info(f"GPU:{i}")["current"] for i in range(count)}
    except Exception:  # of any kind: a figure that cannot be had must not take the others away
        return {}


def _ask(command: str) -> tuple[Gpu, ...]:
    try:
        said = subprocess.run([command, *QUERY], capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout
        rows = [[cell.strip() for cell in line.split(",")] for line in said.splitlines() if line.strip()]
        # It counts in MiB and in percent.
        return tuple(
            Gpu(index, _number(used) * 2**20, _number(size) * 2**20, _number(busy) / 100)
            for index, used, size, busy in rows
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:  # "[N/A]"
        return math.nan
