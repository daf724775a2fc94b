"""Number of images per class, and class weights for imbalanced classes."""

from collections.abc import Sequence

import numpy as np

# Classes are imbalanced if the largest has more than this many times the images of
# the smallest.
LARGEST_RATIO = 10
# Largest number of classes for which `described` lists every class.
_LISTED = 12


def counts(labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Returns the number of images of each class, int64 `(classes,)`."""
    return np.bincount(labels[labels >= 0], minlength=len(classes))


def described(labels: np.ndarray, classes: Sequence[str]) -> str:
    """Returns one line: the number of images per class, or a summary of many classes.

    Args:
        labels: Labels of the labelled images of a run, int32 `(n,)`.
        classes: Names of the classes.
    """
    found = counts(labels, classes)
    if len(classes) <= _LISTED:
        pairs = zip(classes, found, strict=True)
        return ", ".join(f"{name} {count:,}" for name, count in pairs)
    fewest, most = int(found.argmin()), int(found.argmax())
    if found[fewest] == found[most]:
        return f"{len(classes)}, each with {found[most]:,} images"
    return (
        f"{len(classes)}, from {found[fewest]:,} images ({classes[fewest]}) to "
        f"{found[most]:,} ({classes[most]}), median {np.median(found):,.0f}"
    )


def imbalanced(labels: np.ndarray, classes: Sequence[str]) -> bool:
    """Returns whether one class has more than 10 times the images of another."""
    found = counts(labels, classes)
    return bool(found.max() > LARGEST_RATIO * found.min())


def class_weights(labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Returns class weights that compensate for different class sizes.

    The weight of a class is n / (k * n_c) for n images, n_c images of the class and k
    classes with images, as in scikit-learn's `class_weight="balanced"`. The mean weight
    of the n images is 1, so the size of the class loss relative to other terms stays
    the same.

    Args:
        labels: Labels of the labelled images of a run, int32 `(n,)`.
        classes: Names of the classes.

    Returns:
        float32 `(classes,)`; 0 for a class without images.
    """
    found = counts(labels, classes)
    present = np.maximum(found, 1)
    weights = found.sum() / (np.count_nonzero(found) * present)
    return np.where(found > 0, weights, 0).astype("float32")
