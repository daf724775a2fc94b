"""Which values make two runs one."""

import dataclasses

import pytest

from color_s4l.settings import Run
from color_s4l.training import identity

OTHER = {str: "other", int: 7, float: 0.125, bool: True, tuple: ("a.b=1",)}


def of(run):
    return identity.identity(identity.json_values(run), {}, "tensorflow")


def changed(field):
    """A run with another value of one field."""
    value = field.default
    other = OTHER.get(type(value), 7)
    return dataclasses.replace(Run(), **{field.name: other if value != other else 3})


@pytest.mark.parametrize("field", dataclasses.fields(Run), ids=lambda f: f.name)
def test_every_field_of_a_run_counts_but_those_named(field):
    free = identity.FREE | identity.ROUNDING | identity.CONTENTS
    run = changed(field)
    if field.name in identity.PATHS:
        run = dataclasses.replace(run, **{field.name: "somewhere"})
    assert (of(run) == of(Run())) == (field.name in free)


def test_the_contents_of_files_and_the_backend_count():
    values = identity.json_values(Run())
    same = identity.identity(values, {"colorizer": "abc", "init_from": None}, "jax")
    assert same == identity.identity(values, {"colorizer": "abc"}, "jax")
    assert same != identity.identity(values, {"colorizer": "abd"}, "jax")
    assert same != identity.identity(values, {"init_from": "abc"}, "jax")
    assert same != identity.identity(values, {"colorizer": "abc"}, "tensorflow")


def test_older_folders_know_the_colorizers_digest_alone():
    assert identity.digests_of({"colorizer_digest": "abc"}) == {"colorizer": "abc"}
    digests = {"colorizer": None, "init_from": "abc"}
    assert identity.digests_of({"digests": digests}) == digests


def test_a_field_that_is_missing_counts_as_its_default():
    config = {"run": {"labels": 100}}
    found = identity.values_of(config)
    assert found == identity.json_values(Run(labels=100))
