"""Step batches in the form that Keras' `fit` takes."""

import keras

from color_s4l.data import StepBatches


class Feed(keras.utils.PyDataset):
    """The batches from one step to another.

    A `PyDataset` and no generator: under `tf.distribute`, `fit` opens its data
    twice, and a generator would silently lose the batches read the first time. One
    worker and no more: with several, Keras starts anew at number 0 in every epoch.

    Args:
        batches: Of the run.
        first: The first step.
        last: The step after the last one.
    """

    def __init__(self, batches: StepBatches, first: int, last: int):
        super().__init__(workers=1)
        self.batches, self.first, self.last = batches, first, last

    @property
    def num_batches(self) -> int:
        """Steps in all."""
        return self.last - self.first

    def __getitem__(self, number: int) -> tuple[dict]:
        """One batch, alone in a tuple: Keras' inputs without targets."""
        return (self.batches.batch(self.first + number),)
