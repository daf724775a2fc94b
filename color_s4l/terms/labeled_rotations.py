"""Class loss and rotation loss of labelled images in all four rotations.

Zhai et al. 2019 (S4L-Rotation, https://arxiv.org/abs/1905.03670) and its published
code: class cross-entropy of all four rotations, and half of the rotation loss; the
other half is the rotation loss of the unlabelled images (`Proxies`). The term replaces
the class loss on upright images. According to the paper, the class loss on the rotated
images improves the result by almost 1 %.
"""

import dataclasses
from typing import Annotated

from keras import ops

from color_s4l.fields import AtLeast
from color_s4l.networks.network import Gate, Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, student_pass
from color_s4l.terms.term import Outcome, Progress, State, Term


@register_term("labeled_rotations")
@dataclasses.dataclass(frozen=True)
class LabeledRotations(Term):
    """Class and rotation cross-entropy over four rotations of each labelled image.

    Attributes:
        weight: Factor on the class loss; 1.
        proxy_weight: Factor on the rotation loss; 1/2, because the mean of the
            rotation losses of labelled and unlabelled images has the weight 1.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    proxy_weight: Annotated[float, AtLeast(0)] = 0.5

    reads = (
        "labeled",
        "labeled_rotated_90",
        "labeled_rotated_180",
        "labeled_rotated_270",
    )

    def heads(self, num_classes: int) -> dict[str, int | Gate]:
        """Returns the class head and a proxy head for four rotations."""
        return {"class": num_classes, "proxy": len(self.reads)}

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `class_rotations_loss` and `labeled_proxy_loss`.

        Also logs `rotations_error`: the class error over all four rotations of the
        labelled images, in percent.
        """
        outputs = student_pass(network, batch, *self.reads).outputs
        labels = ops.tile(batch["labels"], len(self.reads))
        count = batch["labels"].shape[0]
        turns = ops.repeat(ops.arange(len(self.reads), dtype="int32"), count)
        classes = losses.label_entropy(labels, outputs["class"])
        rotations = losses.label_entropy(turns, outputs["proxy"])
        return Outcome(
            terms={
                "class_rotations_loss": self.weight * ops.mean(classes),
                "labeled_proxy_loss": self.proxy_weight * ops.mean(rotations),
            },
            watch={"rotations_error": losses.error_rate(labels, outputs["class"])},
        )
