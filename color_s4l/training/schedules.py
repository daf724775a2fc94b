"""Learning-rate schedules: a factor on the rate from a run's first step to its last.

polynomial: (1 - t / T)^(1/2) (Tran 2019's published code).
cosine: cos(7 pi t / 16 T) (FixMatch, https://arxiv.org/abs/2001.07685, and USB).
steps: divided by 10 at each milestone (Gidaris et al. 2018's RotNet; S4L).
constant: 1.
"""

import math
from collections.abc import Sequence

import keras
from keras import ops

from color_s4l.settings import Run
from color_s4l.training import values

# RotNet's, of 200 epochs (Rebuffi et al., section 4.6).
MILESTONES = (60 / 200, 120 / 200, 160 / 200)
DIVISOR = 10.0


def _polynomial(step, steps, milestones):
    return ops.sqrt(1.0 - ops.minimum(step / steps, 1.0))


def _cosine(step, steps, milestones):
    return ops.cos(7 / 16 * math.pi * ops.minimum(step / steps, 1.0))


def _steps(step, steps, milestones):
    passed = ops.sum(ops.cast(step >= ops.convert_to_tensor(milestones), "float32"))
    return DIVISOR**-passed


def _constant(step, steps, milestones):
    return ops.ones_like(step)


FACTORS = {
    "polynomial": _polynomial,
    "cosine": _cosine,
    "steps": _steps,
    "constant": _constant,
}


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """lr(t) = learning_rate * factor(t) * min(1, t / warmup), t counted in steps.

    Args:
        name: Of `FACTORS`.
        learning_rate: Without the factors.
        epochs: Of the run.
        steps_per_epoch: Steps of one epoch.
        warmup_epochs: At the beginning the rate rises linearly from 0 for so long.
        milestones: Epochs, whole or not, after which "steps" divides the rate by 10;
            None: RotNet's, 60, 120 and 160 of 200, in proportion.
    """

    def __init__(
        self,
        name: str,
        learning_rate: float,
        *,
        epochs: int,
        steps_per_epoch: int,
        warmup_epochs: float = 0.0,
        milestones: Sequence[float] | None = None,
    ):
        if milestones is None:
            milestones = [share * epochs for share in MILESTONES]
        self.name, self.learning_rate = name, learning_rate
        self.steps = max(1, epochs * steps_per_epoch)
        self.warmup_steps = warmup_epochs * steps_per_epoch
        # In steps and rounded, so that no step is early or late by a rounding.
        self.milestones = [float(round(m * steps_per_epoch)) for m in milestones]

    def __call__(self, step):
        """Step, an integer scalar from 0, to the rate, a float32 scalar."""
        step = ops.cast(step, "float32")
        factor = FACTORS[self.name](step, self.steps, self.milestones)
        if self.warmup_steps:
            factor *= ops.minimum(step / self.warmup_steps, 1.0)
        return self.learning_rate * factor

    def get_config(self):
        """A schedule is not saved: the run's configuration says it."""
        raise NotImplementedError("The run folder's config.json holds the schedule.")


def schedule_of(run: Run, steps_per_epoch: int) -> Schedule:
    """The learning rate's, as the run's flags say it.

    Args:
        run: Checked.
        steps_per_epoch: Steps of one epoch.

    Returns:
        Step to rate.
    """
    return Schedule(
        run.schedule,
        run.learning_rate,
        epochs=run.epochs,
        steps_per_epoch=steps_per_epoch,
        warmup_epochs=run.warmup_epochs,
        milestones=values.milestones_of(run),
    )
