"""Pi-model: two passes over one image agree.

Laine & Aila 2017 (algorithm 1, https://arxiv.org/abs/1610.02242): squared distance of
the class probabilities of two differently augmented views, each with its own dropout.
"""

import dataclasses

from keras import ops

from color_s4l.terms.parts import distances, ramps
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term


@dataclasses.dataclass(frozen=True)
class PiModel(Term):
    """Squared distance of two predictions, averaged over classes and unlabelled images.

    Differs from the paper: the weight. Its 100 x labels / images is for one batch of
    labelled and other images, where the class loss has the factor labels / images too:
    relative to ours, a mean over labelled images, it is 100, for Adam and 300 epochs.
    With our SGD it drowns the class loss of a short run (built-in digits, 100 labels,
    10 epochs, one seed: 63 % error, supervised 42 %, weight 10 26 %). USB's 10 is for
    SGD with Nesterov's momentum and a class loss like ours.

    Attributes:
        weight: At the end of the ramp, for a mean over classes; USB's 10. The paper:
            100 (see above); realistic-ssl-evaluation: 20.
        ramp: "sigmoid" as published, or USB's "linear".
        ramp_share: Of the run; 80 of 300 epochs. USB: 0.4.
        both_sides: Whether gradient flows into both passes, as published; USB: only
            into the second.
        bn_stats: "both" or "supervised": whether the passes move the batch statistics
            used for inference.
    """

    weight: float = 10.0
    ramp: str = "sigmoid"
    ramp_share: float = 80 / 300
    both_sides: bool = True
    bn_stats: str = "both"

    def views(self):
        """Two augmentations."""
        return ("weak", "weak_2")

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def loss(self, network, batch, state, progress):
        """Terms: `pi_model_loss`. Watch: `pi_model_weight`."""
        passes = [
            student_pass(network, batch, view, self.bn_stats) for view in self.views()
        ]
        first, second = (ops.softmax(made.outputs["class"]) for made in passes)
        if not self.both_sides:
            first = ops.stop_gradient(first)
        distance = ops.mean(distances.squared(first, second))
        weight = self.weight * ramps.factor(self.ramp, progress, self.ramp_share)
        return Outcome(
            terms={"pi_model_loss": weight * distance},
            watch={"pi_model_weight": weight},
        )
