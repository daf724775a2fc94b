"""A user's photographs: found, read upright in RGB, colourised, written."""

import math
import pathlib

import numpy as np
from PIL import Image

from color_s4l.artifacts.files import save_atomically
from color_s4l.data import image_files
from color_s4l.errors import InputError
from colorization import lab
from colorization.colorizer import Colorizer

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
_QUALITY = 95  # of JPEG and WebP


def find(source: pathlib.Path) -> list[pathlib.Path]:
    """The images of a folder and its subfolders, or the one file.

    Returns:
        Paths, sorted; of a folder only files with an image's suffix.

    Raises:
        InputError: The path does not exist, or the folder has no image.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"Expected an image or a folder. There is no {str(source)!r}.")
    found = [path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES]
    found = sorted(path for path in found if path.is_file())
    if not found:
        raise InputError(
            f"The folder {str(source)!r} has no image ({', '.join(SUFFIXES)})."
        )
    return found


def target(
    path: pathlib.Path, source: pathlib.Path, output: pathlib.Path
) -> pathlib.Path:
    """Where the result of an image goes: the same name, below `output`.

    A GIF becomes a PNG, since its 256 colours are too few.
    """
    name = pathlib.Path(path.name) if source.is_file() else path.relative_to(source)
    suffix = path.suffix.lower()
    keep = suffix in SUFFIXES and suffix != ".gif"
    return output / (name if keep else name.with_name(name.name + ".png"))


def read(path: pathlib.Path) -> np.ndarray:
    """Reads an image as a person sees it.

    Turned as its EXIF says; transparency over white; 16-bit grey scaled to 8.

    Returns:
        uint8 `(height, width, 3)`, sRGB.

    Raises:
        ValueError: The file cannot be decoded.
    """
    try:
        with image_files.strict():
            return np.asarray(image_files.decode(path))
    except Exception as error:  # Pillow's decoders raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(reason) from error


def write(path: pathlib.Path, image: np.ndarray) -> None:
    """Writes an image, uint8 `(height, width, 3)`, in its suffix' format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {}
    if path.suffix.lower() in (".jpg", ".jpeg", ".webp"):
        options["quality"] = _QUALITY
    save_atomically(path, lambda name: Image.fromarray(image).save(name, **options))


def _smaller(image: np.ndarray, longest: int) -> np.ndarray:
    """The image, shrunk by a whole ratio where its longest side is above `longest`."""
    height, width = image.shape[:2]
    ratio = longest / max(height, width)
    if ratio >= 1:
        return image
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _resized(channel: np.ndarray, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(channel, "float32"))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def colorize(colorizer: Colorizer, image: np.ndarray, longest: int) -> np.ndarray:
    """Colourises a photograph at its own size.

    The lightness is kept at full resolution. The colours of an image above
    `longest` are predicted from a smaller copy and enlarged: eyes do not see the
    difference, and a network of 256 features at 12 megapixels takes gigabytes.

    Args:
        colorizer: The colorizer.
        image: uint8 `(height, width, 3)`, sRGB.
        longest: Longest side in pixels at which colours are predicted.

    Returns:
        uint8, of the image's shape.
    """
    height, width = image.shape[:2]
    colors = colorizer.predict(_smaller(image, longest)[None], batch_size=1)[0]
    if colors.shape[:2] != (height, width):
        planes = [_resized(colors[..., i], height, width) for i in range(2)]
        colors = np.stack(planes, axis=-1)
    # In strips: the conversion holds several floats per value.
    strips = min(height, math.ceil(height * width / 1_000_000))
    parts = [np.array_split(array, strips) for array in (image, colors)]
    return np.concatenate([_joined(*part) for part in zip(*parts, strict=True)])


def _joined(image: np.ndarray, colors: np.ndarray) -> np.ndarray:
    return np.asarray(lab.join(lab.split(image)[0], colors))
