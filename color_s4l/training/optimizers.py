"""Optimizers of Keras, with a factor on the learning rate for each weight."""

import typing
from collections.abc import Sequence

import keras
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.settings import OptimizationSettings
from color_s4l.training.schedules import Schedule


def create_optimizer(
    settings: OptimizationSettings,
    schedule: Schedule,
    variables: Sequence[keras.Variable],
    trunk: keras.Model,
) -> keras.optimizers.Optimizer:
    """Returns the optimizer, built.

    Args:
        settings: Name of the optimizer, momentum, weight decay and factors.
        schedule: Learning-rate schedule.
        variables: The trainable variables.
        trunk: The built trunk.
    """
    if settings.optimizer == "adamw":
        optimizer = AdamW(schedule, weight_decay=settings.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    elif settings.optimizer == "adam":
        optimizer = Adam(schedule)
    elif settings.optimizer == "muon":
        optimizer = Muon(schedule, momentum=settings.momentum)
    else:
        optimizer = SGD(schedule, momentum=settings.momentum, nesterov=True)
    in_trunk = {id(variable) for variable in trunk.variables}
    optimizer.factors = tuple(
        (settings.trunk_rate if id(variable) in in_trunk else 1.0)
        * (settings.bias_rate if variable.name == "beta" else 1.0)
        for variable in variables
    )
    optimizer.build(variables)
    return optimizer


class _Factors:
    """A mixin that multiplies the learning rate of each variable by a factor.

    The factor is `trunk_rate` for the trunk and 1 for heads and gates. For the biases
    of normalisation layers, it is also multiplied by `bias_rate`. Subclasses also
    inherit from an optimizer of Keras.

    Attributes:
        factors: One for each trainable variable, in the order given to `build`.
    """

    factors: tuple[float, ...]

    def _factor(self: typing.Any, variable) -> float:
        return self.factors[self._get_variable_index(variable)]

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable, with its own learning rate."""
        # On TensorFlow, `variable` is not a Keras variable but one device's copy of its
        # value. `_get_variable_index` accepts both.
        rate = learning_rate * self._factor(variable)
        super().update_step(gradient, variable, rate)  # type: ignore[misc]

    def _apply_weight_decay(self: typing.Any, variables):
        decay = self.weight_decay
        if decay is None:
            return
        for factor in sorted({self._factor(variable) for variable in variables}):
            chosen = [v for v in variables if self._factor(v) == factor]
            self.weight_decay = decay * factor
            super()._apply_weight_decay(chosen)  # type: ignore[misc]
        self.weight_decay = decay


class SGD(_Factors, keras.optimizers.SGD):
    """Keras' SGD with the factors."""


class Adam(_Factors, keras.optimizers.Adam):
    """Keras' Adam with the factors."""


class AdamW(_Factors, keras.optimizers.AdamW):
    """Keras' AdamW with the factors, which scale its weight decay too."""


class Muon(_Factors, keras.optimizers.Muon):
    """Keras' Muon with the factors, for kernels of convolutions; Adam for the rest.

    The kernel of a convolution is treated as one matrix,
    `(positions * channels, filters)`, as in airbench's version with Muon (Jordan 2024,
    https://github.com/KellerJordan/Muon). The optimizer has no weight decay, because
    weight decay is part of the loss.

    Args:
        schedule: Learning-rate schedule.
        momentum: Momentum, in [0, 1).
    """

    def __init__(self, schedule: Schedule, momentum: float):
        super().__init__(
            schedule, momentum=momentum, weight_decay=None, adam_weight_decay=None
        )

    def _should_use_adamw(self, variable):
        return variable.name != "kernel" or len(variable.shape) != 4

    def zeropower_via_newtonschulz5(self, x, steps):
        """Returns the orthogonalised gradient of a kernel, in the kernel's shape."""
        flat = super().zeropower_via_newtonschulz5(_matrix(x), steps)
        return ops.reshape(flat, x.shape)

    def lr_adjust(self, x):
        """Returns the update, scaled by the size of the matrix."""
        return ops.reshape(super().lr_adjust(_matrix(x)), x.shape)


def _matrix(kernel: Tensor) -> Tensor:
    return ops.reshape(kernel, (-1, kernel.shape[-1]))
