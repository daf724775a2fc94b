"""What a report shows of a run's images, kept so that it needs no data and no model."""

import keras
import numpy as np
from PIL import Image

from color_s4l import data
from color_s4l.artifacts.files import write_atomically
from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.terms import Proxies
from color_s4l.training.learner import Learner
from color_s4l.training.preparation import Prepared
from color_s4l.views import warped
from color_s4l.views.geometric import GEOMETRIC
from color_s4l.views.step import COLORIZED, UNLABELED
from colorization import metrics

PICTURED = 8
MISTAKES = 24
# In pixels; larger images are shrunk to it before they are kept.
LARGEST_SIDE = 96


def save(
    prepared: Prepared, probabilities: np.ndarray | None, folder: RunFolder
) -> None:
    """Writes samples.npz: what was predicted, and the images that a report shows.

    It holds `labels`, `predicted` (integers), `confidence` and `true_probability`
    (float32), each `(n,)` over the test images; `mistakes`, the places `(k,)` of
    the most confident wrong ones, and `mistake_images`, uint8 `(k, h, w, 3)`. Runs
    with proxy views also have `tasks`, their names `(t,)`, `views`, uint8
    `(m, t, h, w, 3)`, and `proxy_probabilities`, float32 `(m, t, t)`: the proxy
    head's for each view, without noise and shift; those with colourised images
    `original`, `grey` and `colorized`, uint8 `(m, h, w, 3)`.

    Args:
        prepared: The run, trained.
        probabilities: Of the test images, `(n, classes)`; None leaves them out.
        folder: The run's.
    """
    arrays = {
        **_tests(prepared.dataset, probabilities),
        **_proxies(prepared.learner, prepared.batches),
        **_colorized(prepared.batches),
    }
    write_atomically(folder.samples, lambda file: np.savez_compressed(file, **arrays))


def _tests(dataset: data.Data, probabilities: np.ndarray | None) -> dict:
    if probabilities is None:
        return {}
    labels, places = dataset.test_labels, np.arange(len(dataset.test_labels))
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities[places, predicted]
    wrong = np.flatnonzero(predicted != labels)
    # Stable, so that equal confidences keep the order of the images.
    mistakes = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    return {
        "labels": labels,
        "predicted": predicted,
        "confidence": confidence,
        "true_probability": probabilities[places, labels],
        "mistakes": mistakes,
        "mistake_images": _small(dataset.test_images[mistakes]),
    }


def _proxies(learner: Learner, batches: data.StepBatches) -> dict:
    for term in learner.terms:
        if isinstance(term, Proxies):
            shown = views(batches, term.tasks)
            return {
                "tasks": np.array(term.tasks),
                "views": np.stack([_small(row) for row in shown]),
                "proxy_probabilities": _guesses(learner, shown),
            }
    return {}


def _guesses(learner: Learner, shown: np.ndarray) -> np.ndarray:
    """The proxy head's probabilities `(m, t, t)` for views `(m, t, h, w, 3)`."""
    rows, tasks, *image = shown.shape
    flat = learner.preprocessing(shown.reshape(rows * tasks, *image))
    logits = learner.network(flat, training=False)["proxy"]
    guesses = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    return guesses.reshape(rows, tasks, tasks)


def _colorized(batches: data.StepBatches) -> dict:
    batch = batches.batch(0)
    if COLORIZED not in batch:
        return {}
    images = _first(batch[UNLABELED])
    return {
        "original": _small(images),
        "grey": _small(metrics.gray(images)),
        "colorized": _small(_first(batch[COLORIZED])),
    }


def views(batches: data.StepBatches, tasks: tuple[str, ...]) -> np.ndarray:
    """The first images' views, before preprocessing, so that a person sees them.

    Args:
        batches: Of the run.
        tasks: Names of the views; the place is the proxy label.

    Returns:
        uint8 `(m, t, height, width, 3)`, m at most `PICTURED`.
    """
    batch = batches.batch(0)
    images = _first(batch[UNLABELED])
    made = {
        name: keras.ops.convert_to_numpy(turn(images))
        for name, turn in GEOMETRIC.items()
    }
    if COLORIZED in batch:
        made[COLORIZED] = _first(batch[COLORIZED])
    seed, pixels = keras.random.SeedGenerator(0), images.astype("float32")
    warps = warped.draw(seed, len(images), frozenset(warped.WARPED))
    for name, warp in warped.WARPED.items():
        made[name] = keras.ops.convert_to_numpy(warp(pixels, warps)).astype("uint8")
    return np.stack([made[task] for task in tasks], axis=1)


def _first(grouped: np.ndarray) -> np.ndarray:
    """The first images of a batch's `(groups, per group, h, w, 3)`."""
    return np.concatenate(grouped)[:PICTURED]


def _small(images: np.ndarray) -> np.ndarray:
    """Images `(k, h, w, 3)` at most `LARGEST_SIDE` pixels high and wide."""
    side = max(images.shape[1:3])
    if side <= LARGEST_SIDE or not len(images):
        return images
    height, width = (round(n * LARGEST_SIDE / side) for n in images.shape[1:3])
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((width, height))) for image in images]
    )
