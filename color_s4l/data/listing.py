"""Which files are the images of a data set, and what is known of each."""

import dataclasses
import os
import pathlib
import sys
import unicodedata
import zlib

import numpy as np

from color_s4l.data import image_files
from color_s4l.data.dataset import UNLABELED
from color_s4l.errors import InputError

Labelled = list[tuple[pathlib.Path, int]]


@dataclasses.dataclass(frozen=True)
class Listing:
    """Files with the numbers of their classes.

    Attributes:
        root: The data set's folder.
        classes: Names.
        training: Files of the training images; number -1 without a label.
        test: Files of the test images.
        added: Training files whose labels a table adds to those of class folders.
            They may be guesses, and so are never held out to test on.
    """

    root: pathlib.Path
    classes: tuple[str, ...]
    training: Labelled
    test: Labelled
    added: frozenset[pathlib.Path] = frozenset()


def composed(name: str) -> str:
    """One spelling of a name: its accents composed (macOS takes them apart)."""
    return unicodedata.normalize("NFC", name)


def folders(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """A folder's folders by their names, sorted as text; hidden ones are passed over.

    Returns:
        `composed` name -> the folder as it is spelled there.

    Raises:
        InputError: A name is no UTF-8, and could not be written down, or there twice
            in two spellings.
    """
    with os.scandir(root) as entries:
        names = [e.name for e in entries if e.is_dir() and e.name[0] != "."]
    found: dict[str, pathlib.Path] = {}
    for name in names:
        if name.encode(errors="replace").decode() != name:
            raise InputError(f"{root} has a folder whose name is no UTF-8: {name!a}.")
        if found.setdefault(composed(name), root / name) != root / name:
            raise InputError(
                f"{root} has two folders {composed(name)!r}, which spell an accent as "
                "one sign and as two: put their files into one."
            )
    return dict(sorted(found.items()))


def of_classes(folder: pathlib.Path, classes: tuple[str, ...]) -> Labelled:
    """The files below each class's folder, in the order of the classes.

    Raises:
        InputError: There is a folder of no class.
    """
    present = folders(folder)
    strange = [name for name in present if name not in set(classes)]
    if strange:
        raise InputError(
            f"{folder} has classes that train has not: {', '.join(strange)}. "
            f"train has: {', '.join(classes)}."
        )
    loose = [p for p in folder.iterdir() if p.suffix.lower() in image_files.ENDINGS]
    if loose:
        print(
            f"{folder}: passed over {len(loose)} images outside of a class's folder",
            file=sys.stderr,
        )
    return [
        (path, label)
        for label, name in enumerate(classes)
        if name in present
        for path in image_files.find(present[name])
    ]


def with_test(listing: Listing, fraction: float | None) -> Listing:
    """The listing with test images: those of its test folder, or a share held out.

    Which are held out depends on nothing but the files' names: all runs, whatever
    their seed, are tested alike.

    Args:
        listing: Without test images where there is no test folder.
        fraction: Share of each class's labelled images, in (0, 1); at least one, and
            at least one stays. None where there is a test folder.

    Returns:
        The listing with test images.

    Raises:
        InputError: There are both or neither, or no class has two images.
    """
    if fraction is None:
        if listing.test:
            return listing
        raise InputError(
            f"There are no test images: expected {listing.root / 'test'}/<class>/*, "
            "or --test_fraction=0.2 to hold out a share of each class."
        )
    if not 0 < fraction < 1:
        raise InputError(f"--test_fraction={fraction}: expected 0 < p < 1.")
    if listing.test:
        raise InputError(
            f"{listing.root / 'test'} holds the test images: leave --test_fraction out."
        )
    held_out = _held_out(listing, fraction)
    if not held_out:
        raise InputError(
            f"--test_fraction={fraction}: no class has two labelled images, "
            "so that none can be held out."
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
    order = np.array([zlib.crc32(os.fsencode(name)) for name in names])
    chosen: set[int] = set()
    for label in set(labels.tolist()) - {UNLABELED}:
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(order[members], kind="stable")]
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen.update(members[:count].tolist())
    return chosen
