"""Labels for a next stage, by the classifier of the last one.

Zhai et al. 2019 (S4L, section 5): predictions averaged over five crops and four
rotations of every training image. Logits are averaged, as in its published code.
"""

import pathlib

import keras
import numpy as np

from color_s4l import data
from color_s4l.artifacts import classifier_file
from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.data import Data
from color_s4l.training import evaluation

# The corners and the centre, as far apart as training shifts images, in pixels.
MARGIN = 2
CROPS = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))


def labels_path(stage: pathlib.Path) -> pathlib.Path:
    """The file of labels in a stage's folder."""
    return stage / "pseudo_labels.npz"


def write(
    stage: pathlib.Path,
    dataset: Data,
    index: np.ndarray,
    *,
    weights: str | None = None,
    views: int = 1,
    known: np.ndarray | None = None,
) -> None:
    """Writes the labels of images, unless they are there.

    Args:
        stage: Folder of a complete run.
        dataset: The images.
        index: Which of them get a label, integers.
        weights: Further weights of the run that are used ("average"); None: its own.
        views: 1: the image alone; 5: crops; 20: crops and rotations.
        known: Those whose true labels are kept, integers; None: no one's.
    """
    path = labels_path(stage)
    if path.exists():
        return
    print(f"labelling  {len(index):,} images, {views} views of each", flush=True)
    model, _ = classifier_file.load(RunFolder(stage).model(weights=weights))
    images = data.subset(dataset.images, index)
    parts = [averaged(model, part, views=views) for part in data.chunks(images)]
    labels = np.concatenate(parts)
    if known is not None:
        true = np.eye(len(dataset.classes), dtype=np.float32)
        rows = np.flatnonzero(np.isin(index, known))
        labels[rows] = true[dataset.labels[index[rows]]]
    data.save_pseudo_labels(path, dataset, index, labels)


def averaged(model: keras.Model, images: np.ndarray, *, views: int) -> np.ndarray:
    """Class probabilities, their logits averaged over views of each image.

    Args:
        model: A classifier.
        images: uint8 `(n, height, width, 3)`.
        views: As for `write`.

    Returns:
        Float32 `(n, classes)`.
    """
    crops, turns = {1: (1, 1), 5: (5, 1), 20: (5, 4)}[views]
    logits = 0.0
    for number in range(crops):
        cropped = images if views == 1 else _crop(images, *CROPS[number])
        for turn in range(turns):
            turned = np.rot90(cropped, turn, axes=(1, 2))
            found = evaluation.probabilities(model, np.ascontiguousarray(turned))
            # Logits but for a constant of each view, which no class gains from.
            logits = logits + np.log(np.maximum(found, 1e-30)) / (crops * turns)
    unnormed = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (unnormed / unnormed.sum(axis=1, keepdims=True)).astype(np.float32)


def _crop(images: np.ndarray, top: int, left: int) -> np.ndarray:
    """A shifted image, its edge mirrored: the training shift."""
    height, width = images.shape[1:3]
    margins = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    padded = np.pad(images, margins, mode="symmetric")
    return padded[:, top : top + height, left : left + width]
