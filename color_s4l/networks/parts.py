"""Building blocks that several trunks share."""

import typing
from collections.abc import Callable

import keras
from keras import layers

from color_s4l.backend import Tensor
from color_s4l.errors import InputError
from color_s4l.networks import structure
from color_s4l.networks.layers import (
    BatchNormalization,
    ChannelConv2D,
    LayerScale,
)

# Name of a layer in `keras.applications` -> the layer that replaces it.
OWN_LAYERS = {"BatchNormalization": BatchNormalization, "LayerScale": LayerScale}


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
    name: Callable[[str], str],
    *,
    width: float,
    dropout: float,
    synchronized: bool,
) -> keras.Model:
    """Returns a trunk made from a model of `keras.applications`.

    The layers are built again with changed settings and connected as in the original,
    so that width 1 has exactly the original's parameters, in the same order. The layers
    of a `Sequential` become layers of the trunk. Operations such as `x + 3` become
    layers, because Keras cannot read operations from H5 files.

    Args:
        original: A model built with `include_top=False, weights=None`.
        name: Function from the name of a layer in the original to its new name.
        width: Factor on every number of filters.
        dropout: Drop rate of the last feature map.
        synchronized: Whether batch statistics are computed over all replicas.
    """

    def rebuilt(layer):
        if isinstance(layer, keras.Sequential):
            return [rebuilt(each) for each in layer.layers]
        if not isinstance(layer, layers.Layer):
            return layer
        config = {**layer.get_config(), "name": name(layer.name)}
        if "filters" in config:
            config["filters"] = scaled(config["filters"], width)
        kind = OWN_LAYERS.get(type(layer).__name__, type(layer))
        if kind is BatchNormalization:
            config["synchronized"] = synchronized
        if config.get("groups", 1) > 1:
            kind = ChannelConv2D
        return kind.from_config(config)

    def called(layer, *inputs, **settings):
        if isinstance(layer, list):
            (features,) = inputs
            for each in layer:
                features = each(features)
            return features
        if not isinstance(layer, layers.Layer):
            return _as_layer(layer, name(layer.name), *inputs)
        return layer(*inputs, **settings)

    model = keras.models.clone_model(
        original, clone_function=rebuilt, call_function=called
    )
    last = list(structure.blocks(model))[-1]
    features = layers.Dropout(dropout, name=f"{last}_dropout")(model.outputs[0])
    return keras.Model(model.inputs[0], features, name="trunk")


def _as_layer(
    operation: keras.Operation, name: str, first: Tensor, second: typing.Any
) -> Tensor:
    """Applies a layer with the same result as `first + second` or `first * second`."""
    kind = type(operation).__name__
    if isinstance(second, keras.KerasTensor):
        several = {"Add": layers.Add, "Multiply": layers.Multiply}
        return several[kind](name=name)([first, second])
    scale, offset = {"Add": (1.0, second), "Multiply": (second, 0.0)}[kind]
    return layers.Rescaling(scale, offset, name=name)(first)
