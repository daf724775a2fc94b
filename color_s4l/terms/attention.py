"""Attention distance: both views should have the same attention map.

An extension of FixMatch from a student report: an attention module after the trunk
(`color_s4l.networks.attention`) weights the positions of the feature maps. For
confident images the maps of both views, as distributions over the positions, should
agree.
"""

import dataclasses
from typing import Annotated

from keras import ops

from color_s4l.backend import Tensor
from color_s4l.fields import AtLeast
from color_s4l.networks.attention import attention
from color_s4l.networks.network import Gate, Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, BnStats, pseudo_labels, student_pass
from color_s4l.terms.term import Outcome, Progress, State, Term


@register_term("attention", tested_with={"threshold": 0.1})
@dataclasses.dataclass(frozen=True)
class AttentionDistance(Term):
    """Divergence of the strong view's attention map from the weak view's.

    Gradient flows to both maps, because the report does not mention a stop of the
    gradient. The distance is 0 for images that are not confident; the loss is averaged
    over all unlabelled images, like FixMatch's loss.

    Attributes:
        weight: Factor on the loss; 1: the distance is added to the loss.
        threshold: Smallest probability of the weak view's class; 0.95. The report also
            tries 0.75 and 0.6. Above 1: no image is used.
        bn_stats: "both": the passes, which `FixMatch` also uses, update the moving
            statistics; "supervised": they do not.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    threshold: Annotated[float, AtLeast(0)] = 0.95
    bn_stats: BnStats = "both"

    reads = ("weak", "strong")

    def heads(self, num_classes: int) -> dict[str, int | Gate]:
        """Returns the class head and the attention module as a gate."""
        return {"class": num_classes, "attention": attention}

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `attention_loss`."""
        weak = student_pass(network, batch, "weak", bn_stats=self.bn_stats).outputs
        strong = student_pass(network, batch, "strong", bn_stats=self.bn_stats).outputs
        _, confident = pseudo_labels(network, weak, self.threshold)
        distance = losses.divergence(_flat(weak), _flat(strong))
        loss = self.weight * ops.mean(confident * distance)
        return Outcome(terms={"attention_loss": loss}, watch={})


def _flat(outputs: dict[str, Tensor]) -> Tensor:
    """Returns the flattened attention maps, float32 `(batch, rows * columns)`."""
    maps = ops.cast(outputs["attention"], "float32")
    return ops.reshape(maps, (maps.shape[0], -1))
