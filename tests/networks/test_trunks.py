"""What every trunk must do; a new entry of TRUNKS joins by itself."""

import keras
import numpy as np
import pytest

from color_s4l.artifacts.files import h5_wanted
from color_s4l.networks import TRUNKS, convnet

# Without normalisation a few ReLUs alone would all be dead by the end.
WIDTHS = {"vgg16": 0.25, "encoder": 0.25}


def narrow(name, shape, dropout=0.0):
    return TRUNKS[name](shape, width=WIDTHS.get(name, 0.03), dropout=dropout)


# The deeper ones are resnet_v2_50's code with more blocks, and slow to build.
CONTRACT = [name for name in TRUNKS if name not in ("resnet_v2_101", "resnet_v2_152")]


@pytest.fixture(params=CONTRACT, scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def trunk(name):
    keras.utils.set_random_seed(1)
    return narrow(name, (32, 32, 3))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_features_are_finite_maps_that_differ_between_images(trunk, images):
    features = numpy_of(trunk(images, training=True))
    assert features.ndim == 4
    assert np.isfinite(features).all()
    assert features.std(axis=0).max() > 0.01 * np.abs(features).max()


@pytest.mark.parametrize("shape", [(32, 32, 3), (40, 40, 3), (36, 44, 3)])
def test_says_the_shape_it_gives_at_any_image_size(name, shape):
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


def test_training_moves_the_statistics_and_inference_does_not(name, images):
    trunk = narrow(name, (32, 32, 3))
    moving = [v for v in trunk.non_trainable_variables if "moving" in v.name]
    before = [numpy_of(v).copy() for v in moving]
    trunk(images, training=False)
    assert all((numpy_of(v) == b).all() for v, b in zip(moving, before, strict=True))
    trunk(images, training=True)
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


def test_dropout_acts_in_training_only(name, images):
    trunk = narrow(name, (32, 32, 3), dropout=0.5)
    first, second = (numpy_of(trunk(images, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.01 * np.abs(first).max()
    first, second = (numpy_of(trunk(images, training=False)) for _ in range(2))
    assert first == pytest.approx(second, abs=0)


def count(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


@pytest.fixture(scope="module")
def full():
    return convnet((32, 32, 3))


def test_convnet_has_the_published_parameter_counts(full):
    # Tran 2019's published code: 3,122,560 trained and 4,096 moving statistics.
    assert count(full.trainable_variables) == 3_122_560
    moving = [v for v in full.non_trainable_variables if v.name.startswith("moving")]
    assert count(moving) == 4_096


def test_convnet_gives_6_rows_and_columns_of_128(full):
    assert full.output_shape == (None, 6, 6, 128)


def test_convnet_is_nine_units_with_slope_01(full):
    kinds = [type(layer).__name__ for layer in full.layers]
    for kind in ("Conv2D", "BatchNormalization", "LeakyReLU"):
        assert kinds.count(kind) == 9
    slopes = {k.negative_slope for k in full.layers if hasattr(k, "negative_slope")}
    assert slopes == {0.1}
    norms = [k for k in full.layers if isinstance(k, keras.layers.BatchNormalization)]
    assert {(k.momentum, k.epsilon) for k in norms} == {(0.99, 1e-3)}


def test_convnet_width_scales_every_number_of_filters():
    filters = [
        layer.filters
        for layer in convnet((32, 32, 3), width=0.25).layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    assert filters == [32, 32, 32, 64, 64, 64, 128, 64, 32]


def test_convnet_synchronizes_every_norm_when_asked():
    trunk = convnet((16, 16, 3), width=0.03, synchronized=True)
    norms = [k for k in trunk.layers if isinstance(k, keras.layers.BatchNormalization)]
    assert {k.synchronized for k in norms} == {True}


def test_convnet_refuses_images_below_12_px():
    with pytest.raises(ValueError, match=r"12 px or more. Received: \(11, 32\)"):
        convnet((11, 32, 3))
    assert convnet((12, 12, 3), width=0.03).output_shape[1:3] == (1, 1)
