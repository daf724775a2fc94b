"""Manifold mixup: mixup of what a random layer makes of two labelled images.

Verma et al. 2019 (https://arxiv.org/abs/1806.05236). Eligible are the images
themselves and the features between the trunk's stages, where the resolution changes.
It takes the place of the class loss on plain images.
"""

import dataclasses

import keras
from keras import ops

from color_s4l.terms.parts import mixing
from color_s4l.terms.term import Outcome, Term


@dataclasses.dataclass(frozen=True)
class ManifoldMixup(Term):
    """Class cross-entropy of mixed features with mixed labels.

    Attributes:
        weight: Factor on the loss; 1 as published.
        alpha: Of the Beta distribution of the proportions; 2 as published.
        per_image: A proportion for each image, instead of one for the step as in the
            published code.
    """

    weight: float = 1.0
    alpha: float = 2.0
    per_image: bool = False

    def views(self):
        """The labelled images."""
        return ("labeled",)

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def draw(self, seed, shapes):
        """Proportions of the labelled images, and a number for the step's layer."""
        shape = shapes["labeled"][:2]
        layer = keras.random.uniform((1, 1), seed=seed)
        shares = mixing.draw_shares(seed, shape, self.alpha, self.per_image)
        return shares, ops.broadcast_to(layer, (shape[0], 1))

    def loss(self, network, batch, state, progress):
        """Terms: `manifold_mixup_loss`."""
        share, layer = batch["draws"][self]
        share = ops.reshape(share, (-1,))
        features = self._features(network, batch["labeled"], share, layer[0, 0])
        logits = network.outputs_of(features, training=True)["class"]
        targets = ops.one_hot(batch["labels"], logits.shape[-1], dtype="float32")
        targets = mixing.mix(targets, mixing.swapped(targets), share)
        entropy = mixing.cross_entropy(targets, logits)
        return Outcome({"manifold_mixup_loss": self.weight * ops.mean(entropy)}, {})

    def _features(self, network, images, share, layer):
        """The trunk's features, mixed before one of its stages.

        Before the others a share of 1 leaves everything as it is: no Python branch
        on what was drawn.
        """
        features, stages = images, network.stages
        chosen = ops.floor(layer * len(stages))
        for number, stage in enumerate(stages):
            here = ops.where(chosen == number, share, ops.ones_like(share))
            features = mixing.mix(features, mixing.swapped(features), here)
            features = stage(features, training=network.trunk.trainable)
        return features
