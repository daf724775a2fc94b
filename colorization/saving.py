"""One self-contained file per colorizer: a Keras model that carries its origin.

`.h5` is what `keras.models.load_model` opens everywhere, with the origin as an
attribute of the file; in a `.keras` archive it is a member of its own.
"""

import os
import pathlib

import keras

import colorization
from color_s4l.artifacts import keras_files
from color_s4l.artifacts.keras_files import SUFFIXES
from color_s4l.errors import InputError
from colorization import safety
from colorization.colorizer import Colorizer
from colorization.lab import SCALING
from colorization.origin import Origin, from_json

_NOTE = "colorization_origin"
_HOW_TO_TRAIN = (
    "Train a colorizer: python -m colorization.train --dataset=... --output=..."
)


def check_suffix(path: str | os.PathLike) -> None:
    """Refuses a file name that says no format.

    Raises:
        InputError: The name ends neither with .h5 nor with .keras.
    """
    if pathlib.Path(path).suffix not in SUFFIXES:
        raise InputError(
            f"Expected a colorizer's file to end with {' or '.join(SUFFIXES)}. "
            f"Received: {str(path)!r}."
        )


def save(model: keras.Model, path: str | os.PathLike, origin: Origin) -> None:
    """Writes a colorizer's file, whole or not at all.

    Args:
        model: Lightness to colours, `Parts.whole` or `Colorizer.model`.
        path: `*.h5` or `*.keras`; an existing file is replaced.
        origin: What the model was trained on.

    Raises:
        InputError: The path ends otherwise.
    """
    check_suffix(path)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    keras_files.save(model, path, _NOTE, origin.to_json())


def _parse(config: dict | None, origin: str | None) -> Origin:
    """Checks what the file says of itself, before anything is built from it."""
    if origin is None or config is None:
        raise InputError("it is not a colorizer: no origin is recorded in it")
    foreign = safety.foreign_classes(config)
    if foreign:
        raise InputError(
            "it is not a colorizer, and could run code: it contains "
            f"{', '.join(foreign)}"
        )
    record = from_json(origin)
    if record.scaling != SCALING:
        raise InputError(f"expected the scaling {SCALING!r}, it has {record.scaling!r}")
    return record


def _open(path: pathlib.Path) -> Colorizer:
    if not path.is_file():
        raise InputError("there is no such file")
    origin = _parse(*keras_files.read(path, _NOTE))
    model = keras.models.load_model(
        path,
        custom_objects=colorization.custom_objects(),
        compile=False,
        safe_mode=True,
    )
    if model.input_shape[1:] != (None, None, 1) or model.output_shape[-1] != 2:
        raise InputError(
            "it is not a colorizer: expected (height, width, 1) to (height, width, 2), "
            f"it maps {model.input_shape[1:]} to {model.output_shape[1:]}"
        )
    return Colorizer(model, origin)


def is_colorizer(path: str | os.PathLike) -> bool:
    """Whether a file says that it is a colorizer; nothing is built from it."""
    try:
        return keras_files.read(pathlib.Path(path), _NOTE)[1] is not None
    except Exception:  # of another kind, damaged, missing: whoever opens it says so
        return False


def load(path: str | os.PathLike) -> Colorizer:
    """Opens a colorizer's file. No code in the file is ever run.

    Args:
        path: `*.h5` or `*.keras`, written by `save`.

    Returns:
        The colorizer.

    Raises:
        InputError: The file is missing, damaged, not a colorizer, of another
            scaling, or contains what no colorizer consists of.
    """
    check_suffix(path)
    with keras_files.refused(
        lambda reason: f"Colorizer {str(path)!r}: {reason}. {_HOW_TO_TRAIN}",
        "not a colorizer",
    ):
        return _open(pathlib.Path(path))
