"""Pseudo-labels for one epoch: confident predictions are labels in the next epoch.

Lee 2013, in the form of a student report. In a warm-up the network trains on labels
only. Then, if the probability of an unlabelled image's most probable class reaches a
threshold, this class is the label of the image in the next epoch. The pseudo-labels are
replaced in every epoch.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated

from keras import ops

from color_s4l.backend import Tensor
from color_s4l.fields import AtLeast, Between
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.memory import Memory
from color_s4l.terms.passes import Batch, BnStats, pseudo_labels, student_pass
from color_s4l.terms.term import Kept, Outcome, Progress, State, Term

# Value for an image without a pseudo-label.
NONE = -1


@register_term("pseudo_label_epochs", tested_with={"threshold": 0.1, "warm_up": 0.0})
@dataclasses.dataclass(frozen=True)
class PseudoLabelEpochs(Term):
    """Cross-entropy with the last epoch's pseudo-label, averaged over the images.

    Differs from the report: there, all pseudo-labels are computed at the end of an
    epoch. Here, an image's pseudo-label is computed by the pass that trains on the
    image, so that no further passes are needed.

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
            kept={
                "pseudo_epochs_index": batch["index"],
                "pseudo_epochs_labels": self._next_labels(network, outputs, progress),
            },
        )

    def _next_labels(
        self, network: Network, outputs: Mapping[str, Tensor], progress: Progress
    ) -> Tensor:
        """Returns the labels for the next epoch, -1 where there is none."""
        labels, confident = pseudo_labels(network, outputs, self.threshold)
        warm = ops.cast(progress.step, "float32") >= self.warm_up * progress.steps
        return ops.where((confident > 0) & warm, labels, NONE)

    def after_update(
        self, network: Network, state: State, kept: Kept, progress: Progress
    ) -> None:
        """Replaces the pseudo-labels of the step's images."""
        state.write(kept["pseudo_epochs_index"], kept["pseudo_epochs_labels"])
