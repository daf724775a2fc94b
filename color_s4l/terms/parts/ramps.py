"""How a weight grows from about 0 to 1 in the first part of a run.

Both published forms are written in the share of the ramp that is done, so that they
fit a run of any length.
"""

import typing

from keras import ops


def sigmoid(done):
    """exp(-5 (1 - t)^2), from 0.0067 to 1 (Laine & Aila 2017; Tarvainen 2017).

    Args:
        done: t, float tensor in [0, 1].
    """
    return ops.exp(-5.0 * ops.square(1.0 - done))


def linear(done):
    """t itself, from 0 to 1 (Wang et al. 2022, USB).

    Args:
        done: t, float tensor in [0, 1].
    """
    return done


RAMPS = {"sigmoid": sigmoid, "linear": linear}


def done(progress: typing.Any, share: float):
    """How much of a ramp is over.

    Args:
        progress: A `Progress`.
        share: Of the run's steps that the ramp takes; 0: it is over at once.

    Returns:
        Float32 scalar tensor in [0, 1].
    """
    steps = share * progress.steps
    if steps <= 0:
        return ops.ones((), "float32")
    return ops.minimum(ops.cast(progress.step, "float32") / steps, 1.0)


def factor(name: str, progress: typing.Any, share: float):
    """The factor of a weight at a step.

    Args:
        name: Of `RAMPS`.
        progress: A `Progress`.
        share: Of the run's steps that the ramp takes.

    Returns:
        Float32 scalar tensor in [0, 1].
    """
    return RAMPS[name](done(progress, share))
