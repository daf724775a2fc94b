"""Shows the images and labels of a data set: python -m color_s4l.inspect."""

import concurrent.futures
import dataclasses
import pathlib
import typing
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import pandas as pd
from PIL import Image

from color_s4l import command_line, data, fields
from color_s4l.artifacts.files import write_atomically
from color_s4l.data import balance, image_files
from color_s4l.fields import Above, Between, option
from color_s4l.settings import DataSettings, part

if typing.TYPE_CHECKING:
    from matplotlib.figure import Figure

    from color_s4l.classifier import Classifier
    from colorization.colorizer import Colorizer

_DESCRIPTION = """Shows the images and labels of a data set before training: number of
images by class and split, image sizes, test images that are also training images,
files that cannot be read, a contact sheet, and the proxy views of a few images. With
--model also suspected wrong labels, and test images that are almost training images,
from the features of a trained classifier.

  python -m color_s4l.inspect --dataset=folder --data_dir=photos --model=runs/photos
  python -m color_s4l.inspect --dataset=cifar10 --colorizer=cifar10_100.h5
"""
# Number of rows of a table that are printed; the file has all rows.
_SHOWN = 20
# Contact sheet: largest number of classes, and number of images of each class.
ROWS, COLUMNS = 20, 10
# Number of images whose proxy views are drawn.
PICTURED = 6


@dataclasses.dataclass(frozen=True)
class Inspect(DataSettings):
    """The flags of the command."""

    colorizer: str | None = option(
        None, "H5 file of colorization.train, for the colourised view."
    )
    model: str | None = option(
        None, "A run or model file: find wrong labels and near-duplicates by features."
    )
    similarity: Annotated[float, Above(0), Between(0, 1)] = option(
        0.95, "Smallest cosine of the features of near-duplicates."
    )
    output: str | None = option(
        None, "Folder to write to (default: inspection_<dataset>)."
    )
    plugins: tuple[str, ...] = option(
        (), "Module or .py file that registers data sets or views; may be repeated."
    )


def inspect(flags: Inspect) -> None:
    """Writes tables and pictures of a data set and prints a summary.

    Args:
        flags: The command's flags.

    Raises:
        InputError: The data set, the colorizer or the model cannot be read.
    """
    # Imported here, because Keras takes seconds to start and --help does not need it.
    from color_s4l.artifacts import pictures
    from colorization.colorizer import Colorizer

    fields.check(flags)
    colorizer = Colorizer.load(flags.colorizer) if flags.colorizer else None
    settings = part(flags, DataSettings)
    trained = None
    if flags.model:
        from color_s4l import classifier

        trained = classifier.load(flags.model)
        size = flags.image_size or trained.image_size
        settings = dataclasses.replace(settings, image_size=size)
    print(f"reading    {flags.dataset}", flush=True)
    dataset = data.load(settings)
    name = f"inspection_{flags.dataset}".replace("/", "_")
    folder = pathlib.Path(flags.output or name)
    folder.mkdir(parents=True, exist_ok=True)
    tables = _tables(dataset)
    if trained:
        tables |= _feature_tables(dataset, trained, flags.similarity)
    for name, table in tables.items():
        _write(table, folder / f"{name}.csv")
    pictures.save(contact_sheet(dataset), folder / "contact_sheet.png")
    pictures.save(views(dataset, colorizer), folder / "views.png")
    if colorizer is None:
        print("views      without the colourised view, which needs --colorizer")
    print(f"written    {folder}/")


def _tables(dataset: data.Data) -> dict[str, pd.DataFrame]:
    """Returns the tables that need no classifier, and prints a summary of each."""
    size, classes = dataset.images.shape[1], len(dataset.classes)
    print(f"images     {dataset.name}, {classes} classes, read at {size} px")
    tables = {"counts": counts(dataset)}
    _print(tables["counts"])
    if data.imbalanced(dataset.labels, dataset.classes):
        print("warning    one class has more than 10 times the images of another")
    tables["duplicates"] = duplicates(dataset)
    found = tables["duplicates"]["test"].nunique()
    print(f"duplicates {found:,} test images are also training images")
    _print(tables["duplicates"])
    if dataset.files:
        tables |= _file_tables(dataset.files)
    return tables


def _feature_tables(
    dataset: data.Data, trained: "Classifier", similarity: float
) -> dict[str, pd.DataFrame]:
    """Returns the tables that need a classifier, and prints a summary of each."""
    _, training = trained.predict_with_features(dataset.images)
    _, test = trained.predict_with_features(dataset.test_images)
    labels = wrong_labels(dataset, training, test)
    print(f"labels     {len(labels):,} labels are suspected to be wrong")
    _print(labels)
    pairs = near_duplicates(dataset, training, test, similarity)
    print(f"similar    {len(pairs):,} test images are almost training images")
    _print(pairs)
    return {"wrong_labels": labels, "near_duplicates": pairs}


def wrong_labels(
    dataset: data.Data, training: np.ndarray, test: np.ndarray
) -> pd.DataFrame:
    """Returns the training and test images whose labels are suspected to be wrong.

    Labels of classes with one image cannot be checked. A trunk that was trained on the
    same labels may have memorised wrong labels, which are then not found. A classifier
    that was trained on few of the labels finds more of them.

    Args:
        dataset: The data set.
        training: Features of the training images, float `(n, channels)`.
        test: Features of the test images, float `(m, channels)`.

    Returns:
        One row per image, the most suspicious label first: `image` (file name, or index
        such as "training[7]"), `given`, `suggested`, `given_probability` and
        `suggested_probability`.
    """
    from color_s4l import suspects

    names = [*_names(dataset, "training"), *_names(dataset, "test")]
    labels = np.concatenate([dataset.labels, dataset.test_labels])
    features = np.concatenate([training, test])
    known = np.flatnonzero(labels != data.UNLABELED)
    members = balance.counts(labels, dataset.classes)
    known = known[members[labels[known]] > 1]
    classes, given = np.unique(labels[known], return_inverse=True)
    columns = ["image", "given", "suggested"]
    columns += ["given_probability", "suggested_probability"]
    if len(classes) < 2:
        return pd.DataFrame(columns=columns)
    probabilities = suspects.cross_validated(features[known], given)
    rows = [
        (
            names[known[row]],
            dataset.classes[classes[given[row]]],
            dataset.classes[classes[other]],
            probabilities[row, given[row]].round(3),
            probabilities[row, other].round(3),
        )
        for row, other in zip(*suspects.wrong_labels(probabilities, given), strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def near_duplicates(
    dataset: data.Data, training: np.ndarray, test: np.ndarray, similarity: float
) -> pd.DataFrame:
    """Returns the test images that are almost training images.

    Args:
        dataset: The data set.
        training: Features of the training images, float `(n, channels)`.
        test: Features of the test images, float `(m, channels)`.
        similarity: Smallest cosine of the features of a pair.

    Returns:
        One row for each such test image, with its most similar training image: `test`,
        `training`, `similarity`, `test_class` and `training_class`.
    """
    from color_s4l import suspects

    tests, trainings = _names(dataset, "test"), _names(dataset, "training")
    classes = [*dataset.classes, ""]  # label -1 (unlabelled): the last name
    rows = [
        (
            tests[i],
            trainings[k],
            round(cosine, 4),
            classes[dataset.test_labels[i]],
            classes[dataset.labels[k]],
        )
        for i, k, cosine in suspects.near_duplicates(test, training, similarity)
    ]
    columns = ["test", "training", "similarity", "test_class", "training_class"]
    return pd.DataFrame(rows, columns=columns)


def _names(dataset: data.Data, kind: str) -> Sequence[str]:
    """Returns the images' file names; without files, names such as "test[7]"."""
    if dataset.files:
        return getattr(dataset.files, kind)
    images = dataset.images if kind == "training" else dataset.test_images
    return [f"{kind}[{number}]" for number in range(len(images))]


def _file_tables(files: data.Files) -> dict[str, pd.DataFrame]:
    table, broken = sizes([*files.training, *files.test])
    # `broken` is needed for images that are decoded on demand: they have not been read
    # yet, so `files.unreadable` does not contain them.
    unreadable = pd.DataFrame(
        [*files.unreadable, *broken], columns=["filename", "reason"]
    )
    print(f"unreadable {len(unreadable):,} files")
    _print(unreadable)
    sides = table[["width", "height"]]
    square = 100 * (table["width"] == table["height"]).mean()
    low, middle, high = sides.min(), sides.median(), sides.max()
    print(
        f"sizes      {low['width']} x {low['height']} to {high['width']} x "
        f"{high['height']} pixels, median {middle['width']:.0f} x "
        f"{middle['height']:.0f}; {square:.0f} % square"
    )
    return {"unreadable": unreadable, "files": table}


def _write(table: pd.DataFrame, path: pathlib.Path) -> None:
    # File names are bytes, not always UTF-8.
    content = table.to_csv(index=False).encode(errors="backslashreplace")
    write_atomically(path, lambda file: file.write(content))


def _print(table: pd.DataFrame) -> None:
    if len(table):
        print(table.head(_SHOWN).to_string(index=False))
    if len(table) > _SHOWN:
        print(f"... and {len(table) - _SHOWN:,} more rows")


def counts(dataset: data.Data) -> pd.DataFrame:
    """Returns the number of images by class and split.

    Returns:
        Columns `class`, `training`, `test`; the last row counts the images without a
        label.
    """
    unlabeled = int((dataset.labels == data.UNLABELED).sum())
    return pd.DataFrame(
        {
            "class": [*dataset.classes, "(no label)"],
            "training": [*balance.counts(dataset.labels, dataset.classes), unlabeled],
            "test": [*balance.counts(dataset.test_labels, dataset.classes), 0],
        }
    )


def duplicates(dataset: data.Data) -> pd.DataFrame:
    """Returns the test images that are also training images, pixel for pixel.

    Images are compared at the size at which they were read.

    Returns:
        One row for every pair: `test` and `training` (file names, or indices such as
        "training[7]"), `test_class` and `training_class`. `training_class` is empty for
        an image without a label.
    """
    pairs = pd.merge(
        pd.DataFrame({"crc": data.checksums(dataset.test_images)}).reset_index(),
        pd.DataFrame({"crc": data.checksums(dataset.images)}).reset_index(),
        on="crc",
        suffixes=("_test", "_training"),
    )[["index_test", "index_training"]]
    # Different images may have equal checksums.
    same = [
        (i, k)
        for i, k in pairs.itertuples(index=False)
        if np.array_equal(dataset.test_images[i], dataset.images[k])
    ]
    classes = [*dataset.classes, ""]  # label -1 (unlabelled): the last name
    tests, trainings = _names(dataset, "test"), _names(dataset, "training")
    rows = [
        {
            "test": tests[i],
            "training": trainings[k],
            "test_class": classes[dataset.test_labels[i]],
            "training_class": classes[dataset.labels[k]],
        }
        for i, k in same
    ]
    return pd.DataFrame(
        rows, columns=["test", "training", "test_class", "training_class"]
    )


def sizes(paths: Sequence[str]) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Reads the headers of image files.

    Args:
        paths: Image files.

    Returns:
        A table with the columns `filename`, `width`, `height` (in pixels, as stored),
        `format` and `mode`; and, for each file that cannot be read, a pair of its name
        and the reason.
    """
    broken: list[tuple[str, str]] = []

    def header(path: str) -> tuple | None:
        try:
            with Image.open(path, formats=image_files.FORMATS) as file:
                return path, *file.size, file.format, file.mode
        except (OSError, ValueError) as error:
            broken.append((path, str(error)))
            return None

    with image_files.quiet(), concurrent.futures.ThreadPoolExecutor() as pool:
        rows = [row for row in pool.map(header, paths) if row]
    columns = ["filename", "width", "height", "format", "mode"]
    return pd.DataFrame(rows, columns=columns), sorted(broken)


def contact_sheet(dataset: data.Data) -> "Figure":
    """Draws the first training images of each class, and the first unlabelled images.

    If there are more than 20 classes, 20 of them are drawn, evenly spaced. There is one
    row per class.
    """
    from color_s4l.artifacts import pictures

    total = len(dataset.classes)
    shown = np.arange(min(ROWS, total)) * total // min(ROWS, total)
    kinds = {dataset.classes[k]: int(k) for k in shown}
    if (dataset.labels == data.UNLABELED).any():
        kinds["(no label)"] = data.UNLABELED
    rows = {
        name: dataset.images[np.flatnonzero(dataset.labels == k)[:COLUMNS]]
        for name, k in kinds.items()
    }
    return pictures.sheet(rows, COLUMNS)


def views(dataset: data.Data, colorizer: "Colorizer | None") -> "Figure":
    """Draws the proxy views of a few training images, below their proxy labels.

    Proxy views of plug-ins are drawn too. Random proxy views are left out.

    Args:
        dataset: The data set.
        colorizer: The colorizer for the colourised view; None: this view is left out.

    Returns:
        The figure, one row per image.
    """
    from color_s4l.artifacts import pictures
    from color_s4l.registry import PROXIES
    from color_s4l.views import proxies
    from color_s4l.views.step import COLORIZED, own_first

    count = min(PICTURED, len(dataset.images))
    images = dataset.images[np.arange(count) * len(dataset.images) // count]
    colorized = colorizer.colorize(images) if colorizer else None
    names = [
        name
        for name in own_first(PROXIES)
        if PROXIES[name].deterministic or (colorizer and name == COLORIZED)
    ]
    return pictures.views(proxies.pictures(images, names, colorized), names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return command_line.run(inspect, Inspect, _DESCRIPTION, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
