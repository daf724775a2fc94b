"""Terms without a trunk: a network whose logits are its images."""

import contextlib

import keras
import numpy as np
import pytest

from color_s4l.terms import Outcome, Progress

# The last of 100 steps: every ramp is complete.
END = Progress(np.int32(99), 100, 10)


class Given:
    """A network whose outputs are its images, or a linear function of them.

    Attributes:
        passes: Number of passes so far.
        kept: Number of passes so far that did not update the moving statistics.
    """

    def __init__(self, matrix=None):
        self.matrix, self.passes, self.kept = matrix, 0, 0
        self.heads = {"class": lambda images: images}

    def __call__(self, images, training=False):
        assert training
        self.passes += 1
        images = keras.ops.convert_to_tensor(images)
        outputs = images if self.matrix is None else images @ self.matrix
        names = ("class", "proxy", "pooled", "embedding", "attention", "balanced")
        return dict.fromkeys(names, outputs)

    def random_states(self):
        return []

    @contextlib.contextmanager
    def moving_statistics_kept(self):
        self.kept += 1
        yield

    @contextlib.contextmanager
    def apart(self, values=()):
        yield


@pytest.fixture
def given():
    """The class of a network whose outputs are its images."""
    return Given


@pytest.fixture
def outcome_of():
    """A function: a term and its batch to its outcome, with scalars as floats."""

    def measure(term, batch, state=None, progress=END, network=None):
        outcome = term.loss(network or Given(), batch, state, progress)
        scalars = (
            {name: float(keras.ops.convert_to_numpy(v)) for name, v in part.items()}
            for part in (outcome.terms, outcome.watch)
        )
        return Outcome(*scalars, outcome.kept)

    return measure
