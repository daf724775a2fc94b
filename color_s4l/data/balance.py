"""Number of images of each class, and weights for classes that differ in size."""

from collections.abc import Sequence

import numpy as np

# Largest ratio of the largest to the smallest class without a warning.
LARGEST_RATIO = 10
# Largest number of classes that are listed one by one.
_LISTED = 12


def counts(labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Returns the number of images of each class, int64 `(classes,)`."""
    return np.bincount(labels[labels >= 0], minlength=len(classes))


def described(labels: np.ndarray, classes: Sequence[str]) -> str:
    """Returns one line: images of each class, or a summary if there are many classes.

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
        return f"{len(classes)} of {found[most]:,} images each"
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

    n / (k * n_c), as scikit-learn's "balanced". The mean weight of the n images is 1,
    so the loss keeps its size relative to other terms.

    Args:
        labels: Labels of the labelled images of a run, int32 `(n,)`.
        classes: Names of the k classes.

    Returns:
        float32 `(k,)`; 0 for a class without images.
    """
    found = counts(labels, classes)
    present = np.maximum(found, 1)
    weights = found.sum() / (np.count_nonzero(found) * present)
    return np.where(found > 0, weights, 0).astype("float32")
