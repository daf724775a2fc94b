"""Shift, crop, flip and noise: the arithmetic by hand, the draws by statistics."""

import keras
import numpy as np
import pytest

from color_s4l.views import augmentation
from color_s4l.views.augmentation import Augmentation, Draws


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [  # b a | a b c | c b
        (0, [1, 2, 3]),
        (1, [1, 1, 2]),
        (3, [3, 2, 1]),
        (-2, [3, 3, 2]),
    ],
)
def test_fill_mirrors_with_the_edge_repeated(pixels, expected):
    row = np.array([[1, 2, 3]], "uint8")
    for image, shift, found in (
        (row, (0, pixels), [expected]),
        (row.T, (pixels, 0), [[v] for v in expected]),
    ):
        moved = augmentation.shift(image[None, ..., None], np.array([shift], "int32"))
        assert numpy_of(moved)[0, ..., 0].tolist() == found
        assert numpy_of(moved).dtype == np.uint8


@pytest.mark.parametrize("size", [(5, 9), (24, 24)])
def test_shift_is_a_window_of_the_symmetric_padding(size):
    images = np.random.default_rng(0).random((9, *size, 3), dtype="float32")
    pixels = np.random.default_rng(1).integers(-2, 3, (9, 2)).astype("int32")
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="symmetric")
    height, width = size
    expected = [
        image[2 - down : 2 - down + height, 2 - right : 2 - right + width]
        for image, (down, right) in zip(padded, pixels, strict=True)
    ]
    assert (numpy_of(augmentation.shift(images, pixels)) == np.array(expected)).all()


def test_drawn_shifts_are_uniform_and_independent():
    seed = keras.random.SeedGenerator(1)
    shifts = numpy_of(augmentation.draw_shift(seed, 50_000, 2))
    assert shifts.shape == (50_000, 2)
    assert (shifts.min(), shifts.max()) == (-2, 2)
    pairs = np.bincount((shifts + 2) @ [5, 1], minlength=25) / 50_000
    # Standard deviation of a share: sqrt(0.04 * 0.96 / 50,000) = 0.0009.
    assert pairs == pytest.approx([0.04] * 25, abs=0.004)


def test_boxes_by_hand():
    positions = np.array(
        [
            [1, 0.5, 0.3, 0.9],  # the whole image
            [0.25, 0.5, 0, 1],  # area 0.16 + 0.84 / 4 = 0.37
            [0, 1, 0.5, 0.5],  # area 0.16, 4:3; in the middle
            [1, 0, 0.5, 1],  # area 1, 3:4: as high as the image, not higher
        ],
        "float32",
    )
    found = numpy_of(augmentation.box(positions, 0.16))
    side, height, width = 0.37**0.5, 0.4 * 0.75**0.5, 0.4 / 0.75**0.5
    narrow = 0.75**0.5
    expected = [
        [0, 0, 1, 1],
        [0, 1 - side, side, side],
        [(1 - height) / 2, (1 - width) / 2, height, width],
        [0, 1 - narrow, 1, narrow],
    ]
    assert found == pytest.approx(np.array(expected), abs=1e-6)


def test_drawn_boxes_are_inside_and_have_at_least_the_smallest_area():
    seed = keras.random.SeedGenerator(1)
    boxes = numpy_of(augmentation.draw_box(seed, 20_000, 0.2))
    top, left, height, width = boxes.T
    assert boxes.min() >= 0
    assert (top + height).max() <= 1 + 1e-6
    assert (left + width).max() <= 1 + 1e-6
    inside = (height < 1) & (width < 1)
    areas, ratios = (height * width)[inside], (width / height)[inside]
    assert areas.min() == pytest.approx(0.2, abs=0.001)
    assert (ratios.min(), ratios.max()) == pytest.approx((0.75, 4 / 3), abs=0.002)
    assert np.log(width / height).mean() == pytest.approx(0, abs=0.005)
    # Uniform: half of the areas that fit in any shape are below their middle.
    low = areas[areas < 0.7]
    assert np.mean(low < 0.45) == pytest.approx(0.5, abs=0.02)


def test_a_crop_of_the_whole_image_is_the_image():
    images = np.random.default_rng(0).random((3, 7, 7, 3), dtype="float32")
    whole = np.array([[0, 0, 1, 1]] * 3, "float32")
    assert numpy_of(augmentation.crop(images, whole)) == pytest.approx(images, abs=1e-5)


def test_a_crop_is_enlarged_bilinearly():
    # The right half of the columns 0 8 16 24, enlarged twice: its pixels are at 16 and
    # 24, the new ones at 14 (8 and 16 are mixed), 18, 22 and 24 (the edge).
    row = np.array([0, 8, 16, 24], "float32")
    images = np.tile(row[None, :, None], (1, 4, 1, 1)).reshape(1, 4, 4, 1)
    box = np.array([[0, 0.5, 1, 0.5]], "float32")
    found = numpy_of(augmentation.crop(images, box))[0, ..., 0]
    assert found == pytest.approx(np.tile([14, 18, 22, 24], (4, 1)), abs=1e-4)


def test_a_crop_replaces_the_shift():
    cropping = Augmentation(shift=2, flip=True, noise=0.0, area=0.5)
    draws = cropping.draw(keras.random.SeedGenerator(1), (4, 6, 6, 3))
    assert draws.shift is None
    assert numpy_of(draws.box).shape == (4, 4)
    assert Augmentation().draw(keras.random.SeedGenerator(1), (4, 6, 6, 3)).box is None
    images = np.random.default_rng(0).random((4, 6, 6, 3), dtype="float32")
    expected = augmentation.flip(augmentation.crop(images, draws.box), draws.flip)
    found = numpy_of(augmentation.apply(images, draws))
    assert found == pytest.approx(numpy_of(expected))


def test_half_of_the_images_are_flipped():
    chosen = augmentation.draw_flip(keras.random.SeedGenerator(1), 10_000)
    assert np.mean(numpy_of(chosen)) == pytest.approx(0.5, abs=0.02)
    images = np.arange(12).reshape(2, 2, 3, 1)
    flipped = numpy_of(augmentation.flip(images, np.array([True, False])))
    assert flipped[0, ..., 0].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert flipped[1].tolist() == images[1].tolist()


def test_noise_has_mean_0_and_deviation_015():
    draws = Augmentation().draw(keras.random.SeedGenerator(1), (50, 32, 32, 3))
    noise = numpy_of(draws.noise)
    assert noise.shape == (50, 32, 32, 3)
    assert noise.mean() == pytest.approx(0, abs=0.002)
    assert noise.std() == pytest.approx(0.15, abs=0.001)
    # Every value is independent: neighbours do not correlate.
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(0, abs=0.0005)


def test_strength_zero_changes_nothing():
    images = np.random.default_rng(0).random((4, 5, 5, 3), dtype="float32")
    none = Augmentation(shift=0, flip=False, noise=0.0)
    draws = none.draw(keras.random.SeedGenerator(1), images.shape)
    assert draws.flip is None
    assert (numpy_of(augmentation.apply(images, draws)) == images).all()


def test_apply_shifts_then_flips_then_adds_noise():
    # 1 2 3, one to the right: 1 1 2; flipped: 2 1 1; noise 10 20 30 is not moved.
    images = np.array([1, 2, 3], "float32").reshape(1, 1, 3, 1)
    draws = Draws(
        shift=np.array([[0, 1]], "int32"),
        flip=np.array([True]),
        noise=np.array([10, 20, 30], "float32").reshape(1, 1, 3, 1),
    )
    assert numpy_of(augmentation.apply(images, draws)).ravel().tolist() == [12, 21, 31]


def test_equal_seeds_give_equal_draws_and_successive_draws_differ():
    first, second = keras.random.SeedGenerator(7), keras.random.SeedGenerator(7)
    draws = [Augmentation().draw(s, (4, 6, 6, 3)) for s in (first, second, first)]
    one, same, other = (numpy_of(each.noise) for each in draws)
    assert (one == same).all()
    assert np.abs(one - other).max() > 0.1
