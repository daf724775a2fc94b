"""Keras' two file formats, with a note of ours inside, read as data.

A note is a text by a name: an attribute of a `.h5` file, a member `NAME.json` of a
`.keras` archive. Keras' safe mode refuses Python code in Lambda layers, but still looks
up and calls whatever else a configuration names; so the configuration is read as JSON
first, and a class that the caller does not know is refused before Keras sees it.
"""

import contextlib
import json
import pathlib
import zipfile
from collections.abc import Callable, Collection, Iterator

import h5py

from color_s4l.artifacts.files import h5_wanted, save_atomically
from color_s4l.errors import InputError

SUFFIXES = (".h5", ".keras")
_CONFIGURATION = "config.json"
# A configuration of 152 layers has 400 kB; an archive may claim to hold gigabytes.
_LONGEST = 64 * 2**20
# Where classes come from; of Keras' and ours by name, of anywhere else none.
_PACKAGES = ("keras", "color_s4l", "colorization")


def save(model, path: pathlib.Path, name: str, note: str) -> None:
    """Saves a Keras model with a note, whole or not at all.

    Args:
        model: A `keras.Model`.
        path: Ends in one of `SUFFIXES`; its folder exists; an old file is replaced.
        name: Of the note.
        note: A text, meant to be JSON.
    """
    save_atomically(path, lambda file: _write(model, pathlib.Path(file), name, note))


def _write(model, path: pathlib.Path, name: str, note: str) -> None:
    with h5_wanted():
        model.save(path)
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            file.attrs[name] = note
    else:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(f"{name}.json", note)


def read(path: pathlib.Path, name: str) -> tuple[dict | None, str | None]:
    """A model's configuration and its note; nothing is built from them.

    Args:
        path: Ends in one of `SUFFIXES`.
        name: Of the note.

    Returns:
        Both as they stand in the file, None for what does not.

    Raises:
        Exception: Whatever h5py, zipfile and json raise for a damaged file.
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


def foreign_classes(configuration: object, known: Collection[str]) -> list[str]:
    """The classes that a configuration names and the caller does not know.

    Args:
        configuration: Of `read`.
        known: Names of classes of Keras, and of ours that Keras knows as registered.

    Returns:
        Sorted names without repetition, `module.name` where the module is strange.
    """
    return sorted(set(_strange(configuration, known)))


def _strange(configuration: object, known: Collection[str]) -> Iterator[str]:
    children: list = configuration if isinstance(configuration, list) else []
    if isinstance(configuration, dict):
        children = list(configuration.values())
        if "class_name" in configuration:
            name, module = configuration["class_name"], configuration.get("module")
            if module and str(module).partition(".")[0] not in _PACKAGES:
                yield f"{module}.{name}"
            # H5 files name a registered class so.
            elif str(name).removeprefix("color_s4l>") not in known:
                yield str(name)
    for child in children:
        yield from _strange(child, known)


@contextlib.contextmanager
def refused(sentence: Callable[[str], str], otherwise: str) -> Iterator[None]:
    """Inside, whatever opening a file raises becomes one line.

    Args:
        sentence: From the reason, which has no full stop, to the line.
        otherwise: What the file may be if it is not damaged.

    Raises:
        InputError: The sentence.
    """
    try:
        yield
        return
    except InputError as error:
        reason = str(error)
    except Exception as error:
        # h5py, zipfile, json and Keras have no common type for a damaged file.
        detail = " ".join(str(error).split())[:160]
        reason = f"it is damaged or {otherwise} ({type(error).__name__}: {detail})"
    raise InputError(sentence(reason))
