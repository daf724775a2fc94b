"""Mix of all models: rotations, VAT and entropy; pseudo-labels; fine-tuning.

Zhai et al. 2019 (S4L, section 5, https://arxiv.org/abs/1905.03670) and its published
code, in three steps. The published epochs of steps 1 and 3 are passes over the labelled
10 % of ImageNet. Counted as passes over all images, the three steps have 20, 18 and 2
epochs. The classifier of the first two steps is the Polyak average. The network has no
dropout. Learning rates are for 128 images per step. The published code multiplies the
squared weights by half of the weight decay, so `weight_decay` is half of it.

1. All losses together; warm-up over 10 of 200 epochs, learning rate divided by 10 after
   100, 150 and 190; weight decay 2e-4 (`weight_decay` 1e-4).
2. Every image gets a pseudo-label, averaged over crops and rotations; all losses again,
   from the weights of step 1; rate divided by 10 after 6 and 12 of 18 epochs.
3. Only the true labels, from the weights of step 2: rate 5e-4, divided by 10 every 5 of
   20 epochs; weight decay 3e-3 (`weight_decay` 1.5e-3).

Differs from the paper: steps 2 and 3 start from the average.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Annotated

from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.fields import Above, AtLeast
from color_s4l.recipes.pseudo_label_retrain import (
    label_all,
    on_labels_of,
    predictions_of,
)
from color_s4l.recipes.recipe import Recipe, Stage, milestones, part
from color_s4l.registry import register_recipe
from color_s4l.settings import Run, is_digits

AVERAGE = "average"


@register_recipe("moam")
@dataclasses.dataclass(frozen=True)
class Moam(Recipe):
    """Training with all losses, then with pseudo-labels, then fine-tuning.

    Learning rates are given as multiples of `learning_rate` for 128 images per step,
    and are proportional to `batch_size`. Weight decays are given as multiples of
    `weight_decay`. Quotients of rates or decays, such as 0.1 / 0.05, are the published
    value divided by the default of `Run`.

    Attributes:
        rate: Learning rate of steps 1 and 2: 0.1 / 0.05.
        decay: Weight decay of steps 1 and 2: 1e-4 / 5e-4.
        relabeled: Epochs of step 2, as a share of the epochs of step 1: 18 / 20.
        finetuned: Epochs of step 3, as a share of the epochs of step 1: 2 / 20.
        finetuning_rate: Learning rate of step 3: 5e-4 / 0.05.
        finetuning_decay: Weight decay of step 3: 1.5e-3 / 5e-4.
        rotations: Whether predictions are averaged over rotations too. Digits are
            never rotated, because rotation changes their class.
    """

    rate: Annotated[float, Above(0)] = 2.0
    decay: Annotated[float, AtLeast(0)] = 0.2
    relabeled: Annotated[float, Above(0)] = 0.9
    finetuned: Annotated[float, Above(0)] = 0.1
    finetuning_rate: Annotated[float, Above(0)] = 0.01
    finetuning_decay: Annotated[float, AtLeast(0)] = 3.0
    rotations: bool = True

    def stages(self, run: Run, folder: pathlib.Path) -> Sequence[Stage]:
        """Returns the stages `mixed`, `relabeled` and `finetuned`."""
        rotated = self.rotations and not is_digits(run.dataset)
        kind = "mixed"
        predict = predictions_of(
            folder / kind, views=20 if rotated else 5, weights=AVERAGE
        )
        mixed = Stage(
            kind,
            {
                **_optimization(run, self.rate, self.decay),
                "method": "moam",
                "warmup_epochs": 0.05 * run.epochs,
                **milestones(run.epochs, 0.5, 0.75, 0.95),
            },
            functools.partial(label_all, predict=predict),
        )
        epochs = part(run.epochs, self.relabeled)
        again = Stage(
            "relabeled",
            {
                **_optimization(run, self.rate, self.decay),
                **on_labels_of(folder / mixed.name),
                **_from_average(folder / mixed.name),
                "method": "moam_relabeled",
                "epochs": epochs,
                **milestones(epochs, 6 / 18, 12 / 18),
            },
        )
        epochs = part(run.epochs, self.finetuned)
        last = Stage(
            "finetuned",
            {
                **_optimization(run, self.finetuning_rate, self.finetuning_decay),
                **_from_average(folder / again.name),
                "method": "supervised",
                "epochs": epochs,
                **milestones(epochs, 0.25, 0.5, 0.75),
            },
        )
        return mixed, again, last


def _optimization(run: Run, rate: float, decay: float) -> dict:
    return {
        "learning_rate": rate * run.learning_rate * run.batch_size / 128,
        "weight_decay": decay * run.weight_decay,
        "dropout": 0.0,
    }


def _from_average(stage: pathlib.Path) -> dict:
    """Returns the settings of a run that starts from a stage's averaged weights."""
    return {
        "init_from": str(RunDirectory(stage).model(weights=AVERAGE)),
        "init_heads": True,
    }
