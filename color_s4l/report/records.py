"""What a run left, read for its report: no data set, no model, no Keras."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from color_s4l.artifacts import tables
from color_s4l.artifacts.files import read_arrays
from color_s4l.artifacts.run_directory import RunDirectory, read_config, read_result
from color_s4l.errors import InputError
from color_s4l.settings import Run, method_of

# Arrays that a report reads together: the first always, the others where they are.
SAMPLES = (
    ("labels", "predicted", "confidence", "mistakes", "mistake_images"),
    ("tasks", "views", "proxy_probabilities"),
    ("original", "grey", "colorized"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """A finished run.

    Attributes:
        name: By which the page tells it from the others.
        config: config.json.
        result: result.json.
        log: log.csv, one row per epoch.
        samples: Arrays of samples.npz by name; empty where there is no such file.
    """

    name: str
    config: dict
    result: dict
    log: pd.DataFrame
    samples: dict[str, np.ndarray]

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names; label i is `classes[i]`."""
        return tuple(self.config["classes"])

    @property
    def method(self) -> str:
        """Of the run; where it is one, its recipe."""
        return method_of(self.run)

    @functools.cached_property
    def run(self) -> Run:
        """What was run."""
        return tables.run_of_config(self.config)


def read(paths: Sequence[str]) -> list[Record]:
    """Reads run folders.

    Args:
        paths: At least one.

    Returns:
        Their records, in the order given.

    Raises:
        InputError: There is none, one is given twice, one is no finished run's
            folder, or its files are damaged.
    """
    if not paths:
        raise InputError(
            "Expected run folders: python -m color_s4l.report runs/NAME ..."
        )
    folders = [pathlib.Path(path) for path in paths]
    whole = [folder.resolve() for folder in folders]
    for folder in folders:
        if whole.count(folder.resolve()) > 1:
            raise InputError(f"{folder} is given twice.")
    names = [folder.name for folder in whole]
    unique = len(set(names)) == len(names)
    return [
        _read(RunDirectory(folder), name if unique else str(folder))
        for folder, name in zip(folders, names, strict=True)
    ]


def _read(folder: RunDirectory, name: str) -> Record:
    config, result = read_config(folder), read_result(folder)
    if result["error"] is None:
        raise InputError(f"{folder.path} has learned no classes to report.")
    try:
        log, samples = _log(folder.log), _samples(folder.samples)
        return Record(name, config, result, log, samples)
    except (OSError, ValueError) as error:
        raise InputError(f"The files of {folder.path} are damaged: {error}.") from error


def _log(path: pathlib.Path) -> pd.DataFrame:
    log = pd.read_csv(path)
    if "epoch" not in log or not len(log):
        raise ValueError(f"{path.name} has no epochs")
    log.astype(float)  # or it raises
    return log


def _samples(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    arrays = read_arrays(path)
    for parts in SAMPLES:
        missing = [part for part in parts if part not in arrays]
        if missing and (parts == SAMPLES[0] or len(missing) < len(parts)):
            raise ValueError(f"{path.name} lacks {', '.join(missing)}")
    return arrays
