"""Bilinear samples of feature maps, and hypercolumns of a trunk."""

import keras
import numpy as np
import pytest

from color_s4l.networks import Network, hypercolumns
from color_s4l.networks.convnet import convnet


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")


def test_integer_positions_are_the_maps_values(features):
    rows, columns = np.meshgrid(range(4), range(5), indexing="ij")
    sites = np.stack([rows, columns], axis=-1).reshape(1, 20, 2).repeat(2, axis=0)
    found = numpy_of(hypercolumns.sample(features, sites.astype("float32")))
    assert found == pytest.approx(features.reshape(2, 20, 3), abs=1e-6)


def test_values_between_are_interpolated_and_positions_outside_are_clipped(features):
    sites = np.array([[[1.25, 2.5], [-1.0, 0.0], [3.5, 9.0]]], "float32")
    found = numpy_of(hypercolumns.sample(features[:1], sites))[0]
    upper = (features[0, 1, 2] + features[0, 1, 3]) / 2
    lower = (features[0, 2, 2] + features[0, 2, 3]) / 2
    assert found[0] == pytest.approx(0.75 * upper + 0.25 * lower, abs=1e-6)
    assert found[1] == pytest.approx(features[0, 0, 0], abs=1e-6)
    assert found[2] == pytest.approx(features[0, 3, 4], abs=1e-6)


def test_the_gradient_is_that_of_finite_differences(features, gradients):
    variable = keras.Variable(features)
    sites = np.array([[[1.25, 2.5], [0.0, 3.75]]] * 2, "float32")
    factors = np.random.default_rng(1).normal(size=(2, 2, 3)).astype("float32")

    def total():
        return keras.ops.sum(factors * hypercolumns.sample(variable.value, sites))

    (found,) = gradients(total, [variable])
    assert np.abs(found).max() > 0.1
    for index in [(0, 1, 2, 0), (1, 2, 3, 1), (0, 0, 4, 2), (1, 3, 0, 0)]:
        ends = []
        for step in (0.01, -0.01):
            changed = features.copy()
            changed[index] += step
            variable.assign(changed)
            ends.append(float(total()))
        expected = (ends[0] - ends[1]) / 0.02
        assert found[index] == pytest.approx(expected, abs=1e-3)


def test_hypercolumns_have_all_resolutions():
    network = Network(convnet((16, 16, 3), width=0.03), {"class": 2}, 0.0)
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
    maps = hypercolumns.maps_of(network.stages, images, training=False)
    assert [found.shape[1] for found in maps] == [16, 8, 4, 2][: len(maps)]
    last = numpy_of(network(images)["features"])
    assert numpy_of(maps[-1]) == pytest.approx(last, abs=1e-5)
    sites = np.array([[[8, 0]], [[0, 8]]])
    found = numpy_of(hypercolumns.columns(maps, sites, 16))
    assert found.shape == (2, 1, sum(one.shape[-1] for one in maps))
    parts = [numpy_of(m)[0, 8 * m.shape[1] // 16, 0] for m in maps]
    assert found[0, 0] == pytest.approx(np.concatenate(parts), abs=1e-5)
