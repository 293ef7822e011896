"""What this process, and whoever shares its GPUs, uses of the machine."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tf_model.monitor.aggregates import CPU, GPU_MEMORY, GPU_UTILIZATION, MEMORY


@dataclass(frozen=True)
class Gpu:
    """One GPU, whoever uses it.

    Attributes:
        index: Its number.
        used: Memory in use, in bytes.
        size: Memory, in bytes.
        utilization: Share of the time that it works, 0 to 1; NaN where the driver does not tell, as under MIG.
    """

    index: str
    used: int
    size: int
    utilization: float


def gpus() -> list[Gpu]:
    """The NVIDIA GPUs of this machine, asked through the driver, which sets nothing up; none without one."""
    import pynvml

    seen: list[Gpu] = []
    try:
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            try:
                busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            except pynvml.NVMLError:
                busy = math.nan
            seen.append(Gpu(str(index), memory.used, memory.total, busy))
    except pynvml.NVMLError:
        pass
    return seen


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


def sampler() -> Callable[[], dict[str, float]]:
    """A function that gives ``cpu``, the cores in use since it was last called, or made; ``memory``, in bytes; and
    where there are GPUs ``gpu_utilization``, their mean, 0 to 1, and ``gpu_memory`` of all, in bytes."""
    import psutil

    process = psutil.Process()
    process.cpu_percent()  # begins to measure
    gpus()  # the first time takes a while

    def sample() -> dict[str, float]:
        seen = gpus()
        busy = [gpu.utilization for gpu in seen if math.isfinite(gpu.utilization)]
        return {
            CPU: process.cpu_percent() / 100,
            MEMORY: float(process.memory_info().rss),
            **({GPU_UTILIZATION: sum(busy) / len(busy)} if busy else {}),
            **({GPU_MEMORY: float(sum(gpu.used for gpu in seen))} if seen else {}),
        }

    return sample
