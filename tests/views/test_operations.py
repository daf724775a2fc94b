"""Operations on pixels: RandAugment's against Pillow, movements and crops by hand."""

import keras
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from color_s4l.views.operations import OPERATIONS, cropped, nearest

SIDE = 16


def moved(image, x_x, x_y, x, y_x, y_y, y):
    matrix = (x_x, x_y, x, y_x, y_y, y)
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


PILLOW = {
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "brightness": lambda image, v: ImageEnhance.Brightness(image).enhance(v),
    "color": lambda image, v: ImageEnhance.Color(image).enhance(v),
    "contrast": lambda image, v: ImageEnhance.Contrast(image).enhance(v),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "identity": lambda image, _: image,
    "posterize": lambda image, v: ImageOps.posterize(image, int(v)),
    "rotate": lambda image, v: image.rotate(v),
    "sharpness": lambda image, v: ImageEnhance.Sharpness(image).enhance(v),
    "shear_x": lambda image, v: moved(image, 1, v, 0, 0, 1, 0),
    "shear_y": lambda image, v: moved(image, 1, 0, 0, v, 1, 0),
    "solarize": lambda image, v: ImageOps.solarize(image, v),
    "translate_x": lambda image, v: moved(image, 1, 0, v * SIDE, 0, 1, 0),
    "translate_y": lambda image, v: moved(image, 1, 0, 0, 0, 1, v * SIDE),
}


@pytest.fixture(scope="module")
def images(small):
    """Digits; one with few values, one without contrast, and one of noise."""
    rng = np.random.default_rng(1)
    chosen = small.images[::6].copy()
    chosen[1] = chosen[1] // 60 * 40
    chosen[2] = 77
    chosen[3] = rng.integers(0, 256, chosen[3].shape)
    return chosen


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_equals_pillow(name, images):
    operation = OPERATIONS[name]
    positions = np.linspace(0.03, 0.97, len(images), dtype="float32")
    values = keras.ops.convert_to_tensor(operation.value(positions))
    pixels = keras.ops.convert_to_tensor(images, "float32")
    if operation.pixels:
        pixels = operation.pixels(pixels, values)
    if operation.matrix:
        pixels = nearest(pixels, operation.matrix(values, SIDE))
    found = keras.ops.convert_to_numpy(pixels)
    assert (found == found.round()).all()
    assert found.min() >= 0
    assert found.max() <= 255
    expected = np.stack(
        [
            np.asarray(PILLOW[name](Image.fromarray(image), float(value)))
            for image, value in zip(images, operation.value(positions), strict=True)
        ]
    )
    gap = np.abs(found - expected)
    # Both round down: a few values may fall on the other side of a whole number.
    assert (gap > 1).mean() < 0.002, gap.max()
    assert (gap > 0).mean() < 0.02
    if name != "identity":
        assert (expected != images).any()


def test_there_are_fourteen_operations():
    assert len(OPERATIONS) == 14 == len(PILLOW)


def row_of(*values):
    """One image with four rows; each column has one value."""
    row = np.array(values, "float32")[None, None, :, None]
    return np.broadcast_to(row, (1, 4, len(values), 3)).copy()


def test_a_crop_of_the_whole_image_is_the_image():
    image = np.random.default_rng(1).uniform(0, 255, (2, 5, 7, 3)).astype("float32")
    zero, one = np.zeros(2, "float32"), np.ones(2, "float32")
    found = keras.ops.convert_to_numpy(cropped(image, zero, zero, one, one))
    assert found == pytest.approx(image, abs=1e-3)


def test_a_crop_by_hand():
    # The right half of 0 4 8 12: new middles at 2.25, 2.75, 3.25, 3.75 of the old
    # row, between pixels 1.75, 2.25, 2.75, 3.25; the last is the edge.
    part = {"top": 0.0, "left": 0.5, "height": 1.0, "width": 0.5}
    part = {name: np.array([value], "float32") for name, value in part.items()}
    found = keras.ops.convert_to_numpy(cropped(row_of(0, 4, 8, 12), **part))
    assert found[0, 2, :, 0] == pytest.approx([7, 9, 11, 12], abs=1e-5)


def test_uncovered_pixels_get_the_fill_value():
    # One pixel to the left: each pixel comes from its right neighbour.
    matrix = np.array([[1, 0, 1, 0, 1, 0]], "float32")
    found = keras.ops.convert_to_numpy(nearest(row_of(1, 2, 3, 4), matrix, fill=9))
    assert found[0, 1, :, 2].tolist() == [2, 3, 4, 9]
