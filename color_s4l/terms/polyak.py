"""Polyak averaging: evaluate the moving average of the weights.

Zhai et al. 2019 (S4L, section 5, and its published code): the contribution of old
weights to the average halves every epoch. The average is zero-debiased, so after the
first update it equals the weights. Training is unchanged; the error of the average is
reported in addition to the student's. Differs from the published code: the moving batch
statistics are averaged too.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated

import keras
import numpy as np
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.fields import Above
from color_s4l.networks.network import Gate, Network, Values
from color_s4l.registry import register_term
from color_s4l.terms.passes import Batch
from color_s4l.terms.term import Kept, Outcome, Progress, State, Term


class Averages(keras.layers.Layer):
    """Exponential moving averages of a network's weights and moving statistics.

    There is no second network: a pass with averaged weights is a pass of the student
    with its weights replaced (`Network.apart`, `replaced`).

    Args:
        network: A built network; the averages start at its current values.
    """

    def __init__(self, network: Network):
        super().__init__(name="averages", dtype="float32")
        self.averages = [
            self.add_weight(
                name=f"average_{variable.name}",
                shape=variable.shape,
                initializer=_value_of(variable),
                trainable=False,
            )
            for variable in _averaged(network)
        ]
        self.built = True

    def move(self, network: Network, rate: Tensor) -> None:
        """Moves each average towards the network's current value.

        Args:
            network: The network that was given to the constructor.
            rate: 1 - decay, scalar in [0, 1]; with 1, the averages become equal to the
                current values.
        """
        for average, value in zip(self.averages, _averaged(network), strict=True):
            average.assign(average + rate * (value - average))

    def values(self, network: Network) -> list[tuple[keras.Variable, Tensor]]:
        """Returns pairs of a variable of the network and its average."""
        return [
            (variable, average.value)
            for variable, average in zip(_averaged(network), self.averages, strict=True)
        ]


def warmed_up(decay: Tensor | float, updates: Tensor) -> Tensor:
    """Returns the decay of an average that must not keep the first weights for long.

    Args:
        decay: Decay in [0, 1).
        updates: Number t of updates so far.

    Returns:
        The smaller of `decay` and (1 + t) / (10 + t), as in TensorFlow's
        `ExponentialMovingAverage`.
    """
    updates = ops.cast(updates, "float32")
    return ops.minimum(decay, (1 + updates) / (10 + updates))


def _value_of(variable: keras.Variable) -> Callable:
    """Returns an initialiser that returns a copy of a variable's value."""
    value = np.array(keras.ops.convert_to_numpy(variable))
    return lambda shape, dtype=None: keras.ops.convert_to_tensor(value, dtype)


def _averaged(network: Network) -> list[keras.Variable]:
    """Returns the variables that are averaged: all except random states."""
    return [v for v in network.variables if v.dtype == "float32"]


@register_term("polyak")
@dataclasses.dataclass(frozen=True)
class Polyak(Term):
    """Moving average of weights and moving statistics, evaluated as `average`.

    Attributes:
        half_life: Number of epochs (passes over the unlabelled images) in which the
            contribution of old weights halves; 1 as published, where an epoch is a
            pass over the labelled images and a run has 200 to 1,000 epochs.
    """

    half_life: Annotated[float, Above(0)] = 1.0

    def heads(self, num_classes: int) -> dict[str, int | Gate]:
        """Returns no head."""
        return {}

    def create_state(self, network: Network, num_examples: int) -> Averages:
        """Returns the averages."""
        return Averages(network)

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Returns no scalars."""
        return Outcome(terms={}, watch={})

    def after_update(
        self, network: Network, state: State, kept: Kept, progress: Progress
    ) -> None:
        """Moves the average at the zero-debiased rate."""
        decay = 0.5 ** (1 / (self.half_life * progress.steps_per_epoch))
        # The step is 0 if loss scaling skipped the first update. Then the rate of step
        # 1 is used.
        updates = ops.maximum(ops.cast(progress.step, "float32"), 1.0)
        state.move(network, (1 - decay) / (1 - ops.power(decay, updates)))

    def further_weights(self) -> tuple[str, ...]:
        """Returns the name of the averages."""
        return ("average",)

    def evaluated(self, network: Network, state: State) -> dict[str, Values]:
        """Returns the averages."""
        return {"average": state.values(network)}
