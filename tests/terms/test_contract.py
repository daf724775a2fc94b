"""What every term and every method must do; a new entry joins by itself."""

import dataclasses
import pathlib
import typing

import keras
import numpy as np
import pytest

import color_s4l.terms
from color_s4l.methods import METHODS
from color_s4l.terms import TERMS, Polyak, Progress, Supervised
from color_s4l.terms.proxies import SESEMI

# What every term may read besides its views.
ALWAYS = {"labels", "index", "draws"}
# A text or a tuple has no "other value" of itself, a decay stays below 1. Numbers
# without one here are raised by a half.
OTHER = {
    "tasks": (SESEMI,),
    "bn_stats": ("supervised", "both"),
    "ramp": ("linear", "sigmoid"),
    "decay": (0.1,),
    "ramp_decay": (0.1,),
}
# Without these a term or one of its hyper-parameters has no part in the first steps:
# an untrained network guesses with less confidence than the published thresholds, and
# a warm-up is longer.
TESTED = {
    "pseudo_label": {"threshold": 0.1},
    "pseudo_label_epochs": {"threshold": 0.1, "warm_up": 0.0},
    "fixmatch": {"threshold": 0.1},
    "attention": {"threshold": 0.1},
}
BASES = {
    ("mean_teacher", "decay"): {"ramp_share": 0.0},
    ("ict", "decay"): {"ramp_share": 0.0},
    ("vat", "ramp"): {"ramp_share": 0.5},
    ("entropy", "ramp"): {"ramp_share": 0.5},
}
FIELDS = [
    (name, field.name)
    for name, term in TERMS.items()
    for field in dataclasses.fields(term)
]


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def weights_of(network):
    """Trunk's weights and moving statistics: heads may differ in shape."""
    return [numpy_of(variable).copy() for variable in network.trunk.variables]


def trained(learner, batches, steps):
    """The logs of each step."""
    logs = []
    for step in steps:
        learner.reset_metrics()
        logs.append(learner.train_on_batch(batches.batch(step), return_dict=True))
    return logs


def losing(terms):
    """Those that add to the loss: Polyak averaging only watches."""
    return [term for term in terms if not isinstance(term, Polyak)]


def late(learner):
    """Progress in the last step: every ramp is over."""
    plan = learner.plan
    steps = plan.epochs * plan.steps_per_epoch
    return Progress(np.int32(steps - 1), steps, plan.steps_per_epoch)


def outcome_of(learner, views):
    return learner.terms[0].loss(
        learner.network, views, learner.states[0], late(learner)
    )


def changed(term, field):
    value = getattr(term, field)
    if isinstance(value, bool):
        return dataclasses.replace(term, **{field: not value})
    if field in OTHER:
        other = next(known for known in OTHER[field] if known != value)
    else:
        other = type(value)(value * 1.5 + 1)
    return dataclasses.replace(term, **{field: other})


@pytest.fixture(scope="module")
def third_step(make_learner):
    """A function: terms to the trunk's variables and the states after three steps."""
    known = {}

    def run(terms):
        if terms not in known:
            learner, batches = make_learner(terms, epochs=5)
            # One batch: what is remembered of an image is used the next time.
            trained(learner, batches, [0, 0, 0])
            remembered = [
                numpy_of(variable).copy()
                for state in learner.states
                for variable in (state.weights if state else ())
            ]
            known[terms] = weights_of(learner.network) + remembered
        return known[terms]

    return run


def test_every_file_is_an_entry_of_the_table():
    folder = pathlib.Path(color_s4l.terms.__file__).parent
    paths = [*folder.glob("*.py"), *folder.glob("staged/*.py")]
    files = {path.stem for path in paths} - {"__init__", "term"}
    assert files == set(TERMS)


def test_every_hyper_parameter_has_a_type_and_a_default():
    for term in TERMS.values():
        assert term() == term()
        assert hash(term()) == hash(term())
        assert typing.get_type_hints(term).keys() == {
            field.name for field in dataclasses.fields(term)
        }


@pytest.mark.parametrize("name", METHODS)
def test_one_step_gives_finite_terms_that_add_up_and_moves_the_weights(
    name, make_learner
):
    learner, batches = make_learner(METHODS[name])
    before = [numpy_of(v).copy() for v in learner.trainable_variables]
    logs = trained(learner, batches, [0])[0]
    assert all(np.isfinite(value) for value in logs.values()), logs
    outcome = learner(batches.batch(0))
    parts = [logs[part] for part in outcome.terms]
    assert len(parts) > len(losing(METHODS[name]))  # and the weight decay
    assert sum(parts) == pytest.approx(logs["loss"], rel=1e-5)
    assert set(logs) == {"loss", *outcome.terms, *outcome.watch}
    after = [numpy_of(v) for v in learner.trainable_variables]
    moved = [(a != b).any() for a, b in zip(after, before, strict=True)]
    kernels = [v.name == "kernel" for v in learner.trainable_variables]
    assert all(m for m, kernel in zip(moved, kernels, strict=True) if kernel)


@pytest.mark.parametrize("name", [name for name in TERMS if losing([TERMS[name]()])])
def test_gradient_of_each_scalar_reaches_the_whole_trunk(name, make_learner, gradients):
    term = TERMS[name](**TESTED.get(name, {}))
    # Not alone: the attention distance trains no head.
    others = () if name == "supervised" else (Supervised(),)
    learner, batches = make_learner((term, *others))
    trained(learner, batches, [0])  # now there is something to remember
    views = learner.views_of(batches.batch(0))
    variables = learner.network.trunk.trainable_variables
    parts = outcome_of(learner, views).terms
    assert parts
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
def test_every_hyper_parameter_is_alive(name, field, third_step):
    fields = TESTED.get(name, {}) | BASES.get((name, field), {})
    term = TERMS[name](**fields)
    # The weight of a term alone would still act on its balance with the decay.
    others = () if name == "supervised" else (Supervised(),)
    base, other = (
        third_step((*others, term)),
        third_step((*others, changed(term, field))),
    )
    gaps = [np.abs(a - b).max() for a, b in zip(base, other, strict=True)]
    assert max(gaps) > 1e-6


class Recording(dict):
    """The named views, and nothing else; notes which were read."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.read = set()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        return self[name]


@pytest.mark.parametrize("name", TERMS)
def test_a_term_reads_the_views_that_it_names_and_no_others(name, make_learner):
    learner, batches = make_learner((TERMS[name](),))
    views = Recording(learner.views_of(batches.batch(0)))
    term = learner.terms[0]
    assert set(views) == {*term.views(), *ALWAYS}
    outcome_of(learner, views)
    assert views.read - ALWAYS == set(term.views())


@pytest.mark.parametrize("name", TERMS)
def test_a_term_asks_for_the_heads_that_it_reads(name, make_learner):
    learner, batches = make_learner((TERMS[name](),))
    sizes = dict(TERMS[name]().heads(4))
    heads = {head: layer.units for head, layer in learner.network.heads.items()}
    assert heads == sizes
    views = learner.views_of(batches.batch(0))
    learner.network.heads = {}
    if heads:
        with pytest.raises(KeyError):
            outcome_of(learner, views)
