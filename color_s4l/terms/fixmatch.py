"""FixMatch: a strongly changed image is what its weak view was confidently taken for.

Sohn et al. 2020 (https://arxiv.org/abs/2001.07685).
"""

import dataclasses

import keras
from keras import ops

from color_s4l.terms.parts import guesses
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term


@dataclasses.dataclass(frozen=True)
class FixMatch(Term):
    """Cross-entropy of the strong view with the class of the weak one.

    Averaged over all unlabelled images, confident or not, as published. With its 64
    labelled and 448 unlabelled images: `--labeled_batch=64 --batch_size=448`.

    Attributes:
        weight: 1.
        threshold: Least probability of the weak view's class; 0.95. Above 1, none
            counts.
        bn_stats: "both" or "supervised": whether the passes move the batch
            statistics used for inference. The published ones do: labelled, weak and
            strong images go through the network together.
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

    def loss(self, network, batch, state, progress):
        """Terms: `fixmatch_loss`. Watch: `fixmatch_labeled`, the share, in %."""
        weak = student_pass(network, batch, "weak", self.bn_stats).outputs
        strong = student_pass(network, batch, "strong", self.bn_stats).outputs
        labels, sure = guesses.confident(guesses.guess(network, weak), self.threshold)
        entropy = keras.losses.sparse_categorical_crossentropy(
            labels, strong["class"], from_logits=True
        )
        return Outcome(
            terms={"fixmatch_loss": self.weight * ops.mean(sure * entropy)},
            watch={"fixmatch_labeled": 100 * ops.mean(sure)},
        )
