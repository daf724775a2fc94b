"""Checkpoints: the complete state of a run, one file per epoch."""

import pathlib
import re
import warnings

import numpy as np

from color_s4l.artifacts import checkpoint_files
from color_s4l.artifacts.checkpoint_files import Checkpoint, DamagedError
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
    """Writes a checkpoint and deletes all checkpoints except the last two.

    Args:
        learner: A compiled learner.
        folder: Directory of the checkpoints; must exist.
        epochs: Number of complete epochs.
        split: The split, stored in the checkpoint; `restore` compares it.

    Returns:
        The new file.

    Raises:
        InputError: A value is not finite; nothing is written.
    """
    path = folder / f"epoch_{epochs:05d}.npz"
    variables, parts = _variables(learner), vars(split) if split else {}
    checkpoint_files.save(path, variables, epoch=epochs, arrays=parts)
    for old in saved(folder)[:-KEPT]:
        old.unlink()
    return path


def saved(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the checkpoint files, oldest first."""
    return sorted(path for path in folder.glob("*") if _NAME.fullmatch(path.name))


def restore(
    learner: Learner, folder: pathlib.Path, *, split: Split | None = None
) -> int:
    """Loads the last checkpoint that can be read.

    Args:
        learner: A compiled learner, with the same settings.
        folder: Directory of the checkpoints; may be empty.
        split: Must equal the split in the checkpoint.

    Returns:
        The number of complete epochs; 0 if there is no checkpoint that can be read.

    Raises:
        InputError: The checkpoint has another split, or no checkpoint belongs to this
            network and method.
    """
    other: ValueError | None = None
    for path in reversed(saved(folder)):
        checkpoint, other = _usable(path), None
        if checkpoint:
            _check_split(checkpoint, split)
            try:
                checkpoint.assign(_variables(learner))
                return checkpoint.note["epoch"]
            except ValueError as error:  # other names or shapes
                other = error
        warnings.warn(
            f"{path} cannot be used; trying the checkpoint before it.", stacklevel=2
        )
    if other:
        raise InputError(
            f"No checkpoint in {folder} can be used: {other} Start again with another "
            "`run_dir`."
        )
    return 0


def _usable(path: pathlib.Path) -> Checkpoint | None:
    """Returns a checkpoint; None if it is damaged."""
    try:
        checkpoint = checkpoint_files.read(path)
    except DamagedError:
        return None
    return checkpoint if isinstance(checkpoint.note.get("epoch"), int) else None


def _check_split(checkpoint: Checkpoint, split: Split | None) -> None:
    for name, part in vars(split).items() if split else ():
        if not np.array_equal(checkpoint.arrays.get(name, ()), part):
            raise InputError(
                f"{checkpoint.path} has another split of the images: set `split_file` "
                "to the split.csv of its own run directory."
            )
