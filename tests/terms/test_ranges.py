"""Hyper-parameters that make no sense are refused, of every term."""

import dataclasses
import typing

import pytest

from color_s4l.errors import InputError
from color_s4l.terms import TERMS
from color_s4l.terms.parts.ranges import TERM_FIELDS

# What belongs to the ends of each range, and what lies outside.
GOOD = {
    "weight": [0],
    "threshold": [0, 1.1],
    "decay": [0, 0.999],
    "warm_up": [0, 1],
    "ramp_share": [0, 2],
    "iterations": [0],
    "alpha": [0.01],
    "bn_stats": ["both", "supervised"],
    "ramp": ["sigmoid", "linear"],
}
BAD = {
    "weight": [-1, float("nan"), float("inf")],
    "class_weight": [-0.5],
    "proxy_weight": [-0.5],
    "threshold": [-0.1],
    "temperature": [0, -1],
    "alpha": [0, -1],
    "decay": [1, -0.1],
    "ramp_decay": [1, -0.1],
    "half_life": [0, -1],
    "ramp": ["step"],
    "ramp_share": [-0.1],
    "warm_up": [-0.1, 1.1],
    "epsilon": [-1],
    "xi": [0],
    "iterations": [-1],
    "embedding": [0],
    "bn_stats": ["none"],
}
FIELDS = [
    (name, field.name)
    for name, term in TERMS.items()
    for field in dataclasses.fields(term)
]


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_every_number_and_choice_has_a_range_that_is_held(name, field):
    kind = typing.get_type_hints(TERMS[name])[field]
    if kind is bool or field == "tasks":  # which `Proxies` checks itself
        return
    for value in GOOD.get(field, ()):
        assert getattr(TERMS[name](**{field: value}), field) == value
    for value in BAD[field]:
        expected = f"Expected {field} to be {TERM_FIELDS[field].text}. Received: "
        with pytest.raises(InputError, match=expected):
            TERMS[name](**{field: value})


def test_every_range_is_of_a_field_that_some_term_has():
    assert TERM_FIELDS.keys() == BAD.keys()
    assert TERM_FIELDS.keys() <= {field for _, field in FIELDS}
