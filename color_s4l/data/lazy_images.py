"""Images that may be larger than the memory, with the interface of an array.

All code that reads images uses only rows (`images[numbers]`) and the shape, so it
accepts both an array and a `LazyImages`. Encoded images (files of a folder, records of
a TFDS data set) are decoded by `Decoded`: into memory, or each time they are read, with
one thread per core. `Stored` keeps rows in a file from the first time they are read:
decoded images (with the cache "disk") and colourised images.
"""

import abc
import concurrent.futures
import contextlib
import contextvars
import functools
import io
import logging
import os
import shutil
import threading
import time
import typing
import warnings
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import PIL
import psutil
from PIL import Image

from color_s4l.artifacts import cache
from color_s4l.data import image_files
from color_s4l.errors import InputError

logger = logging.getLogger(__name__)

# Share of the free memory that images may take: the training step, its batches and the
# colourised images need the rest.
MEMORY_SHARE = 0.25
# Share of the free disk space that images may take.
DISK_SHARE = 0.5
# Rows per chunk when all rows are read. Two chunks are in memory, 80 MB each at 224 px.
CHUNK = 512
# Number of images whose content is compared with a table of checksums, if comparing all
# images would mean decoding them.
CHECKED = 1000
# A run stops when more than BROKEN_COUNT images, and more than BROKEN_SHARE of the
# images read so far, cannot be decoded.
BROKEN_SHARE, BROKEN_COUNT = 0.01, 20


class LazyImages(abc.ABC):
    """Rows of images, uint8 `(n, size, size, 3)`, read when they are indexed.

    Attributes:
        shape: `(n, size, size, 3)`.
        dtype: uint8.
    """

    dtype = np.dtype("uint8")
    ndim = 4

    def __init__(self, shape: Sequence[int]):
        self.shape = tuple(shape)

    @functools.cached_property
    @abc.abstractmethod
    def key(self) -> str:
        """Cache key: images with equal keys are equal.

        It is computed without decoding, so it does not show that a file was replaced by
        another file of the same size and modification time.
        """

    def __len__(self) -> int:
        """Returns the number of images."""
        return self.shape[0]

    def __getitem__(self, index: typing.Any) -> np.ndarray:
        """Returns the indexed rows as an array; the index is as in NumPy."""
        numbers = np.arange(len(self))[index]
        unique, inverse = np.unique(numbers, return_inverse=True)
        if not unique.size:
            return np.empty((*np.shape(numbers), *self.shape[1:]), np.uint8)
        rows = self._rows(unique)
        if np.array_equal(unique, numbers):
            return rows  # a large sample is not copied
        return rows[inverse.reshape(np.shape(numbers))]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """Returns all rows as an array."""
        return self[:].astype(dtype or self.dtype, copy=False)

    @abc.abstractmethod
    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the rows with the indices `numbers`.

        Args:
            numbers: At least one index; all are distinct and in ascending order.
        """


Images = np.ndarray | LazyImages


class Encoded(abc.ABC):
    """Encoded images: files of a folder, or records of a data set."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Returns the number of images."""

    @abc.abstractmethod
    def read(self, numbers: Sequence[int]) -> Sequence[image_files.File]:
        """Returns the encoded images with these indices, each as a path or bytes."""

    @abc.abstractmethod
    def name(self, number: int) -> str:
        """Returns the name of an image in messages."""

    @abc.abstractmethod
    def key(self) -> str:
        """Returns a text that changes if the images change, without reading them."""


class Paths(Encoded):
    """Image files.

    Args:
        paths: The files.
    """

    def __init__(self, paths: Sequence[str | os.PathLike]):
        self.paths = paths

    def __len__(self) -> int:
        """Returns the number of files."""
        return len(self.paths)

    def read(self, numbers: Sequence[int]) -> Sequence[image_files.File]:
        """Returns the paths of the files with these indices."""
        return [self.paths[number] for number in numbers]

    def name(self, number: int) -> str:
        """Returns the path."""
        return os.fspath(self.paths[number])

    def key(self) -> str:
        """Returns a digest of the paths, file sizes and modification times."""
        parts = (f"{os.path.abspath(path)}|{_status(path)}" for path in self.paths)
        return cache.digest(*(part.encode(errors="surrogateescape") for part in parts))


def _status(path: str | os.PathLike) -> str:
    try:
        status = os.stat(path)
    except OSError:  # a broken link: decoding reports it
        return "missing"
    return f"{status.st_size}|{status.st_mtime_ns}"


class Decoded(LazyImages):
    """Encoded images that are decoded each time they are read, in threads.

    An image that cannot be decoded is black. It is logged the first time it is read. If
    there are too many of these images (`BROKEN_SHARE`, `BROKEN_COUNT`), indexing raises
    an `InputError`.

    Args:
        encoded: The encoded images.
        size: Side in pixels.
        resize: As for `image_files.square`.
        max_megapixels: As for `image_files.decode`.
        threads: Number of threads; None: one per core.

    Attributes:
        broken: Index and reason of each image that could not be decoded so far.
    """

    def __init__(
        self,
        encoded: Encoded,
        size: int,
        resize: str = "crop",
        max_megapixels: float = image_files.MEGAPIXELS,
        threads: int | None = None,
    ):
        super().__init__((len(encoded), size, size, 3))
        self.encoded, self.resize, self.max_megapixels = encoded, resize, max_megapixels
        self.broken: dict[int, str] = {}
        self._read = 0
        self._pool = concurrent.futures.ThreadPoolExecutor(
            threads or os.cpu_count(), "decode"
        )
        # The filters are never removed: filters apply to the whole process, and threads
        # may decode images at any time.
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)

    @functools.cached_property
    def key(self) -> str:
        """Cache key of the encoded images and of the way in which they are decoded."""
        how = PIL.__version__, str(self.shape), self.resize, str(self.max_megapixels)
        return cache.digest(*how, self.encoded.key())

    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        rows, reasons = self.decode(numbers)
        found = {
            k: why for k, why in zip(numbers.tolist(), reasons, strict=True) if why
        }
        for number in found.keys() - self.broken.keys():
            self.log(number, found[number])
        self._read += len(rows)
        self.broken |= found
        if len(self.broken) > max(BROKEN_COUNT, BROKEN_SHARE * self._read):
            number, reason = min(self.broken.items())
            raise InputError(
                f"{len(self.broken):,} of {self._read:,} images cannot be decoded, for "
                f"example {self.encoded.name(number)}: {reason}."
            )
        return rows

    def decode(self, numbers: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Decodes the images with the indices `numbers`.

        Returns:
            uint8 `(len(numbers), size, size, 3)`; and for each image the reason why it
            cannot be decoded, or "".
        """
        rows = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        files = self.encoded.read(numbers.tolist())
        reasons = image_files.load_into(
            self._pool, files, rows, self.resize, self.max_megapixels
        )
        return rows, reasons

    def log(self, number: int, reason: str) -> None:
        """Logs that an image cannot be decoded."""
        logger.warning("cannot read %s: %s", self.encoded.name(number), reason)

    def in_memory(self) -> tuple[np.ndarray, list[str]]:
        """Decodes all images; each one that cannot be decoded is logged.

        Returns:
            The images that can be decoded, uint8 `(k, size, size, 3)`, in their order;
            and for every image the reason why it cannot be decoded, or "".
        """
        started = time.perf_counter()
        images = np.empty(self.shape, np.uint8)
        reasons: list[str] = []
        for start in range(0, len(self), CHUNK):
            numbers = np.arange(start, min(start + CHUNK, len(self)))
            images[numbers], found = self.decode(numbers)
            reasons += found
        if len(self):
            rate = len(self) / (time.perf_counter() - started)
            logger.info(
                "decoded    %s images, %s images/s", f"{len(self):,}", f"{rate:,.0f}"
            )
        bad = [number for number, reason in enumerate(reasons) if reason]
        for number in bad:
            self.log(number, reasons[number])
        return np.delete(images, bad, axis=0) if bad else images, reasons


class Stored(LazyImages):
    """Rows that are computed when they are first read, and kept in a file on disk.

    The file is sparse: it only takes the space of the rows that were read. A second
    file has the CRC-32 of each row, or 0 for a row that is not there, so a row that was
    half written by a killed process is computed again. If the disk is full or
    read-only, rows are computed each time.

    Args:
        name: Beginning of the file's name, such as "colorized".
        images: The images from which the rows are computed.
        compute: Function from images, uint8 `(k, size, size, 3)`, to rows of the same
            shape. A row must not depend on the others.
        parts: Texts that identify everything else on which the rows depend.
    """

    def __init__(
        self,
        name: str,
        images: LazyImages,
        compute: Callable[[np.ndarray], np.ndarray],
        parts: Sequence[str] = (),
    ):
        super().__init__(images.shape)
        self._images, self._compute = images, compute
        self._parts = name, *parts
        self._lock, self._sums = threading.Lock(), np.zeros(len(images), np.uint32)
        self._row = int(np.prod(self.shape[1:]))
        self._path = cache.folder() / f"{name}-{self.key[:32]}.rows"
        self._files: list[io.FileIO] = []
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for path in (self._path, self._path.with_suffix(".crc32")):
                path.touch()
                self._files.append(io.FileIO(path, "r+"))
                weakref.finalize(self, self._files[-1].close)
            stored = self._files[1].read(self._sums.nbytes)
        except OSError as error:
            self._give_up(error)
        else:
            found = np.frombuffer(stored[: len(stored) // 4 * 4], np.uint32)
            self._sums[: len(found)] = found

    @functools.cached_property
    def key(self) -> str:
        """Cache key of the images and of `parts`."""
        return cache.digest(*self._parts, self._images.key)

    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        rows = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        # Locked, because two threads (training and evaluation) may need the same rows.
        with self._lock:
            missing = [i for i, k in enumerate(numbers) if not self._load(k, rows[i])]
            if missing:
                rows[missing] = self._compute(self._images[numbers[missing]])
                for i in missing:
                    self._save(numbers[i], rows[i])
        return rows

    def _load(self, number: int, row: np.ndarray) -> bool:
        """Fills a row from the file; returns whether the file has it."""
        if not self._files or not self._sums[number]:
            return False
        try:
            self._files[0].seek(int(number) * self._row)
            read = self._files[0].readinto(row.data)
        except OSError as error:
            self._give_up(error)
            return False
        return read == self._row and _checksum(row) == self._sums[number]

    def _save(self, number: int, row: np.ndarray) -> None:
        # An image that cannot be decoded is black. It is not kept, so that every run
        # logs it.
        if not self._files or not row.any():
            return
        sums = np.array([_checksum(row)], np.uint32)
        try:
            # If a row is not written completely, its checksum is wrong when it is read.
            for file, data in zip(self._files, (row, sums), strict=True):
                file.seek(int(number) * data.nbytes)
                file.write(data.data)
        except OSError as error:
            self._give_up(error)
        else:
            self._sums[number] = sums[0]

    def _give_up(self, error: OSError) -> None:
        for file in self._files:
            file.close()
        self._files = []
        logger.warning(
            "%s cannot be used (%s): images are computed each time they are read.",
            self._path,
            error.strerror,
        )


def _checksum(row: np.ndarray) -> int:
    """Returns the CRC-32 of an image; 1 instead of 0, which means "not there"."""
    return zlib.crc32(row.data) or 1


class Subset(LazyImages):
    """Some rows of other images, without a copy.

    Args:
        images: The other images.
        index: Indices of the rows, int64 `(n,)`, in any order.
    """

    def __init__(self, images: LazyImages, index: np.ndarray):
        super().__init__((len(index), *images.shape[1:]))
        self._images, self._index = images, index

    @functools.cached_property
    def key(self) -> str:
        """Cache key of the images and of the index."""
        return cache.digest(self._images.key, self._index)

    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        return self._images[self._index[numbers]]


class Joined(LazyImages):
    """The images of several sets one after the other, without a copy.

    Args:
        parts: Images of the same size.
    """

    def __init__(self, *parts: Images):
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        super().__init__((int(self._starts[-1]), *parts[0].shape[1:]))

    @functools.cached_property
    def key(self) -> str:
        """Cache key of all parts."""
        return cache.digest(*map(content, self._parts))

    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        pairs = zip(self._parts, self._starts, strict=False)
        found = []
        for part, start in pairs:
            inside = (start <= numbers) & (numbers < start + len(part))
            found.append(part[numbers[inside] - start])
        return np.concatenate(found)


def joined(*parts: Images) -> Images:
    """Returns the images of several sets: an array for arrays, else a `Joined`."""
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return Joined(*parts)


def subset(images: Images, index: np.ndarray) -> Images:
    """Returns the images at `index`: an array for an array, else a `Subset`."""
    return images[index] if isinstance(images, np.ndarray) else Subset(images, index)


def checksums(images: Images) -> np.ndarray:
    """Returns the CRC-32 of each image's bytes, int64 `(n,)`.

    Images that are not in memory are decoded.
    """
    parts = [[zlib.crc32(image.tobytes()) for image in part] for part in chunks(images)]
    return np.array([sum for part in parts for sum in part], dtype=np.int64)


def checked(images: Images, count: int) -> np.ndarray:
    """Returns the positions of images whose checksums are compared.

    Args:
        images: The images; only their type matters: an array or `LazyImages`.
        count: Number of images to choose from: all of `images`, or a selection.

    Returns:
        int64 `(k,)` in [0, count): all positions if the images are in memory, else up
        to `CHECKED` positions at equal distances.
    """
    few = count if isinstance(images, np.ndarray) else min(CHECKED, count)
    return np.arange(few) * count // max(few, 1)


def content(images: Images) -> str:
    """Returns a cache key of the images."""
    if isinstance(images, LazyImages):
        return images.key
    return cache.digest(str(images.shape), checksums(images))


def chunks(images: Images, size: int = CHUNK) -> Iterator[np.ndarray]:
    """Yields all images in arrays of up to `size` rows.

    If the images are not in memory, a thread reads the next array while the caller uses
    the current one.
    """
    if isinstance(images, np.ndarray):
        yield from (images[i : i + size] for i in range(0, len(images), size))
        return
    with concurrent.futures.ThreadPoolExecutor(1) as ahead:
        following: typing.Any = ahead.submit(images.__getitem__, slice(0, size))
        for start in range(0, len(images), size):
            current, after = following.result(), slice(start + size, start + 2 * size)
            following = ahead.submit(images.__getitem__, after)
            yield current


_in_memory = contextvars.ContextVar("in_memory", default=True)


@contextlib.contextmanager
def outside_memory() -> Iterator[None]:
    """Opens a scope in which `choose_cache` does not choose "memory".

    Several processes that train together use it. Otherwise, each process on a computer
    would claim a share of the same free memory, and the processes could make different
    choices.
    """
    token = _in_memory.set(False)
    try:
        yield
    finally:
        _in_memory.reset(token)


def choose_cache(count: int, size: int) -> str:
    """Returns where decoded images are kept, chosen by their size and the free space.

    Args:
        count: Number of images.
        size: Side of the images in pixels.

    Returns:
        "memory" if there is enough free memory, except in the scope `outside_memory`;
        else "disk" (decoded when they are first read) if there is enough free space on
        the disk of the cache folder; else "none".
    """
    needed = count * size * size * 3
    fits = needed <= MEMORY_SHARE * psutil.virtual_memory().available
    if fits and _in_memory.get():
        return "memory"
    folder = cache.folder()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return "disk" if needed <= DISK_SHARE * free else "none"


def read(images: Decoded, where: str) -> tuple[Images, list[str]]:
    """Decodes images now or when they are read.

    Args:
        images: The images.
        where: "memory": they are decoded now. "disk": they are decoded when they are
            first read and kept in the cache folder. "none": they are decoded each time
            they are read.

    Returns:
        The images; and for each encoded image the reason why it cannot be decoded, or
        "". With "memory", images that cannot be decoded are left out. Otherwise no
        image was decoded, and all reasons are "".
    """
    if where == "memory":
        return images.in_memory()
    kept = Stored("decoded", images, np.asarray) if where == "disk" else images
    return kept, [""] * len(images)
