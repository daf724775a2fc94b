"""Train on the labels, label everything, train anew on all of it.

Zhai et al. 2019 (S4L, section 4.2) and its published code: the supervised model's
predictions, averaged over crops and rotations, become labels of all training images,
without a threshold; true labels stay. The second network begins from nothing: weight
decay 1e-4 (5e-5 as counted here), warm-up over 5 of 100 epochs, the rate divided by
10 after 30, 60 and 90.
"""

import dataclasses
import functools
import pathlib

import numpy as np

from color_s4l import data
from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.data import Data
from color_s4l.recipes import relabeling
from color_s4l.recipes.recipe import SPLIT_BY_FILE, Recipe, Stage, milestones
from color_s4l.settings import is_digits


@dataclasses.dataclass(frozen=True)
class PseudoLabelRetrain(Recipe):
    """A supervised run, then one on its labels.

    Attributes:
        method: Of the first stage.
        rotations: Whether predictions are averaged over rotations, too; never for
            digits, which turned are other signs.
        rate: Of the second stage, as a multiple of `--learning_rate`: 0.1 / 0.05.
        decay: Of the second stage, as a multiple of `--weight_decay`: 5e-5 / 5e-4.
        warmup: Share of its epochs.
    """

    method: str = "supervised"
    rotations: bool = True
    rate: float = 2.0
    decay: float = 0.1
    warmup: float = 0.05

    def stages(self, run, folder):
        """`labels`, then `retraining`."""
        turned = self.rotations and not is_digits(run.dataset)
        first = Stage(
            "labels",
            {"method": self.method},
            functools.partial(label_everything, views=20 if turned else 5),
        )
        retraining = {
            **relabeled(folder / first.name),
            "method": "relabeled",
            "learning_rate": self.rate * run.learning_rate,
            "weight_decay": self.decay * run.weight_decay,
            "warmup_epochs": self.warmup * run.epochs,
            **milestones(run.epochs, 0.3, 0.6, 0.9),
        }
        return first, Stage("retraining", retraining)


def label_everything(
    stage: pathlib.Path, dataset: Data, *, views: int, weights: str | None = None
) -> None:
    """Labels all training images; true labels stay.

    Args:
        stage: Of the classifier; gets pseudo_labels.npz and everything.csv, the split
            in which labelled images are among the unlabelled ones.
        dataset: The images.
        views: Of each image, as for `relabeling.write`.
        weights: As for `relabeling.write`.
    """
    split = data.read_split(RunFolder(stage).split, dataset)
    everything = np.union1d(split.unlabeled, split.labeled)
    relabeling.write(
        stage, dataset, everything, weights=weights, views=views, known=split.labeled
    )
    split = dataclasses.replace(split, unlabeled=everything)
    data.save_split(split, dataset, _everything(stage))


def relabeled(stage: pathlib.Path) -> dict:
    """Flags of a run on what `label_everything` wrote."""
    return {
        **SPLIT_BY_FILE,
        "split_file": str(_everything(stage)),
        "pseudo_labels": str(relabeling.labels_path(stage)),
    }


def _everything(stage: pathlib.Path) -> pathlib.Path:
    return stage / "everything.csv"
