"""Image files of every kind to 8-bit RGB squares; what cannot be decoded is named."""

import collections
import concurrent.futures
import contextlib
import os
import pathlib
import sys
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageOps

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Whatever a file is called, no other decoder sees it: Pillow would hand PostScript
# to Ghostscript, which runs it. (JPEG's own also reads the MPO of cameras.)
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
FITS = ("crop", "pad")
# JPEG is decoded at an eighth, a quarter or half where that leaves at least so many
# times the size wanted: the resizing that follows then loses nothing that is seen.
DRAFT = 2


def find(directory: pathlib.Path) -> list[pathlib.Path]:
    """The image files below a directory, at any depth, sorted by path.

    Args:
        directory: Where to look. Hidden files and folders are passed over, and
            so are links to folders (they may lead in a circle).

    Returns:
        Paths that end in one of `ENDINGS`, in upper or lower case. Files of
        other endings are counted in a line on stderr.
    """
    found, others = [], collections.Counter()
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (name for name in files if not name.startswith(".")):
            ending = os.path.splitext(name)[1]
            if ending.lower() in ENDINGS:
                found.append(os.path.join(folder, name))
            else:
                others[ending or name] += 1
    if others:
        kinds = ", ".join(f"{n} {ending}" for ending, n in sorted(others.items()))
        print(f"{directory}: passed over what is no image: {kinds}", file=sys.stderr)
    # Texts, and paths only at the end: a hundred thousand of them take a second.
    found.sort(key=lambda path: path.split(os.sep))
    return [pathlib.Path(path) for path in found]


@contextlib.contextmanager
def strict() -> Iterator[None]:
    """Makes Pillow refuse suspiciously large images instead of warning of them.

    Its other warnings (a broken EXIF field of a sound image) are dropped. Not
    for use inside threads: warning filters belong to the whole process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(path: str | os.PathLike, size: int | None = None) -> Image.Image:
    """Reads one image file as a person would see it.

    Args:
        path: A file of one of `FORMATS`; of several frames the first.
        size: The side in pixels that is wanted in the end: a JPEG much larger than
            that is decoded smaller, which is several times faster. None: in full.

    Returns:
        An RGB image, turned upright as its EXIF says. Transparent pixels stand
        over white; 16-bit values are scaled to 8 bits.

    Raises:
        Exception: Whatever Pillow's decoders raise for a broken file.
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


def square(image: Image.Image, size: int, fit: str = "crop") -> np.ndarray:
    """An image as a square, resized (bicubic, antialiased).

    Args:
        image: RGB, of any shape.
        size: The new side in pixels.
        fit: "crop": the square in the middle. "pad": all of it, between bars of its
            mean colour, which contrast normalisation takes for nothing.

    Returns:
        uint8 `(size, size, 3)`.
    """
    if fit == "pad":
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


def load(path: str | os.PathLike, size: int, fit: str = "crop") -> np.ndarray:
    """One file to what a network is given: uint8 `(size, size, 3)`.

    Args:
        path: As for `decode`.
        size: As for `square`.
        fit: As for `square`.

    Raises:
        Exception: Whatever Pillow's decoders raise for a broken file.
    """
    return square(decode(path, size), size, fit)


def load_many(
    paths: Sequence[str | os.PathLike], into: np.ndarray, fit: str = "crop"
) -> list[str]:
    """Reads files in parallel.

    Args:
        paths: Image files.
        into: uint8 `(len(paths), size, size, 3)`, filled; the row of a file that
            cannot be decoded becomes 0.
        fit: As for `square`.

    Returns:
        For each file why it cannot be decoded, in one line; empty where it can.
    """

    def read_one(number: int) -> str:
        try:
            into[number] = load(paths[number], into.shape[1], fit)
        except Exception as error:  # Pillow's decoders raise nearly anything
            into[number] = 0
            return " ".join(str(error).split()) or type(error).__name__
        return ""

    with strict(), concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(read_one, range(len(paths))))


def named(paths: Sequence[pathlib.Path], reasons: Sequence[str]) -> np.ndarray:
    """Names the files that have a reason on stderr; returns where the others stand."""
    for path, reason in zip(paths, reasons, strict=True):
        if reason:
            print(f"cannot read {path}: {reason}", file=sys.stderr)
    return np.flatnonzero([not reason for reason in reasons])
