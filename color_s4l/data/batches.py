"""Step batches: the images of step t are a pure function of (seed, t).

A step has L labelled images and B unlabelled images, drawn independently of each other.
An epoch is one pass over the unlabelled images, as in Tran 2019
(https://arxiv.org/abs/1906.10343). Its published code uses L = V x B, where V is the
number of views of an unlabelled image. The images of a step are divided into gcd(L, B)
groups of equal size, so that the groups can be distributed over devices. No state is
kept between steps, so a resumed run gets the same images as an uninterrupted run, on
every backend.
"""

import copy
import math

import numpy as np

from color_s4l.data.dataset import UNLABELED
from color_s4l.data.lazy_images import Images
from color_s4l.data.splits import Split
from color_s4l.data.streams import Purpose, Stream, permutation

# Labelled images are kept in memory if they take at most this number of bytes, even if
# the other images are decoded each time they are read: a few labelled images are read
# very often.
LABELED_BYTES = 2**28


def steps_per_epoch(unlabeled: int, batch_size: int) -> int:
    """Returns the number of full batches in one pass over the images, at least 1."""
    return max(1, unlabeled // batch_size)


class StepBatches:
    """The batches of a run, by step.

    Args:
        images: All training images, uint8 `(n, height, width, 3)`; an array or
            `LazyImages`.
        labels: int32 `(n,)`; -1 for an image without a label.
        split: Indices of the labelled and of the unlabelled images in `images`.
        batch_size: B, unlabelled images per step.
        labeled_batch: L, labelled images per step.
        seed: The run's seed, at least 0.
        colorized: uint8 `(len(split.unlabeled), height, width, 3)`; row i is the
            colourised image `images[split.unlabeled[i]]`. None: the batches have no
            colourised images.
        class_weights: float32 `(classes,)`: weight of each class's labelled images in
            the class loss; None for equal weights.
        targets: float32 `(len(split.unlabeled), classes)`: class probabilities that an
            earlier training run predicted for the unlabelled images. None: the batches
            have no targets.
        alternating: Whether the batches contain "flip", which selects labelled images
            to be flipped: a random half in the first pass over the labelled images, the
            other half in the second pass, and so on.

    Raises:
        ValueError: A batch size is not positive, the split has no labelled or no
            unlabelled images, a labelled image has no label, `colorized` has the wrong
            shape or dtype, or `targets` has the wrong number of rows.
    """

    def __init__(
        self,
        images: Images,
        labels: np.ndarray,
        split: Split,
        batch_size: int,
        labeled_batch: int,
        seed: int,
        colorized: Images | None = None,
        class_weights: np.ndarray | None = None,
        targets: np.ndarray | None = None,
        alternating: bool = False,
    ):
        self.images, self.labels, self.split = images, labels, split
        self.batch_size, self.labeled_batch = batch_size, labeled_batch
        self.colorized = colorized
        self.class_weights = class_weights
        self.targets = targets
        self._check()
        self._own = slice(None)
        self._labeled = Stream(len(split.labeled), seed, Purpose.LABELED_BATCHES)
        self._unlabeled = Stream(len(split.unlabeled), seed, Purpose.UNLABELED_BATCHES)
        self._labeled_rows: np.ndarray | None = None
        bytes_of_one = math.prod(images.shape[1:])
        lazy = not isinstance(images, np.ndarray)
        if lazy and len(split.labeled) * bytes_of_one <= LABELED_BYTES:
            self._labeled_rows = images[split.labeled]
        self._second_half = None
        if alternating:
            order = permutation(len(split.labeled), seed, Purpose.FLIPS, 0)
            self._second_half = order % 2

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches in one pass over the unlabelled images, at least 1."""
        return steps_per_epoch(len(self.split.unlabeled), self.batch_size)

    @property
    def groups(self) -> int:
        """Largest number of equal groups that the images of a step can form."""
        return math.gcd(self.batch_size, self.labeled_batch)

    def part(self, number: int, count: int) -> "StepBatches":
        """Returns batches with an equal share of the groups of each step.

        Only the images of these groups are read.

        Args:
            number: Number of the share, from 0.
            count: Number of shares, a divisor of `groups`.
        """
        size = self.groups // count
        chosen = copy.copy(self)
        chosen._own = slice(number * size, (number + 1) * size)
        return chosen

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Returns the images of one step, or of a part of it.

        If there are fewer images than a batch holds, images are repeated. Unlabelled
        images at the end of a pass that do not fill a batch are dropped. The images are
        shuffled again for each pass.

        Args:
            step: Index of the step, counted from 0 over the whole run.

        Returns:
            The arrays by name. G is `groups`; a `part` has a share of these G rows.
            "labeled": uint8 `(G, L / G, height, width, 3)`.
            "labels": int32 `(G, L / G)`, the classes of "labeled".
            "unlabeled": uint8 `(G, B / G, height, width, 3)`.
            "index": int32 `(G, B / G)`, indices of "unlabeled" in `split.unlabeled`.
            "colorized": uint8 `(G, B / G, height, width, 3)`, only if `colorized` was
            given.
            "label_weights": float32 `(G, L / G)`, the weight of each labelled image,
            only if `class_weights` were given.
            "targets": float32 `(G, B / G, classes)`, only if `targets` were given.
            "flip": Boolean `(G, L / G)`, which labelled images to flip; only if
            `alternating`.

        Raises:
            ValueError: `step` is negative.
        """
        if step < 0:
            raise ValueError(f"Expected `step` of at least 0. Received: {step}.")
        position, index = (drawn[self._own] for drawn in self._draw(step))
        labeled = self.split.labeled[position]
        unlabeled = self.split.unlabeled[index]
        batch = {
            "labeled": self.images[labeled]
            if self._labeled_rows is None
            else self._labeled_rows[position],
            "labels": self.labels[labeled],
            "unlabeled": self.images[unlabeled],
            "index": index.astype(np.int32),
        }
        if self.colorized is not None:
            batch["colorized"] = self.colorized[index]
        if self.class_weights is not None:
            batch["label_weights"] = self.class_weights[batch["labels"]]
        if self.targets is not None:
            batch["targets"] = self.targets[index]
        if self._second_half is not None:
            places = step * self.labeled_batch + np.arange(self.labeled_batch)
            passes = (places // self._labeled.length).reshape(self.groups, -1)
            passes = passes[self._own]
            batch["flip"] = (passes + self._second_half[position]) % 2 == 0
        return batch

    def _draw(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws positions in `split.labeled` and in `split.unlabeled`.

        The labelled stream continues across epochs; the unlabelled stream begins a
        new pass with every epoch.

        Returns:
            int64 `(G, L / G)` and int64 `(G, B / G)`.
        """
        start = step * self.labeled_batch
        labeled = self._labeled.take(start, self.labeled_batch)
        epoch, within = divmod(step, self.steps_per_epoch)
        start = epoch * self._unlabeled.length + within * self.batch_size
        index = self._unlabeled.take(start, self.batch_size)
        return labeled.reshape(self.groups, -1), index.reshape(self.groups, -1)

    def _check(self) -> None:
        if self.batch_size < 1 or self.labeled_batch < 1:
            raise ValueError(
                "Expected `batch_size` and `labeled_batch` of at least 1. "
                f"Received: {self.batch_size} and {self.labeled_batch}."
            )
        labeled, unlabeled = len(self.split.labeled), len(self.split.unlabeled)
        if not labeled or not unlabeled:
            raise ValueError(
                "Expected a split with labelled and unlabelled images. "
                f"Received: {labeled} and {unlabeled}."
            )
        if (self.labels[self.split.labeled] == UNLABELED).any():
            raise ValueError("Expected a label for every image in `split.labeled`.")
        if self.targets is not None and len(self.targets) != unlabeled:
            raise ValueError(
                f"Expected `targets` of {unlabeled} images. "
                f"Received: {len(self.targets)}."
            )
        given, expected = self.colorized, (unlabeled, *self.images.shape[1:])
        if given is not None and (given.shape, given.dtype) != (expected, np.uint8):
            raise ValueError(
                f"Expected `colorized` to be uint8 {expected}. "
                f"Received: {given.dtype} {given.shape}."
            )
