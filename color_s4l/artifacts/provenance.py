"""Where a number comes from: command, versions, hardware, date."""

import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import typing
from collections.abc import Sequence

import psutil

from color_s4l import command_line

Record = typing.TypeVar("Record")
_PACKAGES = ("color-s4l", "keras", "tensorflow", "jax", "numpy")


def versions() -> dict[str, str]:
    """Python's and the packages' versions; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware(devices: Sequence[str]) -> str:
    """One line: accelerators, processor, cores, memory.

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


def portable(values: Record) -> Record:
    """The values with absolute paths cut to their last part: files without folders.

    A table travels; the folders of the machine that made it do not, nor those in
    settings such as STAGE.FLAG=VALUE.

    Args:
        values: An instance of a dataclass made of `option` fields.
    """
    cut = {}
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        if isinstance(value, tuple):
            cut[field.name] = tuple(_last_part(one) for one in value)
        elif isinstance(value, str):
            cut[field.name] = _last_part(value)
    return dataclasses.replace(values, **cut)


def _last_part(word: str) -> str:
    if os.path.isabs(word):
        return pathlib.Path(word).name
    name, equals, value = word.partition("=")
    return f"{name}={_last_part(value)}" if equals else word


def command(module: str, values: object) -> str:
    """The command line that does the same again, whoever called for it.

    Args:
        module: The command's: "color_s4l.train".
        values: Its record, an instance of a dataclass made of `option` fields.
    """
    return shlex.join(["python", "-m", module, *command_line.spelled(values)])


def today() -> str:
    """The date in UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
