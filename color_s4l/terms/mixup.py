"""Mixup: the class of a mixture of two labelled images is the mixture of theirs.

Zhang et al. 2018 (https://arxiv.org/abs/1710.09412). It takes the place of the class
loss on plain images.
"""

import dataclasses

from keras import ops

from color_s4l.terms.parts import mixing
from color_s4l.terms.term import Outcome, Term


@dataclasses.dataclass(frozen=True)
class Mixup(Term):
    """Class cross-entropy of mixed labelled images with mixed labels.

    Attributes:
        weight: Factor on the loss; 1 as published.
        alpha: Of the Beta distribution of the proportions; 1 as published for CIFAR.
            Towards 0, images stay as they are.
        per_image: A proportion for each image, instead of one for the step as in the
            published code.
    """

    weight: float = 1.0
    alpha: float = 1.0
    per_image: bool = False

    def views(self):
        """The labelled images."""
        return ("labeled",)

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def draw(self, seed, shapes):
        """Proportions of the labelled images."""
        return mixing.draw_shares(
            seed, shapes["labeled"][:2], self.alpha, self.per_image
        )

    def loss(self, network, batch, state, progress):
        """Terms: `mixup_loss`."""
        images, share = batch["labeled"], ops.reshape(batch["draws"][self], (-1,))
        mixed = mixing.mix(images, mixing.swapped(images), share)
        logits = network(mixed, training=True)["class"]
        targets = ops.one_hot(batch["labels"], logits.shape[-1], dtype="float32")
        targets = mixing.mix(targets, mixing.swapped(targets), share)
        entropy = mixing.cross_entropy(targets, logits)
        return Outcome({"mixup_loss": self.weight * ops.mean(entropy)}, {})
