"""The source "folder": a user's own images.

`color_s4l/data/listing.py` describes the layout of the folder and the labels.
"""

import os
import warnings

import numpy as np

from color_s4l.data import lazy_images
from color_s4l.data.dataset import UNLABELED, Data, Files
from color_s4l.data.lazy_images import Images
from color_s4l.data.listing import Listing, list_files, no_images
from color_s4l.errors import InputError
from color_s4l.registry import register_source
from color_s4l.settings import DataSettings

SIZE = 32


@register_source(
    "folder",
    options=("labels_csv", "test_fraction", "resize", "cache", "max_megapixels"),
)
def load(settings: DataSettings) -> Data:
    """Reads the images in a folder and its subfolders as squares of one size.

    If the images are in memory, files that cannot be decoded are logged and left out;
    a warning states their number. If images are decoded when they are read, no image is
    decoded here, and a file that cannot be decoded is a black image (`Decoded`). A
    class without an image is left out, with a warning.

    Args:
        settings: `data_dir` is the folder. Default of `image_size`: 32 px.

    Returns:
        The data set, named after the folder, with its classes sorted as text.

    Raises:
        InputError: A folder or table is missing or wrong, or has no image that can be
            decoded, or `test` has a class without a training image.
    """
    listing = list_files(settings)
    size = settings.image_size or SIZE
    count = len(listing.training) + len(listing.test)
    where = settings.cache or lazy_images.choose_cache(count, size)
    parts = []
    for kind, files in (("training", listing.training), ("test", listing.test)):
        paths = tuple(os.fspath(path) for path, _ in files)
        encoded = lazy_images.Paths(paths)
        decoded = lazy_images.Decoded(
            encoded, size, settings.resize, settings.max_megapixels
        )
        images, reasons = lazy_images.read(decoded, where)
        labels = np.array([label for _, label in files], dtype=np.int32)
        parts.append(_readable(images, labels, paths, reasons))
        if not len(parts[-1][0]):
            raise no_images(listing.root, kind)
    (images, labels, paths, bad), (tests, test_labels, test_paths, worse) = parts
    if bad or worse:
        warnings.warn(
            f"{listing.root}: skipped {len(bad) + len(worse)} of {count} files "
            "because they cannot be decoded.",
            stacklevel=2,
        )
    classes, labels, test_labels = _present(listing, labels, test_labels)
    return Data(
        name=listing.root.resolve().name or "folder",
        classes=classes,
        images=images,
        labels=labels,
        test_images=tests,
        test_labels=test_labels,
        files=Files(paths, test_paths, (*bad, *worse), str(listing.root)),
    )


def _readable(
    images: Images, labels: np.ndarray, paths: tuple[str, ...], reasons: list[str]
) -> tuple[Images, np.ndarray, tuple[str, ...], list[tuple[str, str]]]:
    """Returns images, int32 labels, paths, and (path, reason) of unreadable files.

    Args:
        images: The readable images.
        labels: Labels of all files.
        paths: Paths of all files.
        reasons: The result of `lazy_images.read` for all files.
    """
    if not any(reasons):
        return images, labels, paths, []
    good = [not reason for reason in reasons]
    kept = tuple(path for path, ok in zip(paths, good, strict=True) if ok)
    pairs = zip(paths, reasons, strict=True)
    return images, labels[good], kept, [(path, why) for path, why in pairs if why]


def _present(
    listing: Listing, labels: np.ndarray, test_labels: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Returns the classes that have a training image, and the labels renumbered."""
    has = np.isin(np.arange(len(listing.classes)), labels)
    empty = [name for name, some in zip(listing.classes, has, strict=True) if not some]
    tested = [name for k, name in enumerate(listing.classes) if k in test_labels]
    impossible = [name for name in empty if name in tested]
    if impossible:
        raise InputError(
            f"{listing.root / 'test'} has images of classes without a readable "
            f"training image: {', '.join(impossible)}."
        )
    if not has.any():
        raise InputError(f"No labelled image below {listing.root} can be read.")
    if empty:
        names = ", ".join(repr(name) for name in empty)
        warnings.warn(f"Classes without an image are left out: {names}", stacklevel=2)
    # The index UNLABELED = -1 selects the last element, so it stays UNLABELED.
    numbers = np.append(np.cumsum(has) - 1, UNLABELED).astype(np.int32)
    classes = tuple(np.array(listing.classes, dtype=object)[has])
    return classes, numbers[labels], numbers[test_labels]
