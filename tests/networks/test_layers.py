"""The library's own layers: Keras' results, saved models, and the other backend."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

from color_s4l.networks.airbench import PatchWhitening
from color_s4l.networks.layers import GELU, BatchNormalization, Conv2D, LeakyReLU
from color_s4l.networks.revnet18 import ReversibleStage
from color_s4l.networks.shake_wrn import ShakeShake
from color_s4l.registry import TRUNKS

SETTINGS = {"momentum": 0.9, "epsilon": 1e-3, "name": "norm"}
KINDS = (BatchNormalization, layers.BatchNormalization)
FOLDER = pathlib.Path(__file__).parent
FILES = ("test_layers.py", "test_revnet18.py", "test_shake_wrn.py")
OTHER = {"tensorflow": "jax", "jax": "tensorflow"}
# Keras supports it on TensorFlow only; JAX does not need it.
SYNCHRONIZED = keras.backend.backend() == "tensorflow"


@pytest.fixture(scope="module")
def maps():
    random = np.random.default_rng(4)
    return random.normal(3, 2, (6, 5, 4, 7)).astype("float32")


def built(kind, shape, changes):
    layer = kind(**SETTINGS, **changes)
    layer.build((None, *shape[1:]))
    random = np.random.default_rng(5)
    for variable in layer.variables:
        variable.assign(random.uniform(0.5, 2, variable.shape))
    return layer


def outcome(kind, inputs, gradients, **changes):
    """Outputs, gradients of inputs and weights, and the moving statistics after."""
    layer = built(kind, inputs.shape, changes)
    source = keras.Variable(inputs)
    factors = np.random.default_rng(6).normal(size=inputs.shape).astype("float32")

    def loss():
        outputs = layer(ops.convert_to_tensor(source), training=True)
        return ops.sum(ops.cast(outputs, "float32") * factors)

    found = gradients(loss, [source, *layer.trainable_variables])
    # A second layer: whether `gradients` moves the statistics depends on the backend.
    once = built(kind, inputs.shape, changes)
    outputs = ops.cast(once(inputs, training=True), "float32")
    moving = [ops.convert_to_numpy(v) for v in once.non_trainable_variables]
    return [ops.convert_to_numpy(outputs), *found, *moving]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-2)]
)
@pytest.mark.parametrize("scale", [True, False])
def test_fused_normalisation_equals_keras(scale, dtype, tolerance, maps, gradients):
    changes = {"dtype": dtype, "scale": scale}
    ours, theirs = (outcome(kind, maps, gradients, **changes) for kind in KINDS)
    assert len(ours) == (6 if scale else 5)
    assert all(np.abs(array).max() > 0.1 for array in theirs)
    for found, expected in zip(ours, theirs, strict=True):
        assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's")
def test_training_runs_the_fused_kernel(maps):
    import tensorflow as tf

    layer = built(BatchNormalization, maps.shape, {})
    graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(maps)
    kinds = [operation.type for operation in graph.graph.get_operations()]
    assert kinds.count("FusedBatchNormV3") == 1
    assert "SquaredDifference" not in kinds


def test_one_value_per_channel_has_no_variance(gradients):
    one = np.full((1, 1, 1, 3), 5.0, "float32")
    outputs, *_, mean, variance = outcome(BatchNormalization, one, gradients)
    # The value minus its mean is 0: the offset is left.
    start = built(BatchNormalization, one.shape, {})
    np.testing.assert_allclose(outputs[0, 0, 0], ops.convert_to_numpy(start.beta), 1e-4)
    for after, before, new in (
        (mean, start.moving_mean, 5.0),
        (variance, start.moving_variance, 0.0),
    ):
        moved = 0.9 * ops.convert_to_numpy(before) + 0.1 * new
        np.testing.assert_allclose(after, moved, 1e-5)


@pytest.mark.parametrize(
    "changes", [{"center": False}, {"trainable": False}, "vectors"]
)
def test_other_cases_use_keras_own_code(changes, maps):
    if changes == "vectors":
        maps, changes = maps.reshape(-1, 7), {}
    ours, theirs = (
        ops.convert_to_numpy(built(kind, maps.shape, changes)(maps, training=True))
        for kind in KINDS
    )
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("slope", [0.1, 0.0])
def test_leaky_relu_and_its_gradient_by_formula(slope, gradients):
    random = np.random.default_rng(4)
    inputs, factors = random.normal(size=(2, 3, 5, 4, 7)).astype("float32")
    layer, source = LeakyReLU(slope), keras.Variable(inputs)

    def loss():
        return ops.sum(layer(ops.convert_to_tensor(source), training=True) * factors)

    expected = np.where(inputs > 0, inputs, slope * inputs)
    for training in (True, False):
        outputs = ops.convert_to_numpy(layer(inputs, training=training))
        assert outputs == pytest.approx(expected, abs=1e-6)
    (gradient,) = gradients(loss, [source])
    expected = np.where(inputs > 0, 1, slope) * factors
    assert gradient == pytest.approx(expected, abs=1e-6)


def test_gelu_and_its_gradient_by_formula(gradients):
    random = np.random.default_rng(4)
    inputs, factors = random.normal(size=(2, 3, 5, 4, 7)).astype("float32")
    layer, source = GELU(), keras.Variable(inputs)

    def loss():
        return ops.sum(layer(ops.convert_to_tensor(source), training=True) * factors)

    gate = 1 / (1 + np.exp(-1.702 * inputs))
    for training in (True, False):
        outputs = ops.convert_to_numpy(layer(inputs, training=training))
        assert outputs == pytest.approx(inputs * gate, abs=1e-5)
    (gradient,) = gradients(loss, [source])
    slope = gate + 1.702 * inputs * gate * (1 - gate)
    assert gradient == pytest.approx(slope * factors, abs=1e-5)


@pytest.mark.parametrize("shape", [(6, 5, 4, 256), (4, 9, 9, 256), (6, 5, 4, 8)])
def test_convolution_and_its_gradients_equal_keras(shape, gradients):
    random = np.random.default_rng(4)
    images = random.normal(size=shape).astype("float32")
    factors = random.normal(size=(*shape[:3], 3)).astype("float32")

    def found(kind):
        layer = kind(3, 3, padding="same", dtype="mixed_bfloat16")
        layer.build((None, *shape[1:]))
        kernel = np.random.default_rng(5).normal(size=layer.kernel.shape)
        layer.kernel.assign(kernel / 50)
        source = keras.Variable(images)

        def loss():
            outputs = layer(ops.convert_to_tensor(source))
            return ops.sum(ops.cast(outputs, "float32") * factors)

        outputs = ops.cast(layer(images), "float32")
        return [
            ops.convert_to_numpy(outputs),
            *gradients(loss, [source, *layer.trainable_variables]),
        ]

    for ours, theirs in zip(found(Conv2D), found(layers.Conv2D), strict=True):
        assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()


def test_whitened_patches_are_uncorrelated():
    random = np.random.default_rng(4)
    # Neighbouring pixels and channels are correlated, as in photographs.
    images = random.normal(size=(200, 9, 9, 3)).cumsum(axis=1).cumsum(axis=3)
    images = ((images - images.mean()) / images.std()).astype("float32")
    layer = PatchWhitening()
    layer.build((None, *images.shape[1:]))
    layer.adapt(images)
    outputs = ops.convert_to_numpy(layer(images)).reshape(-1, 24).astype("float64")
    # 12 filters and their negatives.
    assert outputs[:, 12:] == pytest.approx(-outputs[:, :12], abs=1e-4)
    products = outputs[:, :12].T @ outputs[:, :12] / len(outputs)
    patches = [images[:, i : 8 + i, j : 8 + j] for i in (0, 1) for j in (0, 1)]
    flat = np.concatenate(patches, axis=-1).reshape(-1, 12).astype("float64")
    values = np.linalg.eigvalsh(flat.T @ flat / len(flat))
    assert products == pytest.approx(np.diag(values / (values + 5e-4)), abs=1e-3)
    assert [variable.name for variable in layer.trainable_variables] == ["bias"]


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_saved_and_loaded(suffix, tmp_path):
    inputs = keras.Input((8, 8, 4))
    features = LeakyReLU(0.2)(BatchNormalization(**SETTINGS)(inputs))
    shaken = ShakeShake(seed=3)([features, layers.Dense(4)(features)])
    model = keras.Model(inputs, ReversibleStage(2, SYNCHRONIZED)(shaken))
    images = keras.random.normal((2, 8, 8, 4), seed=1)
    model(images, training=True)  # moves the statistics
    model.save(tmp_path / f"model.{suffix}")
    loaded = keras.models.load_model(tmp_path / f"model.{suffix}", compile=False)
    for old, new in zip(model.layers, loaded.layers, strict=True):
        assert type(new) is type(old)
        assert new.get_config() == old.get_config()
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(images)),
        ops.convert_to_numpy(model(images)),
        atol=1e-6,
    )


def test_registered_names_of_saved_models():
    for kind in (
        *(BatchNormalization, LeakyReLU, GELU, Conv2D, PatchWhitening),
        *(ShakeShake, ReversibleStage),
    ):
        name = keras.saving.get_registered_name(kind)
        assert name == f"color_s4l>{kind.__name__}"


@pytest.mark.parametrize(
    "name",
    ["convnet", "nin", "wrn_28_2_usb", "resnet50", "shake_wrn", "revnet18", "airbench"],
)
def test_trunks_use_them(name):
    trunk = TRUNKS[name]((32, 32, 3), width=0.05)
    found = {type(layer) for layer in trunk._flatten_layers()}
    assert BatchNormalization in found
    assert not found & {layers.BatchNormalization, layers.LeakyReLU}


@pytest.mark.skipif("WITHOUT_OTHER_BACKEND" in os.environ, reason="is the other one")
def test_on_the_other_backend():
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-k", "gradient or weights or saved"]
        + [str(FOLDER / name) for name in FILES],
        env={
            **os.environ,
            "KERAS_BACKEND": OTHER[keras.backend.backend()],
            "WITHOUT_OTHER_BACKEND": "1",
        },
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
