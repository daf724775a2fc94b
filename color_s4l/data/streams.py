"""Independent streams of random orders, one per purpose, all from one seed.

Each draw is a function of (seed, purpose, number) only. Additional draws, or resuming a
run, therefore do not change any other draw.
"""

import enum
import functools
import random

import numpy as np


class Purpose(enum.IntEnum):
    """The purpose of a stream.

    The random numbers depend on these values, so that earlier runs can only be repeated
    with the same values. Never change or reuse a value.
    """

    CLASS_ORDER = 0
    UNLABELED_SUBSET = 1
    LABELED_BATCHES = 2
    UNLABELED_BATCHES = 3
    CYCLE_SUBSET = 4
    FLIPS = 5


def permutation(length: int, seed: int, purpose: Purpose, number: int) -> np.ndarray:
    """Returns a random order of 0 ... length - 1.

    Args:
        length: Number of items, at least 0.
        seed: The run's seed, at least 0.
        purpose: The stream.
        number: The draw's number within the stream, at least 0.

    Returns:
        int64 `(length,)`.
    """
    return np.random.default_rng([seed, purpose, number]).permutation(length)


class Stream:
    """An endless sequence of the numbers 0 ... n - 1, shuffled again for each pass.

    Position p holds `permutation(n, seed, purpose, p // n)[p % n]`.

    Args:
        length: n, at least 1.
        seed: The run's seed, at least 0.
        purpose: Purpose of the stream. Streams with different purposes are independent.
    """

    def __init__(self, length: int, seed: int, purpose: Purpose):
        self.length = length
        # Two orders are cached: a batch may begin in one pass and end in the next.
        self._order = functools.lru_cache(maxsize=2)(
            lambda number: permutation(length, seed, purpose, number)
        )

    def take(self, start: int, count: int) -> np.ndarray:
        """Returns the numbers at the positions start ... start + count - 1.

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


def seed_initialisers(seed: int) -> None:
    """Seeds the weight initialisers and dropout layers that are created afterwards.

    For every initialiser or layer without a seed, Keras draws one with Python's module
    `random`. `keras.utils.set_random_seed` is not used, because it would import
    TensorFlow on every backend.

    Args:
        seed: Integer, at least 0.
    """
    random.seed(seed)
