"""Each operation of RandAugment against Pillow's, and what puts them together."""

import keras
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from color_s4l.views import strong
from color_s4l.views.operations import OPERATIONS
from color_s4l.views.sampling import nearest

SIDE = 16
NAMES = list(OPERATIONS)


def moved(image, x_x, x_y, x, y_x, y_y, y):
    given = (x_x, x_y, x, y_x, y_y, y)
    return image.transform(image.size, Image.Transform.AFFINE, given)


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
    """Digits; one of few values, one without any contrast, and noise."""
    rng = np.random.default_rng(1)
    chosen = small.images[::6].copy()
    chosen[1] = chosen[1] // 60 * 40
    chosen[2] = 77
    chosen[3] = rng.integers(0, 256, chosen[3].shape)
    return chosen


def applied(name, images, values):
    operation = OPERATIONS[name]
    pixels = keras.ops.convert_to_tensor(images, "float32")
    values = keras.ops.convert_to_tensor(values, "float32")
    if operation.pixels:
        pixels = operation.pixels(pixels, values)
    if operation.matrix:
        pixels = nearest(pixels, operation.matrix(values, SIDE))
    return keras.ops.convert_to_numpy(pixels)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_pillows(name, images):
    operation = OPERATIONS[name]
    places = np.linspace(0.03, 0.97, len(images))
    values = operation.low + (operation.high - operation.low) * places
    found = applied(name, images, values)
    assert (found == found.round()).all()
    assert found.min() >= 0
    assert found.max() <= 255
    expected = np.stack(
        [
            np.asarray(PILLOW[name](Image.fromarray(image), float(value)))
            for image, value in zip(images, values, strict=True)
        ]
    )
    gap = np.abs(found - expected)
    # Fractions are cut off: a few values may fall on the other side of a whole number.
    assert (gap > 1).mean() < 0.002, gap.max()
    assert (gap > 0).mean() < 0.02
    if name != "identity":
        assert (expected != images).any()


def test_there_are_fourteen():
    assert len(OPERATIONS) == 14 == len(PILLOW)


def test_randaugment_applies_what_was_drawn_in_its_order(images):
    # Solarising then posterising is not posterising then solarising.
    first, second = NAMES.index("solarize"), NAMES.index("posterize")
    third = NAMES.index("translate_x")
    count = len(images)
    rng = np.random.default_rng(2)
    values = rng.uniform(0.2, 0.9, (count, 3)).astype("float32")
    chosen = np.array([[first, second, third], [second, first, third]] * count, "int32")
    chosen = chosen[:count]
    found = strong.randaugment(images, chosen, values)
    for number, image in enumerate(images):
        expected = image[None].astype("float32")
        for place, value in zip(chosen[number], values[number], strict=True):
            operation = OPERATIONS[NAMES[place]]
            scaled = [operation.low + (operation.high - operation.low) * value]
            expected = applied(NAMES[place], expected, scaled)
        assert keras.ops.convert_to_numpy(found[number]) == pytest.approx(expected[0])


def test_cutout_covers_a_square_of_up_to_half_the_side():
    images = np.zeros((3, 8, 8, 3), "float32")
    # Middle at (0.5, 0.5), side 0.5: lines 2 to 5. At the corner, a quarter of it.
    # A side of 0 covers nothing.
    square = np.array([[0.5, 0.5, 1.0], [0.0, 1.0, 1.0], [0.5, 0.5, 0.0]], "float32")
    found = keras.ops.convert_to_numpy(strong.cutout(images, square))
    expected = np.zeros((3, 8, 8, 3), "float32")
    expected[0, 2:6, 2:6] = strong.GREY
    expected[1, :2, 6:] = strong.GREY
    assert (found == expected).all()


def test_a_strong_draw_takes_every_operation_and_the_whole_range(small):
    from color_s4l.views.augmentation import Augmentation

    family = strong.Strong(None, Augmentation())
    seed = keras.random.SeedGenerator(1)
    draws = family.draw(seed, (2000, 2, 2, 3), frozenset())
    operations = keras.ops.convert_to_numpy(draws.operations)
    counts = np.bincount(operations.ravel(), minlength=14)
    # 6,000 draws: 429 of each, standard deviation 20.
    assert len(counts) == 14
    assert np.abs(counts - 6000 / 14).max() < 100
    for part in (draws.values, draws.square):
        part = keras.ops.convert_to_numpy(part)
        assert 0 <= part.min() < 0.01
        assert 0.99 < part.max() < 1
        assert part.mean() == pytest.approx(0.5, abs=0.02)
