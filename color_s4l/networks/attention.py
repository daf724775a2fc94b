"""An attention module: how much each place of the features counts.

A student report's module for FixMatch (two 1x1 convolutions, each with batch
normalisation and ReLU, added up). Ours reads the report so that each convolution gives
one map.
"""

import keras
from keras import layers


def attention(features_shape: tuple, *, synchronized: bool = False) -> keras.Model:
    """From features to their attention map.

    Args:
        features_shape: `(rows, columns, channels)`.
        synchronized: Whether devices share their batch statistics.

    Returns:
        A functional model, float `(batch, rows, columns, channels)` to
        `(batch, rows, columns, 1)`, at least 0.
    """
    features = keras.Input(features_shape)
    maps = []
    for number in (1, 2):
        convolution = layers.Conv2D(1, 1, kernel_initializer="he_normal")
        normalised = layers.BatchNormalization(
            synchronized=synchronized, name=f"attention_{number}"
        )(convolution(features))
        maps.append(layers.ReLU()(normalised))
    return keras.Model(features, layers.Add()(maps), name="attention")
