"""The training and test files of a folder data set, with their labels.

Class folders in DIR (`data_dir`):

    DIR/train/<class>/...    labelled training images
    DIR/test/<class>/...     test images; or `test_fraction` holds out training images
    DIR/unlabeled/...        optional: more training images, without labels

With `labels_csv`, a table lists files anywhere below DIR with their labels. All other
files are images without a label, except for files in class folders: if the table lists
no file below `train`, the class folders of `train` label their files, and likewise for
`test`. A table can thus add labels (known labels or guesses) for images outside the
class folders. `test_fraction` then holds out only files of the class folders.
"""

import dataclasses
import os
import pathlib
import warnings
import zlib
from collections.abc import Iterable, Mapping

import numpy as np

from color_s4l.data import image_files, labels_csv
from color_s4l.data.dataset import UNLABELED
from color_s4l.data.labels_csv import composed
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings

EXPECTED = "Expected DIR/train/<class>/*, DIR/test/<class>/*, optional DIR/unlabeled/*"
_PARTS = ("train", "test", "unlabeled")
Labelled = list[tuple[pathlib.Path, int]]


@dataclasses.dataclass(frozen=True)
class Listing:
    """Files with the indices of their classes.

    Attributes:
        root: Folder of the data set.
        classes: Names of the classes, sorted as text.
        training: Training images; class index -1 for an image without a label.
        test: Test images.
        added: Training images that are labelled by a table, if others are labelled by
            class folders. The table's labels may be guesses, so these images are never
            held out as test images.
    """

    root: pathlib.Path
    classes: tuple[str, ...]
    training: Labelled
    test: Labelled
    added: frozenset[pathlib.Path] = frozenset()


def list_files(settings: DataSettings) -> Listing:
    """Lists the files of a folder data set.

    Args:
        settings: `data_dir` is the folder. `labels_csv` is a path, or the name of a
            file below the folder; file names in the table are relative to the folder,
            relative to the table's own folder, or absolute.

    Returns:
        The listing, with test images; files in the order of their paths. With class
        folders, files without a label are last.

    Raises:
        InputError: A folder or table is missing or wrong, or there is no image to
            train or test on.
    """
    if settings.data_dir is None:
        raise InputError(f"`dataset`=folder needs `data_dir`. {EXPECTED}.")
    root = pathlib.Path(settings.data_dir)
    for folder in [root] if settings.labels_csv else [root, root / "train"]:
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}. {EXPECTED}.")
    if settings.labels_csv:
        path = pathlib.Path(settings.labels_csv).expanduser()
        listing = _by_table(root, path if path.exists() else root / path)
    else:
        listing = _by_folders(root)
    if not listing.training:
        raise no_images(root, "training")
    return _with_test(listing, settings.test_fraction)


def no_images(root: pathlib.Path, kind: str) -> InputError:
    """Returns the error for a folder without readable images.

    Args:
        root: Folder of the data set.
        kind: "training" or "test".
    """
    return InputError(
        f"{root} has no {kind} image that can be read. {EXPECTED}, "
        f"with files ending in {', '.join(image_files.ENDINGS)}."
    )


def _folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns composed name -> path of the visible subfolders, sorted by name."""
    with os.scandir(root) as entries:
        names = [e.name for e in entries if e.is_dir() and e.name[0] != "."]
    found: dict[str, pathlib.Path] = {}
    for name in names:
        if name.encode(errors="replace").decode() != name:
            raise InputError(f"{root} has a folder whose name is not UTF-8: {name!a}.")
        if found.setdefault(composed(name), root / name) != root / name:
            raise InputError(
                f"{root} has two folders {composed(name)!r}: their names encode an "
                "accent in different ways. Move the files into one folder."
            )
    return dict(sorted(found.items()))


def _by_folders(root: pathlib.Path) -> Listing:
    others = [name for name in _folders(root) if name not in _PARTS]
    if others:
        warnings.warn(
            f"{root}: ignored folders other than {', '.join(_PARTS)}: "
            f"{', '.join(others)}",
            stacklevel=2,
        )
    classes = tuple(_folders(root / "train"))
    if not classes:
        raise InputError(f"{root / 'train'} has no class folders. {EXPECTED}.")
    training = _of_classes(root / "train", classes)
    if (root / "unlabeled").is_dir():
        found = image_files.find(root / "unlabeled")
        training += [(path, UNLABELED) for path in found]
    test = root / "test"
    return Listing(
        root, classes, training, _of_classes(test, classes) if test.is_dir() else []
    )


def _of_classes(folder: pathlib.Path, classes: tuple[str, ...]) -> Labelled:
    """Returns the files below each class folder, in the order of the classes."""
    present = _folders(folder)
    unknown = [name for name in present if name not in set(classes)]
    if unknown:
        raise InputError(
            f"{folder} has classes that are not in train: {', '.join(unknown)}. "
            f"train has: {', '.join(classes)}."
        )
    loose = [p for p in folder.iterdir() if p.suffix.lower() in image_files.ENDINGS]
    if loose:
        warnings.warn(
            f"{folder}: ignored {len(loose)} images outside a class folder",
            stacklevel=2,
        )
    return [
        (path, label)
        for label, name in enumerate(classes)
        if name in present
        for path in image_files.find(present[name])
    ]


def _by_table(root: pathlib.Path, path: pathlib.Path) -> Listing:
    table = labels_csv.read(path)
    files = {absolute(file): file for file in image_files.find(root)}
    listed = resolved(path, table["filename"], root, files)
    labels = dict(zip(listed, table["label"], strict=True))
    in_folders = _of_train_folders(root / "train", files, labels)
    labels |= in_folders
    classes = tuple(sorted(set(labels.values()) - {""}))
    if not classes:
        raise InputError(f"{path} has no label for any image.")
    _check_folders(path, root, set(classes), labels)
    numbers = {name: number for number, name in enumerate(classes)} | {"": UNLABELED}
    test = root / "test"
    tested = {name: file for name, file in files.items() if test in file.parents}
    # Files in the table may be outside the root.
    everything = files | {n: pathlib.Path(n) for n in listed if n not in files}
    added = frozenset(everything[n] for n in listed) if in_folders else frozenset()
    return Listing(
        root,
        classes,
        [
            (file, numbers[labels.get(name, "")])
            for name, file in everything.items()
            if name not in tested
        ],
        _test_of_table(test, classes, tested, labels),
        added,
    )


def absolute(path: str | os.PathLike) -> str:
    """Returns the absolute path with composed accents, the same for every spelling."""
    return composed(os.path.abspath(path))


def resolved(
    path: pathlib.Path,
    names: Iterable[str],
    root: pathlib.Path,
    files: Mapping[str, pathlib.Path],
) -> list[str]:
    """Returns the absolute path of every file in a table of labels.

    Args:
        path: The table.
        names: File names: relative to `root`, relative to the table's folder, or
            absolute.
        root: Folder of the images.
        files: Absolute path -> path of files that are known to exist.

    Raises:
        InputError: A file does not exist, or two names mean the same file.
    """
    unknown, found = [], []
    for name in names:
        # If `name` is absolute, `folder / name` is equal to `name`.
        tried = [absolute(folder / name) for folder in (root, path.parent)]
        known = [t for t in tried if t in files or os.path.isfile(t)]
        found += known[:1]
        unknown += [] if known else [name]
    if unknown:
        count = len(unknown) + len(found)
        raise InputError(
            f"{len(unknown)} of {count} files listed in {path} do not exist, for "
            f"example {unknown[0]!r}. File names are relative to {root} or to the "
            f"table's folder.{_elsewhere(unknown[0], root, files)}"
        )
    repeated = len(found) - len(set(found))
    if repeated:
        raise InputError(
            f"{path} names {repeated} files twice, with different spellings."
        )
    return found


def _elsewhere(name: str, root: pathlib.Path, files: Iterable[str]) -> str:
    """Returns a hint if a subfolder contains the file that was not found, else ""."""
    ending = os.sep + composed(os.path.normpath(name))
    found = next((file for file in files if file.endswith(ending)), None)
    if found is None:
        return ""
    return f" Did you mean {os.path.relpath(found, absolute(root))!r}?"


def _of_train_folders(
    train: pathlib.Path, files: Mapping[str, pathlib.Path], labels: Mapping[str, str]
) -> dict[str, str]:
    """Returns the class folders' labels; {} if the table lists a file below `train`."""
    below = {name: file for name, file in files.items() if train in file.parents}
    if not below or labels.keys() & below.keys():
        return {}
    classes = set(_folders(train))
    first = {n: composed(f.relative_to(train).parts[0]) for n, f in below.items()}
    return {name: part for name, part in first.items() if part in classes}


def _check_folders(
    path: pathlib.Path, root: pathlib.Path, classes: set[str], labels: Mapping[str, str]
) -> None:
    """Raises an error if a label in the table contradicts the file's class folder."""
    wrong, whole = [], absolute(root) + os.sep
    for part in ("train", "test"):
        beginning = whole + part + os.sep
        for name, label in labels.items():
            folder = name.removeprefix(beginning).partition(os.sep)[0]
            inside = name.startswith(beginning) and folder in classes
            if inside and label not in ("", folder):
                wrong.append(f"{name.removeprefix(whole)!r} is {label!r}")
    if wrong:
        raise InputError(
            f"{path} contradicts the class folders of {len(wrong)} files: {wrong[0]}. "
            "If the table's labels are guesses, keep only rows of unlabelled images."
        )


def _test_of_table(
    test: pathlib.Path,
    classes: tuple[str, ...],
    files: Mapping[str, pathlib.Path],
    labels: Mapping[str, str],
) -> Labelled:
    """Returns the test images; class folders label them if the table has none."""
    if not files:
        return []
    if not labels.keys() & files.keys():
        return _of_classes(test, classes)
    missing = [file for name, file in files.items() if not labels.get(name)]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(files)} files below {test} have no label, for "
            f"example {missing[0]}."
        )
    return [(file, classes.index(labels[name])) for name, file in files.items()]


def _with_test(listing: Listing, fraction: float | None) -> Listing:
    """Returns the listing with test images, from the test folder or held out.

    The held-out images depend only on the file names, so runs with different seeds have
    the same test images.

    Args:
        listing: The listing; its `test` is empty if there is no test folder.
        fraction: Share of each class's labelled images that is held out, in (0, 1); at
            least one image is held out and at least one remains. None if there is a
            test folder.
    """
    if fraction is None:
        if listing.test:
            return listing
        raise InputError(
            f"There are no test images. Expected {listing.root / 'test'}/<class>/*, "
            "or `test_fraction`=0.2 to hold out a share of each class."
        )
    if not 0 < fraction < 1:
        raise InputError(
            "Expected `test_fraction` to be more than 0 and less than 1. "
            f"Received: {fraction}."
        )
    if listing.test:
        raise InputError(
            f"`test_fraction` cannot be used: {listing.root / 'test'} has test images."
        )
    held_out = _held_out(listing, fraction)
    if not held_out:
        raise InputError(
            f"`test_fraction`={fraction} cannot hold out an image: no class has two "
            "labelled images."
        )
    files = list(enumerate(listing.training))
    return dataclasses.replace(
        listing,
        training=[file for number, file in files if number not in held_out],
        test=[file for number, file in files if number in held_out],
    )


def _held_out(listing: Listing, fraction: float) -> set[int]:
    added = listing.added
    labels = np.array([UNLABELED if p in added else k for p, k in listing.training])
    names = [os.path.relpath(path, listing.root) for path, _ in listing.training]
    # The checksums of the names give an arbitrary order that does not depend on a seed.
    order = np.array([zlib.crc32(os.fsencode(name)) for name in names])
    chosen: set[int] = set()
    for label in set(labels.tolist()) - {UNLABELED}:
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(order[members], kind="stable")]
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen.update(members[:count].tolist())
    return chosen
