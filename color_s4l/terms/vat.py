"""Virtual adversarial training: consistency under the worst small change.

Miyato et al. 2018 (https://arxiv.org/abs/1704.03976); Zhai et al. 2019 (S4L, section
3). Power iteration finds the change of fixed length that changes the prediction for an
image most. Its direction is the gradient of the divergence, taken at a tiny change in a
random direction.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated

import keras
from keras import ops
from keras.random import SeedGenerator

from color_s4l import backend
from color_s4l.backend import Tensor
from color_s4l.errors import InputError
from color_s4l.fields import Above, AtLeast
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, BnStats, joined, rows_of, student_pass
from color_s4l.terms.term import (
    ChosenViews,
    Outcome,
    Progress,
    Ramp,
    Shapes,
    State,
)
from color_s4l.views.step import view

# Smallest `xi` in half precision. It changes each of 3,072 values by 0.18, well above
# the rounding error of bfloat16 near 1.
SMALLEST_HALF = 10.0


@register_term("vat", tested_with={"ramp_share": 0.03, "images": ("weak", "weak_2")})
@dataclasses.dataclass(frozen=True)
class Vat(ChosenViews):
    """Divergence of predictions under an adversarial change, averaged over the images.

    It is KL(p(x) || p(x + r)) in nats, where p is the prediction for an image x, and r
    is the change of length `epsilon` that power iteration finds. No gradient flows
    through p(x) and r.

    All passes of a step use the dropout masks of the pass over the unchanged images,
    so that the divergence without a change is exactly 0. Only that pass may update the
    moving batch statistics.

    Attributes:
        images: Names of the views whose images are changed; by default the unlabelled
            images. S4L uses the labelled images too.
        weight: Factor at the end of the ramp; 1. S4L: 0.5; MOAM, realistic-ssl: 0.3.
        epsilon: Euclidean length of the change over all values of an image; 8, the
            authors' value for CIFAR-10 with whitening and augmentation. Their images
            have the length 55, as images in this library at any size. The authors'
            value without augmentation: 10. Their 3.5 for SVHN (2.5 without
            augmentation) is for images of 3,072 values in [-0.5, 0.5], which have a
            length of at most 28. For images of the length 55 USB has 6 and a student
            report 10. S4L's 40 is for images of 150,528 values in [-1, 1], with a
            length of about 200.
        xi: Length of the change at which the gradient is taken; 1e-6 as in the
            authors' code and S4L. In float32 the divergence at this length consists of
            rounding errors. With one iteration the direction is still as good as with
            `xi` = 0.01 (measured by the divergence at `epsilon`). With five iterations
            it is worse (cosine with the exact direction 0.60; with 0.01: 0.97), so use
            0.01 in this case. Student report: 10.
        iterations: Number of power iterations; by default 1. With 0, the random
            direction is used unchanged. Student report: 5.
        ramp: "sigmoid", or USB's "linear".
        ramp_share: Length of the ramp as a share of the run; 0 as published: the full
            weight from the first step.
        warm_up: Share of the run before the loss is used; 0 as published. Student
            report: 35 of 300 epochs.
        bn_stats: "supervised": no pass updates the moving statistics, as in the
            authors' code; "both": the pass over the unchanged images does.

    Raises:
        InputError: A view does not exist; (`create_state`) `xi` is too small for half
            precision.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    epsilon: Annotated[float, AtLeast(0)] = 8.0
    xi: Annotated[float, Above(0)] = 1e-6
    iterations: Annotated[int, AtLeast(0)] = 1
    ramp: Ramp = "sigmoid"
    ramp_share: Annotated[float, AtLeast(0)] = 0.0
    warm_up: Annotated[float, AtLeast(0)] = 0.0
    bn_stats: BnStats = "supervised"

    def create_state(self, network: Network, num_examples: int) -> None:
        """Checks `xi` against the network's precision; returns no state."""
        precision = network.compute_dtype
        if precision != "float32" and self.xi < SMALLEST_HALF:
            raise InputError(
                f"vat.xi={self.xi:g} is rounded away in {precision}: use "
                f"`set`=vat.xi={SMALLEST_HALF:g} or more."
            )

    def draw(self, seed: SeedGenerator, shapes: Shapes) -> dict[str, Tensor]:
        """Draws a direction for each image of each view."""
        drawn = {}
        for name in self.images:
            source, copies = view(name)
            groups, count, *image = shapes[source]
            shape = (groups, count * copies, *image)
            drawn[name] = keras.random.normal(shape, seed=seed)
        return drawn

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `vat_loss`; also logs `vat_divergence`, in nats."""
        clean = student_pass(network, batch, *self.images, bn_stats=self.bn_stats)
        target = ops.stop_gradient(clean.outputs["class"])

        def divergence(change: Tensor) -> Tensor:
            # The other images of a joint pass stay unchanged.
            images = {name: batch[name] for name in clean.views}
            start = 0
            for name in self.images:
                stop = start + batch[name].shape[0]
                images[name] = images[name] + change[start:stop]
                start = stop
            with network.apart(clean.random_states):
                outputs = network(joined(list(images.values())), training=True)
            moved = rows_of(outputs["class"], batch, clean.views, self.images)
            return losses.divergence(target, moved)

        drawn = batch["draws"][self]
        direction = unit(
            joined([ops.reshape(drawn[v], batch[v].shape) for v in self.images])
        )
        for _ in range(self.iterations):
            direction = self._power_iteration(divergence, direction)
        mean = ops.mean(divergence(self.epsilon * direction))
        weight = self.weight * progress.ramp(self.ramp, self.ramp_share)
        weight = ops.where(progress.done(self.warm_up) < 1, 0.0, weight)
        return Outcome(
            terms={"vat_loss": weight * mean}, watch={"vat_divergence": mean}
        )

    def _power_iteration(
        self, divergence: Callable[[Tensor], Tensor], direction: Tensor
    ) -> Tensor:
        """Returns the direction of the divergence's gradient at a tiny change."""
        change = ops.stop_gradient(self.xi * direction)
        ones = ops.ones(direction.shape[:1])
        _, (gradient,) = backend.pullback(divergence, [change], ones)
        return unit(ops.stop_gradient(gradient))


def unit(directions: Tensor) -> Tensor:
    """Scales each direction to length 1.

    Each direction is divided by its largest value first, because the squares of tiny
    values would be rounded to 0.

    Args:
        directions: Float `(batch, ...)`.

    Returns:
        Float of the same shape; 0 stays 0.
    """
    axes = tuple(range(1, len(directions.shape)))
    largest = ops.max(ops.abs(directions), axis=axes, keepdims=True)
    scaled = directions / ops.where(largest > 0, largest, 1.0)
    length = ops.sqrt(ops.sum(ops.square(scaled), axis=axes, keepdims=True))
    return scaled / ops.where(length > 0, length, 1.0)
