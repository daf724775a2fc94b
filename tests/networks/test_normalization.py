"""The fused batch normalisation is Keras' own, to rounding."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from color_s4l.networks import TRUNKS
from color_s4l.networks.normalization import BatchNormalization

SETTINGS = {"momentum": 0.9, "epsilon": 1e-3, "name": "norm"}


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
    # Another one: whether the gradient moves the statistics depends on the backend.
    once = built(kind, inputs.shape, changes)
    outputs = ops.cast(once(inputs, training=True), "float32")
    moving = [ops.convert_to_numpy(v) for v in once.non_trainable_variables]
    return [ops.convert_to_numpy(outputs), *found, *moving]


def gap(inputs, gradients, **changes):
    kinds = (BatchNormalization, layers.BatchNormalization)
    ours, theirs = (outcome(kind, inputs, gradients, **changes) for kind in kinds)
    assert len(ours) == 6
    assert all(np.abs(array).max() > 0.1 for array in theirs)
    return max(
        np.abs(a - b).max() / np.abs(b).max() for a, b in zip(ours, theirs, strict=True)
    )


def test_float32_is_equal_to_rounding(maps, gradients):
    assert gap(maps, gradients) < 1e-5


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's")
def test_training_runs_the_fused_kernel(maps):
    import tensorflow as tf

    layer = built(BatchNormalization, maps.shape, {})
    graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(maps)
    kinds = [operation.type for operation in graph.graph.get_operations()]
    assert kinds.count("FusedBatchNormV3") == 1
    assert "SquaredDifference" not in kinds


def test_half_precision_is_equal_to_its_rounding(maps, gradients):
    assert gap(maps, gradients, dtype="mixed_bfloat16") < 2e-2


def test_one_value_a_channel_has_no_variance(gradients):
    one = np.full((1, 1, 1, 3), 5.0, "float32")
    outputs, *_, mean, variance = outcome(BatchNormalization, one, gradients)
    # The channel minus its mean is 0: the offset is left.
    offset = built(BatchNormalization, one.shape, {}).beta
    np.testing.assert_allclose(outputs[0, 0, 0], ops.convert_to_numpy(offset), 1e-4)
    start = built(BatchNormalization, one.shape, {})
    for after, before, new in (
        (mean, start.moving_mean, 5.0),
        (variance, start.moving_variance, 0.0),
    ):
        moved = 0.9 * ops.convert_to_numpy(before) + 0.1 * new
        np.testing.assert_allclose(after, moved, 1e-5)


@pytest.mark.parametrize(
    "changes", [{"scale": False}, {"center": False}, {"trainable": False}]
)
def test_what_the_kernel_cannot_do_is_keras_own(changes, maps):
    ours, theirs = (
        built(kind, maps.shape, changes)(maps, training=True)
        for kind in (BatchNormalization, layers.BatchNormalization)
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs)
    )


def test_vectors_are_normalised_too(maps):
    flat = maps.reshape(-1, 7)
    ours, theirs = (
        built(kind, flat.shape, {})(flat, training=True)
        for kind in (BatchNormalization, layers.BatchNormalization)
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs)
    )


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_saved_and_loaded(suffix, maps, tmp_path):
    inputs = keras.Input(maps.shape[1:])
    model = keras.Model(inputs, BatchNormalization(**SETTINGS)(inputs))
    model(maps, training=True)
    model.save(tmp_path / f"model.{suffix}")
    loaded = keras.models.load_model(tmp_path / f"model.{suffix}", compile=False)
    assert type(loaded.layers[1]) is BatchNormalization
    assert loaded.layers[1].get_config() == model.layers[1].get_config()
    np.testing.assert_array_equal(loaded.predict(maps), model.predict(maps))


@pytest.mark.parametrize(
    "name", sorted(set(TRUNKS) - {"resnet_v2_101", "resnet_v2_152"})
)
def test_every_trunk_normalises_with_it(name):
    trunk = TRUNKS[name]((32, 32, 3), width=0.05)
    norms = [
        layer
        for layer in trunk._flatten_layers()
        if isinstance(layer, layers.BatchNormalization)
    ]
    assert norms or name in ("encoder", "vgg16")
    assert {type(layer) for layer in norms} <= {BatchNormalization}
