"""A contact sheet of images with what the classifier takes them for."""

import math
import pathlib
from collections.abc import Sequence

from matplotlib.figure import Figure

from color_s4l.data import image_files

COLUMNS = 6
THUMBNAIL = 160
_LONGEST_NAME = 24


def sheet(items: Sequence[tuple[pathlib.Path, dict]]) -> Figure:
    """Draws the images in rows, each with its two most probable classes.

    Args:
        items: Files with their rows (`table.ranked`), at least one.

    Returns:
        The figure.
    """
    lines = math.ceil(len(items) / COLUMNS)
    columns = min(COLUMNS, len(items))
    figure = Figure(figsize=(1.9 * columns, 2.4 * lines))
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (path, row) in zip(axes, items, strict=False):
        axis.imshow(image_files.load(path, THUMBNAIL))
        # A dollar sign in a name is no formula.
        axis.set_title(_caption(row), fontsize=7, parse_math=False)
    figure.set_layout_engine("tight", pad=0.5)  # when it is saved, in its fonts
    return figure


def _caption(row: dict) -> str:
    """The file's name, shortened at its beginning, and its first classes."""
    name = str(row["filename"]).encode(errors="replace").decode()
    lines = [name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"]
    for ending in ("", "_2"):
        if f"label{ending}" in row:
            label = str(row[f"label{ending}"])[:_LONGEST_NAME]
            lines.append(f"{label} {row[f'probability{ending}']:.2f}")
    return "\n".join(lines)
