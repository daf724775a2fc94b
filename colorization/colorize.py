"""Colourises a user's photographs: python -m colorization.colorize."""

import dataclasses
import pathlib
import typing
from collections.abc import Sequence
from typing import Annotated

from color_s4l import command_line
from color_s4l.artifacts.files import save_atomically
from color_s4l.errors import InputError
from color_s4l.fields import Above, AtLeast, check, option

if typing.TYPE_CHECKING:
    import numpy as np

    from colorization.colorizer import Colorizer

_DESCRIPTION = """Colourises photographs at their full resolution.

  python -m colorization.colorize --colorizer=cifar100_100.h5 --input=DIR --output=DIR2
"""
_QUALITY = 95  # quality setting of JPEG and WebP files
# Largest side of a WebP image in pixels (14 bits).
_LARGEST_WEBP = 16383


@dataclasses.dataclass(frozen=True)
class Colorize:
    """The command's flags."""

    colorizer: str = option("", "Colorizer file written by colorization.train.")
    input: str = option("", "An image, or a folder (its subfolders included).")
    output: str = option("", "Folder for the results; file names stay the same.")
    longest: Annotated[int, AtLeast(8)] = option(
        1024,
        "Longest side (px) at which colours are predicted; lightness keeps its size.",
    )
    max_megapixels: Annotated[float, Above(0)] = option(
        50.0, "Larger images are not decoded."
    )


def find(source: pathlib.Path) -> list[pathlib.Path]:
    """Returns the images in a folder and its subfolders, or the given file.

    Raises:
        InputError: The path does not exist, or the folder has no image.
    """
    from color_s4l.data import image_files

    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"Expected an image or a folder. There is no {str(source)!r}.")
    found = image_files.find(source)
    if not found:
        endings = ", ".join(image_files.ENDINGS)
        raise InputError(f"The folder {str(source)!r} has no image ({endings}).")
    return found


def target(
    path: pathlib.Path, source: pathlib.Path, output: pathlib.Path
) -> pathlib.Path:
    """Returns the path of an image's result: the same name, below `output`.

    If the image is a GIF, or its name does not end in one of `image_files.ENDINGS`, the
    result is a PNG, and `.png` is added to the name.
    """
    from color_s4l.data import image_files

    name = pathlib.Path(path.name) if source.is_file() else path.relative_to(source)
    ending = path.suffix.lower()
    # The result does not fit into the 256 colours of a GIF.
    if ending in image_files.ENDINGS and ending != ".gif":
        return output / name
    return output / name.with_name(f"{name.name}.png")


def read(path: pathlib.Path, max_megapixels: float = 50.0) -> "np.ndarray":
    """Reads an image as it is displayed.

    The image is rotated according to its EXIF data. Transparent pixels are shown over
    white, and 16-bit grey is scaled to 8 bits.

    Args:
        path: The image file.
        max_megapixels: Largest number of pixels that are decoded, in millions.

    Returns:
        uint8 `(height, width, 3)`, sRGB.

    Raises:
        ValueError: The file cannot be decoded, or the image has too many pixels.
    """
    import numpy as np

    from color_s4l.data import image_files

    try:
        with image_files.quiet():
            return np.asarray(image_files.decode(path, None, max_megapixels))
    except Exception as error:  # Pillow's decoders raise nearly any exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(reason) from error


def write(path: pathlib.Path, image: "np.ndarray") -> None:
    """Writes an image, uint8 `(height, width, 3)`; the ending selects the format."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    lossy = path.suffix.lower() in (".jpg", ".jpeg", ".webp")
    options: dict[str, typing.Any] = {"quality": _QUALITY} if lossy else {}
    save_atomically(path, lambda name: Image.fromarray(image).save(name, **options))


def _check_size(path: pathlib.Path, image: "np.ndarray") -> None:
    """Raises a ValueError if the image is too large for the file's format."""
    if path.suffix.lower() == ".webp" and max(image.shape) > _LARGEST_WEBP:
        raise ValueError(f"WebP images have at most {_LARGEST_WEBP:,} pixels per side")


def _plan(source: pathlib.Path, output: pathlib.Path) -> dict:
    """Returns path -> path of the result.

    Raises:
        InputError: There are no images, a result exists already, or two images would
            get the same name.
    """
    found = find(source)
    plan = {path: target(path, source, output) for path in found}
    if len(set(plan.values())) < len(plan):
        raise InputError("Two of the images would get the same name: rename one.")
    existing = [str(path) for path in plan.values() if path.exists()]
    if existing:
        raise InputError(
            f"{existing[0]!r} exists already, and nothing is overwritten: give another "
            "--output."
        )
    return plan


def _colorize_all(colorizer: "Colorizer", plan: dict, flags: Colorize) -> int:
    """Writes all results; returns the number of skipped images."""
    skipped = 0
    for path, result in plan.items():
        try:
            image = read(path, flags.max_megapixels)
            _check_size(result, image)
        except ValueError as error:
            print(f"skipped {path}: {error}")
            skipped += 1
            continue
        write(result, colorizer.colorize_photograph(image, flags.longest))
        print(f"{path} -> {result}", flush=True)
    return skipped


def colorize(flags: Colorize) -> None:
    """Runs the command.

    Raises:
        InputError: A flag is missing or wrong, there are no images, the file is not a
            colorizer, a result exists already, two images would get the same name, or
            all images were skipped.
    """
    for name in ("colorizer", "input", "output"):
        if not getattr(flags, name):
            raise InputError(f"--{name} is missing (see --help).")
    check(flags)
    plan = _plan(pathlib.Path(flags.input), pathlib.Path(flags.output))
    # Imported here because Keras takes seconds to start, and --help does not need it.
    from colorization.colorizer import Colorizer

    colorizer = Colorizer.load(flags.colorizer)
    print(f"{len(plan)} images; the results go to {flags.output}/")
    skipped = _colorize_all(colorizer, plan, flags)
    print(f"Colourised {len(plan) - skipped} images, skipped {skipped}.")
    if skipped == len(plan):
        raise InputError("None of the images could be read.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(colorize, Colorize, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
