"""Heads, gates, weight decay, moving statistics, and the model for inference."""

import keras
import numpy as np
import pytest

from color_s4l.networks import Network, inference_model
from color_s4l.networks.attention import attention
from color_s4l.networks.convnet import convnet
from color_s4l.views.preprocessing import Preprocessing

HEADS = {"class": 5, "proxy": 7}


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(6, 16, 16, 3)).astype("float32")


@pytest.fixture
def network(images):
    keras.utils.set_random_seed(1)
    trunk = convnet((16, 16, 3), width=0.03)
    network = Network(trunk, HEADS, dropout=0.5)
    network(images[:1])
    return network


def test_every_intermediate_has_its_name(network, images):
    shapes = {name: tuple(t.shape) for name, t in network(images).items()}
    assert shapes == {
        "features": (6, 2, 2, 4),
        "pooled": (6, 4),
        "class": (6, 5),
        "proxy": (6, 7),
    }


def test_heads_are_linear_in_the_pooled_features(network, images):
    outputs = {name: numpy_of(t) for name, t in network(images).items()}
    assert outputs["pooled"] == pytest.approx(
        outputs["features"].mean(axis=(1, 2)), abs=1e-5
    )
    for name in HEADS:
        kernel, bias = (numpy_of(v) for v in network.heads[name].variables)
        expected = outputs["pooled"] @ kernel + bias
        assert outputs[name] == pytest.approx(expected, abs=1e-5)


def test_dropout_is_on_the_class_branch_only(network, images):
    first, second = network(images, training=True), network(images, training=True)
    same = numpy_of(first["proxy"])
    assert numpy_of(second["proxy"]) == pytest.approx(same, abs=1e-6)
    assert np.abs(numpy_of(first["class"]) - numpy_of(second["class"])).max() > 1e-3


def test_reestimated_statistics_are_the_mean_of_the_batches(network, images):
    first = network.trunk.get_layer(
        next(x.name for x in network.trunk.layers if "norm" in x.name)
    )
    before = first.momentum, network.dropout.rate
    inputs = keras.Model(network.trunk.inputs[0], first.input)
    maps = numpy_of(inputs(images))
    network.reestimate_statistics([images[:3], images[3:]])
    means = [maps[:3].mean(axis=(0, 1, 2)), maps[3:].mean(axis=(0, 1, 2))]
    found = numpy_of(first.moving_mean)
    assert found == pytest.approx(np.mean(means, axis=0), abs=1e-5)
    assert (first.momentum, network.dropout.rate) == before
    # With one batch, inference on it is the training pass without dropout.
    network.reestimate_statistics([images])
    network.dropout.rate = 0.0
    for layer in network.trunk.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    expected = numpy_of(network(images, training=True)["class"])
    found = numpy_of(network(images)["class"])
    assert found == pytest.approx(expected, abs=1e-3)


def test_frozen_statistics_are_not_reestimated(network, images):
    network.trunk.trainable = False
    before = moving(network)
    network.reestimate_statistics([images])
    for one, other in zip(before, moving(network), strict=True):
        assert (one == other).all()


def test_kernels_are_all_kernels_once(network):
    layers = [*network.trunk.layers, *network.heads.values()]
    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    expected = {id(k.kernel) for k in layers if isinstance(k, kinds)}
    assert len(expected) == 11
    assert len(network.kernels) == 11
    assert {id(kernel) for kernel in network.kernels} == expected


def moving(network):
    return [
        numpy_of(v).copy()
        for v in network.non_trainable_variables
        if v.name.startswith("moving_")
    ]


def test_moving_statistics_are_kept_while_batch_statistics_are_used(network, images):
    before = moving(network)
    with network.moving_statistics_kept():
        inside = numpy_of(network(images, training=True)["proxy"])
    for now, then in zip(moving(network), before, strict=True):
        assert now == pytest.approx(then, abs=0)
    assert np.abs(inside - numpy_of(network(images)["proxy"])).max() > 1e-3
    outside = numpy_of(network(images, training=True)["proxy"])
    assert inside == pytest.approx(outside, abs=1e-6)
    changed = [(a != b).any() for a, b in zip(moving(network), before, strict=True)]
    assert all(changed)


def test_random_states_advance_while_statistics_are_kept_or_apart(network, images):
    def logits():
        return numpy_of(network(images, training=True)["class"])

    with network.moving_statistics_kept():
        first = logits()
    with network.moving_statistics_kept():
        second = logits()
    assert np.abs(first - second).max() > 1e-3
    before, states = moving(network), network.random_states()
    with network.apart():
        third = logits()
    with network.apart(states):
        again = logits()
    assert np.abs(second - third).max() > 1e-3
    assert again == pytest.approx(third, abs=1e-6)
    for now, then in zip(moving(network), before, strict=True):
        assert now == pytest.approx(then, abs=0)


def test_replaced_weights_are_restored(network, images):
    bias = network.heads["proxy"].bias
    before = numpy_of(network(images)["proxy"])
    with network.replaced([(bias, bias.value + 1)]):
        inside = numpy_of(network(images)["proxy"])
    assert inside == pytest.approx(before + 1, abs=1e-6)
    assert numpy_of(network(images)["proxy"]) == pytest.approx(before, abs=0)


def test_logits_stay_float32_in_bfloat16(images):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = Network(convnet((16, 16, 3), width=0.03), HEADS, dropout=0.5)
        outputs = network(images)
    finally:
        keras.config.set_dtype_policy(before)
    kinds = {n: keras.backend.standardize_dtype(t.dtype) for n, t in outputs.items()}
    assert kinds == {
        "features": "bfloat16",
        "pooled": "bfloat16",
        "class": "float32",
        "proxy": "float32",
    }


def test_inference_model_is_the_networks_softmax_on_raw_images(
    network, small, statistics
):
    preprocessing = Preprocessing(zca=True)
    preprocessing.build((None, 16, 16, 3))
    preprocessing.set_statistics(statistics)
    network(preprocessing(small.images[:20]), training=True)  # moves the statistics
    model = inference_model(network, preprocessing)
    assert model.input.dtype == "uint8"
    found = numpy_of(model(small.images[:7]))
    logits = numpy_of(network(preprocessing(small.images[:7]))["class"])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found == pytest.approx(expected, abs=1e-5)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert found.std(axis=0).max() > 1e-4  # else any constant would pass
    # The weights are shared.
    network.heads["class"].bias.assign([5.0, 0.0, 0.0, 0.0, 0.0])
    assert (numpy_of(model(small.images[:7]))[:, 0] > found[:, 0] + 0.1).all()


def test_attention_by_hand():
    # In inference, batch normalisation divides by sqrt(1 + 0.001), which is almost 1.
    # Kernels (1, 0) and (0, -2) on features (3, 1) and (-1, -2): ReLU 3 + 0, 0 + 4.
    module = attention((1, 2, 2))
    kernels = [w for w in module.weights if w.name == "kernel"]
    for kernel, values in zip(kernels, [(1, 0), (0, -2)], strict=True):
        kernel.assign(np.array(values, "float32").reshape(1, 1, 2, 1))
    features = np.array([[[[3, 1], [-1, -2]]]], "float32")
    found = numpy_of(module(features, training=False)).ravel()
    assert found == pytest.approx([3, 4], rel=1e-3)


def test_gates_multiply_the_features_before_they_are_pooled(images, small):
    trunk = convnet((16, 16, 3), width=0.03)

    def halves(features_shape, *, synchronized):
        features = keras.Input(features_shape)
        return keras.Model(features, keras.layers.Rescaling(0.0, 0.5)(features))

    heads = {"class": 4, "attention": attention, "half": halves}
    network = Network(trunk, heads, 0.5)
    outputs = {name: numpy_of(value) for name, value in network(images).items()}
    assert set(network.heads) == {"class"}
    assert set(network.gates) == {"attention", "half"}
    maps = outputs["attention"] * outputs["half"]
    expected = (outputs["features"] * maps).mean(axis=(1, 2))
    assert outputs["pooled"] == pytest.approx(expected, abs=1e-6)
    assert (outputs["half"] == 0.5).all()
    # A gate's weights are trained and saved, and the inference model has it too.
    ids = {id(weight) for weight in network.trainable_variables}
    gate = network.gates["attention"]
    assert len(gate.trainable_variables) == 8
    assert {id(weight) for weight in gate.trainable_variables} <= ids
    preprocessing = Preprocessing(zca=False)
    model = inference_model(network, preprocessing)
    logits = network(preprocessing(small.images[:2]))["class"]
    assert numpy_of(model(small.images[:2])) == pytest.approx(
        numpy_of(keras.ops.softmax(logits)), abs=1e-5
    )


def test_a_network_without_classes_gives_an_encoder(small):
    network = Network(convnet((16, 16, 3), width=0.03), {"proxy": 4}, 0.5)
    preprocessing = Preprocessing(zca=False)
    model = inference_model(network, preprocessing)
    assert model.name == "encoder"
    pooled = network(preprocessing(small.images[:2]))["pooled"]
    assert numpy_of(model(small.images[:2])) == pytest.approx(numpy_of(pooled))
