"""An attention gate: a map with one weight for each position of a feature map.

The attention module of a student report for FixMatch: the sum of two 1x1 convolutions,
each with batch normalisation and ReLU. The report does not give the number of output
channels; here each convolution has one.
"""

import keras
from keras import layers


def attention(
    features_shape: tuple[int, int, int], *, synchronized: bool = False
) -> keras.Model:
    """Builds the gate (`color_s4l.networks.network.Gate`).

    Args:
        features_shape: `(rows, columns, channels)`.
        synchronized: Whether batch statistics are computed over all replicas.

    Returns:
        A model from features, float `(batch, rows, columns, channels)`, to weights
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
