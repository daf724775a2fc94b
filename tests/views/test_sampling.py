"""Crops, colours and warps by hand."""

import keras
import numpy as np
import pytest

from color_s4l.views import crops, sampling, warped
from color_s4l.views.augmentation import Augmentation


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def row_of(*values):
    """One image of four lines and columns: the columns' values."""
    return np.broadcast_to(
        np.array(values, "float32")[None, None, :, None], (1, 4, len(values), 3)
    ).copy()


def test_the_whole_image_cropped_is_itself():
    image = np.random.default_rng(1).uniform(0, 255, (2, 5, 7, 3)).astype("float32")
    zero, one = np.zeros(2, "float32"), np.ones(2, "float32")
    found = numpy_of(sampling.cropped(image, zero, zero, one, one))
    assert found == pytest.approx(image, abs=1e-3)


def test_a_crop_by_hand():
    # The right half of 0 4 8 12: new middles at 2.25, 2.75, 3.25, 3.75 of the old
    # line, that is between pixels 1.75, 2.25, 2.75, 3.25; the last is the edge.
    part = {"top": 0.0, "left": 0.5, "height": 1.0, "width": 0.5}
    given = {name: np.array([value], "float32") for name, value in part.items()}
    found = numpy_of(sampling.cropped(row_of(0, 4, 8, 12), **given))
    assert found[0, 2, :, 0] == pytest.approx([7, 9, 11, 12], abs=1e-5)


def test_moved_pixels_leave_what_fills():
    # One pixel to the left: each comes from its right.
    matrix = np.array([[1, 0, 1, 0, 1, 0]], "float32")
    found = numpy_of(sampling.nearest(row_of(1, 2, 3, 4), matrix, fill=9))
    assert found[0, 1, :, 2].tolist() == [2, 3, 4, 9]


def test_no_change_of_colours():
    image = np.random.default_rng(1).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    found = numpy_of(crops.recolored(image, np.zeros((1, 7), "float32")))
    assert found == pytest.approx(image, abs=0.01)


def test_colours_by_hand():
    # Red (hue 0, saturation 1, value 1) with the hue moved by 0.1 on the circle:
    # orange, of 6 * 0.1 = 0.6 of green. Moved by -0.1: 0.6 of blue.
    red = np.tile(np.array([255, 0, 0], "float32"), (2, 1, 1, 1))
    colors = np.zeros((2, 7), "float32")
    colors[:, 0] = [1, -1]
    found = numpy_of(crops.recolored(red, colors))
    assert found[0, 0, 0] == pytest.approx([255, 153, 0], abs=0.1)
    assert found[1, 0, 0] == pytest.approx([255, 0, 153], abs=0.1)
    # Grey 51 = 0.2: value 0.2 ** 2 * 2 ** 0.5 + 0.1 = 0.15657, saturation 0 + 0.
    grey = np.full((1, 1, 1, 3), 51, "float32")
    colors = np.array([[0, 0, 0.5, 0, 1, 0, 1]], "float32")
    found = numpy_of(crops.recolored(grey, colors))
    assert found[0, 0, 0] == pytest.approx([39.925] * 3, abs=0.05)


def test_crops_of_an_image_differ_and_follow_it():
    family = crops.Crops(lambda images: images, Augmentation(flip=True))
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (3, 12, 12, 3)).astype("uint8")
    draws = family.draw(keras.random.SeedGenerator(1), images.shape, frozenset())
    made = numpy_of(family.apply({"unlabeled": images}, draws, frozenset())["crops"])
    assert made.shape == (24, 12, 12, 3)
    assert made.min() >= 0
    assert made.max() <= 255.01
    assert len(np.unique(made.reshape(24, -1), axis=0)) == 24
    one = crops.CropDraws(*(part[1, 5][None] for part in draws))
    expected = numpy_of(crops.crop(images[1:2].astype("float32"), one))
    assert made[13] == pytest.approx(expected[0], abs=1e-3)


def test_crops_of_digits_are_not_flipped():
    family = crops.Crops(None, Augmentation(flip=False))
    draws = family.draw(keras.random.SeedGenerator(1), (2, 4, 4, 3), frozenset())
    assert draws.flip is None


def test_a_translated_image_moves_both_ways():
    # 0.15 of 20 pixels at 0, 0.3 at the ends of [-1, 1): 3 up to 6 pixels. What
    # comes from the right and from below is moved to the left and up.
    image = np.zeros((2, 20, 20, 3), "float32")
    image[:, 10, 10] = 1
    warps = warped.Warps(None, np.array([[0.0, 0.0], [-1.0, 0.999]], "float32"))
    found = numpy_of(warped.translated(image, warps))
    assert np.argwhere(found[0, :, :, 0]).tolist() == [[7, 7]]
    assert np.argwhere(found[1, :, :, 0]).tolist() == [[4, 16]]


def test_an_affine_image_in_the_middle_of_its_ranges_is_the_image():
    image = np.random.default_rng(1).uniform(0, 1, (1, 9, 9, 3)).astype("float32")
    warps = warped.Warps(np.full((1, 3), 0.5, "float32"), None)
    assert (numpy_of(warped.affine(image, warps)) == image).all()
    turned = warped.Warps(np.array([[1.0, 0.5, 0.5]], "float32"), None)
    assert (numpy_of(warped.affine(image, turned)) != image).any()


def test_compiled_warps_are_the_same():
    # The graph optimiser once took the matrices apart wrongly.
    image = np.random.default_rng(1).uniform(0, 1, (4, 9, 9, 3)).astype("float32")
    places = np.random.default_rng(2).uniform(0, 1, (4, 3)).astype("float32")
    inputs = [keras.Input(batch_shape=array.shape) for array in (image, places)]
    warp = warped.affine(inputs[0], warped.Warps(inputs[1], None))
    compiled = keras.Model(inputs, warp).predict_on_batch([image, places])
    expected = numpy_of(warped.affine(image, warped.Warps(places, None)))
    assert compiled == pytest.approx(expected)


def test_only_named_warps_are_drawn():
    seed = keras.random.SeedGenerator(1)
    drawn = warped.draw(seed, 4, frozenset({"translated", "identity"}))
    assert drawn.affine is None
    assert drawn.translated.shape == (4, 2)
