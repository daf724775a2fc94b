import dataclasses

import numpy as np
import pytest


def test_holds_what_it_is_given(toy):
    assert toy.size == 4
    assert toy.images.dtype == np.uint8


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("images", np.zeros((20, 4, 4, 3)), "images to be uint8 .* float64"),
        ("images", np.zeros((20, 4, 5, 3), np.uint8), r"\(20, 4, 5, 3\)"),
        ("images", np.zeros((20, 4, 4, 1), np.uint8), "images to be uint8"),
        ("images", np.zeros((0, 4, 4, 3), np.uint8), "n and size at least 1"),
        ("test_images", np.zeros((2, 5, 5, 3), np.uint8), "of the size of images"),
        ("labels", np.zeros(20, np.int64), r"int32 \(20,\).*int64"),
        ("labels", np.zeros(19, np.int32), r"Received: int32 \(19,\)"),
        ("labels", np.full(20, 3, np.int32), "labels from -1 to 2.*from 3 to 3"),
        ("labels", np.full(20, -2, np.int32), "labels from -1 to 2"),
        ("test_labels", np.full(2, -1, np.int32), "test_labels from 0 to 2"),
        ("classes", ("a", "a", "b"), "tuple of different names"),
        ("classes", ["a", "b", "c"], "tuple of different names"),
    ],
)
def test_refuses_other_shapes_types_and_labels(toy, field, value, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(toy, **{field: value})
