"""Mixing two images, or two of anything, in a drawn proportion.

Zhang et al. 2018 (mixup, https://arxiv.org/abs/1710.09412) draws the proportion from
a Beta distribution and mixes a batch with its permutation. A step's images stand in
random order already, so each is mixed with its neighbour: that needs no draw, and
whole pairs stay on one device.
"""

import functools

import keras
import numpy as np
from keras import ops
from scipy import special

POINTS = 4097


def draw_shares(
    seed: keras.random.SeedGenerator, shape: tuple[int, ...], alpha: float, each: bool
):
    """Draws proportions.

    Args:
        seed: Advanced by the draw.
        shape: `(groups, images per group)`.
        alpha: Of Beta(alpha, alpha), more than 0.
        each: One for each image, or one for all.

    Returns:
        Float of the shape, in [0, 1].
    """
    uniform = keras.random.uniform(shape if each else (1, 1), seed=seed)
    return ops.broadcast_to(_quantiles(uniform, alpha), shape)


def _quantiles(uniform, alpha: float):
    """What uniform numbers in [0, 1) are under a Beta distribution.

    Read off a table: Keras' Beta draws are made of Gamma draws, for which
    TensorFlow's XLA has no kernel (seen with 2.21).
    """
    table = ops.convert_to_tensor(_table(alpha))
    place = uniform * (POINTS - 1)
    below = ops.floor(place)
    index = ops.cast(below, "int32")
    low, high = ops.take(table, index), ops.take(table, index + 1)
    return low + (place - below) * (high - low)


@functools.cache
def _table(alpha: float) -> np.ndarray:
    places = np.linspace(0, 1, POINTS)
    return special.betaincinv(alpha, alpha, places).astype("float32")


def swapped(things):
    """Each thing's neighbour: 1, 0, 3, 2, ...; the last of an odd number is its own.

    Args:
        things: `(batch, ...)`.
    """
    count = things.shape[0]
    return ops.take(things, np.minimum(np.arange(count) ^ 1, count - 1), axis=0)


def mix(first, second, share):
    """share * first + (1 - share) * second.

    Args:
        first: Float `(batch, ...)`.
        second: Float of the same shape.
        share: Float `(batch,)`.
    """
    share = ops.reshape(share, (-1, *[1] * (len(first.shape) - 1)))
    share = ops.cast(share, first.dtype)
    return share * first + (1 - share) * second


def cross_entropy(targets, logits):
    """Of a prediction with a target that need not be one class.

    Args:
        targets: Distributions, float `(batch, classes)`.
        logits: Float `(batch, classes)`.

    Returns:
        Float `(batch,)`, in nats.
    """
    return -ops.sum(targets * ops.log_softmax(logits), axis=-1)
