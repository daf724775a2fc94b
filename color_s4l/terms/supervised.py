"""Cross-entropy of the classes of labelled images.

The first term of Color-S4L's loss (Chen 2020, equation 1). Alone it is the supervised
baseline, which uses no unlabelled images.
"""

import dataclasses
from typing import Annotated

from keras import ops

from color_s4l.fields import AtLeast, Below
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, student_pass
from color_s4l.terms.term import Outcome, Progress, State, Term
from color_s4l.views.step import WEIGHTS


@register_term("supervised")
@dataclasses.dataclass(frozen=True)
class Supervised(Term):
    """Class cross-entropy, averaged over the labelled images of the step.

    With `balance`, each image's cross-entropy is first multiplied by the weight of its
    class.

    Attributes:
        weight: Factor on the loss; 1 as published.
        label_smoothing: Probability that is shared equally by all classes; 0 as
            published. airbench: 0.2.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    label_smoothing: Annotated[float, Below(1)] = 0.0

    reads = ("labeled",)
    class_weighted = True
    one_pass = True

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `class_loss`; also logs the error rate `train_error` in %."""
        logits = student_pass(network, batch, "labeled").outputs["class"]
        entropy = losses.label_entropy(batch["labels"], logits, self.label_smoothing)
        if WEIGHTS in batch:
            entropy = batch[WEIGHTS] * entropy
        return Outcome(
            terms={"class_loss": self.weight * ops.mean(entropy)},
            watch={"train_error": losses.error_rate(batch["labels"], logits)},
        )
