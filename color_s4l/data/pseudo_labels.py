"""Labels that a classifier gave, as a file that is tied to its images.

What one training hands to the next: class probabilities of training images, true ones
(one 1, else 0) among them where the labels were known.
"""

import os
import pathlib

import numpy as np

from color_s4l.data.dataset import Dataset
from color_s4l.data.lazy_images import checksums, subset
from color_s4l.errors import InputError
from color_s4l.files import read_arrays, write_atomically


def save(
    path: str | os.PathLike,
    dataset: Dataset,
    index: np.ndarray,
    probabilities: np.ndarray,
) -> None:
    """Writes labels.

    Args:
        path: An NPZ file: `index`, `probabilities`, `crc32` (of each image's bytes).
        dataset: The images.
        index: Which of `dataset.images` are labelled, integers `(k,)`.
        probabilities: Of their classes, float `(k, classes)`; each row sums to 1.
    """
    arrays = {
        "index": index.astype(np.int64),
        "probabilities": probabilities.astype(np.float32),
        "crc32": checksums(subset(dataset.images, index)),
    }
    write_atomically(pathlib.Path(path), lambda file: np.savez(file, **arrays))


def read(path: str | os.PathLike, dataset: Dataset, wanted: np.ndarray) -> np.ndarray:
    """Reads the labels of some images.

    Args:
        path: Written by `save`, or by whoever has labels.
        dataset: The images.
        wanted: Which of them, integers `(u,)`.

    Returns:
        Float32 `(u, classes)`.

    Raises:
        InputError: There is no such file, it belongs to other images or classes, or
            it lacks an image.
    """
    index, probabilities, crc32 = _read(path)
    fits = probabilities.shape == (len(index), len(dataset.classes))
    if not fits or index.max(initial=-1) >= len(dataset.images):
        raise InputError(
            f"{path} has labels of other classes or images than {dataset.name!r}."
        )
    rows = np.full(len(dataset.images), -1)
    rows[index] = np.arange(len(index))
    missing = int((rows[wanted] < 0).sum())
    if missing:
        raise InputError(
            f"{path} has no label for {missing} of {len(wanted)} unlabelled images."
        )
    if (crc32[rows[wanted]] != checksums(subset(dataset.images, wanted))).any():
        raise InputError(f"{path} was made for other images than {dataset.name!r}.")
    return probabilities[rows[wanted]]


def _read(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        stored = read_arrays(path)
        index, probabilities = stored["index"], stored["probabilities"]
        crc32 = stored["crc32"]
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} holds no pseudo-labels: {error}.") from error
    return index, probabilities.astype(np.float32), crc32
