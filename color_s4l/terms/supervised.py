"""Cross-entropy of the classes on labelled images.

The first term of Color-S4L's loss (Chen 2020, equation 1); alone it is the
supervised baseline, which no unlabelled image reaches.
"""

import dataclasses

import keras
from keras import ops

from color_s4l.terms.term import Outcome, Term
from color_s4l.views.step import WEIGHTS


@dataclasses.dataclass(frozen=True)
class Supervised(Term):
    """Class cross-entropy, averaged over the labelled images of the step.

    With `--balance` each image's entropy has the weight of its class first.

    Attributes:
        weight: Factor on the loss; 1 as published.
    """

    class_weighted = True
    one_pass = True
    weight: float = 1.0

    def views(self):
        """The labelled images."""
        return ("labeled",)

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def loss(self, network, batch, state, progress):
        """Terms: `class_loss`. Watch: `train_error`, the share misclassified, in %."""
        logits = network(batch["labeled"], training=True)["class"]
        entropy = keras.losses.sparse_categorical_crossentropy(
            batch["labels"], logits, from_logits=True
        )
        if WEIGHTS in batch:  # --balance
            entropy = batch[WEIGHTS] * entropy
        wrong = ops.cast(ops.argmax(logits, axis=-1) != batch["labels"], "float32")
        return Outcome(
            terms={"class_loss": self.weight * ops.mean(entropy)},
            watch={"train_error": 100 * ops.mean(wrong)},
        )
