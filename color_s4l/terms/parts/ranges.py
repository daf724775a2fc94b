"""What a hyper-parameter may be, by its name: one name means the same in every term."""

import dataclasses
import math
import typing
from collections.abc import Callable, Mapping

from color_s4l.errors import InputError
from color_s4l.terms.parts.ramps import RAMPS


class Range(typing.NamedTuple):
    """Values that make sense.

    Attributes:
        text: In words, for errors.
        holds: Whether a value is one of them; never for NaN and infinities.
    """

    text: str
    holds: Callable[[typing.Any], bool]


def one_of(*names: str) -> Range:
    """One of some names."""
    return Range(" or ".join(names), lambda name: name in names)


AT_LEAST_0 = Range("0 or more", lambda number: 0 <= number < math.inf)
AT_LEAST_1 = Range("1 or more", lambda number: 1 <= number < math.inf)
ABOVE_0 = Range("more than 0", lambda number: 0 < number < math.inf)
DECAY = Range("from 0 to less than 1", lambda number: 0 <= number < 1)
SHARE = Range("from 0 to 1", lambda number: 0 <= number <= 1)
# Every number and every choice of a term; a new name is added here.
TERM_FIELDS = {
    "weight": AT_LEAST_0,
    "class_weight": AT_LEAST_0,
    "proxy_weight": AT_LEAST_0,
    "threshold": AT_LEAST_0,
    "temperature": ABOVE_0,
    "alpha": ABOVE_0,
    "decay": DECAY,
    "ramp_decay": DECAY,
    "half_life": ABOVE_0,
    "ramp": one_of(*RAMPS),
    "ramp_share": AT_LEAST_0,
    "warm_up": SHARE,
    "epsilon": AT_LEAST_0,
    "xi": ABOVE_0,
    "iterations": AT_LEAST_0,
    "embedding": AT_LEAST_1,
    "bn_stats": one_of("both", "supervised"),
}


def check(record: typing.Any, ranges: Mapping[str, Range]) -> None:
    """Refuses hyper-parameters that are out of their ranges.

    Args:
        record: An instance of a dataclass.
        ranges: By the names of fields; fields that are not there may be anything.

    Raises:
        InputError: One is: its name, what was expected, what came.
    """
    for field in dataclasses.fields(record):
        allowed, value = ranges.get(field.name), getattr(record, field.name)
        if allowed and not allowed.holds(value):
            raise InputError(
                f"Expected {field.name} to be {allowed.text}. Received: {value!r}."
            )
