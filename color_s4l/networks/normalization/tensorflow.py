"""The TensorFlow side: one kernel, oneDNN's on CPUs and cuDNN's on GPUs."""

import tensorflow as tf


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
