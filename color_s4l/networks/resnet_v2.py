"""ResNet v2 with bottlenecks: 50, 101 and 152 layers.

He et al. 2016, "Identity mappings" (https://arxiv.org/abs/1603.05027): normalisation
and ReLU before every convolution. The trunk of S4L (Zhai et al. 2019), there for
ImageNet at 224 px, in widths 1, 2 and 4.
"""

import keras
from keras import layers

from color_s4l.errors import InputError
from color_s4l.networks import parts

UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def resnet_v2(
    input_shape: tuple[int, int, int],
    *,
    depth: int = 50,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk.

    Args:
        input_shape: `(height, width, channels)` of preprocessed images; sides of
            at least 32, of which 1 x 1 features remain.
        depth: 50, 101 or 152.
        width: Factor on every number of filters (published: 1, 2, 4).
        dropout: Before the last convolution of a block (published: 0).
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        A model from float images to features `(batch, rows, columns, 2048 * width)`;
        7 rows and columns for 224 pixels.

    Raises:
        InputError: There is no such depth, or the images are smaller than 32 pixels.
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


def _bottleneck(shortcut, filters, strides, name, dropout, synchronized):
    """1x1, 3x3 and 1x1 convolutions to four times the filters, added to the input."""
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
