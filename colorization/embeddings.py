"""Embeddings are computed once per image, and kept on disk.

Inception-ResNet-v2 is frozen: its answer to an image never changes, and it costs
more than a whole epoch of the colorizer (6.7 images/s at 299 px on 2 CPU cores).
"""

import hashlib
import os
import pathlib

import keras
import numpy as np

from colorization import lab

_BATCH_SIZE = 32


def default_folder() -> pathlib.Path:
    """`$XDG_CACHE_HOME/color_s4l`, or `~/.cache/color_s4l`."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "color_s4l"


def _key(embedder: keras.Model, images: np.ndarray) -> str:
    """A function of all that the embeddings depend on, the backend aside."""
    square = embedder.get_layer("square")
    content = hashlib.sha256(f"{images.shape} {square.height}".encode())
    content.update(np.ascontiguousarray(images))
    for weight in embedder.weights:
        content.update(np.ascontiguousarray(weight.numpy()))
    return content.hexdigest()


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


def cached(
    embedder: keras.Model,
    images: np.ndarray,
    verbosity: int = 0,
    folder: pathlib.Path | None = None,
) -> np.ndarray:
    """Embeds images, or reads their embeddings where they are known already.

    Args:
        embedder: `Parts.embedder`.
        images: uint8 `(n, height, width, 3)`, sRGB.
        verbosity: Keras': 0 silent, 1 progress bar, 2 one line.
        folder: Of the cache; default `default_folder()`.

    Returns:
        Float32 `(n, features)`.
    """
    folder = folder or default_folder()
    path = folder / f"embeddings_{_key(embedder, images)}.npy"
    if path.is_file():
        return np.load(path, allow_pickle=False)
    values = compute(embedder, images, verbosity)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    with open(unfinished, "wb") as file:
        np.save(file, values)
    os.replace(unfinished, path)
    return values
