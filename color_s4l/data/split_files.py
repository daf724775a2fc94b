"""A split as a table on disk, tied to its images by their checksums.

What was drawn once can be used exactly again, and never by mistake with other
images, another order or other labels.
"""

import os
import pathlib

import numpy as np
import pandas as pd

from color_s4l.artifacts.files import write_atomically
from color_s4l.data.dataset import UNLABELED, Data
from color_s4l.data.lazy_images import checksums, subset
from color_s4l.data.splits import Split
from color_s4l.errors import InputError

_PARTS = ("labeled", "unlabeled", "validation")
COLUMNS = ("index", "label", *_PARTS, "crc32")


def save(split: Split, dataset: Data, path: str | os.PathLike) -> None:
    """Writes a split as a table that `read` can check against the images.

    Args:
        split: The split.
        dataset: What it was drawn from.
        path: A CSV file, one row per image used: index (position in
            `dataset.images`), label (the class's name where the label is used,
            else empty), labeled, unlabeled, validation (0 or 1), crc32 (of the
            image's bytes).
    """
    index = np.unique(np.concatenate([getattr(split, part) for part in _PARTS]))
    flags = {part: np.isin(index, getattr(split, part)) for part in _PARTS}
    table = {
        "index": index,
        "label": _names(dataset, index, flags["labeled"] | flags["validation"]),
        **{part: flag.astype(int) for part, flag in flags.items()},
        "crc32": checksums(subset(dataset.images, index)),
    }
    text = pd.DataFrame(table).to_csv(index=False, lineterminator="\n")
    write_atomically(pathlib.Path(path), lambda file: file.write(text.encode()))


def read(path: str | os.PathLike, dataset: Data) -> Split:
    """Reads a split that `save` wrote, exactly.

    Args:
        path: The CSV file.
        dataset: The data set that the split was drawn from.

    Returns:
        The `Split`.

    Raises:
        InputError: The file is missing or no such table, or it belongs to other
            images, another order or other labels.
    """
    table = _read_table(path)
    index = _integers(path, table["index"], len(dataset.images) - 1)
    flags = {part: _integers(path, table[part], 1) == 1 for part in _PARTS}
    expected = _integers(path, table["crc32"], 2**32 - 1)
    _check_rows(path, index, flags)
    _check_images(path, dataset, index, expected)
    used = flags["labeled"] | flags["validation"]
    _check_labels(path, dataset, index, used, table["label"].to_numpy())
    return Split(*[np.sort(index[flags[part]]) for part in _PARTS])


def _names(dataset: Data, index: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The classes' names `(k,)` of the images at `index`, empty where not used."""
    labels = np.where(used, dataset.labels[index], UNLABELED)
    return np.array([*dataset.classes, ""], dtype=object)[labels]


def _read_table(path: str | os.PathLike) -> pd.DataFrame:
    try:
        # As text and nothing else: a class may be called "NA" or "007".
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a split: {reason}.") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(
            f"{path} is not a split: it has no column {', '.join(missing)}. "
            f"Expected: {', '.join(COLUMNS)}."
        )
    return table


def _integers(path: str | os.PathLike, column: pd.Series, highest: int) -> np.ndarray:
    """The numbers of a column, int64, each within 0 ... highest."""
    # At most 18 digits, so that none exceeds 64 bits before it is compared.
    wrong = ~column.str.fullmatch("[0-9]{1,18}").astype(bool)
    if not wrong.any():
        numbers = column.astype(np.int64)
        wrong = numbers > highest
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        raise InputError(
            f"{path}, row {row + 1}: expected {column.name} from 0 to {highest}. "
            f"Received: {column.iloc[row]!r}."
        )
    return numbers.to_numpy()


def _check_rows(
    path: str | os.PathLike, index: np.ndarray, flags: dict[str, np.ndarray]
) -> None:
    if len(np.unique(index)) != len(index):
        raise InputError(f"{path} names an image twice; every index may occur once.")
    if (flags["validation"] & (flags["labeled"] | flags["unlabeled"])).any():
        raise InputError(f"{path} has images both in validation and in training.")
    for part in ("labeled", "unlabeled"):
        if not flags[part].any():
            raise InputError(f"{path} has no image with {part}=1.")


def _check_images(
    path: str | os.PathLike, dataset: Data, index: np.ndarray, expected: np.ndarray
) -> None:
    found = checksums(subset(dataset.images, index))
    different = int((expected != found).sum())
    if different:
        raise InputError(
            f"{path} was saved with other images than these of {dataset.name!r}, or "
            f"with another order or size of them ({different} of {len(index)} differ)."
        )


def _check_labels(
    path: str | os.PathLike,
    dataset: Data,
    index: np.ndarray,
    used: np.ndarray,
    names: np.ndarray,
) -> None:
    expected = _names(dataset, index, used)
    wrong = (names != expected) | (used & (expected == ""))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{path}, row {row + 1}: expected label {expected[row]!r}, as in "
            f"{dataset.name!r}. Received: {names[row]!r}."
        )
