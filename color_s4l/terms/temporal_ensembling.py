"""Temporal ensembling: agree with one's own predictions of the epochs before.

Laine & Aila 2017 (algorithm 2, https://arxiv.org/abs/1610.02242): every unlabelled
image has a running mean of its predictions, one per epoch, corrected for its start
at zero.
"""

import dataclasses

import keras
from keras import ops

from color_s4l.terms.parts import distances, ramps
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term


class Ensemble(keras.layers.Layer):
    """The running predictions of all unlabelled images.

    Args:
        num_examples: Rows.
        num_classes: Columns.
    """

    def __init__(self, num_examples: int, num_classes: int):
        super().__init__(name="ensemble", dtype="float32")
        shape = (num_examples, num_classes)
        # Running means, from zero, and how many predictions are in each.
        self.predictions = self._zeros("predictions", shape)
        self.updates = self._zeros("updates", shape[:1])
        self.built = True

    def _zeros(self, name, shape):
        return self.add_weight(
            name=name, shape=shape, initializer="zeros", trainable=False
        )

    def targets(self, index, decay: float):
        """The corrected means of some images.

        Args:
            index: int32 `(batch,)`.
            decay: Of the means.

        Returns:
            Float `(batch, classes)`, each row a distribution, or 0 where there is no
            prediction yet; and float `(batch,)`: 1 where there is one, else 0.
        """
        updates = ops.take(self.updates, index)
        known = ops.cast(updates > 0, "float32")
        corrected = 1 - ops.power(decay, updates)
        corrected = ops.where(updates > 0, corrected, 1.0)
        return ops.take(self.predictions, index, axis=0) / corrected[:, None], known

    def move(self, index, predictions, decay: float) -> None:
        """Takes new predictions into the means.

        Args:
            index: int32 `(batch,)`; of an image that is there twice, one counts.
            predictions: Float `(batch, classes)`.
            decay: Of the means.
        """
        rows = index[:, None]
        means = ops.take(self.predictions, index, axis=0)
        means = decay * means + (1 - decay) * predictions
        updates = ops.take(self.updates, index) + 1
        self.predictions.assign(ops.scatter_update(self.predictions, rows, means))
        self.updates.assign(ops.scatter_update(self.updates, rows, updates))


@dataclasses.dataclass(frozen=True)
class TemporalEnsembling(Term):
    """Squared distance from the running prediction, averaged over classes and images.

    An image without a prediction yet, in the first epoch, counts as distance 0.

    The published weight is 30 x labels / images in one batch of labelled and other
    images, where the class loss has the factor labels / images too: relative to ours,
    a mean over labelled images, it is 30.

    Attributes:
        weight: At the end of the ramp, for a mean over classes; 30 (see above).
        decay: alpha, of the running predictions, in [0, 1); 0.6. In 300 epochs; with
            a few epochs the correction makes it their plain mean almost.
        ramp: "sigmoid" as published, or "linear".
        ramp_share: Of the run; 80 of 300 epochs.
        bn_stats: "both" or "supervised": whether the pass moves the batch statistics
            used for inference.
    """

    weight: float = 30.0
    decay: float = 0.6
    ramp: str = "sigmoid"
    ramp_share: float = 80 / 300
    bn_stats: str = "both"

    def views(self):
        """One augmentation, another in each epoch."""
        return ("weak",)

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def create_state(self, network, num_examples):
        """The running predictions."""
        return Ensemble(num_examples, network.heads["class"].units)

    def loss(self, network, batch, state, progress):
        """Terms: `ensembling_loss`. Watch: `ensembling_weight`."""
        student = student_pass(network, batch, "weak", self.bn_stats)
        predictions = ops.softmax(student.outputs["class"])
        targets, known = state.targets(batch["index"], self.decay)
        distance = known * distances.squared(predictions, targets)
        weight = self.weight * ramps.factor(self.ramp, progress, self.ramp_share)
        return Outcome(
            terms={"ensembling_loss": weight * ops.mean(distance)},
            watch={"ensembling_weight": weight},
            kept={
                "ensembling_index": batch["index"],
                "ensembling_predictions": ops.stop_gradient(predictions),
            },
        )

    def after_update(self, network, state, kept, progress):
        """Takes the step's predictions into the means."""
        state.move(kept["ensembling_index"], kept["ensembling_predictions"], self.decay)
