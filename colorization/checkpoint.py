"""The last complete epoch of a training run, in one file that is never half-written."""

import json
import os
import pathlib
import zipfile

import keras
import numpy as np

from color_s4l.artifacts.files import write_atomically
from color_s4l.errors import InputError


def path_beside(output: str | os.PathLike) -> pathlib.Path:
    """Where the checkpoint of the run that will write `output` is kept."""
    output = pathlib.Path(output)
    return output.with_name(f"{output.name}.checkpoint.npz")


def _variables(task: keras.Model) -> list:
    return [*task.trainable_variables, *task.optimizer.variables]


def save(path: pathlib.Path, task: keras.Model, epoch: int, identity: dict) -> None:
    """Writes weights and optimizer state.

    Args:
        path: The checkpoint's file; replaced as a whole.
        task: A compiled model whose optimizer is built.
        epoch: Complete epochs.
        identity: What a run must share to go on from here; JSON values.
    """
    note = json.dumps({"epoch": epoch, "identity": identity})
    arrays = {
        f"variable_{index}": variable.numpy()
        for index, variable in enumerate(_variables(task))
    }
    write_atomically(path, lambda file: np.savez(file, note=np.array(note), **arrays))


def _differences(first: dict, second: dict) -> str:
    names = sorted(n for n in {*first, *second} if first.get(n) != second.get(n))
    return ", ".join(f"{n} {first.get(n)} (now {second.get(n)})" for n in names)


def restore(path: pathlib.Path, task: keras.Model, identity: dict) -> int:
    """Puts weights and optimizer state back.

    Args:
        path: The checkpoint's file.
        task: A compiled model whose optimizer is built.
        identity: Of the run that wants to go on.

    Returns:
        The number of complete epochs.

    Raises:
        InputError: The file is damaged, or of a run with other settings.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            note = json.loads(str(file["note"]))
            variables = _variables(task)
            arrays = [file[f"variable_{i}"] for i in range(len(variables))]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"The checkpoint {str(path)!r} is damaged: remove it to train anew."
        ) from error
    if note["identity"] != identity:
        raise InputError(
            f"The checkpoint {str(path)!r} is of another run: "
            f"{_differences(note['identity'], identity)}. Give the same settings, or "
            "remove it to train anew."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return note["epoch"]
