"""Keras' own VGG-16, from scratch, without its dense layers.

Simonyan & Zisserman 2015 (https://arxiv.org/abs/1409.1556): thirteen convolutions,
five max-poolings, no batch normalisation.
"""

import keras

from color_s4l.networks import parts
from color_s4l.networks.applications import adapted


def vgg16(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    Args:
        input_shape: `(height, width, channels)` of preprocessed images; sides of
            at least 32.
        width: Factor on every number of filters. 1 gives Keras' 14,714,688 trainable
            parameters.
        dropout: Of the last feature map (published: only in the dense layers, which
            the trunk has not).
        synchronized: Without effect: there are no batch statistics.

    Returns:
        A model from float images to features `(batch, rows, columns, 512 * width)`;
        1 row and column for 32 pixels.

    Raises:
        InputError: The images are smaller than 32 pixels.
    """
    parts.check_size("VGG-16", input_shape, 32)
    original = keras.applications.VGG16(
        include_top=False, weights=None, input_shape=input_shape
    )
    return adapted(
        original, {}, width=width, dropout=dropout, synchronized=synchronized
    )
