"""Keras gets every batch once, in order, and tunes nothing."""

import gc
import weakref

import keras
import numpy as np
import pytest

from color_s4l import backend
from color_s4l.training.feeding import Slices


@pytest.fixture
def batches():
    return Slices(np.arange(24, dtype="uint8").reshape(12, 2), 4)


def test_slices_are_the_array_in_order(batches):
    assert batches.num_batches == 3
    assert [batches[i][0].tolist() for i in (0, 2)] == [
        [[0, 1], [2, 3], [4, 5], [6, 7]],
        [[16, 17], [18, 19], [20, 21], [22, 23]],
    ]


def test_keras_reads_every_batch_once_and_in_order(batches):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0)])
    with backend.fed(batches) as fed:
        assert (model.predict(fed, verbose=0) == 2 * batches.array).all()


def test_no_batch_is_kept_after_it_is_read():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0)])
    batches = Slices(np.zeros((12, 2), "uint8"), 4)
    seen = weakref.ref(batches)
    with backend.fed(batches) as fed:
        model.predict(fed, verbose=0)
    del batches, fed
    gc.collect()
    assert seen() is None


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data's")
def test_tensorflow_knows_all_sizes_and_tunes_nothing(batches):
    with backend.fed(batches) as data:
        assert data.options().autotune.enabled is False
        assert data.element_spec[0].shape == (4, 2)
        assert int(data.cardinality()) == 3
