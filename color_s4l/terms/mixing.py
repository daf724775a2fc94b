"""Mixtures of images, or of other tensors, in random proportions.

Mixup (Zhang et al. 2018, https://arxiv.org/abs/1710.09412) draws the proportion from a
Beta distribution and mixes a batch with a permutation of itself. Here the images of a
step are already in random order, so each image is mixed with its neighbour: this needs
no draw, and both images of a pair are on the same device.
"""

import functools

import keras
import numpy as np
from keras import ops
from scipy import special

from color_s4l.backend import Tensor

POINTS = 4097


def draw_shares(
    seed: keras.random.SeedGenerator,
    shape: tuple[int, ...],
    alpha: float,
    per_image: bool,
) -> Tensor:
    """Draws the proportions of mixtures from Beta(alpha, alpha).

    Args:
        seed: SeedGenerator, advanced in place.
        shape: `(groups, images per group)`.
        alpha: Parameter of the Beta distribution, more than 0.
        per_image: True: each image has its own proportion. False: all images have the
            same proportion.

    Returns:
        Float of the given shape, in [0, 1].
    """
    uniform = keras.random.uniform(shape if per_image else (1, 1), seed=seed)
    return ops.broadcast_to(_beta_quantiles(uniform, alpha), shape)


def _beta_quantiles(uniform: Tensor, alpha: float) -> Tensor:
    """Returns the quantiles of Beta(alpha, alpha) at numbers in [0, 1).

    The quantiles are interpolated in a table. `keras.random.beta` is not used: it draws
    Gamma numbers, for which TensorFlow's XLA has no kernel (seen with 2.21).
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


def swapped(tensor: Tensor) -> Tensor:
    """Returns the rows in the order 1, 0, 3, 2, ...: each row's partner.

    Args:
        tensor: `(batch, ...)`. If the number of rows is odd, the last row is its own
            partner.
    """
    count = tensor.shape[0]
    return ops.take(tensor, np.minimum(np.arange(count) ^ 1, count - 1), axis=0)


def mix(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Returns share * first + (1 - share) * second.

    Args:
        first: Float `(batch, ...)`.
        second: Float of the same shape.
        share: Float `(batch,)`.
    """
    share = ops.reshape(share, (-1, *[1] * (len(first.shape) - 1)))
    share = ops.cast(share, first.dtype)
    return share * first + (1 - share) * second


def mixed_labels(labels: Tensor, num_classes: int, share: Tensor) -> Tensor:
    """Returns the labels of images that were mixed with their partners.

    Args:
        labels: Integers `(batch,)`.
        num_classes: Number of classes.
        share: Float `(batch,)`.

    Returns:
        Distributions, float32 `(batch, classes)`.
    """
    targets = ops.one_hot(labels, num_classes, dtype="float32")
    return mix(targets, swapped(targets), share)
