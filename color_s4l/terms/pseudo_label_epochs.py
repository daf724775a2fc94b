"""Pseudo-labels for one epoch: confident predictions are labels in the next epoch.

Lee 2013, in the form of a student report. In a warm-up the network trains on labels
only. Then all unlabelled images are classified at the end of each epoch. If the
probability of an image's most probable class reaches a threshold, this class is the
label of the image in the next epoch; else the image has no label.
"""

import dataclasses
from typing import Annotated

import numpy as np
from keras import ops

from color_s4l.fields import AtLeast, Between
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.memory import Memory
from color_s4l.terms.passes import Batch, BnStats, student_pass
from color_s4l.terms.term import Outcome, Progress, State, Term

# Value for an image without a pseudo-label.
NONE = -1


@register_term("pseudo_label_epochs", tested_with={"threshold": 0.1, "warm_up": 0.0})
@dataclasses.dataclass(frozen=True)
class PseudoLabelEpochs(Term):
    """Cross-entropy with the last epoch's pseudo-label, averaged over the images.

    Attributes:
        weight: Factor on the loss; 1: a pseudo-labelled image counts like a labelled
            one.
        threshold: Smallest probability of a pseudo-label; 0.95. The report also tries
            0.75 and 0.6. Above 1: no pseudo-labels.
        warm_up: Share of the run that trains on labels only; 10 of 300 epochs.
        bn_stats: "both": the pass updates the moving statistics; "supervised": it does
            not.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    threshold: Annotated[float, AtLeast(0)] = 0.95
    warm_up: Annotated[float, Between(0, 1)] = 10 / 300
    bn_stats: BnStats = "both"

    reads = ("weak",)
    predicts_images = True

    def create_state(self, network: Network, num_examples: int) -> Memory:
        """Returns the pseudo-labels, none at first."""
        return Memory(num_examples, initial=NONE)

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `pseudo_epochs_loss`.

        Also logs `pseudo_epochs_labeled`, the percentage of images with a pseudo-label.
        """
        outputs = student_pass(network, batch, "weak", bn_stats=self.bn_stats).outputs
        labels = ops.cast(state.read(batch["index"]), "int32")
        known = ops.cast(labels != NONE, "float32")
        entropy = losses.label_entropy(ops.maximum(labels, 0), outputs["class"])
        return Outcome(
            terms={"pseudo_epochs_loss": self.weight * ops.mean(known * entropy)},
            watch={"pseudo_epochs_labeled": 100 * ops.mean(known)},
        )

    def after_epoch(
        self, state: State, probabilities: np.ndarray, progress: Progress
    ) -> None:
        """Replaces all pseudo-labels, after the warm-up."""
        if progress.step < self.warm_up * progress.steps:
            return
        confident = probabilities.max(axis=1) >= self.threshold
        state.write_all(np.where(confident, probabilities.argmax(axis=1), NONE))
