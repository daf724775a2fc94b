"""Step batches in the form that Keras' `fit` takes, read ahead of the step."""

import concurrent.futures
import contextlib
import math
import threading
import time
from collections.abc import Iterator

import keras
import numpy as np

from color_s4l.data import StepBatches

# Batches read while the step runs: one to come, and one for a slow disk.
AHEAD = 2


class Feed(keras.utils.PyDataset):
    """The batches from one step to another.

    Numbered, and no generator: under `tf.distribute`, `fit` opens its data twice, and
    a generator would silently lose the batches read the first time. One Keras worker
    and no more: with several, Keras starts anew at number 0 in every epoch. The thread
    that reads ahead is our own, and changes no batch: each is a function of its number.

    Args:
        batches: Of the run.
        first: The first step.
        last: The step after the last one.
        ahead: Batches to read ahead; 0: each when it is asked for.

    Attributes:
        read: Images read so far.
        reading: Seconds spent on reading them.
        failure: What went wrong in reading, None if nothing did. Keras' backends
            wrap it in errors of their own.
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
        """Steps in all."""
        return self.last - self.first

    def __getitem__(self, number: int) -> tuple[dict]:
        """One batch, alone in a tuple: Keras' inputs without targets."""
        last = min(number + self.ahead + 1, self.num_batches)
        with self._lock:  # data that are opened twice are read by two threads
            for following in range(number, last):
                if following not in self._pending:
                    self._pending[following] = self._pool.submit(self._batch, following)
            batch = self._pending.pop(number)
        return (batch.result(),)

    @contextlib.contextmanager
    def failing_as_itself(self) -> Iterator[None]:
        """Inside, what goes wrong in reading is raised as it was, without a wrapping.

        A user's file that vanishes would be TensorFlow's error otherwise.
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
