"""A class head that classifies by weighted k nearest neighbours.

Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric Instance
Discrimination" (https://arxiv.org/abs/1805.01978): the k labelled images with the most
similar features (cosine) vote for their class, each with the weight
exp(similarity / 0.07).
"""

import typing

import keras
import numpy as np
from keras import layers, ops

from color_s4l.backend import Tensor

TEMPERATURE = 0.07
# Added to every share of votes, so that a class without votes has a finite logit.
SMALLEST_SHARE = 1e-6


@keras.saving.register_keras_serializable(package="color_s4l")
class NearestNeighbours(layers.Layer):
    """A head that maps features to the logarithm of each class's share of the votes.

    All labelled images that are as similar as the k-th one vote too. The layer computes
    in float32.

    Args:
        units: Number of classes.
        examples: Number of labelled images.
        neighbours: The number k, from 1 to `examples`.
        name: Name of the layer.
        dtype: Only float32 is accepted.

    Raises:
        ValueError: `dtype` is not float32.
    """

    def __init__(
        self,
        units: int,
        examples: int,
        neighbours: int,
        *,
        name: str | None = None,
        dtype: typing.Any = "float32",
    ):
        super().__init__(name=name, dtype=dtype, trainable=False)
        if self.compute_dtype != "float32":
            raise ValueError(f"Expected dtype float32. Received: {self.compute_dtype}.")
        self.units, self.examples, self.neighbours = units, examples, neighbours

    def build(self, input_shape: tuple) -> None:
        """Creates the features and the classes of the labelled images, all 0."""
        self.features = self.add_weight(
            (input_shape[-1], self.examples), "zeros", name="features", trainable=False
        )
        self.classes = self.add_weight(
            (self.examples, self.units), "zeros", name="classes", trainable=False
        )

    def set_examples(self, features: np.ndarray, labels: np.ndarray) -> None:
        """Assigns the labelled images; the layer must be built.

        Args:
            features: Float `(examples, channels)`; they need not be normalised.
            labels: Integers `(examples,)` from 0 to `units` - 1.
        """
        self.features.assign(keras.utils.normalize(features).T)
        self.classes.assign(np.eye(self.units, dtype="float32")[labels])

    def call(self, features: Tensor) -> Tensor:
        """Maps features `(batch, channels)` to logits `(batch, units)`."""
        features = ops.normalize(ops.cast(features, "float32"), axis=-1)
        similarity = ops.matmul(features, self.features)
        votes = ops.matmul(self._votes(similarity), self.classes)
        shares = votes / ops.sum(votes, axis=1, keepdims=True)
        return ops.log(shares + SMALLEST_SHARE)

    def _votes(self, similarity):
        """Returns the weight of each labelled image's vote, `(batch, examples)`."""
        largest, _ = ops.top_k(similarity, self.neighbours)
        weights = ops.exp((similarity - largest[:, :1]) / TEMPERATURE)
        return ops.where(similarity >= largest[:, -1:], weights, 0.0)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns `(batch, units)`."""
        return (input_shape[0], self.units)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "name": self.name,
            "units": self.units,
            "examples": self.examples,
            "neighbours": self.neighbours,
        }
