"""What the library sees of a data set, as tables."""

import concurrent.futures
from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

from color_s4l import data
from color_s4l.data import balance, image_files, lazy_images


def counts(dataset: data.Data) -> pd.DataFrame:
    """Images of each class and split.

    Args:
        dataset: Loaded.

    Returns:
        Columns `class`, `training`, `test`; the last row counts the images without
        a label.
    """
    without = int((dataset.labels == data.UNLABELED).sum())
    return pd.DataFrame(
        {
            "class": [*dataset.classes, "(no label)"],
            "training": [*balance.counts(dataset.labels, dataset.classes), without],
            "test": [*balance.counts(dataset.test_labels, dataset.classes), 0],
        }
    )


def names_of(dataset: data.Data) -> tuple[Sequence[str], Sequence[str]]:
    """Names of the training and of the test images: their files, or their places."""
    if dataset.files:
        return dataset.files.training, dataset.files.test
    parts = {"training": dataset.images, "test": dataset.test_images}
    first, second = ([f"{k}[{i}]" for i in range(len(v))] for k, v in parts.items())
    return first, second


def duplicates(dataset: data.Data) -> pd.DataFrame:
    """Test images that are training images too, pixel for pixel at the size read.

    Args:
        dataset: Loaded.

    Returns:
        Columns `test` and `training`, names; `test_class` and `training_class`, the
        latter empty for an image without a label. One row for every pair.
    """
    pairs = pd.merge(
        pd.DataFrame({"crc": lazy_images.checksums(dataset.test_images)}).reset_index(),
        pd.DataFrame({"crc": lazy_images.checksums(dataset.images)}).reset_index(),
        on="crc",
        suffixes=("_test", "_training"),
    )
    tests, places = (pairs[f"index_{part}"].to_numpy() for part in ("test", "training"))
    # Equal checksums of different images are rare, not impossible.
    same = [_equal(dataset, i, k) for i, k in zip(tests, places, strict=True)]
    tests, places = tests[np.array(same, bool)], places[np.array(same, bool)]
    training_names, test_names = names_of(dataset)
    classes = np.array([*dataset.classes, ""], dtype=object)
    return pd.DataFrame(
        {
            "test": [test_names[i] for i in tests],
            "training": [training_names[k] for k in places],
            "test_class": classes[dataset.test_labels[tests]],
            "training_class": classes[dataset.labels[places]],
        }
    )


def _equal(dataset: data.Data, test: int, training: int) -> bool:
    return np.array_equal(dataset.test_images[test], dataset.images[training])


def sizes(paths: Sequence[str]) -> pd.DataFrame:
    """Of every file what its header says.

    Args:
        paths: Files that can be decoded.

    Returns:
        Columns `filename`, `width`, `height` (in pixels, as stored), `format`, `mode`.
    """
    with image_files.strict(), concurrent.futures.ThreadPoolExecutor() as pool:
        rows = list(pool.map(_header, paths))
    return pd.DataFrame(rows, columns=["filename", "width", "height", "format", "mode"])


def _header(path: str) -> tuple:
    with Image.open(path, formats=image_files.FORMATS) as file:
        return path, *file.size, file.format, file.mode
