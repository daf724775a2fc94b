"""FixMatch: the strong view has the class predicted confidently for the weak view.

Sohn et al. 2020 (https://arxiv.org/abs/2001.07685).
"""

import dataclasses
from typing import Annotated

from keras import ops

from color_s4l.fields import AtLeast
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, BnStats, pseudo_labels, student_pass
from color_s4l.terms.term import Outcome, Progress, State, Term


@register_term("fixmatch", tested_with={"threshold": 0.1})
@dataclasses.dataclass(frozen=True)
class FixMatch(Term):
    """Cross-entropy of the strong view with the pseudo-label of the weak view.

    Averaged over all unlabelled images, confident or not, as published. The published
    batches have 64 labelled and 448 unlabelled images (`labeled_batch`, `batch_size`).

    Attributes:
        weight: Factor on the loss; 1.
        threshold: Smallest probability of a pseudo-label; 0.95. Above 1: none.
        bn_stats: Whether the passes update the moving statistics; "both" as published,
            where labelled, weak and strong images are one batch.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    threshold: Annotated[float, AtLeast(0)] = 0.95
    bn_stats: BnStats = "both"

    reads = ("weak", "strong")

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `fixmatch_loss`.

        Also logs `fixmatch_labeled`, the percentage of pseudo-labels that are used.
        """
        weak = student_pass(network, batch, "weak", self.bn_stats).outputs
        strong = student_pass(network, batch, "strong", self.bn_stats).outputs
        labels, confident = pseudo_labels(network, weak, self.threshold)
        entropy = losses.label_entropy(labels, strong["class"])
        return Outcome(
            terms={"fixmatch_loss": self.weight * ops.mean(confident * entropy)},
            watch={"fixmatch_labeled": 100 * ops.mean(confident)},
        )
