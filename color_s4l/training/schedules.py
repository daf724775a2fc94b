"""Learning-rate schedules: factors on the learning rate over the steps of a run.

Step t of a run of T steps has the factor:

polynomial: (1 - t / T)^(1/2) (Tran 2019's published code).
cosine: cos(7 pi t / (16 T)) (FixMatch, https://arxiv.org/abs/2001.07685, and USB).
steps: divided by 10 at each milestone (Gidaris et al. 2018's RotNet; S4L).
constant: 1.
triangular: from 0.2 to 1 at 23 % of the steps, then to 0.07 (code of airbench).
"""

import math
import typing

import keras
from keras import ops

from color_s4l.settings import OptimizationSettings

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
        settings: Name of the schedule (a key of `FACTORS`), learning rate before the
            factor is applied, epochs, warm-up and milestones.
        steps_per_epoch: Number of steps per epoch.
    """

    def __init__(self, settings: OptimizationSettings, steps_per_epoch: int):
        self.factor = FACTORS[settings.schedule]
        self.learning_rate = settings.learning_rate
        self.steps = settings.epochs * steps_per_epoch
        self.warmup_steps = settings.warmup_epochs * steps_per_epoch
        # Rounded to whole steps, so that floating-point errors do not move a milestone.
        epochs = settings.milestones
        self.milestones = [float(round(m * steps_per_epoch)) for m in epochs]

    def __call__(self, step: typing.Any) -> typing.Any:
        """Returns the learning rate, a float32 scalar, at a step counted from 0."""
        step = ops.cast(step, "float32")
        factor = self.factor(step, self.steps, self.milestones)
        if self.warmup_steps:
            factor *= ops.minimum(step / self.warmup_steps, 1.0)
        return self.learning_rate * factor

    def get_config(self) -> dict:
        """Raises an error: config.json holds the schedule's settings."""
        raise NotImplementedError(
            "A schedule has no config; its settings are stored in config.json."
        )
