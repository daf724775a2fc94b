"""Labels in a table beside one folder of everything: `--labels_csv=labels.csv`.

    filename,label
    2024/IMG_0001.JPG,cat

Every file that it does not list is an image without a label, unless it lies in a class
folder below `train` or `test`: those keep their folder's label where the table lists
none of them. So a table adds to class folders what is known, or guessed, of the others;
a share to test on (`--test_fraction`) is then held out of the class folders alone.
"""

import codecs
import io
import os
import pathlib
import sys

import pandas as pd

from color_s4l.data import image_files, listing
from color_s4l.data.dataset import UNLABELED
from color_s4l.data.listing import Listing, composed
from color_s4l.errors import InputError

COLUMNS = ("filename", "label")
_SEPARATORS = ",;\t"
# UTF-32 first: its mark begins like UTF-16's.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read(path: pathlib.Path) -> pd.DataFrame:
    """Reads the table.

    Args:
        path: UTF-8, UTF-16 or UTF-32 with a byte order mark, or else Latin-1 (with
            a line on stderr); columns are separated by commas, semicolons or tabs.

    Returns:
        Columns `filename` and `label`, text; others are left out. An empty label
        is none; the accents of the others are composed, as of class folders.

    Raises:
        InputError: The file can't be read, is no such table, or names a file twice.
    """
    text = _text(path)
    header = text.partition("\n")[0]
    separator = next((s for s in _SEPARATORS if s in header), ",")
    try:
        # As text and nothing else: a class may be called "NA" or "007".
        table = pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, keep_default_na=False
        )
    except (ValueError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is no table of labels: {reason}.") from error
    table.columns = [str(name).strip() for name in table.columns]
    each_once = all(list(table).count(name) == 1 for name in COLUMNS)
    if not each_once or not isinstance(table.index, pd.RangeIndex):
        found = ", ".join(repr(name)[:40] for name in list(table)[:8])
        raise InputError(
            f"{path} is no table of labels: expected the columns "
            f"{' and '.join(COLUMNS)}, each once, and as many values in every row. "
            f"It has: {found or 'nothing'}."
        )
    table = table[list(COLUMNS)].map(str.strip)
    table["label"] = table["label"].map(composed)
    _check_rows(path, table)
    return table


def _text(path: pathlib.Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    encoding = next((e for m, e in _MARKS.items() if content.startswith(m)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            reason = f"{path} begins like {encoding} and is none"
            raise InputError(f"{reason} ({error.reason}).") from error
    print(f"{path} is no UTF-8; read as Latin-1", file=sys.stderr)
    return content.decode("latin-1")


def _check_rows(path: pathlib.Path, table: pd.DataFrame) -> None:
    if not len(table):
        raise InputError(f"{path} has no rows.")
    for wrong, what in (
        (table["filename"] == "", "has no filename"),
        (table["filename"].duplicated(), "names a file again"),
    ):
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise InputError(
                f"{path}, row {row + 1} {what}: {table['filename'].iloc[row]!r} "
                f"({int(wrong.sum())} of {len(table)} rows)."
            )


def list_files(root: pathlib.Path, path: pathlib.Path) -> Listing:
    """Labels the files of a folder.

    Args:
        root: The folder of everything. Its folder `test`, where there is one, holds
            the test images, by classes or listed like the others; so does `train`
            labelled ones.
        path: The table, as given or below `root`; its file names are relative to
            `root`, to the table's own folder, or absolute.

    Returns:
        The listing; classes are the labels that occur, sorted as text.

    Raises:
        InputError: The table is wrong, names a file that is not there, or one of a
            class's folder otherwise.
    """
    path = path if path.exists() else root / path
    table = read(path)
    files = {_name(file): file for file in image_files.find(root)}
    named = _resolved(path, table["filename"], root, files)
    labels = dict(zip(named, table["label"], strict=True))
    folders = _of_class_folders(root / "train", files, labels)
    labels |= folders
    classes = tuple(sorted(set(labels.values()) - {""}))
    if not classes:
        raise InputError(f"{path} gives no image a label.")
    _check_folders(path, root, set(classes), labels)
    numbers = {name: number for number, name in enumerate(classes)} | {"": UNLABELED}
    test = root / "test"
    inside = {name: test in file.parents for name, file in files.items()}
    for name in set(named) - set(files):
        files[name], inside[name] = pathlib.Path(name), False
    training = [
        (file, numbers[labels.get(name, "")])
        for name, file in files.items()
        if not inside[name]
    ]
    tested = {n: file for n, file in files.items() if inside[n]}
    added = frozenset(files[name] for name in named) if folders else frozenset()
    return Listing(root, classes, training, _test(test, classes, tested, labels), added)


def _of_class_folders(train: pathlib.Path, files: dict, labels: dict) -> dict:
    """Labels by the folders below `train`, unless the table lists any file there."""
    below = {name: file for name, file in files.items() if train in file.parents}
    if not below or labels.keys() & below.keys():
        return {}
    classes = set(listing.folders(train))
    first = {n: composed(f.relative_to(train).parts[0]) for n, f in below.items()}
    return {name: part for name, part in first.items() if part in classes}


def _check_folders(
    path: pathlib.Path, root: pathlib.Path, classes: set[str], labels: dict
) -> None:
    """Refuses other labels than a class folder's: guesses, perhaps, to be tested on."""
    wrong, whole = [], _name(root) + os.sep
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
            "Are they guesses? Those of unlabelled images alone are of use."
        )


def _test(test: pathlib.Path, classes: tuple[str, ...], files, labels: dict):
    """Test images: by their classes' folders, unless the table lists any of them."""
    if not files:
        return []
    if not labels.keys() & files.keys():
        return listing.of_classes(test, classes)
    missing = [file for name, file in files.items() if not labels.get(name)]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(files)} files below {test} have no label, such "
            f"as {missing[0]}."
        )
    return [(file, classes.index(labels[name])) for name, file in files.items()]


def _name(path: str | os.PathLike) -> str:
    """One spelling for one file: absolute, and accents composed."""
    return composed(os.path.abspath(path))


def _resolved(path: pathlib.Path, names, root: pathlib.Path, files: dict) -> list[str]:
    """Every listed file by its `_name`."""
    unknown, found = [], []
    for name in names:
        # Where the name is absolute, `/` gives it alone.
        tried = [_name(folder / name) for folder in (root, path.parent)]
        known = [t for t in tried if t in files or os.path.isfile(t)]
        found += known[:1]
        unknown += [] if known else [name]
    if unknown:
        raise InputError(
            f"{path} names {len(unknown)} of {len(names)} files that are neither below "
            f"{root} nor beside the table, such as {unknown[0]!r}."
        )
    repeated = len(found) - len(set(found))
    if repeated:
        raise InputError(f"{path} names {repeated} files again by another spelling.")
    return found
