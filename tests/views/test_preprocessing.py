"""Contrast normalisation by hand; whitening against NumPy's singular values."""

import keras
import numpy as np
import pytest

from color_s4l.artifacts.files import h5_wanted
from color_s4l.views import preprocessing
from color_s4l.views.preprocessing import (
    Preprocessing,
    channel_statistics,
    normalise_contrast,
    whitening,
)


@pytest.fixture(scope="module")
def images(small):
    """48 digits of 8 px: 192 values each, more than there are images."""
    return np.ascontiguousarray(small.images[:, 4:12, 4:12])


def normalised(images):
    return keras.ops.convert_to_numpy(normalise_contrast(images))


def reference(images):
    """Mean and ZCA matrix of SESEMI's preprocessing, in float64."""
    flat = images.reshape(len(images), -1).astype("float64")
    flat -= flat.mean(axis=1, keepdims=True)
    flat *= 55 / np.linalg.norm(flat, axis=1, keepdims=True)
    mean = flat.mean(axis=0)
    vectors, values, _ = np.linalg.svd(np.cov(flat.T, bias=True))
    return mean, (vectors / np.sqrt(values + 0.1 + 1e-10)) @ vectors.T


def test_contrast_by_hand():
    # Mean 4, deviations -3 -1 1 3, norm sqrt(20).
    image = np.array([1, 3, 5, 7], "uint8").reshape(1, 2, 2, 1)
    expected = 55 / np.sqrt(20) * np.array([-3, -1, 1, 3])
    assert normalised(image).ravel() == pytest.approx(expected, rel=1e-6)


def test_a_constant_image_becomes_0():
    images = np.stack([np.full((4, 4, 3), 200), np.zeros((4, 4, 3))]).astype("uint8")
    assert not normalised(images).any()


def test_contrast_and_brightness_of_an_image_do_not_matter():
    image = np.random.default_rng(0).integers(0, 60, (1, 4, 4, 3))
    assert normalised(3 * image + 20) == pytest.approx(normalised(image), abs=1e-4)


def test_whitening_equals_the_reference(images, monkeypatch):
    mean, matrix = reference(images)
    for chunk in (preprocessing.CHUNK, 7):
        monkeypatch.setattr(preprocessing, "CHUNK", chunk)
        found = whitening(images)
        assert found["mean"] == pytest.approx(mean, abs=1e-4)
        assert found["matrix"] == pytest.approx(matrix, abs=1e-4)


@pytest.fixture
def layer(images):
    layer = Preprocessing(zca=True)
    layer.build((None, *images.shape[1:]))
    layer.set_statistics(whitening(images))
    return layer


def test_the_layer_whitens_normalised_images(images, layer):
    mean, matrix = reference(images)
    flat = normalised(images).reshape(len(images), -1)
    white = keras.ops.convert_to_numpy(layer(images)).reshape(len(images), -1)
    assert white == pytest.approx((flat - mean) @ matrix, abs=1e-3)
    assert layer.trainable_variables == []


def test_channels_have_mean_0_and_deviation_1(images, monkeypatch):
    monkeypatch.setattr(preprocessing, "CHUNK", 7)
    statistics = channel_statistics(images)
    # The same, over all pixels at once.
    pixels = images.reshape(-1, 3).astype("float64")
    assert statistics["mean"] == pytest.approx(pixels.mean(axis=0), rel=1e-5)
    assert statistics["deviation"] == pytest.approx(pixels.std(axis=0), rel=1e-5)
    layer = Preprocessing(zca=False, normalization="channels")
    layer.build((None, *images.shape[1:]))
    layer.set_statistics(statistics)
    found = keras.ops.convert_to_numpy(layer(images)).reshape(-1, 3)
    assert found.mean(axis=0) == pytest.approx([0] * 3, abs=1e-4)
    assert found.std(axis=0) == pytest.approx([1] * 3, rel=1e-4)


def test_statistics_of_imagenet():
    # Red: 255 * 0.485 is the mean, 255 * 0.229 the deviation; keras' mode "torch".
    layer = Preprocessing(zca=False, normalization="imagenet")
    image = np.array([[[[0, 128, 255]]]], "uint8")
    found = keras.ops.convert_to_numpy(layer(image)).ravel()
    expected = [-0.485 / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert found == pytest.approx(expected, rel=1e-5)
    assert layer.weights == []


def test_a_channel_of_one_value_becomes_0():
    statistics = channel_statistics(np.full((2, 4, 4, 3), 9, "uint8"))
    assert statistics["deviation"].tolist() == [1, 1, 1]


def test_without_zca_only_the_contrast_is_normalised(images):
    layer = Preprocessing(zca=False)
    assert keras.ops.convert_to_numpy(layer(images)) == pytest.approx(
        normalised(images), abs=0
    )
    assert layer.weights == []


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("zca", [True, False])
def test_a_saved_model_preprocesses_equally(images, layer, zca, suffix, tmp_path):
    layer = layer if zca else Preprocessing(zca=False)
    inputs = keras.Input(images.shape[1:], dtype="uint8")
    with h5_wanted():
        keras.Model(inputs, layer(inputs)).save(tmp_path / f"model{suffix}")
    again = keras.models.load_model(tmp_path / f"model{suffix}")
    assert keras.ops.convert_to_numpy(again(images)) == pytest.approx(
        keras.ops.convert_to_numpy(layer(images)), abs=1e-6
    )


def test_stays_float32_under_another_policy(images):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = Preprocessing(zca=True)(images)
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(result.dtype) == "float32"


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_float16"])
def test_refuses_another_precision(dtype):
    received = dtype.removeprefix("mixed_")
    with pytest.raises(ValueError, match=f"Expected dtype float32.*: {received}"):
        Preprocessing(dtype=dtype)
