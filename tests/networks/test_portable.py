"""Copies of networks made of Keras' own layers."""

import keras
import numpy as np
import pytest
from PIL import Image

from color_s4l.data import image_files
from color_s4l.errors import InputError
from color_s4l.networks import Network, inference_model
from color_s4l.networks.attention import attention
from color_s4l.networks.portable import portable
from color_s4l.registry import TRUNKS
from color_s4l.views import preprocessing

# Every trunk with layers of this library; the others have Keras' own layers and the
# batch normalisation of these.
NAMES = ("convnet", "wrn_28_2_usb", "shake_wrn", "revnet18", "airbench96", "resnet18")
SIDE = 16


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)


def classifier(name, images, heads=None, **settings):
    """Returns a classifier whose weights and statistics are random."""
    keras.utils.set_random_seed(1)
    trunk = TRUNKS[name]((SIDE, SIDE, 3), width=0.05)
    network = Network(trunk, {"class": 3, **(heads or {})}, 0.0)
    network(np.zeros((1, SIDE, SIDE, 3), "float32"))
    layer = preprocessing.Preprocessing(**settings)
    layer.build((None, SIDE, SIDE, 3))
    if layer.normalization == "channels":
        layer.set_statistics(preprocessing.channel_statistics(images))
    elif layer.zca:
        layer.set_statistics(preprocessing.whitening(images))
    network(layer(images), training=True)
    return inference_model(network, layer)


def own_layers(model):
    """Returns the layers that are not Keras' own, at any depth."""
    nested = [m for m in model.layers if isinstance(m, keras.Model)]
    own = [m for m in model.layers if not type(m).__module__.startswith("keras.")]
    return own + [layer for inner in nested for layer in own_layers(inner)]


def check_equal(model, images):
    copy = portable(model)
    assert not own_layers(copy)
    expected = keras.ops.convert_to_numpy(model(images))
    assert np.ptp(expected, axis=0).max() > 1e-4
    found = keras.ops.convert_to_numpy(copy(images))
    assert found == pytest.approx(expected, abs=1e-5)
    return copy


@pytest.mark.parametrize("name", NAMES)
def test_copy_has_the_same_probabilities(name, images):
    model = classifier(name, images, zca=False)
    assert own_layers(model)
    check_equal(model, images)


@pytest.mark.parametrize(
    "settings", [{"zca": True}, {"normalization": "channels"}], ids=["zca", "channels"]
)
def test_preprocessing_is_copied(settings, images):
    black = np.concatenate([images, np.zeros_like(images[:1])])
    copy = check_equal(classifier("convnet", images, **settings), black)
    assert {"preprocessing", "trunk", "class"} <= {layer.name for layer in copy.layers}


def test_gates_are_copied(images):
    check_equal(
        classifier("convnet", images, {"attention": attention}, zca=False), images
    )


@pytest.mark.parametrize("resize", ["crop", "pad"])
@pytest.mark.parametrize("shape", [(40, 56), (61, 33), (SIDE, SIDE)])
def test_resizing_is_that_of_training(resize, shape, images):
    model = classifier("convnet", images, zca=False)
    copy = portable(model, resize)
    generator = np.random.default_rng(1)
    # Smooth images, like photographs.
    small = generator.integers(0, 256, (3, 6, 6, 3)).astype("float32")
    large = keras.ops.image.resize(small, shape, interpolation="bicubic")
    large = np.clip(keras.ops.convert_to_numpy(large), 0, 255).astype("uint8")
    pictures = [Image.fromarray(image) for image in large]
    squares = np.stack([image_files.square(p, SIDE, resize) for p in pictures])
    expected = keras.ops.convert_to_numpy(model(squares))
    found = keras.ops.convert_to_numpy(copy(large))
    assert found == pytest.approx(expected, abs=0.02)


def test_a_layer_without_a_copy_is_named():
    class Doubled(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    inputs = keras.Input((2,))
    model = keras.Model(inputs, Doubled(name="twice")(inputs))
    with pytest.raises(InputError, match=r"'twice' \(Doubled\) is not one of Keras'"):
        portable(model)
