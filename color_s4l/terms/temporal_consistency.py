"""Predict of an image what was predicted in the epoch before.

L_temp of Rebuffi et al.'s second phase: the Kullback-Leibler divergence between the
probabilities of the same image one epoch ago and now.
"""

import dataclasses

import keras
from keras import ops

from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term


class LastPredictions(keras.layers.Layer):
    """What was last predicted of every unlabelled image.

    Args:
        num_examples: Rows.
        num_classes: Columns.
    """

    def __init__(self, num_examples: int, num_classes: int):
        super().__init__(name="last_predictions", dtype="float32")
        # Logarithms of probabilities, all 0 before there are any.
        self.predictions = self.add_weight(
            name="predictions",
            shape=(num_examples, num_classes),
            initializer="zeros",
            trainable=False,
        )
        self.built = True

    def divergence(self, index, now):
        """How far predictions are from the last ones of the same images, in nats.

        Args:
            index: int32 `(batch,)`.
            now: Logarithms of probabilities, float `(batch, classes)`.

        Returns:
            Float `(batch,)`: sum p log(p / q), p being the last, q `now`; 0 where
            there is no last one.
        """
        last = ops.take(self.predictions, index, axis=0)
        known = ops.cast(ops.any(last < 0, axis=-1), "float32")
        return known * ops.sum(ops.exp(last) * (last - now), axis=-1)

    def replace(self, index, now) -> None:
        """Keeps new predictions; of an image that is there twice, one."""
        rows = ops.scatter_update(self.predictions, index[:, None], now)
        self.predictions.assign(rows)


@dataclasses.dataclass(frozen=True)
class TemporalConsistency(Term):
    """KL(epoch before || now), averaged over the unlabelled images.

    In the first epoch an image has no prediction yet and counts as 0.

    Attributes:
        weight: Factor on the loss.
        bn_stats: "both" or "supervised": whether the pass moves the batch statistics
            used for inference.
    """

    weight: float = 1.0
    bn_stats: str = "both"

    def views(self):
        """One augmentation, another in each epoch."""
        return ("weak",)

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def create_state(self, network, num_examples):
        """The last predictions."""
        return LastPredictions(num_examples, network.heads["class"].units)

    def loss(self, network, batch, state, progress):
        """Terms: `temporal_loss`."""
        student = student_pass(network, batch, "weak", self.bn_stats)
        now = ops.log_softmax(student.outputs["class"])
        apart = state.divergence(batch["index"], now)
        return Outcome(
            terms={"temporal_loss": self.weight * ops.mean(apart)},
            watch={},
            kept={
                "temporal_index": batch["index"],
                "temporal_predictions": ops.stop_gradient(now),
            },
        )

    def after_update(self, network, state, kept, progress):
        """Replaces the step's predictions."""
        state.replace(kept["temporal_index"], kept["temporal_predictions"])
