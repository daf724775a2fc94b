"""Weights to begin with, where another run has left them."""

import dataclasses
import functools
import itertools
import os
import pathlib

import keras
import numpy as np

from color_s4l.artifacts import cache, classifier_file
from color_s4l.artifacts import heads as saved_heads
from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.errors import InputError
from color_s4l.networks import Network
from color_s4l.networks.encoder import weights_of
from colorization import saving


@dataclasses.dataclass(frozen=True, eq=False)
class Initial:
    """A trained trunk, perhaps with heads, for another run to begin with.

    Attributes:
        source: Where it was read from, for errors.
        trunk: Its weights and batch statistics, in Keras' order.
        heads: Name -> kernel and bias; empty where they are not wanted.
        fits: The flags that give the network that takes it.
    """

    source: str
    trunk: tuple[np.ndarray, ...]
    heads: dict[str, list[np.ndarray]]
    fits: str = "its --network and --width"

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the trunk's and the heads' weights."""
        heads = [(name, *self.heads[name]) for name in sorted(self.heads)]
        return cache.digest(*self.trunk, *itertools.chain.from_iterable(heads))

    def give_to(self, network: Network) -> None:
        """Assigns the weights.

        Args:
            network: Built; heads of other names stay as they are.

        Raises:
            InputError: Its trunk is another one, or a head has another size.
        """
        expected = [tuple(weight.shape) for weight in network.trunk.weights]
        if [array.shape for array in self.trunk] != expected:
            raise InputError(
                f"--init_from={self.source} holds another trunk: give {self.fits}."
            )
        network.trunk.set_weights(self.trunk)
        for name in self.heads.keys() & network.heads.keys():
            self._give_head(name, network.heads[name])

    def _give_head(self, name: str, head: keras.layers.Dense) -> None:
        size = len(self.heads[name][-1])
        if size != head.units:
            raise InputError(
                f"--init_heads: {self.source} knows {size} classes of {name!r}, not "
                f"{head.units}."
            )
        head.set_weights(self.heads[name])


def read(path: str | os.PathLike, *, heads: bool = False) -> Initial:
    """Reads a trunk: a run's, or the encoder of a colorizer.

    Args:
        path: A run folder, or a model file (.keras, .h5): a classifier's, or a
            colorizer's, for the trunk `encoder` of the colorizer's width.
        heads: Whether the heads beside it are read too; a colorizer has none.

    Returns:
        Its weights.

    Raises:
        InputError: There is no such thing, or it is none of ours.
    """
    file = pathlib.Path(path)
    if saving.is_colorizer(file):
        colorizer = saving.load(file)
        fits = f"--network=encoder --width={colorizer.origin.width:g} (a colorizer)"
        trunk = tuple(weights_of(colorizer.model))
        return Initial(str(path), trunk, {}, fits)
    if file.is_dir():
        file = RunFolder(file).model()
    model, _ = classifier_file.load(file)
    trunk = tuple(model.get_layer("trunk").get_weights())
    found = saved_heads.load(saved_heads.path_beside(file)) if heads else {}
    return Initial(str(path), trunk, found)
