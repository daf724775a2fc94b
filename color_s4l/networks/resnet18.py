"""ResNet-18 with the stem for small images.

He et al. 2016 (https://arxiv.org/abs/1512.03385): four stages of two basic blocks;
instead of the 7x7 convolution and the pooling for ImageNet one 3x3 convolution. The
trunk of Rebuffi et al.'s semi-supervised learning with scarce annotations.
"""

import keras
from keras import layers

from color_s4l.networks import parts

STAGES = (1, 2, 3, 4)


def resnet18(
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
        width: Factor on every number of filters. 1 gives 11,168,832 trainable
            parameters and 9,600 moving statistics.
        dropout: Before the second convolution of a block (published: 0).
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        A model from float images to features `(batch, rows, columns, 512 * width)`;
        4 rows and columns for 32 pixels.

    Raises:
        InputError: The images are smaller than 8 pixels.
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


def basic_block(features, filters, strides, name, dropout, synchronized):
    """Two 3x3 convolutions, added to the input, then ReLU.

    Args:
        features: Activated, `(batch, rows, columns, channels)`.
        filters: Channels of the output.
        strides: Of the first convolution; with 2, or other channels, the shortcut is
            a 1x1 convolution.
        name: Of the last layer, and the beginning of all others.
        dropout: Before the second convolution.
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        Activated, `(batch, ceil(rows / strides), ceil(columns / strides), filters)`.
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
