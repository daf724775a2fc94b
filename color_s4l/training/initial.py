"""Weights to begin with, where another run has left them."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from color_s4l import cache
from color_s4l.errors import InputError
from color_s4l.networks import Network
from color_s4l.networks.encoder import weights_of
from color_s4l.saving import classifier_file
from color_s4l.training.run_folder import RunFolder
from colorization import saving


@dataclasses.dataclass(frozen=True, eq=False)
class Initial:
    """A trained trunk, for another run to begin with.

    Attributes:
        source: Where it was read from, for errors.
        trunk: Its weights and batch statistics, in Keras' order.
        digest: SHA-256 of them all.
        fits: The flags that give the network that takes it.
    """

    source: str
    trunk: tuple[np.ndarray, ...]
    digest: str
    fits: str = "its --network and --width"

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
                f"--init_from={self.source} holds another trunk: give {self.fits}."
            )
        network.trunk.set_weights(self.trunk)


def read(path: str | os.PathLike) -> Initial:
    """Reads a trunk: a run's, or the encoder of a colorizer.

    Args:
        path: A run folder, or a model file (.keras, .h5): a classifier's, or a
            colorizer's, for the trunk `encoder` of the colorizer's width.

    Returns:
        Its weights.

    Raises:
        InputError: There is no such thing, or it is none of ours.
    """
    file = pathlib.Path(path)
    if saving.is_colorizer(file):
        colorizer = saving.load(file)
        fits = f"--network=encoder --width={colorizer.origin.width:g}"
        return _initial(path, weights_of(colorizer.model), f"{fits} (a colorizer)")
    model, _ = classifier_file.load(RunFolder(file).model() if file.is_dir() else file)
    return _initial(path, model.get_layer("trunk").get_weights())


def _initial(path, weights: Sequence[np.ndarray], fits: str = Initial.fits) -> Initial:
    return Initial(str(path), tuple(weights), cache.digest(*weights), fits)
