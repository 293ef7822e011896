"""What this process, and whoever shares its GPUs, uses of the machine."""

import math
import sys
from collections.abc import Callable
from typing import NamedTuple

from tf_model.monitor.aggregates import CPU, GPU_MEMORY, GPU_UTILIZATION, MEMORY


class Gpu(NamedTuple):
    """One GPU, whoever uses it: memory in bytes, and the share of the time that it works, 0 to 1."""

    used: int
    size: int
    utilization: float  # NaN where the driver does not tell, as under MIG


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
            seen.append(Gpu(memory.used, memory.total, busy))
    except pynvml.NVMLError:
        pass
    return seen


def tensorflow_memory() -> list[int]:
    """Bytes that TensorFlow uses of each GPU in this process; nothing if it is not loaded.

    Call it only when a model is loaded: asking sets up the GPUs, and settings such as memory growth then come too late.
    """
    tf = sys.modules.get("tensorflow")
    try:
        count = len(tf.config.list_physical_devices("GPU")) if tf else 0
        return [tf.config.experimental.get_memory_info(f"GPU:{index}")["current"] for index in range(count)]
    except Exception:  # of any kind: a figure that cannot be had must not take the others away
        return []


def sampler() -> Callable[[], dict[str, float]]:
    """A function that gives a value for each of :data:`~tf_model.monitor.aggregates.SAMPLED` that can be had, the cores
    in use since it was last called, or made."""
    import psutil

    process = psutil.Process()
    process.cpu_percent()  # begins to measure
    gpus()  # the first time takes a while

    def sample() -> dict[str, float]:
        sampled = {CPU: process.cpu_percent() / 100, MEMORY: float(process.memory_info().rss)}
        seen = gpus()
        busy = [gpu.utilization for gpu in seen if math.isfinite(gpu.utilization)]
        if busy:
            sampled[GPU_UTILIZATION] = sum(busy) / len(busy)
        if seen:
            sampled[GPU_MEMORY] = float(sum(gpu.used for gpu in seen))
        return sampled

    return sample
