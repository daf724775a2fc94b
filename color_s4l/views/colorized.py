"""Images whose colours are predicted from their lightness, for the seventh proxy view.

The colorizer is frozen and deterministic. Each image is therefore colourised once, from
raw RGB, and kept as uint8. (Chen 2020, section 2.1, colourises each image again in
every epoch, with the same result.)
"""

import concurrent.futures

import keras
import numpy as np

from color_s4l import data
from color_s4l.artifacts import cache
from color_s4l.data.lazy_images import Stored
from colorization.colorizer import Colorizer

# Images per batch. The size is fixed, because rounding errors depend on it. An image
# gets the same colours whether all images are colourised at once or when they are read.
_BATCH = 32


def colorized_images(images: data.Images, colorizer: Colorizer) -> data.Images:
    """Returns colourised images; the result is cached on disk.

    Args:
        images: uint8 `(n, height, width, 3)`.
        colorizer: A loaded colorizer.

    Returns:
        uint8 of the same shape. If `images` are in memory, they are colourised now;
        else each image is colourised when it is first read.
    """
    # The backend is part of the key because backends round differently.
    parts = keras.backend.backend(), colorizer.digest

    def compute(some: np.ndarray) -> np.ndarray:
        missing = -len(some) % _BATCH
        padded = np.concatenate([some, np.repeat(some[-1:], missing, axis=0)])
        # The caller may have opened a scope for several devices. Such a scope does not
        # hold in other threads, and the colorizer belongs to one device.
        with concurrent.futures.ThreadPoolExecutor(1) as alone:
            found = alone.submit(colorizer.colorize, padded, _BATCH).result()
        return found[: len(some)]

    if isinstance(images, data.LazyImages):
        return Stored("colorized", images, compute, parts)
    return cache.cached(
        "colorized",
        [*parts, data.content(images)],
        lambda: {"images": np.concatenate(list(map(compute, data.chunks(images))))},
    )["images"]
