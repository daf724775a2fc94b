"""Checkpoints: the values of variables and a note, in one NPZ file without pickles.

Reading a file runs no code. If the process is killed while it writes a file, the old
file stays intact.
"""

import dataclasses
import json
import pathlib
import typing
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from color_s4l.artifacts.files import check_names, read_arrays, write_arrays
from color_s4l.errors import InputError

# Names of the entries in the file. The entry of a variable is named by its position.
_NOTE, _NAMES, _EXTRA = "note", "names", "extra_"


class DamagedError(InputError):
    """A checkpoint that cannot be read."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        path: The file.
        note: JSON values, as they were given to `save`.
        names: Names of the variables.
        values: One array per variable.
        arrays: Further arrays by name, as they were given to `save`.
    """

    path: pathlib.Path
    note: dict[str, typing.Any]
    names: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    arrays: dict[str, np.ndarray]

    def assign(self, variables: Sequence[keras.Variable]) -> None:
        """Assigns the values to variables.

        Args:
            variables: The variables that were saved, in the same order.

        Raises:
            ValueError: The names or shapes differ; no variable was changed.
        """
        names = tuple(variable.name for variable in variables)
        shapes = [tuple(variable.shape) for variable in variables]
        if names != self.names or shapes != [value.shape for value in self.values]:
            raise ValueError(
                f"Expected {len(names)} variables of this model and optimizer in "
                f"{self.path}. Received: {len(self.values)}, not all with the same "
                "names and shapes."
            )
        for variable, value in zip(variables, self.values, strict=True):
            variable.assign(value)


def save(
    path: pathlib.Path,
    variables: Sequence[keras.Variable],
    *,
    epoch: int,
    note: Mapping[str, typing.Any] | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes a checkpoint file.

    Args:
        path: The file, replaced atomically; its folder exists.
        variables: Weights, optimizer variables, random states, ...
        epoch: Number of complete epochs; it is added to the note as "epoch".
        note: JSON values.
        arrays: Further arrays by name, such as the arrays of a split.

    Raises:
        InputError: A variable is not finite. Training cannot continue from it, so
            nothing is written.
    """
    values = [keras.ops.convert_to_numpy(variable) for variable in variables]
    if not all(np.isfinite(value).all() for value in values):
        raise InputError(
            f"The weights are not finite after epoch {epoch}, so they were not saved. "
            "A lower `learning_rate` may help."
        )
    entries: dict[str, typing.Any] = {
        _NOTE: np.array(json.dumps({"epoch": epoch, **(note or {})})),
        _NAMES: np.array([variable.name for variable in variables]),
        **{f"{index:05d}": value for index, value in enumerate(values)},
        **{f"{_EXTRA}{name}": array for name, array in (arrays or {}).items()},
    }
    write_arrays(path, entries)


def read(path: pathlib.Path) -> Checkpoint:
    """Reads a checkpoint file.

    Raises:
        DamagedError: The file cannot be read or is damaged.
    """
    try:
        entries = read_arrays(path)
        note = json.loads(str(entries[_NOTE]))
        check_names(note, ())
        return Checkpoint(
            path,
            note,
            tuple(str(name) for name in entries[_NAMES]),
            tuple(entries[key] for key in sorted(entries) if key.isdigit()),
            {
                key.removeprefix(_EXTRA): array
                for key, array in entries.items()
                if key.startswith(_EXTRA)
            },
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(
            f"The checkpoint {str(path)!r} is damaged: remove it to start anew."
        ) from error
