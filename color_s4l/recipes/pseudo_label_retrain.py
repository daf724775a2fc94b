"""Train on the labels, label all images, train a new network on all images.

Zhai et al. 2019 (S4L, section 4.2) and its published code. The predictions of the
supervised model, averaged over crops and rotations, become the labels of all training
images, without a threshold; true labels are kept. The second network starts from random
weights. It has weight decay 1e-4, no dropout, a warm-up over 5 of 100 epochs, and a
learning rate of 0.1 for 256 images per step that is divided by 10 after 30, 60 and 90
epochs. The published code multiplies the squared weights by half of the weight decay,
so `weight_decay` is half of it, 5e-5.
"""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Callable, Sequence
from typing import Annotated

import keras
import numpy as np

from color_s4l import data
from color_s4l.artifacts import models
from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.fields import Above, AtLeast, Between
from color_s4l.recipes.recipe import SPLIT_BY_FILE, Recipe, Stage, milestones
from color_s4l.registry import register_recipe
from color_s4l.settings import Run, is_digits
from color_s4l.training import evaluation

logger = logging.getLogger(__name__)

# Width of the mirrored margin in pixels, and positions of the crops in the enlarged
# image: four corners and the centre. The width is the largest shift in training.
MARGIN = 2
CROPS = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))


@register_recipe("pseudo_label_retrain")
@dataclasses.dataclass(frozen=True)
class PseudoLabelRetrain(Recipe):
    """A supervised run, then a run on its pseudo-labels.

    Attributes:
        method: Method of the first stage.
        rotations: Whether predictions are averaged over rotations too. Digits are
            never rotated, because rotation changes their class.
        rate: Learning rate of the second stage for 256 images per step, as a multiple
            of `learning_rate`; the published 0.1 divided by the default 0.05. It is
            proportional to `batch_size`.
        decay: Weight decay of the second stage, as a multiple of `weight_decay`; the
            published 5e-5 divided by the default 5e-4.
        warmup: Share of the second stage's epochs with a rising learning rate.
    """

    method: str = "supervised"
    rotations: bool = True
    rate: Annotated[float, Above(0)] = 2.0
    decay: Annotated[float, AtLeast(0)] = 0.1
    warmup: Annotated[float, Between(0, 1)] = 0.05

    def stages(self, run: Run, folder: pathlib.Path) -> Sequence[Stage]:
        """Returns the stages `labels` and `retraining`."""
        rotated = self.rotations and not is_digits(run.dataset)
        kind = "labels"
        predict = predictions_of(folder / kind, views=20 if rotated else 5)
        first = Stage(
            kind,
            {"method": self.method},
            functools.partial(label_all, predict=predict),
        )
        retraining = {
            **on_labels_of(folder / first.name),
            "method": "relabeled",
            "learning_rate": self.rate * run.learning_rate * run.batch_size / 256,
            "weight_decay": self.decay * run.weight_decay,
            "dropout": 0.0,
            "warmup_epochs": self.warmup * run.epochs,
            **milestones(run.epochs, 0.3, 0.6, 0.9),
        }
        return first, Stage("retraining", retraining)


# A function from images, uint8 `(n, height, width, 3)`, to class probabilities, float32
# `(n, classes)`.
Predict = Callable[[data.Images], np.ndarray]


def predictions_of(
    stage: pathlib.Path, *, views: int = 1, weights: str | None = None
) -> Predict:
    """Returns a function that loads a stage's classifier and predicts classes.

    Args:
        stage: Directory of a complete run.
        views: 1: the image only; 5: crops; 20: crops and rotations.
        weights: Name of further weights of the run ("average"); None: the trained
            weights.
    """

    def predict(images: data.Images) -> np.ndarray:
        logger.info("labelling  %s images, %s views of each", f"{len(images):,}", views)
        model, _ = models.load(RunDirectory(stage).model(weights=weights))
        chunks = data.chunks(images)
        return np.concatenate([averaged(model, part, views=views) for part in chunks])

    return predict


def label_all(stage: pathlib.Path, images: data.Data, *, predict: Predict) -> None:
    """Labels all training images; true labels are kept.

    Writes two files to the stage's directory: pseudo_labels.npz, and everything.csv, a
    split in which the labelled images are also among the unlabelled images.

    Args:
        stage: Directory of a stage, which contains the split.
        images: The images.
        predict: Predicts the labels.
    """
    split = data.read_split(RunDirectory(stage).split, images)
    everything = np.union1d(split.unlabeled, split.labeled)
    write_labels(stage, images, everything, predict, known=split.labeled)
    split = dataclasses.replace(split, unlabeled=everything)
    data.save_split(split, images, _everything(stage))


def on_labels_of(stage: pathlib.Path) -> dict:
    """Returns the settings of a run that uses the files written by `label_all`."""
    return {
        **SPLIT_BY_FILE,
        "split_file": str(_everything(stage)),
        "pseudo_labels": str(labels_path(stage)),
    }


def _everything(stage: pathlib.Path) -> pathlib.Path:
    return stage / "everything.csv"


def labels_path(stage: pathlib.Path) -> pathlib.Path:
    """Returns the path of the pseudo-labels in a stage's directory."""
    return stage / "pseudo_labels.npz"


def write_labels(
    stage: pathlib.Path,
    images: data.Data,
    index: np.ndarray,
    predict: Predict,
    *,
    known: np.ndarray | None = None,
) -> None:
    """Writes pseudo-labels to a stage's directory, unless the file exists.

    Args:
        stage: Directory of a stage.
        images: The images.
        index: Indices of the images to label.
        predict: Predicts the labels.
        known: Indices of images that keep their true labels; None: no images.
    """
    path = labels_path(stage)
    if path.exists():
        return
    labels = predict(data.subset(images.images, index))
    if known is not None:
        true = np.eye(len(images.classes), dtype=np.float32)
        rows = np.flatnonzero(np.isin(index, known))
        labels[rows] = true[images.labels[index[rows]]]
    data.save_pseudo_labels(path, images, index, labels)


def averaged(model: keras.Model, images: np.ndarray, *, views: int) -> np.ndarray:
    """Returns class probabilities whose logits are averaged over several views.

    Zhai et al. 2019 (S4L, section 5): five crops and four rotations of every image.

    Args:
        model: A classifier.
        images: uint8 `(n, height, width, 3)`.
        views: As for `predictions_of`.

    Returns:
        Float32 `(n, classes)`.
    """
    crops, turns = {1: (1, 1), 5: (5, 1), 20: (5, 4)}[views]
    logits = np.zeros(())
    for number in range(crops):
        cropped = images if views == 1 else _crop(images, *CROPS[number])
        for turn in range(turns):
            rotated = np.rot90(cropped, turn, axes=(1, 2))
            found = evaluation.probabilities(model, np.ascontiguousarray(rotated))
            # The logits up to a constant per view, which does not change the result.
            logits = logits + np.log(np.maximum(found, 1e-30)) / (crops * turns)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    total = exponentials.sum(axis=1, keepdims=True)
    return (exponentials / total).astype(np.float32)


def _crop(images: np.ndarray, top: int, left: int) -> np.ndarray:
    """Returns a crop of the images, with mirrored margins as in training shifts."""
    height, width = images.shape[1:3]
    margins = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    padded = np.pad(images, margins, mode="symmetric")
    return padded[:, top : top + height, left : left + width]
