"""Errors by class, computed by hand."""

import numpy as np
import pytest

from color_s4l.report import charts, samples

CLASSES = ("a", "b", "c")
# Class a: 2 of 4 right, one b, one c. Class b: 1 of 3 right, two a. Class c: no images.
MATRIX = np.array([[2, 1, 1], [2, 1, 0], [0, 0, 0]])


def test_errors_of_each_class():
    found = [tuple(row.values()) for row in samples.class_rows(MATRIX, CLASSES)]
    assert found == [
        ("a", 4, 2, 50.0, "b"),
        ("b", 3, 2, pytest.approx(200 / 3), "a"),
        ("c", 0, 0, None, ""),
    ]
    percent = samples.percent_of_rows(MATRIX)
    assert percent.round(1).tolist() == [[50, 25, 25], [66.7, 33.3, 0], [0, 0, 0]]


def test_most_frequent_confusions_come_first():
    found = samples.confusions(MATRIX, CLASSES, 2)
    assert [tuple(row.values()) for row in found] == [
        ("b", "a", 2, pytest.approx(200 / 3)),
        ("a", "b", 1, 25.0),
    ]
    assert samples.confusions(np.eye(3, dtype=int), CLASSES, 5) == []


def test_heat_map_is_opaque_where_the_share_is_high():
    drawn = charts.heat_map(np.array([[0.0, 1.0]]), (1, 2, 3))
    assert drawn.tolist() == [[[1, 2, 3, 0], [1, 2, 3, 255]]]
