"""A trunk with named heads, and the model that a user gets in the end."""

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
from keras import layers, ops

from color_s4l.networks.stages import stages
from color_s4l.views.preprocessing import Preprocessing

# The head of the classes, and the name of a saved model without it.
CLASSES = "class"
ENCODER = "encoder"


class Network(keras.Model):
    """One trunk, global average pooling, and a linear head per task.

    Heads: Tran 2019 (SESEMI), one dense layer each, dropout on the class branch
    only.

    Args:
        trunk: From preprocessed images to feature maps.
        heads: Name of each head -> its number of classes: `{"class": 10, "proxy": 7}`.
        dropout: Share of the pooled features dropped before the class head.
        attention: Gives a map by which features are multiplied; None: they are not.
    """

    def __init__(
        self,
        trunk: keras.Model,
        heads: Mapping[str, int],
        dropout: float,
        attention: keras.Model | None = None,
    ):
        super().__init__(name="network")
        self.trunk = trunk
        self.attention = attention
        self.pool = layers.GlobalAveragePooling2D(name="pool")
        self.dropout = layers.Dropout(dropout, name="class_dropout")
        self.heads = {
            name: layers.Dense(size, name=name) for name, size in heads.items()
        }

    def call(self, images, training=False):
        """Every intermediate by name.

        Args:
            images: Preprocessed, float `(batch, height, width, 3)`.
            training: Batch statistics and dropout, or their inference forms.

        Returns:
            `features` (batch, rows, columns, channels), `pooled` (batch, channels),
            and each head's logits, float32 (batch, classes), by the head's name;
            `attention` (batch, rows, columns, 1), where there is such a module.
        """
        # A frozen trunk is a fixed function, so its dropout is off too.
        features = self.trunk(images, training=training and self.trunk.trainable)
        return self.outputs_of(features, training)

    def outputs_of(self, features, training=False):
        """What `call` returns, from the trunk's features."""
        outputs = {"features": features}
        if self.attention is not None:
            outputs["attention"] = self.attention(features, training=training)
            features = features * outputs["attention"]
        pooled = outputs["pooled"] = self.pool(features)
        for name, head in self.heads.items():
            dropped = (
                self.dropout(pooled, training=training) if name == CLASSES else pooled
            )
            outputs[name] = ops.cast(head(dropped), "float32")
        return outputs

    @functools.cached_property
    def stages(self) -> tuple[keras.Model, ...]:
        """The trunk in pieces (`color_s4l.networks.stages`)."""
        return stages(self.trunk)

    @property
    def num_parameters(self) -> int:
        """All but the moving statistics, frozen ones too."""
        return sum(
            math.prod(weight.shape)
            for weight in self.weights
            if not weight.name.startswith("moving_")
        )

    @property
    def kernels(self) -> list[keras.Variable]:
        """The weights that decay: trained kernels, no biases, no scales, each once."""
        return [v for v in self.trainable_variables if v.name == "kernel"]

    @contextlib.contextmanager
    def moving_statistics_kept(self) -> Iterator[None]:
        """Inside, batch statistics are used but the moving ones end as they began.

        They are put back rather than shielded by a scope, so that dropout's
        random state still advances.
        """
        moving = [
            v for v in self.non_trainable_variables if v.name.startswith("moving_")
        ]
        before = [ops.copy(variable.value) for variable in moving]
        yield
        for variable, value in zip(moving, before, strict=True):
            variable.assign(value)

    @contextlib.contextmanager
    def apart(self, values: Sequence = ()) -> Iterator[None]:
        """Inside, passes move no statistics, and variables may have other values.

        Draws advance as in any pass, but where `values` holds their random states:
        then the masks are those drawn from these, and no trace remains.

        Args:
            values: Pairs of a variable of the network and the value in its place.
        """
        given = {id(variable) for variable, _ in values}
        own = [(v, v.value) for v in self.variables if id(v) not in given]
        with keras.StatelessScope([*own, *values]) as scope:
            yield
        for variable in self._random_states():
            if id(variable) not in given:
                variable.assign(scope.get_current_value(variable))

    @contextlib.contextmanager
    def replaced(self, values: Sequence) -> Iterator[None]:
        """Inside, variables hold other values: for evaluating and saving these.

        Args:
            values: Pairs of a variable of the network and the value in its place.
        """
        # Copies: JAX gives a step's arrays away, and what shares them with them.
        before = [(v, np.array(ops.convert_to_numpy(v))) for v, _ in values]
        values = [(v, np.array(ops.convert_to_numpy(value))) for v, value in values]
        try:
            for variable, value in values:
                variable.assign(value)
            yield
        finally:
            for variable, value in before:
                variable.assign(value)

    def random_states(self) -> list:
        """Pairs of each variable that its draws depend on, and the value it has now."""
        return [(v, ops.copy(v.value)) for v in self._random_states()]

    def _random_states(self) -> list:
        return [v for v in self.variables if "seed_generator_state" in v.name]


def inference_model(network: Network, preprocessing: Preprocessing) -> keras.Model:
    """Raw images in, class probabilities out; shares the network's weights.

    Args:
        network: Built.
        preprocessing: Built.

    Returns:
        A functional model `classifier` from uint8 `(batch, height, width, 3)` to
        float32 `(batch, classes)` that sum to 1. Of a network without classes
        (rotations alone, say) an `encoder`, to the pooled features.
    """
    images = keras.Input(network.trunk.input_shape[1:], dtype="uint8", name="images")
    features = network.trunk(preprocessing(images), training=False)
    if network.attention is not None:
        maps = network.attention(features, training=False)
        features = layers.Multiply()([features, maps])
    pooled = network.pool(features)
    if CLASSES not in network.heads:
        return keras.Model(images, pooled, name=ENCODER)
    logits = network.heads[CLASSES](pooled)
    softmax = layers.Softmax(dtype="float32", name="probabilities")
    return keras.Model(images, softmax(logits), name="classifier")
