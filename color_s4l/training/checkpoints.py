"""Everything that a run needs to go on, in one file per epoch.

The files are NumPy archives without pickles: loading one runs no code.
"""

import pathlib
import re

import keras
import numpy as np

from color_s4l.artifacts.files import read_arrays, write_atomically
from color_s4l.data import Split
from color_s4l.errors import InputError
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


def save(
    learner: Learner,
    folder: pathlib.Path,
    epochs: int,
    *,
    split: Split | None = None,
) -> pathlib.Path:
    """Writes the state after a number of complete epochs; keeps the last two files.

    Args:
        learner: Compiled.
        folder: Exists.
        epochs: Complete ones.
        split: Kept beside the state, for `restore` to compare.

    Returns:
        The new file.

    Raises:
        InputError: A value is not finite: such a state is no good one to go on from.
    """
    variables = _variables(learner)
    arrays = {
        f"{i:05d}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)
    }
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise InputError(
            f"The weights are not finite after epoch {epochs}; none of it is saved. "
            "A smaller --learning_rate may help."
        )
    path = folder / f"epoch_{epochs:05d}.npz"
    arrays["names"] = np.array([variable.name for variable in variables])
    write_atomically(path, lambda file: np.savez(file, **arrays, **_parts(split)))
    for old in saved(folder)[:-KEPT]:
        old.unlink()
    return path


def _parts(split: Split | None) -> dict[str, np.ndarray]:
    """The split's arrays by their names in the file."""
    if split is None:
        return {}
    return {f"split_{part}": array for part, array in vars(split).items()}


def saved(folder: pathlib.Path) -> list[pathlib.Path]:
    """Checkpoint files, oldest first."""
    return sorted(path for path in folder.glob("*") if _NAME.fullmatch(path.name))


def restore(
    learner: Learner, folder: pathlib.Path, *, split: Split | None = None
) -> int:
    """Loads the last readable checkpoint.

    Args:
        learner: Compiled, of the same configuration.
        folder: Of checkpoints; may be empty.
        split: Which must be the checkpoint's.

    Returns:
        The number of complete epochs; 0 where there is nothing to load.

    Raises:
        InputError: The checkpoint was made with another split.
        ValueError: A checkpoint holds the state of another learner.
    """
    for path in reversed(saved(folder)):
        try:
            arrays = read_arrays(path)
        except (OSError, ValueError):
            print(f"{path} can't be read; trying the one before it.")
            continue
        _check_split(arrays, split, path)
        _assign(learner, arrays, path)
        return int(_NAME.fullmatch(path.name)[1])
    return 0


def _check_split(arrays: dict, split: Split | None, path: pathlib.Path) -> None:
    for name, part in _parts(split).items():
        if not np.array_equal(arrays.get(name), part):
            raise InputError(
                f"{path} was made with another split of the images: go on with "
                "--split_file=split.csv of its own folder."
            )


def _assign(learner: Learner, arrays: dict, path: pathlib.Path) -> None:
    variables = _variables(learner)
    names = [variable.name for variable in variables]
    values = [arrays[key] for key in sorted(arrays) if key.isdigit()]
    shapes = [tuple(variable.shape) for variable in variables]
    if names != list(arrays["names"]) or shapes != [value.shape for value in values]:
        raise ValueError(
            f"Expected {len(names)} variables of this network and method in {path}. "
            f"Received: {len(values)}, not all of the same names and shapes."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
