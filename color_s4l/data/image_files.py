"""Image files of every kind to 8-bit RGB; what cannot be decoded is named."""

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

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


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
        for path in (pathlib.Path(folder, f) for f in files if not f.startswith(".")):
            if path.suffix.lower() in ENDINGS:
                found.append(path)
            else:
                others[path.suffix or path.name] += 1
    if others:
        kinds = ", ".join(f"{n} {ending}" for ending, n in sorted(others.items()))
        print(f"{directory}: passed over what is no image: {kinds}", file=sys.stderr)
    return sorted(found, key=lambda path: path.relative_to(directory).parts)


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


def decode(path: str | os.PathLike) -> Image.Image:
    """Reads one image file as a person would see it.

    Args:
        path: A file of any kind that Pillow knows; of several frames the first.

    Returns:
        An RGB image, turned upright as its EXIF says. Transparent pixels stand
        over white; 16-bit values are scaled to 8 bits.

    Raises:
        Exception: Whatever Pillow's decoders raise for a broken file.
    """
    with Image.open(path) as file:
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


def square(image: Image.Image, size: int) -> np.ndarray:
    """The square in the middle of an image, resized (bicubic, antialiased).

    Args:
        image: RGB, of any shape.
        size: The new side in pixels.

    Returns:
        uint8 `(size, size, 3)`.
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box))


def read(paths: Sequence[pathlib.Path], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads many files in parallel; names those that cannot be decoded on stderr.

    Args:
        paths: Image files.
        size: The side in pixels to which the square in the middle is resized.

    Returns:
        The images that could be decoded, uint8 `(k, size, size, 3)`, in the
        order of the paths, and which of the paths they are, int64 `(k,)`.
    """
    images = np.empty((len(paths), size, size, 3), np.uint8)

    def read_one(number: int) -> str | None:
        try:
            images[number] = square(decode(paths[number]), size)
        except Exception as error:  # Pillow's decoders raise nearly anything
            return " ".join(str(error).split()) or type(error).__name__
        return None

    with strict(), concurrent.futures.ThreadPoolExecutor() as pool:
        reasons = list(pool.map(read_one, range(len(paths))))
    for path, reason in zip(paths, reasons, strict=True):
        if reason is not None:
            print(f"cannot read {path}: {reason}", file=sys.stderr)
    good = np.flatnonzero([reason is None for reason in reasons])
    # Indexing copies, so only where something was lost.
    return images if len(good) == len(paths) else images[good], good
