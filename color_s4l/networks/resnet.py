"""Residual networks: ResNet-18 for small images, and ResNet v2 with bottlenecks."""

import functools

import keras
from keras import layers

from color_s4l.backend import Tensor
from color_s4l.errors import InputError
from color_s4l.networks import parts
from color_s4l.registry import register_trunk

STAGES = (1, 2, 3, 4)
# ResNet v2: depth -> number of residual blocks in each stage.
UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@register_trunk("resnet18")
def resnet18(
    input_shape: tuple[int, int, int],
    *,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds a ResNet-18: 512 * width channels; 4 x 4 features for 32 pixels.

    He et al. 2016 (https://arxiv.org/abs/1512.03385): four stages of two basic blocks,
    with one 3x3 convolution in place of the 7x7 convolution and the pooling for
    ImageNet. Rebuffi et al., "Semi-supervised learning with scarce annotations", use
    this trunk.

    Width 1 has 11,168,832 trainable parameters and 9,600 moving statistics. Dropout is
    applied before the second convolution of a block (published: 0). Images need sides
    of at least 8 pixels.
    """
    parts.check_size("ResNet-18", input_shape, 8)
    inputs = keras.Input(input_shape)
    features = parts.convolve(inputs, parts.scaled(64, width), 3, "stem")
    features = parts.normalize_and_activate(features, "stem", synchronized)
    for stage in STAGES:
        filters = parts.scaled(64 * 2 ** (stage - 1), width)
        for number in (1, 2):
            strides = 2 if stage > 1 and number == 1 else 1
            name = f"block{stage}_{number}"
            features = basic_block(
                features, filters, strides, name, dropout, synchronized
            )
    return keras.Model(inputs, features, name="trunk")


def basic_block(
    features: Tensor,
    filters: int,
    strides: int,
    name: str,
    dropout: float,
    synchronized: bool,
) -> Tensor:
    """Applies two 3x3 convolutions, adds the input, then applies ReLU.

    Args:
        features: Activated features, `(batch, rows, columns, channels)`.
        filters: Number of output channels.
        strides: Strides of the first convolution. If `strides` is 2 or `filters`
            differs from the input's channels, the shortcut is a 1x1 convolution.
        name: Name of the last layer, and prefix of the other layers' names.
        dropout: Drop rate before the second convolution.

    Returns:
        `(batch, ceil(rows / strides), ceil(columns / strides), filters)`.
    """
    shortcut = features
    if strides > 1 or features.shape[-1] != filters:
        shortcut = parts.convolve(
            features, filters, 1, f"{name}_shortcut", strides=strides
        )
        shortcut = parts.normalize(shortcut, f"{name}_shortcut", synchronized)
    features = parts.convolve(features, filters, 3, f"{name}_first", strides=strides)
    features = parts.normalize_and_activate(features, f"{name}_first", synchronized)
    features = layers.Dropout(dropout, name=f"{name}_dropout")(features)
    features = parts.convolve(features, filters, 3, f"{name}_second")
    features = parts.normalize(features, f"{name}_second", synchronized)
    total = layers.Add(name=f"{name}_sum")([shortcut, features])
    return layers.ReLU(name=name)(total)


def resnet_v2(
    input_shape: tuple[int, int, int],
    *,
    depth: int = 50,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds a ResNet v2: 2048 * width channels; 7 x 7 features for 224 pixels.

    He et al. 2016, "Identity mappings" (https://arxiv.org/abs/1603.05027): bottlenecks
    with normalisation and ReLU before every convolution. S4L (Zhai et al. 2019) uses
    this trunk for ImageNet at 224 px with widths 1, 2 and 4. Dropout is applied before
    the last convolution of a block (published: 0).
    Images need sides of at least 32 pixels.

    Args:
        input_shape: As for every trunk, like `width`, `dropout` and `synchronized`.
        depth: 50, 101 or 152 layers.

    Raises:
        InputError: The depth is not 50, 101 or 152.
    """
    if depth not in UNITS:
        raise InputError(f"ResNet v2 has a depth of 50, 101 or 152. Received: {depth}.")
    parts.check_size("ResNet v2", input_shape, 32)
    inputs = keras.Input(input_shape)
    features = parts.convolve(inputs, parts.scaled(64, width), 7, "stem", strides=2)
    features = layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(features)
    for stage, units in enumerate(UNITS[depth], start=1):
        filters = parts.scaled(64 * 2 ** (stage - 1), width)
        for number in range(1, units + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            name = f"block{stage}_{number}"
            features = _bottleneck(
                features, filters, strides, name, dropout, synchronized
            )
    features = parts.normalize_and_activate(features, "block4", synchronized)
    return keras.Model(inputs, features, name="trunk")


for _depth in UNITS:
    register_trunk(
        f"resnet_v2_{_depth}",
        functools.partial(resnet_v2, depth=_depth),
        tested_as=None if _depth == 50 else "resnet_v2_50",
    )


def _bottleneck(shortcut, filters, strides, name, dropout, synchronized):
    """Adds 1x1, 3x3 and 1x1 convolutions to the input; the last one has 4 * filters."""
    features = parts.normalize_and_activate(shortcut, f"{name}_first", synchronized)
    if name.endswith("_1"):
        shortcut = parts.convolve(
            features, 4 * filters, 1, f"{name}_shortcut", strides=strides
        )
    features = parts.convolve(features, filters, 1, f"{name}_first")
    features = parts.normalize_and_activate(features, f"{name}_second", synchronized)
    features = parts.convolve(features, filters, 3, f"{name}_second", strides=strides)
    features = parts.normalize_and_activate(features, f"{name}_third", synchronized)
    features = layers.Dropout(dropout, name=f"{name}_dropout")(features)
    features = parts.convolve(features, 4 * filters, 1, f"{name}_third")
    return layers.Add(name=name)([shortcut, features])
