"""Strong views: RandAugment, Cutout, and crops with changed colours."""

import keras
import numpy as np
import pytest

from color_s4l.views import augmentation, strong
from color_s4l.views.augmentation import Augmentation
from color_s4l.views.operations import OPERATIONS, nearest
from color_s4l.views.strong import CropDraws, Crops, Strong

NAMES = list(OPERATIONS)


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def family(kind, **augmentation):
    return kind(
        name="view",
        preprocessing=lambda images: images,
        augmentation=Augmentation(**augmentation),
        needed=frozenset(["view"]),
    )


def one_operation(name, image, position):
    operation = OPERATIONS[name]
    value = keras.ops.convert_to_tensor([operation.value(position)], "float32")
    if operation.pixels:
        return operation.pixels(image, value)
    return nearest(image, operation.matrix(value, image.shape[2]))


def test_randaugment_applies_the_drawn_operations_in_their_order(small):
    # Solarising then posterising is not posterising then solarising.
    images = small.images[::12]
    first, second = NAMES.index("solarize"), NAMES.index("posterize")
    third = NAMES.index("translate_x")
    rng = np.random.default_rng(2)
    values = rng.uniform(0.2, 0.9, (len(images), 3)).astype("float32")
    orders = [[first, second, third], [second, first, third]] * len(images)
    chosen = np.array(orders, "int32")[: len(images)]
    found = numpy_of(strong.randaugment(images, chosen, values))
    for number, image in enumerate(images):
        expected = keras.ops.convert_to_tensor(image[None], "float32")
        for index, position in zip(chosen[number], values[number], strict=True):
            expected = one_operation(NAMES[index], expected, position)
        assert found[number] == pytest.approx(numpy_of(expected)[0])


def test_a_crop_comes_before_the_operations(small):
    images = small.images[::12]
    views = family(Strong, noise=0.0, area=0.2)
    draws = views.draw(keras.random.SeedGenerator(1), images.shape)
    assert draws.weak.shift is None
    cropped = np.round(numpy_of(augmentation.crop(images / 1.0, draws.weak.box)))
    expected = strong.randaugment(cropped, draws.operations, draws.values)
    expected = numpy_of(strong.cutout(expected, draws.square))
    found = numpy_of(views.apply({"unlabeled": images}, draws)["view"])
    assert found == pytest.approx(expected)
    # The grey square of the first image has its full size: it was not enlarged.
    whole = draws._replace(square=keras.ops.ones((len(images), 3)) * 0.5)
    grey = numpy_of(views.apply({"unlabeled": images}, whole)["view"]) == strong.GREY
    assert (grey.all(axis=-1).sum(axis=(1, 2)) >= 16).all()


def test_cutout_covers_a_square_of_up_to_half_the_side():
    images = np.zeros((3, 8, 8, 3), "float32")
    # Middle at (0.5, 0.5), side 0.5: lines 2 to 5. At the corner, a quarter of it.
    # A side of 0 covers nothing.
    square = np.array([[0.5, 0.5, 1.0], [0.0, 1.0, 1.0], [0.5, 0.5, 0.0]], "float32")
    expected = np.zeros((3, 8, 8, 3), "float32")
    expected[0, 2:6, 2:6] = strong.GREY
    expected[1, :2, 6:] = strong.GREY
    assert (numpy_of(strong.cutout(images, square)) == expected).all()


def test_a_strong_draw_uses_every_operation_and_the_whole_range():
    draws = family(Strong).draw(keras.random.SeedGenerator(1), (2000, 2, 2, 3))
    counts = np.bincount(numpy_of(draws.operations).ravel(), minlength=14)
    # 6,000 draws: 429 of each, standard deviation 20.
    assert len(counts) == 14
    assert np.abs(counts - 6000 / 14).max() < 100
    for part in (numpy_of(draws.values), numpy_of(draws.square)):
        assert 0 <= part.min() < 0.01
        assert 0.99 < part.max() < 1
        assert part.mean() == pytest.approx(0.5, abs=0.02)


def test_colours_by_hand():
    image = np.random.default_rng(1).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    same = strong.recolored(image, np.zeros((1, 7), "float32"))
    assert numpy_of(same) == pytest.approx(image, abs=0.01)
    # Red (hue 0, saturation 1, value 1) with the hue moved by 0.1 on the circle:
    # orange, 6 * 0.1 = 0.6 of green. Moved by -0.1: 0.6 of blue.
    red = np.tile(np.array([255, 0, 0], "float32"), (2, 1, 1, 1))
    colors = np.zeros((2, 7), "float32")
    colors[:, 0] = [1, -1]
    found = numpy_of(strong.recolored(red, colors))
    assert found[0, 0, 0] == pytest.approx([255, 153, 0], abs=0.1)
    assert found[1, 0, 0] == pytest.approx([255, 0, 153], abs=0.1)
    # Grey 51 = 0.2: value 0.2 ** 2 * 2 ** 0.5 + 0.1 = 0.15657, saturation 0 + 0.
    grey = np.full((1, 1, 1, 3), 51, "float32")
    colors = np.array([[0, 0, 0.5, 0, 1, 0, 1]], "float32")
    found = numpy_of(strong.recolored(grey, colors))
    assert found[0, 0, 0] == pytest.approx([39.925] * 3, abs=0.05)


def test_crops_of_an_image_differ_and_follow_it():
    crops = family(Crops, flip=True)
    images = np.random.default_rng(3).integers(0, 256, (3, 12, 12, 3)).astype("uint8")
    draws = crops.draw(keras.random.SeedGenerator(1), images.shape)
    made = numpy_of(crops.apply({"unlabeled": images}, draws)["view"])
    assert made.shape == (24, 12, 12, 3)
    assert made.min() >= 0
    assert made.max() <= 255.01
    assert len(np.unique(made.reshape(24, -1), axis=0)) == 24
    one = CropDraws(*(part[1, 5][None] for part in draws))
    expected = numpy_of(strong.crop(images[1:2].astype("float32"), one))
    assert made[13] == pytest.approx(expected[0], abs=1e-3)


def test_crops_of_digits_are_not_flipped():
    seed = keras.random.SeedGenerator(1)
    assert family(Crops, flip=False).draw(seed, (2, 4, 4, 3)).flip is None
