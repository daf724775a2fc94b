"""Exemplars: the crops of an image are nearer to each other than to other images.

Zhai et al. 2019 (S4L-Exemplar, https://arxiv.org/abs/1905.03670) and its published
code: eight crops of each image, labelled or not; class cross-entropy of all labelled
crops; a batch-hard triplet loss with soft margin (Hermans et al. 2017) on normalised
embeddings. It takes the place of the class loss on whole images.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from color_s4l.terms.term import Outcome, Term
from color_s4l.views.crops import COPIES

LEAST_SQUARE = 1e-12


@dataclasses.dataclass(frozen=True)
class Exemplar(Term):
    """Class cross-entropy of the labelled crops, and the triplet loss of all.

    The triplet loss is that of the labelled and of the unlabelled images, each by
    itself, averaged. Images of other classes are those of the same device, as
    published: several devices see fewer of them than one. A labelled image that is
    drawn twice for a step counts as two. Without the class loss no labelled image is
    read: the self-supervised baseline, all images being among the unlabelled ones.

    Attributes:
        weight: Of the triplet loss; 1.
        class_weight: Of the class loss; 1. 0: none, nor a class head.
        embedding: Numbers of an embedding; 1,000.
    """

    weight: float = 1.0
    class_weight: float = 1.0
    embedding: int = 1000

    def views(self):
        """Crops of the unlabelled and of the labelled images."""
        return ("crops", "labeled_crops") if self.class_weight else ("crops",)

    def heads(self, num_classes):
        """The class head, and a linear one for the embedding."""
        classes = {"class": num_classes} if self.class_weight else {}
        return {**classes, "embedding": self.embedding}

    def loss(self, network, batch, state, progress):
        """Terms: `crops_loss`, `exemplar_loss`."""
        labeled = None
        if self.class_weight:
            labeled = network(batch["labeled_crops"], training=True)
        unlabeled = network(batch["crops"], training=True)
        triplets = [
            ops.mean(triplet_losses(outputs["embedding"], COPIES))
            for outputs in (labeled, unlabeled)
            if outputs
        ]
        exemplars = self.weight * sum(triplets) / len(triplets)
        if not labeled:
            return Outcome(terms={"exemplar_loss": exemplars}, watch={})
        labels = ops.repeat(batch["labels"], COPIES)
        entropy = keras.losses.sparse_categorical_crossentropy(
            labels, labeled["class"], from_logits=True
        )
        return Outcome(
            terms={
                "crops_loss": self.class_weight * ops.mean(entropy),
                "exemplar_loss": exemplars,
            },
            watch={},
        )


def triplet_losses(embeddings, copies: int):
    """Softplus of the farthest copy's distance less the nearest other image's.

    Args:
        embeddings: Float `(images * copies, size)`, an image's copies together; of at
            least two images. They are divided by their lengths.
        copies: Of each image, at least 2.

    Returns:
        Float `(images * copies,)`, more than 0.
    """
    lengths = ops.sum(ops.square(embeddings), axis=-1, keepdims=True)
    units = embeddings / ops.sqrt(ops.maximum(lengths, LEAST_SQUARE))
    products = ops.matmul(units, ops.transpose(units))
    distances = ops.sqrt(ops.maximum(2 - 2 * products, LEAST_SQUARE))
    image = np.arange(embeddings.shape[0]) // copies
    same = image[:, None] == image[None]
    positive = same & ~np.eye(len(image), dtype=bool)
    farthest = ops.max(ops.where(positive, distances, -np.inf), axis=1)
    nearest = ops.min(ops.where(same, np.inf, distances), axis=1)
    return ops.softplus(farthest - nearest)
