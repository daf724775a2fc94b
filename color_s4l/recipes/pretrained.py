"""Learn without labels first; then a linear probe, or fine-tuning.

Zhai et al. 2019 (S4L, section 4.3: "Self-sup. Rotation + Linear", "+ Fine-tune", and
the same of exemplars).
The first stage has RotNet's schedule (Gidaris et al. 2018: rate 0.1, divided by 10
after 60, 120 and 160 of 200 epochs), the probe S4L's rate 0.1 and weight decay 1e-4
(5e-5 as counted here), fine-tuning the settings of a supervised run.
"""

import dataclasses

from color_s4l.networks.freezing import ALL
from color_s4l.recipes.recipe import Recipe, Stage


@dataclasses.dataclass(frozen=True)
class Pretrained(Recipe):
    """Pre-training, then the classes.

    Attributes:
        method: Of the first stage: "rotnet", "exemplar", any other. Its proxy tasks
            are changed by `--set=proxies.tasks=...`.
        linear: The trunk stays as it is, batch statistics too; else all is trained.
        rate: Of the first stage and of the probe, as a multiple of
            `--learning_rate`: 0.1 / 0.05.
        decay: Of the probe, as a multiple of `--weight_decay`: 5e-5 / 5e-4.
    """

    method: str = "rotnet"
    linear: bool = False
    rate: float = 2.0
    decay: float = 0.1

    def stages(self, run, folder):
        """`pretraining`, then `linear` or `finetuning`."""
        pretraining = Stage(
            "pretraining",
            {
                "method": self.method,
                "learning_rate": self.rate * run.learning_rate,
                "schedule": "steps",
            },
        )
        begin = {"method": "supervised", "init_from": str(folder / pretraining.name)}
        if not self.linear:
            return pretraining, Stage("finetuning", begin)
        probe = {
            **begin,
            "freeze_blocks": ALL,
            "learning_rate": self.rate * run.learning_rate,
            "weight_decay": self.decay * run.weight_decay,
        }
        return pretraining, Stage("linear", probe)
