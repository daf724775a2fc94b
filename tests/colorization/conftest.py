"""Real images, and a small colorizer that is trained once."""

import dataclasses
import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from colorization import training
from colorization.colorizer import Colorizer
from colorization.networks import Shape

# Seed 2 leaves the plateau, where every pixel has the mean colour, on both backends.
SETTINGS = training.Settings(
    epochs=8, batch_size=20, seed=2, shape=Shape(width=0.25), verbosity=0
)


@functools.cache
def _crops(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    photographs = load_sample_images().images
    draws = np.random.default_rng(seed)
    found = []
    for index in range(count):
        photograph = photographs[index % 2]
        top, left = (draws.integers(side - size) for side in photograph.shape[:2])
        found.append(photograph[top : top + size, left : left + size])
    return np.array(found)


@pytest.fixture(scope="session")
def crops():
    """A function: count, size, seed to uint8 `(count, size, size, 3)`.

    Real images without download, a flower and a temple in turn.
    """
    return _crops


@pytest.fixture(scope="session")
def settings() -> training.Settings:
    return SETTINGS


@pytest.fixture(scope="session")
def colorizer() -> Colorizer:
    return training.train(_crops(400), SETTINGS, dataset="photographs")


@pytest.fixture(scope="session")
def untrained(colorizer) -> Colorizer:
    parts = training.build(dataclasses.replace(SETTINGS, seed=3))
    return Colorizer(parts.whole, colorizer.origin)
