"""The 13-layer max-pooling ConvNet.

Laine & Aila 2017, table 5, in the form of Tran 2019's published code: biases
on, LeakyReLU 0.1 (0, plain ReLU, in its first version), every convolution followed by
batch normalisation.
"""

import keras
from keras import layers

from color_s4l.errors import InputError
from color_s4l.networks import parts
from color_s4l.networks.activation import LeakyReLU

SLOPE = 0.1


def convnet(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    slope: float = SLOPE,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    Args:
        input_shape: `(height, width, channels)` of preprocessed images; sides of
            at least 12.
        width: Factor on every number of filters. 1 gives 3,122,560 trainable
            parameters and 4,096 moving statistics.
        dropout: After both max-poolings (0.5 on SVHN, else 0).
        slope: Of LeakyReLU below 0.
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        A model from float images to features `(batch, rows, columns, 128 * width)`;
        6 rows and columns for 32 pixels.

    Raises:
        InputError: The images are smaller than 12 pixels.
    """
    if min(input_shape[:2]) < 12:
        raise InputError(
            f"The ConvNet takes images of 12 px or more. Received: {input_shape[:2]}."
        )
    inputs = features = keras.Input(input_shape)
    for block, filters in enumerate([128, 256], start=1):
        for number in range(1, 4):
            features = _unit(
                features,
                parts.scaled(filters, width),
                3,
                "same",
                f"block{block}_{number}",
                slope,
                synchronized,
            )
        features = layers.MaxPooling2D(2, name=f"block{block}_pool")(features)
        features = layers.Dropout(dropout, name=f"block{block}_dropout")(features)
    for number, (filters, size) in enumerate([(512, 3), (256, 1), (128, 1)], start=1):
        features = _unit(
            features,
            parts.scaled(filters, width),
            size,
            "valid",
            f"block3_{number}",
            slope,
            synchronized,
        )
    return keras.Model(inputs, features, name="trunk")


def _unit(features, filters, size, padding, name, slope, synchronized):
    """Convolution, batch normalisation, LeakyReLU."""
    features = layers.Conv2D(
        filters,
        size,
        padding=padding,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(features)
    features = parts.normalize(features, name, synchronized)
    return LeakyReLU(slope, name=name)(features)
