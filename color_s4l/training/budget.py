"""The number of epochs of a run whose time is limited (`Run.minutes`)."""

import dataclasses
import gc
import logging
import math
import random
import time
import warnings
from collections.abc import Callable

from keras import ops

from color_s4l import backend, progress
from color_s4l.artifacts import provenance
from color_s4l.data import StepBatches
from color_s4l.networks import Network
from color_s4l.training.feeding import Feed
from color_s4l.training.learner import Learner

logger = logging.getLogger(__name__)

# A forward pass takes about a third of the time of a training step.
FORWARD = 1 / 3
# Largest number of forward passes per test image in the final evaluation: 8 views of
# test-time augmentation, and the image without augmentation.
FINAL_VIEWS = 9
# Seconds for writing the models and pictures.
WRITING = 10.0


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """The number of images to evaluate, and how often.

    Attributes:
        epoch: Number of test and validation images, multiplied by the number of sets of
            weights that are evaluated (the student's, a teacher's, ...).
        final: Number of test images, multiplied by the number of sets of weights; the
            views of test-time augmentation are not counted.
        every: Epochs between two evaluations.
    """

    epoch: int
    final: int
    every: int


@dataclasses.dataclass(frozen=True)
class Speed:
    """Measured times in seconds.

    Attributes:
        step: Time of a training step.
        beginning: Time from the call of `fit` to the end of the first step, including
            the compilation.
    """

    step: float
    beginning: float


def epochs_within(
    seconds: float,
    speed: Speed,
    *,
    steps_per_epoch: int,
    images_per_step: int,
    evaluated: Evaluated,
) -> tuple[int, float]:
    """Returns the number of epochs that fit into a time.

    Args:
        seconds: The time from now to the end of the run.
        speed: Measured times.
        steps_per_epoch: Steps of an epoch.
        images_per_step: Images in all views of a step.
        evaluated: The images that are evaluated.

    Returns:
        The number of epochs, at least 1, and the seconds per epoch, including the
        evaluation.
    """
    image = FORWARD * speed.step / images_per_step
    epoch = steps_per_epoch * speed.step + evaluated.epoch * image / evaluated.every
    final = FINAL_VIEWS * evaluated.final * image + WRITING
    left = seconds - speed.beginning - final
    return max(1, math.floor(left / epoch)), epoch


def measure_speed(
    make_learner: Callable[[], Learner], network: Network, batches: StepBatches
) -> Speed:
    """Trains for some steps to measure their times.

    Everything that the steps change is restored afterwards.

    Args:
        make_learner: Returns a compiled learner of the network.
        network: Its weights and random states are restored.
        batches: The step batches of the run.
    """
    state = random.getstate()
    before = [ops.convert_to_numpy(variable) for variable in network.variables]
    learner = make_learner()
    count = 2 * progress.MOST_STEPS * (learner.steps_per_execution or 1)
    timer = progress.StepTime(lambda seconds: None, stop=True)
    feed = Feed(batches, first=0, last=count)
    started = time.perf_counter()
    with feed.failing_as_itself(), backend.fed(feed) as steps:
        learner.fit(
            steps, steps_per_epoch=count, shuffle=False, verbose=0, callbacks=[timer]
        )
    whole = time.perf_counter() - started
    for variable, value in zip(network.variables, before, strict=True):
        variable.assign(value)
    random.setstate(state)
    del learner
    gc.collect()
    step = timer.seconds or whole / count
    return Speed(step, max(0.0, whole - timer.total))


def announce(minutes: float, epochs: int, seconds: float, speed: Speed) -> None:
    """Logs the number of epochs; warns if one epoch takes longer than `minutes`.

    Args:
        minutes: Time limit of the run.
        epochs: Number of epochs, from `epochs_within`.
        seconds: Seconds per epoch, from `epochs_within`.
        speed: Measured times.
    """
    if epochs == 1 and seconds > 60 * minutes:
        warnings.warn(
            f"One epoch takes about {provenance.duration(seconds)}, more than "
            f"`minutes`={minutes:g}. The run has one epoch. Fewer `unlabeled` images "
            "or a smaller `width` make it shorter.",
            stacklevel=2,
        )
    logger.info(
        "minutes    %s epochs fit into %g minutes: %.3g s per step, %s per epoch",
        epochs,
        minutes,
        speed.step,
        provenance.duration(seconds),
    )
