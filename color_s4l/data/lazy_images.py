"""Images that need not fit in memory: what an array of them is, read row by row.

Whatever reads images asks for rows (`images[numbers]`) and the shape, and so takes
an array in memory and each of these alike. Rows are the same bytes every time.
"""

import abc
import concurrent.futures
import functools
import os
import pathlib
import typing
import warnings
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from color_s4l.artifacts import cache
from color_s4l.data import image_files
from color_s4l.errors import InputError

# Rows read at a time where all are read in turn: 80 MB at 224 px, and its successor.
CHUNK = 512
# Decoded images that `FileImages` keeps: the few labelled ones come in every step.
RECENT_BYTES = 2**29


class LazyImages(abc.ABC):
    """Rows of images, uint8 `(n, size, size, 3)`, read when they are asked for.

    Attributes:
        shape: `(n, size, size, 3)`.
        dtype: uint8.
    """

    dtype = np.dtype("uint8")
    ndim = 4

    def __init__(self, shape: Sequence[int], checksums: np.ndarray | None = None):
        self.shape, self._checksums = tuple(shape), checksums

    @property
    def checksums(self) -> np.ndarray:
        """CRC-32 of every row's bytes, int64 `(n,)`; computed if not known before."""
        if self._checksums is None:
            self._checksums = np.concatenate([checksums(part) for part in chunks(self)])
        return self._checksums

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index) -> np.ndarray:
        """Rows in memory, as NumPy indexes the first axis."""
        numbers = np.arange(len(self))[index]
        unique, inverse = np.unique(numbers, return_inverse=True)
        rows = self._rows(unique) if unique.size else np.empty((0, *self.shape[1:]))
        return rows.astype(np.uint8, copy=False)[inverse.reshape(np.shape(numbers))]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """All of them, in memory."""
        return self[:].astype(dtype or self.dtype, copy=False)

    @abc.abstractmethod
    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of different, ascending numbers, at least one."""


Images = np.ndarray | LazyImages


class FileImages(LazyImages):
    """Decoded from their files every time, by as many threads as there are cores.

    Args:
        paths: Files that can be decoded.
        size: Side in pixels.
        fit: As for `image_files.square`.
        checksums: Of the decoded images, int64 `(n,)`.
    """

    def __init__(
        self,
        paths: Sequence[pathlib.Path],
        size: int,
        fit: str,
        checksums: np.ndarray,
    ):
        super().__init__((len(paths), size, size, 3), checksums)
        self.paths, self.fit = paths, fit
        self._pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        kept = max(1, RECENT_BYTES // (3 * size * size))
        self._recent = functools.lru_cache(maxsize=kept)(self._decoded)
        # For good: warning filters are the process's, and threads read at any time.
        warnings.filterwarnings("ignore", module="PIL")

    def _rows(self, numbers):
        return np.stack(list(self._pool.map(self._recent, numbers.tolist())))

    def _decoded(self, number: int) -> np.ndarray:
        path = self.paths[number]
        try:
            image = image_files.load(path, self.shape[1], self.fit)
        except Exception as error:  # Pillow's decoders raise nearly anything
            raise InputError(f"{path} could be read before, now not: {error}") from None
        if zlib.crc32(image.tobytes()) != self.checksums[number]:
            raise InputError(f"{path} has changed since the run began.")
        return image


class DiskImages(LazyImages):
    """Rows of a `.npy` file of uint8 images, mapped into memory.

    Args:
        path: The file.
        rows: Which of its rows, int64 `(n,)`.
        checksums: Of these rows.
    """

    def __init__(
        self,
        path: pathlib.Path,
        rows: np.ndarray,
        checksums: np.ndarray | None = None,
    ):
        self._stored, self._numbers = np.load(path, mmap_mode="r"), rows
        super().__init__((len(rows), *self._stored.shape[1:]), checksums)

    def _rows(self, numbers):
        return np.asarray(self._stored[self._numbers[numbers]])


class Subset(LazyImages):
    """Some of other images, without a copy of them.

    Args:
        images: Of which.
        index: Which rows, int64 `(n,)`, in any order.
    """

    def __init__(self, images: Images, index: np.ndarray):
        self._images, self._index = images, index
        super().__init__((len(index), *images.shape[1:]))

    @property
    def checksums(self):
        """Of these rows."""
        return checksums(self._images)[self._index]

    def _rows(self, numbers):
        return self._images[self._index[numbers]]


def subset(images: Images, index: np.ndarray) -> Images:
    """Some of the images, in memory only if all of them are."""
    return images[index] if isinstance(images, np.ndarray) else Subset(images, index)


def content(images: Images) -> str:
    """What stands for the images in a cache's key, the same wherever they are kept."""
    return cache.digest(str(images.shape), checksums(images))


def checksums(images: Images) -> np.ndarray:
    """CRC-32 of each image's bytes, int64 `(n,)`."""
    if isinstance(images, LazyImages):
        return images.checksums
    return np.array([zlib.crc32(image.tobytes()) for image in images], dtype=np.int64)


def chunks(images: Images, size: int = CHUNK) -> Iterator[np.ndarray]:
    """All images in turn, as arrays of up to `size`; the next is read meanwhile."""
    if isinstance(images, np.ndarray):
        yield from (images[i : i + size] for i in range(0, len(images), size))
        return
    with concurrent.futures.ThreadPoolExecutor(1) as ahead:
        following: typing.Any = ahead.submit(images.__getitem__, slice(0, size))
        for start in range(0, len(images), size):
            current, after = following.result(), slice(start + size, start + 2 * size)
            following = ahead.submit(images.__getitem__, after)
            yield current
