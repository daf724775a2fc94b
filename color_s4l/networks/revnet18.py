"""RevNet-18: the layout of ResNet-18 with reversible residual blocks.

Gomez et al. 2017, "The reversible residual network" (https://arxiv.org/abs/1707.04585),
and Rebuffi et al., whose network is built "to match the ResNet-18: four main blocks and
the same type of downsampling".

The channels of a reversible stage are two streams. Each branch computes a change of one
stream from the other stream:

    kept, changed  ->  changed + branch(kept), kept

The backward pass recomputes the change and subtracts it, so that only the last
activation has to be kept in memory.
"""

import typing
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from keras import layers, ops

from color_s4l import backend
from color_s4l.backend import Tensor
from color_s4l.networks import parts
from color_s4l.networks.layers import BatchNormalization, apply_as
from color_s4l.networks.resnet import STAGES, basic_block
from color_s4l.registry import register_trunk

# Receptive field of one branch: two 3x3 convolutions.
BRANCH_WINDOW = 5


@register_trunk("revnet18")
def revnet18(
    input_shape: tuple[int, int, int],
    *,
    units: int = 2,
    width: float = 1.0,
    dropout: float = 0.0,
    synchronized: bool = False,
) -> keras.Model:
    """Builds the trunk: 512 * width channels; 4 x 4 features for 32 pixels.

    A stage has `units` blocks, 2 or more; the memory for activations does not depend on
    the number of blocks. The first block of stages 2 to 4 halves the resolution, so it
    is not reversible; it is a basic block of ResNet-18. All other blocks are
    reversible. Our choice: both streams together have as many channels as ResNet-18.

    Dropout is applied after each reversible stage (published: 0). It is not applied
    inside, because a branch is computed twice and must give the same result both times.
    Images need sides of at least 8 pixels.
    """
    parts.check_size("RevNet-18", input_shape, 8)
    inputs = keras.Input(input_shape)
    features = parts.convolve(inputs, 2 * parts.scaled(32, width), 3, "stem")
    features = parts.normalize_and_activate(features, "stem", synchronized)
    for stage in STAGES:
        name = f"block{stage}"
        reversible = units
        if stage > 1:
            filters = 2 * parts.scaled(32 * 2 ** (stage - 1), width)
            features = basic_block(features, filters, 2, f"{name}_1", 0.0, synchronized)
            reversible = units - 1
        features = ReversibleStage(reversible, synchronized, name=f"{name}_reversible")(
            features
        )
        features = layers.Dropout(dropout, name=f"{name}_dropout")(features)
        features = parts.normalize_and_activate(features, name, synchronized)
    return keras.Model(inputs, features, name="trunk")


class Branch(layers.Layer):
    """A residual branch: normalisation, ReLU and 3x3 convolution, twice.

    Args:
        filters: Channels of the input and of the output.
        synchronized: Whether batch statistics are computed over all replicas.
        name: Name of the layer.
        dtype: Dtype policy.
    """

    def __init__(
        self,
        filters: int,
        synchronized: bool,
        name: str | None = None,
        dtype: typing.Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.steps = []
        for number in ("first", "second"):
            self.steps += [
                BatchNormalization(
                    momentum=0.99,
                    epsilon=1e-3,
                    synchronized=synchronized,
                    name=f"{number}_norm",
                    dtype=dtype,
                ),
                layers.ReLU(name=f"{number}_activated", dtype=dtype),
                layers.Conv2D(
                    filters,
                    3,
                    padding="same",
                    use_bias=False,
                    kernel_initializer="he_normal",
                    name=f"{number}_conv",
                    dtype=dtype,
                ),
            ]

    def build(self, input_shape: tuple) -> None:
        """Creates the weights for inputs `(batch, rows, columns, filters)`."""
        for step in self.steps:
            step.build(input_shape)
        self.built = True

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """Maps `(batch, rows, columns, filters)` to the same shape."""
        for step in self.steps:
            # The other layers' `call` has no argument `training`.
            if isinstance(step, BatchNormalization):
                features = step(features, training=training)
            else:
                features = step(features)
        return features


@keras.saving.register_keras_serializable(package="color_s4l")
class ReversibleStage(layers.Layer):
    """Reversible blocks of equal shape, one after another.

    In training, the stage needs the memory of one branch, for any number of blocks, and
    computes every branch twice. Under mixed precision, the streams stay float32 between
    the branches, because the backward pass must subtract exactly the change that was
    added.

    Args:
        units: Number of blocks, of two branches each.
        synchronized: Whether batch statistics are computed over all replicas.
        name: Name of the layer.
        dtype: Dtype policy of the branches.
        trainable: Whether the weights are trained.
    """

    def __init__(
        self,
        units: int,
        synchronized: bool = False,
        name: str | None = None,
        dtype: typing.Any = None,
        trainable: bool = True,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable, autocast=False)
        self.units = units
        self.synchronized = synchronized

    def build(self, input_shape: tuple) -> None:
        """Creates the branches.

        Raises:
            ValueError: The number of channels is odd.
        """
        if input_shape[-1] % 2:
            raise ValueError(
                f"A reversible stage needs an even number of channels. "
                f"Received: {input_shape[-1]}."
            )
        filters = input_shape[-1] // 2
        self.branches = [
            Branch(filters, self.synchronized, f"branch{number}", self.dtype_policy)
            for number in range(1, 2 * self.units + 1)
        ]
        for branch in self.branches:
            branch.build((*input_shape[:-1], filters))
        self.built = True

    @property
    def window(self) -> int:
        """Side of the receptive field, in positions of the stage's input."""
        return 1 + len(self.branches) * (BRANCH_WINDOW - 1)

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """Maps `(batch, rows, columns, channels)` to the same shape."""
        streams = ops.split(ops.cast(features, self.variable_dtype), 2, axis=-1)
        training = bool(training)
        weights = [value for branch in self.branches for value in _values(branch)]
        *streams, moved = self._run(streams, weights, training)
        if training:
            self._move_statistics(moved)
        return ops.cast(ops.concatenate(streams, axis=-1), self.compute_dtype)

    def portable(self, features: Tensor) -> Tensor:
        """Applies the branches as Keras' own layers, without the custom gradient."""
        kept, changed = (self._stream(features, number) for number in (1, 2))
        for branch in self.branches:
            change = kept
            for step in branch.steps:
                name = f"{self.name}_{branch.name}_{step.name}"
                own = isinstance(step, BatchNormalization)
                kind = layers.BatchNormalization if own else type(step)
                change = apply_as(kind, step, change, name=name)
            total = layers.Add(name=f"{self.name}_{branch.name}")([changed, change])
            kept, changed = total, kept
        return layers.Concatenate(name=self.name)([kept, changed])

    def _stream(self, features, number):
        """Returns one half of the channels by a 1x1 convolution with zeros and ones."""
        channels = features.shape[-1]
        half = channels // 2
        name = f"{self.name}_stream{number}"
        selection = layers.Conv2D(half, 1, use_bias=False, name=name)
        stream = selection(features)
        kernel = np.eye(channels, dtype="float32")[:, (number - 1) * half :][:, :half]
        selection.set_weights([kernel[None, None]])
        return stream

    def _forward(self, streams, weights, training):
        """Returns the streams and the non-trainable values after all branches."""
        kept, changed = streams
        moved = []
        for branch, own in zip(self.branches, self._split(weights), strict=True):
            change, fixed = _apply(branch, own, kept, training)
            kept, changed = changed + change, kept
            moved += fixed
        return kept, changed, moved

    def _backward(self, streams, weights, upstream, training):
        """Returns gradients with respect to the input streams and the weights.

        Args:
            streams: The output streams, from which the input streams are recomputed.
            weights: As in `_forward`.
            upstream: Gradients with respect to the output streams.
            training: As in `_forward`.
        """
        kept, changed = streams
        groups = list(self._split(weights))
        found, newest = [], []
        for branch, own in zip(reversed(self.branches), reversed(groups), strict=True):
            # Without this barrier the backends recompute the streams of all branches
            # before the gradients are ready, and keep all these streams in memory.
            kept, changed = backend.after([kept, changed], [*upstream, *newest])

            def change_of(stream, *own, branch=branch):
                return _apply(branch, own, stream, training)[0]

            change, (of_stream, *newest) = backend.pullback(
                change_of, [changed, *own], upstream[0]
            )
            kept, changed = changed, kept - change
            upstream = [upstream[1] + of_stream, upstream[0]]
            found = [*newest, *found]
        return [*upstream, *found]

    def _run(self, streams, weights, training):
        """Returns the values of `_forward`; their gradient is `_backward`."""

        @ops.custom_gradient
        def run(kept, changed, *weights):
            kept, changed, moved = self._forward([kept, changed], weights, training)

            def gradient(*upstream):
                # The remaining gradients belong to the updated moving statistics and
                # are not used.
                upstream = keras.tree.flatten(upstream)[:2]
                return tuple(
                    self._backward([kept, changed], weights, upstream, training)
                )

            return (kept, changed, *moved), gradient

        kept, changed, *moved = run(*streams, *weights)
        return kept, changed, moved

    def _split(self, weights: Sequence[Tensor]) -> Iterator[list[Tensor]]:
        """Yields each branch's part of the weights."""
        start = 0
        for branch in self.branches:
            end = start + len(branch.variables)
            yield list(weights[start:end])
            start = end

    def _move_statistics(self, moved: Sequence[Tensor]) -> None:
        """Assigns the updated moving statistics of the batch normalisations."""
        fixed = [v for branch in self.branches for v in branch.non_trainable_variables]
        for variable, value in zip(fixed, moved, strict=True):
            # `moved` also contains frozen weights, which may be rounded to half
            # precision and must not be assigned.
            if variable.name.startswith("moving_"):
                variable.assign(value)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the input."""
        return input_shape

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        own = {"units": self.units, "synchronized": self.synchronized}
        return {**super().get_config(), **own}


def _values(branch: Branch) -> list[Tensor]:
    """Returns copies of a branch's variables as tensors, trainable variables first.

    TensorFlow does not allow variables as inputs of a custom gradient.
    """
    variables = [*branch.trainable_variables, *branch.non_trainable_variables]
    return [ops.copy(variable.value) for variable in variables]


def _apply(branch, weights, stream, training):
    """Returns a branch's output and the new values of its non-trainable variables."""
    count = len(branch.trainable_variables)
    change, moved = branch.stateless_call(
        list(weights[:count]), list(weights[count:]), stream, training=training
    )
    return ops.cast(change, stream.dtype), moved
