"""Where images come from: a name -> a `Data`."""

import dataclasses
import difflib
import os
from collections.abc import Iterable

from color_s4l.data import digits, folder, tfds
from color_s4l.data.dataset import Data
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings


def _load_digits(source: DataSettings) -> Data:
    if source.data_dir is not None:
        # Or a forgotten --dataset=folder would train on the digits instead.
        raise InputError(
            "--dataset=digits is built in and reads no --data_dir. "
            "For your own images give --dataset=folder."
        )
    return digits.load(source.image_size)


SOURCES = {"digits": _load_digits, "folder": folder.load}
_OF_FOLDERS = {"labels_csv", "test_fraction", "fit", "cache"}


def load(name: str, data_dir: str | None = None, image_size: int | None = None) -> Data:
    """Reads a data set.

    Args:
        name: "digits" (built in), "folder" (class folders), or the name of an
            image-classification set of tensorflow-datasets, as its own
            `tfds.builder` takes it: "cifar10", "svhn_cropped",
            "cifar10_corrupted/fog_1".
        data_dir: The images' directory (folder), or the one that holds prepared
            TFDS data, where nothing is downloaded then.
        image_size: Side in pixels to resize to; None for 32 (folder) or the
            size stored (the others).

    Returns:
        The `Data`.

    Raises:
        InputError: There is no such data set, or it cannot be had or read.
    """
    return load_source(DataSettings(name, data_dir, image_size))


def load_source(source: DataSettings) -> Data:
    """Reads the data set that a command's flags name.

    Args:
        source: Any command's record is one.

    Returns:
        The `Data`.

    Raises:
        InputError: There is no such data set, it cannot be had or read, or a flag
            does not go with it.
    """
    size, data_dir = source.image_size, source.data_dir
    if size is not None and size < 1:
        raise InputError(f"Expected --image_size of at least 1. Received: {size}.")
    if data_dir is not None:
        # The shell leaves the ~ of --data_dir=~/images as it is.
        data_dir = os.path.expanduser(data_dir)
    if source.dataset != "folder":
        _refuse_folder_flags(source)
    source = dataclasses.replace(source, data_dir=data_dir)
    if source.dataset in SOURCES:
        return SOURCES[source.dataset](source)
    try:
        return tfds.load(source.dataset, data_dir, size)
    except tfds.UnknownNameError as error:
        raise unknown_source(source.dataset, error.known) from error


def _refuse_folder_flags(source: DataSettings) -> None:
    for field in dataclasses.fields(DataSettings):
        value = getattr(source, field.name)
        if field.name in _OF_FOLDERS and value != field.default:
            raise InputError(
                f"--{field.name}={value} is for --dataset=folder. "
                f"Received: --dataset={source.dataset}."
            )


def unknown_source(name: str, others: Iterable[str]) -> InputError:
    """The error for a name that no source knows; names the closest, never all.

    Args:
        name: What came.
        others: The names that exist beside `SOURCES`.

    Returns:
        An `InputError`, to be raised by the caller.
    """
    known = [*SOURCES, *others]
    close = difflib.get_close_matches(name.lower(), known, n=3)
    # "svhn" is far from "svhn_cropped" by its letters, yet what was meant.
    close = close or [other for other in known if other.startswith(name.lower())]
    named = " or ".join(repr(other) for other in close[:3])
    suggestion = f" Did you mean {named}?" if close else ""
    return InputError(
        f"There is no data set {name!r}.{suggestion} There are: {', '.join(SOURCES)}, "
        "and the image-classification sets of "
        "https://www.tensorflow.org/datasets/catalog/overview."
    )
