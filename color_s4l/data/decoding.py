"""From image files to images: in memory, decoded on disk, or decoded each time.

All three give the same bytes. Whether files can be decoded is found out before
anything else is done, by decoding each once; the answer is kept in the cache.
"""

import os
import pathlib
import shutil
import sys
import time
import typing
from collections.abc import Iterator, Sequence

import numpy as np
import PIL
import psutil

from color_s4l.artifacts import cache
from color_s4l.artifacts.files import write_atomically
from color_s4l.data import image_files
from color_s4l.data.lazy_images import (
    CHUNK,
    DiskImages,
    FileImages,
    Images,
    checksums,
)

CACHES = ("memory", "disk", "none")
# Of the memory that is free: the step, its batches and colourised images need theirs.
MEMORY_SHARE = 0.25
# Of the disk that is free.
DISK_SHARE = 0.5


def choose(count: int, size: int) -> str:
    """Where so many images belong, by what they take and what is free.

    Args:
        count: Images.
        size: Their side in pixels.

    Returns:
        "memory", else "disk" (the cache's), else "none".
    """
    needed = count * size * size * 3
    if needed <= MEMORY_SHARE * psutil.virtual_memory().available:
        return "memory"
    folder = cache.folder()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return "disk" if needed <= DISK_SHARE * free else "none"


def images_of(
    paths: Sequence[pathlib.Path], size: int, fit: str, where: str
) -> tuple[Images, list[str]]:
    """The images of the files that can be decoded.

    Args:
        paths: Image files.
        size: Their side in pixels.
        fit: As for `image_files.square`.
        where: One of `CACHES`. A disk that is full or read-only gives "none".

    Returns:
        The images, uint8 `(k, size, size, 3)`, in the order of the paths, and for
        every path why it cannot be decoded, empty where it can.
    """
    if where == "memory":
        images = np.empty((len(paths), size, size, 3), np.uint8)
        reasons = image_files.load_many(paths, images, fit)
        good = _good(reasons)
        return images if len(good) == len(paths) else images[good], reasons
    key = _digest(paths, size, fit)
    path = cache.folder() / f"decoded-{key[:32]}.npy"
    found = {}
    if where == "disk" and not path.exists():
        found = _write_decoded(path, paths, size, fit)
    table = cache.cached("readable", [key], lambda: found or _scan(paths, size, fit))
    reasons = table["reasons"].tolist()
    good, sums = _good(reasons), table["checksums"]
    if where == "disk" and path.exists():
        return DiskImages(path, good, sums[good]), reasons
    readable = [paths[number] for number in good]
    return FileImages(readable, size, fit, sums[good]), reasons


def on_disk(
    name: str, parts: Sequence[str], shape: Sequence[int], rows: Iterator[np.ndarray]
) -> DiskImages:
    """Images that are computed once and kept in the cache, never all in memory.

    Args:
        name: What they are; the beginning of the file's name.
        parts: Everything that they depend on.
        shape: `(n, size, size, 3)`.
        rows: They in turn, in arrays uint8 `(k, size, size, 3)`; read only where the
            file is not there yet.

    Returns:
        `DiskImages`.

    Raises:
        OSError: The cache can't be written.
    """
    path = cache.folder() / f"{name}-{cache.digest(*parts)[:32]}.npy"
    if not path.exists():
        _write_rows(path, shape, rows)
    return DiskImages(path, np.arange(shape[0]))


def _good(reasons: Sequence[str]) -> np.ndarray:
    return np.flatnonzero([not reason for reason in reasons])


def _digest(paths: Sequence[pathlib.Path], size: int, fit: str) -> str:
    """Of names, sizes and dates: content would take as long as decoding."""
    parts = [PIL.__version__, str(size), fit]
    for path in paths:
        parts.append(f"{os.path.abspath(path)}|{_status(path)}")
    return cache.digest(*(part.encode(errors="surrogateescape") for part in parts))


def _status(path: pathlib.Path) -> str:
    try:
        status = os.stat(path)
    except OSError:  # a link to nothing: decoding names it
        return "missing"
    return f"{status.st_size}|{status.st_mtime_ns}"


def _write_decoded(path: pathlib.Path, paths, size: int, fit: str) -> dict:
    """Decodes into a file of the cache; what `_scan` finds, empty where it failed."""
    found = {}

    def rows():
        yield from _decoded(paths, size, fit, found)

    try:
        _write_rows(path, (len(paths), size, size, 3), rows())
    except OSError as error:
        print(
            f"not kept in {path.parent} ({error.strerror}): images are decoded anew "
            "each time",
            file=sys.stderr,
        )
        return {}
    return found


def _write_rows(path: pathlib.Path, shape: tuple[int, ...], rows: Iterator) -> None:
    # Written as a stream: a disk that runs full under a memory map kills the process.
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}

    def write(file: typing.BinaryIO) -> None:
        np.lib.format.write_array_header_2_0(file, header)
        for chunk in rows:
            file.write(np.ascontiguousarray(chunk).data)

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, write)


def _scan(paths, size: int, fit: str) -> dict:
    """Reasons and checksums of all files, decoded once and thrown away."""
    found = {}
    for _ in _decoded(paths, size, fit, found):
        pass
    return found


def _decoded(paths, size: int, fit: str, found: dict) -> Iterator[np.ndarray]:
    """Every file in turn, in chunks; at the end `found` holds what `_scan` returns."""
    started = time.perf_counter()
    reasons, sums = [], []
    for start in range(0, len(paths), CHUNK):
        part = paths[start : start + CHUNK]
        chunk = np.empty((len(part), size, size, 3), np.uint8)
        reasons += image_files.load_many(part, chunk, fit)
        sums.append(checksums(chunk))
        yield chunk
    found["reasons"], found["checksums"] = np.array(reasons), np.concatenate(sums)
    rate = len(paths) / (time.perf_counter() - started)
    print(f"decoded    {len(paths):,} files, {rate:,.0f} images/s", flush=True)
