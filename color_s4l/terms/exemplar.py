"""Exemplars: crops of one image should be closer than crops of different images.

Zhai et al. 2019 (S4L-Exemplar, https://arxiv.org/abs/1905.03670) and its published
code: eight crops of each labelled and unlabelled image. The loss is the class
cross-entropy of all labelled crops, and a batch-hard triplet loss with soft margin
(Hermans et al. 2017) on normalised embeddings. The term replaces the class loss on
whole images.
"""

import dataclasses
from typing import Annotated

import numpy as np
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.fields import AtLeast, OneOf
from color_s4l.networks.network import Gate, Network
from color_s4l.registry import register_term
from color_s4l.terms import losses
from color_s4l.terms.passes import Batch, student_pass
from color_s4l.terms.term import Outcome, Progress, State, Term
from color_s4l.views.strong import COPIES

LEAST_SQUARE = 1e-12


@register_term("exemplar")
@dataclasses.dataclass(frozen=True)
class Exemplar(Term):
    """Class cross-entropy of the labelled crops, and the triplet loss of all crops.

    The triplet loss is computed for the labelled and for the unlabelled images
    separately, and averaged. Negative examples come from the same device, as published,
    so an image has fewer negative examples with several devices. A labelled image that
    is drawn twice for a step counts as two images. Without the class loss (the
    self-supervised baseline) the term reads no labelled images, because they are also
    among the unlabelled images.

    Attributes:
        weight: Factor on the triplet loss; 1.
        class_weight: Factor on the class loss; 1. 0: no class loss and no class head.
        embedding: Size of an embedding; 1,000.
        mining: "hard": the farthest positive and the nearest negative, as published;
            "semi_hard" (Schroff et al. 2015, https://arxiv.org/abs/1503.03832): every
            positive, with the nearest negative that is farther away.
    """

    weight: Annotated[float, AtLeast(0)] = 1.0
    class_weight: Annotated[float, AtLeast(0)] = 1.0
    embedding: Annotated[int, AtLeast(1)] = 1000
    mining: Annotated[str, OneOf("hard", "semi_hard")] = "hard"

    def views(self) -> tuple[str, ...]:
        """Returns the crops of the unlabelled and, if needed, the labelled images."""
        return ("crops", "labeled_crops") if self.class_weight else ("crops",)

    def heads(self, num_classes: int) -> dict[str, int | Gate]:
        """Returns the class head, if needed, and a linear head for the embedding."""
        classes = {"class": num_classes} if self.class_weight else {}
        return {**classes, "embedding": self.embedding}

    def loss(
        self, network: Network, batch: Batch, state: State, progress: Progress
    ) -> Outcome:
        """Computes `crops_loss` and `exemplar_loss`."""
        labeled = None
        if self.class_weight:
            labeled = student_pass(network, batch, "labeled_crops").outputs
        unlabeled = student_pass(network, batch, "crops").outputs
        triplets = [
            ops.mean(triplet_losses(outputs["embedding"], COPIES, self.mining))
            for outputs in (labeled, unlabeled)
            if outputs
        ]
        exemplars = self.weight * sum(triplets) / len(triplets)
        if not labeled:
            return Outcome(terms={"exemplar_loss": exemplars}, watch={})
        labels = ops.repeat(batch["labels"], COPIES)
        entropy = losses.label_entropy(labels, labeled["class"])
        return Outcome(
            terms={
                "crops_loss": self.class_weight * ops.mean(entropy),
                "exemplar_loss": exemplars,
            },
            watch={},
        )


def triplet_losses(embeddings: Tensor, copies: int, mining: str = "hard") -> Tensor:
    """Returns softplus(distance to a positive - distance to a negative).

    The positives of a copy are the other copies of the same image; the negatives are
    the copies of all other images. "hard": the farthest positive and the nearest
    negative. "semi_hard": the mean over all positives; the negative is the nearest one
    that is farther away than the positive, or, if there is none, the farthest one.

    Args:
        embeddings: Float `(images * copies, size)`, the copies of an image in
            adjacent rows; at least two images. Each row is divided by its length
            first.
        copies: Number of copies of each image, at least 2.
        mining: "hard" or "semi_hard".

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
    if mining == "semi_hard":
        own = image[:, None] * copies + np.arange(copies)
        positives = ops.take_along_axis(distances, ops.convert_to_tensor(own), axis=1)
        last = ops.max(ops.where(same, -np.inf, distances), axis=1)[:, None, None]
        # [a, p, n]: for anchor a and positive p, whether n is a farther negative.
        further = (distances[:, None] > positives[..., None]) & ~same[:, None]
        nearest = ops.min(ops.where(further, distances[:, None], last), axis=2)
        others = own != np.arange(len(image))[:, None]  # not the anchor itself
        gaps = ops.where(others, ops.softplus(positives - nearest), 0.0)
        return ops.sum(gaps, axis=1) / (copies - 1)
    farthest = ops.max(ops.where(positive, distances, -np.inf), axis=1)
    nearest = ops.min(ops.where(same, np.inf, distances), axis=1)
    return ops.softplus(farthest - nearest)
