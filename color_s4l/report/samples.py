"""The pictures of one run, and what stands under them."""

import numpy as np

from color_s4l.artifacts.pictures import MOST_NUMBERED
from color_s4l.report import images
from color_s4l.report.errors_by_class import ClassErrors, class_errors
from color_s4l.report.records import Record

CONFUSIONS = 20
# Of the confusion matrix of many classes; seen on white and on black.
_HEAT = (45, 125, 210)
# Up to this side an image's pixels are shown as squares, larger ones smoothed.
_PIXELS = 64
# Letters of a class's name that fit above a column of numbers.
_SHORT = 4


def shown(record: Record) -> dict:
    """What the template of one run reads.

    Args:
        record: The run.

    Returns:
        `confusion`, `confusions`, `class_rows`, `mistakes`, `views`, `colours`; empty
        where the run kept no samples.
    """
    kept = record.samples
    if not kept:
        return {}
    counts = class_errors(kept["labels"], kept["predicted"], record.classes)
    return {
        "confusion": _confusion(counts),
        "confusions": counts.confusions(CONFUSIONS),
        "class_rows": sorted(counts.rows, key=lambda row: -(row["error"] or 0)),
        "mistakes": _mistakes(kept, record.classes),
        "views": _views(kept) if "views" in kept else {},
        "colours": _colours(kept) if "colorized" in kept else [],
    }


def _confusion(counts: ClassErrors) -> dict:
    """Numbered cells of few classes, an image of many."""
    classes, percent = counts.classes, counts.percent
    if len(classes) <= MOST_NUMBERED:
        cells = list(zip(classes, percent.tolist(), strict=True))
        long = any(len(name) > _SHORT for name in classes)
        return {"classes": classes, "cells": cells, "long": long}
    right = np.diag(counts.matrix).sum() / counts.matrix.sum()
    return {
        "cells": [],
        "image": images.address(images.heat(percent / 100, _HEAT)),
        "alt": f"Confusion matrix of {len(classes)} classes; {100 * right:.1f} % of "
        "the images lie on its diagonal. The tables below say where the others lie.",
    }


def _picture(image: np.ndarray, alt: str) -> dict:
    kind = "pixels" if max(image.shape[:2]) <= _PIXELS else "smooth"
    return {"src": images.address(image), "kind": kind, "alt": alt}


def _mistakes(kept: dict, classes: tuple[str, ...]) -> list[dict]:
    found = []
    for place, image in zip(kept["mistakes"], kept["mistake_images"], strict=True):
        true, other = classes[kept["labels"][place]], classes[kept["predicted"][place]]
        percent = f"{100 * kept['confidence'][place]:.0f}"
        alt = f"Test image {place}: {true}, taken for {other} with {percent} %"
        about = {"true": true, "taken_for": other, "confidence": percent}
        found.append({**_picture(image, alt), **about})
    return found


def _views(kept: dict) -> dict:
    """Rows of images, columns of views, with the proxy head's guess for each."""
    tasks = [str(task).replace("_", " ") for task in kept["tasks"]]
    probabilities = kept["proxy_probabilities"]
    guesses = probabilities.argmax(axis=2)
    rows = []
    for number, row in enumerate(kept["views"]):
        cells = []
        for label, image in enumerate(row):
            guess = guesses[number, label]
            percent = f"{100 * probabilities[number, label, guess]:.0f}"
            told = f"Image {number + 1}, {tasks[label]}: the proxy head says "
            picture = _picture(image, f"{told}{tasks[guess]} with {percent} %")
            about = {"guess": tasks[guess], "confidence": percent}
            cells.append({**picture, **about, "right": guess == label})
        rows.append(cells)
    return {
        "tasks": tasks,
        "rows": rows,
        "right": int((guesses == np.arange(len(tasks))).sum()),
        "count": guesses.size,
        "chance": len(kept["views"]),
    }


def _colours(kept: dict) -> list[tuple[str, list[dict]]]:
    names = {"original": "original", "grey": "grey", "colorized": "colourised"}
    return [
        (
            name,
            [
                _picture(image, f"Image {number + 1}, {name}")
                for number, image in enumerate(kept[key])
            ],
        )
        for key, name in names.items()
    ]
