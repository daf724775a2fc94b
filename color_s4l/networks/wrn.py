"""Wide residual networks, in the forms of two published code bases.

Zagoruyko & Komodakis 2016 (https://arxiv.org/abs/1605.07146): a stem of 16 filters and
three stages of residual blocks with 16 k, 32 k and 64 k filters for the widening k.
"""

import functools

import keras
from keras import initializers, layers

from color_s4l.errors import InputError
from color_s4l.networks import parts
from color_s4l.networks.layers import BatchNormalization, LeakyReLU
from color_s4l.registry import register_trunk

USB_SLOPE = 0.1
# PyTorch's momentum 0.001 is 0.999 in Keras' definition.
USB_MOMENTUM = 0.999


def wrn(
    input_shape: tuple[int, int, int],
    *,
    depth: int = 28,
    widening: int = 2,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds a WRN with max-poolings: 64 * widening * width channels; 8 x 8 for 32 px.

    The form of Tran 2019's published code: the first block of a stage expands the
    channels and does not normalise its input. Stages 2 and 3 use max-pooling where the
    paper uses strides of 2. A stage ends with batch normalisation and ReLU. No
    convolution has a bias.

    At width 1, WRN-28-2 has 1,466,320 trainable parameters and 3,616 moving statistics,
    WRN-28-4 has 5,846,480 and 7,200. Dropout is applied between the convolutions of a
    residual block, except in the first block of each stage (published: 0). Images need
    sides of at least 4 pixels.

    Args:
        input_shape: As for every trunk, like `width`, `dropout` and `synchronized`.
        depth: Number of convolutions, 6 n + 4: one in the stem, one in the shortcut of
            each stage, and two in each of the 3 n blocks.
        widening: Widening factor, k in the paper.

    Raises:
        InputError: The depth is not 6 n + 4 for a positive n.
    """
    parts.check_size("The WRN", input_shape, 4)
    units = units_per_stage(depth)
    inputs = keras.Input(input_shape)
    features = parts.convolve(inputs, parts.scaled(16, width), 3, "stem")
    features = parts.normalize_and_activate(features, "stem", synchronized)
    for stage in (1, 2, 3):
        filters = parts.scaled(16 * widening * 2 ** (stage - 1), width)
        name = f"block{stage}"
        features = _expand(features, filters, f"{name}_1", synchronized)
        if stage > 1:
            features = layers.MaxPooling2D(2, name=f"{name}_pool")(features)
        for number in range(2, units + 1):
            unit = f"{name}_{number}"
            features = _residual(features, filters, unit, dropout, synchronized)
        features = parts.normalize_and_activate(features, name, synchronized)
    return keras.Model(inputs, features, name="trunk")


register_trunk("wrn_28_2", functools.partial(wrn, depth=28, widening=2))
register_trunk("wrn_28_4", functools.partial(wrn, depth=28, widening=4))


def units_per_stage(depth: int) -> int:
    """Returns the number of residual blocks in each of the three stages.

    Args:
        depth: 6 n + 4.

    Raises:
        InputError: The depth is not 6 n + 4 for a positive n.
    """
    units, rest = divmod(depth - 4, 6)
    if rest or units < 1:
        raise InputError(
            f"A WRN has a depth of 6 n + 4: 10, 16, 22, 28, 40. Received: {depth}."
        )
    return units


def _expand(features, filters, name, synchronized):
    """Adds a branch of two convolutions to a 1x1 convolution of activated features."""
    shortcut = parts.convolve(features, filters, 1, f"{name}_shortcut")
    features = parts.convolve(features, filters, 3, f"{name}_first")
    features = parts.normalize_and_activate(features, f"{name}_second", synchronized)
    features = parts.convolve(features, filters, 3, f"{name}_second")
    return layers.Add(name=name)([shortcut, features])


def _residual(shortcut, filters, name, dropout, synchronized):
    """Adds a branch to the input: normalisation, ReLU and convolution, twice."""
    features = parts.normalize_and_activate(shortcut, f"{name}_first", synchronized)
    features = parts.convolve(features, filters, 3, f"{name}_first")
    features = layers.Dropout(dropout, name=f"{name}_dropout")(features)
    features = parts.normalize_and_activate(features, f"{name}_second", synchronized)
    features = parts.convolve(features, filters, 3, f"{name}_second")
    return layers.Add(name=name)([shortcut, features])


def wrn_usb(
    input_shape: tuple[int, int, int],
    *,
    depth: int = 28,
    widening: int = 2,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the WRN of the USB benchmark, with strides; features as in `wrn`.

    Wang et al. 2022 (https://arxiv.org/abs/2208.07204), published code: strides of 2,
    LeakyReLU 0.1, moving statistics with momentum 0.999, a bias in the first
    convolution only. The first block of stage 1 normalises its input before the
    shortcut and the branch; the first blocks of stages 2 and 3 do not normalise their
    input. (The published code creates normalisations there but never uses them: 192
    parameters, left out here.) The arguments are as in `wrn`. Dropout is applied before
    the second convolution of a block (published: 0).

    Differs from the published code: strided convolutions pad at the end of each axis
    (TensorFlow's rule), not on both sides.
    """
    parts.check_size("The WRN", input_shape, 4)
    inputs = keras.Input(input_shape)
    features = _usb_convolve(inputs, parts.scaled(16, width), 3, "stem", bias=True)
    for stage in (1, 2, 3):
        filters = parts.scaled(16 * widening * 2 ** (stage - 1), width)
        name = f"block{stage}"
        if stage == 1:
            features = _usb_activate(features, f"{name}_1_first", synchronized)
        strides = 1 if stage == 1 else 2
        shortcut = _usb_convolve(features, filters, 1, f"{name}_1_shortcut", strides)
        for number in range(1, units_per_stage(depth) + 1):
            unit = f"{name}_{number}"
            if number > 1:
                shortcut, strides = features, 1
                features = _usb_activate(features, f"{unit}_first", synchronized)
            features = _usb_convolve(features, filters, 3, f"{unit}_first", strides)
            features = _usb_activate(features, f"{unit}_second", synchronized)
            features = layers.Dropout(dropout, name=f"{unit}_dropout")(features)
            features = _usb_convolve(features, filters, 3, f"{unit}_second")
            features = layers.Add(name=unit)([shortcut, features])
    features = _usb_activate(features, "block3", synchronized, epsilon=1e-3)
    return keras.Model(inputs, features, name="trunk")


register_trunk("wrn_28_2_usb", functools.partial(wrn_usb, depth=28, widening=2))


def _usb_convolve(features, filters, size, name, strides=1, bias=False):
    """Applies a convolution with He's normal initialisation, mode "fan_out"."""
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


def _usb_activate(features, name, synchronized, epsilon=1e-5):
    """Applies batch normalisation and LeakyReLU."""
    features = BatchNormalization(
        momentum=USB_MOMENTUM,
        epsilon=epsilon,
        synchronized=synchronized,
        name=f"{name}_norm",
    )(features)
    return LeakyReLU(USB_SLOPE, name=name)(features)
