"""The colorizer of a run: the given one, or one trained on the same images."""

from collections.abc import Sequence

import numpy as np

from color_s4l import data
from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.settings import Run
from color_s4l.terms import Term
from color_s4l.views.step import COLORIZED
from colorization import saving, training
from colorization.colorizer import Colorizer

# Enough for colours of the right tone; the published colorizers had 50 to 300.
EPOCHS = 10
# Fewer images need smaller batches: below some 350 steps a colorizer without
# batch normalisation may still give every pixel the mean colour.
FEW_IMAGES, SMALL_BATCH, LARGE_BATCH = 5000, 20, 100
# Its images are all in memory: 13,000 of 224 px. The same wherever a run is begun.
LARGEST_BYTES = 2 * 10**9


def needed(terms: Sequence[Term]) -> bool:
    """Whether a term reads the colourised view."""
    return any(COLORIZED in term.views() for term in terms)


def own_colorizer(
    run: Run, dataset: data.Data, split: data.Split, folder: RunFolder
) -> Colorizer:
    """The one kept in the run folder, trained first where there is none yet."""
    if not folder.colorizer.exists():
        _train(run, dataset, split, folder)
    return saving.load(folder.colorizer)


def _train(run: Run, dataset: data.Data, split: data.Split, folder: RunFolder) -> None:
    images = _images(dataset, split)
    print(
        f"colorizer  none given: training one on {len(images):,} of the unlabelled "
        f"images for {EPOCHS} epochs, kept in {folder.colorizer}",
        flush=True,
    )
    settings = training.Settings(
        epochs=EPOCHS,
        batch_size=SMALL_BATCH if len(images) < FEW_IMAGES else LARGE_BATCH,
        seed=run.seed,
        verbosity=run.verbosity,
    )
    interrupted = folder.path / "colorizer.unfinished.npz"
    model = training.train(images, images[:0], settings, interrupted, resume=True)
    origin = training.origin(settings, dataset.name, images)
    saving.save(model, folder.colorizer, origin)
    interrupted.unlink(missing_ok=True)


def _images(dataset: data.Data, split: data.Split) -> np.ndarray:
    """The unlabelled images, or as many of them as may be in memory, evenly chosen."""
    _, height, width, channels = dataset.images.shape
    present = len(split.unlabeled)
    count = min(present, LARGEST_BYTES // (height * width * channels))
    return dataset.images[split.unlabeled[np.arange(count) * present // count]]


def described(colorizer: Colorizer) -> str:
    """One line: the network, what it was trained on, how long."""
    origin = colorizer.origin
    return (
        f"{origin.network}, {origin.epochs} epochs on {origin.images:,} images of "
        f"{origin.dataset}"
    )
