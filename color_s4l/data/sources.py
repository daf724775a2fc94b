"""Data sets by name.

A source is a function `load(settings: DataSettings) -> Data`, registered by

    @register_source("my_source", options=("test_fraction",))

`options` names the fields of `DataSettings` that the source reads in addition to
`dataset`, `data_dir` and `image_size`. A data set whose name is not registered is read
from tensorflow-datasets.
"""

import dataclasses
import logging
import os

import numpy as np

from color_s4l import fields
from color_s4l.data import lazy_images, tfds
from color_s4l.data.dataset import UNLABELED, Data
from color_s4l.errors import InputError
from color_s4l.registry import SOURCES
from color_s4l.settings import DataSettings

logger = logging.getLogger(__name__)

_COMMON = ("dataset", "data_dir", "image_size", "unlabeled_dataset")


def load(settings: DataSettings) -> Data:
    """Reads a data set.

    Args:
        settings: `dataset` is "digits" or "drawings" (built in), "folder" (a user's own
            images), another registered name, or the name of an image-classification set
            of tensorflow-datasets in the form for `tfds.builder`: "cifar10",
            "svhn_cropped", "cifar10_corrupted/fog_1". `unlabeled_dataset` is the name
            of a second set; its training images are added without their labels. If both
            sets are in memory, images that are in both are not added.

    Raises:
        InputError: There is no data set with this name, it cannot be downloaded or
            read, a field of `settings` is set that its source does not read, or the
            images of the two sets differ in size.
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
    if settings.unlabeled_dataset is None:
        return source(settings)
    plain = dataclasses.replace(settings, unlabeled_dataset=None)
    further = DataSettings(
        dataset=settings.unlabeled_dataset,
        # The `data_dir` of a registered source is a folder of photographs, which does
        # not contain the second set.
        data_dir=None if registered else settings.data_dir,
        image_size=settings.image_size,
        cache=settings.cache,
        max_megapixels=settings.max_megapixels,
    )
    return _with_unlabeled(source(plain), load(further))


def _with_unlabeled(data: Data, further: Data) -> Data:
    """Adds the training images of a second set, without labels.

    If both sets are in memory, images that are in both are used only once, so that no
    validation image of the first set is also an unlabelled image of the second set.
    Sets that are decoded on demand are not compared, because all images would have to
    be decoded.
    """
    if further.size != data.size:
        raise InputError(
            f"The images of {data.name!r} have {data.size} px, those of "
            f"{further.name!r} {further.size} px: set `image_size`."
        )
    new = np.ones(len(further.images), bool)
    if all(isinstance(images, np.ndarray) for images in (data.images, further.images)):
        known = lazy_images.checksums(data.images)
        new = ~np.isin(lazy_images.checksums(further.images), known)
    logger.info(
        "unlabelled %s further images of %s; %s are in %s too",
        f"{new.sum():,}",
        further.name,
        f"{(~new).sum():,}",
        data.name,
    )
    added = lazy_images.subset(further.images, np.flatnonzero(new))
    missing = np.full(len(added), UNLABELED, np.int32)
    return dataclasses.replace(
        data,
        images=lazy_images.joined(data.images, added),
        labels=np.concatenate([data.labels, missing]),
        files=None,
    )


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
