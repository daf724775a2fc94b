"""Learning rates at given steps, computed by hand."""

import dataclasses
import math
import typing

import pytest

from color_s4l.errors import InputError
from color_s4l.settings import Run
from color_s4l.training import values
from color_s4l.training.schedules import FACTORS, schedule_of

# 20 epochs of 10 steps at rate 0.1: 200 steps.
RUN = Run(epochs=20, learning_rate=0.1)


def rates(steps, **flags):
    schedule = schedule_of(dataclasses.replace(RUN, **flags), 10)
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize(
    ("flags", "steps", "expected"),
    [
        # 0.1 sqrt(1 - t / 200): sqrt(1 / 4) = 1/2, sqrt(1 / 100) = 1/10.
        ({"schedule": "polynomial"}, [0, 150, 198, 200, 300], [0.1, 0.05, 0.01, 0, 0]),
        # cos(7 pi / 32) = 0.77301 in the middle, cos(7 pi / 16) = 0.19509 at the end.
        ({"schedule": "cosine"}, [0, 100, 200], [0.1, 0.077301, 0.019509]),
        # RotNet's 60, 120, 160 of 200 epochs: here after steps 60, 120 and 160.
        (
            {"schedule": "steps"},
            [0, 59, 60, 119, 120, 159, 160, 199],
            [0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4],
        ),
        # S4L's 140, 160, 180 of 200: 14, 16, 18 of 20, and half an epoch is 5 steps.
        (
            {"schedule": "steps", "milestones": "14,16.5,18"},
            [139, 140, 164, 165, 180],
            [0.1, 0.01, 0.01, 1e-3, 1e-4],
        ),
        ({"schedule": "constant"}, [0, 7, 199], [0.1, 0.1, 0.1]),
        # Two epochs up: 5 of 20 steps, then the course as without.
        (
            {"schedule": "constant", "warmup_epochs": 2},
            [0, 5, 10, 20, 21],
            [0, 0.025, 0.05, 0.1, 0.1],
        ),
        (
            {"schedule": "polynomial", "warmup_epochs": 20},
            [150],
            [0.1 * 0.75 * math.sqrt(0.25)],
        ),
    ],
)
def test_rates_at_given_steps(flags, steps, expected):
    assert rates(steps, **flags) == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_every_schedule_is_a_choice_of_the_flag():
    schedule = next(f for f in dataclasses.fields(Run) if f.name == "schedule")
    assert schedule.metadata["choices"] == tuple(FACTORS)
    assert typing.get_type_hints(Run)["schedule"] is str


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            {"schedule": "steps", "milestones": "3,x"},
            "--milestones: expected epochs ab",
        ),
        (
            {"schedule": "steps", "milestones": "0"},
            "--milestones: expected epochs abov",
        ),
        ({"milestones": "3"}, "--milestones belong to --schedule=steps"),
        ({"warmup_epochs": -1.0}, "--warmup_epochs=-1.0: expected 0 or more"),
    ],
)
def test_refuses(flags, text):
    with pytest.raises(InputError, match=text):
        values.check(dataclasses.replace(RUN, **flags))
