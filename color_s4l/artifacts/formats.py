"""Exports of a classifier to other programs: Keras, TensorFlow, ONNX Runtime, LiteRT.

Every exported model takes raw uint8 RGB images `(n, height, width, 3)` and returns
class probabilities. It contains the note `models.About` (JSON) with the names of the
classes. If the classifier has a temperature, a layer divides the logits by it, so that
the exported probabilities are calibrated.

A format is a function that is registered with `register_format`:

    @register_format("onnx", suffix=".onnx", needs=("tensorflow", "tf2onnx", "onnx"))
    def write_onnx(model, path, about): ...

The function receives the model, the path to write to and the note. `suffix` is the
ending of the file's name; "" means that the function creates a folder. `needs` are the
packages that the function imports besides Keras; if they include "tensorflow", Keras
must run on TensorFlow. `any_size=True` means that the format can store the resizing of
images.
"""

import contextlib
import dataclasses
import importlib.util
import json
import os
import pathlib
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator

import keras
from keras import layers

from color_s4l.artifacts import models
from color_s4l.artifacts.files import save_atomically
from color_s4l.artifacts.models import NOTE, About
from color_s4l.errors import InputError
from color_s4l.networks.network import PROBABILITIES
from color_s4l.networks.portable import portable
from color_s4l.registry import FORMATS, register_format


def _exact(model: keras.Model) -> keras.Model:
    """Returns the model in float32: a copy if the model has mixed precision.

    ONNX Runtime and LiteRT have no bfloat16 convolutions.
    """
    text = json.dumps(model.get_config())
    plain = text.replace("mixed_bfloat16", "float32").replace(
        "mixed_float16", "float32"
    )
    if plain == text:
        return model
    exact = keras.Model.from_config(json.loads(plain))
    exact.set_weights(model.get_weights())
    return exact


@register_format("keras", suffix=".keras", any_size=True)
@register_format("h5", suffix=".h5", any_size=True)
def write_keras(model: keras.Model, path: pathlib.Path, about: About) -> None:
    """Writes a file of Keras' own layers, with the note as `models.save` stores it.

    Keras opens the file without this library.
    """
    models.save(portable(_exact(model)), path, about)


@register_format("saved_model", suffix="", needs=("tensorflow",), any_size=True)
def write_saved_model(model: keras.Model, path: pathlib.Path, about: About) -> None:
    """Writes a TensorFlow SavedModel, with the note in its folder `assets.extra`."""
    model.export(path, format="tf_saved_model", verbose=False)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / f"{NOTE}.json").write_text(about.to_json(), encoding="utf-8")


@register_format("onnx", suffix=".onnx", needs=("tensorflow", "tf2onnx", "onnx"))
def write_onnx(model: keras.Model, path: pathlib.Path, about: About) -> None:
    """Writes an ONNX file with the output "probabilities"; the note is metadata."""
    import onnx

    model = _exact(model)
    # Keras refuses to export a model that has never been called.
    model(keras.ops.zeros((1, *model.input_shape[1:]), "uint8"))
    with warnings.catch_warnings():
        # Keras reads a deprecated attribute of NumPy to patch tf2onnx.
        warnings.simplefilter("ignore", FutureWarning)
        model.export(path, format="onnx", verbose=False)
    artefact = onnx.load(path)
    graph = artefact.graph
    (last,) = (node for node in graph.node if graph.output[0].name in node.output)
    last.output[:] = ["probabilities"]
    graph.output[0].name = "probabilities"
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.helper.set_model_props(artefact, {NOTE: about.to_json()})
    onnx.save(artefact, path)


@register_format("litert", suffix=".tflite", needs=("tensorflow",))
def write_litert(model: keras.Model, path: pathlib.Path, about: About) -> None:
    """Writes a LiteRT file, with the note in a ZIP archive appended to it.

    LiteRT's own metadata tools store further files the same way.
    """
    _exact(model).export(path, format="litert", verbose=False)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{NOTE}.json", about.to_json())


def check(name: str, path: pathlib.Path, *, any_size: bool = False) -> None:
    """Raises an error for an export that cannot succeed, before anything is loaded.

    Args:
        name: Name of a registered format.
        path: Where the exported model will be written.
        any_size: Whether the exported model will resize images.

    Raises:
        InputError: The format does not exist or cannot resize images, a package is
            missing, the path has the wrong ending, or the path exists.
    """
    options = FORMATS.options(name)
    if any_size and not options.get("any_size"):
        able = [other for other in FORMATS if FORMATS.options(other).get("any_size")]
        raise InputError(
            f"`any_size` is possible for the formats {', '.join(able)}. "
            f"Received: {name}."
        )
    missing = [p for p in options.get("needs", ()) if not importlib.util.find_spec(p)]
    if missing:
        raise InputError(
            f"The format {name} needs the package {' and '.join(missing)}: "
            f"pip install {' '.join(missing)}."
        )
    suffix = options["suffix"]
    if path.suffix != suffix:
        raise InputError(
            f"Expected `output` of the format {name} to "
            f"{f'end with {suffix}' if suffix else 'be a folder, without an ending'}. "
            f"Received: {path}."
        )
    if path.exists():
        raise InputError(
            f"{path} exists already, and nothing is overwritten: give another `output`."
        )


def export(
    model: keras.Model,
    about: About,
    name: str,
    path: pathlib.Path,
    *,
    any_size: bool = False,
) -> None:
    """Writes a model in another format, atomically.

    Args:
        model: A model from `models.load`.
        about: The note; its digest is computed again.
        name: Name of a registered format.
        path: A path that `check` accepts; its folder is created.
        any_size: Whether the exported model takes images of any size and resizes them,
            bicubic and antialiased, as `about.resize` says. All images of a batch have
            the same size.

    Raises:
        InputError: `check` raised an error, the format needs TensorFlow and Keras
            runs on JAX, `any_size` is set for a model that already takes images of any
            size, or the model has a layer that the format cannot store.
    """
    check(name, path, any_size=any_size)
    write, options = FORMATS[name], FORMATS.options(name)
    needs_tensorflow = "tensorflow" in options.get("needs", ())
    if needs_tensorflow and keras.backend.backend() != "tensorflow":
        raise InputError(
            f"The format {name} is written by Keras on TensorFlow. Set "
            "KERAS_BACKEND=tensorflow, also for a model trained on JAX."
        )
    if any_size and model.input_shape[1] is None:
        raise InputError("`any_size`: the model takes images of any size already.")
    path.parent.mkdir(parents=True, exist_ok=True)
    model, about = _calibrated(model, about)
    if any_size:
        model = portable(_exact(model), about.resize)
    about = dataclasses.replace(about, digest=models.digest(model))
    if options["suffix"]:
        save_atomically(path, lambda file: write(model, pathlib.Path(file), about))
        return
    with _unfinished(path) as folder:
        write(model, folder, about)
        os.replace(folder, path)


def _calibrated(model: keras.Model, about: About) -> tuple[keras.Model, About]:
    """Returns a model whose probabilities are calibrated, and its note.

    The model shares all weights. Its note has temperature 1, so that
    `Classifier.predict` does not apply the temperature a second time.
    """
    if about.temperature in (None, 1.0):
        return model, about
    cooled = layers.Rescaling(
        1 / about.temperature, dtype="float32", name="temperature"
    )
    softmax = layers.Softmax(dtype="float32", name=PROBABILITIES)
    logits = model.get_layer(PROBABILITIES).input
    calibrated = keras.Model(model.input, softmax(cooled(logits)), name=model.name)
    return calibrated, dataclasses.replace(about, temperature=1.0)


@contextlib.contextmanager
def _unfinished(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a path in a new folder beside `path`; the folder is removed at the end."""
    outer = pathlib.Path(tempfile.mkdtemp(dir=path.parent, prefix=".unfinished-"))
    try:
        yield outer / path.name
    finally:
        shutil.rmtree(outer)
