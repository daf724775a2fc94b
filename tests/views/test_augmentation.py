"""Shift, flip and noise: the arithmetic by hand, the draws by their statistics."""

import keras
import numpy as np
import pytest

from color_s4l.views import augmentation
from color_s4l.views.augmentation import Augmentation, Draws


def shifted(image, down, right):
    """One image `(height, width)` through `shift`."""
    images = np.asarray(image)[None, ..., None]
    pixels = np.array([[down, right]], "int32")
    return keras.ops.convert_to_numpy(augmentation.shift(images, pixels))[0, ..., 0]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [  # b a | a b c | c b
        (0, [1, 2, 3]),
        (1, [1, 1, 2]),
        (2, [2, 1, 1]),
        (3, [3, 2, 1]),
        (-1, [2, 3, 3]),
        (-2, [3, 3, 2]),
    ],
)
def test_fill_mirrors_with_the_edge_repeated(pixels, expected):
    row = [[1, 2, 3]]
    assert shifted(row, 0, pixels).tolist() == [expected]
    assert shifted(np.transpose(row), pixels, 0).tolist() == [[v] for v in expected]


def test_shift_moves_down_and_right():
    # 1 2      one down, one right: row -1 is row 0, column -1 is column 0.
    # 3 4
    # 5 6
    image = [[1, 2], [3, 4], [5, 6]]
    assert shifted(image, 1, 1).tolist() == [[1, 1], [1, 1], [3, 3]]
    assert shifted(image, -2, 0).tolist() == [[5, 6], [5, 6], [3, 4]]


@pytest.mark.parametrize("size", [(5, 9), (24, 24), (40, 33)])
def test_shift_is_a_window_of_the_symmetric_padding(size):
    images = np.random.default_rng(0).random((9, *size, 3), dtype="float32")
    pixels = np.random.default_rng(1).integers(-2, 3, (9, 2)).astype("int32")
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="symmetric")
    height, width = size
    expected = [
        image[2 - down : 2 - down + height, 2 - right : 2 - right + width]
        for image, (down, right) in zip(padded, pixels, strict=True)
    ]
    found = keras.ops.convert_to_numpy(augmentation.shift(images, pixels))
    assert found == pytest.approx(np.array(expected), abs=0)


def test_shift_keeps_the_type():
    images = np.zeros((1, 4, 4, 3), "uint8")
    moved = augmentation.shift(images, np.ones((1, 2), "int32"))
    assert keras.backend.standardize_dtype(moved.dtype) == "uint8"


@pytest.fixture(scope="module")
def drawn_shifts():
    seed = keras.random.SeedGenerator(1)
    draws = augmentation.draw_shift(seed, 50_000, 2)
    return keras.ops.convert_to_numpy(draws)


def test_drawn_shifts_are_uniform(drawn_shifts):
    assert drawn_shifts.shape == (50_000, 2)
    assert set(np.unique(drawn_shifts)) == {-2, -1, 0, 1, 2}
    for axis in range(2):
        shares = np.bincount(drawn_shifts[:, axis] + 2) / 50_000
        # Standard deviation of a share: sqrt(0.2 * 0.8 / 50,000) = 0.0018.
        assert shares == pytest.approx([0.2] * 5, abs=0.008)


def test_axes_are_shifted_independently(drawn_shifts):
    pairs = np.bincount((drawn_shifts + 2) @ [5, 1], minlength=25) / 50_000
    # sqrt(0.04 * 0.96 / 50,000) = 0.0009
    assert pairs == pytest.approx([0.04] * 25, abs=0.004)


def test_half_of_the_images_are_flipped():
    chosen = augmentation.draw_flip(keras.random.SeedGenerator(1), 10_000)
    assert np.mean(keras.ops.convert_to_numpy(chosen)) == pytest.approx(0.5, abs=0.02)


def test_flip_mirrors_the_columns_of_the_chosen():
    images = np.arange(12).reshape(2, 2, 3, 1)
    flipped = augmentation.flip(images, np.array([True, False]))
    flipped = keras.ops.convert_to_numpy(flipped)
    assert flipped[0, ..., 0].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert flipped[1].tolist() == images[1].tolist()


def test_noise_has_mean_0_and_deviation_015():
    draws = Augmentation().draw(keras.random.SeedGenerator(1), (50, 32, 32, 3))
    noise = keras.ops.convert_to_numpy(draws.noise)
    assert noise.shape == (50, 32, 32, 3)
    assert noise.mean() == pytest.approx(0, abs=0.002)
    assert noise.std() == pytest.approx(0.15, abs=0.001)
    # Every value by itself: neighbours do not correlate.
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(0, abs=0.0005)


def test_strength_zero_changes_nothing():
    images = np.random.default_rng(0).random((4, 5, 5, 3), dtype="float32")
    none = Augmentation(shift=0, flip=False, noise=0.0)
    draws = none.draw(keras.random.SeedGenerator(1), images.shape)
    assert draws.flip is None
    assert keras.ops.convert_to_numpy(augmentation.apply(images, draws)) == (
        pytest.approx(images, abs=0)
    )


def test_apply_shifts_then_flips_then_adds_noise():
    # 1 2 3, one to the right: 1 1 2; flipped: 2 1 1; noise 10 20 30 is not moved.
    images = np.array([1, 2, 3], "float32").reshape(1, 1, 3, 1)
    draws = Draws(
        shift=np.array([[0, 1]], "int32"),
        flip=np.array([True]),
        noise=np.array([10, 20, 30], "float32").reshape(1, 1, 3, 1),
    )
    result = keras.ops.convert_to_numpy(augmentation.apply(images, draws))
    assert result.ravel().tolist() == [12, 21, 31]


def test_equal_seeds_draw_alike_and_successive_draws_differ():
    first, second = keras.random.SeedGenerator(7), keras.random.SeedGenerator(7)
    shape = (4, 6, 6, 3)
    draws = [Augmentation().draw(seed, shape).noise for seed in (first, second, first)]
    one, same, next_one = (keras.ops.convert_to_numpy(noise) for noise in draws)
    assert one == pytest.approx(same, abs=0)
    assert np.abs(one - next_one).max() > 0.1
