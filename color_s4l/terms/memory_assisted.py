"""Memory-assisted training: predictions from a memory of each class's features.

Chen et al. 2018 (MA-DNN, https://doi.org/10.1007/978-3-030-01246-5_17, and the
published code yanbeic/semi-memory), a baseline of Rebuffi et al. 2019. The memory keeps
a mean feature vector (key) and a mean prediction (value) of each class. Images whose
features are near one key should have the prediction of this class.
"""

import dataclasses
from typing import Annotated

import keras
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.fields import AtLeast, Between
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms.passes import Batch, BnStats, student_pass
from color_s4l.terms.term import Kept, Outcome, Progress, State, Term

LEAST = 1e-8


class Prototypes(keras.layers.Layer):
    """The key and the value of each class.

    Args:
        num_classes: Number of classes.
        channels: Size of the features.
    """

    def __init__(self, num_classes: int, channels: int):
        super().__init__(name="prototypes", dtype="float32")
        self.keys = self.add_weight(
            name="keys",
            shape=(num_classes, channels),
            initializer="zeros",
            trainable=False,
        )
        self.values = self.add_weight(
            name="values",
            shape=(num_classes, num_classes),
            initializer=keras.initializers.Constant(1 / num_classes),
            trainable=False,
        )
        self.built = True

    def read(self, features: Tensor) -> Tensor:
        """Returns the memory's prediction for each image.

        Args:
            features: Float32 `(batch, channels)`.

        Returns:
            Float32 `(batch, classes)`: the mean of the values, weighted by the softmax
            of the negative sum of absolute differences to the keys.
        """
        distances = ops.sum(ops.abs(features[:, None] - self.keys[None]), axis=-1)
        return ops.matmul(ops.softmax(-distances), self.values)

    def move(
        self, labels: Tensor, features: Tensor, predictions: Tensor, rate: float
    ) -> None:
        """Moves keys and values towards those of labelled images (equations 1 and 2).

        For a class with n images in the batch, key and value move by the fraction
        rate * n / (1 + n) of the distance to the mean over these images. Each value is
        then scaled to sum to 1.

        Args:
            labels: int32 `(batch,)`.
            features: Float32 `(batch, channels)`.
            predictions: Probabilities, float32 `(batch, classes)`.
            rate: In [0, 1].
        """
        members = ops.one_hot(labels, self.keys.shape[0], dtype="float32")
        counts = ops.sum(members, axis=0)[:, None]
        moved = []
        for variable, found in ((self.keys, features), (self.values, predictions)):
            totals = ops.matmul(ops.transpose(members), ops.cast(found, "float32"))
            step = (totals - counts * variable) / (1 + counts)
            moved.append(variable + rate * step)
        self.keys.assign(moved[0])
        self.values.assign(moved[1] / ops.sum(moved[1], axis=1, keepdims=True))


@register_term("memory_assisted")
@dataclasses.dataclass(frozen=True)
class MemoryAssisted(Term):
    """Entropy of the memory's prediction, and its divergence from the network's.

    H(m) + max(m) KL(p || m) in nats, averaged over labelled and unlabelled images. p is
    the network's prediction. m is the memory's prediction: for a labelled image the
    value of its class, for an unlabelled image a mean of the values of all classes.
    Differs from the published code: the memory is updated after the step, not before
    the losses are computed; and for an unlabelled image, m is the weighted mean of the
    values, as in the paper.

    Attributes:
        weight: Factor on the loss; 1.
        rate: Rate of the memory's updates; 0.5.
        bn_stats: "both": the passes update the moving statistics; "supervised": the
            pass over the unlabelled images does not.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    rate: Annotated[float, Between(0, 1)] = 0.5
    bn_stats: BnStats = "both"

    reads = ("labeled", "weak")

    def create_state(self, network: Network, num_examples: int) -> Prototypes:
        """Returns the memory: keys 0, and values with equal probabilities."""
        classes = network.heads["class"].units
        return Prototypes(classes, network.trunk.output_shape[-1])

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `memory_loss`; also logs the entropy `memory_entropy` in nats."""
        labeled = student_pass(network, batch, "labeled").outputs
        weak = student_pass(network, batch, "weak", bn_stats=self.bn_stats).outputs
        known = ops.take(state.values, batch["labels"], axis=0)
        found = state.read(ops.cast(weak["pooled"], "float32"))
        memory = ops.concatenate([known, found], axis=0)
        logits = ops.concatenate([labeled["class"], weak["class"]], axis=0)
        log_p, log_m = ops.log_softmax(logits), ops.log(memory + LEAST)
        entropy = -ops.sum(memory * log_m, axis=-1)
        divergence = ops.sum(ops.exp(log_p) * (log_p - log_m), axis=-1)
        losses = entropy + ops.max(memory, axis=-1) * divergence
        return Outcome(
            terms={"memory_loss": self.weight * ops.mean(losses)},
            watch={"memory_entropy": ops.mean(entropy)},
            kept={
                "memory_labels": batch["labels"],
                "memory_features": ops.stop_gradient(labeled["pooled"]),
                "memory_predictions": ops.stop_gradient(ops.softmax(labeled["class"])),
            },
        )

    def after_update(
        self, network: Network, state: State, kept: Kept, progress: Progress
    ) -> None:
        """Moves the memory towards the labelled images of the step."""
        state.move(
            kept["memory_labels"],
            kept["memory_features"],
            kept["memory_predictions"],
            self.rate,
        )
