"""Settings and origin of measured numbers, as columns of a result file."""

import contextlib
import dataclasses
import importlib.metadata
import pathlib
import typing

import pandas as pd

from color_s4l.artifacts import provenance, tables
from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError

# Flags of the benchmarks that do not affect the numbers.
FREE = ("output", "runs", "processes", "joblib_backend", "cluster")


def columns(flags: typing.Any, devices: list[str]) -> dict[str, str]:
    """Returns the columns `hardware`, `versions`, `date` and `settings` (JSON).

    Args:
        flags: The dataclass of a command's flags.
        devices: Names of the accelerators, or `["CPU"]`.
    """
    versions = provenance.versions()
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions["torch"] = importlib.metadata.version("torch")
    values = dataclasses.asdict(flags)
    return {
        "hardware": provenance.hardware(devices),
        "versions": tables.versions_text(versions),
        "date": provenance.today(),
        "settings": tables.settings_text(
            {n: values[n] for n in values if n not in FREE}
        ),
    }


def output_file(name: str, suffix: str = ".csv") -> pathlib.Path:
    """Checks the name of an output file before anything is computed.

    Args:
        name: The value of the flag `output`. Its directory is created.
        suffix: The ending that it must have.

    Raises:
        InputError: The ending is another one, or the directory cannot be created.
    """
    path = pathlib.Path(name)
    if path.suffix != suffix or path.is_dir():
        raise InputError(
            f"Expected `output` to be the name of a {suffix} file. Received: {name!r}."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot create {path.parent}: {error.strerror}.") from error
    return path


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_csv(table: pd.DataFrame, path: pathlib.Path) -> None:
    """Writes a table as CSV, atomically and without columns that are empty."""
    write_text(path, table.dropna(axis="columns", how="all").to_csv(index=False))


def numbers(name: str, text: str) -> list[int]:
    """Returns different whole numbers from a text that separates them by commas.

    Args:
        name: Name of the flag, for the error message.
        text: The text.

    Raises:
        InputError: A word is not a whole number, or occurs twice.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words) or len({*words}) < len(words):
        raise InputError(
            f"Expected `{name}` to be different whole numbers, separated by commas. "
            f"Received: {text!r}."
        )
    return [int(word) for word in words]
