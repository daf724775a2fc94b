"""Everything that a run needs to go on, in one file per epoch.

The files are NumPy archives without pickles: loading one runs no code.
"""

import pathlib
import re
import zipfile

import keras
import numpy as np

from color_s4l.files import write_atomically
from color_s4l.training.learner import Learner

KEPT = 2
_NAME = re.compile(r"epoch_(\d+)\.npz")


def _variables(learner: Learner) -> list:
    """Weights, moving statistics, what the terms remember, random states, optimizer."""
    remembered = [state.variables for state in learner.states if state is not None]
    return [
        *learner.network.variables,
        *(variable for variables in remembered for variable in variables),
        learner.draws_seed.state,
        *learner.optimizer.variables,
    ]


def save(learner: Learner, folder: pathlib.Path, epochs: int) -> pathlib.Path:
    """Writes the state after a number of complete epochs; keeps the last two files.

    Args:
        learner: Compiled.
        folder: Exists.
        epochs: Complete ones.

    Returns:
        The new file.
    """
    variables = _variables(learner)
    arrays = {
        f"{i:05d}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)
    }
    path = folder / f"epoch_{epochs:05d}.npz"
    names = np.array([variable.name for variable in variables])
    write_atomically(path, lambda file: np.savez(file, names=names, **arrays))
    for old in saved(folder)[:-KEPT]:
        old.unlink()
    return path


def saved(folder: pathlib.Path) -> list[pathlib.Path]:
    """Checkpoint files, oldest first."""
    return sorted(path for path in folder.glob("*") if _NAME.fullmatch(path.name))


def restore(learner: Learner, folder: pathlib.Path) -> int:
    """Loads the last readable checkpoint.

    Args:
        learner: Compiled, of the same configuration.
        folder: Of checkpoints; may be empty.

    Returns:
        The number of complete epochs; 0 where there is nothing to load.

    Raises:
        ValueError: A checkpoint holds the state of another learner.
    """
    for path in reversed(saved(folder)):
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = dict(stored)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            print(f"{path} can't be read; trying the one before it.")
            continue
        _assign(learner, arrays, path)
        return int(_NAME.fullmatch(path.name)[1])
    return 0


def _assign(learner: Learner, arrays: dict, path: pathlib.Path) -> None:
    variables = _variables(learner)
    names = [variable.name for variable in variables]
    values = [arrays[key] for key in sorted(arrays) if key != "names"]
    shapes = [tuple(variable.shape) for variable in variables]
    if names != list(arrays["names"]) or shapes != [value.shape for value in values]:
        raise ValueError(
            f"Expected {len(names)} variables of this network and method in {path}. "
            f"Received: {len(values)}, not all of the same names and shapes."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
