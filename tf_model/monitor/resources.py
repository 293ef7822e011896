"""What this process uses of the machine."""

from __future__ import annotations

from collections.abc import Callable

from tf_model.monitor import tally


def sample_process() -> Callable[[], dict[str, float]]:
    """A function that gives ``cpu``, the cores in use since it was last called, or made, and ``memory``, in bytes."""
    import psutil

    process = psutil.Process()
    process.cpu_percent()  # begins to measure

    def sample() -> dict[str, float]:
        return {tally.CPU: process.cpu_percent() / 100, tally.MEMORY: float(process.memory_info().rss)}

    return sample
