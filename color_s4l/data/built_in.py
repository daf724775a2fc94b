"""Functions shared by the built-in data sets."""

import numpy as np
from PIL import Image

from color_s4l.errors import InputError
from color_s4l.settings import DataSettings

# Side in pixels of the images of the built-in sets, before they are resized.
SIZE = 32


def refuse_data_dir(settings: DataSettings) -> None:
    """Raises an error if the settings name a directory.

    A user who sets `data_dir` but forgets `dataset=folder` would otherwise train on a
    built-in set.

    Raises:
        InputError: `data_dir` is given.
    """
    if settings.data_dir is not None:
        raise InputError(
            f"`dataset`={settings.dataset} is built in and does not use `data_dir`. "
            "For your own images set `dataset`=folder."
        )


def resized(image: np.ndarray, size: int | None) -> np.ndarray:
    """Returns an image with another side.

    Args:
        image: uint8 RGB `(SIZE, SIZE, 3)`.
        size: Side in pixels; None: the image is returned as it is.
    """
    if size is None or size == SIZE:
        return image
    large = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(large)
