"""Network in Network, nine convolutions.

Lin et al. 2014 (https://arxiv.org/abs/1312.4400) in the form of Tran 2019's published
code: two 1x1 convolutions after every larger convolution; every convolution has a bias
and is followed by batch normalisation and ReLU; max-poolings of 2.
"""

import keras
from keras import layers

from color_s4l.networks import parts
from color_s4l.registry import register_trunk

# Filters and side of the kernel of each convolution of each block.
BLOCKS = (
    ((192, 5), (160, 1), (96, 1)),
    ((192, 5), (192, 1), (192, 1)),
    ((192, 3), (192, 1), (192, 1)),
)


@register_trunk("nin")
def nin(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk: 192 * width channels; 8 x 8 features for 32 pixels.

    Width 1 has 1,005,312 trainable parameters and 3,200 moving statistics. Dropout is
    applied after both max-poolings (published: 0).
    Images need sides of at least 4 pixels.
    """
    parts.check_size("NIN", input_shape, 4)
    inputs = features = keras.Input(input_shape)
    for block, units in enumerate(BLOCKS, start=1):
        for number, (filters, size) in enumerate(units, start=1):
            name = f"block{block}_{number}"
            features = parts.convolve(
                features, parts.scaled(filters, width), size, name, bias=True
            )
            features = parts.normalize_and_activate(features, name, synchronized)
        if block < len(BLOCKS):
            features = layers.MaxPooling2D(2, name=f"block{block}_pool")(features)
            features = layers.Dropout(dropout, name=f"block{block}_dropout")(features)
    return keras.Model(inputs, features, name="trunk")
