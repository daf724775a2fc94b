"""Attention distance: look at the same places of the weak and of the strong view.

A student report's extension of FixMatch: an attention module after the trunk
(`color_s4l.networks.attention`) weights the features' places; its maps of
both views, as distributions over the places, should agree for confident images.
"""

import dataclasses

from keras import ops

from color_s4l.terms.parts import distances, guesses
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term


@dataclasses.dataclass(frozen=True)
class AttentionDistance(Term):
    """Divergence of the strong view's attention from the weak view's.

    Gradient reaches both maps, as the report does not say that it stops. Averaged
    over all unlabelled images, confident or not, like FixMatch's own loss.

    Attributes:
        weight: 1: the distance is added to the loss.
        threshold: Least probability of the weak view's class; 0.95. The report also
            tries 0.75 and 0.6. Above 1, none counts.
        bn_stats: "both" or "supervised": as of `FixMatch`, whose passes it shares.
    """

    weight: float = 1.0
    threshold: float = 0.95
    bn_stats: str = "both"

    def views(self):
        """A weak and a strong one."""
        return ("weak", "strong")

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def attention(self):
        """The network gets the module."""
        return True

    def loss(self, network, batch, state, progress):
        """Terms: `attention_loss`."""
        weak = student_pass(network, batch, "weak", self.bn_stats).outputs
        strong = student_pass(network, batch, "strong", self.bn_stats).outputs
        _, sure = guesses.confident(guesses.guess(network, weak), self.threshold)
        distance = distances.divergence(_flat(weak), _flat(strong))
        return Outcome({"attention_loss": self.weight * ops.mean(sure * distance)}, {})


def _flat(outputs):
    """The attention map as a row of places, float32 `(batch, places)`."""
    maps = ops.cast(outputs["attention"], "float32")
    return ops.reshape(maps, (maps.shape[0], -1))
