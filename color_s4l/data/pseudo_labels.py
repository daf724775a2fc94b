"""Files of pseudo-labels, with the checksums of their images.

Pseudo-labels are class probabilities of training images, passed from one training
run to the next. A true label is stored as probability 1 for its class.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from color_s4l.artifacts import cache
from color_s4l.artifacts.files import read_arrays, write_arrays
from color_s4l.data.dataset import Data
from color_s4l.data.lazy_images import checksums, subset
from color_s4l.errors import InputError

# Largest accepted difference between the sum of a row and 1: large enough for the
# rounding errors of 1,000 classes in half precision.
SLACK = 1e-2


def save_pseudo_labels(
    path: str | os.PathLike,
    dataset: Data,
    index: np.ndarray,
    probabilities: np.ndarray,
) -> None:
    """Writes pseudo-labels.

    Args:
        path: An NPZ file: `index`, `probabilities`, `crc32` (of each image's bytes).
        dataset: The data set of the images.
        index: Indices of the images in `dataset.images`, integers `(k,)`.
        probabilities: Class probabilities, float `(k, classes)`; each row sums to 1.
    """
    arrays: dict[str, np.ndarray] = {
        "index": index.astype(np.int64),
        "probabilities": probabilities.astype(np.float32),
        "crc32": checksums(subset(dataset.images, index)),
    }
    write_arrays(pathlib.Path(path), arrays)


@dataclasses.dataclass(frozen=True, eq=False)
class PseudoLabels:
    """The content of a file of pseudo-labels.

    Attributes:
        source: Name of the file, for error messages.
        index: Indices of the images, int64 `(k,)`, all different.
        probabilities: Class probabilities, float32 `(k, classes)`; rows sum to 1.
        crc32: CRC-32 of each image's bytes, int64 `(k,)`.
    """

    source: str
    index: np.ndarray
    probabilities: np.ndarray
    crc32: np.ndarray

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return cache.digest(self.index, self.probabilities, self.crc32)

    def of(self, dataset: Data, wanted: np.ndarray) -> np.ndarray:
        """Returns the class probabilities of some images.

        Args:
            dataset: The data set of the images.
            wanted: Indices of the images, integers `(u,)`.

        Returns:
            float32 `(u, classes)`.

        Raises:
            InputError: The pseudo-labels belong to other images or classes, or an
                image has no pseudo-label.
        """
        count, classes = len(dataset.images), len(dataset.classes)
        if self.probabilities.shape[1] != classes or self.index.max() >= count:
            raise InputError(
                f"{self.source} has labels of other classes or images than "
                f"{dataset.name!r}."
            )
        rows = np.full(count, -1)
        rows[self.index] = np.arange(len(self.index))
        missing = int((rows[wanted] < 0).sum())
        if missing:
            raise InputError(
                f"{self.source} has no label for {missing} of {len(wanted)} "
                "unlabelled images."
            )
        own = checksums(subset(dataset.images, wanted))
        if (self.crc32[rows[wanted]] != own).any():
            raise InputError(
                f"{self.source} was made for other images than {dataset.name!r}."
            )
        return self.probabilities[rows[wanted]]


def read_pseudo_labels(path: str | os.PathLike) -> PseudoLabels:
    """Reads pseudo-labels.

    Args:
        path: An NPZ file with the arrays that `save_pseudo_labels` writes.

    Returns:
        The pseudo-labels. `PseudoLabels.of` compares them with the images.

    Raises:
        InputError: The file does not exist, or an array is missing or has the wrong
            dtype, shape or range.
    """
    try:
        stored = read_arrays(path)
        index, crc32 = stored["index"], stored["crc32"]
        probabilities = stored["probabilities"]
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except KeyError as error:
        raise InputError(f"{path} has no pseudo-labels: no array {error}.") from error
    except ValueError as error:
        raise InputError(f"{path} has no pseudo-labels: {error}.") from error
    for wrong, expected in _faults(index, probabilities, crc32):
        if wrong:
            raise InputError(f"{path} has no pseudo-labels: expected {expected}.")
    return PseudoLabels(
        str(path),
        index.astype(np.int64),
        probabilities.astype(np.float32),
        crc32.astype(np.int64),
    )


def _faults(
    index: np.ndarray, probabilities: np.ndarray, crc32: np.ndarray
) -> Iterator[tuple[bool, str]]:
    """Yields for each check whether it fails, and the expected content as text.

    A check assumes that all earlier checks have passed.
    """
    integers = index.dtype.kind in "iu" and crc32.dtype.kind in "iu"
    yield (
        not integers or index.ndim != 1 or crc32.shape != index.shape,
        "index and crc32 to be integers (k,)",
    )
    yield (
        not len(index) or index.min() < 0 or len(np.unique(index)) < len(index),
        "index to hold different numbers, 0 or more",
    )
    yield (
        probabilities.dtype.kind not in "fiu"
        or probabilities.ndim != 2
        or len(probabilities) != len(index),
        f"probabilities to be numbers ({len(index)}, classes), "
        f"not {probabilities.dtype} {probabilities.shape}",
    )
    # NaN fails both comparisons.
    whole = (probabilities >= 0) & (probabilities <= 1)
    yield not whole.all(), "probabilities from 0 to 1"
    sums = probabilities.sum(axis=1, dtype=np.float64)
    yield (np.abs(sums - 1) > SLACK).any(), "probabilities whose rows sum to 1"
