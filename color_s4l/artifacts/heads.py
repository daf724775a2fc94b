"""All heads of a network in a file beside its model, which has the classes' alone.

heads.npz stands beside model.keras: `class/0` is a kernel, `class/1` its bias.
"""

import pathlib

import numpy as np

from color_s4l.artifacts.files import read_arrays, write_atomically
from color_s4l.errors import InputError
from color_s4l.networks import Network


def path_beside(model: pathlib.Path) -> pathlib.Path:
    """heads.npz beside model.keras, heads_teacher.npz beside model_teacher.keras."""
    return model.with_name(model.stem.replace("model", "heads", 1) + ".npz")


def save(network: Network, path: pathlib.Path) -> None:
    """Writes the weights of every head.

    Args:
        network: Built.
        path: An NPZ file; its folder exists.
    """
    arrays = {
        f"{name}/{place}": array
        for name, head in network.heads.items()
        for place, array in enumerate(head.get_weights())
    }
    write_atomically(path, lambda file: np.savez(file, **arrays))


def load(path: pathlib.Path) -> dict[str, list[np.ndarray]]:
    """Reads what `save` wrote.

    Returns:
        Name -> kernel and bias.

    Raises:
        InputError: There is no such file, or it is damaged.
    """
    if not path.is_file():
        raise InputError(f"There are no heads at {path}: leave --init_heads out.")
    try:
        stored = read_arrays(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}).") from error
    heads: dict[str, list[np.ndarray]] = {}
    for key in sorted(stored):
        heads.setdefault(key.partition("/")[0], []).append(stored[key])
    return heads
