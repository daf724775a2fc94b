"""MixMatch: predict, sharpen, and mix labelled with unlabelled images.

Berthelot et al. 2019 (https://arxiv.org/abs/1905.02249), in the form of USB (Wang et
al. 2022). The term replaces the class loss on plain images.
"""

import dataclasses
from typing import Annotated

import keras
from keras import ops
from keras.random import SeedGenerator

from color_s4l.backend import Tensor
from color_s4l.fields import Above, AtLeast
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses, mixing
from color_s4l.terms.passes import Batch, BnStats, student_pass, target_logits
from color_s4l.terms.term import Outcome, Progress, Ramp, Shapes, State, Term


@register_term("mixmatch")
@dataclasses.dataclass(frozen=True)
class MixMatch(Term):
    """Cross-entropy of mixed labelled images, squared distance of unlabelled ones.

    The partner of an image is drawn from all labelled and unlabelled images of the
    neighbouring group of the step (`StepBatches`). Differs from the paper: there, the
    whole batch is permuted, which is not possible with several devices.

    Attributes:
        weight: Factor on the loss of the unlabelled images at the end of the ramp; 100
            as in USB (150 for CIFAR-100; the paper: 75 for CIFAR-10). The ramps of
            USB and the paper last hundreds of thousands of steps. In runs of some
            hundred steps, at this library's learning rate, a network trained with 100
            predicts the same class for all images; 10 works well.
        temperature: Temperature of the sharpening; 0.5. 1: no sharpening.
        alpha: Parameter of the Beta distribution of the proportions; 0.5 as in USB
            (the paper: 0.75).
        per_image: True: each image has its own proportion, as in the paper's code.
            False: all images of a step have the same proportion, as in USB.
        ramp: "linear" as in USB, or "sigmoid".
        ramp_share: Length of the ramp as a share of the run; 0.4 as in USB (1/64 in
            the defaults of its code).
        bn_stats: Passes that update the moving statistics. "supervised": only the pass
            over the mixed labelled images, which is then separate from the pass over
            the others. "both": all passes, including those that predict the targets.
            Differs from the paper: in its code, and in USB, the mixed images are
            divided into parts of the size of the labelled batch, with labelled and
            unlabelled images interleaved, and only the first part updates the moving
            statistics.
    """

    weight: Annotated[float, AtLeast(0)] = 100.0
    temperature: Annotated[float, Above(0)] = 0.5
    alpha: Annotated[float, Above(0)] = 0.5
    per_image: bool = False
    ramp: Ramp = "linear"
    ramp_share: Annotated[float, AtLeast(0)] = 0.4
    bn_stats: BnStats = "supervised"

    reads = ("labeled", "weak", "weak_2")

    def draw(self, seed: SeedGenerator, shapes: Shapes) -> tuple[Tensor, Tensor]:
        """Draws the proportion and the partner of each labelled image and weak view."""
        groups, labeled = shapes["labeled"][:2]
        size = (groups, labeled + 2 * shapes["unlabeled"][1])
        shares = mixing.draw_shares(seed, size, self.alpha, self.per_image)
        return shares, ops.argsort(keras.random.uniform(size, seed=seed), axis=1)

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `mixmatch_loss` (labelled) and `mixmatch_distance` (unlabelled)."""
        share, order = batch["draws"][self]
        groups = order.shape[0]
        guess = self._guess(network, batch)
        labels = ops.one_hot(batch["labels"], guess.shape[-1], dtype="float32")
        images = [batch[name] for name in self.reads]
        share = ops.reshape(ops.maximum(share, 1 - share), (-1,))
        targets = _mixed([labels, guess, guess], share, order)
        labeled = labels.shape[0] // groups
        logits = self._logits(network, _mixed(images, share, order), labeled)
        entropy = losses.cross_entropy(targets[:, :labeled], logits[:, :labeled])
        distance = losses.squared_distance(
            ops.softmax(logits[:, labeled:]), targets[:, labeled:]
        )
        weight = self.weight * progress.ramp(self.ramp, self.ramp_share)
        return Outcome(
            terms={
                "mixmatch_loss": ops.mean(entropy),
                "mixmatch_distance": weight * ops.mean(distance),
            },
            watch={"mixmatch_weight": weight},
        )

    def _logits(self, network: Network, mixed: Tensor, labeled: int) -> Tensor:
        """Returns the logits of mixed images `(groups, members, ...)`.

        In each group the labelled images come first.
        """
        if self.bn_stats == "both":
            return _logits(network, mixed)
        first = _logits(network, mixed[:, :labeled])
        with network.moving_statistics_kept():
            others = _logits(network, mixed[:, labeled:])
        return ops.concatenate([first, others], axis=1)

    def _guess(self, network: Network, batch: Batch) -> Tensor:
        """Returns the sharpened mean prediction of both views, without gradient."""
        mean = 0.0
        for view in ("weak", "weak_2"):
            outputs = student_pass(network, batch, view, bn_stats=self.bn_stats).outputs
            mean = mean + ops.softmax(target_logits(network, outputs)) / 2
        return sharpened(mean, self.temperature)


def sharpened(probabilities: Tensor, temperature: float) -> Tensor:
    """Returns p^(1 / T), scaled to sum to 1.

    Args:
        probabilities: Float `(batch, classes)`.
        temperature: T, more than 0.
    """
    powers = ops.power(probabilities, 1 / temperature)
    return powers / ops.sum(powers, axis=-1, keepdims=True)


def _logits(network: Network, images: Tensor) -> Tensor:
    """Returns the logits `(groups, members, classes)` of images in groups."""
    groups, members = images.shape[:2]
    flat = ops.reshape(images, (groups * members, *images.shape[2:]))
    return _by_group(network(flat, training=True)["class"], groups)


def _by_group(tensor: Tensor, groups: int) -> Tensor:
    """Reshapes `(images, ...)` to `(groups, per group, ...)`."""
    return ops.reshape(tensor, (groups, -1, *tensor.shape[1:]))


def _mixed(parts: list[Tensor], share: Tensor, order: Tensor) -> Tensor:
    """Mixes labelled images and both views, or their targets, with their partners.

    Args:
        parts: Three tensors `(images, ...)`.
        share: Float `(groups * members,)`.
        order: int32 `(groups, members)`: positions of the partners in the neighbouring
            group.

    Returns:
        `(groups, members, ...)`; in each group the labelled images come first.
    """
    groups, members = order.shape
    own = ops.concatenate([_by_group(part, groups) for part in parts], axis=1)
    index = ops.reshape(order, (groups, members, *[1] * (len(own.shape) - 2)))
    partners = ops.take_along_axis(mixing.swapped(own), index, axis=1)
    flat = (groups * members, *own.shape[2:])
    mixed = mixing.mix(ops.reshape(own, flat), ops.reshape(partners, flat), share)
    return _by_group(mixed, groups)
