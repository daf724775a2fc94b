"""The structure of a trunk: its blocks, its stages, its size and its cost.

All functions read the layers of a functional Keras model and the names of the layers
(`color_s4l.networks` describes the names), so they work for every trunk.
"""

import dataclasses
import math
from collections.abc import Iterable

import keras
import numpy as np
from keras import layers, ops

from color_s4l.backend import Tensor
from color_s4l.errors import InputError, unknown

# The value of `count` with which `freeze` freezes the whole trunk.
ALL = -1


def blocks(trunk: keras.Model) -> dict[str, list[layers.Layer]]:
    """Returns the layers of each block, in the order of computation.

    Args:
        trunk: One of `TRUNKS`, built.

    Returns:
        `{"stem": [...], "block1": [...], ...}`; without "stem" if the trunk has none.
        `blocks(trunk)["block2"][-1].output` is the feature map of the second block.
    """
    found: dict[str, list[layers.Layer]] = {}
    for layer in trunk.layers:
        if not isinstance(layer, layers.InputLayer):
            found.setdefault(layer.name.partition("_")[0], []).append(layer)
    return found


def freeze(trunk: keras.Model, count: int) -> None:
    """Freezes the stem and the first blocks: weights and moving statistics.

    Frozen batch normalisation uses its moving statistics, as in inference. Rebuffi et
    al. freeze the first two blocks of a pre-trained ResNet-18; a linear probe freezes
    the whole trunk.

    Args:
        trunk: One of `TRUNKS`, built.
        count: Number of blocks. 0 freezes nothing, -1 freezes the whole trunk. A
            completely frozen trunk is a fixed function: its dropout is off too.

    Raises:
        InputError: The trunk has fewer blocks.
    """
    found = blocks(trunk)
    stem = found.pop("stem", [])
    if count > len(found):
        raise InputError(
            f"`freeze_blocks` is {count}, but the network has {len(found)} blocks."
        )
    if count in (ALL, len(found)):
        trunk.trainable = False
    elif count:
        for block in (stem, *list(found.values())[:count]):
            for layer in block:
                layer.trainable = False


def release(trunk: keras.Model) -> None:
    """Makes all layers trainable, so that a saved model contains no frozen layer."""
    trunk.trainable = True
    # On TensorFlow, an assignment of the value that the attribute already has is
    # ignored, so the layers of a trunk with some frozen blocks would stay frozen.
    for layer in trunk.layers:
        layer.trainable = True


def enable_lora(trunk: keras.Model, rank: int) -> None:
    """Freezes a trunk and adds trainable low-rank adapters to it (LoRA).

    Hu et al. 2022 (https://arxiv.org/abs/2106.09685). Every trainable kernel K of a
    dense layer or a convolution becomes K + A B, with `rank` columns of A. B is 0 at
    first, so that the trunk computes the same features as before. All other weights
    are frozen, and batch normalisation uses its moving statistics. Depthwise
    convolutions of Keras have no adapters.

    Args:
        trunk: One of `TRUNKS`, built.
        rank: Number of columns, at least 1.

    Raises:
        InputError: No layer of the trunk can have an adapter.
    """
    flat = list(trunk._flatten_layers(include_self=False))
    adapted = [
        layer
        for layer in flat
        if hasattr(layer, "enable_lora") and layer.trainable_variables
    ]
    if not adapted:
        raise InputError(
            f"`lora_rank`={rank}: the network has no dense layer and no convolution "
            "with trainable weights."
        )
    for variable in trunk.trainable_variables:
        variable.trainable = False
    for layer in flat:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    for layer in adapted:
        layer.enable_lora(rank)


def merged_weights(model: keras.Model) -> list[np.ndarray]:
    """Returns the weights of the same model without adapters: kernels K + A B.

    Args:
        model: A model, with or without adapters.
    """
    merged = {
        id(weight): getattr(layer, weight.name)
        for layer in model._flatten_layers()
        if getattr(layer, "lora_enabled", False)
        for weight in layer.weights
        if weight.name in ("kernel", "embeddings")
    }
    return [
        ops.convert_to_numpy(merged.get(id(weight), weight))
        for weight in model.weights
        if not weight.name.startswith("lora_")
    ]


def widest_layer(trunk: keras.Model) -> str:
    """Returns the name of the layer of the last block with the most channels.

    If several layers have as many channels, it is the last one. Probes read this layer,
    because some trunks end with narrow layers, which keep less information.
    """
    last = list(blocks(trunk).values())[-1]
    return max(reversed(last), key=lambda layer: layer.output.shape[-1]).name


def cut(trunk: keras.Model, name: str) -> keras.Model:
    """Returns the part of a trunk up to a layer, which shares the trunk's layers.

    Args:
        trunk: Functional.
        name: Name of a layer whose output is a feature map.

    Raises:
        InputError: The trunk has no such layer.
    """
    maps = {each.name: each for each in trunk.layers if len(each.output.shape) == 4}
    if name not in maps:
        raise unknown("layer", name, maps)
    return keras.Model(trunk.inputs[0], maps[name].output, name=trunk.name)


def stages(trunk: keras.Model) -> tuple[keras.Model, ...]:
    """Cuts a trunk at each change of the feature maps' resolution.

    Args:
        trunk: Functional, with one input and one output.

    Returns:
        Models that share the trunk's layers; applied one after another, they compute
        the same function as the trunk. Where several tensors lead from one resolution
        to the next, there is no cut.
    """
    last = {}
    for tensor in _bottlenecks(trunk):
        last[tuple(tensor.shape[1:3])] = tensor
    last.pop(tuple(trunk.outputs[0].shape[1:3]), None)
    cuts = list(last.values())
    pairs = zip([trunk.inputs[0], *cuts], [*cuts, trunk.outputs[0]], strict=True)
    return tuple(keras.Model(start, end) for start, end in pairs)


def _bottlenecks(trunk: keras.Model) -> list[Tensor]:
    """Returns each tensor that alone determines all later tensors, in graph order."""
    steps = [
        (keras.tree.flatten(operation.input), keras.tree.flatten(operation.output))
        for operation in trunk.operations
        if not isinstance(operation, layers.InputLayer)
    ]
    uses = [id(tensor) for inputs, _ in steps for tensor in inputs]
    # Tensors computed so far, with the number of operations that still read them.
    waiting = {id(tensor): uses.count(id(tensor)) for tensor in trunk.inputs}
    found = []
    for inputs, outputs in steps:
        for tensor in inputs:
            waiting[id(tensor)] -= 1
        for tensor in outputs:
            waiting[id(tensor)] = uses.count(id(tensor))
        waiting = {key: count for key, count in waiting.items() if count}
        if len(outputs) == 1 and set(waiting) == {id(outputs[0])}:
            found.append(outputs[0])
    return found


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Size and cost of a trunk.

    Attributes:
        trainable: Number of trainable parameters.
        moving: Number of moving statistics of the batch normalisations.
        multiply_adds: Multiply-adds of the convolutions in the forward pass, for one
            image.
        receptive_field: Side in pixels of the part of the image on which one feature
            depends; it can exceed the image.
    """

    trainable: int
    moving: int
    multiply_adds: int
    receptive_field: int


def statistics(trunk: keras.Model) -> Statistics:
    """Returns the size and the cost of a trunk.

    Args:
        trunk: Functional, for images of a known size.
    """
    return Statistics(
        trainable=_size(trunk.trainable_weights),
        moving=_size(
            weight
            for weight in trunk.non_trainable_weights
            if weight.name.startswith("moving_")
        ),
        multiply_adds=sum(multiply_adds(layer) for layer in trunk.layers),
        receptive_field=receptive_field(trunk),
    )


def _size(variables: Iterable[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def multiply_adds(layer: layers.Layer) -> int:
    """Returns the multiply-adds of a layer's convolutions for one image.

    Every weight of a kernel is used once for each position of the output. If a layer
    has several convolutions, they are assumed to have the same output resolution.
    """
    positions = math.prod(layer.output.shape[1:-1])
    return positions * _size(w for w in layer.weights if w.name == "kernel")


def receptive_field(trunk: keras.Model) -> int:
    """Returns the side of the receptive field of the last features, in pixels.

    A layer with a window of k positions, which are `step` pixels apart, enlarges the
    side by (k - 1) * step pixels.
    """
    # id of a tensor -> (side of the receptive field, distance of two adjacent
    # positions), both in pixels of the image.
    fields = {id(tensor): (1, 1) for tensor in trunk.inputs}
    for operation in trunk.operations:
        if isinstance(operation, layers.InputLayer):
            continue
        incoming = keras.tree.flatten(operation.input)
        side, step = max(fields[id(tensor)] for tensor in incoming)
        window, strides = _window(operation)
        for tensor in keras.tree.flatten(operation.output):
            fields[id(tensor)] = (side + (window - 1) * step, step * strides)
    return fields[id(trunk.outputs[0])][0]


def _window(operation: keras.Operation) -> tuple[int, int]:
    """Returns the side of the window and the strides, in positions of the input.

    Layers of this library that are not Keras' convolutions or poolings state the window
    in their attribute `window`.
    """
    if hasattr(operation, "pool_size"):
        return operation.pool_size[0], operation.strides[0]
    if hasattr(operation, "kernel_size"):
        dilation = operation.dilation_rate[0]
        return 1 + (operation.kernel_size[0] - 1) * dilation, operation.strides[0]
    return getattr(operation, "window", 1), 1
