"""Running averages of a network's weights and moving statistics.

What Mean Teacher's teacher and Polyak averaging remember. An average is no second
network: its values take the place of the student's own wherever it is asked.
"""

from collections.abc import Callable

import keras
import numpy as np

from color_s4l.networks.network import Network


class Averages(keras.layers.Layer):
    """One value for each weight and moving statistic of a network, first its own.

    Args:
        network: Built.
    """

    def __init__(self, network: Network):
        super().__init__(name="averages", dtype="float32")
        self.averages = [
            self.add_weight(
                name=f"average_{variable.name}",
                shape=variable.shape,
                initializer=_like(variable),
                trainable=False,
            )
            for variable in _averaged(network)
        ]
        self.built = True

    def move(self, network: Network, rate) -> None:
        """Moves each average towards what the network has now.

        Args:
            network: The one that it was made of.
            rate: Scalar in [0, 1]: share of the way; 1 - decay.
        """
        for average, value in zip(self.averages, _averaged(network), strict=True):
            average.assign(average + rate * (value - average))

    def values(self, network: Network) -> list:
        """Pairs of a variable of the network and its average."""
        return [
            (variable, average.value)
            for variable, average in zip(_averaged(network), self.averages, strict=True)
        ]


def _like(variable) -> Callable:
    """An initialiser that gives a copy of a variable's value."""
    value = np.array(keras.ops.convert_to_numpy(variable))
    return lambda shape, dtype=None: keras.ops.convert_to_tensor(value, dtype)


def _averaged(network: Network) -> list:
    """What is averaged: all but random states."""
    return [v for v in network.variables if v.dtype == "float32"]
