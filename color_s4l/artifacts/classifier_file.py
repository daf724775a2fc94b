"""A classifier in one file: a Keras model that knows its classes.

The note in it holds their names, and a digest of the weights, so that a damaged file is
noticed rather than used.
"""

import dataclasses
import hashlib
import json
import os
import pathlib

import keras
import numpy as np

from color_s4l.artifacts import keras_files
from color_s4l.data.image_files import RESIZES
from color_s4l.errors import InputError

# Imported so that Keras knows the layers of a saved classifier.
from color_s4l.networks import TRUNKS  # noqa: F401
from colorization import saving

NOTE = "color_s4l"
_LAYERS = {
    "Functional",
    "InputLayer",
    "Activation",
    "Add",
    "AveragePooling2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Cropping2D",
    "Dense",
    "Dropout",
    "GlobalAveragePooling2D",
    "LeakyReLU",
    "MaxPooling2D",
    "Preprocessing",
    "ReLU",
    "ReversibleStage",
    "ShakeShake",
    "Softmax",
    "ZeroPadding2D",
}
# What the layers' configurations name besides layers.
_VALUES = {
    "DTypePolicy",
    "GlorotUniform",
    "HeNormal",
    "Ones",
    "VarianceScaling",
    "Zeros",
    "__keras_tensor__",
}


@dataclasses.dataclass(frozen=True)
class About:
    """What one must know of a classifier to use it.

    Attributes:
        classes: Their names, in the order of the probabilities; empty: unknown.
        hflip: Whether left-right flips keep the class.
        resize: How its images became squares: "crop" or "pad".
        digest: Of the weights, 64 hexadecimal digits; empty: not recorded.
    """

    classes: tuple[str, ...] = ()
    hflip: bool = True
    resize: str = "crop"
    digest: str = ""

    def to_json(self) -> str:
        """The record as JSON text."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)


def _from_json(text: str | None) -> About:
    """Reads what `About.to_json` wrote; fields of later versions are left out."""
    if text is None:
        return About()
    known = {field.name for field in dataclasses.fields(About)}
    values = {name: value for name, value in json.loads(text).items() if name in known}
    about = About(**{**values, "classes": tuple(values.get("classes", ()))})
    if not all(isinstance(name, str) for name in about.classes):
        raise ValueError("the names of its classes are no texts")
    if about.resize not in RESIZES:
        raise ValueError(f"its images were made squares by {about.resize!r}")
    return about


def digest(model: keras.Model) -> str:
    """64 hexadecimal digits, a function of the weights."""
    content = hashlib.sha256()
    for weight in model.weights:
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(weight), "float32")
        content.update(str(value.shape).encode())
        content.update(value.tobytes())
    return content.hexdigest()


def save(model: keras.Model, path: pathlib.Path, about: About) -> None:
    """Writes a classifier's file, .keras or .h5 by its ending, whole or not at all.

    Args:
        model: Of `networks.inference_model`, or such a model loaded.
        path: Its folder exists; an old file is replaced.
        about: The digest in it is not read but made anew.
    """
    about = dataclasses.replace(about, digest=digest(model))
    keras_files.save(model, path, NOTE, about.to_json())


def load(path: str | os.PathLike) -> tuple[keras.Model, About]:
    """Opens a classifier's file. No code in the file is ever run.

    Args:
        path: `*.h5` or `*.keras`.

    Returns:
        The model, and what is known of it: nothing, where Keras alone wrote the file.

    Raises:
        InputError: The file is missing, damaged, no classifier of this library, or
            contains what no classifier consists of.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"There is no model at {path}: is the run complete?")
    with keras_files.refused(
        lambda reason: f"{path} is no classifier of this library: {reason}.",
        "something else",
    ):
        return _open(path)


def _open(path: pathlib.Path) -> tuple[keras.Model, About]:
    if path.suffix not in keras_files.SUFFIXES:
        raise InputError(f"its name ends in none of {', '.join(keras_files.SUFFIXES)}")
    if saving.is_colorizer(path):
        raise InputError("it is a colorizer (which --colorizer takes)")
    configuration, note = keras_files.read(path, NOTE)
    foreign = keras_files.foreign_classes(configuration, _LAYERS | _VALUES)
    if foreign:
        raise InputError(f"it contains {', '.join(foreign)}, and could run code")
    about = _from_json(note)
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    _check(model, about)
    return model, about


def _check(model: keras.Model, about: About) -> None:
    """Refuses other models, and weights that are not those that were saved."""
    taken, given = model.input_shape, model.output_shape
    images = isinstance(taken, tuple) and len(taken) == 4 and taken[-1] == 3
    parts = {"preprocessing", "trunk"} <= {layer.name for layer in model.layers}
    if not (images and parts and isinstance(given, tuple) and len(given) == 2):
        raise InputError(
            "expected preprocessing and trunk, from raw images to probabilities; "
            f"this maps {taken} to {given}"
        )
    if about.classes and len(about.classes) != given[-1]:
        raise InputError(
            f"it names {len(about.classes)} classes and tells {given[-1]} apart"
        )
    if about.digest and about.digest != digest(model):
        raise InputError("its weights are not those that were saved; it is damaged")
