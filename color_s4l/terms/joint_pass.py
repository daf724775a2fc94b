"""One forward pass for all views of a step, with common batch statistics.

Zhai et al. 2019 (S4L, published code): labelled and unlabelled images are concatenated
and go through the network together. SESEMI and Color-S4L have one pass for labelled
and one for unlabelled images.
"""

import dataclasses

from color_s4l.networks.network import Gate, Network
from color_s4l.registry import register_term
from color_s4l.terms.passes import Batch
from color_s4l.terms.term import Outcome, Progress, State, Term


@register_term("joint_pass")
@dataclasses.dataclass(frozen=True)
class JointPass(Term):
    """Makes the other terms of a method share one forward pass.

    The pass contains every view that a term of the method reads. Three kinds of passes
    stay separate: passes over mixed images, passes over views that are drawn for each
    image (`proxies.views_per_image`), and passes of a teacher.
    """

    joins_passes = True

    def heads(self, num_classes: int) -> dict[str, int | Gate]:
        """Returns no head."""
        return {}

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Returns no scalars."""
        return Outcome(terms={}, watch={})
