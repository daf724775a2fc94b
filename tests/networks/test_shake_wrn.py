"""Shake-Shake: one mixture forward, another one backward, halves at test."""

import numpy as np
from keras import ops

from color_s4l import backend
from color_s4l.networks.shake_wrn import ShakeShake, shake, shake_wrn


def column(*values):
    """`(batch, 1, 1, 1)`."""
    return ops.reshape(ops.convert_to_tensor(values, "float32"), (-1, 1, 1, 1))


def test_value_and_gradient_by_hand():
    # Image 1: 0.25 * 8 + 0.75 * 4 = 5, gradient 0.9 and 0.1 of what comes.
    # Image 2: 1 * 2 + 0 * 6 = 2, gradient 0 and 1. Upstream 10 and 1.
    first, second = column(8, 2), column(4, 6)
    forward, backward = column(0.25, 1.0), column(0.9, 0.0)
    value, (of_first, of_second) = backend.pullback(
        lambda a, b: shake(a, b, forward, backward), [first, second], column(10, 1)
    )
    np.testing.assert_allclose(ops.convert_to_numpy(value).ravel(), [5, 2], rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(of_first).ravel(), [9, 0])
    np.testing.assert_allclose(
        ops.convert_to_numpy(of_second).ravel(), [1, 1], rtol=1e-6
    )


def test_halves_at_test():
    layer = ShakeShake()
    assert ops.convert_to_numpy(layer([column(8), column(4)])).ravel() == [6]


def test_each_image_draws_its_own_two_weights():
    # With branches 1 and 0 the value is the forward weight itself; the gradient of
    # the first branch is the backward weight.
    layer = ShakeShake(seed=1)
    ones, zeros = ops.ones((500, 2, 2, 3)), ops.zeros((500, 2, 2, 3))
    value, (backward, _) = backend.pullback(
        lambda a, b: layer([a, b], training=True), [ones, zeros], ones
    )
    value, backward = ops.convert_to_numpy(value), ops.convert_to_numpy(backward)
    for weights in (value, backward):
        # One weight an image, the same at all its pixels and channels.
        flat = weights.reshape(500, -1)
        np.testing.assert_allclose(flat, flat[:, :1].repeat(12, axis=1), atol=1e-6)
        assert flat.min() >= 0
        assert flat.max() <= 1
        # Uniform: mean 1/2, standard deviation 0.289; of 500 the mean's is 0.013.
        assert abs(flat[:, 0].mean() - 0.5) < 0.05
        assert abs(flat[:, 0].std() - 0.289) < 0.03
    correlation = np.corrcoef(value[:, 0, 0, 0], backward[:, 0, 0, 0])[0, 1]
    assert abs(correlation) < 0.15


def test_depth_of_resnet34():
    # 1 + 2 * (3 + 4 + 6 + 3) + the classifier = 34.
    trunk = shake_wrn((8, 8, 3), width=1 / 16)
    left = [layer for layer in trunk.layers if "_left_" in layer.name]
    assert sum(layer.name.endswith("_conv") for layer in left) == 32


def test_shortcut_takes_every_second_pixel_and_its_neighbour():
    trunk = shake_wrn((8, 8, 3), width=1 / 16)
    moved = trunk.get_layer("block2_1_shortcut_moved")
    images = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    padded = trunk.get_layer("block2_1_shortcut_padded")
    cropped = trunk.get_layer("block2_1_shortcut_cropped")
    found = ops.convert_to_numpy(padded(moved(cropped(images))))
    np.testing.assert_array_equal(found[0, ..., 0], [[5, 7], [13, 15]])
