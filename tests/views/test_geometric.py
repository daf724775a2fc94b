"""The six geometric views against NumPy, and each undone again."""

import keras
import numpy as np
import pytest

from color_s4l.views.geometric import GEOMETRIC, INVERSE

# np.rot90(k=1) turns counter-clockwise: a b     b d
#                                        c d ->  a c
EXPECTED = {
    "identity": lambda image: image,
    "rotated_90": lambda image: np.rot90(image, 1),
    "rotated_180": lambda image: np.rot90(image, 2),
    "rotated_270": lambda image: np.rot90(image, 3),
    "flipped_left_right": lambda image: image[:, ::-1],
    "flipped_up_down": lambda image: image[::-1],
}


def test_proxy_labels_0_to_5_stand_in_the_published_order():
    assert list(GEOMETRIC) == list(EXPECTED)
    assert INVERSE.keys() == GEOMETRIC.keys()


def test_90_degrees_are_counter_clockwise():
    image = np.array([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    turned = keras.ops.convert_to_numpy(GEOMETRIC["rotated_90"](image))
    assert turned[0, ..., 0].tolist() == [[2, 4], [1, 3]]


@pytest.mark.parametrize("name", GEOMETRIC)
def test_view_is_numpys_and_its_inverse_gives_the_image_back(name):
    images = np.random.default_rng(0).random((3, 5, 5, 3))
    made = keras.ops.convert_to_numpy(GEOMETRIC[name](images))
    assert made == pytest.approx(np.array([EXPECTED[name](i) for i in images]), abs=0)
    assert keras.ops.convert_to_numpy(INVERSE[name](made)) == pytest.approx(
        images, abs=0
    )


def test_the_six_views_of_an_image_all_differ():
    image = np.arange(9.0).reshape(1, 3, 3, 1)
    views = {tuple(np.ravel(turn(image))) for turn in GEOMETRIC.values()}
    assert len(views) == 6
