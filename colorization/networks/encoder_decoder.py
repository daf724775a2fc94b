"""The report's own colorizer: an encoder and a decoder without fusion.

Color-S4L's report, figure 2, which shows the numbers of filters and nothing else.
Differs/inferred: strides, kernel sizes and activations are deep-koalarization's;
the figure's three decoder groups (256, 128 | 64, 64 | 32, 16, 2) are read as the
resolutions 1/8, 1/4 and 1/2, and its last "up-sample 2x2" as the step to 1/1.
6,846,418 parameters at width 1.
"""

import keras

from colorization.networks import blocks
from colorization.networks.parts import Parts, Shape

_DECODER = (256, 128, blocks.UP, 64, 64, blocks.UP, 32, 16)


def build(shape: Shape) -> Parts:
    """Builds the network.

    Args:
        shape: Only `width` is read.

    Returns:
        The network, all of it trained.
    """
    lightness = blocks.lightness_input()
    features = blocks.encode(lightness, shape.width)
    colors = blocks.decode(features, _DECODER, shape.width)
    network = keras.Model(lightness, colors, name="encoder_decoder")
    return Parts(whole=network, trained=network)
