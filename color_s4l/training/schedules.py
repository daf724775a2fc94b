"""Learning-rate schedules: factors on the learning rate over the steps of a run.

polynomial: (1 - t / T)^(1/2) (Tran 2019's published code).
cosine: cos(7 pi t / 16 T) (FixMatch, https://arxiv.org/abs/2001.07685, and USB).
steps: divided by 10 at each milestone (Gidaris et al. 2018's RotNet; S4L).
constant: 1.
triangular: from 0.2 up to 1 at 23 % of the steps, then down to 0.07, both linear
    (airbench, https://arxiv.org/abs/2404.00498, and its published code).
"""

import math
import typing
from collections.abc import Sequence

import keras
from keras import ops

# RotNet's milestones, of 200 epochs (Rebuffi et al., section 4.6).
MILESTONES = (60 / 200, 120 / 200, 160 / 200)
DIVISOR = 10.0
# Start, peak position and end of the triangular schedule.
START, PEAK, END = 0.2, 0.23, 0.07


def _polynomial(step, steps, milestones):
    return ops.sqrt(1.0 - ops.minimum(step / steps, 1.0))


def _cosine(step, steps, milestones):
    return ops.cos(7 / 16 * math.pi * ops.minimum(step / steps, 1.0))


def _steps(step, steps, milestones):
    passed = ops.sum(ops.cast(step >= ops.convert_to_tensor(milestones), "float32"))
    return DIVISOR**-passed


def _constant(step, steps, milestones):
    return ops.ones_like(step)


def _triangular(step, steps, milestones):
    done = ops.minimum(step / steps, 1.0)
    rising = START + (1 - START) * done / PEAK
    falling = 1 - (1 - END) * (done - PEAK) / (1 - PEAK)
    return ops.where(done < PEAK, rising, falling)


FACTORS = {
    "polynomial": _polynomial,
    "cosine": _cosine,
    "steps": _steps,
    "constant": _constant,
    "triangular": _triangular,
}


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The schedule lr(t) = learning_rate * factor(t) * min(1, t / warmup), t in steps.

    Args:
        name: A key of `FACTORS`.
        learning_rate: Learning rate without the factors.
        epochs: Number of epochs of the run.
        steps_per_epoch: Number of steps per epoch.
        warmup_epochs: Epochs in which the rate rises linearly from 0.
        milestones: Epochs, whole or not, after which "steps" divides the rate by 10;
            None: 30, 60 and 80 % of all epochs, as RotNet.
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
        # Rounded to whole steps, so that rounding errors do not move a milestone.
        self.milestones = [float(round(m * steps_per_epoch)) for m in milestones]

    def __call__(self, step: typing.Any) -> typing.Any:
        """Returns the learning rate, a float32 scalar, at a step counted from 0."""
        step = ops.cast(step, "float32")
        factor = FACTORS[self.name](step, self.steps, self.milestones)
        if self.warmup_steps:
            factor *= ops.minimum(step / self.warmup_steps, 1.0)
        return self.learning_rate * factor

    def get_config(self) -> dict:
        """Raises an error: config.json holds the schedule's settings."""
        raise NotImplementedError("The schedule is stored in config.json.")
