"""Conditional entropy minimisation: confident predictions for unlabelled images.

Grandvalet & Bengio 2004; combined with VAT in Miyato et al. 2018 (section 4.1,
https://arxiv.org/abs/1704.03976). Without another term for the unlabelled images it
only makes the network more confident in its own predictions (Zhai et al. 2019, section
3).
"""

import dataclasses
from typing import Annotated

from keras import ops

from color_s4l.fields import AtLeast
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, BnStats, student_pass
from color_s4l.terms.term import ChosenViews, Outcome, Progress, Ramp, State


@register_term(
    "entropy", tested_with={"ramp_share": 0.03, "images": ("weak", "weak_2")}
)
@dataclasses.dataclass(frozen=True)
class Entropy(ChosenViews):
    """Entropy of the class prediction in nats, averaged over images.

    Attributes:
        images: Names of the views; by default the unlabelled images. S4L uses the
            labelled images too.
        weight: Factor at the end of the ramp; 1, as in Miyato et al. and in S4L (where
            VAT has the weight 0.5). USB: 0.06; MOAM: 0.3.
        ramp: "sigmoid", or USB's "linear".
        ramp_share: Length of the ramp as a share of the run; 0 as published: the full
            weight from the first step.
        bn_stats: "supervised": the pass does not update the moving statistics, as in
            the code of Miyato et al.; "both": it does.

    Raises:
        InputError: A view does not exist.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    ramp: Ramp = "sigmoid"
    ramp_share: Annotated[float, AtLeast(0)] = 0.0
    bn_stats: BnStats = "supervised"

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `entropy_loss`; also logs `entropy`, in nats."""
        done = student_pass(network, batch, *self.images, bn_stats=self.bn_stats)
        entropy = ops.mean(losses.entropy(done.outputs["class"]))
        weight = self.weight * progress.ramp(self.ramp, self.ramp_share)
        return Outcome(
            terms={"entropy_loss": weight * entropy}, watch={"entropy": entropy}
        )
