"""Independent streams of random numbers, one per purpose, all from one seed.

A draw is a function of (seed, purpose, number) and of nothing else, so that
asking for one thing more, or resuming in the middle, changes no other draw.
"""

import enum
import random

import numpy as np


class Purpose(enum.IntEnum):
    """What a stream is for. The values are part of every saved run: never reuse one."""

    CLASS_ORDER = 0
    UNLABELED_SUBSET = 1
    LABELED_BATCHES = 2
    UNLABELED_BATCHES = 3
    CYCLE_SUBSET = 4


def permutation(length: int, seed: int, purpose: Purpose, number: int) -> np.ndarray:
    """A random order of 0 ... length - 1.

    Args:
        length: How many, at least 0.
        seed: The run's seed, at least 0.
        purpose: Which stream.
        number: Which draw of the stream, at least 0.

    Returns:
        int64 `(length,)`.
    """
    return np.random.default_rng([seed, purpose, number]).permutation(length)


def seed_initialisers(seed: int) -> None:
    """Seeds the weight initialisers and dropout layers created from here on.

    Keras draws a seed from Python's generator for every initialiser or layer that has
    none of its own. `keras.utils.set_random_seed` would import TensorFlow on every
    backend.

    Args:
        seed: Integer, at least 0.
    """
    random.seed(seed)
