"""The weights of the package: a small trunk trained on CIFAR-100.

A run starts from them if its setting `init_from` is "builtin".

They are stored in one NPZ file: the weights of the trunk in Keras' order (`trunk/000`,
...), the statistics of the preprocessing (`statistics/mean`, ...), and a note as JSON
text. `python -m benchmarks.builtin RUN_DIR` writes the file.
"""

import dataclasses
import json
import pathlib
import typing
from collections.abc import Mapping, Sequence

import numpy as np

from color_s4l.artifacts.files import read_arrays, write_arrays
from color_s4l.errors import InputError

# The value of `init_from` that means this file.
NAME = "builtin"
FILE = pathlib.Path(__file__).resolve().parents[1] / "builtin.npz"
# Largest size of the file in bytes.
LARGEST = 5 * 10**6

_TRUNK, _STATISTICS, _NOTE = "trunk/", "statistics/", "note"


@dataclasses.dataclass(frozen=True, eq=False)
class BuiltIn:
    """The content of the file.

    Attributes:
        trunk: Weights and batch statistics of the trunk, float32, in Keras' order.
        statistics: Statistics of the preprocessing by name, float32; empty for the
            normalisation "contrast".
        note: `network`, `width` and `normalization`, which a run must have to use the
            weights; `command`, `dataset`, `error` in percent, `license`, `date`.
    """

    trunk: tuple[np.ndarray, ...]
    statistics: dict[str, np.ndarray]
    note: dict[str, typing.Any]


def exists() -> bool:
    """Returns whether this installation has the file."""
    return FILE.is_file()


def read() -> BuiltIn:
    """Reads the file.

    Raises:
        InputError: The file is missing or damaged.
    """
    if not exists():
        raise InputError(
            f"`init_from`={NAME}: this installation has no built-in weights ({FILE}). "
            "python -m benchmarks.builtin RUN makes them from a training run."
        )
    try:
        arrays = read_arrays(FILE)
        return BuiltIn(
            tuple(_named(arrays, _TRUNK).values()),
            _named(arrays, _STATISTICS),
            json.loads(str(arrays[_NOTE])),
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{FILE} is damaged ({error}). Install the package again."
        ) from error


def _named(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    names = sorted(name for name in arrays if name.startswith(prefix))
    return {n.removeprefix(prefix): arrays[n].astype("float32") for n in names}


def write(
    path: pathlib.Path,
    trunk: Sequence[np.ndarray],
    statistics: Mapping[str, np.ndarray],
    note: Mapping[str, typing.Any],
) -> None:
    """Writes the file. Kernels are stored as float16, all vectors as float32.

    The vectors, which include the batch statistics, take little space, and float16
    cannot represent variances above 65,504.

    Args:
        path: An NPZ file in an existing folder; replaced if it exists.
        trunk: As in `BuiltIn`.
        statistics: As in `BuiltIn`.
        note: As in `BuiltIn`.

    Raises:
        InputError: A kernel has a value that float16 cannot represent, or the file is
            larger than 5 MB.
    """
    arrays = {f"{_TRUNK}{n:03d}": _small(array) for n, array in enumerate(trunk)}
    arrays |= {f"{_STATISTICS}{name}": array for name, array in statistics.items()}
    size = sum(array.nbytes for array in arrays.values())
    if size > LARGEST:
        raise InputError(
            f"Expected weights of at most {LARGEST / 1e6:g} MB as float16. Received: "
            f"{size / 1e6:.1f} MB."
        )
    text = json.dumps(dict(note), sort_keys=True)
    write_arrays(path, {**arrays, _NOTE: np.array(text)})


def _small(array: np.ndarray) -> np.ndarray:
    if array.ndim < 2:
        return array.astype("float32")
    if np.abs(array).max() > np.finfo("float16").max:
        raise InputError("A kernel has a value that float16 cannot represent.")
    return array.astype("float16")
