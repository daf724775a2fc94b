"""Contract of every registered trunk, and of one that a plug-in adds."""

import math
import sys

import keras
import numpy as np
import pytest

from color_s4l import registry
from color_s4l.artifacts.files import h5_wanted
from color_s4l.errors import InputError
from color_s4l.networks import Network
from color_s4l.networks.convnet import convnet
from color_s4l.networks.structure import blocks, freeze, stages, statistics
from color_s4l.registry import TRUNKS

# Keras supports it on TensorFlow only; JAX does not need it.
SYNCHRONIZED = keras.backend.backend() == "tensorflow"


def narrow(name, shape, **settings):
    own = TRUNKS.options(name).get("tested_with", {})
    defaults = {"width": 0.03, "dropout": 0.0, "synchronized": False}
    return TRUNKS[name](shape, **{**defaults, **own, **settings})


CONTRACT = [name for name in TRUNKS if not TRUNKS.options(name).get("tested_as")]


@pytest.fixture(params=CONTRACT, scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def trunk(name):
    keras.utils.set_random_seed(1)
    return narrow(name, (32, 32, 3))


@pytest.fixture(scope="module")
def other(name):
    """The trunk with dropout and, on TensorFlow, synchronised statistics."""
    return narrow(name, (32, 32, 3), dropout=0.5, synchronized=SYNCHRONIZED)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_features_are_finite_maps_that_differ_between_images(trunk, images):
    features = numpy_of(trunk(images, training=True))
    assert features.shape[1:] == trunk.output_shape[1:]
    assert features.ndim == 4
    assert np.isfinite(features).all()
    assert features.std(axis=0).max() > 0.01 * np.abs(features).max()


def test_declared_shape_is_the_output_shape_at_any_image_size(name):
    shape = (36, 44, 3)
    trunk = narrow(name, shape)
    features = trunk(np.ones((2, *shape), "float32"))
    assert trunk.output_shape[1:] == tuple(features.shape[1:])
    assert min(features.shape) > 0


def test_gradient_reaches_every_trainable_weight(trunk, images, gradients):
    # In inference mode: batch statistics would cancel the biases before them.
    variables = trunk.trainable_variables
    weights = np.random.default_rng(1).normal(size=trunk.output_shape[1:])
    weights = weights.astype("float32")

    def loss():
        return keras.ops.sum(trunk(images, training=False) * weights)

    for variable, gradient in zip(variables, gradients(loss, variables), strict=True):
        assert gradient is not None, variable.path
        assert np.abs(gradient).max() > 0, variable.path


def test_training_moves_the_statistics_and_inference_does_not(other, images):
    moving = [v for v in other.non_trainable_variables if "moving" in v.name]
    before = [numpy_of(v).copy() for v in moving]
    other(images, training=False)
    assert all((numpy_of(v) == b).all() for v, b in zip(moving, before, strict=True))
    other(images, training=True)
    assert all((numpy_of(v) != b).any() for v, b in zip(moving, before, strict=True))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_saved_trunk_is_the_same(trunk, images, suffix, tmp_path):
    with h5_wanted():
        trunk.save(tmp_path / f"trunk{suffix}")
    again = keras.models.load_model(tmp_path / f"trunk{suffix}")
    expected = numpy_of(trunk(images))
    assert numpy_of(again(images)) == pytest.approx(expected, abs=1e-6)


def test_bfloat16_computes_near_float32(name, trunk, images):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = narrow(name, (32, 32, 3))
    finally:
        keras.config.set_dtype_policy(before)
    assert {v.dtype for v in mixed.weights} == {"float32"}
    mixed.set_weights(trunk.get_weights())
    features = mixed(images)
    assert keras.backend.standardize_dtype(features.dtype) == "bfloat16"
    found = numpy_of(keras.ops.cast(features, "float32"))
    expected = numpy_of(trunk(images))
    # bfloat16 has 8 bits of mantissa; some 50 layers add up.
    assert np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)


def test_dropout_acts_in_training_only(other, images):
    first, second = (numpy_of(other(images, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.01 * np.abs(first).max()
    first, second = (numpy_of(other(images, training=False)) for _ in range(2))
    assert first == pytest.approx(second, abs=0)


def test_blocks_and_synchronisation(other):
    found = blocks(other)
    counted = [block for block in found if block != "stem"]
    assert counted == [f"block{n}" for n in range(1, len(counted) + 1)]
    # The last block ends in the features, and no block's map is larger than the one
    # before it.
    assert found[counted[-1]][-1].output is other.outputs[0]
    sides = [found[block][-1].output.shape[1] for block in counted]
    assert sides == sorted(sides, reverse=True)
    kind = keras.layers.BatchNormalization
    norms = [layer for layer in other._flatten_layers() if isinstance(layer, kind)]
    assert all(norm.synchronized == SYNCHRONIZED for norm in norms)


def test_images_that_are_too_small_are_refused(name):
    if TRUNKS.entry(name).plugin is None:
        with pytest.raises(InputError, match=r"px or more\. Received: 3 x 32"):
            narrow(name, (3, 32, 3))


def test_the_names_of_the_librarys_trunks():
    assert set(TRUNKS) >= {
        *("convnet", "convnet_relu", "tempens", "nin", "wrn_28_2", "wrn_28_4"),
        *("wrn_28_2_usb", "shake_wrn", "resnet50", "vgg16", "resnet_v2_50"),
        *("resnet_v2_101", "resnet_v2_152", "resnet18", "revnet18", "encoder"),
        *("airbench", "airbench95", "airbench96"),
        *("applications/mobilenetv3small", "applications/mobilenetv3large"),
        *("applications/efficientnetv2b0", "applications/convnexttiny"),
        *("applications/resnet50v2", "applications/densenet121"),
    }


def test_trunks_that_are_not_tested_name_a_trunk_that_is():
    for name in set(TRUNKS) - set(CONTRACT):
        assert TRUNKS.options(name)["tested_as"] in CONTRACT


@pytest.mark.parametrize(
    ("name", "slope", "dropout"),
    [("convnet", 0.1, 0.0), ("convnet_relu", 0.0, 0.0), ("tempens", 0.1, 0.5)],
)
def test_convnet_and_its_versions(name, slope, dropout):
    trunk = TRUNKS[name]((32, 32, 3), width=0.25)
    assert trunk.output_shape == (None, 6, 6, 32)
    of_kind = {}
    for layer in trunk.layers:
        of_kind.setdefault(type(layer).__name__, []).append(layer)
    filters = [layer.filters for layer in of_kind["Conv2D"]]
    assert filters == [32, 32, 32, 64, 64, 64, 128, 64, 32]
    assert all(layer.use_bias for layer in of_kind["Conv2D"])
    norms = of_kind["BatchNormalization"]
    assert [(n.momentum, n.epsilon) for n in norms] == [(0.99, 1e-3)] * 9
    assert [layer.negative_slope for layer in of_kind["LeakyReLU"]] == [slope] * 9
    assert [layer.rate for layer in of_kind["Dropout"]] == [dropout] * 2


@pytest.mark.parametrize(
    ("name", "trained"),
    # A block of g filters after one of f: 9 f g + 9 g g (twice with depth 3), and a
    # bias of g for each convolution. The stem has 24 filters; its bias is trained.
    [("airbench", 1968792), ("airbench95", 4600600), ("airbench96", 12712344)],
)
def test_airbench_has_the_published_filters(name, trained):
    trunk = TRUNKS[name]((32, 32, 3))
    assert trunk.output_shape[1:3] == (1, 1)
    assert sum(math.prod(v.shape) for v in trunk.trainable_variables) == trained


def test_inner_convolutions_of_airbench_start_as_the_identity():
    trunk = TRUNKS["airbench"]((32, 32, 3), width=0.1)
    layer = trunk.get_layer("block2_2_conv")
    images = np.random.default_rng(0).normal(size=(2, 7, 7, 26)).astype("float32")
    assert numpy_of(layer(images)) == pytest.approx(images, abs=1e-6)


def test_convnet_takes_images_from_12_px():
    with pytest.raises(InputError, match=r"12 px or more\. Received: 11 x 32"):
        convnet((11, 32, 3))
    assert convnet((12, 12, 3), width=0.03).output_shape[1:3] == (1, 1)


PLUGIN = """
import keras
from keras import layers

from color_s4l.registry import register_trunk


@register_trunk("my_net")
def my_net(input_shape, *, width=1.0, dropout=0.0, synchronized=False):
    inputs = features = keras.Input(input_shape)
    for block in (1, 2):
        name = f"block{block}"
        filters = max(1, round(32 * block * width))
        features = layers.SeparableConv2D(
            filters, 3, padding="same", name=f"{name}_conv"
        )(features)
        features = layers.BatchNormalization(
            synchronized=synchronized, name=f"{name}_norm"
        )(features)
        features = layers.Activation("gelu", name=f"{name}_gelu")(features)
        features = layers.MaxPooling2D(2, name=f"{name}_pool")(features)
        features = layers.Dropout(dropout, name=f"{name}_dropout")(features)
    return keras.Model(inputs, features, name="trunk")
"""


def test_a_plugin_adds_a_trunk_of_keras_layers(images, tmp_path, monkeypatch):
    len(TRUNKS)
    monkeypatch.setattr(TRUNKS, "_entries", dict(TRUNKS._entries))
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    path = tmp_path / "plugin_with_a_trunk.py"
    path.write_text(PLUGIN)
    registry.load_plugins([str(path)])
    del sys.modules["plugin_with_a_trunk"]
    assert TRUNKS.entry("my_net").plugin == "plugin_with_a_trunk"
    trunk = narrow("my_net", (32, 32, 3))
    assert list(blocks(trunk)) == ["block1", "block2"]
    assert len(stages(trunk)) == 3
    # Convolution 3; pooling 4; at step 2: convolution 8; pooling 10.
    assert statistics(trunk).receptive_field == 10
    network = Network(trunk, {"class": 3}, dropout=0.5)
    assert numpy_of(network(images, training=True)["class"]).shape == (4, 3)
    freeze(trunk, 1)
    trained = [v.path for v in network.trainable_variables]
    assert not any("block1" in path for path in trained)
    synchronized = narrow("my_net", (32, 32, 3), synchronized=SYNCHRONIZED)
    test_blocks_and_synchronisation(synchronized)
