"""The JAX side: XLA fuses Keras' operations by itself."""

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
