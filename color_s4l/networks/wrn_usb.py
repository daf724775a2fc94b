"""Wide residual network with strides, as the USB benchmark trains it.

Wang et al. 2022 (https://arxiv.org/abs/2208.07204), published code: strides of 2,
LeakyReLU 0.1, slow moving statistics, a bias in the first convolution only. The first
block of stage 1 normalises before the ways part; the first blocks of stages 2 and 3
convolve their input as it is (the normalisation that the code makes there is never
used, and left out here: 192 idle parameters fewer).
"""

import keras
from keras import initializers, layers

from color_s4l.networks import parts
from color_s4l.networks.activation import LeakyReLU
from color_s4l.networks.normalization import BatchNormalization
from color_s4l.networks.wrn import units_per_stage

SLOPE = 0.1
# PyTorch's momentum 0.001 is what Keras calls 0.999.
MOMENTUM = 0.999


def wrn_usb(
    input_shape: tuple[int, int, int],
    *,
    depth: int = 28,
    widening: int = 2,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    Differs from the published code: strided convolutions pad at the end (TensorFlow's
    way), not on both sides.

    Args:
        input_shape: `(height, width, channels)` of preprocessed images; sides of
            at least 4.
        depth: Convolutions on the way, 6 n + 4.
        widening: The stages have 16, 32 and 64 times as many filters.
        width: Factor on every number of filters, the stem's too.
        dropout: Before the second convolution of a block (published: 0).
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        A model from float images to features
        `(batch, rows, columns, 64 * widening * width)`; 8 rows and columns for 32
        pixels.

    Raises:
        InputError: There is no such depth, or the images are smaller than 4 pixels.
    """
    parts.check_size("The WRN", input_shape, 4)
    inputs = keras.Input(input_shape)
    features = _convolve(inputs, parts.scaled(16, width), 3, "stem", bias=True)
    for stage in (1, 2, 3):
        filters = parts.scaled(16 * widening * 2 ** (stage - 1), width)
        name = f"block{stage}"
        if stage == 1:
            features = _activate(features, f"{name}_1_first", synchronized)
        strides = 1 if stage == 1 else 2
        shortcut = _convolve(features, filters, 1, f"{name}_1_shortcut", strides)
        for number in range(1, units_per_stage(depth) + 1):
            unit = f"{name}_{number}"
            if number > 1:
                shortcut, strides = features, 1
                features = _activate(features, f"{unit}_first", synchronized)
            features = _convolve(features, filters, 3, f"{unit}_first", strides)
            features = _finish(shortcut, features, filters, unit, dropout, synchronized)
    features = _activate(features, "block3", synchronized, epsilon=1e-3)
    return keras.Model(inputs, features, name="trunk")


def _finish(shortcut, features, filters, name, dropout, synchronized):
    """The second convolution of a block, and the sum."""
    features = _activate(features, f"{name}_second", synchronized)
    features = layers.Dropout(dropout, name=f"{name}_dropout")(features)
    features = _convolve(features, filters, 3, f"{name}_second")
    return layers.Add(name=name)([shortcut, features])


def _convolve(features, filters, size, name, strides=1, bias=False):
    """A convolution whose initial values keep the gradient's variance."""
    return layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=bias,
        kernel_initializer=initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal"
        ),
        name=f"{name}_conv",
    )(features)


def _activate(features, name, synchronized, epsilon=1e-5):
    """Batch normalisation, LeakyReLU."""
    features = BatchNormalization(
        momentum=MOMENTUM,
        epsilon=epsilon,
        synchronized=synchronized,
        name=f"{name}_norm",
    )(features)
    return LeakyReLU(SLOPE, name=name)(features)
