"""What Keras reads numbered batches through, in the running backend."""

import contextlib
import importlib

import keras
import numpy as np

_backend = importlib.import_module(f"{__name__}.{keras.backend.backend()}")


def fed(batches: keras.utils.PyDataset) -> contextlib.AbstractContextManager:
    """What to hand to `fit` and `predict` in place of the batches.

    Args:
        batches: All of the same shapes; their number is known. The first is read once
            more, for its shapes.

    Returns:
        A context that gives it and, at its end, lets go of the batches. What goes wrong
        in reading a batch is raised by Keras in an error of the backend's.
    """
    return _backend.fed(batches)


class Slices(keras.utils.PyDataset):
    """An array in batches, from its beginning to its end.

    Args:
        array: `(n, ...)`.
        batch_size: Divides n.
    """

    def __init__(self, array: np.ndarray, batch_size: int):
        super().__init__(workers=1)
        self.array, self.batch_size = array, batch_size

    @property
    def num_batches(self) -> int:
        """Batches in all."""
        return len(self.array) // self.batch_size

    def __getitem__(self, number: int) -> tuple[np.ndarray]:
        """One batch, alone in a tuple: Keras' inputs without targets."""
        start = number * self.batch_size
        return (self.array[start : start + self.batch_size],)
