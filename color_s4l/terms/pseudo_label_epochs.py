"""Pseudo-labels for a whole epoch: images with a confident guess join the labelled.

Lee 2013, in the form of a student report: first a warm-up on labels alone; then every
unlabelled image whose most probable class reaches a threshold is trained on with that
class in the next epoch. The set is made anew in every epoch.
"""

import dataclasses

import keras
from keras import ops

from color_s4l.terms.parts import guesses
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term

NONE = -1


class Guesses(keras.layers.Layer):
    """The class that each unlabelled image was last taken for; -1: none.

    Args:
        num_examples: Unlabelled images.
    """

    def __init__(self, num_examples: int):
        super().__init__(name="guesses", dtype="float32")
        self.labels = self.add_weight(
            name="labels",
            shape=(num_examples,),
            initializer=keras.initializers.Constant(NONE),
            # As floats: TensorFlow has no variables of 32-bit integers on GPUs.
            dtype="float32",
            trainable=False,
        )
        self.built = True


@dataclasses.dataclass(frozen=True)
class PseudoLabelEpochs(Term):
    """Cross-entropy with the class guessed an epoch ago, averaged over the images.

    Differs from the report: there all images are guessed at the end of an epoch; here
    each one when the epoch comes to it, in the same pass that trains on it, so that
    an epoch costs no further one.

    Attributes:
        weight: 1: an image counts like a labelled one.
        threshold: Least probability of a guess; 0.95. The report also tries 0.75 and
            0.6. Above 1, none counts.
        warm_up: Share of the run on labels alone; 10 of 300 epochs.
        bn_stats: "both" or "supervised": whether the pass moves the batch statistics
            used for inference.
    """

    weight: float = 1.0
    threshold: float = 0.95
    warm_up: float = 10 / 300
    bn_stats: str = "both"

    def views(self):
        """One augmentation."""
        return ("weak",)

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def create_state(self, network, num_examples):
        """The guesses."""
        return Guesses(num_examples)

    def loss(self, network, batch, state, progress):
        """Terms: `pseudo_epochs_loss`. Watch: `pseudo_epochs_labeled`, in %."""
        outputs = student_pass(network, batch, "weak", self.bn_stats).outputs
        labels = ops.cast(ops.take(state.labels, batch["index"]), "int32")
        known = ops.cast(labels != NONE, "float32")
        entropy = keras.losses.sparse_categorical_crossentropy(
            ops.maximum(labels, 0), outputs["class"], from_logits=True
        )
        return Outcome(
            terms={"pseudo_epochs_loss": self.weight * ops.mean(known * entropy)},
            watch={"pseudo_epochs_labeled": 100 * ops.mean(known)},
            kept={
                "pseudo_epochs_index": batch["index"],
                "pseudo_epochs_labels": self._guesses(network, outputs, progress),
            },
        )

    def _guesses(self, network, outputs, progress):
        """The classes for the next epoch, -1 where none is probable enough."""
        guess = guesses.guess(network, outputs)
        labels, sure = guesses.confident(guess, self.threshold)
        warm = ops.cast(progress.step, "float32") >= self.warm_up * progress.steps
        return ops.where((sure > 0) & warm, labels, NONE)

    def after_update(self, network, state, kept, progress):
        """Takes the step's guesses over."""
        rows = kept["pseudo_epochs_index"][:, None]
        labels = ops.cast(kept["pseudo_epochs_labels"], "float32")
        state.labels.assign(ops.scatter_update(state.labels, rows, labels))
