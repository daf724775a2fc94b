"""Labelled images in all four rotations: class and rotation of each.

Zhai et al. 2019 (S4L-Rotation, https://arxiv.org/abs/1905.03670) and its published
code: class cross-entropy of all four, and half of the rotation loss, the other half
being that of the unlabelled images (`Proxies`). It takes the place of the class loss
on upright images; supervising the turned ones "adds almost 1 %".
"""

import dataclasses

import keras
from keras import ops

from color_s4l.terms.term import Outcome, Term

LABELED_ROTATIONS = (
    "labeled",
    "labeled_rotated_90",
    "labeled_rotated_180",
    "labeled_rotated_270",
)
ROTATIONS = ("identity", "rotated_90", "rotated_180", "rotated_270")


@dataclasses.dataclass(frozen=True)
class LabeledRotations(Term):
    """Class and rotation cross-entropy over four rotations of each labelled image.

    Attributes:
        weight: Of the class loss; 1.
        proxy_weight: Of the rotation loss; 1/2, the mean of labelled and unlabelled
            images' rotation losses having the weight 1.
    """

    weight: float = 1.0
    proxy_weight: float = 0.5

    def views(self):
        """Four rotations."""
        return LABELED_ROTATIONS

    def heads(self, num_classes):
        """The class head, and a proxy head for four rotations."""
        return {"class": num_classes, "proxy": len(ROTATIONS)}

    def loss(self, network, batch, state, progress):
        """Terms: `class_rotations_loss`, `labeled_proxy_loss`.

        Watch: `rotations_error`, the share of turned images misclassified, in %.
        """
        views = [batch[name] for name in LABELED_ROTATIONS]
        outputs = network(ops.concatenate(views, axis=0), training=True)
        labels = ops.tile(batch["labels"], len(views))
        turns = ops.repeat(ops.arange(len(views), dtype="int32"), views[0].shape[0])
        entropy, turned = (
            keras.losses.sparse_categorical_crossentropy(
                wanted, outputs[head], from_logits=True
            )
            for wanted, head in ((labels, "class"), (turns, "proxy"))
        )
        wrong = ops.cast(ops.argmax(outputs["class"], axis=-1) != labels, "float32")
        return Outcome(
            terms={
                "class_rotations_loss": self.weight * ops.mean(entropy),
                "labeled_proxy_loss": self.proxy_weight * ops.mean(turned),
            },
            watch={"rotations_error": 100 * ops.mean(wrong)},
        )
