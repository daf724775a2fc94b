"""Virtual adversarial training: agree where a small change matters most.

Miyato et al. 2018 (https://arxiv.org/abs/1704.03976); Zhai et al. 2019 (S4L, section
3). The change of fixed length that moves the prediction most is found by power
iteration: the gradient of the divergence, at a tiny change in a random direction.
"""

import dataclasses

import keras
from keras import ops

from color_s4l import backend
from color_s4l.errors import InputError
from color_s4l.terms.parts import distances, ramps
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Term

# Over 3,072 values: 0.18 each, well above what bfloat16 rounds away near 1.
SMALLEST_HALF = 10.0


@dataclasses.dataclass(frozen=True)
class Vat(Term):
    """KL(p(x) || p(x + r)) in nats, averaged over the unlabelled images; p(x) is fixed.

    All passes of a step have the clean pass's dropout masks, so that without a change
    the divergence is exactly 0; only the clean pass may move the batch statistics.

    Attributes:
        weight: At the end of the ramp; 1. S4L: 0.5; MOAM, realistic-ssl: 0.3.
        epsilon: Length of the change, Euclidean over all values of an image; 8, the
            authors' for whitened, augmented CIFAR-10, whose images are as long as ours:
            55, at any size (theirs without augmentation: 10; SVHN: 3.5). USB: 6,
            student report: 10, both at this scale. S4L's 40 is for 150,528 values in
            [-1, 1], about 200 long.
        xi: Length of the change where the gradient is taken; 1e-6, the authors' and
            S4L's. In float32 the divergence is rounding there: after one iteration the
            direction is as good as at 0.01 (divergence at `epsilon`, measured), after
            five it is not (cosine with the exact one 0.60 and 0.97); then take 0.01.
            Student report: 10.
        iterations: Power iterations; 1. 0: the direction stays as drawn. Student
            report: 5.
        ramp: "sigmoid", or USB's "linear".
        ramp_share: Of the run; 0 as published: the full weight from the first step.
        bn_stats: "both" or "supervised": whether the clean pass moves the batch
            statistics used for inference.

    Raises:
        InputError: (`create_state`) Half precision would lose a change as small as
            `xi`.
    """

    weight: float = 1.0
    epsilon: float = 8.0
    xi: float = 1e-6
    iterations: int = 1
    ramp: str = "sigmoid"
    ramp_share: float = 0.0
    bn_stats: str = "both"

    def views(self):
        """One augmentation."""
        return ("weak",)

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def create_state(self, network, num_examples):
        """Nothing."""
        precision = network.compute_dtype
        if precision != "float32" and self.xi < SMALLEST_HALF:
            raise InputError(
                f"vat.xi={self.xi:g} is lost in {precision}: give "
                f"--set=vat.xi={SMALLEST_HALF:g} or more."
            )

    def draw(self, seed, shapes):
        """A direction for each unlabelled image."""
        return keras.random.normal(shapes["unlabeled"], seed=seed)

    def loss(self, network, batch, state, progress):
        """Terms: `vat_loss`. Watch: `vat_divergence`, in nats."""
        clean = student_pass(network, batch, "weak", self.bn_stats)
        target = ops.stop_gradient(clean.outputs["class"])

        def divergence(change):
            with network.apart(clean.random_states):
                moved = network(batch["weak"] + change, training=True)["class"]
            return distances.divergence(target, moved)

        drawn = batch["draws"][self]
        direction = unit(ops.reshape(drawn, batch["weak"].shape))
        for _ in range(self.iterations):
            direction = self._sharpened(divergence, direction)
        mean = ops.mean(divergence(self.epsilon * direction))
        weight = self.weight * ramps.factor(self.ramp, progress, self.ramp_share)
        return Outcome(
            terms={"vat_loss": weight * mean}, watch={"vat_divergence": mean}
        )

    def _sharpened(self, divergence, direction):
        """One power iteration: the gradient's direction at a tiny change."""
        change = ops.stop_gradient(self.xi * direction)
        ones = ops.ones(direction.shape[:1])
        _, (gradient,) = backend.pullback(divergence, [change], ones)
        return unit(ops.stop_gradient(gradient))


def unit(directions):
    """Each at length 1; scaled first, so that tiny ones do not vanish.

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
