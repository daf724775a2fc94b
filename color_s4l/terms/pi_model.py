"""Pi-model: two passes over one image should give the same prediction.

Laine & Aila 2017 (algorithm 1, https://arxiv.org/abs/1610.02242): squared distance of
the class probabilities of two differently augmented views, each with its own dropout.
"""

import dataclasses
from typing import Annotated

from keras import ops

from color_s4l.fields import AtLeast
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, BnStats, student_pass
from color_s4l.terms.term import Outcome, Progress, Ramp, State, Term


@register_term("pi_model")
@dataclasses.dataclass(frozen=True)
class PiModel(Term):
    """Squared distance of two predictions, averaged over classes and unlabelled images.

    Differs from the paper: the weight. The paper's 100 x labels / images is for one
    batch of labelled and unlabelled images, where the class loss has the factor
    labels / images too. In this library the class loss is a mean over the labelled
    images, so the same weight is 100. It was chosen for Adam and 300 epochs. In a short
    run with SGD, as here, the class loss has no effect next to a consistency loss of
    this weight (built-in digits, 100 labels, 10 epochs, one seed: 63 % error;
    supervised 42 %; weight 10: 26 %). USB's 10 is for SGD with Nesterov momentum and
    the same class loss as here.

    Attributes:
        weight: Factor on the loss at the end of the ramp; USB's 10. The paper: 100 (see
            above); realistic-ssl-evaluation: 20.
        ramp: "sigmoid" as published, or USB's "linear".
        ramp_share: Length of the ramp as a share of the run; 80 of 300 epochs. USB:
            0.4.
        both_sides: True: gradient flows into both passes, as published. False: only
            into the second pass, as in USB.
        bn_stats: "both": the passes update the moving statistics; "supervised": they do
            not.
    """

    weight: Annotated[float, AtLeast(0)] = 10.0
    ramp: Ramp = "sigmoid"
    ramp_share: Annotated[float, AtLeast(0)] = 80 / 300
    both_sides: bool = True
    bn_stats: BnStats = "both"

    reads = ("weak", "weak_2")

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `pi_model_loss`; also logs `pi_model_weight`."""
        passes = [
            student_pass(network, batch, v, bn_stats=self.bn_stats) for v in self.reads
        ]
        first, second = (ops.softmax(made.outputs["class"]) for made in passes)
        if not self.both_sides:
            first = ops.stop_gradient(first)
        distance = ops.mean(losses.squared_distance(first, second))
        weight = self.weight * progress.ramp(self.ramp, self.ramp_share)
        return Outcome(
            terms={"pi_model_loss": weight * distance},
            watch={"pi_model_weight": weight},
        )
