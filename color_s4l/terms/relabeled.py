"""Cross-entropy of unlabelled images with labels from an earlier training.

Zhai et al. 2019 (S4L, section 4.2) retrain on the predictions for all images, without
a threshold; the second phase of Rebuffi et al. 2019 (L_pseudo) fits hard or soft
predictions.
"""

import dataclasses
from typing import Annotated

from keras import ops

from color_s4l.fields import AtLeast
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, BnStats, student_pass
from color_s4l.terms.term import ChosenViews, Outcome, Progress, State
from color_s4l.views.step import TARGETS


@register_term("relabeled", tested_with={"images": ("weak", "weak_2")})
@dataclasses.dataclass(frozen=True)
class Relabeled(ChosenViews):
    """Class cross-entropy of the unlabelled images with their pseudo-labels.

    Attributes:
        images: Names of the views; each view of an image has the pseudo-label of the
            image. By default one view, augmented like a labelled image. S4L's training
            with all losses (MOAM) uses the four rotations.
        weight: Factor on the loss.
        hard: True: the target is the most probable class. False: the target is the
            distribution of all classes.
        bn_stats: "both": the pass updates the moving statistics; "supervised": it does
            not.

    Raises:
        InputError: A view does not exist.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    hard: bool = True
    bn_stats: BnStats = "both"

    def views(self) -> tuple[str, ...]:
        """Returns `images` and the pseudo-labels."""
        return (*super().views(), TARGETS)

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `relabeled_loss`.

        Also logs `relabeled_error`, the share of predictions that differ from the
        labels, in %.
        """
        done = student_pass(network, batch, *self.images, bn_stats=self.bn_stats)
        logits = done.outputs["class"]
        targets = ops.tile(batch[TARGETS], (len(self.images), 1))
        labels = ops.argmax(targets, axis=-1)
        if self.hard:
            targets = ops.one_hot(labels, targets.shape[-1], dtype="float32")
        entropy = losses.cross_entropy(targets, logits)
        return Outcome(
            terms={"relabeled_loss": self.weight * ops.mean(entropy)},
            watch={"relabeled_error": losses.error_rate(labels, logits)},
        )
