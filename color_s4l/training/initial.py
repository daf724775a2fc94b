"""Weights to begin with, where another run has left them."""

import dataclasses
import os
import pathlib

import keras
import numpy as np

from color_s4l import cache
from color_s4l.errors import InputError
from color_s4l.networks import Network
from color_s4l.saving import classifier_file
from color_s4l.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True, eq=False)
class Initial:
    """A trained trunk, for another run to begin with.

    Attributes:
        source: Where it was read from, for errors.
        trunk: Its weights and batch statistics, in Keras' order.
        digest: SHA-256 of them all.
    """

    source: str
    trunk: tuple[np.ndarray, ...]
    digest: str

    def give_to(self, network: Network) -> None:
        """Assigns the weights.

        Args:
            network: Built; its heads stay as they are.

        Raises:
            InputError: Its trunk is another one.
        """
        expected = [tuple(weight.shape) for weight in network.trunk.weights]
        if [array.shape for array in self.trunk] != expected:
            raise InputError(
                f"--init_from={self.source} holds another trunk: give its --network "
                "and --width."
            )
        network.trunk.set_weights(self.trunk)


def read(path: str | os.PathLike) -> Initial:
    """Reads a trunk.

    Args:
        path: A run folder, or a model file (.keras, .h5).

    Returns:
        Its weights.

    Raises:
        InputError: There is no such thing, or it is none of ours.
    """
    folder = pathlib.Path(path)
    file = RunFolder(folder).model() if folder.is_dir() else folder
    model, _ = classifier_file.load(file)
    weights = model.get_layer("trunk").weights
    trunk = tuple(keras.ops.convert_to_numpy(weight) for weight in weights)
    return Initial(str(path), trunk, cache.digest(*trunk))
