"""Cross-entropy of proxy labels: which transformation was applied to an image.

The second term of Color-S4L's loss (Chen 2020, equation 1): rotations, flips and
recolouring, one label each, in the order of `tasks`. The paper writes the colour label
as 7; here labels count from 0, so it is 6.
"""

import dataclasses
from typing import Annotated

import keras
from keras import ops
from keras.random import SeedGenerator

from color_s4l.backend import Tensor
from color_s4l.fields import AtLeast
from color_s4l.networks.network import Gate, Network
from color_s4l.registry import PROXIES, register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import (
    Batch,
    BnStats,
    joined,
    moving_statistics,
    student_pass,
)
from color_s4l.terms.term import Outcome, Progress, Shapes, State, Term

ROTATIONS = ("identity", "rotated_90", "rotated_180", "rotated_270")
# In the order of the published labels (Tran 2019).
SESEMI = (*ROTATIONS, "flipped_left_right", "flipped_up_down")
COLOR_S4L = (*SESEMI, "colorized")


@register_term("proxies", tested_with={"views_per_image": 3})
@dataclasses.dataclass(frozen=True)
class Proxies(Term):
    """Proxy cross-entropy over all proxy views of the step's unlabelled images.

    Attributes:
        tasks: Names of registered proxy tasks; the position in the tuple is the label.
        weight: Factor on the loss (omega in the paper); 1 as published.
        views_per_image: Number of views of each image in a step; 7 as published. If it
            is smaller than the number of tasks, different tasks are drawn for each
            image. A step is then cheaper, and the loss is an unbiased estimate of the
            loss over all tasks.
        bn_stats: "both": the pass updates the moving statistics, as in the published
            code; "supervised": it does not.

    Raises:
        InputError: A task is not registered, or `tasks` is empty.
    """

    tasks: tuple[str, ...] = COLOR_S4L
    weight: Annotated[float, AtLeast(0)] = 1.0
    views_per_image: Annotated[int, AtLeast(1)] = 7
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

    @property
    def _drawn(self) -> bool:
        return self.views_per_image < len(self.tasks)

    def unread_views(self) -> int:
        """Returns how many views of an image are made but not read in a step."""
        return max(0, len(self.tasks) - self.views_per_image)

    def draw(self, seed: SeedGenerator, shapes: Shapes) -> Tensor | None:
        """Draws the tasks of each unlabelled image.

        Returns:
            int32 `(groups, images per group, views_per_image)`; None if the loss reads
            all views.
        """
        if not self._drawn:
            return None
        shape = (*shapes["unlabeled"][:2], len(self.tasks))
        order = ops.argsort(keras.random.uniform(shape, seed=seed), axis=-1)
        return ops.cast(order[..., : self.views_per_image], "int32")

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `proxy_loss`; also logs the error rate `proxy_error` in %."""
        count = batch[self.tasks[0]].shape[0]
        if self._drawn:
            labels = ops.reshape(batch["draws"][self], (-1,))
            image = ops.repeat(ops.arange(count, dtype="int32"), self.views_per_image)
            images = joined([batch[task] for task in self.tasks])
            images = ops.take(images, labels * count + image, axis=0)
            with moving_statistics(network, self.bn_stats):
                logits = network(images, training=True)["proxy"]
        else:
            labels = ops.repeat(ops.arange(len(self.tasks), dtype="int32"), count)
            done = student_pass(network, batch, *self.tasks, bn_stats=self.bn_stats)
            logits = done.outputs["proxy"]
        entropy = losses.label_entropy(labels, logits)
        return Outcome(
            terms={"proxy_loss": self.weight * ops.mean(entropy)},
            watch={"proxy_error": losses.error_rate(labels, logits)},
        )
