"""Interpolation consistency: the prediction for a mixture is the mixed prediction.

Verma et al. 2019 (ICT, https://arxiv.org/abs/1903.03825): the student's prediction for
a mixture of two unlabelled images should equal the same mixture of a Mean Teacher's
predictions for the two images.
"""

import dataclasses
from typing import Annotated

from keras import ops
from keras.random import SeedGenerator

from color_s4l.backend import Tensor
from color_s4l.fields import Above, AtLeast, Below
from color_s4l.networks.network import Network, Values
from color_s4l.registry import register_term
from color_s4l.terms import losses, mixing
from color_s4l.terms.mean_teacher import MeanTeacher
from color_s4l.terms.passes import Batch, moving_statistics
from color_s4l.terms.term import Outcome, Progress, Shapes, State


@register_term("ict", tested_with={"ramp_share": 0.03})
@dataclasses.dataclass(frozen=True)
class InterpolationConsistency(MeanTeacher):
    """Squared distance of predictions, averaged over classes and mixed images.

    Attributes:
        weight: Factor on the loss at the end of the ramp; 8 as in `MeanTeacher`.
            Differs from the paper: 100.
        decay: Decay of the teacher's weights after the ramp; 0.999 as published.
        ramp_decay: Decay during the ramp; also 0.999.
        ramp: "sigmoid" as published, or "linear".
        ramp_share: Length of the ramp as a share of the run; 100 of 400 epochs.
        bn_stats: "both": the student's pass over the mixed images updates the moving
            statistics; "supervised": it does not.
        alpha: Parameter of the Beta distribution of the proportions; 1 as published
            for CIFAR-10, 0.1 for SVHN.
        per_image: True: each image has its own proportion. False: all images of a
            step have the same proportion, as in the published code.
    """

    ramp_decay: Annotated[float, Below(1)] = 0.999
    ramp_share: Annotated[float, AtLeast(0)] = 1 / 4
    alpha: Annotated[float, Above(0)] = 1.0
    per_image: bool = False

    reads = ("weak",)

    def draw(self, seed: SeedGenerator, shapes: Shapes) -> Tensor:
        """Draws the proportions of the unlabelled images."""
        shape = shapes["unlabeled"][:2]
        return mixing.draw_shares(seed, shape, self.alpha, self.per_image)

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `ict_loss`; also logs `ict_weight`."""
        images, share = batch["weak"], ops.reshape(batch["draws"][self], (-1,))
        with network.apart(state.values(network)):
            teacher = ops.softmax(network(images, training=True)["class"])
        target = mixing.mix(teacher, mixing.swapped(teacher), share)
        mixed = mixing.mix(images, mixing.swapped(images), share)
        with moving_statistics(network, self.bn_stats):
            logits = network(mixed, training=True)["class"]
        student = ops.softmax(logits)
        distance = losses.squared_distance(student, ops.stop_gradient(target))
        weight = self.weight * progress.ramp(self.ramp, self.ramp_share)
        return Outcome(
            terms={"ict_loss": weight * ops.mean(distance)},
            watch={"ict_weight": weight},
        )

    def further_weights(self) -> tuple[str, ...]:
        """Returns the name of the teacher's weights."""
        return ("ict_teacher",)

    def evaluated(self, network: Network, state: State) -> dict[str, Values]:
        """Returns the teacher's weights, under another name than `MeanTeacher`'s."""
        return {"ict_teacher": state.values(network)}
