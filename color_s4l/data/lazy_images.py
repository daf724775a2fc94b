"""Images that may be larger than the memory, with the interface of an array.

All code that reads images uses only rows (`images[numbers]`) and the shape, so it
accepts both an array and a `LazyImages`. Image files are decoded into memory, into a
file on disk, or each time they are read; the bytes are the same in all three cases.
Files that cannot be decoded are found at the start, by decoding each file once; the
result is cached.
"""

import abc
import concurrent.futures
import functools
import logging
import os
import pathlib
import shutil
import time
import typing
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import PIL
import psutil

from color_s4l.artifacts import cache
from color_s4l.artifacts.files import written_atomically
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
# Bytes of decoded images that `FileImages` caches: the few labelled images are read
# again and again.
RECENT_BYTES = 2**29


class LazyImages(abc.ABC):
    """Rows of images, uint8 `(n, size, size, 3)`, read when they are indexed.

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
        """CRC-32 of each row's bytes, int64 `(n,)`; computed if they are not known."""
        if self._checksums is None:
            self._checksums = np.concatenate([checksums(part) for part in chunks(self)])
        return self._checksums

    def __len__(self) -> int:
        """Returns the number of images."""
        return self.shape[0]

    def __getitem__(self, index: typing.Any) -> np.ndarray:
        """Returns the indexed rows as an array; the index is as in NumPy."""
        numbers = np.arange(len(self))[index]
        unique, inverse = np.unique(numbers, return_inverse=True)
        rows = self._rows(unique) if unique.size else np.empty((0, *self.shape[1:]))
        return rows.astype(np.uint8, copy=False)[inverse.reshape(np.shape(numbers))]

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


class FileImages(LazyImages):
    """Images that are decoded when they are read, with one thread per core.

    Args:
        paths: Files that can be decoded.
        size: Side in pixels.
        resize: As for `image_files.square`.
        checksums: CRC-32 of the decoded images, int64 `(n,)`.
    """

    def __init__(
        self,
        paths: Sequence[pathlib.Path],
        size: int,
        resize: str,
        checksums: np.ndarray,
    ):
        super().__init__((len(paths), size, size, 3), checksums)
        self.paths, self.resize = paths, resize
        self._pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        kept = max(1, RECENT_BYTES // (3 * size * size))
        self._recent = functools.lru_cache(maxsize=kept)(self._decoded)
        # The filter is never removed: filters apply to the whole process, and threads
        # may decode images at any time.
        warnings.filterwarnings("ignore", module="PIL")

    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        return np.stack(list(self._pool.map(self._recent, numbers.tolist())))

    def _decoded(self, number: int) -> np.ndarray:
        path = self.paths[number]
        try:
            image = image_files.load(path, self.shape[1], self.resize)
        except Exception as error:  # Pillow's decoders raise many types
            raise InputError(f"{path} can no longer be read: {error}") from None
        if zlib.crc32(image.tobytes()) != self.checksums[number]:
            raise InputError(f"{path} has changed since the run began.")
        return image


class Subset(LazyImages):
    """Some rows of other images, without a copy.

    Args:
        images: The other images; an array may be memory-mapped.
        index: Indices of the rows, int64 `(n,)`, in any order.
        checksums: CRC-32 of the rows, if they are known.
    """

    def __init__(
        self, images: Images, index: np.ndarray, checksums: np.ndarray | None = None
    ):
        self._images, self._index = images, index
        super().__init__((len(index), *images.shape[1:]), checksums)

    @property
    def checksums(self) -> np.ndarray:
        """CRC-32 of the selected rows, int64 `(n,)`."""
        if isinstance(self._images, LazyImages):
            return self._images.checksums[self._index]
        return super().checksums

    def _rows(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self._images[self._index[numbers]])


class Joined(LazyImages):
    """The images of several sets one after the other, without a copy.

    Args:
        parts: Images of the same size.
    """

    def __init__(self, *parts: Images):
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        super().__init__((int(self._starts[-1]), *parts[0].shape[1:]))

    @property
    def checksums(self) -> np.ndarray:
        """CRC-32 of each row's bytes, int64 `(n,)`."""
        if self._checksums is None:
            self._checksums = np.concatenate([checksums(part) for part in self._parts])
        return self._checksums

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
    """Returns the CRC-32 of each image's bytes, int64 `(n,)`."""
    if isinstance(images, LazyImages):
        return images.checksums
    return np.array([zlib.crc32(image.tobytes()) for image in images], dtype=np.int64)


def content(images: Images) -> str:
    """Returns a cache key of the images, independent of where they are stored."""
    return cache.digest(str(images.shape), checksums(images))


def chunks(images: Images, size: int = CHUNK) -> Iterator[np.ndarray]:
    """Yields all images in arrays of up to `size` rows.

    While the caller uses an array, a thread reads the next array.
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


def choose_cache(count: int, size: int) -> str:
    """Returns where decoded images are kept, chosen by their size and the free space.

    Args:
        count: Number of images.
        size: Side of the images in pixels.

    Returns:
        "memory" if there is enough free memory; else "disk" if there is enough free
        space on the disk of the cache folder; else "none".
    """
    needed = count * size * size * 3
    if needed <= MEMORY_SHARE * psutil.virtual_memory().available:
        return "memory"
    folder = cache.folder()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return "disk" if needed <= DISK_SHARE * free else "none"


def read_images(
    paths: Sequence[pathlib.Path], size: int, resize: str, where: str
) -> tuple[Images, list[str]]:
    """Reads image files; each file that cannot be decoded is logged.

    Args:
        paths: Image files.
        size: Side of the images in pixels.
        resize: As for `image_files.square`.
        where: "memory", "disk" (in the cache folder) or "none" (decoded each time they
            are read). If the disk is full or read-only, "none" is used.

    Returns:
        The images that can be decoded, uint8 `(k, size, size, 3)`, in the order of
        the paths; and for every path the reason why it cannot be decoded, or "".
    """
    if where == "memory":
        images = np.empty((len(paths), size, size, 3), np.uint8)
        reasons = image_files.load_many(paths, images, resize)
        good = _log_unreadable(paths, reasons)
        return images if len(good) == len(paths) else images[good], reasons
    key = _digest(paths, size, resize)
    path = cache.folder() / f"decoded-{key[:32]}.npy"
    found: dict[str, np.ndarray] = {}
    if where == "disk" and not path.exists():
        found = _write_decoded(path, paths, size, resize)
    table = cache.cached(
        "readable", [key], lambda: found or _decode(paths, size, resize, keep=len)
    )
    reasons, sums = table["reasons"].tolist(), table["checksums"]
    good = _log_unreadable(paths, reasons)
    if where == "disk" and path.exists():
        return Subset(np.load(path, mmap_mode="r"), good, sums[good]), reasons
    readable = [paths[number] for number in good]
    return FileImages(readable, size, resize, sums[good]), reasons


def _log_unreadable(
    paths: Sequence[pathlib.Path], reasons: Sequence[str]
) -> np.ndarray:
    """Logs the files that cannot be decoded; returns the indices of the others."""
    for path, reason in zip(paths, reasons, strict=True):
        if reason:
            logger.warning("cannot read %s: %s", path, reason)
    return np.flatnonzero([not reason for reason in reasons])


def on_disk(
    name: str, parts: Sequence[str], shape: Sequence[int], rows: Iterable[np.ndarray]
) -> Subset:
    """Returns images that are computed once and kept in the cache, not in memory.

    Args:
        name: Beginning of the file's name, such as "colorized".
        parts: Everything that the images depend on.
        shape: `(n, size, size, 3)`.
        rows: Iterable of arrays uint8 `(k, size, size, 3)` that contain all images in
            order; only read if the file does not exist.

    Raises:
        OSError: The cache cannot be written.
    """
    path = cache.folder() / f"{name}-{cache.digest(*parts)[:32]}.npy"
    if not path.exists():

        def write(file: typing.BinaryIO) -> None:
            for chunk in rows:
                file.write(np.ascontiguousarray(chunk).data)

        _write_rows(path, shape, write)
    return Subset(np.load(path, mmap_mode="r"), np.arange(shape[0]))


def _digest(paths: Sequence[pathlib.Path], size: int, resize: str) -> str:
    """Returns a digest of the paths, file sizes and modification times.

    A digest of the files' content would be slow.
    """
    parts = [PIL.__version__, str(size), resize]
    for path in paths:
        parts.append(f"{os.path.abspath(path)}|{_status(path)}")
    return cache.digest(*(part.encode(errors="surrogateescape") for part in parts))


def _status(path: pathlib.Path) -> str:
    try:
        status = os.stat(path)
    except OSError:  # a broken link: decoding reports it
        return "missing"
    return f"{status.st_size}|{status.st_mtime_ns}"


def _write_decoded(
    path: pathlib.Path, paths: Sequence[pathlib.Path], size: int, resize: str
) -> dict[str, np.ndarray]:
    """Writes decoded images to a file; returns `_decode`'s result, or {} on failure."""
    found: dict[str, np.ndarray] = {}

    def write(file: typing.BinaryIO) -> None:
        found.update(_decode(paths, size, resize, lambda chunk: file.write(chunk.data)))

    try:
        _write_rows(path, (len(paths), size, size, 3), write)
    except OSError as error:
        warnings.warn(
            f"Decoded images cannot be stored in {path.parent} ({error.strerror}): "
            "images are decoded each time they are read.",
            stacklevel=2,
        )
        return {}
    return found


def _write_rows(
    path: pathlib.Path,
    shape: Sequence[int],
    write: Callable[[typing.BinaryIO], object],
) -> None:
    # Written as a stream: if the disk becomes full, writing through a memory map would
    # kill the process.
    header = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as file:
        np.lib.format.write_array_header_2_0(file, header)
        write(file)


def _decode(
    paths: Sequence[pathlib.Path],
    size: int,
    resize: str,
    keep: Callable[[np.ndarray], object],
) -> dict[str, np.ndarray]:
    """Decodes all files in chunks; returns their "reasons" and "checksums".

    Args:
        paths: Image files.
        size: Side of the images in pixels.
        resize: As for `image_files.square`.
        keep: Called with each chunk of images, uint8 `(k, size, size, 3)`.
    """
    started = time.perf_counter()
    reasons, sums = [], []
    for start in range(0, len(paths), CHUNK):
        part = paths[start : start + CHUNK]
        chunk = np.empty((len(part), size, size, 3), np.uint8)
        reasons += image_files.load_many(part, chunk, resize)
        sums.append(checksums(chunk))
        keep(chunk)
    rate = len(paths) / (time.perf_counter() - started)
    logger.info("decoded    %s files, %s images/s", f"{len(paths):,}", f"{rate:,.0f}")
    return {"reasons": np.array(reasons), "checksums": np.concatenate(sums)}
