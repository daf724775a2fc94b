"""Reads image files as square 8-bit RGB images."""

import collections
import concurrent.futures
import contextlib
import logging
import os
import pathlib
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageOps

logger = logging.getLogger(__name__)

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Only these decoders are used, whatever the file name: Pillow would pass a PostScript
# file to Ghostscript, which executes it. (Pillow's JPEG decoder also reads MPO files.)
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
# A JPEG is decoded at an eighth, a quarter or half of its size if the result is at
# least this many times as large as needed. After resizing, no difference is visible.
DRAFT = 2


def find(directory: pathlib.Path) -> list[pathlib.Path]:
    """Returns the image files below a directory, at any depth, sorted by path.

    Hidden files and folders are skipped. Links to folders are skipped too, because they
    may form a cycle, and so is everything that is not a file, such as a pipe. The
    number of files that are not images is logged.

    Args:
        directory: The directory to search.

    Returns:
        Paths that end in one of `ENDINGS`, in upper or lower case.
    """
    found, others = [], collections.Counter[str]()
    for entry in _files(os.fspath(directory)):
        ending = os.path.splitext(entry.name)[1]
        if ending.lower() in ENDINGS:
            found.append(entry.path)
        else:
            others[ending or entry.name] += 1
    if others:
        kinds = ", ".join(f"{n} {ending}" for ending, n in sorted(others.items()))
        logger.warning("%s: ignored files that are not images: %s", directory, kinds)
    # Sorted as lists of text: sorting 100,000 `Path` objects takes a second.
    found.sort(key=lambda path: path.split(os.sep))
    return [pathlib.Path(path) for path in found]


def _files(folder: str) -> Iterator[os.DirEntry]:
    """Yields the files in a folder and below it, without hidden files and folders."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.is_file():
                yield entry


@contextlib.contextmanager
def strict() -> Iterator[None]:
    """Makes Pillow raise an error, not a warning, for suspiciously large images.

    Pillow's other warnings (for example, a broken EXIF field in a valid image) are
    ignored. Do not use this inside threads: warning filters apply to the whole process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(path: str | os.PathLike, size: int | None = None) -> Image.Image:
    """Reads an image file as RGB, rotated according to its EXIF orientation.

    Transparent pixels are shown over white; 16-bit values are scaled to 8 bits.

    Args:
        path: An image file in one of `FORMATS`. Only the first frame is read.
        size: Side in pixels to which the caller will resize the image. A much larger
            JPEG is decoded at a reduced size, which is several times faster. None:
            full size.

    Raises:
        Exception: Pillow's decoders raise many types for a broken file.
    """
    with Image.open(path, formats=FORMATS) as file:
        if size is not None:
            file.draft("RGB", (DRAFT * size, DRAFT * size))
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit values at 255. 65535 / 257 = 255.
        deep = np.clip(np.asarray(image), 0, 65535)
        image = Image.fromarray(np.rint(deep / 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def square(image: Image.Image, size: int, resize: str = "crop") -> np.ndarray:
    """Returns an image as a square, resized (bicubic, antialiased).

    Args:
        image: RGB, of any shape.
        size: Side of the result in pixels.
        resize: "crop": the centre square. "pad": the whole image, with bars of its mean
            colour on two sides; contrast normalisation maps the bars to about 0.

    Returns:
        uint8 `(size, size, 3)`.
    """
    if resize == "pad":
        return _padded(image, size)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box))


def _padded(image: Image.Image, size: int) -> np.ndarray:
    longest = max(image.size)
    width, height = (max(1, round(size * side / longest)) for side in image.size)
    small = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    canvas = np.empty((size, size, 3), np.uint8)
    canvas[:] = np.rint(small.mean(axis=(0, 1)))
    left, top = (size - width) // 2, (size - height) // 2
    canvas[top : top + height, left : left + width] = small
    return canvas


def load(path: str | os.PathLike, size: int, resize: str = "crop") -> np.ndarray:
    """Reads an image file as a square, uint8 `(size, size, 3)`.

    Args:
        path: As for `decode`.
        size: As for `square`.
        resize: As for `square`.

    Raises:
        Exception: Pillow's decoders raise many types for a broken file.
    """
    return square(decode(path, size), size, resize)


def load_many(
    paths: Sequence[str | os.PathLike], into: np.ndarray, resize: str = "crop"
) -> list[str]:
    """Reads image files in parallel.

    Args:
        paths: Image files.
        into: uint8 `(len(paths), size, size, 3)`, filled in place; the row of a file
            that cannot be decoded is set to 0.
        resize: As for `square`.

    Returns:
        One text per file: the reason why it cannot be decoded, or "".
    """

    def read_one(number: int) -> str:
        try:
            into[number] = load(paths[number], into.shape[1], resize)
        except Exception as error:  # Pillow's decoders raise many types
            into[number] = 0
            return " ".join(str(error).split()) or type(error).__name__
        return ""

    with strict(), concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(read_one, range(len(paths))))
