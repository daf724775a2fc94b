"""Contrast normalisation by hand; whitening against NumPy's singular values."""

import keras
import numpy as np
import pytest

from color_s4l.artifacts.files import h5_wanted
from color_s4l.views import preprocessing
from color_s4l.views.preprocessing import (
    Preprocessing,
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
    """SESEMI's preprocessing, in float64: normalised, mean, U, s."""
    flat = images.reshape(len(images), -1).astype("float64")
    flat -= flat.mean(axis=1, keepdims=True)
    flat *= 55 / np.linalg.norm(flat, axis=1, keepdims=True)
    mean = flat.mean(axis=0)
    vectors, values, _ = np.linalg.svd(np.cov(flat.T, bias=True))
    return flat, mean, vectors, values


def test_contrast_by_hand():
    # Mean 4, deviations -3 -1 1 3, norm sqrt(20).
    image = np.array([1, 3, 5, 7], "uint8").reshape(1, 2, 2, 1)
    expected = 55 / np.sqrt(20) * np.array([-3, -1, 1, 3])
    assert normalised(image).ravel() == pytest.approx(expected, rel=1e-6)


def test_every_image_has_mean_0_and_norm_55(small):
    flat = normalised(small.images).reshape(len(small.images), -1)
    assert flat.mean(axis=1) == pytest.approx(0, abs=1e-5)
    assert np.linalg.norm(flat, axis=1) == pytest.approx(55, rel=1e-5)


def test_a_constant_image_becomes_0():
    images = np.stack([np.full((4, 4, 3), 200), np.zeros((4, 4, 3))]).astype("uint8")
    assert not normalised(images).any()


def test_contrast_and_brightness_of_an_image_do_not_matter():
    image = np.random.default_rng(0).integers(0, 60, (1, 4, 4, 3))
    assert normalised(3 * image + 20) == pytest.approx(normalised(image), abs=1e-4)


def test_whitening_is_that_of_the_reference(images):
    _, mean, vectors, values = reference(images)
    expected = (vectors / np.sqrt(values + 0.1 + 1e-10)) @ vectors.T
    found_mean, matrix = whitening(images)
    assert found_mean == pytest.approx(mean, abs=1e-4)
    assert matrix == pytest.approx(expected, abs=1e-4)


def test_chunks_change_nothing(images, monkeypatch):
    whole = whitening(images)
    monkeypatch.setattr(preprocessing, "CHUNK", 7)
    for one, other in zip(whitening(images), whole, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


@pytest.fixture
def layer(images):
    layer = Preprocessing(zca=True)
    layer.build((None, *images.shape[1:]))
    layer.set_statistics(*whitening(images))
    return layer


def test_whitened_images_have_the_regularised_covariance(images, layer):
    # C = U s U^T becomes U s / (s + 0.1) U^T: 1 where s is large, 0 where s is.
    _, _, vectors, values = reference(images)
    white = keras.ops.convert_to_numpy(layer(images)).reshape(len(images), -1)
    expected = (vectors * (values / (values + 0.1))) @ vectors.T
    assert white.mean(axis=0) == pytest.approx(0, abs=1e-4)
    assert np.cov(white.T, bias=True) == pytest.approx(expected, abs=1e-3)


def test_without_zca_only_the_contrast_is_normalised(images):
    layer = Preprocessing(zca=False)
    assert keras.ops.convert_to_numpy(layer(images)) == pytest.approx(
        normalised(images), abs=0
    )
    assert layer.weights == []


def test_statistics_are_never_trained(layer):
    assert layer.trainable_variables == []
    assert len(layer.non_trainable_variables) == 2


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("zca", [True, False])
def test_a_saved_model_preprocesses_alike(images, layer, zca, suffix, tmp_path):
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
