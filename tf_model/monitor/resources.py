"""CPU and memory use of this process, and the use of the machine's GPUs by anybody."""

import math
from collections.abc import Callable

from tf_model.monitor.aggregates import CPU, GPU_MEMORY, GPU_UTILIZATION, MEMORY


def gpus() -> list[dict[str, float]]:
    """The NVIDIA GPUs of this machine, read from the driver, which sets nothing up; empty if there are none.

    For each, by all processes: ``memory_used_bytes``, ``memory_size_bytes``, and ``utilization_ratio``, the share of
    time that it works, 0 to 1; NaN if the driver does not report it, as under MIG.
    """
    import pynvml

    devices = []
    try:
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            try:
                busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            except pynvml.NVMLError:
                busy = math.nan
            device = {"memory_used_bytes": memory.used, "memory_size_bytes": memory.total, "utilization_ratio": busy}
            devices.append(device)
    except pynvml.NVMLError:
        pass
    return devices


def sampler() -> Callable[[], dict[str, float]]:
    """A function that returns the available values of :data:`~tf_model.monitor.aggregates.SAMPLED_RESOURCES`.

    CPU is the mean number of cores in use since its last call, or since it was made.
    """
    import psutil

    process = psutil.Process()
    process.cpu_percent()  # begins to measure
    gpus()  # the first time takes a while

    def sample() -> dict[str, float]:
        values = {CPU: process.cpu_percent() / 100, MEMORY: float(process.memory_info().rss)}
        devices = gpus()
        utilizations = [gpu["utilization_ratio"] for gpu in devices if math.isfinite(gpu["utilization_ratio"])]
        if utilizations:
            values[GPU_UTILIZATION] = sum(utilizations) / len(utilizations)
        if devices:
            values[GPU_MEMORY] = float(sum(gpu["memory_used_bytes"] for gpu in devices))
        return values

    return sample
