"""The TensorFlow side of the reversible stages."""

from collections.abc import Callable, Sequence

import tensorflow as tf


def pullback(function: Callable, inputs: Sequence, upstream):
    """The value of a function, and its gradient.

    Args:
        function: Takes `*inputs`, returns one tensor.
        inputs: Float tensors.
        upstream: The gradient of a loss with respect to the function's value.

    Returns:
        The value, and the list of the gradients with respect to `inputs`.
    """
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(*inputs)
    zero = tf.UnconnectedGradients.ZERO
    return value, tape.gradient(value, inputs, upstream, unconnected_gradients=zero)


def after(tensors: Sequence, earlier: Sequence) -> list:
    """`tensors`, available only once all of `earlier` have been computed."""
    with tf.control_dependencies([tf.convert_to_tensor(e) for e in earlier]):
        return [tf.identity(tensor) for tensor in tensors]
