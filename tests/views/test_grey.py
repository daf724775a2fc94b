"""The grey view and the colours that belong to it."""

import keras
import numpy as np

from color_s4l.views.augmentation import Augmentation
from color_s4l.views.preprocessing import Preprocessing
from color_s4l.views.step import StepViews
from colorization import hue_chroma


def test_images_and_colours_are_flipped_together_and_only_images_have_noise(small):
    raw = small.images[:6].reshape(1, 6, 16, 16, 3)
    preprocessing = Preprocessing(zca=False)
    made = []
    for noise in (0.0, 0.1):
        views = StepViews(
            frozenset({"grey", "grey_colors"}),
            preprocessing,
            labeled=Augmentation(shift=0, flip=True, noise=noise),
            unlabeled=Augmentation(),
        )
        draws = views.draw(keras.random.SeedGenerator(3), {"unlabeled": raw.shape})
        found = views.apply({"unlabeled": raw}, draws)
        made.append({k: keras.ops.convert_to_numpy(v) for k, v in found.items()})
    plain, noisy = made
    flips = keras.ops.convert_to_numpy(draws["grey"].flip)[0]
    assert 0 < flips.sum() < 6
    images = np.where(flips[:, None, None, None], raw[0][:, :, ::-1], raw[0]) / 255
    expected = hue_chroma.hue_chroma(images.astype("float32"))
    for channel, values in enumerate(expected):
        values = keras.ops.convert_to_numpy(values)
        np.testing.assert_allclose(
            plain["grey_colors"][..., channel], values, atol=1e-5
        )
    grey = preprocessing(np.repeat(255 * plain["grey_colors"][..., 2:], 3, axis=-1))
    np.testing.assert_allclose(plain["grey"], grey, atol=1e-3)
    np.testing.assert_array_equal(plain["grey_colors"], noisy["grey_colors"])
    assert 0.05 < np.std(noisy["grey"] - plain["grey"]) < 0.15
