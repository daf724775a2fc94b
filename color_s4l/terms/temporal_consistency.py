"""Temporal consistency: the same prediction for an image as in the last epoch.

L_temp of the second phase of Rebuffi et al. 2019: the Kullback-Leibler divergence
between the probabilities of the same image one epoch ago and now.
"""

import dataclasses
from typing import Annotated

from keras import ops

from color_s4l.fields import AtLeast
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms.memory import Memory
from color_s4l.terms.passes import Batch, BnStats, student_pass
from color_s4l.terms.term import Kept, Outcome, Progress, State, Term


@register_term("temporal_consistency")
@dataclasses.dataclass(frozen=True)
class TemporalConsistency(Term):
    """Divergence of the predictions from those of the last epoch.

    It is KL(last || now) of the class probabilities in nats, averaged over the
    unlabelled images.

    In the first epoch an image has no earlier prediction, and its divergence is 0.

    Attributes:
        weight: Factor on the loss.
        bn_stats: "both": the pass updates the moving statistics; "supervised": it does
            not.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    bn_stats: BnStats = "both"

    reads = ("weak",)

    def create_state(self, network: Network, num_examples: int) -> Memory:
        """Returns the last log-probabilities, all 0 where there is no prediction."""
        return Memory(num_examples, (network.heads["class"].units,))

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `temporal_loss`."""
        student = student_pass(network, batch, "weak", bn_stats=self.bn_stats)
        now = ops.log_softmax(student.outputs["class"])
        last = state.read(batch["index"])
        known = ops.cast(ops.any(last < 0, axis=-1), "float32")
        distance = known * ops.sum(ops.exp(last) * (last - now), axis=-1)
        return Outcome(
            terms={"temporal_loss": self.weight * ops.mean(distance)},
            watch={},
            kept={
                "temporal_index": batch["index"],
                "temporal_predictions": ops.stop_gradient(now),
            },
        )

    def after_update(
        self, network: Network, state: State, kept: Kept, progress: Progress
    ) -> None:
        """Stores the step's predictions."""
        state.write(kept["temporal_index"], kept["temporal_predictions"])
