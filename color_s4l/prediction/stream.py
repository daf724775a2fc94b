"""Image files, found and decoded by worker threads a few batches ahead."""

import collections
import concurrent.futures
import glob
import itertools
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator

import numpy as np

from color_s4l.data import image_files
from color_s4l.errors import InputError

BATCH = 256
# Batches that are decoded or waiting while one is classified.
AHEAD = 2
Batch = tuple[list[pathlib.Path], np.ndarray]


def find(images: str) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """The image files that a user means.

    Args:
        images: A directory (at any depth below it), a file, or a pattern such as
            `photos/**/*.jpg`.

    Returns:
        The directory that the files' names are told from (for a pattern, the part
        before its first wildcard), and their paths, sorted.

    Raises:
        InputError: There is none.
    """
    path = pathlib.Path(images).expanduser()
    if path.is_dir():
        found, root = image_files.find(path), path
        expected = f"files ending in {', '.join(image_files.ENDINGS)}"
    elif path.is_file():
        return path.parent, [path]
    else:
        root = _root(path)
        names = sorted(glob.glob(str(path), recursive=True))
        found = [pathlib.Path(name) for name in names if os.path.isfile(name)]
        expected = "a directory, a file, or a pattern such as 'photos/**/*.jpg'"
    if not found:
        raise InputError(f"--images={images}: there is no image. Expected {expected}.")
    return root, found


def _root(path: pathlib.Path) -> pathlib.Path:
    """The path up to its first part with a wildcard."""
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
    return pathlib.Path(*fixed)


class Reader:
    """Decodes many files; those that can't be decoded are named, counted, left out.

    Args:
        paths: The files.
        size: Side in pixels of the squares that they become.
        fit: As for `image_files.square`.

    Attributes:
        unreadable: How many files were left out so far.
    """

    def __init__(self, paths: list[pathlib.Path], size: int, fit: str = "crop"):
        self.paths, self.size, self.fit = paths, size, fit
        self.unreadable = 0

    def __iter__(self) -> Iterator[Batch]:
        """Batches in the order of the paths: these, and uint8 `(k, size, size, 3)`.

        Of the images only a few batches are in memory, whatever their number.
        """
        with image_files.strict(), concurrent.futures.ThreadPoolExecutor() as pool:
            parts = (
                self.paths[first : first + BATCH]
                for first in range(0, len(self.paths), BATCH)
            )
            for part, results in _ahead(pool, self._decode, parts):
                good = [
                    (p, i) for p, i in zip(part, results, strict=True) if i is not None
                ]
                self.unreadable += len(part) - len(good)
                if good:
                    yield [p for p, _ in good], np.stack([i for _, i in good])

    def _decode(self, path: pathlib.Path) -> np.ndarray | None:
        try:
            return image_files.load(path, self.size, self.fit)
        except Exception as error:  # Pillow's decoders raise nearly anything
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"cannot read {path}: {reason}", file=sys.stderr)
        return None


def _ahead(pool, decode, parts: Iterable[list]) -> Iterator[tuple[list, list]]:
    """Each part with its results; the next `AHEAD` parts are decoded meanwhile."""
    waiting: collections.deque[tuple[list, list]] = collections.deque()
    try:
        for part in parts:
            waiting.append((part, [pool.submit(decode, path) for path in part]))
            if len(waiting) > AHEAD:
                first, futures = waiting.popleft()
                yield first, [future.result() for future in futures]
        while waiting:
            first, futures = waiting.popleft()
            yield first, [future.result() for future in futures]
    finally:  # an interrupted command must not wait for what nobody reads
        for _, futures in waiting:
            for future in futures:
                future.cancel()
