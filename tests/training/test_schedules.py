"""Learning rates at given steps, computed by hand."""

import math
import typing

import pytest

from color_s4l import settings
from color_s4l.fields import ranges_of
from color_s4l.settings import Run
from color_s4l.training.schedules import FACTORS, Schedule


def made(schedule, **changes):
    """A schedule of 20 epochs of 10 steps at rate 0.1."""
    run = Run(epochs=20, learning_rate=0.1, schedule=schedule, **changes)
    views = {"labeled_views": 1, "unlabeled_views": 1}
    resolved = settings.resolve(run, image_size=32, **views)
    return Schedule(resolved.optimization, steps_per_epoch=10)


@pytest.mark.parametrize(
    ("name", "changes", "steps", "expected"),
    [
        # 0.1 sqrt(1 - t / 200): sqrt(1 / 4) = 1/2, sqrt(1 / 100) = 1/10.
        ("polynomial", {}, [0, 150, 198, 200, 300], [0.1, 0.05, 0.01, 0, 0]),
        # cos(7 pi / 32) = 0.77301 in the middle, cos(7 pi / 16) = 0.19509 at the end.
        ("cosine", {}, [0, 100, 200], [0.1, 0.077301, 0.019509]),
        # RotNet's 60, 120, 160 of 200 epochs: here after steps 60, 120 and 160.
        (
            "steps",
            {},
            [0, 59, 60, 119, 120, 159, 160, 199],
            [0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4],
        ),
        # S4L's 140, 160, 180 of 200: 14, 16, 18 of 20, and half an epoch is 5 steps.
        (
            "steps",
            {"milestones": "14,16.5,18"},
            [139, 140, 164, 165, 180],
            [0.1, 0.01, 0.01, 1e-3, 1e-4],
        ),
        ("constant", {}, [0, 7, 199], [0.1, 0.1, 0.1]),
        # 0.2 at first, 0.6 halfway to the peak at 23 %, 1, halfway down, 0.07.
        (
            "triangular",
            {},
            [0, 23, 46, 123, 200],
            [0.02, 0.06, 0.1, 0.0535, 0.007],
        ),
        # Two epochs of warm-up: 5 of 20 steps, then the rates of the schedule.
        (
            "constant",
            {"warmup_epochs": 2},
            [0, 5, 10, 20, 21],
            [0, 0.025, 0.05, 0.1, 0.1],
        ),
        ("polynomial", {"warmup_epochs": 20}, [150], [0.1 * 0.75 * math.sqrt(0.25)]),
    ],
)
def test_rates_at_given_steps(name, changes, steps, expected):
    schedule = made(name, **changes)
    found = [float(schedule(step)) for step in steps]
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_every_schedule_is_a_choice_of_the_setting():
    hint = typing.get_type_hints(Run, include_extras=True)["schedule"]
    assert ranges_of(hint)[0].choices == tuple(FACTORS)


def test_a_schedule_is_not_saved():
    with pytest.raises(NotImplementedError, match=r"stored in config\.json"):
        made("constant").get_config()
