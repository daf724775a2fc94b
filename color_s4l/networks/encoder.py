"""The colorizers' encoder as a trunk, which can take a trained colorizer's weights.

Baldassarre et al. 2017 (https://arxiv.org/abs/1712.03400, table 1): eight 3x3
convolutions with ReLU, three of them with strides, no normalisation. A colorizer is
trained on unlabelled images only, as in Larsson et al. 2017
(https://arxiv.org/abs/1703.04044), who fine-tune the whole network afterwards.
"""

import keras
import numpy as np
from keras import layers

from color_s4l.networks import parts
from color_s4l.registry import register_trunk
from colorization.networks import ENCODER

# Shares of linear red, green and blue in the luminance (ITU-R BT.709).
LUMINANCE = (0.2126, 0.7152, 0.0722)


# `zca=False`: colorizers are not trained on whitened images. `tested_with`: contract
# tests need this width, because the last ReLUs of a narrower trunk only output 0.
@register_trunk("encoder", zca=False, tested_with={"width": 0.25})
def encoder(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk: 256 * width channels; 4 x 4 features for 32 pixels.

    Width 1 has 5,828,352 trainable parameters. Dropout is applied to the last feature
    map (published: 0). `synchronized` has no effect, as there are no batch statistics.
    Images need sides of at least 8 pixels.
    """
    parts.check_size("The encoder", input_shape, 8)
    inputs = features = keras.Input(input_shape)
    block = 0
    for number, (filters, stride) in enumerate(ENCODER, start=1):
        block += stride > 1  # a block begins where the resolution is halved
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
    """Returns the weights of a colorizer's encoder as weights of this trunk.

    The colorizer reads lightness in [-1, 1], the trunk reads preprocessed colour
    images. The first kernel is therefore multiplied by the shares of red, green and
    blue in the luminance: a grey image gives the same features as its lightness gives
    in the colorizer. Differs from the colorizer's input: preprocessing normalises the
    contrast of every image. (Whitening would remove most of the lightness, so by
    default a run with this trunk does not whiten images.)

    Args:
        colorizer: Any network of `colorization`, with loaded weights.

    Returns:
        Sixteen arrays: kernel and bias of each layer, in the order of the layers.
    """
    named = {layer.name: layer for layer in colorizer.layers}
    if "colorize" in named:  # the trained part of `inception_fusion`
        named = {layer.name: layer for layer in named["colorize"].layers}
    weights: list[np.ndarray] = []
    for number in range(1, len(ENCODER) + 1):
        weights += named[f"encoder_{number}"].get_weights()
    shares = np.array(LUMINANCE, "float32").reshape(1, 1, 3, 1)
    return [weights[0] * shares, *weights[1:]]
