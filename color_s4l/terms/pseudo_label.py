"""Pseudo-labels: train on one's own confident guess, made in the same pass.

Lee 2013, in the form of USB (Wang et al. 2022) and of FixMatch's code: class
cross-entropy of a weak view with its own most probable class, where it is probable
enough; the weight grows over the first part of the run.
"""

import dataclasses

import keras
from keras import ops

from color_s4l.terms.parts import guesses, ramps
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term


@dataclasses.dataclass(frozen=True)
class PseudoLabel(Term):
    """Cross-entropy with the guessed class, averaged over all unlabelled images.

    Attributes:
        weight: At the end of the ramp; 1.
        threshold: Least probability of a guess; 0.95. Above 1, none counts.
        ramp: "linear" as in USB, or "sigmoid".
        ramp_share: Of the run; 0.4.
        bn_stats: "supervised": only labelled passes move the batch statistics used
            for inference, as published; or "both".
    """

    weight: float = 1.0
    threshold: float = 0.95
    ramp: str = "linear"
    ramp_share: float = 0.4
    bn_stats: str = "supervised"

    def views(self):
        """One augmentation."""
        return ("weak",)

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def loss(self, network, batch, state, progress):
        """Terms: `pseudo_label_loss`. Watch: `pseudo_labeled`, the share, in %."""
        outputs = student_pass(network, batch, "weak", self.bn_stats).outputs
        guess = guesses.guess(network, outputs)
        labels, sure = guesses.confident(guess, self.threshold)
        entropy = keras.losses.sparse_categorical_crossentropy(
            labels, outputs["class"], from_logits=True
        )
        weight = self.weight * ramps.factor(self.ramp, progress, self.ramp_share)
        return Outcome(
            terms={"pseudo_label_loss": weight * ops.mean(sure * entropy)},
            watch={"pseudo_labeled": 100 * ops.mean(sure)},
        )
