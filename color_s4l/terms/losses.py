"""Losses and distances of class distributions, per example."""

import keras
from keras import ops

from color_s4l.backend import Tensor
from color_s4l.data.transfer import IGNORED


def label_entropy(labels: Tensor, logits: Tensor, smoothing: float = 0.0) -> Tensor:
    """Returns the cross-entropy of predictions with class labels, in nats.

    Args:
        labels: Integers `(batch,)`.
        logits: Float `(batch, classes)`.
        smoothing: Probability that is shared equally by all classes, in [0, 1).

    Returns:
        Float `(batch,)`, at least 0.
    """
    if smoothing:
        classes = logits.shape[-1]
        targets = ops.one_hot(labels, classes, dtype="float32")
        targets = (1 - smoothing) * targets + smoothing / classes
        return cross_entropy(targets, logits)
    return keras.losses.sparse_categorical_crossentropy(
        labels, logits, from_logits=True
    )


def cross_entropy(targets: Tensor, logits: Tensor) -> Tensor:
    """Returns the cross-entropy of predictions with target distributions, in nats.

    Args:
        targets: Probabilities, float `(batch, classes)`.
        logits: Float `(batch, classes)`.

    Returns:
        Float `(batch,)`, at least 0.
    """
    return -ops.sum(targets * ops.log_softmax(logits), axis=-1)


def binary_entropy(targets: Tensor, logits: Tensor) -> Tensor:
    """Returns the binary cross-entropy of several labels, in nats.

    Args:
        targets: Float `(batch, classes)`: 1, 0 or `IGNORED`.
        logits: Float `(batch, classes)`.

    Returns:
        Float `(batch,)`: the mean over the classes that count; 0 if there are none.
    """
    known = ops.cast(targets != IGNORED, "float32")
    entropies = known * (ops.softplus(logits) - targets * known * logits)
    return ops.sum(entropies, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1.0)


def pixel_entropy(targets: Tensor, logits: Tensor) -> Tensor:
    """Returns the cross-entropy of the classes of pixels, in nats.

    Args:
        targets: Float `(batch, pixels)`: the index of a class, or `IGNORED`.
        logits: Float `(batch, pixels, classes)`.

    Returns:
        Float `(batch,)`: the mean over the pixels that count; 0 if there are none.
    """
    known = ops.cast(targets != IGNORED, "float32")
    classes = ops.cast(targets * known, "int32")
    entropies = known * keras.losses.sparse_categorical_crossentropy(
        classes, logits, from_logits=True
    )
    return ops.sum(entropies, axis=-1) / ops.maximum(ops.sum(known, axis=-1), 1.0)


def error_rate(labels: Tensor, logits: Tensor) -> Tensor:
    """Returns the share of predictions that differ from their label, in percent.

    Args:
        labels: Integers `(batch,)`.
        logits: Float `(batch, classes)`.

    Returns:
        Float scalar in [0, 100].
    """
    wrong = ops.cast(ops.argmax(logits, axis=-1) != labels, "float32")
    return 100 * ops.mean(wrong)


def squared_distance(first: Tensor, second: Tensor) -> Tensor:
    """Returns the squared distance of two distributions, averaged over the classes.

    The consistency loss of Laine & Aila 2017 (algorithm 1,
    https://arxiv.org/abs/1610.02242). Gradient flows to both sides: if one side is a
    target, apply `stop_gradient` to it first.

    Args:
        first: Probabilities, float `(batch, classes)`.
        second: Probabilities, float `(batch, classes)`.

    Returns:
        Float `(batch,)`, in [0, 2 / classes].

    Raises:
        ValueError: The shapes differ. (Broadcasting would hide the mistake.)
    """
    if tuple(first.shape) != tuple(second.shape):
        raise ValueError(
            f"Expected two distributions of one shape. "
            f"Received: {tuple(first.shape)} and {tuple(second.shape)}."
        )
    return ops.mean(ops.square(first - second), axis=-1)


def divergence(target: Tensor, logits: Tensor) -> Tensor:
    """Returns the Kullback-Leibler divergence of predictions from targets, in nats.

    sum p log(p / q), where p = softmax(target) and q = softmax(logits). Gradient flows
    to both sides. The divergence is computed from logits, so it is finite for any
    logits, and exact near 0, where positive and negative summands cancel.

    Args:
        target: Logits of p, float `(batch, classes)`.
        logits: Logits of q, float `(batch, classes)`.

    Returns:
        Float `(batch,)`, at least 0 up to rounding.
    """
    log_p, log_q = ops.log_softmax(target), ops.log_softmax(logits)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def entropy(logits: Tensor) -> Tensor:
    """Returns the entropy of predictions, in nats.

    Args:
        logits: Float `(batch, classes)`.

    Returns:
        Float `(batch,)`, in [0, log(classes)].
    """
    log_p = ops.log_softmax(logits)
    return -ops.sum(ops.exp(log_p) * log_p, axis=-1)
