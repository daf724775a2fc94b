"""One untrained classifier with its whitening, as a run would save it."""

import keras
import pytest

from color_s4l import methods
from color_s4l.artifacts.models import About
from color_s4l.networks import inference_model
from color_s4l.settings import ModelSettings
from color_s4l.training import build


@pytest.fixture(scope="session")
def about():
    names = ("cat", "Ängstlicher Hund", "鳥", "a, b")
    return About(names, hflip=False, resize="pad", network="convnet")


@pytest.fixture(scope="session")
def make_model(small, statistics):
    """A function that returns a narrow classifier of small images with a trunk."""

    def make(network="convnet"):
        keras.utils.set_random_seed(1)
        settings = ModelSettings(
            network, 0.03, 0.5, None, "contrast", zca=True, freeze_blocks=0
        )
        shape = small.images.shape[1:]
        terms = methods.terms_of("supervised")
        whole = build.build_network(settings, terms, shape, len(small.classes))
        preprocessing = build.build_preprocessing(settings, shape, statistics)
        return inference_model(whole, preprocessing)

    return make


@pytest.fixture(scope="session")
def model(make_model):
    return make_model()


@pytest.fixture(scope="session")
def expected(model, small):
    """The classifier's own probabilities of the test images."""
    return model.predict(small.test_images, verbose=0)
