"""A classifier for other programs: Keras, TensorFlow, ONNX Runtime, LiteRT.

Every artefact takes raw uint8 RGB images, `(n, height, width, 3)`, and gives class
probabilities; every one carries the same note (`classifier_file.About`, JSON) with the
names of the classes, where its format has a place for it.
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
from collections.abc import Callable, Iterator

import keras

from color_s4l.artifacts import classifier_file
from color_s4l.artifacts.classifier_file import NOTE, About
from color_s4l.artifacts.files import save_atomically
from color_s4l.errors import InputError, unknown


@dataclasses.dataclass(frozen=True)
class Format:
    """One kind of artefact.

    Attributes:
        ending: Of its file's name; empty: it is a folder.
        write: Receives the model, a path that is renamed later, and the note.
        needs: Packages that write it, beside Keras.
    """

    ending: str
    write: Callable[[keras.Model, pathlib.Path, About], None]
    needs: tuple[str, ...] = ()


def _exact(model: keras.Model) -> keras.Model:
    """The model in float32 where it computes in less: the runtimes know no bfloat16."""
    text = json.dumps(model.get_config())
    plain = text.replace("mixed_bfloat16", "float32").replace(
        "mixed_float16", "float32"
    )
    if plain == text:
        return model
    exact = keras.Model.from_config(json.loads(plain))
    exact.set_weights(model.get_weights())
    return exact


def _write_saved_model(model: keras.Model, path: pathlib.Path, about: About) -> None:
    """TensorFlow's own folder; `assets.extra` is its place for what others add."""
    model.export(path, format="tf_saved_model", verbose=False)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / f"{NOTE}.json").write_text(about.to_json(), encoding="utf-8")


def _write_onnx(model: keras.Model, path: pathlib.Path, about: About) -> None:
    """The note is a metadata property; the output gets a name that says something."""
    import onnx

    model = _exact(model)
    model(keras.ops.zeros((1, *model.input_shape[1:]), "uint8"))  # Keras insists
    with warnings.catch_warnings():
        # Keras asks NumPy for an attribute of long ago, to patch tf2onnx.
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


def _write_litert(model: keras.Model, path: pathlib.Path, about: About) -> None:
    """The note is a ZIP archive behind the model: LiteRT's way for further files."""
    _exact(model).export(path, format="litert", verbose=False)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{NOTE}.json", about.to_json())


FORMATS = {
    "h5": Format(".h5", classifier_file.save),
    "keras": Format(".keras", classifier_file.save),
    "saved_model": Format("", _write_saved_model, ("tensorflow",)),
    "onnx": Format(".onnx", _write_onnx, ("tensorflow", "tf2onnx", "onnx")),
    "litert": Format(".tflite", _write_litert, ("tensorflow",)),
}


def check(name: str, path: pathlib.Path) -> None:
    """Refuses what can't be written, before anything is loaded.

    Args:
        name: A key of `FORMATS`.
        path: Where the artefact is to go.

    Raises:
        InputError: There is no such format, a package is missing, the path has
            another ending or exists.
    """
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    missing = [p for p in FORMATS[name].needs if not importlib.util.find_spec(p)]
    if missing:
        raise InputError(
            f"--format={name} needs the package {' and '.join(missing)}: "
            f"pip install {' '.join(missing)}."
        )
    ending = FORMATS[name].ending
    if path.suffix != ending:
        raise InputError(
            f"--format={name}: expected --output to "
            f"{f'end with {ending}' if ending else 'be a folder, without an ending'}. "
            f"Received: {path}."
        )
    if path.exists():
        raise InputError(
            f"{path} exists already, and nothing is overwritten: give another --output."
        )


def export(model: keras.Model, about: About, name: str, path: pathlib.Path) -> None:
    """Writes an artefact, whole or not at all.

    Args:
        model: Of `classifier_file.load`.
        about: What the artefact says of itself.
        name: A key of `FORMATS`.
        path: As `check` wants it; its folder is made.

    Raises:
        InputError: As `check`; or the format is TensorFlow's and Keras runs on JAX.
    """
    check(name, path)
    chosen = FORMATS[name]
    if chosen.needs and keras.backend.backend() != "tensorflow":
        raise InputError(
            f"The format {name} is written by Keras on TensorFlow "
            "(KERAS_BACKEND=tensorflow); a model trained on JAX is loaded there too."
        )
    about = dataclasses.replace(about, digest=classifier_file.digest(model))
    path.parent.mkdir(parents=True, exist_ok=True)
    if chosen.ending:
        save_atomically(path, lambda f: chosen.write(model, pathlib.Path(f), about))
        return
    with _unfinished(path) as folder:
        chosen.write(model, folder, about)
        os.replace(folder, path)


@contextlib.contextmanager
def _unfinished(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A new folder beside `path`, removed again unless it took `path`'s place."""
    outer = pathlib.Path(tempfile.mkdtemp(dir=path.parent, prefix=".unfinished-"))
    try:
        yield outer / path.name
    finally:
        shutil.rmtree(outer)
