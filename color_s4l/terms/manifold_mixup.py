"""Manifold mixup: mixup of the features before a random stage of the trunk.

Verma et al. 2019 (https://arxiv.org/abs/1806.05236). In each step, one stage of the
trunk is drawn, and its inputs are mixed: for the first stage the images, for the others
the features of the stage before it. A stage ends where the resolution changes. The term
replaces the class loss on plain images.
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
from color_s4l.terms.passes import Batch
from color_s4l.terms.term import Outcome, Progress, Shapes, State, Term


@register_term("manifold_mixup")
@dataclasses.dataclass(frozen=True)
class ManifoldMixup(Term):
    """Class cross-entropy of mixed features with mixed labels.

    Attributes:
        weight: Factor on the loss; 1 as published.
        alpha: Parameter of the Beta distribution of the proportions; 2 as published.
        per_image: True: each image has its own proportion. False: all images of a
            step have the same proportion, as in the published code.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    alpha: Annotated[float, Above(0)] = 2.0
    per_image: bool = False

    reads = ("labeled",)

    def draw(self, seed: SeedGenerator, shapes: Shapes) -> tuple[Tensor, Tensor]:
        """Draws the proportions of the images, and a number that selects the stage."""
        shape = shapes["labeled"][:2]
        stage = keras.random.uniform((1, 1), seed=seed)
        shares = mixing.draw_shares(seed, shape, self.alpha, self.per_image)
        return shares, ops.broadcast_to(stage, (shape[0], 1))

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `manifold_mixup_loss`."""
        share, stage = batch["draws"][self]
        share = ops.reshape(share, (-1,))
        features = _features(network, batch["labeled"], share, stage[0, 0])
        logits = network.outputs_of(features, training=True)["class"]
        targets = mixing.mixed_labels(batch["labels"], logits.shape[-1], share)
        loss = self.weight * ops.mean(losses.cross_entropy(targets, logits))
        return Outcome(terms={"manifold_mixup_loss": loss}, watch={})


def _features(network: Network, images: Tensor, share: Tensor, place: Tensor) -> Tensor:
    """Returns the trunk's features; the inputs of one stage are mixed.

    `place`, in [0, 1), selects the stage. It is not known when the step is compiled, so
    the inputs of all stages are mixed; for the other stages with the share 1, which
    leaves the inputs unchanged.
    """
    features, stages = images, network.stages
    chosen = ops.floor(place * len(stages))
    for number, stage in enumerate(stages):
        here = ops.where(chosen == number, share, ops.ones_like(share))
        features = mixing.mix(features, mixing.swapped(features), here)
        features = stage(features, training=network.trunk.trainable)
    return features
