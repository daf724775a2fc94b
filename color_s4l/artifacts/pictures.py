"""Draws images, learning curves and confusion matrices, and saves them as PNG."""

import pathlib
import typing
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from color_s4l.artifacts.files import write_atomically

# With more classes, the numbers in a confusion matrix are too small to read.
MOST_NUMBERED = 20
# With more classes, the class names beside a confusion matrix are too small to read.
MOST_NAMED = 40
# Number of columns in a figure of images with captions.
COLUMNS = 6
# Fonts of Linux, Windows and macOS for letters that DejaVu Sans does not have: Chinese,
# Japanese, Korean, and the scripts of India and Thailand.
OTHER_SCRIPTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Leelawadee UI"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS"),
)


def fonts() -> list[str]:
    """Returns font families; a letter is drawn in the first family that contains it."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in OTHER_SCRIPTS if name in installed)]


def save(figure: Figure, path: pathlib.Path) -> None:
    """Writes a figure as PNG, atomically.

    A letter that is missing from all `fonts` is drawn as a box, without a warning.

    Args:
        figure: The figure; the font of its texts is changed.
        path: File in an existing folder; replaced if it exists.
    """
    families = fonts()
    for text in figure.findobj(Text):
        typing.cast(Text, text).set_fontfamily(families)

    def write(file: typing.BinaryIO) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(file, format="png", dpi=120)

    write_atomically(path, write)


def views(rows: np.ndarray, names: Sequence[str]) -> Figure:
    """Draws one row per image and one column per view, titled with its proxy label.

    Args:
        rows: Views of m images, uint8 `(m, len(names), height, width, 3)`.
        names: Names of the views, in the order of the proxy labels.
    """
    size = 1.15
    figure = Figure(figsize=(size * len(names), size * len(rows) + 0.7))
    axes = _grid(figure, rows, len(names))
    for label, (axis, name) in enumerate(zip(axes[0], names, strict=True)):
        axis.set_title(f"{label}\n{_with_spaces(name)}", fontsize=7)
    figure.tight_layout(pad=0.4)
    return figure


def sheet(rows: Mapping[str, np.ndarray], columns: int) -> Figure:
    """Draws a contact sheet: rows of images, each row below its name.

    Args:
        rows: Name of a row -> its images, uint8 `(k, height, width, 3)`, k up to
            `columns`.
        columns: Largest number of images in a row.
    """
    figure = Figure(figsize=(columns, 1.25 * len(rows)))
    axes = _grid(figure, list(rows.values()), columns)
    for axis, name in zip(axes[:, 0], rows, strict=True):
        axis.set_title(name, loc="left", fontsize=7, pad=2, parse_math=False)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.97, wspace=0.05, hspace=0.2)
    return figure


def captioned(images: Sequence[np.ndarray], captions: Sequence[str]) -> Figure:
    """Draws images in rows of six, each below its caption.

    Args:
        images: At least one, each uint8 `(height, width, 3)`.
        captions: One or more lines for each image.
    """
    rows = [images[k : k + COLUMNS] for k in range(0, len(images), COLUMNS)]
    columns = min(COLUMNS, len(images))
    figure = Figure(figsize=(1.9 * columns, 2.4 * len(rows)))
    axes = _grid(figure, rows, columns, "auto")
    for axis, caption in zip(axes.ravel(), captions, strict=False):
        axis.set_title(caption, fontsize=7, parse_math=False)
    # The layout depends on the fonts, which `save` sets, so it is computed in `save`.
    figure.set_layout_engine("tight", pad=0.5)
    return figure


def _grid(
    figure: Figure,
    rows: Sequence[np.ndarray | Sequence[np.ndarray]] | np.ndarray,
    columns: int,
    interpolation: str = "nearest",
) -> np.ndarray:
    """Draws rows of images and returns the axes, `(len(rows), columns)`."""
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, images in zip(axes, rows, strict=True):
        for axis in line:
            axis.set_axis_off()
        for axis, image in zip(line, images, strict=False):
            axis.imshow(image, interpolation=interpolation)
    return axes


def curves(log: pd.DataFrame) -> Figure:
    """Draws error rates (above) and the loss with its terms (below) by epoch.

    Args:
        log: Content of log.csv, one row per epoch.
    """
    figure = Figure(figsize=(7, 6))
    above, below = figure.subplots(2, 1, sharex=True)
    for name in log.columns:
        label = _with_spaces(name)
        if name.endswith("error"):
            above.plot(log["epoch"], log[name], marker=".", label=label)
        elif name.endswith("loss") or name == "weight_decay":
            below.plot(log["epoch"], log[name], marker=".", label=label)
    above.set_ylabel("error in %")
    below.set_ylabel("loss")
    below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    below.set_xlabel("epoch (one pass over the unlabelled images)")
    for axis in (above, below):
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
        axis.set_ylim(bottom=0)
    figure.tight_layout()
    return figure


def _with_spaces(name: str) -> str:
    return name.replace("_", " ")


def confusion(
    labels: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> Figure:
    """Draws the confusion matrix: one row per true class, in percent of the row.

    Args:
        labels: True classes, integers `(n,)`.
        predicted: Predicted classes, integers `(n,)`.
        classes: Names of the classes.
    """
    matrix = 100 * confusion_matrix(
        labels, predicted, labels=np.arange(len(classes)), normalize="true"
    )
    side = float(np.clip(1.5 + 0.5 * len(classes), 5, 12))
    figure = Figure(figsize=(side + 0.6, side))
    axis = figure.subplots()
    # Matplotlib reads text between two dollar signs as a formula.
    names = [name.replace("$", r"\$") for name in classes]
    ConfusionMatrixDisplay(matrix, display_labels=names).plot(
        ax=axis,
        cmap="Blues",
        include_values=len(classes) <= MOST_NUMBERED,
        values_format=".0f",
        xticks_rotation="vertical",
    )
    if len(classes) > MOST_NAMED:
        axis.set_xticks([])
        axis.set_yticks([])
    axis.set_title("Test images of each class, in %")
    # The layout depends on the fonts, which `save` sets, so it is computed in `save`.
    figure.set_layout_engine("tight")
    return figure
