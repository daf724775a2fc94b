"""Data sets of batches for Keras' `fit` and `predict`."""

import concurrent.futures
import contextlib
import math
import threading
import time
from collections.abc import Iterator

import keras
import numpy as np

from color_s4l.data import StepBatches

# Number of batches read ahead: the next one, and one more in case the disk is slow.
AHEAD = 2


class Feed(keras.utils.PyDataset):
    """A data set of the batches of a range of steps, read ahead by one thread.

    Batches are read by index, not from a generator: under `tf.distribute`, `fit` opens
    the data set twice, and the batches that a generator yielded the first time would
    silently be lost. Only one Keras worker is used: with several workers, Keras starts
    at index 0 in every epoch.

    Args:
        batches: The step batches of the run.
        first: The first step.
        last: The step after the last one.
        ahead: Number of batches to read ahead; 0: each batch is read when it is needed.

    Attributes:
        read: Number of images read so far.
        reading: Seconds spent on reading them.
        failure: The exception raised while reading, or None. It is stored here because
            Keras' backends replace it by exceptions of their own.
    """

    def __init__(self, batches: StepBatches, first: int, last: int, ahead: int = AHEAD):
        super().__init__(workers=1)
        self.batches, self.first, self.last, self.ahead = batches, first, last, ahead
        self.read, self.reading = 0, 0.0
        self.failure: Exception | None = None
        self._pool = concurrent.futures.ThreadPoolExecutor(1, "feed")
        self._pending: dict[int, concurrent.futures.Future] = {}
        self._lock = threading.Lock()

    @property
    def num_batches(self) -> int:
        """Number of batches."""
        return self.last - self.first

    def __getitem__(self, number: int) -> tuple[dict]:
        """Returns one batch in a tuple: Keras' inputs without targets."""
        last = min(number + self.ahead + 1, self.num_batches)
        with self._lock:  # if Keras opens the data set twice, two threads read it
            for following in range(number, last):
                if following not in self._pending:
                    self._pending[following] = self._pool.submit(self._batch, following)
            batch = self._pending.pop(number)
        return (batch.result(),)

    @contextlib.contextmanager
    def failing_as_itself(self) -> Iterator[None]:
        """Raises the original reading error instead of the backend's exception.

        Otherwise a deleted image file would look like an error in TensorFlow.
        """
        try:
            yield
        except Exception:
            if self.failure is None:
                raise
            raise self.failure from None
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _batch(self, number: int) -> dict:
        started = time.perf_counter()
        try:
            batch = self.batches.batch(self.first + number)
        except Exception as error:
            self.failure = error
            raise
        self.reading += time.perf_counter() - started
        images = (array for array in batch.values() if array.dtype == np.uint8)
        self.read += sum(math.prod(array.shape[:-3]) for array in images)
        return batch


class Slices(keras.utils.PyDataset):
    """A data set of consecutive batches of an array.

    Args:
        array: `(n, ...)`.
        batch_size: A divisor of n.
    """

    def __init__(self, array: np.ndarray, batch_size: int):
        super().__init__(workers=1)
        self.array, self.batch_size = array, batch_size

    @property
    def num_batches(self) -> int:
        """Number of batches."""
        return len(self.array) // self.batch_size

    def __getitem__(self, number: int) -> tuple[np.ndarray]:
        """Returns one batch in a tuple: Keras' inputs without targets."""
        start = number * self.batch_size
        return (self.array[start : start + self.batch_size],)
