"""Terms without a trunk: a network that is given its own answers."""

import contextlib

import keras
import numpy as np
import pytest

from color_s4l.terms import Progress

OVER = Progress(np.int32(99), 100, 10)


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


class Given:
    """A network whose logits stand in the images: each is its own output."""

    def __init__(self):
        self.heads = {"class": lambda images: images}

    def __call__(self, images, training=False):
        assert training
        parts = ("class", "proxy", "pooled", "embedding", "attention")
        return dict.fromkeys(parts, keras.ops.convert_to_tensor(images))

    def random_states(self):
        return []

    @contextlib.contextmanager
    def moving_statistics_kept(self):
        yield


@pytest.fixture
def given():
    """A network whose logits stand in the images."""
    return Given()


@pytest.fixture
def loss_of(given):
    """A function: a term and its batch to its scalars, when every ramp is over."""

    def measure(term, batch, state=None, progress=OVER):
        outcome = term.loss(given, batch, state, progress)
        return {name: float(numpy_of(value)) for name, value in outcome.terms.items()}

    return measure
