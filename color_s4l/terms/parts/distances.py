"""How far two predictions are apart, per example."""

from keras import ops


def squared(first, second):
    """Squared distance between two class distributions.

    The consistency term of Laine & Aila 2017 (algorithm 1,
    https://arxiv.org/abs/1610.02242). Symmetric: gradient reaches both sides, so a
    term whose second side is a target must stop it there.

    Args:
        first: Probabilities, float `(batch, classes)`.
        second: Probabilities, float `(batch, classes)`.

    Returns:
        Float `(batch,)`, in [0, 2 / classes]: the mean over the classes.

    Raises:
        ValueError: The shapes differ. (Broadcasting would hide the mistake.)
    """
    if tuple(first.shape) != tuple(second.shape):
        raise ValueError(
            f"Expected two distributions of one shape. "
            f"Received: {tuple(first.shape)} and {tuple(second.shape)}."
        )
    return ops.mean(ops.square(first - second), axis=-1)


def divergence(target, logits):
    """Kullback-Leibler divergence of a prediction from a target, in nats.

    sum p log(p / q), p = softmax(target), q = softmax(logits). Gradient reaches both
    sides. From logits, so that it stays finite and exact near 0, where the terms of
    the sum cancel.

    Args:
        target: Logits of p, float `(batch, classes)`.
        logits: Logits of q, float `(batch, classes)`.

    Returns:
        Float `(batch,)`, at least 0 up to rounding.
    """
    log_p, log_q = ops.log_softmax(target), ops.log_softmax(logits)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


def entropy(logits):
    """Entropy of a prediction, in nats.

    Args:
        logits: Float `(batch, classes)`.

    Returns:
        Float `(batch,)`, in [0, log(classes)].
    """
    log_p = ops.log_softmax(logits)
    return -ops.sum(ops.exp(log_p) * log_p, axis=-1)
