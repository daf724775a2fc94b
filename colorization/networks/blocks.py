"""The encoder and the decoder that both networks share.

3x3 convolutions with ReLU and nearest up-sampling, no normalisation, no dropout,
Keras' default initialisers: deep-koalarization's blocks (Baldassarre et al. 2017,
https://arxiv.org/abs/1712.03400, table 1).
"""

from collections.abc import Sequence

import keras
from keras import layers

STRIDE = 8  # the encoder's: a size divisible by it comes back unchanged
UP = "up"
# Filters and stride of each convolution.
ENCODER = (
    (64, 2),
    (128, 1),
    (128, 2),
    (256, 1),
    (256, 2),
    (512, 1),
    (512, 1),
    (256, 1),
)


def scaled(filters: int, width: float) -> int:
    """The number of filters at a width factor, at least 1."""
    return max(1, round(filters * width))


def _convolution(filters: int, name: str, stride: int = 1, activation: str = "relu"):
    return layers.Conv2D(
        filters, 3, stride, padding="same", activation=activation, name=name
    )


def encode(lightness: keras.KerasTensor, width: float) -> keras.KerasTensor:
    """Applies the encoder.

    Args:
        lightness: `(batch, height, width, 1)` in [-1, 1].
        width: Factor on the numbers of filters.

    Returns:
        `(batch, height / 8, width / 8, 256 * width)`, not negative.
    """
    features = lightness
    for index, (filters, stride) in enumerate(ENCODER, start=1):
        name = f"encoder_{index}"
        features = _convolution(scaled(filters, width), name, stride)(features)
    return features


def decode(
    features: keras.KerasTensor, steps: Sequence[int | str], width: float
) -> keras.KerasTensor:
    """Applies a decoder: its steps, then a*b* by tanh, then the last up-sampling.

    Args:
        features: `(batch, height / 8, width / 8, channels)`.
        steps: Numbers of filters, and `UP` (twice) where the resolution doubles.
        width: Factor on the numbers of filters.

    Returns:
        Colours, `(batch, height, width, 2)` in [-1, 1], at half resolution:
        every 2x2 block of pixels has one colour.
    """
    for index, step in enumerate(steps, start=1):
        name = f"decoder_{index}"
        if step == UP:
            features = layers.UpSampling2D(2, name=name)(features)
        else:
            features = _convolution(scaled(step, width), name)(features)
    colors = _convolution(2, "colors_half", activation="tanh")(features)
    return layers.UpSampling2D(2, name="colors")(colors)


def lightness_input() -> keras.KerasTensor:
    """A symbolic lightness of any size, `(batch, height, width, 1)`."""
    return keras.Input((None, None, 1), name="lightness")
