"""Building blocks that several trunks share."""

import re
from collections.abc import Mapping

import keras
from keras import layers

from color_s4l.backend import Tensor
from color_s4l.errors import InputError
from color_s4l.networks import structure
from color_s4l.networks.layers import BatchNormalization


def scaled(filters: int, width: float) -> int:
    """Returns `filters * width`, rounded, at least 1."""
    return max(1, round(filters * width))


def check_size(network: str, input_shape: tuple[int, int, int], smallest: int) -> None:
    """Raises an `InputError` if a side of the images is shorter than `smallest` pixels.

    Args:
        network: Name of the network, for the error message.
        input_shape: `(height, width, channels)`.
        smallest: Shortest side allowed, in pixels.
    """
    if min(input_shape[:2]) < smallest:
        height, width = input_shape[:2]
        raise InputError(
            f"{network} takes images of {smallest} px or more. "
            f"Received: {height} x {width}."
        )


def convolve(
    features: Tensor,
    filters: int,
    size: int,
    name: str,
    *,
    strides: int = 1,
    bias: bool = False,
    padding: str = "same",
) -> Tensor:
    """Applies a convolution with He's normal initialisation.

    Args:
        features: `(batch, rows, columns, channels)`.
        filters: Number of output channels.
        size: Side of the kernel.
        name: Name of the layer, without the suffix "_conv".
        strides: Step between outputs, in positions of the input.
        bias: Whether a bias is added.
        padding: "same" or "valid".

    Returns:
        `(batch, ceil(rows / strides), ceil(columns / strides), filters)` with padding
        "same".
    """
    return layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding=padding,
        use_bias=bias,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(features)


def normalize(features: Tensor, name: str, synchronized: bool) -> Tensor:
    """Applies batch normalisation `<name>_norm` (as in Tran 2019's published code)."""
    return BatchNormalization(
        momentum=0.99, epsilon=1e-3, synchronized=synchronized, name=f"{name}_norm"
    )(features)


def normalize_and_activate(features: Tensor, name: str, synchronized: bool) -> Tensor:
    """Applies batch normalisation `<name>_norm`, then ReLU `<name>`."""
    return layers.ReLU(name=name)(normalize(features, name, synchronized))


def adapted(
    original: keras.Model,
    names: Mapping[str, str],
    *,
    width: float,
    dropout: float,
    synchronized: bool,
) -> keras.Model:
    """Returns a trunk made from a model of `keras.applications`.

    The layers are built again with changed settings and connected as in the original,
    so that width 1 has exactly the original's parameters.

    Args:
        original: A model built with `include_top=False, weights=None`.
        names: Regular expression -> replacement, applied to the names of the layers.
        width: Factor on every number of filters.
        dropout: Drop rate of the last feature map.
        synchronized: Whether batch statistics are computed over all replicas.
    """

    def rebuilt(layer):
        config = layer.get_config()
        for pattern, replacement in names.items():
            config["name"] = re.sub(pattern, replacement, config["name"])
        if "filters" in config:
            config["filters"] = scaled(config["filters"], width)
        if isinstance(layer, layers.BatchNormalization):
            config["synchronized"] = synchronized
            return BatchNormalization.from_config(config)
        return type(layer).from_config(config)

    model = keras.models.clone_model(original, clone_function=rebuilt)
    last = list(structure.blocks(model))[-1]
    features = layers.Dropout(dropout, name=f"{last}_dropout")(model.outputs[0])
    return keras.Model(model.inputs[0], features, name="trunk")
