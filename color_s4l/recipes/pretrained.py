"""Train without labels first, then a linear probe or fine-tuning.

Zhai et al. 2019 (S4L, section 4.3: "Self-sup. Rotation + Linear", "+ Fine-tune", and
the same with exemplars). The first stage has RotNet's schedule (Gidaris et al. 2018:
rate 0.1, divided by 10 after 60, 120 and 160 of 200 epochs). The linear probe is the
method `probe`, logistic regression with a chosen regularisation. Differs from the
paper, which trains the linear layer with SGD. Fine-tuning has the settings of a
supervised run.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Annotated

from color_s4l.fields import Above
from color_s4l.networks.structure import ALL
from color_s4l.recipes.recipe import Recipe, Stage
from color_s4l.registry import register_recipe
from color_s4l.settings import Run


@dataclasses.dataclass(frozen=True)
class Pretrained(Recipe):
    """Pre-training without labels, then training of the classes.

    Attributes:
        method: Method of the first stage: "rotnet", "exemplar" or another.
            `--set=proxies.tasks=...` changes its proxy tasks.
        finetuning: Method of the second stage, if it is not a linear probe.
        linear: True: in the second stage the trunk and its batch statistics are frozen.
            False: all weights are trained.
        reestimated: Whether the first stage ends with the batch statistics of clean
            images (`batch_statistics`), because its training images may be grey.
        rate: Learning rate of the first stage, as a multiple of `learning_rate`;
            RotNet's 0.1 divided by the default 0.05.
    """

    method: str = "rotnet"
    finetuning: str = "supervised"
    linear: bool = False
    reestimated: bool = False
    rate: Annotated[float, Above(0)] = 2.0

    def stages(self, run: Run, folder: pathlib.Path) -> Sequence[Stage]:
        """Returns the stages `pretraining` and `linear` or `finetuning`."""
        pretraining = Stage(
            "pretraining",
            {
                "method": self.method,
                "learning_rate": self.rate * run.learning_rate,
                "schedule": "steps",
                "batch_statistics": "reestimated" if self.reestimated else "moving",
            },
        )
        start = {"init_from": str(folder / pretraining.name)}
        if not self.linear:
            finetuning = {**start, "method": self.finetuning}
            return pretraining, Stage("finetuning", finetuning)
        probe = {**start, "method": "probe", "devices": 1, "freeze_blocks": ALL}
        return pretraining, Stage("linear", probe)


_exemplar = functools.partial(Pretrained, method="exemplar")
register_recipe("rotnet_linear", functools.partial(Pretrained, linear=True))
register_recipe("rotnet_finetune", Pretrained)
# Rebuffi et al. 2019 (https://arxiv.org/abs/1905.08845), table 1 and section 4.1.
register_recipe(
    "rotnet_mean_teacher", functools.partial(Pretrained, finetuning="mean_teacher")
)
register_recipe("rotnet_ma_dnn", functools.partial(Pretrained, finetuning="ma_dnn"))
# Larsson et al. 2017 (https://arxiv.org/abs/1703.04044).
_colorization = functools.partial(Pretrained, method="colorization", reestimated=True)
register_recipe("colorization_linear", functools.partial(_colorization, linear=True))
register_recipe("colorization_finetune", _colorization)
register_recipe("exemplar_linear", functools.partial(_exemplar, linear=True))
register_recipe("exemplar_finetune", _exemplar)
