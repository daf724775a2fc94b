"""Step batches: which images step t sees is a pure function of (seed, t).

The labelled batch is L separate draws from the labelled images, the unlabelled one
B images; an epoch is one pass over the unlabelled images (Tran 2019,
https://arxiv.org/abs/1906.10343, and its published code: L = V x B for V views of
an unlabelled image). The images of a step come in gcd(L, B) equal groups, which
devices can share. Nothing is kept between steps, so a resumed run sees what the
uninterrupted one would, on every backend.
"""

import functools
import math

import numpy as np

from color_s4l.data.dataset import UNLABELED
from color_s4l.data.lazy_images import Images
from color_s4l.data.splits import Split
from color_s4l.data.streams import Purpose, permutation


class Stream:
    """An endless order of n things, shuffled anew for each pass.

    Position p holds `permutation(seed, p // n)[p % n]`.

    Args:
        length: n, at least 1.
        seed: The run's seed, at least 0.
        purpose: Keeps the streams of one run independent.
    """

    def __init__(self, length: int, seed: int, purpose: Purpose):
        self.length = length
        # Two passes: a batch may straddle the border between them.
        self._order = functools.lru_cache(maxsize=2)(
            lambda number: permutation(length, seed, purpose, number)
        )

    def take(self, start: int, count: int) -> np.ndarray:
        """What stands at the positions start ... start + count - 1.

        Args:
            start: At least 0.
            count: At least 1; may exceed the length of a pass.

        Returns:
            int64 `(count,)` in [0, length).
        """
        first, offset = divmod(start, self.length)
        last = (start + count - 1) // self.length
        passes = [self._order(number) for number in range(first, last + 1)]
        return np.concatenate(passes)[offset : offset + count]


def steps_per_epoch(unlabeled: int, batch_size: int) -> int:
    """Full batches in one pass over that many unlabelled images, at least 1."""
    return max(1, unlabeled // batch_size)


class StepBatches:
    """The batches of a run, by step.

    Args:
        images: uint8 `(n, height, width, 3)`: all training images, in memory or not.
        labels: int32 `(n,)`; -1 where an image has none.
        split: Which of them are labelled and unlabelled.
        batch_size: B, unlabelled images per step.
        labeled_batch: L, labelled images per step.
        seed: The run's seed, at least 0.
        colorized: uint8 `(len(split.unlabeled), height, width, 3)`, row i being
            the colourised `images[split.unlabeled[i]]`; None to leave it out.
        class_weights: Float32 `(classes,)`: weight of each class's labelled images in
            the class loss; None for equal ones.
        targets: float32 `(len(split.unlabeled), classes)`: the classes that an
            earlier training gave these images; None to leave it out.

    Raises:
        ValueError: A size is not positive, a part of the split is empty, a
            labelled image has no label, `colorized` or `targets` has another shape.
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
    ):
        if targets is not None and len(targets) != len(split.unlabeled):
            raise ValueError(
                f"Expected targets of {len(split.unlabeled)} images. "
                f"Received: {len(targets)}."
            )
        _check(images, labels, split, batch_size, labeled_batch, colorized)
        self.images, self.labels, self.split = images, labels, split
        self.batch_size, self.labeled_batch = batch_size, labeled_batch
        self.colorized = colorized
        self.class_weights = class_weights
        self.targets = targets
        self._labeled = Stream(len(split.labeled), seed, Purpose.LABELED_BATCHES)
        self._unlabeled = Stream(len(split.unlabeled), seed, Purpose.UNLABELED_BATCHES)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in one pass over the unlabelled images, at least 1."""
        return steps_per_epoch(len(self.split.unlabeled), self.batch_size)

    @property
    def groups(self) -> int:
        """The most equal groups that the images of a step can be divided into."""
        return math.gcd(self.batch_size, self.labeled_batch)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """The images of one step, counted from 0 over the whole run.

        Fewer images than a batch holds are repeated. What a pass leaves over
        (fewer images than a batch) is dropped; the next pass is shuffled anew.

        Args:
            step: At least 0.

        Returns:
            With G = `groups`:
            "labeled": uint8 `(G, L / G, height, width, 3)`.
            "labels": int32 `(G, L / G)`, the classes of "labeled".
            "unlabeled": uint8 `(G, B / G, height, width, 3)`.
            "index": int32 `(G, B / G)`, where in `split.unlabeled` they stand.
            "colorized": uint8 `(G, B / G, height, width, 3)`, only if it was given.
            "label_weights": float32 `(G, L / G)`, only if class weights were given.
            "targets": float32 `(G, B / G, classes)`, only if it was given.

        Raises:
            ValueError: `step` is negative.
        """
        if step < 0:
            raise ValueError(f"Expected a step of at least 0. Received: {step}.")
        labeled, index = self._draw(step)
        unlabeled = self.split.unlabeled[index]
        batch = {
            "labeled": self.images[labeled],
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
        return batch

    def _draw(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Images `(G, L / G)` of the labelled batch, positions `(G, B / G)`."""
        start = step * self.labeled_batch
        labeled = self.split.labeled[self._labeled.take(start, self.labeled_batch)]
        epoch, within = divmod(step, self.steps_per_epoch)
        start = epoch * self._unlabeled.length + within * self.batch_size
        index = self._unlabeled.take(start, self.batch_size)
        return labeled.reshape(self.groups, -1), index.reshape(self.groups, -1)


def _check(images, labels, split, batch_size, labeled_batch, colorized) -> None:
    if batch_size < 1 or labeled_batch < 1:
        raise ValueError(
            "Expected batch_size and labeled_batch of at least 1. "
            f"Received: {batch_size} and {labeled_batch}."
        )
    if not len(split.labeled) or not len(split.unlabeled):
        raise ValueError(
            "Expected a split with labelled and unlabelled images. "
            f"Received: {len(split.labeled)} and {len(split.unlabeled)}."
        )
    if (labels[split.labeled] == UNLABELED).any():
        raise ValueError("Expected a label for every image in split.labeled.")
    expected = (len(split.unlabeled), *images.shape[1:])
    if colorized is not None and (colorized.shape, colorized.dtype) != (
        expected,
        np.uint8,
    ):
        raise ValueError(
            f"Expected colorized to be uint8 {expected}. "
            f"Received: {colorized.dtype} {colorized.shape}."
        )
