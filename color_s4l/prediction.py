"""Classification of image files: finding, decoding, result tables, contact sheet.

Only a few batches of images are in memory at a time.
"""

import collections
import concurrent.futures
import glob
import itertools
import logging
import os
import pathlib
import typing
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from color_s4l import suggestions
from color_s4l.artifacts import pictures
from color_s4l.data import image_files, labels_csv, listing
from color_s4l.errors import InputError

logger = logging.getLogger(__name__)

BATCH = 256
# Number of images that are decoded while a batch is classified.
AHEAD = 512
# Side of the images on the contact sheet, in pixels.
THUMBNAIL = 160
# Largest number of letters of a file name or label above an image of the contact sheet.
_LONGEST_NAME = 24


def find(images: str) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """Finds image files.

    Args:
        images: A directory (searched at any depth), a file, or a pattern such as
            `photos/**/*.jpg`.

    Returns:
        The directory to which file names in tables are relative (for a pattern, the
        directory before its first wildcard), and the sorted paths.

    Raises:
        InputError: There is no image file.
    """
    path = pathlib.Path(images).expanduser()
    if path.is_file():
        return path.parent, [path]
    if path.is_dir():
        found, root = image_files.find(path), path
        expected = f"files ending in {', '.join(image_files.ENDINGS)}"
    else:
        fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
        root = pathlib.Path(*fixed)
        names = sorted(glob.glob(str(path), recursive=True))
        found = [pathlib.Path(name) for name in names if os.path.isfile(name)]
        expected = "a directory, a file, or a pattern such as 'photos/**/*.jpg'"
    if not found:
        raise InputError(f"`images`={images}: there is no image. Expected {expected}.")
    return root, found


class Reader:
    """An iterator over decoded images; files that cannot be decoded are logged.

    Args:
        paths: Image files.
        size: Side in pixels of the decoded images.
        resize: "crop" or "pad", as in `DataSettings`.
        max_megapixels: As in `DataSettings`.

    Attributes:
        unreadable: Number of files that could not be decoded so far.
    """

    def __init__(
        self,
        paths: Sequence[pathlib.Path],
        size: int,
        resize: str = "crop",
        max_megapixels: float = image_files.MEGAPIXELS,
    ):
        self.paths, self.size, self.resize = paths, size, resize
        self.max_megapixels = max_megapixels
        self.unreadable = 0

    def __iter__(self) -> Iterator[tuple[list[pathlib.Path], np.ndarray]]:
        """Yields batches in the order of the paths.

        Yields:
            The paths of k readable files, and their images, uint8
            `(k, size, size, 3)`, k from 1 to `BATCH`.
        """
        with image_files.quiet(), concurrent.futures.ThreadPoolExecutor() as pool:
            try:
                readable = self._readable(pool)
                while batch := list(itertools.islice(readable, BATCH)):
                    paths, images = zip(*batch, strict=True)
                    yield list(paths), np.stack(images)
            finally:  # after an interruption, the remaining files are not decoded
                pool.shutdown(wait=False, cancel_futures=True)

    def _readable(
        self, pool: concurrent.futures.Executor
    ) -> Iterator[tuple[pathlib.Path, np.ndarray]]:
        """Yields readable files and their images; `AHEAD` are decoded in advance."""
        waiting: collections.deque[concurrent.futures.Future] = collections.deque()
        remaining = iter(self.paths)
        for path in self.paths:
            for following in itertools.islice(remaining, AHEAD - len(waiting)):
                waiting.append(pool.submit(self._decode, following))
            image = waiting.popleft().result()
            if image is None:
                self.unreadable += 1
            else:
                yield path, image

    def _decode(self, path: pathlib.Path) -> np.ndarray | None:
        try:
            return image_files.load(path, self.size, self.resize, self.max_megapixels)
        except Exception as error:  # Pillow's decoders raise almost any exception
            reason = " ".join(str(error).split()) or type(error).__name__
            logger.warning("cannot read %s: %s", path, reason)
        return None


def ranked(
    names: Sequence[str], probabilities: np.ndarray, classes: Sequence[str], top: int
) -> pd.DataFrame:
    """Returns one row per image with its most probable classes.

    Args:
        names: Names of n files.
        probabilities: Float `(n, classes)`.
        classes: Names of the classes.
        top: Number of classes per image; all classes if there are fewer.

    Returns:
        Columns `filename`, `label`, `probability`, then `label_2`, `probability_2`,
        and so on. Classes with equal probability are in the order of their indices.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    columns: dict[str, typing.Any] = {"filename": list(names)}
    for rank in range(order.shape[1]):
        ending = f"_{rank + 1}" if rank else ""
        columns[f"label{ending}"] = [classes[k] for k in order[:, rank]]
        columns[f"probability{ending}"] = np.take_along_axis(
            probabilities, order[:, rank : rank + 1], axis=1
        )[:, 0]
    return pd.DataFrame(columns)


def names_in(folder: pathlib.Path, paths: Sequence[pathlib.Path]) -> list[str]:
    """Returns file names for a table of labels, so that `labels_csv` finds the files.

    Args:
        folder: Folder of the table.
        paths: The files.

    Returns:
        For files in the folder or below it, their paths relative to it; for other
        files, their absolute paths.
    """
    root = pathlib.Path(os.path.abspath(folder))
    absolute = [pathlib.Path(os.path.abspath(path)) for path in paths]
    return [
        str(path.relative_to(root) if path.is_relative_to(root) else path)
        for path in absolute
    ]


def append(rows: pd.DataFrame, file: typing.BinaryIO) -> None:
    """Writes rows to an open CSV file, after a header if the file is empty."""
    rows.to_csv(
        file,
        header=file.tell() == 0,
        index=False,
        encoding="utf-8",
        errors="surrogateescape",  # file names are bytes, not always UTF-8
        float_format="%.6f",
    )


def known_labels(table: pathlib.Path, root: pathlib.Path) -> dict[str, str]:
    """Reads the labels that images have already.

    Args:
        table: A table of labels, as for `DataSettings.labels_csv`.
        root: Folder to which file names in the table may be relative, as an alternative
            to the table's own folder.

    Returns:
        Absolute path -> label, without images that have no label.

    Raises:
        InputError: The table cannot be read, or a file does not exist.
    """
    rows = labels_csv.read(table)
    rows = rows[rows["label"] != ""]
    names = listing.resolved(table, rows["filename"], root, {})
    return dict(zip(names, rows["label"], strict=True))


class Pool:
    """The images that can be suggested, with their features and probabilities.

    Features and probabilities are kept in memory, with 4 bytes per number: 210 MB for
    100,000 images with 512 features and 10 classes. Images are not kept.

    Args:
        labels: Absolute path -> label of images that are not suggested, because they
            already have a label.
    """

    def __init__(self, labels: Mapping[str, str]):
        self.labels = labels
        self.paths: list[pathlib.Path] = []
        self._features: list[np.ndarray] = []
        self._probabilities: list[np.ndarray] = []

    def add(
        self,
        paths: Sequence[pathlib.Path],
        features: np.ndarray,
        probabilities: np.ndarray,
    ) -> None:
        """Adds a batch of k images, except those in `labels`.

        Args:
            paths: Their files.
            features: Float32 `(k, channels)`.
            probabilities: Float32 `(k, classes)`.
        """
        new = [listing.absolute(path) not in self.labels for path in paths]
        self.paths += [path for path, free in zip(paths, new, strict=True) if free]
        self._features.append(features[new])
        self._probabilities.append(probabilities[new])

    def choose(self, count: int) -> tuple[list[pathlib.Path], np.ndarray]:
        """Returns the images worth labelling.

        Args:
            count: Largest number of images.

        Returns:
            Their paths, the most uncertain image first, and their class probabilities,
            float32 `(m, classes)`, m at most `count`.
        """
        probabilities = np.concatenate(self._probabilities)
        features = np.concatenate(self._features)
        chosen = suggestions.choose(features, probabilities, count)
        return [self.paths[k] for k in chosen], probabilities[chosen]


def suggested(
    folder: pathlib.Path,
    labels: Mapping[str, str],
    paths: Sequence[pathlib.Path],
    probabilities: np.ndarray,
    classes: Sequence[str],
) -> pd.DataFrame:
    """Returns the table of suggested images, in which the user writes the labels.

    Args:
        folder: Folder of the table.
        labels: Absolute path -> label of the images that have a label. Their rows come
            first. The next training thus needs only this table.
        paths: The suggested images, in the order of their rows.
        probabilities: Their class probabilities, float `(m, classes)`.
        classes: Names of the classes.

    Returns:
        Columns `filename`, `label` (empty for a suggested image), `guess` (the most
        probable class) and `probability`.
    """
    known = pd.DataFrame(
        {
            "filename": names_in(folder, [pathlib.Path(name) for name in labels]),
            "label": list(labels.values()),
        }
    )
    new = pd.DataFrame(
        {
            "filename": names_in(folder, paths),
            "label": "",
            "guess": [classes[k] for k in probabilities.argmax(axis=1)],
            "probability": probabilities.max(axis=1),
        }
    )
    return pd.concat([known, new]) if len(known) else new


def sheet(rows: pd.DataFrame) -> Figure:
    """Draws images, each below its file name and its two most probable classes.

    Args:
        rows: Rows of `ranked`, at least one, with the files in the column `path`.
    """
    images = [image_files.load(path, THUMBNAIL) for path in rows["path"]]
    captions = [_caption(row) for row in rows.to_dict("records")]
    return pictures.captioned(images, captions)


def _caption(row: dict) -> str:
    """Returns the end of the file name and the first two classes."""
    name = str(row["filename"]).encode(errors="replace").decode()
    lines = [name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"]
    for ending in ("", "_2"):
        if f"label{ending}" in row:
            label = str(row[f"label{ending}"])[:_LONGEST_NAME]
            lines.append(f"{label} {row[f'probability{ending}']:.2f}")
    return "\n".join(lines)
