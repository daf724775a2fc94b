"""Batches that are read ahead, and what Keras gets of them."""

import gc
import threading
import time
import weakref

import keras
import numpy as np
import pytest

from color_s4l import backend, data
from color_s4l.data import StepBatches, draw_split
from color_s4l.errors import InputError
from color_s4l.training.feeding import Feed, Slices


class Watched(StepBatches):
    """Step batches that record the steps and threads of reading; may fail at a step."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.steps, self.threads, self.bad = [], set(), None

    def batch(self, step):
        self.steps.append(step)
        self.threads.add(threading.current_thread().name)
        if step == self.bad:
            raise InputError("cat.jpg cannot be read any more")
        return super().batch(step)


@pytest.fixture
def batches(small):
    split = draw_split(small.labels, small.classes, 8, None, 0, seed=1)
    return Watched(small.images, small.labels, split, 4, 8, 1, small.images)


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_batches_belong_to_their_steps(batches, ahead):
    feed = Feed(batches, first=3, last=12, ahead=ahead)
    assert feed.num_batches == 9
    # Keras reads the first batches twice, to see their shapes.
    for number in [0, 1, *range(9)]:
        (found,) = feed[number]
        expected = StepBatches.batch(batches, 3 + number)
        assert found.keys() == expected.keys()
        assert all((found[name] == expected[name]).all() for name in found)
    assert max(batches.steps) == 11
    assert len(batches.steps) == 9 + min(2, 9)


def test_reads_ahead_and_no_further(batches):
    feed = Feed(batches, first=0, last=100, ahead=2)
    feed[0]
    limit = time.monotonic() + 10
    while len(batches.steps) < 3 and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(0.05)
    assert batches.steps == [0, 1, 2]
    assert threading.current_thread().name not in batches.threads
    # Each batch: 4 images, their colourised copies and 8 labelled images.
    assert feed.read == 3 * 16
    assert 0 < feed.reading < 10


def test_a_reading_error_is_raised_unchanged(batches):
    batches.bad = 1
    feed = Feed(batches, first=0, last=5)

    def wrapped():
        feed[0]
        try:
            feed[1]
        except InputError as error:
            raise RuntimeError("TensorFlow's error") from error

    with pytest.raises(InputError, match=r"cat\.jpg"), feed.failing_as_itself():
        wrapped()


def test_other_errors_are_not_replaced(batches):
    feed = Feed(batches, first=0, last=5)
    with pytest.raises(ZeroDivisionError), feed.failing_as_itself():
        raise ZeroDivisionError
    assert np.isclose(feed.reading, 0)


def test_keras_reads_every_slice_once_and_in_order():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0)])
    array = np.arange(24, dtype="uint8").reshape(12, 2)
    slices = Slices(array, 4)
    kept = weakref.ref(slices)
    with backend.fed(slices) as fed:
        if keras.backend.backend() == "tensorflow":
            assert fed.options().autotune.enabled is False
            assert fed.element_spec[0].shape == (4, 2)
            assert int(fed.cardinality()) == 3
        assert (model.predict(fed, verbose=0) == 2 * array).all()
    # Nothing holds the array afterwards.
    del slices, fed
    gc.collect()
    assert kept() is None


def test_a_resumed_feed_reads_only_the_images_of_its_steps(small):
    read = []

    class Watched(data.LazyImages):
        key = "watched"

        def _rows(self, numbers):
            read.append(numbers)
            return small.images[numbers]

    split = data.Split(np.arange(8), np.arange(8, 40), np.arange(0))
    arrays = data.StepBatches(small.images, small.labels, split, 4, 2, seed=1)
    lazy = data.StepBatches(
        Watched(small.images.shape), small.labels, split, 4, 2, seed=1
    )
    # The few labelled images are read once, at the start.
    (labeled,) = read
    assert (labeled == split.labeled).all()
    read.clear()
    feed = Feed(lazy, first=9, last=11)
    for number in range(2):
        found, expected = feed[number][0], arrays.batch(9 + number)
        assert all((found[name] == expected[name]).all() for name in expected)
    indices = [arrays.batch(step)["index"].ravel() for step in (9, 10)]
    assert sorted(np.concatenate(read)) == sorted(
        split.unlabeled[np.concatenate(indices)]
    )
