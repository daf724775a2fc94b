"""Copies of networks made of Keras' own layers."""

import keras
import numpy as np
import pytest
from PIL import Image

from color_s4l.data import image_files
from color_s4l.errors import InputError
from color_s4l.networks import Network, inference_model, layers, portable
from color_s4l.networks.attention import attention
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
    model = inference_model(network, layer)
    head = model.get_layer("class")
    logits = keras.Model(model.input, head.output)(images)
    scale = float(keras.ops.std(logits))
    head.set_weights([weight / scale for weight in head.get_weights()])
    return model


def own_layers(model):
    """Returns the layers that are not Keras' own, at any depth."""
    nested = [m for m in model.layers if isinstance(m, keras.Model)]
    own = [m for m in model.layers if not type(m).__module__.startswith("keras.")]
    return own + [layer for inner in nested for layer in own_layers(inner)]


def check_equal(model, images):
    copy = portable.portable(model)
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
    "settings",
    [
        {"zca": True},
        {"zca": False, "normalization": "channels"},
        {"zca": False, "normalization": "imagenet"},
    ],
    ids=["zca", "channels", "imagenet"],
)
def test_preprocessing_is_copied(settings, images):
    black = np.concatenate([images, np.zeros_like(images[:1])])
    copy = check_equal(classifier("convnet", images, **settings), black)
    assert {"preprocessing", "trunk", "class"} <= {layer.name for layer in copy.layers}


@pytest.mark.parametrize(
    "layer",
    [
        layers.LayerScale(0.5, 6),
        layers.ChannelConv2D(6, 3, padding="same", groups=6),
        layers.ChannelConv2D(6, 3, strides=2, groups=6, use_bias=False),
    ],
)
def test_layers_of_convnext_are_copied(layer):
    inputs = keras.Input((8, 8, 6))
    model = keras.Model(inputs, layer(inputs))
    generator = np.random.default_rng(0)
    layer.set_weights([generator.normal(size=w.shape) for w in layer.get_weights()])
    check_equal(model, generator.normal(size=(2, 8, 8, 6)).astype("float32"))


def test_gates_are_copied(images):
    check_equal(
        classifier("convnet", images, {"attention": attention}, zca=False), images
    )


# Keras pads before it resizes, so that the edges of the bars are between two pixels.
@pytest.mark.parametrize(("resize", "difference"), [("crop", 1), ("pad", 6)])
@pytest.mark.parametrize("shape", [(150, 110), (91, 163), (64, 64)])
def test_resizing_is_that_of_training(resize, difference, shape):
    generator = np.random.default_rng(1)
    # Smooth images, like photographs.
    small = generator.integers(0, 256, (3, 6, 6, 3)).astype("float32")
    large = keras.ops.image.resize(small, shape, interpolation="bicubic")
    large = np.clip(keras.ops.convert_to_numpy(large), 0, 255).astype("uint8")
    pictures = [Image.fromarray(image) for image in large]
    expected = np.stack([image_files.square(p, 64, resize) for p in pictures])
    inputs = keras.Input((None, None, 3), dtype="uint8")
    model = keras.Model(inputs, portable._resized(inputs, 64, resize))
    found = keras.ops.convert_to_numpy(model(large))
    assert found.shape == (3, 64, 64, 3)
    assert np.abs(found - expected).mean() < difference


def test_a_layer_without_a_copy_is_named():
    class Doubled(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    inputs = keras.Input((2,))
    model = keras.Model(inputs, Doubled(name="twice")(inputs))
    with pytest.raises(InputError, match=r"'twice' \(Doubled\) is not one of Keras'"):
        portable.portable(model)
