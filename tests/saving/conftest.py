"""One untrained classifier with its whitening, as a run would save it."""

import keras
import pytest

from color_s4l import methods
from color_s4l.artifacts.classifier_file import About
from color_s4l.networks import inference_model
from color_s4l.settings import Run
from color_s4l.training import fitting, preparation


@pytest.fixture(scope="session")
def about():
    return About(("cat", "Ängstlicher Hund", "鳥", "a, b"), hflip=False, fit="pad")


@pytest.fixture(scope="session")
def make_model(small, statistics):
    """A function: a trunk's name, and its width, to a classifier of small images."""

    def make(network="convnet", width=0.03):
        keras.utils.set_random_seed(1)
        run = Run(network=network, width=width, zca=True)
        terms = methods.terms_of("supervised")
        whole = preparation.network_of(run, terms, small)
        keys = dict(zip(("mean", "matrix"), statistics, strict=True))
        return inference_model(whole, fitting.preprocessing_of(run, small, keys))

    return make


@pytest.fixture(scope="session")
def model(make_model):
    return make_model()


@pytest.fixture(scope="session")
def expected(model, small):
    """The classifier's own probabilities of the test images."""
    return model.predict(small.test_images, verbose=0)
