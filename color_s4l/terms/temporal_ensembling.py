"""Temporal ensembling: consistency with the predictions of earlier epochs.

Laine & Aila 2017 (algorithm 2, https://arxiv.org/abs/1610.02242): the target of an
unlabelled image is a moving average of the predictions for it, one per epoch. The
average starts at zero and is corrected for this start.
"""

import dataclasses
from typing import Annotated

import keras
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.fields import AtLeast, Below
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.memory import Memory
from color_s4l.terms.passes import Batch, BnStats, student_pass
from color_s4l.terms.term import Kept, Outcome, Progress, Ramp, State, Term


class Ensemble(keras.layers.Layer):
    """Moving averages of the predictions for all unlabelled images.

    Args:
        num_examples: Number of unlabelled images.
        num_classes: Number of classes.
    """

    def __init__(self, num_examples: int, num_classes: int):
        super().__init__(name="ensemble", dtype="float32")
        # The averages, which start at zero, and the number of predictions in each.
        self.averages = Memory(num_examples, (num_classes,))
        self.updates = Memory(num_examples)
        self.built = True

    def targets(self, index: Tensor, decay: float) -> tuple[Tensor, Tensor]:
        """Returns the corrected averages of some images.

        Args:
            index: int32 `(batch,)`.
            decay: Decay of the averages.

        Returns:
            Distributions, float `(batch, classes)`, 0 for images without a
            prediction; and a mask, float `(batch,)`: 1 for images with a prediction,
            else 0.
        """
        updates = self.updates.read(index)
        known = ops.cast(updates > 0, "float32")
        corrected = 1 - ops.power(decay, updates)
        corrected = ops.where(updates > 0, corrected, 1.0)
        return self.averages.read(index) / corrected[:, None], known

    def move(self, index: Tensor, predictions: Tensor, decay: float) -> None:
        """Adds new predictions to the averages.

        Args:
            index: int32 `(batch,)`; if an image occurs twice, one of its rows is used.
            predictions: Float `(batch, classes)`.
            decay: Decay of the averages.
        """
        averages = self.averages.read(index)
        averages = decay * averages + (1 - decay) * predictions
        self.averages.write(index, averages)
        self.updates.write(index, self.updates.read(index) + 1)


@register_term("temporal_ensembling")
@dataclasses.dataclass(frozen=True)
class TemporalEnsembling(Term):
    """Squared distance from the average prediction, averaged over classes and images.

    In the first epoch an image has no average yet; its distance is 0.

    The published weight is 30 x labels / images in one batch of labelled and
    unlabelled images, where the class loss has the factor labels / images too. In this
    library the class loss is a mean over the labelled images, so the same weight is 30.

    Attributes:
        weight: Factor on the loss at the end of the ramp; 30 (see above).
        decay: Decay of the averages (alpha in the paper), in [0, 1); 0.6, for 300
            epochs. In runs of a few epochs the corrected average is close to the mean
            of all predictions.
        ramp: "sigmoid" as published, or "linear".
        ramp_share: Length of the ramp as a share of the run; 80 of 300 epochs.
        bn_stats: "both": the pass updates the moving statistics; "supervised": it does
            not.
    """

    weight: Annotated[float, AtLeast(0)] = 30.0
    decay: Annotated[float, Below(1)] = 0.6
    ramp: Ramp = "sigmoid"
    ramp_share: Annotated[float, AtLeast(0)] = 80 / 300
    bn_stats: BnStats = "both"

    reads = ("weak",)

    def create_state(self, network: Network, num_examples: int) -> Ensemble:
        """Returns the averages."""
        return Ensemble(num_examples, network.heads["class"].units)

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `ensembling_loss`; also logs `ensembling_weight`."""
        student = student_pass(network, batch, "weak", bn_stats=self.bn_stats)
        predictions = ops.softmax(student.outputs["class"])
        targets, known = state.targets(batch["index"], self.decay)
        distance = known * losses.squared_distance(predictions, targets)
        weight = self.weight * progress.ramp(self.ramp, self.ramp_share)
        return Outcome(
            terms={"ensembling_loss": weight * ops.mean(distance)},
            watch={"ensembling_weight": weight},
            kept={
                "ensembling_index": batch["index"],
                "ensembling_predictions": ops.stop_gradient(predictions),
            },
        )

    def after_update(
        self, network: Network, state: State, kept: Kept, progress: Progress
    ) -> None:
        """Adds the step's predictions to the averages."""
        state.move(kept["ensembling_index"], kept["ensembling_predictions"], self.decay)
