import dataclasses

import numpy as np
import pytest

from color_s4l.data import Data
from color_s4l.errors import InputError

IMAGES = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)


def test_holds_its_arrays(toy):
    assert toy.size == 4
    assert toy.images.dtype == np.uint8
    none = dataclasses.replace(
        toy, test_images=toy.images[:0], test_labels=toy.labels[:0]
    )
    assert len(none.test_images) == 0


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("images", np.zeros((20, 4, 4, 3)), "`images` to be uint8 .* float64"),
        ("images", np.zeros((20, 4, 5, 3), np.uint8), r"\(20, 4, 5, 3\)"),
        ("images", np.zeros((20, 4, 4, 1), np.uint8), "`images` to be uint8"),
        ("images", np.zeros((0, 4, 4, 3), np.uint8), "n at least 1"),
        ("test_images", np.zeros((2, 5, 5, 3), np.uint8), "the size of `images`"),
        ("labels", np.zeros(20, np.int64), r"int32 \(20,\).*int64"),
        ("labels", np.zeros(19, np.int32), r"Received: int32 \(19,\)"),
        ("labels", np.full(20, 3, np.int32), "`labels` from -1 to 2.*from 3 to 3"),
        ("labels", np.full(20, -2, np.int32), "`labels` from -1 to 2"),
        ("test_labels", np.full(2, -1, np.int32), "`test_labels` from 0 to 2"),
        ("classes", ("a", "a", "b"), "tuple of different names"),
        ("classes", ["a", "b", "c"], "tuple of different names"),
    ],
)
def test_refuses_other_shapes_types_and_labels(toy, field, value, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(toy, **{field: value})


def test_arrays_without_test_images():
    dataset = Data.from_arrays(IMAGES, np.array([1, -1, 0]))
    assert dataset.images is IMAGES
    assert dataset.labels.tolist() == [1, -1, 0]
    assert (dataset.name, dataset.classes) == ("arrays", ("0", "1"))
    assert dataset.test_images.shape == (0, 4, 4, 3)
    assert dataset.test_labels.shape == (0,)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (IMAGES[..., 0], IMAGES[..., 0]),
        (IMAGES[..., :1], IMAGES[..., 0]),
        (IMAGES[..., 1] / 255, IMAGES[..., 1]),
        ((IMAGES[..., :1] / 255).astype("float16"), IMAGES[..., 0]),
    ],
)
def test_grey_and_float_images_become_uint8_rgb(images, expected):
    dataset = Data.from_arrays(images, [0, 1, 2], images[:2], [0, 1])
    assert dataset.images.dtype == np.uint8
    assert (dataset.images == expected[..., None]).all()
    assert (dataset.test_images == dataset.images[:2]).all()


@pytest.mark.parametrize(
    ("labels", "names", "numbers", "classes"),
    [
        ([[2], [0], [1]], None, [2, 0, 1], ("0", "1", "2")),
        ([7, 3, -1], None, [1, 0, -1], ("3", "7")),
        ([7, 3, -1], ("cat", "dog"), [1, 0, -1], ("cat", "dog")),
        ([-1, -1, -1], ("a", "b"), [-1, -1, -1], ("a", "b")),
        ([3, 1, -1], ("a", "b", "c", "d"), [3, 1, -1], ("a", "b", "c", "d")),
        (np.array([10, 9, 9], np.uint8), None, [1, 0, 0], ("9", "10")),
        (["dog", "cat", ""], None, [1, 0, -1], ("cat", "dog")),
        (np.array(["dog", "cat", -1]), None, [1, 0, -1], ("cat", "dog")),
        (["dog", "cat", None], ("dog", "cat"), [0, 1, -1], ("dog", "cat")),
        (np.array(["b", np.nan, -1], object), None, [0, -1, -1], ("b",)),
        ([True, False, False], None, [1, 0, 0], ("False", "True")),
    ],
)
def test_labels_become_numbers_and_names(labels, names, numbers, classes):
    dataset = Data.from_arrays(IMAGES, labels, class_names=names)
    assert dataset.labels.dtype == np.int32
    assert dataset.labels.tolist() == numbers
    assert dataset.classes == classes


def test_test_labels_have_the_numbers_of_the_labels():
    dataset = Data.from_arrays(IMAGES, [9, 5, 9], IMAGES, [[5], [9], [9]])
    assert dataset.test_labels.tolist() == [0, 1, 1]


LABELS = [0, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((IMAGES[0, 0], LABELS), r"`images` of shape \(n, h, w, 3\).*: \(4, 3\)"),
        ((IMAGES.transpose(0, 3, 1, 2), LABELS), r"Received: \(3, 3, 4, 4\)"),
        ((IMAGES[:, :3], LABELS), "square images in `images`.* 3 x 4 .*Resizing"),
        ((IMAGES.astype(int), LABELS), "uint8 in .* or float in .*: int64"),
        ((IMAGES.astype(float), LABELS), r"float `images` in \[0, 1\].* 0 to 143"),
        ((np.full((3, 4, 4), np.nan), LABELS), "from nan to nan"),
        ((IMAGES, [0, 1]), r"`labels` of shape \(3,\) or \(3, 1\).*: \(2,\)\.$"),
        ((IMAGES, np.eye(3)), r"Received: \(3, 3\)\. One-hot.*argmax"),
        ((IMAGES, [0.0, 1.0, 1.0]), "`labels` to be integers or .*: floating"),
        ((IMAGES, np.array([0, "a", 1], object)), "Received: mixed"),
        ((IMAGES, [0, 1, -2]), "`labels` from 0, or -1 .* Received: -2"),
        ((IMAGES, [-1, -1, -1]), "one label in `labels`, or `class_names`"),
        ((IMAGES, LABELS, IMAGES), "both or neither: `test_images`, `test_labels`"),
        ((IMAGES, LABELS, IMAGES[:, :2, :2], LABELS), "of 4 x 4 pixels.*: 2 x 2"),
        ((IMAGES, LABELS, IMAGES, [0, 1, 2]), "classes 0, 1 in `test_l.*: 2"),
        ((IMAGES, LABELS, IMAGES, [0, 1, -1]), "in `test_labels`. Received: None"),
        ((IMAGES, LABELS, None, None, ("a",)), "each of the 2 values.*: 1 names"),
        ((IMAGES, LABELS, None, None, ("a", "a")), "different `class_names`"),
        ((IMAGES, [*"aab"], None, None, ("a", "c")), "classes a, c in `labels`.*: b"),
    ],
)
def test_refuses_other_arrays(arguments, text):
    with pytest.raises(InputError, match=text) as raised:
        Data.from_arrays(*arguments)
    assert "\n" not in str(raised.value)
