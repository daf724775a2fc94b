"""The JAX side: XLA fuses Keras' operations by itself."""

from collections.abc import Callable, Sequence

import jax
from keras import ops


def normalized(features, scale, offset, epsilon: float):
    """Normalises by the statistics of the batch.

    Args:
        features: Float `(batch, rows, columns, channels)`, float32 or half precision.
        scale: Float32 `(channels,)`.
        offset: Float32 `(channels,)`.
        epsilon: Added to the variance.

    Returns:
        The normalised features, of the type of `features`; mean and (biased) variance
        of the batch, float32 `(channels,)`.
    """
    wide = ops.cast(features, "float32")
    mean, variance = ops.moments(wide, axes=(0, 1, 2))
    outputs = ops.batch_normalization(
        wide, mean, variance, axis=-1, offset=offset, scale=scale, epsilon=epsilon
    )
    return ops.cast(outputs, features.dtype), mean, variance


def leaky(features, slope: float):
    """LeakyReLU.

    Args:
        features: Float, any shape.
        slope: Factor on values below 0; itself at least 0.

    Returns:
        The shape of `features`.
    """
    return ops.leaky_relu(features, slope)


def pullback(function: Callable, inputs: Sequence, upstream):
    """The value of a function, and its gradient.

    Args:
        function: Takes `*inputs`, returns one tensor.
        inputs: Float tensors.
        upstream: The gradient of a loss with respect to the function's value.

    Returns:
        The value, and the list of the gradients with respect to `inputs`.
    """
    value, pull = jax.vjp(function, *inputs)
    return value, list(pull(upstream))


def after(tensors: Sequence, earlier: Sequence) -> list:
    """`tensors`, available only once all of `earlier` have been computed."""
    return jax.lax.optimization_barrier((list(tensors), list(earlier)))[0]
