"""Calibration of class probabilities by a temperature, and counts of mistakes.

Guo et al. 2017, "On calibration of modern neural networks"
(https://arxiv.org/abs/1706.04599, section 4.2): the logits are divided by one number,
the temperature, which minimises the cross-entropy on held-out labels. The most probable
class of an image stays the same, and so does every error rate.
"""

import numpy as np
from scipy import optimize, special, stats

# The temperature is searched between these two values.
LOWEST, HIGHEST = 0.05, 20.0
# Thresholds of the confidence from which `mistakes` counts wrong predictions.
CONFIDENCES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
# Smallest positive normal number of float32. It replaces a probability of 0, which has
# no logarithm.
_TINY = float(np.finfo(np.float32).tiny)


def fit(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Returns the temperature that calibrates probabilities on held-out images.

    Differs from the paper: the targets are smoothed by Laplace's rule. With n images
    and C classes, the target is (n + 1) / (n + C) for the label of an image, and
    1 / (n + C) for each other class. Without smoothing, the best temperature would be 0
    if all of a few held-out images are classified correctly, and every probability
    would become 0 or 1. Platt 1999 smooths the targets of his calibration in the same
    way.

    Args:
        probabilities: Class probabilities, float `(n, classes)`, of images whose labels
            were not used in training.
        labels: Their classes, integers `(n,)`, n at least 1.

    Returns:
        The temperature, from 0.05 to 20.
    """
    count, classes = probabilities.shape
    logits = _logits(probabilities)
    targets = np.full((count, classes), 1 / (count + classes))
    targets[np.arange(count), labels] += count / (count + classes)

    def cross_entropy(log_temperature: float) -> float:
        scaled = special.log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(np.mean(np.sum(targets * scaled, axis=1)))

    # The cross-entropy is convex in 1 / T, so it has one minimum in log T.
    found = optimize.minimize_scalar(
        cross_entropy, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded"
    )
    return float(np.exp(found.x))


def mistakes(
    probabilities: np.ndarray, labels: np.ndarray
) -> tuple[tuple[float, int, int], ...]:
    """Counts the mistakes among confident predictions.

    One temperature calibrates all predictions together. The confident predictions
    alone can still be wrong more often than their probabilities say.

    Args:
        probabilities: Calibrated class probabilities, float `(n, classes)`.
        labels: Classes, integers `(n,)`.

    Returns:
        One tuple for each value c of `CONFIDENCES`: c, the number of images whose
        highest probability is at least c, and the number of mistakes among them.
    """
    highest, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != labels
    sure = [(c, highest >= c) for c in CONFIDENCES]
    return tuple((c, int(rows.sum()), int(wrong[rows].sum())) for c, rows in sure)


def interval(count: int, total: int) -> tuple[float, float]:
    """Returns the 95 % confidence interval of a share, in percent (Wilson 1927).

    Args:
        count: Number of counted images, for example of misclassified images.
        total: Number of all images, at least 1.
    """
    found = stats.binomtest(count, total).proportion_ci(method="wilson")
    return 100 * float(found.low), 100 * float(found.high)


def apply(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns the class probabilities after division of the logits by a temperature.

    Args:
        probabilities: Float `(n, classes)`; rows sum to 1.
        temperature: Above 0; 1 changes nothing.

    Returns:
        Float32 `(n, classes)`; rows sum to 1.
    """
    scaled = _logits(probabilities) / temperature
    return special.softmax(scaled, axis=1).astype("float32")


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities.astype("float64"), _TINY))
