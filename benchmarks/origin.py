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


def output_file(name: str) -> pathlib.Path:
    """Checks the flag `output`, creates its directory, and returns the path.

    Raises:
        InputError: The name does not end with .csv, or it is a directory.
        OSError: The directory cannot be created.
    """
    path = pathlib.Path(name)
    if path.suffix != ".csv" or path.is_dir():
        raise InputError(
            f"Expected `output` to be the name of a .csv file. Received: {name!r}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_csv(table: pd.DataFrame, path: pathlib.Path) -> None:
    """Writes a table as CSV, atomically and without empty columns."""
    write_text(path, table.dropna(axis="columns", how="all").to_csv(index=False))


def words(name: str, text: str) -> list[str]:
    """Splits the value of a flag at commas and returns the words.

    Raises:
        InputError: A word is empty or occurs twice.
    """
    found = [word.strip() for word in text.split(",")]
    if "" in found or len(found) > len({*found}):
        raise InputError(
            f"Expected `{name}` to be different words, separated by commas. "
            f"Received: {text!r}."
        )
    return found


def numbers(name: str, text: str) -> list[int]:
    """Splits the value of a flag at commas and returns the whole numbers.

    Raises:
        InputError: A word is not a whole number, or occurs twice.
    """
    found = words(name, text)
    if not all(word.isdecimal() for word in found):
        raise InputError(f"Expected `{name}` to be whole numbers. Received: {text!r}.")
    return [int(word) for word in found]
