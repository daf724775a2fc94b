"""Model files: Keras models with a note, read without running code from the file.

The first half of this module is for all models of this library, including colorizers. A
note is a JSON text with a name. It is stored as an attribute of a `.h5` file, or as the
member `NAME.json` of a `.keras` archive. Keras' safe mode refuses Python code in Lambda
layers, but it still looks up and calls any other object that a configuration names. The
configuration is therefore read as JSON first, and a class that is not known to be
harmless is refused before Keras reads it.

The second half is for classifiers: the note `About`, and a second file with the weights
of all heads, because the model file contains only the class head.
"""

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import json
import math
import os
import pathlib
import sys
import typing
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated

import h5py
import keras
import numpy as np

from color_s4l import registry
from color_s4l.artifacts.files import (
    h5_wanted,
    read_arrays,
    save_atomically,
    write_arrays,
)
from color_s4l.errors import InputError
from color_s4l.fields import Above, OneOf, check

if typing.TYPE_CHECKING:
    from color_s4l.networks.network import Network

SUFFIXES = (".h5", ".keras")
# Names of the notes in the files of classifiers and of colorizers. A note is a JSON
# text about the training.
NOTE, COLORIZER_NOTE = "color_s4l", "colorization_origin"

_CONFIGURATION = "config.json"
# Largest size in bytes of a text in an archive. The configuration of a network with 152
# layers has 400 kB. A malicious archive can expand to gigabytes.
_LONGEST = 64 * 2**20
# A file is refused before its weights are read if they would need more bytes than this
# multiple of the file's size, plus the slack. Weights are not compressed; 4 allows for
# 8-bit weights, which are counted with 4 bytes.
_LARGEST_RATIO, _SLACK = 4, 2**20

# Public namespaces of Keras whose classes occur in model files, and the modules that
# define the harmless classes: their constructors only use numbers and objects that are
# checked as well. All other classes are refused. They run code (Lambda, TFSMLayer,
# JaxLayer, FlaxLayer, TorchModuleWrapper), read vocabulary files (StringLookup,
# TextVectorization) or do not occur in image classifiers.
_NAMESPACES = (
    "keras",
    "keras.layers",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.random",
)
_HARMLESS = tuple(
    f"keras.src.{name}."
    for name in (
        *("constraints", "dtype_policies", "initializers", "regularizers"),
        *("models.sequential", "random.seed_generator"),
        *("layers.activations", "layers.attention", "layers.convolutional"),
        *("layers.core.dense", "layers.core.einsum_dense", "layers.core.embedding"),
        *("layers.core.identity", "layers.core.input_layer", "layers.core.masking"),
        *("layers.merging", "layers.normalization", "layers.pooling"),
        *("layers.preprocessing.image_preprocessing", "layers.regularization"),
        *("layers.preprocessing.normalization", "layers.preprocessing.rescaling"),
        *("layers.reshaping", "layers.rnn"),
    )
)
# Operations on symbolic tensors (`x + y`, `keras.ops.mean(x)`) are stored with the name
# of the module that defines them. The other modules of keras.ops are left out, because
# some of their operations take a function as an argument.
_OPERATIONS = tuple(
    f"keras.src.ops.{name}" for name in ("image", "linalg", "math", "nn", "numpy")
)
# Class names of values that JSON cannot represent; Keras stores them as plain data.
_DATA = {"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__"}


def save_with_note(
    model: keras.Model, path: pathlib.Path, name: str, note: str
) -> None:
    """Saves a Keras model with a note, atomically.

    Args:
        model: The model.
        path: A file that ends in one of `SUFFIXES`, in an existing folder; replaced if
            it exists.
        name: Name of the note.
        note: JSON text.
    """
    save_atomically(path, lambda file: _write(model, pathlib.Path(file), name, note))


def _write(model: keras.Model, path: pathlib.Path, name: str, note: str) -> None:
    with h5_wanted():
        model.save(path)
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            file.attrs[name] = note
    else:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(f"{name}.json", note)


def read_note(path: pathlib.Path, name: str) -> tuple[dict | None, str | None]:
    """Reads a model's configuration and its note without building the model.

    Args:
        path: A file that ends in one of `SUFFIXES`.
        name: Name of the note.

    Returns:
        The configuration and the text of the note; each is None if it is missing.

    Raises:
        Exception: Any exception of h5py, zipfile and json, if the file is damaged.
    """
    if path.suffix == ".h5":
        with h5py.File(path, "r") as file:
            configuration, note = file.attrs.get("model_config"), file.attrs.get(name)
    else:
        with zipfile.ZipFile(path) as archive:
            configuration = _member(archive, _CONFIGURATION)
            note = _member(archive, f"{name}.json")
    return configuration and json.loads(configuration), note


def _member(archive: zipfile.ZipFile, name: str) -> str | None:
    if name not in archive.namelist():
        return None
    if archive.getinfo(name).file_size > _LONGEST:
        raise ValueError(f"{name} is longer than {_LONGEST} bytes")
    return archive.read(name).decode()


def is_colorizer(path: str | os.PathLike) -> bool:
    """Returns whether a file has a colorizer's note, without building the model."""
    try:
        return read_note(pathlib.Path(path), COLORIZER_NOTE)[1] is not None
    except Exception:  # missing or damaged; reported by the function that opens it
        return False


def build(
    path: pathlib.Path,
    configuration: dict,
    custom_objects: Mapping[str, type] | None = None,
) -> keras.Model:
    """Builds a model from a file whose configuration only names harmless classes.

    Args:
        path: The file.
        configuration: Its configuration, from `read_note`.
        custom_objects: Further classes of this library that the file may name.

    Raises:
        InputError: The configuration names another class, or the declared weights are
            too large for the size of the file.
        Exception: Any exception of Keras and h5py, if the file is damaged.
    """
    refused = refused_classes(configuration, custom_objects)
    if refused:
        raise InputError(f"it contains {', '.join(refused)}, and could run code")
    size = path.stat().st_size
    declared = max(_stored_bytes(path), 4 * _declared_weights(configuration))
    if declared > _LARGEST_RATIO * size + _SLACK:
        raise InputError(
            f"it declares {declared / 1e6:,.0f} MB of weights and has {size / 1e6:,.1f}"
            " MB"
        )
    return keras.models.load_model(
        path, custom_objects=custom_objects, compile=False, safe_mode=True
    )


def _stored_bytes(path: pathlib.Path) -> int:
    """Returns the number of bytes that a file's members or arrays declare."""
    if path.suffix != ".h5":
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    sizes = []

    def add(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(math.prod(item.shape or ()) * item.dtype.itemsize)

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return sum(sizes)


def _declared_weights(configuration: dict) -> int:
    """Returns a lower bound of the number of weights of the layers."""
    total = 0
    for entry in _entries(configuration):
        config = entry.get("config")
        values = config if isinstance(config, dict) else {}
        built = entry.get("build_config")
        shape = built.get("input_shape") if isinstance(built, dict) else None
        inputs = shape[-1] if isinstance(shape, list) and shape else 1
        outputs = values.get("units", values.get("filters", 0))
        if isinstance(inputs, int) and isinstance(outputs, int):
            groups = values.get("groups", 1)
            if not isinstance(groups, int) or not 1 <= groups <= inputs:
                groups = 1
            # A negative number would hide the weights of other layers.
            total += max(0, inputs * outputs // groups)
    return total


def refused_classes(
    configuration: object, custom_objects: Mapping[str, type] | None = None
) -> list[str]:
    """Returns the classes in a configuration that are not known to be harmless.

    The known classes are the harmless classes of Keras, and every class and function
    that is registered with Keras (`register_keras_serializable`). A registered class is
    in a module that this library, a plug-in or the user has imported.

    Args:
        configuration: Configuration from `read_note`.
        custom_objects: Further known classes by name.

    Returns:
        Sorted names without repetition; `module.name` for modules outside Keras.
    """
    registered = {**(custom_objects or {}), **keras.saving.get_custom_objects()}
    names = {
        _spelled(entry)
        for entry in _entries(configuration)
        if not _known(entry, registered)
    }
    return sorted(names)


def _entries(configuration: object) -> Iterator[dict]:
    """Yields all dictionaries, at any depth, that Keras interprets as a class."""
    children: list = configuration if isinstance(configuration, list) else []
    if isinstance(configuration, dict):
        children = list(configuration.values())
        if "class_name" in configuration:
            yield configuration
    for child in children:
        yield from _entries(child)


def _spelled(entry: dict) -> str:
    name, module = str(entry["class_name"]), str(entry.get("module") or "keras")
    return name if module.partition(".")[0] == "keras" else f"{module}.{name}"


def _known(entry: dict, registered: Mapping[str, typing.Any]) -> bool:
    """Returns whether all objects that Keras could build from an entry are harmless.

    `.keras` files are resolved by `registered_name`, then by `module` and `class_name`;
    H5 files by `class_name` alone. A file may contain both kinds of entries, so both
    names must belong to harmless classes.
    """
    name, module = entry["class_name"], entry.get("module")
    if name == "function":
        return entry.get("config") in registered
    key = entry.get("registered_name") or name
    if key in registered:
        same_class = name == getattr(registered[key], "__name__", None)
        harmless = name in _harmless()[0] or not hasattr(keras.layers, name)
        return name == key or (same_class and harmless)
    if module is None:
        return name in _DATA or name in _harmless()[0]
    return (module, name) in _harmless()[1] or _is_operation(module, name)


@functools.cache
def _harmless() -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Returns the names of Keras' harmless classes, without and with their modules."""
    # Keras exports no name for the class of functional models.
    pairs = {("keras.src.models.functional", "Functional")}
    for namespace in _NAMESPACES:
        module = functools.reduce(getattr, namespace.split(".")[1:], keras)
        for name, value in inspect.getmembers(module, inspect.isclass):
            if f"{value.__module__}.".startswith(_HARMLESS):
                pairs |= {(namespace, name), (value.__module__, value.__name__)}
    return frozenset(name for _, name in pairs), frozenset(pairs)


def _is_operation(module: str, name: str) -> bool:
    found = getattr(sys.modules.get(module), name, None)
    known = module in _OPERATIONS and inspect.isclass(found)
    return known and issubclass(typing.cast(type, found), keras.Operation)


@contextlib.contextmanager
def refused(sentence: Callable[[str], str], otherwise: str) -> Iterator[None]:
    """Converts every exception in the `with` block to an InputError of one line.

    Args:
        sentence: Function that returns the line; its argument is the reason, without a
            full stop.
        otherwise: Second possible reason, besides damage: "not a colorizer".

    Raises:
        InputError: The block raised an exception. The text is the result of `sentence`.
    """
    try:
        yield
        return
    except InputError as error:
        reason = str(error).rstrip(".")
    except Exception as error:
        # h5py, zipfile, json and Keras have no common type for a damaged file.
        detail = " ".join(str(error).split())[:160]
        reason = f"it is damaged or {otherwise} ({type(error).__name__}: {detail})"
    raise InputError(sentence(reason))


@dataclasses.dataclass(frozen=True)
class About:
    """The note in a classifier's file.

    Attributes:
        classes: Names of the classes, in the order of the probabilities; empty:
            unknown.
        hflip: Whether left-right flips keep the class.
        resize: How images that are not square became squares: "crop" or "pad".
        test_views: Views of test-time augmentation, as in `Run`.
        network: Name of the trunk; empty: not recorded.
        plugin: Module of the plug-in that registered the trunk; None for the trunks of
            this library.
        digest: Digest of the weights, 64 hexadecimal digits; empty: not recorded.
        temperature: Temperature of the calibration; None: not calibrated. The model's
            own probabilities are not calibrated; `Classifier.predict` applies the
            temperature.
        calibrated_on: Images to which the temperature was fitted, in words: "400
            validation images".
        counted_on: Images on which `mistakes` are counted, in words: "400 test images".
        mistakes: One tuple for each of several confidences: the confidence, the number
            of images whose highest probability (with the temperature) is at least the
            confidence, and the number of mistakes among these images.

    Raises:
        InputError: A value is not allowed.
    """

    classes: tuple[str, ...] = ()
    hflip: bool = True
    resize: Annotated[str, OneOf("crop", "pad")] = "crop"
    test_views: str = "published"
    network: str = ""
    plugin: str | None = None
    digest: str = ""
    temperature: Annotated[float, Above(0)] | None = None
    calibrated_on: str = ""
    counted_on: str = ""
    mistakes: tuple[tuple[float, int, int], ...] = ()

    def __post_init__(self) -> None:
        check(self)
        if not all(isinstance(name, str) for name in self.classes):
            raise InputError("Expected `classes` to be strings.")

    def to_json(self) -> str:
        """Returns the note as JSON text."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> typing.Self:
        """Reads a note that `to_json` wrote; fields of later versions are ignored.

        Raises:
            ValueError: The text is not a JSON object, or a value is not allowed.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        values = {k: v for k, v in dict(json.loads(text)).items() if k in known}
        values["classes"] = tuple(values.get("classes", ()))
        values["mistakes"] = tuple(tuple(row) for row in values.get("mistakes", ()))
        return cls(**values)


def digest(model: keras.Model, architecture: str = "") -> str:
    """Returns the SHA-256 digest of a model's weights and their shapes, as hex digits.

    Args:
        model: The model.
        architecture: Text that is included in the digest.
    """
    content = hashlib.sha256(architecture.encode())
    for weight in model.weights:
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(weight), "float32")
        content.update(str(value.shape).encode())
        content.update(value.tobytes())
    return content.hexdigest()


def save(model: keras.Model, path: pathlib.Path, about: About) -> None:
    """Writes a classifier's file atomically.

    Args:
        model: A model from `networks.inference_model` or `load`.
        path: A .keras or .h5 file in an existing folder; replaced if it exists.
        about: The note. Its digest is ignored and computed again.
    """
    about = dataclasses.replace(about, digest=digest(model))
    save_with_note(model, path, NOTE, about.to_json())


def load(path: str | os.PathLike) -> tuple[keras.Model, About]:
    """Opens a classifier's file. No code in the file is run.

    Args:
        path: `*.h5` or `*.keras`.

    Returns:
        The model and its note. The note is empty if the file was written with Keras
        only.

    Raises:
        InputError: The file is missing, damaged or not a classifier of this library, it
            names a class that could run code, or its plug-in is not loaded.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"There is no model at {path}: is the run complete?")

    def sentence(reason: str) -> str:
        return f"{path} is not a classifier of this library: {reason}."

    # Keras finds a class only after its module is imported. Reading a registry imports
    # the modules of its package and the installed plug-ins.
    for package in (registry.TRUNKS, registry.VIEWS):
        len(package)
    with refused(sentence, "something else"):
        configuration, about = _read_about(path)
    if about.plugin is not None and about.plugin not in sys.modules:
        raise InputError(
            f"{path} uses the network {about.network!r} of the plug-in "
            f"{about.plugin}: load it first, with `plugins` or color_s4l.load_plugins."
        )
    with refused(sentence, "something else"):
        model = build(path, configuration)
        _check_model(model, about)
    return model, about


def _read_about(path: pathlib.Path) -> tuple[dict, About]:
    if path.suffix not in SUFFIXES:
        raise InputError(f"its name does not end with {' or '.join(SUFFIXES)}")
    if is_colorizer(path):
        raise InputError("it is a colorizer, written by colorization.train")
    configuration, note = read_note(path, NOTE)
    if configuration is None:
        raise InputError("it contains no model")
    return configuration, About() if note is None else About.from_json(note)


def _check_model(model: keras.Model, about: About) -> None:
    """Raises an error if the model is not a classifier or its weights were changed."""
    taken, given = model.input_shape, model.output_shape
    images = isinstance(taken, tuple) and len(taken) == 4 and taken[-1] == 3
    parts = {"preprocessing", "trunk"} <= {layer.name for layer in model.layers}
    if not (images and parts and isinstance(given, tuple) and len(given) == 2):
        raise InputError(
            "expected a model with the layers preprocessing and trunk that maps images "
            f"to probabilities; this model maps {taken} to {given}"
        )
    if about.classes and len(about.classes) != given[-1]:
        raise InputError(
            f"it has names for {len(about.classes)} classes and probabilities for "
            f"{given[-1]}"
        )
    if about.digest and about.digest != digest(model):
        raise InputError("its weights do not match its digest: the file is damaged")


def heads_path(model: pathlib.Path) -> pathlib.Path:
    """Returns the path of the file with the weights of all heads of a model.

    It is heads.npz for model.keras, and heads_teacher.npz for model_teacher.keras.
    """
    return model.with_name(model.stem.replace("model", "heads", 1) + ".npz")


def save_heads(network: "Network", path: pathlib.Path) -> None:
    """Writes the weights of all heads: `class/0` is a kernel, `class/1` its bias.

    Args:
        network: A built network.
        path: An NPZ file, replaced atomically; its folder exists.
    """
    arrays = {
        f"{name}/{index}": array
        for name, head in network.heads.items()
        for index, array in enumerate(head.get_weights())
    }
    write_arrays(path, arrays)


def load_heads(path: pathlib.Path) -> dict[str, list[np.ndarray]]:
    """Reads the heads that `save_heads` wrote.

    Returns:
        Name -> kernel and bias.

    Raises:
        InputError: There is no such file, or it is damaged.
    """
    if not path.is_file():
        raise InputError(f"There are no heads at {path}: leave `init_heads` out.")
    try:
        stored = read_arrays(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}).") from error
    heads: dict[str, list[np.ndarray]] = {}
    for key in sorted(stored):
        heads.setdefault(key.partition("/")[0], []).append(stored[key])
    return heads
