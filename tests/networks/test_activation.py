"""LeakyReLU with less memory is LeakyReLU."""

import keras
import numpy as np
import pytest
from keras import ops

from color_s4l.networks import TRUNKS
from color_s4l.networks.activation import LeakyReLU


@pytest.mark.parametrize("slope", [0.1, 0.0])
def test_outputs_and_gradient_are_those_of_the_formula(slope, gradients):
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


def test_the_convnet_is_made_of_it():
    trunk = TRUNKS["convnet"]((16, 16, 3), width=0.03)
    kinds = [type(layer) for layer in trunk.layers if "LeakyReLU" in str(type(layer))]
    assert kinds == [LeakyReLU] * 9
