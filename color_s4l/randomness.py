"""The one place where global random state is set."""

import random


def seed_initialisers(seed: int) -> None:
    """Makes Keras' initialisers and dropouts draw the same from here on.

    Keras takes the seed of everything that has none of its own from Python's
    generator. `keras.utils.set_random_seed` would do more than is needed: it
    imports TensorFlow on every backend.

    Args:
        seed: At least 0.
    """
    random.seed(seed)
