"""The page's section on one run: test errors by class, and images with captions."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import confusion_matrix

from color_s4l.artifacts.pictures import MOST_NUMBERED
from color_s4l.report import charts
from color_s4l.report.records import Record

# Rows in the table of the most frequent mistakes.
CONFUSIONS = 20
# Colour of the confusion matrix of many classes; visible on white and on black.
_HEAT = (45, 125, 210)
# Images with a side of more than this many pixels are smoothed when enlarged.
_PIXELS = 64
# Class names with more letters are written vertically above the confusion matrix.
_SHORT = 4


def describe(record: Record) -> dict:
    """Returns the values that the template samples.html reads.

    Args:
        record: The run.

    Returns:
        `confusion`, `confusions`, `class_rows`, `mistakes`, `views`, `colours`; an
        empty dict if the run has no samples.
    """
    samples, classes = record.samples, record.classes
    if not samples:
        return {}
    matrix = confusion_matrix(
        samples["labels"], samples["predicted"], labels=np.arange(len(classes))
    )
    rows = class_rows(matrix, classes)
    return {
        "confusion": _confusion(matrix, classes),
        "confusions": confusions(matrix, classes, CONFUSIONS),
        "class_rows": sorted(rows, key=lambda row: -(row["error"] or 0)),
        "mistakes": _mistakes(samples, classes),
        "views": _views(samples, record.result.get("proxy_accuracy", {}))
        if "views" in samples
        else {},
        "colours": _colours(samples) if "colorized" in samples else [],
    }


def percent_of_rows(matrix: np.ndarray) -> np.ndarray:
    """Returns a confusion matrix in percent of each row; an empty row stays 0.

    Args:
        matrix: Number of images of each class (row) that were predicted as each class
            (column), integers `(classes, classes)`.
    """
    return 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def class_rows(matrix: np.ndarray, classes: Sequence[str]) -> list[dict]:
    """Returns the errors of each class.

    Args:
        matrix: As for `percent_of_rows`.
        classes: Names of the classes.

    Returns:
        For each class `name`, `images`, `wrong`; `error` in percent, None if the class
        has no images; and `taken_for`, the class that it is most often mistaken for,
        "" if there is none.
    """
    rows = []
    for name, counts, wrong in zip(classes, matrix, _off_diagonal(matrix), strict=True):
        images = int(counts.sum())
        rows.append(
            {
                "name": name,
                "images": images,
                "wrong": int(wrong.sum()),
                "error": 100 * float(wrong.sum()) / images if images else None,
                "taken_for": classes[wrong.argmax()] if wrong.any() else "",
            }
        )
    return rows


def confusions(matrix: np.ndarray, classes: Sequence[str], count: int) -> list[dict]:
    """Returns the most frequent mistakes, most images first.

    Args:
        matrix: As for `percent_of_rows`.
        classes: Names of the classes.
        count: Largest number of mistakes to return.

    Returns:
        For each pair of classes the names `true` and `taken_for`, the number of
        `images`, and their share of the class in `percent`.
    """
    wrong, percent = _off_diagonal(matrix), percent_of_rows(matrix)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [
        {
            "true": classes[true],
            "taken_for": classes[other],
            "images": int(wrong[true, other]),
            "percent": float(percent[true, other]),
        }
        for true, other in pairs
        if wrong[true, other]
    ]


def _off_diagonal(matrix: np.ndarray) -> np.ndarray:
    return matrix - np.diag(np.diag(matrix))


def _confusion(matrix: np.ndarray, classes: tuple[str, ...]) -> dict:
    """Returns a table with numbers for few classes, an image for many."""
    percent = percent_of_rows(matrix)
    if len(classes) <= MOST_NUMBERED:
        cells = list(zip(classes, percent.tolist(), strict=True))
        long = any(len(name) > _SHORT for name in classes)
        return {"classes": classes, "cells": cells, "long": long}
    right = np.trace(matrix) / matrix.sum()
    return {
        "cells": [],
        "image": charts.data_url(charts.heat_map(percent / 100, _HEAT)),
        "alt": f"Confusion matrix of {len(classes)} classes; {100 * right:.1f} % of "
        "the images lie on its diagonal. The tables below list the other images.",
    }


def _picture(image: np.ndarray, alt: str) -> dict:
    kind = "pixels" if max(image.shape[:2]) <= _PIXELS else "smooth"
    return {"src": charts.data_url(image), "kind": kind, "alt": alt}


def _mistakes(
    samples: Mapping[str, np.ndarray], classes: tuple[str, ...]
) -> list[dict]:
    found = []
    unnamed = [""] * len(samples["mistakes"])
    for index, image, file in zip(
        samples["mistakes"],
        samples["mistake_images"],
        samples.get("mistake_files", unnamed),
        strict=True,
    ):
        true = classes[samples["labels"][index]]
        other = classes[samples["predicted"][index]]
        percent = f"{100 * samples['confidence'][index]:.0f}"
        alt = f"Test image {index}: {true}, taken for {other} with {percent} %"
        caption = {
            "true": true,
            "taken_for": other,
            "confidence": percent,
            "file": str(file) or f"test image {index}",
        }
        found.append({**_picture(image, alt), **caption})
    return found


def _views(samples: Mapping[str, np.ndarray], accuracies: Mapping[str, float]) -> dict:
    """Returns rows of images and columns of views, with the proxy predictions.

    Args:
        samples: Arrays of samples.npz.
        accuracies: Accuracy on each view in percent; may be empty.
    """
    measured = [accuracies.get(str(task)) for task in samples["tasks"]]
    tasks = [str(task).replace("_", " ") for task in samples["tasks"]]
    probabilities = samples["proxy_probabilities"]
    guesses = probabilities.argmax(axis=2)
    rows = []
    for number, images in enumerate(samples["views"]):
        cells = []
        for label, image in enumerate(images):
            guess = guesses[number, label]
            percent = f"{100 * probabilities[number, label, guess]:.0f}"
            answer = f"the proxy head predicts {tasks[guess]} with {percent} %"
            picture = _picture(image, f"Image {number + 1}, {tasks[label]}: {answer}")
            caption = {"guess": tasks[guess], "confidence": percent}
            cells.append({**picture, **caption, "right": guess == label})
        rows.append(cells)
    return {
        "tasks": tasks,
        "accuracies": ["" if a is None else f"{a:.0f} %" for a in measured],
        "guess_percent": f"{100 / len(tasks):.0f} %",
        "rows": rows,
        "right": int((guesses == np.arange(len(tasks))).sum()),
        "count": guesses.size,
        # Mean number of correct random guesses. Each image has `len(tasks)` views, and
        # a guess is correct for one of them on average.
        "chance": len(samples["views"]),
    }


def _colours(samples: Mapping[str, np.ndarray]) -> list[tuple[str, list[dict]]]:
    names = {"original": "original", "grey": "grey", "colorized": "colourised"}
    rows = []
    for key, name in names.items():
        numbered = enumerate(samples[key], start=1)
        pictures = [_picture(image, f"Image {n}, {name}") for n, image in numbered]
        rows.append((name, pictures))
    return rows
