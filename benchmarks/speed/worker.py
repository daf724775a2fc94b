"""Functions that run inside the process that measures one case."""

import importlib
import resource
import time
import typing

from benchmarks.speed.case import Case
from color_s4l import command_line

WARM_UPS = 2
_steps: typing.Any = None  # the `Steps` of the case that this process measures


def start(case: Case) -> dict[str, typing.Any]:
    """Builds the case, warms it up and returns `images_per_step` and `devices`."""
    global _steps
    if case.backend == "torch":
        module = importlib.import_module("benchmarks.speed.plain")
    else:
        command_line.start_keras()
        module = importlib.import_module("benchmarks.speed.ours")
    _steps = module.Steps(case)
    for _ in range(WARM_UPS):
        _steps.run()
    return {"images_per_step": _steps.images_per_step, "devices": _steps.devices()}


def run() -> float:
    """Trains for the steps of one measurement; returns the seconds."""
    started = time.perf_counter()
    _steps.run()
    return time.perf_counter() - started


def parts() -> dict[str, float]:
    """Returns the seconds of the parts of one step; empty for PyTorch and JAX."""
    return _steps.parts() if hasattr(_steps, "parts") else {}


def memory() -> dict[str, int | None]:
    """Returns the peak memory in bytes of "process" and "device" (None on a CPU)."""
    # Linux counts in KiB.
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"process": process, "device": _steps.device_memory()}
