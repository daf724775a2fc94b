"""Provenance of results: versions, hardware, date."""

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Sequence

import psutil

_PACKAGES = ("color-s4l", "keras", "tensorflow", "jax", "numpy")


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the installed packages in `_PACKAGES`."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware(devices: Sequence[str]) -> str:
    """Returns one line: accelerators, processor, cores, memory.

    Args:
        devices: Names of the accelerators, or `["CPU"]`.
    """
    accelerators = ", ".join(name for name in devices if name != "CPU")
    memory = psutil.virtual_memory().total / 2**30
    processor = f"{os.cpu_count()} cores {_processor()}, {memory:.0f} GiB"
    return f"{accelerators}; {processor}" if accelerators else processor


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            named = [line for line in lines if line.startswith("model name")]
        return named[0].partition(":")[2].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def today() -> str:
    """Returns the date in UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def duration(seconds: float) -> str:
    """Returns a time in words: "45 s", "12.5 minutes" or "3.2 hours"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours"
