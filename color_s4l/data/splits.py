"""Splits of the training images: labelled, unlabelled and validation images.

Labelled images are balanced over the classes, as in the published code of SESEMI
(https://github.com/vuptran/sesemi, `utils.py`). Differs from the published code: the
order of the images of each class is drawn from (seed, class), not from one stream over
all classes. Validation images are taken from the end of this order and labelled images
from its beginning, so the number of validation images does not change the labelled
images.

A split is saved as a table with the checksums of the images. Reading the table gives
exactly the same split, or an error if the images, their order or their labels differ.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from color_s4l.artifacts.files import write_atomically
from color_s4l.data.dataset import UNLABELED, Data
from color_s4l.data.lazy_images import checked, checksums, subset
from color_s4l.data.streams import Purpose, permutation
from color_s4l.errors import InputError

_PARTS = ("labeled", "unlabeled", "validation")
COLUMNS = ("index", "label", *_PARTS, "crc32")
# An additional column if the images were read from files. It is for people who read the
# table; `read_split` does not check it.
FILENAME = "filename"


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Indices of training images in `Data.images`, each array in ascending order.

    Attributes:
        labeled: int64 `(l,)`: images used with their labels.
        unlabeled: int64 `(u,)`: images used without labels; may contain the labelled
            images, as published, but no validation images.
        validation: int64 `(v,)`: images held out of training, for model selection.
    """

    labeled: np.ndarray
    unlabeled: np.ndarray
    validation: np.ndarray


def draw_split(
    labels: np.ndarray,
    classes: Sequence[str],
    labeled_count: int | None,
    unlabeled_count: int | None,
    validation_count: int,
    seed: int,
) -> Split:
    """Draws a split.

    For the same seed, the images of a smaller count are a subset of the images of a
    larger count.

    Args:
        labels: int32 `(n,)` in [0, classes), -1 for images without a label.
        classes: Names of the classes.
        labeled_count: Number of labelled images in total, the same for each class;
            None for all images that have a label and are not held out. The number of
            all these images is also accepted, even if the classes differ in size.
        unlabeled_count: Number of images used without their labels, drawn uniformly
            from all images that are not held out; None for all these images.
        validation_count: Number of images held out in total, the same for each class.
        seed: At least 0.

    Raises:
        InputError: A count is less than 1 (less than 0 for validation), larger than
            the number of images, or, for labelled and validation images, not divisible
            by the number of classes; a class has too few labelled images; no labelled
            image remains for training; or the seed is negative.
    """
    if seed < 0:
        raise InputError(f"Expected `seed` of at least 0. Received: {seed}.")
    known = int((labels != UNLABELED).sum())
    _check_count("validation", validation_count, 0, known, "labelled images")
    held_out = _per_class("validation", validation_count, classes)
    rest = known - validation_count
    if labeled_count is not None:
        kind = "labelled images for training"
        _check_count("labels", labeled_count, 1, rest, kind)
    if labeled_count is None or labeled_count == rest:
        everything, shown = True, 0
    else:
        everything, shown = False, _per_class("labels", labeled_count, classes)
    orders = _class_orders(labels, classes, shown, held_out, seed)
    validation = _sorted([order[len(order) - held_out :] for order in orders])
    labeled = _sorted(
        [order[: len(order) - held_out if everything else shown] for order in orders]
    )
    if not len(labeled):
        raise InputError(
            f"`validation`={validation_count} leaves no labelled image for training."
        )
    unlabeled = _unlabeled(len(labels), validation, unlabeled_count, seed)
    return Split(labeled, unlabeled, validation)


def _check_count(name: str, count: int, lowest: int, available: int, kind: str) -> None:
    if count < lowest:
        raise InputError(f"Expected `{name}` of at least {lowest}. Received: {count}.")
    if count > available:
        raise InputError(f"`{name}`={count}, but there are only {available} {kind}.")


def _per_class(name: str, count: int, classes: Sequence[str]) -> int:
    each, rest = divmod(count, len(classes))
    if rest:
        near = sorted({max(1, each) * len(classes), (each + 1) * len(classes)})
        raise InputError(
            f"`{name}`={count} is not divisible by the {len(classes)} classes. "
            f"Possible: {' or '.join(str(n) for n in near)}."
        )
    return each


def _class_orders(
    labels: np.ndarray, classes: Sequence[str], shown: int, held_out: int, seed: int
) -> list[np.ndarray]:
    """Returns the image indices of each class, in an order drawn from (seed, class)."""
    orders = []
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        needed = max(shown, 1) if held_out else shown
        if len(members) < needed + held_out:
            raise InputError(
                f"Class {name!r} has {len(members)} labelled images. `labels` and "
                f"`validation` need {needed} + {held_out} images of every class."
            )
        order = permutation(len(members), seed, Purpose.CLASS_ORDER, label)
        orders.append(members[order])
    return orders


def _sorted(parts: list[np.ndarray]) -> np.ndarray:
    return np.sort(np.concatenate(parts)).astype(np.int64)


def _unlabeled(
    images: int, validation: np.ndarray, count: int | None, seed: int
) -> np.ndarray:
    # Drawn over all images, so that the order does not depend on the validation set.
    order = permutation(images, seed, Purpose.UNLABELED_SUBSET, 0)
    order = order[~np.isin(order, validation)]
    if count is not None:
        _check_count(
            "unlabeled", count, 1, len(order), "images outside the validation set"
        )
    return _sorted([order[:count]])


def save_split(split: Split, dataset: Data, path: str | os.PathLike) -> None:
    """Writes a split as a table that `read_split` can check against the images.

    Args:
        split: The split.
        dataset: The data set that the split was drawn from.
        path: A CSV file, one row per image used: index (position in
            `dataset.images`), label (name of the class if the label is used, else
            empty), labeled, unlabeled, validation (0 or 1), crc32 (of the image's
            bytes; for images that are decoded when they are read, empty except for
            1,000 images at equal distances). If the images were read from files, also
            filename, relative to the folder of the data set.
    """
    index = np.unique(np.concatenate([getattr(split, part) for part in _PARTS]))
    flags = {part: np.isin(index, getattr(split, part)) for part in _PARTS}
    positions = checked(dataset.images, len(index))
    sums = np.full(len(index), "", dtype=object)
    sums[positions] = checksums(subset(dataset.images, index[positions]))
    table = {
        "index": index,
        "label": _names(dataset, index, flags["labeled"] | flags["validation"]),
        **{part: flag.astype(int) for part, flag in flags.items()},
        "crc32": sums,
    }
    if files := dataset.files:
        names = [files.training[row] for row in index]
        relative = [os.path.relpath(name, files.root or None) for name in names]
        # File names are bytes, not always UTF-8.
        table[FILENAME] = np.array(
            [name.encode(errors="backslashreplace").decode() for name in relative],
            dtype=object,
        )
    text = pd.DataFrame(table).to_csv(index=False, lineterminator="\n")
    write_atomically(pathlib.Path(path), lambda file: file.write(text.encode()))


def read_split(path: str | os.PathLike, dataset: Data) -> Split:
    """Reads a split that `save_split` wrote.

    Args:
        path: The CSV file.
        dataset: The data set that the split was drawn from.

    Raises:
        InputError: The file is missing or is not a table of this form, or it belongs
            to other images, another order or other labels.
    """
    table = _read_table(path)
    index = _integers(path, table["index"], len(dataset.images) - 1)
    flags = {part: _integers(path, table[part], 1) == 1 for part in _PARTS}
    _check_rows(path, index, flags)
    _check_content(path, table["crc32"], index, dataset)
    used = flags["labeled"] | flags["validation"]
    _check_labels(path, dataset, index, used, table["label"].to_numpy())
    return Split(*[np.sort(index[flags[part]]) for part in _PARTS])


def _names(dataset: Data, index: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Returns the class names `(k,)` of the images at `index`; "" where not `used`."""
    labels = np.where(used, dataset.labels[index], UNLABELED)
    return np.array([*dataset.classes, ""], dtype=object)[labels]


def _read_table(path: str | os.PathLike) -> pd.DataFrame:
    try:
        # All columns as text: a class may be called "NA" or "007".
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
    """Returns a column as integers, int64, each in [0, highest]."""
    # At most 18 digits, so that the conversion to int64 does not overflow.
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


def _check_content(
    path: str | os.PathLike, sums: pd.Series, index: np.ndarray, dataset: Data
) -> None:
    """Compares the checksums of the images: at most 1,000 if they must be decoded."""
    known = np.flatnonzero(sums != "")
    known = known[checked(dataset.images, len(known))]
    expected = _integers(path, sums.iloc[known], 2**32 - 1)
    different = expected != checksums(subset(dataset.images, index[known]))
    if different.any() or not len(known):
        raise InputError(
            f"{path} does not match {dataset.name!r}: it was saved for other images, "
            f"another order or another size ({different.sum()} of {len(known)} differ)."
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
