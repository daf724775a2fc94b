"""The seventh view: images colourised again from their lightness.

The colorizer is frozen and deterministic, so each image is colourised once per
colorizer, from raw RGB, and kept as uint8 (Chen 2020, section 2.1, infers it
anew in every epoch, with the same result).
"""

import keras
import numpy as np

from color_s4l import data
from color_s4l.artifacts import cache
from color_s4l.data import lazy_images
from colorization.colorizer import Colorizer


def colorized_images(images: data.Images, colorizer: Colorizer) -> data.Images:
    """Colourises images, or reads them where it was done before.

    The result is kept on disk, and does not depend on where the images are.

    Args:
        images: uint8 `(n, height, width, 3)`.
        colorizer: Loaded.

    Returns:
        uint8 of the same shape, in memory if the images are.

    Raises:
        OSError: They are not in memory, and the cache can't be written.
    """
    # Backends round differently: what one made is not what the other would make.
    parts = [keras.backend.backend(), colorizer.digest, data.content(images)]
    chunks = (colorizer.colorize(chunk) for chunk in data.chunks(images))
    if isinstance(images, data.LazyImages):
        return lazy_images.on_disk("colorized", parts, images.shape, chunks)
    return cache.cached(
        "colorized", parts, lambda: {"images": np.concatenate(list(chunks))}
    )["images"]
