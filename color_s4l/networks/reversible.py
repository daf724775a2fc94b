"""A chain of reversible residual blocks that keeps no activation but its last.

Gomez et al. 2017, "The reversible residual network" (https://arxiv.org/abs/1707.04585).
The channels are two streams. One after the other is changed by a residual branch of
the other, so that the backward pass can take the change away again and needs nothing
remembered:

    kept, changed  ->  changed + branch(kept), kept
"""

from collections.abc import Sequence

import keras
from keras import layers, ops

from color_s4l import backend
from color_s4l.networks.normalization import BatchNormalization

# Of one branch: two 3x3 convolutions.
BRANCH_WINDOW = 5


class Branch(layers.Layer):
    """The residual function: normalisation, ReLU, 3x3 convolution, twice.

    Args:
        filters: Channels of the input and of the output.
        synchronized: Batch statistics over all TensorFlow replicas.
        name: Of the layer.
        dtype: Policy.
    """

    def __init__(self, filters: int, synchronized: bool, name=None, dtype=None):
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

    def build(self, input_shape):
        """Makes the weights for `(batch, rows, columns, filters)`."""
        for step in self.steps:
            step.build(input_shape)
        self.built = True

    def call(self, features, training=False):
        """`(batch, rows, columns, filters)` to the same shape."""
        for step in self.steps:
            # Of the three only the normalisation knows of training.
            if isinstance(step, BatchNormalization):
                features = step(features, training=training)
            else:
                features = step(features)
        return features


@keras.saving.register_keras_serializable(package="color_s4l")
class ReversibleStage(layers.Layer):
    """Reversible blocks of equal shape, one after the other.

    Its memory in training is that of one branch, whatever the number of blocks; it
    computes every branch once more. Under mixed precision the streams stay float32
    inside, where the branches compute: what was added must come off again.

    Args:
        units: Blocks, of two branches each.
        synchronized: Batch statistics over all TensorFlow replicas.
        recompute: False keeps every activation, as plain blocks do.
        name: Of the layer.
        dtype: Policy of the branches.
        trainable: Whether the weights are trained.
    """

    def __init__(
        self,
        units: int,
        synchronized: bool = False,
        recompute: bool = True,
        name=None,
        dtype=None,
        trainable=True,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable, autocast=False)
        self.units = units
        self.synchronized = synchronized
        self.recompute = recompute

    def build(self, input_shape):
        """Makes the branches.

        Raises:
            ValueError: The channels cannot be halved.
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
        """Receptive field in pixels of its input."""
        return 1 + len(self.branches) * (BRANCH_WINDOW - 1)

    def call(self, features, training=False):
        """`(batch, rows, columns, channels)` to the same shape."""
        streams = ops.split(ops.cast(features, self.variable_dtype), 2, axis=-1)
        training = bool(training)
        run = self._reversible if self.recompute else self._forward
        weights = [value for branch in self.branches for value in _values(branch)]
        *streams, moved = run(streams, weights, training)
        if training:
            self._move_statistics(moved)
        return ops.cast(ops.concatenate(streams, axis=-1), self.compute_dtype)

    def _forward(self, streams, weights, training):
        """The streams after all branches, and the values of their fixed variables."""
        kept, changed = streams
        moved = []
        for branch, own in zip(self.branches, self._shares(weights), strict=True):
            change, fixed = _apply(branch, own, kept, training)
            kept, changed = changed + change, kept
            moved += fixed
        return kept, changed, moved

    def _backward(self, streams, weights, upstream, training):
        """Gradients of the incoming streams and of the weights, from the outcome.

        The barrier keeps the backends from taking all changes away at once, long
        before the gradient arrives, which would fill the memory that is to be saved.
        """
        kept, changed = streams
        shares = list(self._shares(weights))
        found: list = []
        newest: list = []
        for branch, own in zip(reversed(self.branches), reversed(shares), strict=True):
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

    def _reversible(self, streams, weights, training):
        """`_forward`, whose gradient is `_backward`."""

        @ops.custom_gradient
        def run(kept, changed, *weights):
            # The moved statistics are no path for a gradient: their part is left out.
            kept, changed, moved = self._forward([kept, changed], weights, training)

            def gradient(*upstream):
                upstream = keras.tree.flatten(upstream)[:2]
                return tuple(
                    self._backward([kept, changed], weights, upstream, training)
                )

            return (kept, changed, *moved), gradient

        kept, changed, *moved = run(*streams, *weights)
        return kept, changed, moved

    def _shares(self, weights: Sequence):
        """Each branch's own part of the weights."""
        start = 0
        for branch in self.branches:
            end = start + len(branch.variables)
            yield list(weights[start:end])
            start = end

    def _move_statistics(self, moved):
        """Keeps what the batch normalisations have made of their statistics."""
        fixed = [v for branch in self.branches for v in branch.non_trainable_variables]
        for variable, value in zip(fixed, moved, strict=True):
            # Frozen weights are among them, perhaps rounded to half precision.
            if variable.name.startswith("moving_"):
                variable.assign(value)

    def compute_output_shape(self, input_shape):
        """The shape of the input."""
        return input_shape

    def get_config(self):
        """What the constructor takes."""
        return {
            **super().get_config(),
            "units": self.units,
            "synchronized": self.synchronized,
            "recompute": self.recompute,
        }


def _values(branch) -> list:
    """A branch's variables, trainable first, as tensors.

    Copied, as TensorFlow's own variables must not enter a custom gradient.
    """
    variables = [*branch.trainable_variables, *branch.non_trainable_variables]
    return [ops.copy(variable.value) for variable in variables]


def _apply(branch, weights, stream, training):
    """The branch with these weights: its change, and its fixed variables' values."""
    count = len(branch.trainable_variables)
    change, moved = branch.stateless_call(
        list(weights[:count]), list(weights[count:]), stream, training=training
    )
    return ops.cast(change, stream.dtype), moved
