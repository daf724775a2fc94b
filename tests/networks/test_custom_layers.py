"""Our own layers, saved and loaded, and on the other backend; blocks of all trunks."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from color_s4l.networks import TRUNKS
from color_s4l.networks.parts import blocks
from color_s4l.networks.reversible import ReversibleStage
from color_s4l.networks.shake_wrn import ShakeShake

FOLDER = pathlib.Path(__file__).parent
FILES = ("test_reversible.py", "test_shake_wrn.py", "test_custom_layers.py")
OTHER = {"tensorflow": "jax", "jax": "tensorflow"}
NARROW = 0.1
# Keras can do it on TensorFlow only (and needs not on JAX).
SYNCHRONIZED = keras.backend.backend() == "tensorflow"


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_saved_and_loaded(suffix, tmp_path):
    inputs = keras.Input((8, 8, 4))
    shaken = ShakeShake(seed=3)([inputs, layers.Dense(4)(inputs)])
    features = ReversibleStage(2, SYNCHRONIZED, recompute=False)(shaken)
    model = keras.Model(inputs, features)
    images = keras.random.normal((2, 8, 8, 4), seed=1)
    model(images, training=True)  # moves the statistics
    model.save(tmp_path / f"model.{suffix}")
    loaded = keras.models.load_model(tmp_path / f"model.{suffix}", compile=False)
    for old, new in zip(model.layers, loaded.layers, strict=True):
        assert new.get_config() == old.get_config()
    for old, new in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(loaded(images)),
        keras.ops.convert_to_numpy(model(images)),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "name", sorted(set(TRUNKS) - {"resnet_v2_101", "resnet_v2_152"})
)
def test_blocks_and_synchronisation(name):
    trunk = TRUNKS[name]((32, 32, 3), width=NARROW, synchronized=SYNCHRONIZED)
    found = blocks(trunk)
    counted = [block for block in found if block != "stem"]
    assert counted == [f"block{n}" for n in range(1, len(counted) + 1)]
    assert len(counted) >= 3
    # The last block ends in the features, and every block's map is no larger than the
    # one before it.
    assert found[counted[-1]][-1].output is trunk.outputs[0]
    sides = [found[block][-1].output.shape[1] for block in counted]
    assert sides == sorted(sides, reverse=True)
    norms = [
        layer
        for layer in trunk._flatten_layers()
        if isinstance(layer, layers.BatchNormalization)
    ]
    assert all(norm.synchronized == SYNCHRONIZED for norm in norms)


def test_too_small_images_are_refused():
    for name in set(TRUNKS) - {"convnet", "convnet_relu", "tempens"}:
        with pytest.raises(ValueError, match=r"px or more\. Received: 3 x 32"):
            TRUNKS[name]((3, 32, 3))


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
