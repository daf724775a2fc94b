"""What the library sees of a data set, as pictures."""

import keras
import numpy as np
from matplotlib.figure import Figure

from color_s4l import data
from color_s4l.artifacts import pictures
from color_s4l.views.colorized import colorized_images
from color_s4l.views.geometric import GEOMETRIC
from color_s4l.views.step import COLORIZED
from colorization.colorizer import Colorizer

# Of the contact sheet: classes (evenly chosen where there are more) and images of each.
ROWS, COLUMNS = 20, 10
PICTURED = 6


def contact_sheet(dataset: data.Data) -> Figure:
    """The first training images of each class, and of those without a label.

    Args:
        dataset: Loaded; of more than 20 classes 20 are shown, evenly chosen.

    Returns:
        The figure, one row for each class.
    """
    total = len(dataset.classes)
    shown = np.arange(min(ROWS, total)) * total // min(ROWS, total)
    kinds = {dataset.classes[k]: k for k in shown}
    if (dataset.labels == data.UNLABELED).any():
        kinds["(no label)"] = data.UNLABELED
    rows = {
        name: dataset.images[np.flatnonzero(dataset.labels == k)[:COLUMNS]]
        for name, k in kinds.items()
    }
    return pictures.sheet(rows, COLUMNS)


def views(dataset: data.Data, colorizer: Colorizer | None) -> Figure:
    """The proxy views of a few training images, with their labels.

    Args:
        dataset: Loaded.
        colorizer: Makes the seventh view; None leaves it out.

    Returns:
        The figure, one row for each image.
    """
    count = min(PICTURED, len(dataset.images))
    images = dataset.images[np.arange(count) * len(dataset.images) // count]
    made = {
        name: keras.ops.convert_to_numpy(turn(images))
        for name, turn in GEOMETRIC.items()
    }
    if colorizer:
        made[COLORIZED] = colorized_images(images, colorizer)
    rows = [[view[number] for view in made.values()] for number in range(count)]
    return pictures.views(rows, list(made))
