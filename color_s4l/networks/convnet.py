"""The 13-layer max-pooling ConvNet, in three published versions.

Laine & Aila 2017, table 5 (https://arxiv.org/abs/1610.02242), in the form of Tran
2019's published code: biases on, LeakyReLU 0.1 (plain ReLU in its first version), every
convolution followed by batch normalisation.

Differs from Laine & Aila: batch normalisation instead of weight normalisation with
mean-only batch normalisation.
"""

import functools

import keras
from keras import layers

from color_s4l.networks import parts
from color_s4l.networks.layers import LeakyReLU
from color_s4l.registry import register_trunk

SLOPE = 0.1
# Published drop rate after both max-poolings on SVHN.
SVHN_DROPOUT = 0.5


@register_trunk("convnet", svhn_dropout=SVHN_DROPOUT)
def convnet(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    slope: float = SLOPE,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk: 128 * width channels; 6 x 6 features for 32 pixels.

    Width 1 has 3,122,560 trainable parameters and 4,096 moving statistics. Dropout is
    applied after both max-poolings (0.5 on SVHN, else 0); `slope` is the slope of
    LeakyReLU below 0. Images need sides of at least 12 pixels.
    """
    parts.check_size("The ConvNet", input_shape, 12)
    inputs = features = keras.Input(input_shape)
    for block, filters in enumerate([128, 256], start=1):
        for number in range(1, 4):
            name = f"block{block}_{number}"
            filters_here = parts.scaled(filters, width)
            features = _unit(
                features, filters_here, 3, "same", name, slope, synchronized
            )
        features = layers.MaxPooling2D(2, name=f"block{block}_pool")(features)
        features = layers.Dropout(dropout, name=f"block{block}_dropout")(features)
    for number, (filters, size) in enumerate([(512, 3), (256, 1), (128, 1)], start=1):
        name, filters = f"block3_{number}", parts.scaled(filters, width)
        features = _unit(features, filters, size, "valid", name, slope, synchronized)
    return keras.Model(inputs, features, name="trunk")


def _unit(features, filters, size, padding, name, slope, synchronized):
    """Applies a convolution, batch normalisation and LeakyReLU."""
    features = parts.convolve(features, filters, size, name, padding=padding, bias=True)
    features = parts.normalize(features, name, synchronized)
    return LeakyReLU(slope, name=name)(features)


register_trunk(
    "convnet_relu", functools.partial(convnet, slope=0.0), svhn_dropout=SVHN_DROPOUT
)
# The ConvNet with the dropout of Laine & Aila. Rebuffi et al. call it 'TempEns'. Tran
# 2019 calls it the 13-layer ConvNet and so counts nine convolutions, three poolings and
# the classifier.
register_trunk("tempens", functools.partial(convnet, dropout=0.5))
