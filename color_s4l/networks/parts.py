"""The pieces that several trunks are made of, and how their layers are named.

Layers are called `stem...` or `block1...`, `block2...`: the first word says the
block, and the last layer of a block holds its feature map. `blocks` reads that, for
whoever freezes blocks or taps feature maps.
"""

import keras
from keras import layers

from color_s4l.errors import InputError
from color_s4l.networks.normalization import BatchNormalization


def scaled(filters: int, width: float) -> int:
    """`filters * width`, rounded, at least 1."""
    return max(1, round(filters * width))


def check_size(network: str, input_shape: tuple[int, int, int], smallest: int) -> None:
    """Refuses images that the network would shrink to nothing.

    Args:
        network: Its name, for the error.
        input_shape: `(height, width, channels)`.
        smallest: Shortest side allowed, in pixels.

    Raises:
        InputError: A side is shorter.
    """
    if min(input_shape[:2]) < smallest:
        height, width = input_shape[:2]
        raise InputError(
            f"{network} takes images of {smallest} px or more. "
            f"Received: {height} x {width}."
        )


def convolve(features, filters: int, size: int, name: str, *, strides=1, bias=False):
    """A convolution, same padding, He's normal initial values.

    Args:
        features: `(batch, rows, columns, channels)`.
        filters: Channels of the output.
        size: Side of the kernel.
        name: The layer is called `<name>_conv`.
        strides: Step between outputs, in pixels of the input.
        bias: Whether a bias is added.

    Returns:
        `(batch, ceil(rows / strides), ceil(columns / strides), filters)`.
    """
    return layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=bias,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(features)


def normalize(features, name: str, synchronized: bool):
    """Batch normalisation, momentum 0.99, epsilon 1e-3 (Tran 2019's published code).

    Args:
        features: `(batch, rows, columns, channels)`.
        name: The layer is called `<name>_norm`.
        synchronized: Batch statistics over all TensorFlow replicas.

    Returns:
        The shape of `features`.
    """
    return BatchNormalization(
        momentum=0.99, epsilon=1e-3, synchronized=synchronized, name=f"{name}_norm"
    )(features)


def normalize_and_activate(features, name: str, synchronized: bool):
    """Batch normalisation `<name>_norm`, then ReLU `<name>`."""
    return layers.ReLU(name=name)(normalize(features, name, synchronized))


def blocks(trunk: keras.Model) -> dict[str, list[layers.Layer]]:
    """The layers of each block, in the order of the data.

    Args:
        trunk: One of `TRUNKS`.

    Returns:
        `{"stem": [...], "block1": [...], ...}` (no "stem" where the network has
        none). `blocks(trunk)["block2"][-1].output` is a block's feature map.
    """
    found: dict[str, list[layers.Layer]] = {}
    for layer in trunk.layers:
        if not isinstance(layer, layers.InputLayer):
            found.setdefault(layer.name.partition("_")[0], []).append(layer)
    return found
