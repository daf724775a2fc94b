"""Pseudo-labels: train on the class that the same pass predicts confidently.

Lee 2013, in the form of USB (Wang et al. 2022) and of FixMatch's code: class
cross-entropy of a weak view with its own most probable class, if the probability of
this class reaches a threshold. The weight grows over the first part of the run.
"""

import dataclasses
from typing import Annotated

from keras import ops

from color_s4l.fields import AtLeast
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, BnStats, pseudo_labels, student_pass
from color_s4l.terms.term import Outcome, Progress, Ramp, State, Term


@register_term("pseudo_label", tested_with={"threshold": 0.1})
@dataclasses.dataclass(frozen=True)
class PseudoLabel(Term):
    """Cross-entropy with the pseudo-label, averaged over all unlabelled images.

    Attributes:
        weight: Factor at the end of the ramp; 1.
        threshold: Smallest probability of a pseudo-label; 0.95. Above 1: no
            pseudo-labels.
        ramp: "linear" as in USB, or "sigmoid".
        ramp_share: Length of the ramp as a share of the run; 0.4.
        bn_stats: "supervised", as published: the pass does not update the moving
            statistics; "both": it does.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    threshold: Annotated[float, AtLeast(0)] = 0.95
    ramp: Ramp = "linear"
    ramp_share: Annotated[float, AtLeast(0)] = 0.4
    bn_stats: BnStats = "supervised"

    reads = ("weak",)

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `pseudo_label_loss`.

        Also logs `pseudo_labeled`, the percentage of pseudo-labels that are used.
        """
        outputs = student_pass(network, batch, "weak", bn_stats=self.bn_stats).outputs
        labels, confident = pseudo_labels(network, outputs, self.threshold)
        entropy = losses.label_entropy(labels, outputs["class"])
        weight = self.weight * progress.ramp(self.ramp, self.ramp_share)
        return Outcome(
            terms={"pseudo_label_loss": weight * ops.mean(confident * entropy)},
            watch={"pseudo_labeled": 100 * ops.mean(confident)},
        )
