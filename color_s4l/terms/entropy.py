"""Conditional entropy minimisation: be sure about unlabelled images.

Grandvalet & Bengio 2004, beside VAT as in Miyato et al. 2018 (section 4.1,
https://arxiv.org/abs/1704.03976). Alone it only makes the network surer of whatever it
says (Zhai et al. 2019, section 3).
"""

import dataclasses

from keras import ops

from color_s4l.terms.parts import distances, ramps
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term


@dataclasses.dataclass(frozen=True)
class Entropy(Term):
    """Entropy of the class prediction in nats, averaged over the unlabelled images.

    Attributes:
        weight: At the end of the ramp; 1, as in Miyato et al. and, with VAT's at 0.5,
            in S4L. USB: 0.06; MOAM: 0.3.
        ramp: "sigmoid", or USB's "linear".
        ramp_share: Of the run; 0 as published: the full weight from the first step.
        bn_stats: "both" or "supervised": whether the pass moves the batch statistics
            used for inference.
    """

    weight: float = 1.0
    ramp: str = "sigmoid"
    ramp_share: float = 0.0
    bn_stats: str = "both"

    def views(self):
        """One augmentation, VAT's."""
        return ("weak",)

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def loss(self, network, batch, state, progress):
        """Terms: `entropy_loss`. Watch: `entropy`, in nats."""
        logits = student_pass(network, batch, "weak", self.bn_stats).outputs["class"]
        entropy = ops.mean(distances.entropy(logits))
        weight = self.weight * ramps.factor(self.ramp, progress, self.ramp_share)
        return Outcome(
            terms={"entropy_loss": weight * entropy}, watch={"entropy": entropy}
        )
