"""The pictures of a run: views, learning curves, confusion matrix."""

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

# Above this many classes, numbers in a confusion matrix are too small to read.
MOST_NUMBERED = 20
MOST_NAMED = 40
# Of Linux, Windows and macOS, for what DejaVu Sans has not: Chinese, Japanese, Korean,
# and the scripts of India and Thailand.
OTHER_SCRIPTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Noto Sans Devanagari",
    "Noto Sans Bengali",
    "Noto Sans Tamil",
    "Noto Sans Thai",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Nirmala UI",
    "Leelawadee UI",
    "PingFang SC",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Arial Unicode MS",
)


def fonts() -> list[str]:
    """Families that pictures are lettered in: the first that has a letter draws it."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in OTHER_SCRIPTS if name in installed)]


def save(figure: Figure, path: pathlib.Path) -> None:
    """Writes a figure as PNG, whole or not at all.

    Letters that none of the installed `fonts` has become boxes, without a warning for
    each.
    """
    families = fonts()
    for text in figure.findobj(Text):
        text.set_fontfamily(families)

    def write(file: typing.BinaryIO) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(file, format="png", dpi=120)

    write_atomically(path, write)


def views(rows: Sequence[Sequence[np.ndarray]], names: list[str]) -> Figure:
    """Images in rows, their views in columns, with the proxy labels above.

    Args:
        rows: One list of views per image, each uint8 `(height, width, 3)`.
        names: Of the views; the place is the proxy label.

    Returns:
        The figure.
    """
    size = 1.15
    figure = Figure(figsize=(size * len(names), size * len(rows) + 0.7))
    axes = figure.subplots(len(rows), len(names), squeeze=False)
    for row, images in zip(axes, rows, strict=True):
        for axis, image in zip(row, images, strict=True):
            axis.imshow(image, interpolation="nearest")
            axis.set_axis_off()
    for label, (axis, name) in enumerate(zip(axes[0], names, strict=True)):
        axis.set_title(f"{label}\n{name.replace('_', ' ')}", fontsize=7)
    figure.tight_layout(pad=0.4)
    return figure


def sheet(rows: Mapping[str, np.ndarray], columns: int) -> Figure:
    """A contact sheet: images in rows, with the rows' names.

    Args:
        rows: Name -> images uint8 `(k, height, width, 3)`, k up to `columns`.
        columns: Places in a row.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(columns, 1.25 * len(rows)))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row, (name, images) in zip(axes, rows.items(), strict=True):
        for axis in row:
            axis.set_axis_off()
        for axis, image in zip(row, images, strict=False):
            axis.imshow(image, interpolation="nearest")
        row[0].set_title(_plain(name), loc="left", fontsize=7, pad=2)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.97, wspace=0.05, hspace=0.2)
    return figure


def curves(log: pd.DataFrame) -> Figure:
    """Error rates (above) and the loss with its terms (below), by epoch.

    Args:
        log: The run's log.csv.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(7, 6))
    above, below = figure.subplots(2, 1, sharex=True)
    for name in log.columns:
        if name.endswith("error"):
            above.plot(log["epoch"], log[name], marker=".", label=_spelled(name))
        elif name.endswith("loss") or name == "weight_decay":
            below.plot(log["epoch"], log[name], marker=".", label=_spelled(name))
    above.set_ylabel("error in %")
    below.set_ylabel("loss")
    below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    below.set_xlabel("epoch (a pass over the unlabelled images)")
    for axis in (above, below):
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
        axis.set_ylim(bottom=0)
    figure.tight_layout()
    return figure


def _plain(name: str) -> str:
    """A user's text, in which a dollar is a dollar and begins no formula."""
    return name.replace("$", r"\$")


def _spelled(name: str) -> str:
    return name.replace("_", " ")


def confusion(
    labels: np.ndarray, predicted: np.ndarray, classes: tuple[str, ...]
) -> Figure:
    """How often each class (row) was taken for each class (column), in % of the row.

    Args:
        labels: True classes, integers `(n,)`.
        predicted: Predicted classes, integers `(n,)`.
        classes: Names.

    Returns:
        The figure.
    """
    matrix = 100 * confusion_matrix(
        labels, predicted, labels=np.arange(len(classes)), normalize="true"
    )
    side = float(np.clip(1.5 + 0.5 * len(classes), 5, 12))
    figure = Figure(figsize=(side + 0.6, side))
    axis = figure.subplots()
    display = ConfusionMatrixDisplay(
        matrix, display_labels=[_plain(name) for name in classes]
    )
    display.plot(
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
    # Done when it is written: names that no font has are warned of here, too.
    figure.set_layout_engine("tight")
    return figure
