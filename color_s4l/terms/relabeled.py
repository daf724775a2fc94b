"""Cross-entropy with the labels that an earlier training gave the unlabelled images.

Zhai et al. 2019 (S4L, section 4.2) retrain on such labels, all of them, without a
threshold; Rebuffi et al.'s second phase (L_pseudo) fits them, hard or soft.
"""

import dataclasses

from keras import ops

from color_s4l.terms.parts import mixing
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term


@dataclasses.dataclass(frozen=True)
class Relabeled(Term):
    """Class cross-entropy over the weak views of the unlabelled images.

    Attributes:
        weight: Factor on the loss.
        hard: The most probable class alone is the label; else all probabilities are.
        bn_stats: "both" or "supervised": whether the pass moves the batch statistics
            used for inference.
    """

    weight: float = 1.0
    hard: bool = True
    bn_stats: str = "both"

    def views(self):
        """One augmentation, and the labels."""
        return ("weak", "targets")

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def loss(self, network, batch, state, progress):
        """Terms: `relabeled_loss`. Watch: `relabeled_error`, disagreement in %."""
        logits = student_pass(network, batch, "weak", self.bn_stats).outputs["class"]
        targets = batch["targets"]
        best = ops.argmax(targets, axis=-1)
        if self.hard:
            targets = ops.one_hot(best, targets.shape[-1], dtype="float32")
        entropy = mixing.cross_entropy(targets, logits)
        wrong = ops.cast(ops.argmax(logits, axis=-1) != best, "float32")
        return Outcome(
            terms={"relabeled_loss": self.weight * ops.mean(entropy)},
            watch={"relabeled_error": 100 * ops.mean(wrong)},
        )
