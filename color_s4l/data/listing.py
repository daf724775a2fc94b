"""The training and test files of a folder data set, with their labels.

Class folders in DIR (`data_dir`):

    DIR/train/<class>/...    labelled training images
    DIR/test/<class>/...     test images; or `test_fraction` holds out training images
    DIR/unlabeled/...        optional: more training images, without labels

Without the folders `train` and `test`, the folders in DIR are the classes, and
`test_fraction` holds out test images:

    DIR/<class>/...          labelled images
    DIR/unlabeled/...        optional

With `labels_csv`, a table lists image files and their labels. The files can be in any
folder. The class folders still label their files in these cases:

    DIR/train/<class>/...    if the table lists no file below DIR/train
    DIR/test/<class>/...     if the table lists no file below DIR/test
    DIR/<class>/...          if there is a folder DIR/unlabeled and the table lists no
                             file in a class folder

All other files below DIR are training images without a label, except below DIR/test,
where every image needs a label. A table can therefore add labels (true labels or
predictions) for images outside the class folders. `test_fraction` then holds out only
files of the class folders. The column `split` of a table can name the test images, in
place of a folder `test` or `test_fraction`.
"""

import dataclasses
import logging
import os
import pathlib
import warnings
import zlib
from collections.abc import Collection, Container, Iterable, Mapping, Sequence

import numpy as np

from color_s4l.data import image_files, labels_csv
from color_s4l.data.dataset import UNLABELED
from color_s4l.data.labels_csv import composed
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings

logger = logging.getLogger(__name__)

EXPECTED = (
    "Expected DIR/train/<class>/* and DIR/test/<class>/*, or DIR/<class>/* with "
    "`test_fraction`; optional DIR/unlabeled/*"
)
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
        added: Images in the table, if other images are labelled by class folders. The
            table's labels may be predictions, so `test_fraction` never holds out these
            images.
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
            to the table's own folder or to one subfolder, or absolute.

    Returns:
        The listing, with test images; files in the order of their paths. Without a
        table, files without a label are last. With a table, files outside the folder
        are last.

    Raises:
        InputError: A folder or table is missing or wrong, or there is no image to
            train or test on.
    """
    if settings.data_dir is None:
        raise InputError(f"`dataset`=folder needs `data_dir`. {EXPECTED}.")
    root = pathlib.Path(settings.data_dir)
    if not root.is_dir():
        raise InputError(f"There is no folder {root}. {EXPECTED}.")
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
    """Returns the visible subfolders, sorted by name: name in NFC form -> path."""
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


def _class_root(root: pathlib.Path) -> pathlib.Path | None:
    """Returns the folder of the class folders: DIR/train or DIR; None for neither.

    Without DIR/train, DIR is returned if it has at least two class folders. It is not
    returned if one of its folders is named "train" or "test", in upper or lower case,
    because DIR/train is then missing or misspelled.
    """
    if (root / "train").is_dir():
        return root / "train"
    names = [name for name in _folders(root) if name != "unlabeled"]
    reserved = {"train", "test"} & {name.lower() for name in names}
    return root if len(names) > 1 and not reserved else None


def _classes_in(folder: pathlib.Path, root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns name -> path of the class folders in a folder.

    Args:
        folder: `_class_root(root)`, or the folder `test`.
        root: Folder of the data set; its folder `unlabeled` is not a class.
    """
    found = _folders(folder)
    return {n: p for n, p in found.items() if folder != root or n != "unlabeled"}


def _by_folders(root: pathlib.Path) -> Listing:
    folder = _class_root(root)
    if folder is None:
        raise InputError(
            f"There is no folder {root / 'train'}, and {root} does not contain two "
            f"class folders. {EXPECTED}."
        )
    others = [name for name in _folders(root) if name not in _PARTS]
    if others and folder != root:
        warnings.warn(
            f"{root}: ignored folders other than {', '.join(_PARTS)}: "
            f"{', '.join(others)}",
            stacklevel=2,
        )
    classes = tuple(_classes_in(folder, root))
    if not classes:
        raise InputError(f"{folder} has no class folders. {EXPECTED}.")
    training = _of_classes(folder, classes, root)
    if (root / "unlabeled").is_dir():
        found = image_files.find(root / "unlabeled")
        training += [(path, UNLABELED) for path in found]
    test = root / "test"
    tested = _of_classes(test, classes, root) if test.is_dir() else []
    return Listing(root, classes, training, tested)


def _of_classes(
    folder: pathlib.Path, classes: tuple[str, ...], root: pathlib.Path
) -> Labelled:
    """Returns the files below each class folder, in the order of the classes."""
    present = _classes_in(folder, root)
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
    held_out = {
        n for n, part in zip(listed, table["split"], strict=True) if part == "test"
    }
    in_folders = _of_class_folders(root, files, labels)
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
    if table["split"].notna().any():
        _check_split(path, test, tested, held_out, labels)
        tested = {name: f for name, f in everything.items() if name in held_out}
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
    """Returns the absolute path in Unicode form NFC, so that paths can be compared."""
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
        names: File names: relative to `root`, to the table's folder or to the only
            subfolder that has all the files, or absolute.
        root: Folder of the images.
        files: Absolute path -> path of files that are known to exist.

    Returns:
        The absolute paths, in the order of `names`.

    Raises:
        InputError: A file does not exist, or two names mean the same file.
    """
    names = list(names)
    found = [_find(name, (root, path.parent), files) for name in names]
    unknown = [n for n, file in zip(names, found, strict=True) if file is None]
    if len(unknown) == len(names):
        folder = _common_folder(names, root, files)
        if folder is not None:
            logger.info("labels     file names in %s are relative to %s", path, folder)
            return resolved(path, names, folder, files)
    if unknown:
        raise InputError(
            f"{len(unknown)} of {len(names)} files listed in {path} do not exist, for "
            f"example {unknown[0]!r}. File names are relative to {root}, to the "
            f"table's folder or to one subfolder.{_elsewhere(unknown[0], root, files)}"
        )
    known = [file for file in found if file is not None]
    repeated = len(known) - len(set(known))
    if repeated:
        raise InputError(
            f"{path} names {repeated} files twice, with different spellings."
        )
    return known


def _find(
    name: str, folders: Sequence[pathlib.Path], files: Container[str]
) -> str | None:
    """Returns the absolute path of a file in the first folder that has it, or None."""
    # If `name` is absolute, `folder / name` is equal to `name`.
    tried = [absolute(folder / name) for folder in folders]
    return next((t for t in tried if t in files or os.path.isfile(t)), None)


def _common_folder(
    names: Sequence[str], root: pathlib.Path, files: Mapping[str, pathlib.Path]
) -> pathlib.Path | None:
    """Returns the only subfolder that has all files of the table, or None."""
    ending = os.sep + composed(os.path.normpath(names[0]))
    folders = [file.removesuffix(ending) for file in files if file.endswith(ending)]
    common = [
        folder
        for folder in folders
        if all(absolute(os.path.join(folder, name)) in files for name in names)
    ]
    return pathlib.Path(common[0]) if len(common) == 1 else None


def _elsewhere(name: str, root: pathlib.Path, files: Iterable[str]) -> str:
    """Returns a hint if a subfolder contains the file that was not found, else ""."""
    ending = os.sep + composed(os.path.normpath(name))
    found = next((file for file in files if file.endswith(ending)), None)
    if found is None:
        return ""
    return f" Did you mean {os.path.relpath(found, absolute(root))!r}?"


def _check_split(
    path: pathlib.Path,
    test: pathlib.Path,
    tested: Mapping[str, pathlib.Path],
    held_out: Collection[str],
    labels: Mapping[str, str],
) -> None:
    """Raises an error if the column `split` contradicts the folders or the labels."""
    if tested.keys() - held_out:
        raise InputError(
            f"{path} has a column split, but {test} has images that are not in its "
            "test split: remove the folder or the column."
        )
    missing = [name for name in held_out if not labels[name]]
    if missing:
        raise InputError(
            f"{path} has {len(missing)} test images without a label, for example "
            f"{min(missing)}."
        )


def _of_class_folders(
    root: pathlib.Path, files: Mapping[str, pathlib.Path], labels: Mapping[str, str]
) -> dict[str, str]:
    """Returns absolute path -> label of the files in class folders.

    The result is empty if the table lists a file below DIR/train or in a class folder
    of DIR. Without DIR/train and DIR/unlabeled it is empty too, because the folders in
    DIR may not be classes.
    """
    folder = _class_root(root)
    if folder is None or (folder == root and not (root / "unlabeled").is_dir()):
        return {}
    classes = _classes_in(folder, root)
    first = {
        name: composed(file.relative_to(folder).parts[0])
        for name, file in files.items()
        if folder in file.parents
    }
    below = first
    if folder == root:
        below = {name: part for name, part in first.items() if part in classes}
    if labels.keys() & below.keys():
        return {}
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
            "Correct the table, or move the files. If its labels are predictions, keep "
            "only the rows of unlabelled images."
        )


def _test_of_table(
    test: pathlib.Path,
    classes: tuple[str, ...],
    files: Mapping[str, pathlib.Path],
    labels: Mapping[str, str],
) -> Labelled:
    """Returns the test images; class folders label them if the table lists none."""
    if not files:
        return []
    if not labels.keys() & files.keys():
        return _of_classes(test, classes, test.parent)
    missing = [file for name, file in files.items() if not labels.get(name)]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(files)} files below {test} have no label, for "
            f"example {missing[0]}."
        )
    return [(file, classes.index(labels[name])) for name, file in files.items()]


def _with_test(listing: Listing, fraction: float | None) -> Listing:
    """Returns the listing with test images; with `fraction`, they are held out.

    The held-out images depend only on the file names, so runs with different seeds have
    the same test images.

    Args:
        listing: The listing; its `test` is empty if neither a folder `test` nor the
            column `split` of `labels_csv` names test images.
        fraction: Share of each class's labelled images that is held out, in (0, 1): of
            two or more images at least one is held out and at least one remains. The
            only image of a class remains, and so do the images of `listing.added`.
            None if the listing has test images.

    Raises:
        InputError: There are no test images; there are test images and a fraction; the
            fraction is not in (0, 1); or no image can be held out.
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
        folder = listing.root / "test"
        place = folder if folder.is_dir() else "the column split of `labels_csv`"
        raise InputError(f"`test_fraction` cannot be used: {place} has test images.")
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
