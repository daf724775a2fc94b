"""Counts of mistakes, by hand."""

import numpy as np

from color_s4l.report.errors_by_class import class_errors

# Class a: 2 of 4 right, once b, once c. Class b: 1 of 3, twice a. Class c: none.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1])
PREDICTED = np.array([0, 0, 1, 2, 1, 0, 0])


def test_errors_of_each_class():
    rows = class_errors(LABELS, PREDICTED, ["a", "b", "c"]).rows
    assert [row["images"] for row in rows] == [4, 3, 0]
    assert [row["wrong"] for row in rows] == [2, 2, 0]
    assert rows[0]["error"] == 50
    assert round(rows[1]["error"], 2) == 66.67
    assert rows[2]["error"] is None
    assert [row["taken_for"] for row in rows] == ["b", "a", ""]


def test_the_matrix_is_in_percent_of_the_row():
    percent = class_errors(LABELS, PREDICTED, ["a", "b", "c"]).percent
    assert percent.round(1).tolist() == [[50, 25, 25], [66.7, 33.3, 0], [0, 0, 0]]


def test_the_most_frequent_confusions_come_first():
    found = class_errors(LABELS, PREDICTED, ["a", "b", "c"]).confusions(2)
    assert [(row["true"], row["taken_for"], row["images"]) for row in found] == [
        ("b", "a", 2),
        ("a", "b", 1),
    ]
    right = class_errors(LABELS, LABELS, ["a", "b", "c"])
    assert right.confusions(5) == []
