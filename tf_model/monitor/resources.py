"""What this process, and whoever shares its GPUs, uses of the machine."""

from __future__ import annotations

import math
from collections.abc import Callable

from tf_model.monitor import tally
from tf_model.monitor.gpu import GpuReader

Sampler = Callable[[], dict[str, float]]


def samplers() -> list[Sampler]:
    """All that can be measured here."""
    gpus = GpuReader()
    return [sample_process(), *([sample_gpus(gpus)] if gpus.available else [])]


def sample_process() -> Sampler:
    """A function that gives ``cpu``, the cores in use since it was last called, or made, and ``memory``, in bytes."""
    import psutil

    process = psutil.Process()
    process.cpu_percent()  # begins to measure

    def sample() -> dict[str, float]:
        return {tally.CPU: process.cpu_percent() / 100, tally.MEMORY: float(process.memory_info().rss)}

    return sample


def sample_gpus(reader: GpuReader) -> Sampler:
    """A function that gives ``gpu_utilization``, the mean of the GPUs, 0 to 1, and ``gpu_memory`` of all, in bytes.

    It does not wait for the driver: it gives what was known last, and at first nothing.
    """

    def sample() -> dict[str, float]:
        gpus = reader.latest()
        busy = [gpu.utilization for gpu in gpus if math.isfinite(gpu.utilization)]
        used = [gpu.used for gpu in gpus if math.isfinite(gpu.used)]
        found = {tally.GPU_UTILIZATION: sum(busy) / len(busy)} if busy else {}
        return found | ({tally.GPU_MEMORY: sum(used)} if used else {})

    return sample
