"""Mixup: the label of a mixture of two images is the mixture of their labels.

Zhang et al. 2018 (https://arxiv.org/abs/1710.09412). The term replaces the class loss
on plain images.
"""

import dataclasses
from typing import Annotated

from keras import ops
from keras.random import SeedGenerator

from color_s4l.backend import Tensor
from color_s4l.fields import Above, AtLeast
from color_s4l.networks.network import Network
from color_s4l.registry import register_term
from color_s4l.terms import losses, mixing
from color_s4l.terms.passes import Batch
from color_s4l.terms.term import Outcome, Progress, Shapes, State, Term


@register_term("mixup")
@dataclasses.dataclass(frozen=True)
class Mixup(Term):
    """Class cross-entropy of mixed labelled images with mixed labels.

    Attributes:
        weight: Factor on the loss; 1 as published.
        alpha: Parameter of the Beta distribution of the proportions; 1 as published
            for CIFAR. With a value close to 0, images are hardly mixed.
        per_image: True: each image has its own proportion. False: all images of a
            step have the same proportion, as in the published code.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    alpha: Annotated[float, Above(0)] = 1.0
    per_image: bool = False

    reads = ("labeled",)

    def draw(self, seed: SeedGenerator, shapes: Shapes) -> Tensor:
        """Draws the proportions of the labelled images."""
        shape = shapes["labeled"][:2]
        return mixing.draw_shares(seed, shape, self.alpha, self.per_image)

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `mixup_loss`."""
        images, share = batch["labeled"], ops.reshape(batch["draws"][self], (-1,))
        mixed = mixing.mix(images, mixing.swapped(images), share)
        logits = network(mixed, training=True)["class"]
        targets = mixing.mixed_labels(batch["labels"], logits.shape[-1], share)
        loss = self.weight * ops.mean(losses.cross_entropy(targets, logits))
        return Outcome(terms={"mixup_loss": loss}, watch={})
