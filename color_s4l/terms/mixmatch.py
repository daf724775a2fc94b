"""MixMatch: guess, sharpen, and mix labelled with unlabelled images.

Berthelot et al. 2019 (https://arxiv.org/abs/1905.02249), in the form of USB (Wang et
al. 2022). It takes the place of the class loss on plain images.
"""

import dataclasses

import keras
from keras import ops

from color_s4l.terms.parts import distances, guesses, mixing, ramps
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term


@dataclasses.dataclass(frozen=True)
class MixMatch(Term):
    """Class cross-entropy of mixed labelled, squared distance of mixed other images.

    An image's partner is drawn from all labelled and unlabelled ones of the
    neighbouring group of the step (`StepBatches`): published is a permutation of the
    whole batch, which several devices could not share.

    Attributes:
        weight: Of the unlabelled images at the end of the ramp; 100 as in USB (150
            for CIFAR-100; the paper's is 75 for CIFAR-10). Their ramps last hundreds
            of thousands of steps: in a run of some hundred steps, at our learning
            rate, 100 ends with one prediction for all, and 10 does well.
        temperature: Of the sharpening; 0.5. 1 leaves the guess as it is.
        alpha: Of the Beta distribution of the proportions; 0.5 as in USB (the paper
            has 0.75).
        per_image: A proportion for each image, as in the paper's code, instead of
            one for the step, as in USB.
        ramp: "linear" as in USB, or "sigmoid".
        ramp_share: Of the run; 0.4 as in USB (1/64 in its code's defaults).
        bn_stats: What moves the batch statistics used for inference. "supervised": the
            mixed labelled images alone, which then have a pass of their own. "both":
            all passes, the guessing ones too.
            Differs from the paper: its code, and USB's, let only the first of several
            parts of the mixed images move them, each part as large as the labelled
            batch, labelled and other images interleaved.
    """

    weight: float = 100.0
    temperature: float = 0.5
    alpha: float = 0.5
    per_image: bool = False
    ramp: str = "linear"
    ramp_share: float = 0.4
    bn_stats: str = "supervised"

    def views(self):
        """The labelled images, and two augmentations of the others."""
        return ("labeled", "weak", "weak_2")

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def draw(self, seed, shapes):
        """Proportions and partners of a group's images, labelled and in both views."""
        groups, labeled = shapes["labeled"][:2]
        size = (groups, labeled + 2 * shapes["unlabeled"][1])
        shares = mixing.draw_shares(seed, size, self.alpha, self.per_image)
        return shares, ops.argsort(keras.random.uniform(size, seed=seed), axis=1)

    def loss(self, network, batch, state, progress):
        """Terms: `mixmatch_loss` (labelled), `mixmatch_distance`."""
        share, order = batch["draws"][self]
        groups = order.shape[0]
        guess = self._guess(network, batch)
        labels = ops.one_hot(batch["labels"], guess.shape[-1], dtype="float32")
        images = [batch[name] for name in self.views()]
        share = ops.reshape(ops.maximum(share, 1 - share), (-1,))
        targets = _mixed([labels, guess, guess], share, order)
        labeled = labels.shape[0] // groups
        logits = self._logits(network, _mixed(images, share, order), labeled)
        entropy = mixing.cross_entropy(targets[:, :labeled], logits[:, :labeled])
        distance = distances.squared(
            ops.softmax(logits[:, labeled:]), targets[:, labeled:]
        )
        weight = self.weight * ramps.factor(self.ramp, progress, self.ramp_share)
        return Outcome(
            terms={
                "mixmatch_loss": ops.mean(entropy),
                "mixmatch_distance": weight * ops.mean(distance),
            },
            watch={"mixmatch_weight": weight},
        )

    def _logits(self, network, mixed, labeled: int):
        """Of mixed images `(groups, members, ...)`; a group's labelled ones first."""
        if self.bn_stats == "both":
            return _logits(network, mixed)
        first = _logits(network, mixed[:, :labeled])
        with network.moving_statistics_kept():
            others = _logits(network, mixed[:, labeled:])
        return ops.concatenate([first, others], axis=1)

    def _guess(self, network, batch):
        """The sharpened mean prediction of both views, without gradient."""
        mean = 0.0
        for view in ("weak", "weak_2"):
            outputs = student_pass(network, batch, view, self.bn_stats).outputs
            mean = mean + ops.softmax(guesses.guess(network, outputs)) / 2
        return sharpened(mean, self.temperature)


def sharpened(probabilities, temperature: float):
    """p^(1 / T), scaled to sum to 1.

    Args:
        probabilities: Float `(batch, classes)`.
        temperature: T, more than 0.
    """
    powers = ops.power(probabilities, 1 / temperature)
    return powers / ops.sum(powers, axis=-1, keepdims=True)


def _logits(network, images):
    """One pass over images `(groups, members, ...)`: `(groups, members, classes)`."""
    groups, members = images.shape[:2]
    flat = ops.reshape(images, (groups * members, *images.shape[2:]))
    return _by_group(network(flat, training=True)["class"], groups)


def _by_group(things, groups: int):
    """`(images, ...)` to `(groups, per group, ...)`."""
    return ops.reshape(things, (groups, -1, *things.shape[1:]))


def _mixed(parts, share, order):
    """Labelled things and those of both views, each mixed with its partner.

    Args:
        parts: Three of `(images, ...)`.
        share: Float `(groups * members,)`.
        order: int32 `(groups, members)`: places of the partners in the other group.

    Returns:
        `(groups, members, ...)`, a group's labelled things first.
    """
    groups, members = order.shape
    own = ops.concatenate([_by_group(part, groups) for part in parts], axis=1)
    index = ops.reshape(order, (groups, members, *[1] * (len(own.shape) - 2)))
    partners = ops.take_along_axis(mixing.swapped(own), index, axis=1)
    flat = (groups * members, *own.shape[2:])
    mixed = mixing.mix(ops.reshape(own, flat), ops.reshape(partners, flat), share)
    return _by_group(mixed, groups)
