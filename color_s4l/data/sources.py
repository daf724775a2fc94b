"""Data sets by name.

A source is a function `load(settings: DataSettings) -> Data`, registered by

    @register_source("my_source", options=("test_fraction",))

`options` names the fields of `DataSettings` that the source reads in addition to
`dataset`, `data_dir` and `image_size`. A data set whose name is not registered is read
from tensorflow-datasets.
"""

import dataclasses
import os

from color_s4l import fields
from color_s4l.data import tfds
from color_s4l.data.dataset import Data
from color_s4l.errors import InputError
from color_s4l.registry import SOURCES
from color_s4l.settings import DataSettings

_COMMON = ("dataset", "data_dir", "image_size")


def load(settings: DataSettings) -> Data:
    """Reads a data set.

    Args:
        settings: `dataset` is "digits" or "drawings" (built in), "folder" (a user's own
            images), another registered name, or the name of an image-classification set
            of tensorflow-datasets in the form for `tfds.builder`: "cifar10",
            "svhn_cropped", "cifar10_corrupted/fog_1".

    Raises:
        InputError: There is no data set with this name, it cannot be downloaded or
            read, or a field of `settings` is set that its source does not read.
    """
    fields.check(settings)
    registered = settings.dataset in SOURCES
    read = _options(settings.dataset) if registered else tfds.OPTIONS
    _check_options(settings, read)
    if settings.data_dir is not None:
        # The shell does not expand the ~ of --data_dir=~/images.
        directory = os.path.expanduser(settings.data_dir)
        settings = dataclasses.replace(settings, data_dir=directory)
    source = SOURCES[settings.dataset] if registered else tfds.load
    return source(settings)


def _check_options(settings: DataSettings, read: tuple[str, ...]) -> None:
    """Raises an error for a parameter that the source does not read."""
    for field in dataclasses.fields(DataSettings):
        value = getattr(settings, field.name)
        if field.name in (*_COMMON, *read) or value == field.default:
            continue
        users = [n for n in SOURCES if field.name in _options(n)]
        if field.name in tfds.OPTIONS:
            users.append("a data set of tensorflow-datasets")
        raise InputError(
            f"`{field.name}`={value} needs `dataset`={' or '.join(users)}. "
            f"Received: `dataset`={settings.dataset}."
        )


def _options(name: str) -> tuple[str, ...]:
    return SOURCES.options(name).get("options", ())
