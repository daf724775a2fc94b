"""A user's own images, by one folder per class or by a table of labels.

    DIR/train/<class>/...    labelled training images
    DIR/test/<class>/...     test images; or a share of the others is held out
    DIR/unlabeled/...        optional: more training images, without labels

With `--labels_csv`, DIR is one folder of everything (`data/labels_csv.py`). Folders
are searched at any depth. Images become squares: cropped or padded, then resized.
"""

import pathlib
import sys

import numpy as np

from color_s4l.data import decoding, image_files, labels_csv
from color_s4l.data.dataset import UNLABELED, Data, Files
from color_s4l.data.listing import Labelled, Listing, folders, of_classes, with_test
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings

SIZE = 32
_PARTS = ("train", "test", "unlabeled")
_EXPECTED = "Expected DIR/train/<class>/*, DIR/test/<class>/* and maybe DIR/unlabeled/*"


def load(source: DataSettings) -> Data:
    """Reads a folder.

    Args:
        source: `data_dir` is DIR above; without `image_size` images get 32 px.

    Returns:
        The `Data`; its classes are sorted as text. Images stand in the order of
        their paths, in class folders those without labels last. A file that cannot
        be decoded is named on stderr and left out, and the number of those is
        printed at the end; so is a class without an image.

    Raises:
        InputError: A folder or table is missing or wrong, or holds no image that
            can be decoded, or `test` has a class that `train` has not.
    """
    root = _root(source)
    listed = _listing(source, root)
    _check_some(root, "training", len(listed.training))
    listed = with_test(listed, source.test_fraction)
    size = source.image_size or SIZE
    count = len(listed.training) + len(listed.test)
    where = source.cache or decoding.choose(count, size)
    images, labels, paths, bad = _read(listed.training, size, source.resize, where)
    tests, test_labels, test_paths, worse = _read(
        listed.test, size, source.resize, where
    )
    for what, found in (("training", images), ("test", tests)):
        _check_some(root, what, len(found))
    _report(root, count, [*bad, *worse])
    classes, labels, test_labels = _present(listed, labels, test_labels)
    return Data(
        name="folder",
        classes=classes,
        images=images,
        labels=labels,
        test_images=tests,
        test_labels=test_labels,
        files=Files(paths, test_paths, (*bad, *worse)),
    )


def _root(source: DataSettings) -> pathlib.Path:
    if source.data_dir is None:
        raise InputError(f"--dataset=folder needs --data_dir=DIR. {_EXPECTED}.")
    root = pathlib.Path(source.data_dir)
    needed = [root]
    if not source.labels_csv:
        needed.append(root / "train")
    for folder in needed:
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}. {_EXPECTED}.")
    return root


def _listing(source: DataSettings, root: pathlib.Path) -> Listing:
    if source.labels_csv:
        path = pathlib.Path(source.labels_csv).expanduser()
        return labels_csv.list_files(root, path)
    others = [name for name in folders(root) if name not in _PARTS]
    if others:
        names = ", ".join(others)
        print(f"{root}: passed over folders beside train: {names}", file=sys.stderr)
    return _class_folders(root)


def _class_folders(root: pathlib.Path) -> Listing:
    classes = tuple(folders(root / "train"))
    if not classes:
        raise InputError(f"{root / 'train'} holds no folders of classes. {_EXPECTED}.")
    training = of_classes(root / "train", classes)
    if (root / "unlabeled").is_dir():
        found = image_files.find(root / "unlabeled")
        training += [(path, UNLABELED) for path in found]
    test = root / "test"
    return Listing(
        root, classes, training, of_classes(test, classes) if test.is_dir() else []
    )


def _read(files: Labelled, size: int, fit: str, where: str):
    """Images, int32 labels and paths of what can be decoded; paths that can't, why."""
    images, reasons = decoding.images_of([path for path, _ in files], size, fit, where)
    good = image_files.named([path for path, _ in files], reasons)
    labels = np.array([label for _, label in files], dtype=np.int32)[good]
    paths = tuple(str(files[number][0]) for number in good)
    pairs = zip(files, reasons, strict=True)
    return images, labels, paths, [(str(f[0]), why) for f, why in pairs if why]


def _check_some(root: pathlib.Path, what: str, count: int) -> None:
    if not count:
        raise InputError(
            f"{root} holds no {what} image that can be read. {_EXPECTED}, "
            f"with files ending in {', '.join(image_files.ENDINGS)}."
        )


def _report(root: pathlib.Path, count: int, unreadable: list) -> None:
    if unreadable:
        print(
            f"{root}: skipped {len(unreadable)} of {count} files that cannot be "
            "decoded.",
            file=sys.stderr,
        )


def _present(listed: Listing, labels: np.ndarray, test_labels: np.ndarray):
    """The classes that have an image to learn from, and the labels in their numbers."""
    has = np.isin(np.arange(len(listed.classes)), labels)
    empty = [name for name, some in zip(listed.classes, has, strict=True) if not some]
    tested = [name for k, name in enumerate(listed.classes) if k in test_labels]
    impossible = [name for name in empty if name in tested]
    if impossible:
        raise InputError(
            f"{listed.root / 'test'} has images of classes of which no training image "
            f"can be read: {', '.join(impossible)}."
        )
    if not has.any():
        raise InputError(f"No labelled image below {listed.root} can be read.")
    if empty:
        names = ", ".join(repr(name) for name in empty)
        print(f"classes without an image are left out: {names}", file=sys.stderr)
    # The last one is for UNLABELED = -1.
    numbers = np.append(np.cumsum(has) - 1, UNLABELED).astype(np.int32)
    classes = tuple(np.array(listed.classes, dtype=object)[has])
    return classes, numbers[labels], numbers[test_labels]
