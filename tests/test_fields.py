"""Ranges in type hints, and values given as text."""

import dataclasses
from typing import Annotated

import pytest

from color_s4l import fields
from color_s4l.errors import InputError
from color_s4l.fields import Above, AtLeast, Below, Between, OneOf, Range

NAN, INFINITY = float("nan"), float("inf")


@dataclasses.dataclass(frozen=True)
class Record:
    count: Annotated[int, AtLeast(1)] = 1
    rate: Annotated[float, Above(0)] = 1.0
    share: Annotated[float, Between(0, 1)] = 0.5
    dropout: Annotated[float, Below(1)] | None = None
    ramp: Annotated[str, OneOf("sigmoid", "linear")] = "sigmoid"
    even: Annotated[int, Range("an even number", lambda x: x % 2 == 0)] = 0
    tasks: tuple[str, ...] = ()
    hard: bool = True

    def __post_init__(self):
        fields.check(self)


@pytest.mark.parametrize(
    ("field", "allowed", "refused", "text"),
    [
        ("count", (1, 10**9), (0, INFINITY), "1 or more"),
        ("rate", (1e-9, 1e9), (0, -1.0, NAN, INFINITY), "more than 0"),
        ("share", (0, 0.5, 1), (-0.1, 1.1, NAN), "from 0 to 1"),
        ("dropout", (None, 0, 0.99), (1, -0.1), "from 0 to less than 1"),
        ("ramp", ("linear",), ("cosine",), "sigmoid or linear"),
        ("even", (4,), (3,), "an even number"),
    ],
)
def test_values_outside_a_range_are_refused(field, allowed, refused, text):
    for value in allowed:
        assert getattr(Record(**{field: value}), field) == value
    for value in refused:
        with pytest.raises(InputError) as caught:
            Record(**{field: value})
        expected = f"Expected `{field}` to be {text}. Received: {value!r}."
        assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("count", "3", 3),
        ("rate", "1e-3", 0.001),
        ("ramp", "linear", "linear"),
        ("tasks", "identity,rotated_90", ("identity", "rotated_90")),
        ("hard", "False", False),
    ],
)
def test_a_field_is_set_from_text(field, text, value):
    changed = fields.with_text(Record(), field, text, name="record")
    assert changed == dataclasses.replace(Record(), **{field: value})


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("rates", "1", "The term 'x' has no hyper-parameter 'rates'. Did you mean 'r"),
        ("rates", "1", "It has: count, rate, share, dropout, ramp, even, tasks, hard."),
        ("rate", "fast", "'rate' of the term 'x' to be of type float. Received: \"f"),
        ("hard", "yes", "'hard' of the term 'x' to be of type bool. Received: \"yes"),
        ("share", "2", "Expected `share` to be from 0 to 1. Received: 2.0."),
    ],
)
def test_wrong_text_is_refused(field, text, message):
    with pytest.raises(InputError) as caught:
        fields.with_text(Record(), field, text, name="term 'x'")
    assert message in str(caught.value)
