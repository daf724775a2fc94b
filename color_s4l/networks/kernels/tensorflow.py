"""The TensorFlow side."""

from collections.abc import Callable, Sequence

import tensorflow as tf


def normalized(features, scale, offset, epsilon: float):
    """Normalises by the statistics of the batch, in one kernel: oneDNN's or cuDNN's.

    Args:
        features: Float `(batch, rows, columns, channels)`, float32 or half precision.
        scale: Float32 `(channels,)`.
        offset: Float32 `(channels,)`.
        epsilon: Added to the variance.

    Returns:
        The normalised features, of the type of `features`; mean and (biased) variance
        of the batch, float32 `(channels,)`.
    """
    outputs, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=features,
        scale=tf.convert_to_tensor(scale),
        offset=tf.convert_to_tensor(offset),
        mean=[],
        variance=[],
        epsilon=epsilon,
        is_training=True,
    )
    # The kernel divides by n - 1, Keras by n.
    count = tf.cast(tf.reduce_prod(tf.shape(features)[:3]), "float32")
    return outputs, mean, unbiased * (count - 1) / count


def leaky(features, slope: float):
    """LeakyReLU whose gradient needs its outputs only.

    TensorFlow's own keeps its inputs for the gradient; so the outputs can stand in
    their place in memory. The signs of both are the same.

    Args:
        features: Float, any shape.
        slope: Factor on values below 0; itself at least 0.

    Returns:
        The shape of `features`.
    """

    @tf.custom_gradient
    def activated(features):
        outputs = tf.nn.leaky_relu(features, slope)

        def gradient(upstream):
            return tf.raw_ops.LeakyReluGrad(
                gradients=upstream, features=outputs, alpha=slope
            )

        return outputs, gradient

    return activated(tf.convert_to_tensor(features))


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
