"""Polyak averaging: evaluate the running average of the weights.

Zhai et al. 2019 (S4L, section 6, and its published code): the weights' part in the
average halves every epoch; zero-debiased, so that the first average is the first
weights. Training is not changed; the error of the average stands beside the other.
"""

import dataclasses

from keras import ops

from color_s4l.terms.parts.averages import Averages
from color_s4l.terms.term import Outcome, Term


@dataclasses.dataclass(frozen=True)
class Polyak(Term):
    """The average of the weights and of the moving statistics, evaluated as `average`.

    Attributes:
        half_life: In epochs (passes over the unlabelled images); 1 as published,
            where an epoch is a pass over the labelled ones of 200 to 1,000 passes.
    """

    half_life: float = 1.0

    def create_state(self, network, num_examples):
        """The average."""
        return Averages(network)

    def loss(self, network, batch, state, progress):
        """Nothing: it only watches."""
        return Outcome(terms={}, watch={})

    def after_update(self, network, state, kept, progress):
        """Moves the average by what zero-debiasing leaves of 1 - decay."""
        decay = 0.5 ** (1 / (self.half_life * progress.steps_per_epoch))
        # 0 after a step that loss scaling skipped: then as after the first.
        updates = ops.maximum(ops.cast(progress.step, "float32"), 1.0)
        state.move(network, (1 - decay) / (1 - ops.power(decay, updates)))

    def evaluated(self, network, state):
        """The average."""
        return {"average": state.values(network)}
