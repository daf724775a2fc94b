"""Cross-entropy of proxy labels: which transformation was applied to an image.

The second term of Color-S4L's loss (Chen 2020, equation 1): rotations, flips and
recolouring, one label each, in the order of `tasks`. The paper writes the colour label
as 7; counted from 0 it is 6.
"""

import dataclasses
from typing import Annotated

from keras import ops

from color_s4l.fields import AtLeast
from color_s4l.networks.network import Gate, Network
from color_s4l.registry import PROXIES, register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, BnStats, moving_statistics
from color_s4l.terms.term import Outcome, Progress, State, Term

ROTATIONS = ("identity", "rotated_90", "rotated_180", "rotated_270")
# In the order of the published labels (Tran 2019).
SESEMI = (*ROTATIONS, "flipped_left_right", "flipped_up_down")
COLOR_S4L = (*SESEMI, "colorized")


@register_term("proxies")
@dataclasses.dataclass(frozen=True)
class Proxies(Term):
    """Proxy cross-entropy over all proxy views of the step's unlabelled images.

    Attributes:
        tasks: Names of registered proxy tasks; the position in the tuple is the label.
        weight: omega of the paper, 1.
        bn_stats: Whether the pass updates the moving statistics; "both" as in the
            published code.

    Raises:
        InputError: A task is not registered, or there is none.
    """

    tasks: tuple[str, ...] = COLOR_S4L
    weight: Annotated[float, AtLeast(0)] = 1.0
    bn_stats: BnStats = "both"

    one_pass = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for task in self.tasks or ("",):
            PROXIES.entry(task)  # raises an error for an unknown name

    def views(self) -> tuple[str, ...]:
        """Returns one view per task."""
        return self.tasks

    def heads(self, num_classes: int) -> dict[str, int | Gate]:
        """Returns the proxy head."""
        return {"proxy": len(self.tasks)}

    def proxy_tasks(self) -> tuple[str, ...]:
        """Returns the tasks."""
        return self.tasks

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `proxy_loss`; also logs the error rate `proxy_error` in %."""
        views = [batch[task] for task in self.tasks]
        with moving_statistics(network, self.bn_stats):
            logits = network(ops.concatenate(views, axis=0), training=True)["proxy"]
        labels = ops.repeat(ops.arange(len(views), dtype="int32"), views[0].shape[0])
        entropy = losses.label_entropy(labels, logits)
        return Outcome(
            terms={"proxy_loss": self.weight * ops.mean(entropy)},
            watch={"proxy_error": losses.error_rate(labels, logits)},
        )
