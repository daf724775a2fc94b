"""Embeddings are computed once per image, and kept on disk.

Inception-ResNet-v2 is frozen: its answer to an image never changes, and it costs
more than a whole epoch of the colorizer (6.7 images/s at 299 px on 2 CPU cores).
"""

import keras
import numpy as np

from color_s4l.artifacts import cache
from colorization import lab

_BATCH_SIZE = 32


def compute(embedder: keras.Model, images: np.ndarray, verbosity: int) -> np.ndarray:
    """Embeds images.

    Args:
        embedder: `Parts.embedder`.
        images: uint8 `(n, height, width, 3)`, sRGB.
        verbosity: Keras': 0 silent, 1 progress bar, 2 one line.

    Returns:
        Float32 `(n, features)`.
    """
    inputs = lab.image_input()
    model = keras.Model(inputs, embedder(lab.split(inputs)[0]))
    return model.predict(images, batch_size=_BATCH_SIZE, verbose=verbosity)


def cached(embedder: keras.Model, images: np.ndarray, verbosity: int = 0) -> np.ndarray:
    """Embeds images, or reads their embeddings where they are known already.

    Args:
        embedder: `Parts.embedder`.
        images: uint8 `(n, height, width, 3)`, sRGB.
        verbosity: Keras': 0 silent, 1 progress bar, 2 one line.

    Returns:
        Float32 `(n, features)`.
    """
    side = str(embedder.get_layer("square").height)
    weights = [keras.ops.convert_to_numpy(weight) for weight in embedder.weights]
    return cache.cached(
        "embeddings",
        [side, images, *weights],
        lambda: {"values": compute(embedder, images, verbosity)},
    )["values"]
