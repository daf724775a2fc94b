import numpy as np
import pytest

from color_s4l.data import balance

CLASSES = ("a", "b", "c")
# 6, 2 and 0 images, and two without a label.
LABELS = np.array([0, 0, 0, 1, -1, 0, 0, 0, 1, -1], np.int32)


def test_counts_and_their_line():
    assert balance.counts(LABELS, CLASSES).tolist() == [6, 2, 0]
    assert balance.described(LABELS, CLASSES) == "a 6, b 2, c 0"
    names = tuple(f"class {k}" for k in range(20))
    even = np.repeat(np.arange(20), 5)
    assert balance.described(even, names) == "20, each with 5 images"
    text = "20, from 5 images (class 0) to 1,005 (class 7), median 5"
    assert balance.described(np.append(even, [7] * 1000), names) == text


def test_imbalanced_above_ten_to_one():
    assert not balance.imbalanced(np.array([0] * 10 + [1]), ("a", "b"))
    assert balance.imbalanced(np.array([0] * 11 + [1]), ("a", "b"))


def test_class_weights_by_hand():
    # 8 images in 2 classes that have any: 8 / (2 * 6), 8 / (2 * 2).
    weights = balance.class_weights(LABELS, CLASSES)
    assert weights.tolist() == pytest.approx([2 / 3, 2, 0])
    assert weights.dtype == np.float32
    assert weights[LABELS[LABELS >= 0]].mean() == pytest.approx(1)
    assert balance.class_weights(np.array([0, 1, 2]), CLASSES).tolist() == [1, 1, 1]
