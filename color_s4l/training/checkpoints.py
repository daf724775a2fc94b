"""Checkpoints: the complete state of a run, one file per epoch.

The files are NumPy archives without pickles, so loading one runs no code.
"""

import pathlib
import re
import warnings

import keras
import numpy as np

from color_s4l.artifacts.files import read_arrays, write_arrays
from color_s4l.data import Split
from color_s4l.errors import InputError
from color_s4l.training.learner import Learner

KEPT = 2
_NAME = re.compile(r"epoch_(\d+)\.npz")


def _variables(learner: Learner) -> list:
    """Returns the variables of network, term states, random state and optimizer."""
    states = [state.variables for state in learner.states if state is not None]
    return [
        *learner.network.variables,
        *(variable for variables in states for variable in variables),
        learner.draws_seed.state,
        *learner.optimizer.variables,
    ]


def save(
    learner: Learner,
    folder: pathlib.Path,
    epochs: int,
    *,
    split: Split | None = None,
) -> pathlib.Path:
    """Writes a checkpoint and deletes all but the last two.

    Args:
        learner: Compiled.
        folder: Exists.
        epochs: Number of complete epochs.
        split: Stored in the checkpoint; `restore` compares it.

    Returns:
        The new file.

    Raises:
        InputError: A value is not finite; nothing is written.
    """
    variables = _variables(learner)
    arrays = {
        f"{i:05d}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)
    }
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise InputError(
            f"The weights are not finite after epoch {epochs}; no checkpoint is saved. "
            "A smaller `learning_rate` may help."
        )
    path = folder / f"epoch_{epochs:05d}.npz"
    arrays["names"] = np.array([variable.name for variable in variables])
    write_arrays(path, {**arrays, **_parts(split)})
    for old in saved(folder)[:-KEPT]:
        old.unlink()
    return path


def _parts(split: Split | None) -> dict[str, np.ndarray]:
    """Returns the arrays of the split by their names in the file."""
    if split is None:
        return {}
    return {f"split_{part}": array for part, array in vars(split).items()}


def saved(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the checkpoint files, oldest first."""
    return sorted(path for path in folder.glob("*") if _NAME.fullmatch(path.name))


def restore(
    learner: Learner, folder: pathlib.Path, *, split: Split | None = None
) -> int:
    """Loads the last checkpoint that can be read.

    Args:
        learner: Compiled, with the same settings.
        folder: Directory of the checkpoints; may be empty.
        split: Must equal the split in the checkpoint.

    Returns:
        The number of complete epochs; 0 if there is no checkpoint.

    Raises:
        InputError: The checkpoint has another split.
        ValueError: The checkpoint belongs to another network or method.
    """
    for path in reversed(saved(folder)):
        try:
            arrays = read_arrays(path)
        except (OSError, ValueError):
            warnings.warn(
                f"{path} cannot be read; trying the checkpoint before it.",
                stacklevel=2,
            )
            continue
        _check_split(arrays, split, path)
        _assign(learner, arrays, path)
        return int(path.stem.removeprefix("epoch_"))
    return 0


def _check_split(arrays: dict, split: Split | None, path: pathlib.Path) -> None:
    for name, part in _parts(split).items():
        if not np.array_equal(arrays.get(name, ()), part):
            raise InputError(
                f"{path} has another split of the images: set `split_file` to the "
                "split.csv of its own run directory."
            )


def _assign(learner: Learner, arrays: dict, path: pathlib.Path) -> None:
    variables = _variables(learner)
    names = [variable.name for variable in variables]
    values = [arrays[key] for key in sorted(arrays) if key.isdigit()]
    shapes = [tuple(variable.shape) for variable in variables]
    if names != list(arrays["names"]) or shapes != [value.shape for value in values]:
        raise ValueError(
            f"Expected {len(names)} variables of this network and method in {path}. "
            f"Received: {len(values)} variables with other names or shapes."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
