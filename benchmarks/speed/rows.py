"""From measurements to the lines of the table."""

import contextlib
import importlib.metadata
from collections.abc import Mapping

from benchmarks.speed.case import Case
from benchmarks.speed.measured import Measured
from color_s4l.artifacts import provenance

SETTINGS = (
    "network",
    "method",
    "backend",
    "dtype_policy",
    "width",
    "batch_size",
    "labeled_batch",
    "image_size",
    "devices",
    "jit_compile",
    "steps_per_execution",
)


def settings(case: Case) -> dict:
    """The columns that say what was measured."""
    return {name: getattr(case, name) for name in SETTINGS}


def row(
    ours: Measured,
    plain: Measured | None,
    supervised: Measured | None,
    parts: Mapping[str, float],
) -> dict:
    """One line.

    Args:
        ours: What the line is about; may be PyTorch's own.
        plain: PyTorch's, measured in alternation; None where there is none.
        supervised: The same with `supervised`, likewise.
        parts: Seconds of the parts of one step; empty where they were not timed.

    Returns:
        Settings, images per second, memory, ratios, shares of a step, hardware.
    """
    slowest, fastest = ours.spread
    return {
        **settings(ours.case),
        "images_per_second": round(ours.images_per_second, 1),
        "slowest": round(slowest, 1),
        "fastest": round(fastest, 1),
        "seconds_per_step": round(ours.seconds_per_step, 4),
        "images_per_step": ours.images_per_step,
        "process_MB": round(ours.memory["process"] / 1e6),
        "device_MB": _megabytes(ours.memory["device"]),
        "ratio_to_torch": _ratio(plain, ours, "images_per_second"),
        **_cost(ours, supervised or _itself(ours)),
        **shares(parts, ours.seconds_per_step),
        "n": len(ours.seconds),
        "steps": ours.case.steps,
        "remark": "",
        "hardware": provenance.hardware(ours.devices),
    }


def _megabytes(count: int | None) -> int | None:
    return None if count is None else round(count / 1e6)


def _ratio(base: Measured | None, ours: Measured, name: str) -> float | None:
    return base and round(getattr(ours, name) / getattr(base, name), 3)


def _itself(ours: Measured) -> Measured | None:
    return ours if ours.case.method == "supervised" else None


def _cost(ours: Measured, supervised: Measured | None) -> dict:
    """Speed, time of a step and memory, each as a share of `supervised`'s."""
    memory = None
    if supervised:
        kind = "process" if ours.memory["device"] is None else "device"
        memory = round(ours.memory[kind] / supervised.memory[kind], 3)
    return {
        "speed_to_supervised": _ratio(supervised, ours, "images_per_second"),
        "step_to_supervised": _ratio(supervised, ours, "seconds_per_step"),
        "memory_to_supervised": memory,
    }


def shares(parts: Mapping[str, float], step: float) -> dict[str, float | None]:
    """Percent of a step's time.

    Parts are timed one by one: where noise makes their sum longer than the step,
    that sum is the whole.

    Args:
        parts: Seconds of "data", "views" and "gradient"; may be empty.
        step: Seconds.

    Returns:
        Those and "rest"; None each where there are no parts.
    """
    if not parts:
        return dict.fromkeys(("data", "views", "gradient", "rest"))
    known = sum(parts.values())
    whole = max(known, step)
    timed = {**parts, "rest": whole - known}
    return {name: round(100 * seconds / whole, 1) for name, seconds in timed.items()}


def failed(case: Case, why: str) -> dict:
    """The line of what could not be measured."""
    return {**settings(case), "remark": why}


def about(command: str) -> dict:
    """What all lines share."""
    versions = provenance.versions()
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions["torch"] = importlib.metadata.version("torch")
    words = (f"{name} {version}" for name, version in versions.items())
    return {
        "versions": ", ".join(words),
        "command": command,
        "date": provenance.today(),
    }
