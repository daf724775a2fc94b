"""The colorizers' encoder as a trunk, to begin with what a colorizer has learned.

Baldassarre et al. 2017 (https://arxiv.org/abs/1712.03400, table 1): eight 3x3
convolutions with ReLU, three of them with strides, no normalisation. A colorizer has
learned to see from unlabelled images alone, as in Larsson et al. 2017
(https://arxiv.org/abs/1703.04044), whose networks are fine-tuned as a whole after it.
"""

import keras
import numpy as np
from keras import layers

from color_s4l.networks import parts
from colorization.networks import ENCODER

# Of linear red, green and blue in the luminance (ITU-R BT.709).
LUMINANCE = (0.2126, 0.7152, 0.0722)


def encoder(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    Args:
        input_shape: `(height, width, channels)` of preprocessed images; sides of
            at least 8.
        width: Factor on every number of filters. 1 gives 5,828,352 trainable
            parameters.
        dropout: Of the last feature map (published: 0).
        synchronized: Without effect: there are no batch statistics.

    Returns:
        A model from float images to features `(batch, rows, columns, 256 * width)`;
        4 rows and columns for 32 pixels.

    Raises:
        InputError: The images are smaller than 8 pixels.
    """
    parts.check_size("The encoder", input_shape, 8)
    inputs = features = keras.Input(input_shape)
    block = 0
    for number, (filters, stride) in enumerate(ENCODER, start=1):
        block += stride > 1  # a block begins where the image is halved
        features = layers.Conv2D(
            parts.scaled(filters, width),
            3,
            stride,
            padding="same",
            activation="relu",
            name=f"block{block}_{number}_conv",
        )(features)
    features = layers.Dropout(dropout, name=f"block{block}_dropout")(features)
    return keras.Model(inputs, features, name="trunk")


def weights_of(colorizer: keras.Model) -> list[np.ndarray]:
    """A colorizer's encoder, as the weights of this trunk.

    The colorizer reads lightness in [-1, 1], the trunk preprocessed colour images. The
    first kernel is spread over red, green and blue by their shares in the luminance:
    an image without colours gives what the colorizer's encoder gives for its channel.
    Differs from lightness: the contrast of every image is normalised. (Whitening would
    leave little of it, so that this trunk goes without, unless it is asked for.)

    Args:
        colorizer: The model of a `colorization.colorizer.Colorizer`, any of its networks.

    Returns:
        Kernels and biases in turn, sixteen arrays.
    """
    named = {layer.name: layer for layer in colorizer.layers}
    if "colorize" in named:  # the part of `inception_fusion` that was trained
        named = {layer.name: layer for layer in named["colorize"].layers}
    weights: list[np.ndarray] = []
    for number in range(1, len(ENCODER) + 1):
        weights += named[f"encoder_{number}"].get_weights()
    shares = np.array(LUMINANCE, "float32").reshape(1, 1, 3, 1)
    return [weights[0] * shares, *weights[1:]]
