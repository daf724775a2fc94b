"""The preprocessing of a run: its statistics are fitted once, and kept."""

import time

import numpy as np

from color_s4l import data
from color_s4l.artifacts import cache
from color_s4l.artifacts.files import read_arrays, write_atomically
from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.settings import Run
from color_s4l.views.preprocessing import Preprocessing, whitening


def statistics_of(
    run: Run, dataset: data.Data, split: data.Split, folder: RunFolder
) -> dict[str, np.ndarray]:
    """Mean and matrix of the whitening; empty without one.

    Fitted on all training images but the held-out ones. A resumed run takes up its
    own again, wherever it goes on.

    Args:
        run: Resolved.
        dataset: The images.
        split: Names the held-out ones.
        folder: Keeps what was fitted.

    Returns:
        `mean`, float32 `(d,)`, and `matrix`, float32 `(d, d)`, d being the number of
        values of an image.
    """
    if not run.zca:
        return {}
    if folder.statistics.exists():
        return read_arrays(folder.statistics)
    started = time.perf_counter()
    images = dataset.images
    if len(split.validation):  # they stand for images that nobody has seen yet
        seen = np.setdiff1d(np.arange(len(images)), split.validation)
        images = data.subset(images, seen)
    fitted = cache.cached(
        "whitening",
        [data.content(images)],
        lambda: dict(zip(("mean", "matrix"), whitening(images), strict=True)),
    )
    print(f"whitening  ready after {time.perf_counter() - started:.1f} s", flush=True)
    write_atomically(folder.statistics, lambda file: np.savez(file, **fitted))
    return fitted


def preprocessing_of(
    run: Run, dataset: data.Data, statistics: dict[str, np.ndarray]
) -> Preprocessing:
    """The preprocessing layer with its statistics.

    Args:
        run: Resolved; `zca` says whether it whitens.
        dataset: Of which only the images' shape is read.
        statistics: Of `statistics_of`; empty leaves the identity.

    Returns:
        The layer, built.
    """
    layer = Preprocessing(zca=run.zca)
    layer.build((None, *dataset.images.shape[1:]))
    if statistics:
        layer.set_statistics(**statistics)
    return layer
