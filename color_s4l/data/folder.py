"""A user's own images, one folder per class.

    DIR/train/<class>/...    labelled training images
    DIR/test/<class>/...     test images
    DIR/unlabeled/...        optional: more training images, without labels

Folders below a class's or below `unlabeled` are searched too. Images are cropped
to the square in their middle, then resized.
"""

import pathlib
import sys

import numpy as np

from color_s4l.data import image_files
from color_s4l.data.dataset import UNLABELED, Dataset
from color_s4l.errors import InputError

SIZE = 32
_EXPECTED = "Expected DIR/train/<class>/*, DIR/test/<class>/* and maybe DIR/unlabeled/*"

Labelled = list[tuple[pathlib.Path, int]]


def load(data_dir: str | None, image_size: int | None) -> Dataset:
    """Reads class folders.

    Args:
        data_dir: DIR above.
        image_size: Side in pixels; None for 32.

    Returns:
        The `Dataset`; its classes are the folders of `train`, sorted as text.
        Images stand in the order of their paths, those without labels last. A
        file that cannot be decoded is named on stderr and left out, and the
        number of those is printed at the end.

    Raises:
        InputError: A folder is missing or holds no image that can be decoded,
            or `test` has a class that `train` has not.
    """
    root = _root(data_dir)
    classes = _classes(root / "train")
    training = _labelled(root / "train", classes)
    unlabeled = root / "unlabeled"
    if unlabeled.is_dir():
        training += [(path, UNLABELED) for path in image_files.find(unlabeled)]
    test = _labelled(root / "test", classes)
    size = image_size or SIZE
    images, labels = _read(root / "train", training, size)
    test_images, test_labels = _read(root / "test", test, size)
    skipped = len(training) + len(test) - len(images) - len(test_images)
    if skipped:
        total = len(training) + len(test)
        print(
            f"{root}: skipped {skipped} of {total} files that cannot be decoded.",
            file=sys.stderr,
        )
    return Dataset(
        name="folder",
        classes=classes,
        images=images,
        labels=labels,
        test_images=test_images,
        test_labels=test_labels,
    )


def _root(data_dir: str | None) -> pathlib.Path:
    if data_dir is None:
        raise InputError(f"--dataset=folder needs --data_dir=DIR. {_EXPECTED}.")
    root = pathlib.Path(data_dir)
    for folder in (root, root / "train", root / "test"):
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}. {_EXPECTED}.")
    return root


def _classes(folder: pathlib.Path) -> tuple[str, ...]:
    names = [path.name for path in folder.iterdir() if path.is_dir()]
    classes = tuple(sorted(name for name in names if not name.startswith(".")))
    if not classes:
        raise InputError(f"{folder} holds no folders of classes. {_EXPECTED}.")
    return classes


def _labelled(folder: pathlib.Path, classes: tuple[str, ...]) -> Labelled:
    """The image files of each class in turn, with the class's number."""
    strange = sorted(set(_classes(folder)) - set(classes))
    if strange:
        raise InputError(
            f"{folder} has classes that train has not: {', '.join(strange)}. "
            f"train has: {', '.join(classes)}."
        )
    loose = [
        path for path in folder.iterdir() if path.suffix.lower() in image_files.ENDINGS
    ]
    if loose:
        print(
            f"{folder}: passed over {len(loose)} images outside of a class's folder",
            file=sys.stderr,
        )
    return [
        (path, label)
        for label, name in enumerate(classes)
        for path in image_files.find(folder / name)
    ]


def _read(folder: pathlib.Path, files: Labelled, size: int):
    """Images uint8 `(k, size, size, 3)` and labels int32 `(k,)` that can be decoded."""
    images, good = image_files.read([path for path, _ in files], size)
    if not len(images):
        raise InputError(
            f"{folder} holds no image that can be read. {_EXPECTED}, "
            f"with files ending in {', '.join(image_files.ENDINGS)}."
        )
    labels = np.array([label for _, label in files], dtype=np.int32)
    return images, labels[good]
