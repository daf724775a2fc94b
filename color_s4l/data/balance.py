"""How many images each class has, and what to do when they differ much."""

from collections.abc import Sequence

import numpy as np

# Above this ratio of the largest to the smallest class a run warns.
LARGEST_RATIO = 10
_NAMED = 12


def counts(labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Images of each class, int64 `(classes,)`; those without a label count nowhere."""
    return np.bincount(labels[labels >= 0], minlength=len(classes))


def described(labels: np.ndarray, classes: Sequence[str]) -> str:
    """One line: every class with its images, or the ends where there are many.

    Args:
        labels: Of the labelled images of a run, int32 `(n,)`.
        classes: Their names.
    """
    found = counts(labels, classes)
    if len(classes) <= _NAMED:
        pairs = zip(classes, found, strict=True)
        return ", ".join(f"{name} {count:,}" for name, count in pairs)
    fewest, most = found.argmin(), found.argmax()
    if found[fewest] == found[most]:
        return f"{len(classes)} of {found[most]:,} images each"
    return (
        f"{len(classes)}, from {found[fewest]:,} images ({classes[fewest]}) to "
        f"{found[most]:,} ({classes[most]}), median {np.median(found):,.0f}"
    )


def imbalanced(labels: np.ndarray, classes: Sequence[str]) -> bool:
    """Whether the largest class has more than 10 times the smallest one's images."""
    found = counts(labels, classes)
    return bool(found.max() > LARGEST_RATIO * found.min())


def class_weights(labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Weights by which every class counts the same, whatever its number of images.

    n / (k * n_c), as scikit-learn's "balanced": the mean over the n images is 1, so
    that the loss keeps its size beside other terms.

    Args:
        labels: Of the labelled images of a run, int32 `(n,)`.
        classes: Their names, k of them.

    Returns:
        Float32 `(k,)`; 0 for a class without images.
    """
    found = counts(labels, classes)
    present = np.maximum(found, 1)
    weights = found.sum() / (np.count_nonzero(found) * present)
    return np.where(found > 0, weights, 0).astype("float32")
