"""Reads run directories for a report, without the data set, the model and Keras."""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from color_s4l.artifacts.files import read_arrays
from color_s4l.artifacts.run_directory import (
    RunDirectory,
    method_of,
    read_config,
    read_result,
)
from color_s4l.errors import InputError

logger = logging.getLogger(__name__)

# Groups of arrays in samples.npz. The first group always exists. Each other group is
# either complete or missing.
SAMPLES = (
    ("labels", "predicted", "confidence", "mistakes", "mistake_images"),
    ("tasks", "views", "proxy_probabilities"),
    ("original", "grey", "colorized"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """The files of a finished run.

    Attributes:
        name: Name of the run on the page, unique among the runs of the report: its
            method and its seed.
        folder: Name of the run directory.
        config: Content of config.json.
        result: Content of result.json.
        log: Content of log.csv, one row per epoch.
        samples: Arrays of samples.npz by name; empty if there is no such file.
    """

    name: str
    folder: str
    config: dict
    result: dict
    log: pd.DataFrame
    samples: dict[str, np.ndarray]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; label i is `classes[i]`."""
        return tuple(self.config["classes"])

    @property
    def method(self) -> str:
        """Name of the run's recipe or, without one, of its method."""
        return method_of(self.config["run"])


def read(paths: Sequence[str | os.PathLike]) -> list[Record]:
    """Reads run directories.

    Args:
        paths: At least one run directory. Of several directories, those without a
            finished run or without a test error are left out, with a logged warning.

    Returns:
        Their records, in the same order.

    Raises:
        InputError: No path is given, a directory is given twice, no directory holds a
            finished run, or a run has damaged files.
    """
    if not paths:
        raise InputError(
            "Expected run directories: python -m color_s4l.report runs/NAME ..."
        )
    folders = _finished([pathlib.Path(path) for path in paths])
    resolved = [folder.resolve() for folder in folders]
    for folder in folders:
        if resolved.count(folder.resolve()) > 1:
            raise InputError(f"{folder} is given twice.")
    records = [_read(RunDirectory(folder)) for folder in folders]
    names = [one.name for one in records]
    short = [(one.name, one.folder) for one in records]
    return [
        dataclasses.replace(one, name=_longer(one, folder, names, short))
        for folder, one in zip(folders, records, strict=True)
    ]


def _longer(
    record: Record, path: pathlib.Path, names: list[str], short: list[tuple[str, str]]
) -> str:
    """Returns a unique name of a run: with its folder or its path if necessary."""
    if names.count(record.name) == 1:
        return record.name
    unique = short.count((record.name, record.folder)) == 1
    return f"{record.name} ({record.folder if unique else path})"


def _finished(folders: list[pathlib.Path]) -> list[pathlib.Path]:
    """Returns the folders with a finished run; logs the others."""
    missing = {}
    for folder in folders:
        run = RunDirectory(folder)
        if not (run.config.exists() and run.result.exists()):
            missing[folder] = "no finished run"
        elif read_result(run)["error"] is None:
            missing[folder] = "no test error"
    if len(missing) == len(folders):  # raises the error for the first one
        _read(RunDirectory(folders[0]))
    for folder, reason in missing.items():
        logger.warning("left out   %s: %s", folder, reason)
    return [folder for folder in folders if folder not in missing]


def _read(folder: RunDirectory) -> Record:
    config, result = read_config(folder), read_result(folder)
    if result["error"] is None:
        raise InputError(f"{folder.path} has no test error to report.")
    try:
        log, samples = _read_log(folder.log), _read_samples(folder.samples)
        name = f"{method_of(config['run'])}, seed {config['run']['seed']}"
        path = folder.path.resolve().name
        return Record(name, path, config, result, log, samples)
    except (OSError, ValueError) as error:
        raise InputError(f"The files of {folder.path} are damaged: {error}.") from error


def _read_log(path: pathlib.Path) -> pd.DataFrame:
    log = pd.read_csv(path)
    if "epoch" not in log or not len(log):
        raise ValueError(f"{path.name} has no epochs")
    log.astype(float)  # raises ValueError if a value is not a number
    return log


def _read_samples(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    arrays = read_arrays(path)
    for group in SAMPLES:
        missing = [name for name in group if name not in arrays]
        if missing and (group == SAMPLES[0] or len(missing) < len(group)):
            raise ValueError(f"{path.name} lacks {', '.join(missing)}")
    return arrays
