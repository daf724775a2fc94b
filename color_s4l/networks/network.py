"""A trunk with named heads and gates, and the model for inference."""

import contextlib
import functools
import math
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence

import keras
import numpy as np
from keras import layers, ops

from color_s4l.backend import Tensor
from color_s4l.networks import structure
from color_s4l.views.preprocessing import Preprocessing

# Name of the head that predicts the classes.
CLASSES = "class"
# Name of the last layer of a classifier, the softmax.
PROBABILITIES = "probabilities"
# Name of the inference model of a network without the head `CLASSES`.
ENCODER = "encoder"

# Pairs of a variable of the network and a value for it.
Values = Sequence[tuple[keras.Variable, Tensor]]


class Gate(typing.Protocol):
    """A function that builds a gate: a model whose output multiplies the features."""

    def __call__(
        self, features_shape: tuple[int, int, int], *, synchronized: bool
    ) -> keras.Model:
        """Builds the gate.

        Args:
            features_shape: `(rows, columns, channels)` of the trunk's features.
            synchronized: Whether batch statistics are computed over all replicas.

        Returns:
            A model from features `(batch, rows, columns, channels)` to a map that can
            be multiplied with them, for example `(batch, rows, columns, 1)`.
        """


class Readout:
    """The base class of heads that a term applies itself, to hypercolumns."""

    def build(self, channels: int) -> keras.Model:
        """Builds the head.

        Args:
            channels: Number of channels of a hypercolumn
                (`color_s4l.networks.hypercolumns`).
        """
        raise NotImplementedError


class Network(keras.Model):
    """A network of one trunk, global average pooling, and linear heads.

    As in Tran 2019 (SESEMI), each head is one dense layer, and only the class head has
    dropout. Gates multiply the features before the pooling.

    Args:
        trunk: Model from preprocessed images to feature maps.
        heads: Name -> number of outputs of a head, a layer from pooled features to
            logits, a `Gate`, or a `Readout`: `{"class": 10, "attention": attention}`.
        dropout: Drop rate of the pooled features before the class head.
        synchronized: Whether the gates' batch statistics are computed over all
            TensorFlow replicas.

    Attributes:
        heads: Name -> layer.
        gates: Name -> model.
        readouts: Name -> model from hypercolumns; not used by `call`.
    """

    def __init__(
        self,
        trunk: keras.Model,
        heads: Mapping[str, int | keras.layers.Layer | Gate | Readout],
        dropout: float,
        *,
        synchronized: bool = False,
    ):
        super().__init__(name="network")
        self.trunk = trunk
        self.gates: dict[str, keras.Model] = {
            name: gate(trunk.output_shape[1:], synchronized=synchronized)
            for name, gate in heads.items()
            if not isinstance(gate, int | layers.Layer | Readout)
        }
        self.pool = layers.GlobalAveragePooling2D(name="pool")
        self.dropout = layers.Dropout(dropout, name="class_dropout")
        self.readouts = {
            name: head.build(sum(stage.output_shape[-1] for stage in self.stages))
            for name, head in heads.items()
            if isinstance(head, Readout)
        }
        self.heads: dict[str, keras.layers.Layer] = {
            name: layers.Dense(head, name=name) if isinstance(head, int) else head
            for name, head in heads.items()
            if name not in self.gates and name not in self.readouts
        }

    def call(self, images: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Returns every intermediate result by name.

        Args:
            images: Preprocessed, float `(batch, height, width, 3)`.
            training: Whether to use batch statistics and dropout.

        Returns:
            `features` (batch, rows, columns, channels), `pooled` (batch, channels),
            the logits of each head, float32 (batch, outputs), and the map of each gate.
        """
        # A frozen trunk is a fixed function, so its dropout is off too.
        features = self.trunk(images, training=training and self.trunk.trainable)
        return self.outputs_of(features, training)

    def outputs_of(self, features: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Returns the result of `call` for given features of the trunk."""
        outputs = {"features": features}
        for name, gate in self.gates.items():
            outputs[name] = gate(outputs["features"], training=training)
            features = features * outputs[name]
        pooled = outputs["pooled"] = self.pool(features)
        for name, head in self.heads.items():
            dropped = (
                self.dropout(pooled, training=training) if name == CLASSES else pooled
            )
            outputs[name] = ops.cast(head(dropped), "float32")
        return outputs

    @functools.cached_property
    def stages(self) -> tuple[keras.Model, ...]:
        """The trunk, cut where the resolution changes (`structure.stages`)."""
        return structure.stages(self.trunk)

    @property
    def num_parameters(self) -> int:
        """Number of parameters, trainable and frozen, without moving statistics."""
        return sum(
            math.prod(weight.shape)
            for weight in self.weights
            if not weight.name.startswith("moving_")
        )

    @property
    def kernels(self) -> list[keras.Variable]:
        """The weights with weight decay: trainable kernels, not biases or scales."""
        return [v for v in self.trainable_variables if v.name == "kernel"]

    @contextlib.contextmanager
    def moving_statistics_kept(self) -> Iterator[None]:
        """Restores the moving statistics at the end of the `with` block.

        Forward passes inside the block use batch statistics. A `StatelessScope` is not
        used for this, because dropout's random state must advance, and the scope would
        leave it unchanged.
        """
        moving = [
            v for v in self.non_trainable_variables if v.name.startswith("moving_")
        ]
        before = [ops.copy(variable.value) for variable in moving]
        yield
        for variable, value in zip(moving, before, strict=True):
            variable.assign(value)

    def reestimate_statistics(self, batches: Iterable[Tensor]) -> None:
        """Replaces the moving statistics by the mean of the batches' statistics.

        Dropout is off. The statistics of frozen layers stay unchanged.

        Args:
            batches: Preprocessed images, float `(batch, height, width, 3)`, in batches
                of equal size.
        """
        norms, drops = [], []
        for layer in self._flatten_layers():
            if isinstance(layer, layers.BatchNormalization):
                norms.append((layer, layer.momentum))
            elif isinstance(layer, layers.Dropout):
                drops.append((layer, layer.rate))
        try:
            for layer, _ in drops:
                layer.rate = 0.0
            for number, images in enumerate(batches, start=1):
                for layer, _ in norms:
                    layer.momentum = 1 - 1 / number  # the mean of all batches so far
                self(images, training=True)
        finally:
            for layer, momentum in norms:
                layer.momentum = momentum
            for layer, rate in drops:
                layer.rate = rate

    @contextlib.contextmanager
    def apart(self, values: Values = ()) -> Iterator[None]:
        """Keeps the moving statistics unchanged during the `with` block.

        Random states advance as in any forward pass, except for the random states in
        `values`: dropout masks are drawn from the given values, and the network's own
        random states stay unchanged.

        Args:
            values: Variables of the network with their values inside the block.
        """
        given = {id(variable) for variable, _ in values}
        own = [(v, v.value) for v in self.variables if id(v) not in given]
        with keras.StatelessScope([*own, *values]) as scope:
            yield
        for variable in self._random_states():
            if id(variable) not in given:
                variable.assign(scope.get_current_value(variable))

    @contextlib.contextmanager
    def replaced(self, values: Values) -> Iterator[None]:
        """Assigns other values to variables for the duration of the `with` block.

        Used to evaluate and save a model with, for example, averaged weights.

        Args:
            values: Variables of the network with their values inside the block.
        """
        # Copied, because a JAX step can overwrite the arrays passed to it (donation).
        before = [(v, np.array(ops.convert_to_numpy(v))) for v, _ in values]
        values = [(v, np.array(ops.convert_to_numpy(value))) for v, value in values]
        try:
            for variable, value in values:
                variable.assign(value)
            yield
        finally:
            for variable, value in before:
                variable.assign(value)

    def random_states(self) -> list[tuple[keras.Variable, Tensor]]:
        """Returns the layers' random states with their current values, for `apart`."""
        return [(v, ops.copy(v.value)) for v in self._random_states()]

    def _random_states(self) -> list[keras.Variable]:
        return [v for v in self.variables if "seed_generator_state" in v.name]


def inference_model(network: Network, preprocessing: Preprocessing) -> keras.Model:
    """Returns a model from raw images to class probabilities.

    The model shares the weights of the network and of the preprocessing.

    Args:
        network: A built network.
        preprocessing: A built layer.

    Returns:
        A functional model `classifier` from uint8 `(batch, height, width, 3)` to
        float32 `(batch, classes)`; rows sum to 1. For a network without a class head
        (for example, trained only on rotations): a model `encoder` from raw images to
        the pooled features.
    """
    images = keras.Input(network.trunk.input_shape[1:], dtype="uint8", name="images")
    features = trunk_features = network.trunk(preprocessing(images), training=False)
    for gate in network.gates.values():
        weights = gate(trunk_features, training=False)
        features = layers.Multiply()([features, weights])
    pooled = network.pool(features)
    if CLASSES not in network.heads:
        return keras.Model(images, pooled, name=ENCODER)
    logits = network.heads[CLASSES](pooled)
    softmax = layers.Softmax(dtype="float32", name=PROBABILITIES)
    return keras.Model(images, softmax(logits), name="classifier")
