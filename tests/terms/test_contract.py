"""Requirements of every registered term and method, also of plug-ins' terms.

To test the terms of a module outside the repository: pytest -p MODULE.
"""

import dataclasses
import typing

import keras
import numpy as np
import pytest

from color_s4l.errors import InputError
from color_s4l.fields import ranges_of
from color_s4l.methods import terms_of
from color_s4l.registry import METHODS, TERMS
from color_s4l.terms import Progress
from color_s4l.terms.supervised import Supervised
from color_s4l.views.step import WEIGHTS

# Entries of a batch that are no views.
ALWAYS = {"labels", "index", "draws"}
IN_METHODS = {type(term) for terms in METHODS.values() for term in terms}
# All methods with terms, and sums with the terms of no method.
SUMS = [
    *(name for name, terms in METHODS.items() if terms),
    *(f"supervised+{name}" for name, term in TERMS.items() if term not in IN_METHODS),
]
FIELDS = [
    (name, field.name)
    for name, term in TERMS.items()
    for field in dataclasses.fields(term)
]


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def copies(variables):
    return [numpy_of(variable).copy() for variable in variables]


def term_of(name):
    """A term with the hyper-parameters that its registration names for tests."""
    return TERMS[name](**TERMS.options(name).get("tested_with", {}))


def with_classes(name, term):
    """A method in which the term can be trained: not every term trains a head."""
    return (term,) if name == "supervised" else (Supervised(), term)


def outcome_of(learner, views):
    """The last term's outcome in the last step, when every ramp is complete."""
    plan = learner.plan
    steps = plan.epochs * plan.steps_per_epoch
    progress = Progress(np.int32(steps - 1), steps, plan.steps_per_epoch)
    state = learner.states[-1]
    return learner.terms[-1].loss(learner.network, views, state, progress)


def ranges(term, field):
    return ranges_of(typing.get_type_hints(type(term), include_extras=True)[field])


def changed(term, field):
    """The term with another value of a field that its range contains."""
    value, allowed = getattr(term, field), ranges(term, field)
    if isinstance(value, bool):
        others = [not value]
    elif isinstance(value, str):
        others = [choice for one in allowed for choice in one.choices]
    elif isinstance(value, tuple):
        others = [value[:-1]]
    else:
        others = [type(value)(other) for other in (1.5 * value + 1, value / 10, 0.5)]
    other = next(
        other
        for other in others
        if other != value and all(one.contains(other) for one in allowed)
    )
    return dataclasses.replace(term, **{field: other})


@pytest.fixture(scope="module")
def after_three_steps(make_learner):
    """A function: terms to the trunk's variables and states after three steps."""
    known = {}

    def run(terms):
        if terms not in known:
            learner, batches = make_learner(terms, epochs=5)
            # One batch: its images are in the terms' states from the second step on.
            for _ in range(3):
                learner.train_on_batch(batches.batch(0))
            states = [v for state in learner.states if state for v in state.weights]
            # Not the heads: their shapes may differ.
            known[terms] = copies([*learner.network.trunk.variables, *states])
        return known[terms]

    return run


@pytest.mark.parametrize("name", TERMS)
def test_terms_with_equal_fields_are_equal_and_all_fields_have_ranges(name):
    term = TERMS[name]()
    assert term == TERMS[name]()
    assert hash(term) == hash(TERMS[name]())
    for field in dataclasses.fields(term):
        value, allowed = getattr(term, field.name), ranges(term, field.name)
        assert allowed or isinstance(value, bool | tuple), field.name
        if isinstance(value, bool | tuple):
            continue
        wrong = "none" if isinstance(value, str) else float("nan")
        text = f"Expected `{field.name}` to be {allowed[0].text}. Received: {wrong!r}"
        with pytest.raises(InputError, match=text):
            dataclasses.replace(term, **{field.name: wrong})


@pytest.mark.parametrize("method", SUMS)
def test_one_step_gives_finite_terms_that_add_up_and_moves_the_weights(
    method, make_learner
):
    learner, batches = make_learner(terms_of(method), traced=True)
    declared = {name for term in learner.terms for name in term.further_weights()}
    assert learner.evaluated().keys() == declared
    before = copies(learner.trainable_variables)
    logs = learner.train_on_batch(batches.batch(0), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values()), logs
    outcome = learner(batches.batch(0))
    parts = [logs[part] for part in outcome.terms]
    assert len(parts) > 1  # the last one is the weight decay
    assert sum(parts) == pytest.approx(logs["loss"], rel=1e-5)
    assert set(logs) == {"loss", *outcome.terms, *outcome.watch}
    after = copies(learner.trainable_variables)
    for variable, one, other in zip(
        learner.trainable_variables, before, after, strict=True
    ):
        assert variable.name != "kernel" or (one != other).any(), variable.path


@pytest.mark.parametrize("name", TERMS)
def test_gradient_of_each_scalar_reaches_the_whole_trunk(name, make_learner, gradients):
    learner, batches = make_learner(with_classes(name, term_of(name)))
    learner.train_on_batch(batches.batch(0))  # fills the states
    views = learner.views_of(batches.batch(0))
    variables = learner.network.trunk.trainable_variables
    parts = outcome_of(learner, views).terms
    # A term without a loss offers weights, or joins the passes of the other terms.
    assert parts or learner.evaluated() or learner.terms[-1].joins_passes
    for part in parts:

        def loss(part=part):
            return outcome_of(learner, views).terms[part]

        found = gradients(loss, variables)
        for variable, gradient in zip(variables, found, strict=True):
            # Batch normalisation cancels the bias before it.
            if variable.name != "bias":
                assert gradient is not None, f"{part}: {variable.path}"
                assert np.abs(gradient).max() > 0, f"{part}: {variable.path}"


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_every_hyper_parameter_changes_the_result(name, field, after_three_steps):
    term = term_of(name)
    base, other = (
        after_three_steps(with_classes(name, one))
        for one in (term, changed(term, field))
    )
    # The trunk's variables come first; a field can add variables to the state.
    gaps = [np.abs(a - b).max() for a, b in zip(base, other, strict=False)]
    assert max(gaps) > 1e-6


class Recording(dict):
    """The entries of a batch; stores which of them were read."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.read = set()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        return self[name]


@pytest.mark.parametrize("name", TERMS)
def test_a_term_reads_the_views_and_heads_that_it_names_and_no_others(
    name, make_learner
):
    learner, batches = make_learner((TERMS[name](),))
    term, network = learner.terms[0], learner.network
    views = Recording(learner.views_of(batches.batch(0)))
    assert set(views) == {*term.views(), *ALWAYS}
    outcome_of(learner, views)
    assert views.read - ALWAYS == set(term.views())
    heads = {head: layer.units for head, layer in network.heads.items()}
    named = term.heads(4)
    assert {**named, **heads} == named
    assert {*heads, *network.gates, *network.readouts} == {*named}
    network.heads = {}
    if heads:
        with pytest.raises(KeyError):
            outcome_of(learner, views)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_has_the_properties_that_it_declares(name, make_learner, monkeypatch):
    term = term_of(name)
    if tasks := term.proxy_tasks():
        assert set(tasks) <= set(term.views())
        assert term.heads(4)["proxy"] == len(tasks)
    if not (term.one_pass or term.class_weighted):
        return
    learner, batches = make_learner(with_classes(name, term), dropout=0.0)
    views = learner.views_of(batches.batch(0))
    passes, call = [], type(learner.network).call

    def counted(self, images, training=False):
        passes.append(len(images))
        return call(self, images, training)

    monkeypatch.setattr(type(learner.network), "call", counted)
    plain = [float(value) for value in outcome_of(learner, views).terms.values()]
    if term.one_pass:
        images = sum(len(views[view]) for view in term.views())
        unread = term.unread_views() * batches.batch_size
        assert passes == [images - unread]
    if term.class_weighted:
        views[WEIGHTS] = np.full(len(views["labels"]), 2, "float32")
        twice = [float(value) for value in outcome_of(learner, views).terms.values()]
        assert twice == pytest.approx([2 * value for value in plain], rel=1e-4)
