"""Interpolation consistency: the prediction of a mixture is the mixture of predictions.

Verma et al. 2019 (ICT, https://arxiv.org/abs/1903.03825): a Mean Teacher predicts two
unlabelled images, the student their mixture.
"""

import dataclasses

from keras import ops

from color_s4l.terms.mean_teacher import MeanTeacher
from color_s4l.terms.parts import distances, mixing, ramps
from color_s4l.terms.parts.passes import keeping
from color_s4l.terms.term import Outcome


@dataclasses.dataclass(frozen=True)
class InterpolationConsistency(MeanTeacher):
    """Squared distance, averaged over the classes and the mixed unlabelled images.

    Attributes:
        weight: At the end of the ramp, for a mean over classes; 8 as of `MeanTeacher`.
            Differs from the paper: 100.
        decay: Of the teacher after the ramp; 0.999 as published.
        ramp_decay: Before; also 0.999.
        ramp: "sigmoid" as published, or "linear".
        ramp_share: Of the run; 100 of 400 epochs.
        bn_stats: "both" or "supervised": whether the student's pass over mixtures
            moves the batch statistics used for inference.
        alpha: Of the Beta distribution of the proportions; 1 as published for
            CIFAR-10, 0.1 for SVHN.
        per_image: A proportion for each image, instead of one for the step as in the
            published code.
    """

    ramp_decay: float = 0.999
    ramp_share: float = 1 / 4
    alpha: float = 1.0
    per_image: bool = False

    def views(self):
        """One augmentation, for the teacher and, mixed, for the student."""
        return ("weak",)

    def draw(self, seed, shapes):
        """Proportions of the unlabelled images."""
        shape = shapes["unlabeled"][:2]
        return mixing.draw_shares(seed, shape, self.alpha, self.per_image)

    def loss(self, network, batch, state, progress):
        """Terms: `ict_loss`. Watch: `ict_weight`."""
        images, share = batch["weak"], ops.reshape(batch["draws"][self], (-1,))
        with network.apart(state.values(network)):
            teacher = ops.softmax(network(images, training=True)["class"])
        target = mixing.mix(teacher, mixing.swapped(teacher), share)
        mixed = mixing.mix(images, mixing.swapped(images), share)
        with keeping(network, self.bn_stats):
            logits = network(mixed, training=True)["class"]
        distance = distances.squared(ops.softmax(logits), ops.stop_gradient(target))
        weight = self.weight * ramps.factor(self.ramp, progress, self.ramp_share)
        return Outcome(
            terms={"ict_loss": weight * ops.mean(distance)},
            watch={"ict_weight": weight},
        )

    def evaluated(self, network, state):
        """The teacher, by a name that tells it from `MeanTeacher`'s."""
        return {"ict_teacher": state.values(network)}
