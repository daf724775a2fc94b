"""The picture that shows a colorizer's work: original, grey, colourised."""

import os
import pathlib
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from color_s4l.artifacts.files import write_atomically

_INCHES = 0.9  # per image
_LABEL_INCHES = 1.1
_TITLE_INCHES = 0.4


def rows(
    path: str | os.PathLike, images: Mapping[str, np.ndarray], title: str = ""
) -> None:
    """Draws one labelled row of images per entry.

    Args:
        path: Of the picture, PNG by its suffix; replaced where it exists.
        images: Label to images, uint8 `(n, height, width, 3)`; the same n in all.
        title: One line above; empty for none.
    """
    count = len(next(iter(images.values())))
    width = _LABEL_INCHES + _INCHES * count
    height = _INCHES * len(images) + (_TITLE_INCHES if title else 0)
    figure = Figure(figsize=(width, height), dpi=150)
    FigureCanvasAgg(figure)  # no pyplot: it keeps figures and a backend globally
    top = 1 - (_TITLE_INCHES / height if title else 0)
    grid = {"left": _LABEL_INCHES / width, "right": 1, "bottom": 0, "top": top}
    axes = figure.subplots(
        len(images),
        count,
        squeeze=False,
        gridspec_kw={**grid, "wspace": 0.04, "hspace": 0.04},
    )
    for line, (label, pictures) in zip(axes, images.items(), strict=True):
        _draw_row(line, label, pictures)
    if title:
        figure.suptitle(title, fontsize=9, y=1 - 0.3 * _TITLE_INCHES / height, va="top")
    write_atomically(
        pathlib.Path(path), lambda file: figure.savefig(file, format="png")
    )


def _draw_row(axes: np.ndarray, label: str, images: np.ndarray) -> None:
    for axis, image in zip(axes, images, strict=True):
        # Nearest: a small image's pixels are what there is to see.
        axis.imshow(image, interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=6)
