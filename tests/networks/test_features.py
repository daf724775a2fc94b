"""Trunks in pieces, and the attention module."""

import keras
import numpy as np
import pytest

from color_s4l.networks import TRUNKS, Network, inference_model
from color_s4l.networks.attention import attention
from color_s4l.networks.stages import stages
from color_s4l.views.preprocessing import Preprocessing


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).normal(size=(3, 16, 16, 3)).astype("float32")


@pytest.mark.parametrize(
    ("name", "sides"),
    [("convnet", (16, 16, 8, 4)), ("wrn_28_2", (16, 16, 8)), ("resnet18", None)],
)
def test_stages_one_after_another_are_the_trunk(name, sides, images):
    trunk = TRUNKS[name]((16, 16, 3), width=0.07)
    parts = stages(trunk)
    assert len(parts) > 1
    if sides:
        assert tuple(part.input_shape[1] for part in parts) == sides
    features = images
    for part in parts:
        features = part(features, training=False)
    expected = numpy_of(trunk(images, training=False))
    assert numpy_of(features) == pytest.approx(expected, abs=1e-5)
    shared = {id(weight) for part in parts for weight in part.weights}
    assert shared == {id(weight) for weight in trunk.weights}


def test_attention_by_hand():
    # Without training, batch normalisation divides by sqrt(1 + 0.001): as good as 1.
    # Kernels (1, 0) and (0, -2) on features (3, 1) and (-1, -2): ReLU 3 + 0, 0 + 4.
    module = attention((1, 2, 2))
    kernels = [w for w in module.weights if w.name == "kernel"]
    for kernel, values in zip(kernels, [(1, 0), (0, -2)], strict=True):
        kernel.assign(np.array(values, "float32").reshape(1, 1, 2, 1))
    features = np.array([[[[3, 1], [-1, -2]]]], "float32")
    found = numpy_of(module(features, training=False)).ravel()
    assert found == pytest.approx([3, 4], rel=1e-3)


def test_attention_weights_the_places_before_they_are_pooled(images):
    trunk = TRUNKS["convnet"]((16, 16, 3), width=0.03)
    module = attention(trunk.output_shape[1:])
    network = Network(trunk, {"class": 4}, 0.5, module)
    outputs = {name: numpy_of(value) for name, value in network(images).items()}
    expected = (outputs["features"] * outputs["attention"]).mean(axis=(1, 2))
    assert outputs["pooled"] == pytest.approx(expected, abs=1e-6)
    assert {"attention_1", "attention_2"} <= {
        layer.name for layer in network.attention.layers
    }
    # The user's classifier has the module too, and its weights are trained and saved.
    ids = {id(weight) for weight in network.trainable_variables}
    assert {id(weight) for weight in module.trainable_variables} <= ids
    preprocessing = Preprocessing(zca=False)
    model = inference_model(network, preprocessing)
    raw = np.random.default_rng(2).integers(0, 256, (2, 16, 16, 3)).astype("uint8")
    logits = network(preprocessing(raw))["class"]
    assert numpy_of(model(raw)) == pytest.approx(
        numpy_of(keras.ops.softmax(logits)), abs=1e-5
    )
