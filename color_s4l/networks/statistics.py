"""What a trunk costs and sees, read off its graph."""

import dataclasses
import math

import keras
from keras import layers

from color_s4l.networks.reversible import ReversibleStage


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Of one trunk.

    Attributes:
        trainable: Numbers that training changes.
        moving: Moving statistics of the batch normalisations.
        multiply_adds: Multiplications, each with its addition, of the convolutions for
            one image, forward.
        receptive_field: Side in pixels of the part of the image that one feature
            depends on; it can exceed the image.
    """

    trainable: int
    moving: int
    multiply_adds: int
    receptive_field: int


def statistics(trunk: keras.Model) -> Statistics:
    """Counts.

    Args:
        trunk: Functional, for images of a known size.

    Returns:
        The numbers; the receptive field is that of the last features.
    """
    return Statistics(
        trainable=_size(trunk.trainable_weights),
        moving=_size(trunk.non_trainable_weights),
        multiply_adds=sum(multiply_adds(layer) for layer in trunk.layers),
        receptive_field=receptive_field(trunk),
    )


def _size(variables) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def multiply_adds(layer: layers.Layer) -> int:
    """Of the convolutions in a layer, for one image.

    Every weight of a kernel is used once for each position of the output. (What a
    layer holds inside keeps the image's size, so its output says it too.)
    """
    positions = math.prod(layer.output.shape[1:-1])
    return positions * _size(w for w in layer.weights if w.name == "kernel")


def receptive_field(trunk: keras.Model) -> int:
    """Side of the receptive field of the last features, in pixels.

    A window of k pixels, `step` pixels of the image apart, adds (k - 1) * step.
    """
    # Tensor -> (side of its field, pixels of the image between neighbours).
    fields = {id(tensor): (1, 1) for tensor in trunk.inputs}
    for operation in trunk.operations:
        if isinstance(operation, layers.InputLayer):
            continue
        incoming = [
            fields[id(tensor)] for tensor in keras.tree.flatten(operation.input)
        ]
        side, step = max(incoming)
        window, strides = _window(operation)
        fields[id(operation.output)] = (side + (window - 1) * step, step * strides)
    return fields[id(trunk.outputs[0])][0]


def _window(operation) -> tuple[int, int]:
    """Side of what one output depends on, and strides, in pixels of the input."""
    if isinstance(operation, layers.Conv2D):
        return operation.kernel_size[0], operation.strides[0]
    if isinstance(operation, (layers.MaxPooling2D, layers.AveragePooling2D)):
        return operation.pool_size[0], operation.strides[0]
    if isinstance(operation, ReversibleStage):
        return operation.window, 1
    return 1, 1
