"""Images whose colours are predicted from their lightness, for the seventh proxy view.

The colorizer is frozen and deterministic. Each image is therefore colourised once, from
raw RGB, and kept as uint8. (Chen 2020, section 2.1, colourises each image again in
every epoch, with the same result.)
"""

import keras
import numpy as np

from color_s4l import data
from color_s4l.artifacts import cache
from color_s4l.data import lazy_images
from colorization.colorizer import Colorizer


def colorized_images(images: data.Images, colorizer: Colorizer) -> data.Images:
    """Returns colourised images; the result is cached on disk.

    Args:
        images: uint8 `(n, height, width, 3)`.
        colorizer: A loaded colorizer.

    Returns:
        uint8 of the same shape; in memory if `images` are in memory.

    Raises:
        OSError: The images are not in memory, and the cache cannot be written.
    """
    # The backend is part of the key because backends round differently.
    parts = [keras.backend.backend(), colorizer.digest, data.content(images)]
    chunks = (colorizer.colorize(chunk) for chunk in data.chunks(images))
    if isinstance(images, data.LazyImages):
        return lazy_images.on_disk("colorized", parts, images.shape, chunks)
    return cache.cached(
        "colorized", parts, lambda: {"images": np.concatenate(list(chunks))}
    )["images"]
