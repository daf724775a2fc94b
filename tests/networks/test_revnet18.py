"""Reversible stages: the ordinary gradient with less memory."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from color_s4l import backend
from color_s4l.networks.revnet18 import ReversibleStage, revnet18

FOLDER = pathlib.Path(__file__).parent
SHAPE = (4, 8, 8, 6)


class PlainStage(ReversibleStage):
    """The same blocks with the ordinary gradient, which keeps every activation."""

    _run = ReversibleStage._forward


def normal(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pair(units=3):
    """A reversible stage, and a plain one of the same weights, not the initial ones."""
    reversible, plain = ReversibleStage(units), PlainStage(units)
    reversible.build(SHAPE)
    plain.build(SHAPE)
    weights = [
        np.abs(w + 0.1 * normal(w.shape, number)) + 0.1 if w.ndim == 1 else w
        for number, w in enumerate(reversible.get_weights())
    ]
    reversible.set_weights(weights)
    plain.set_weights(weights)
    return reversible, plain


def value_and_gradients(layer, images, training):
    trainable = [ops.copy(v.value) for v in layer.trainable_variables]
    fixed = [ops.copy(v.value) for v in layer.non_trainable_variables]

    def function(images, *trainable):
        values = layer.stateless_call(trainable, fixed, images, training=training)
        return values[0]

    images = ops.convert_to_tensor(images)
    upstream = ops.convert_to_tensor(normal(images.shape, 9))
    value, found = backend.pullback(function, [images, *trainable], upstream)
    return ops.convert_to_numpy(value), [ops.convert_to_numpy(g) for g in found]


@pytest.mark.parametrize("training", [True, False])
def test_gradient_equals_the_plain_gradient(training):
    reversible, plain = pair()
    found = value_and_gradients(reversible, normal(SHAPE, 8), training)
    expected = value_and_gradients(plain, normal(SHAPE, 8), training)
    np.testing.assert_array_equal(found[0], expected[0])
    for ours, theirs in zip(found[1], expected[1], strict=True):
        scale = np.abs(theirs).max()
        assert scale > 0
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-4)


def test_moving_statistics_equal_the_plain_ones_unless_frozen():
    reversible, plain = pair()
    before = [ops.convert_to_numpy(v) for v in reversible.non_trainable_variables]
    reversible(normal(SHAPE, 8), training=True)
    plain(normal(SHAPE, 8), training=True)
    after = [ops.convert_to_numpy(v) for v in reversible.non_trainable_variables]
    for old, ours, theirs in zip(
        before, after, plain.non_trainable_variables, strict=True
    ):
        np.testing.assert_allclose(ours, ops.convert_to_numpy(theirs), rtol=1e-6)
        assert np.abs(ours - old).max() > 1e-4
    weights = reversible.get_weights()
    reversible.trainable = False
    reversible(normal(SHAPE, 8), training=True)
    for old, new in zip(weights, reversible.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_two_streams_by_hand():
    # One unit: second += branch1(first), then first += branch2(second).
    stage, _ = pair(units=1)
    images = normal(SHAPE, 8)
    first, second = np.split(images, 2, axis=-1)
    branch1, branch2 = stage.branches
    second = second + ops.convert_to_numpy(branch1(first))
    first = first + ops.convert_to_numpy(branch2(second))
    found = ops.convert_to_numpy(stage(images))
    expected = np.concatenate([first, second], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_half_precision_keeps_the_streams_whole():
    # Subtracting bfloat16 changes from bfloat16 streams would leave an error of 1 % at
    # every branch; only the rounding inside the branches remains.
    reversible, plain = (
        kind(3, dtype="mixed_bfloat16") for kind in (ReversibleStage, PlainStage)
    )
    reversible.build(SHAPE)
    plain.build(SHAPE)
    plain.set_weights(reversible.get_weights())
    images = ops.cast(normal(SHAPE, 8), "bfloat16")
    assert keras.backend.standardize_dtype(reversible(images).dtype) == "bfloat16"
    upstream = ops.cast(normal(SHAPE, 9), "bfloat16")
    of_images = [
        backend.pullback(lambda x, s=s: s(x, training=True), [images], upstream)[1][0]
        for s in (reversible, plain)
    ]
    ours, theirs = (ops.convert_to_numpy(ops.cast(g, "float32")) for g in of_images)
    assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()


def test_odd_channels_are_refused():
    with pytest.raises(ValueError, match=r"even number of channels\. Received: 5"):
        ReversibleStage(1).build((None, 8, 8, 5))


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_memory_does_not_grow_with_depth(backend):
    # A stream is 8 MiB. A plain branch keeps four or more arrays of that size, so that
    # 8 further branches (6 units, not 2) need 256 MiB; in a reversible stage 0. The
    # resident memory of a process on TensorFlow varies by 35 MiB, more with several
    # threads and memory pools.
    tolerance = 64 if backend == "tensorflow" else 8
    if not pathlib.Path("/proc/self/clear_refs").exists():
        pytest.skip("resident memory is read from /proc")
    printed = subprocess.run(
        [sys.executable, str(FOLDER / "activation_memory.py")],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(FOLDER.parents[1]),
            "TF_NUM_INTEROP_THREADS": "1",
            "MALLOC_ARENA_MAX": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    reversible_2, reversible_6, plain_6 = json.loads(printed)
    assert reversible_6 < reversible_2 + tolerance
    assert plain_6 > reversible_6 + 160


def test_parameters_of_revnet18():
    # ResNet-18 has two blocks in a stage of c channels, 4 * 9 c^2. Here: stem 3 * 64 *
    # 9 + 128; reversible units 4 * (9 (c/2)^2 + c) at c = 64 (twice), 128, 256, 512;
    # halving blocks c/2 to c: (9/2 + 9 + 1/2) c^2 + 6 c; norms at the stages' ends 2 c.
    stem = 3 * 64 * 9 + 128
    reversible = 2 * (9 * 64**2 + 4 * 64) + sum(
        9 * c**2 + 4 * c for c in (128, 256, 512)
    )
    halving = sum(14 * c**2 + 6 * c for c in (128, 256, 512))
    ends = sum(2 * c for c in (64, 128, 256, 512))
    expected = stem + reversible + halving + ends
    trunk = revnet18((32, 32, 3))
    assert sum(int(np.prod(v.shape)) for v in trunk.trainable_variables) == expected
    assert expected == 8_000_448
    for units in (2, 4):
        stage = revnet18((8, 8, 3), units=units, width=0.05).get_layer(
            "block2_reversible"
        )
        assert stage.units == units - 1
