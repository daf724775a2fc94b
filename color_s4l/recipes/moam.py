"""Mix of all models: rotations, VAT and entropy minimisation; relabel; fine-tune.

Zhai et al. 2019 (S4L, section 5, https://arxiv.org/abs/1905.03670) and its published
code, in three steps, its epochs over 10 % of ImageNet counted as passes over all
images: 20, 18 and 2. The classifier of the first two is the Polyak average.

1. All losses together; warm-up over 10 of 200 epochs, the rate divided by 10 after
   100, 150 and 190; weight decay 2e-4 (1e-4 as counted here).
2. Every image has a label, averaged over crops and rotations; all losses again, from
   the weights of step 1; the rate divided by 10 after 6 and 12 of 18 epochs.
3. The true labels alone, from the weights of step 2: rate 5e-4, divided by 10 every
   5 of 20 epochs; weight decay 3e-3 (1.5e-3 as counted here).

Differs from S4L: in step 2 the class loss is on upright images only; steps 2 and 3
begin with the average; VAT and entropy minimisation see unlabelled images alone.
"""

import dataclasses
import functools

from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.recipes.pseudo_label_retrain import label_everything, relabeled
from color_s4l.recipes.recipe import Recipe, Stage, milestones, part
from color_s4l.settings import is_digits

AVERAGE = "average"


@dataclasses.dataclass(frozen=True)
class Moam(Recipe):
    """Three steps; rates and decays are multiples of the flags.

    Attributes:
        rate: Of steps 1 and 2: 0.1 / 0.05.
        decay: Of steps 1 and 2: 1e-4 / 5e-4.
        relabeled: Epochs of step 2, as a share of step 1's: 18 / 20.
        finetuned: Epochs of step 3, as a share of step 1's: 2 / 20.
        finetuning_rate: 5e-4 / 0.05.
        finetuning_decay: 1.5e-3 / 5e-4.
        rotations: Whether predictions are averaged over rotations, too; never for
            digits, which turned are other signs.
    """

    rate: float = 2.0
    decay: float = 0.2
    relabeled: float = 0.9
    finetuned: float = 0.1
    finetuning_rate: float = 0.01
    finetuning_decay: float = 3.0
    rotations: bool = True

    def stages(self, run, folder):
        """`mixed`, `relabeled`, `finetuned`."""
        turned = self.rotations and not is_digits(run.dataset)
        mixed = Stage(
            "mixed",
            {
                **self._strength(run, self.rate, self.decay),
                "method": "moam",
                "warmup_epochs": 0.05 * run.epochs,
                **milestones(run.epochs, 0.5, 0.75, 0.95),
            },
            functools.partial(
                label_everything, views=20 if turned else 5, weights=AVERAGE
            ),
        )
        epochs = part(run.epochs, self.relabeled)
        again = Stage(
            "relabeled",
            {
                **self._strength(run, self.rate, self.decay),
                **relabeled(folder / mixed.name),
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
                **self._strength(run, self.finetuning_rate, self.finetuning_decay),
                **_from_average(folder / again.name),
                "method": "supervised",
                "epochs": epochs,
                **milestones(epochs, 0.25, 0.5, 0.75),
            },
        )
        return mixed, again, last

    def _strength(self, run, rate: float, decay: float) -> dict:
        return {
            "learning_rate": rate * run.learning_rate,
            "weight_decay": decay * run.weight_decay,
        }


def _from_average(stage) -> dict:
    """Flags of a run that begins with a stage's averaged weights, heads too."""
    return {
        "init_from": str(RunFolder(stage).model(weights=AVERAGE)),
        "init_heads": True,
    }
