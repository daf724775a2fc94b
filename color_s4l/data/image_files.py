"""Reads image files as square 8-bit RGB images."""

import collections
import concurrent.futures
import contextlib
import io
import logging
import os
import pathlib
import threading
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import ExifTags, Image, ImageOps

logger = logging.getLogger(__name__)

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Only these decoders are used, whatever the file name: Pillow would pass a PostScript
# file to Ghostscript, which executes it. (Pillow's JPEG decoder also reads MPO files.)
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
# A JPEG is decoded at an eighth, a quarter or half of its size if the result is at
# least this many times as large as needed. After resizing, no difference is visible.
DRAFT = 2
# Default of `max_megapixels`: largest number of pixels that are decoded, in millions.
# Pillow needs up to 30 bytes for a pixel of a 16-bit file, so up to 1.5 GB.
MEGAPIXELS = 50.0
# Images with more pixels are decoded one at a time, even if there are several threads,
# because each one needs much memory.
_LARGE = 8_000_000
_one_large = threading.Lock()

# An image file: its path, or its content.
File = str | os.PathLike | bytes


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
def quiet() -> Iterator[None]:
    """Ignores Pillow's warnings, for example about a broken EXIF field.

    Pillow's warning about large images is not needed: `decode` has a limit of its own.
    Do not use this inside threads: warning filters apply to the whole process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def decode(
    path: File, size: int | None = None, max_megapixels: float = MEGAPIXELS
) -> Image.Image:
    """Reads an image file as RGB, rotated according to its EXIF orientation.

    Transparent pixels are shown over white; 16-bit values are scaled to 8 bits.

    Args:
        path: An image file in one of `FORMATS`. Only the first frame is read.
        size: Side in pixels to which the caller will resize the image. A much larger
            JPEG is decoded at a reduced size, which is several times faster. None:
            full size.
        max_megapixels: Largest number of pixels that are decoded, in millions. A JPEG
            of more pixels is accepted if it is not progressive and can be decoded at a
            reduced size within this limit.

    Raises:
        ValueError: The image has more than `max_megapixels`; nothing was decoded.
        Exception: Pillow's decoders raise many types for a broken file.
    """
    source = io.BytesIO(path) if isinstance(path, bytes) else path
    allowed = pixel_limit(max_megapixels)
    with Image.open(source, formats=FORMATS) as file:
        pixels, (width, height) = file.width * file.height, file.size
        if size is not None:
            file.draft("RGB", (DRAFT * size, DRAFT * size))
        # For a progressive JPEG the decoder keeps the coefficients of the full image in
        # memory, even if the result is smaller. Therefore its full size counts.
        if not file.info.get("progressive"):
            pixels = file.width * file.height
        if pixels > allowed:
            raise ValueError(too_large(width, height, max_megapixels))
        with _one_large if pixels > _LARGE else contextlib.nullcontext():
            return _to_rgb(ImageOps.exif_transpose(file))


def pixel_limit(max_megapixels: float) -> int:
    """Returns a limit in pixels; Pillow's own limit is raised to it."""
    allowed = int(1e6 * max_megapixels)
    if Image.MAX_IMAGE_PIXELS and allowed > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = allowed  # else Pillow refuses more than 179 million
    return allowed


def too_large(width: int, height: int, max_megapixels: float) -> str:
    """Returns the reason why an image is not decoded."""
    return (
        f"{width} x {height} pixels are more than `max_megapixels`={max_megapixels:g}"
    )


def shown_size(path: File) -> tuple[int, int]:
    """Returns width and height of the result of `decode`; reads the header only.

    Raises:
        Exception: Pillow's decoders raise many types for a broken file.
    """
    source = io.BytesIO(path) if isinstance(path, bytes) else path
    with Image.open(source, formats=FORMATS) as file:
        # EXIF orientations from 5 on rotate by 90 degrees.
        turned = file.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return file.size[::-1] if turned else file.size


def _to_rgb(image: Image.Image) -> Image.Image:
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


def load(
    path: File, size: int, resize: str = "crop", max_megapixels: float = MEGAPIXELS
) -> np.ndarray:
    """Reads an image file as a square, uint8 `(size, size, 3)`.

    Args:
        path: As for `decode`.
        size: As for `square`.
        resize: As for `square`.
        max_megapixels: As for `decode`.

    Raises:
        Exception: Pillow's decoders raise many types for a broken file.
    """
    return square(decode(path, size, max_megapixels), size, resize)


def load_into(
    pool: concurrent.futures.Executor,
    paths: Sequence[File],
    into: np.ndarray,
    resize: str = "crop",
    max_megapixels: float = MEGAPIXELS,
) -> list[str]:
    """Reads image files in parallel, in the threads of a pool.

    Args:
        pool: The threads.
        paths: Image files.
        into: uint8 `(len(paths), size, size, 3)`, filled in place; the row of a file
            that cannot be decoded is set to 0.
        resize: As for `square`.
        max_megapixels: As for `decode`.

    Returns:
        One text per file: the reason why it cannot be decoded, or "".
    """

    def read_one(number: int) -> str:
        try:
            into[number] = load(paths[number], into.shape[1], resize, max_megapixels)
        except Exception as error:  # Pillow's decoders raise many types
            into[number] = 0
            return " ".join(str(error).split()) or type(error).__name__
        return ""

    return list(pool.map(read_one, range(len(paths))))


def load_many(
    paths: Sequence[File],
    into: np.ndarray,
    resize: str = "crop",
    max_megapixels: float = MEGAPIXELS,
) -> list[str]:
    """Reads image files like `load_into`, in threads of its own."""
    with quiet(), concurrent.futures.ThreadPoolExecutor() as pool:
        return load_into(pool, paths, into, resize, max_megapixels)
