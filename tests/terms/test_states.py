"""What the consistency terms remember, share and leave alone, in a real learner."""

import dataclasses

import keras
import numpy as np
import pytest

from color_s4l.methods import terms_of
from color_s4l.terms import (
    Entropy,
    MeanTeacher,
    PiModel,
    Polyak,
    Progress,
    Supervised,
    TemporalEnsembling,
    Vat,
)
from color_s4l.training import checkpoints

END = Progress(np.int32(100), 100, 10)
SUM = "mean_teacher+temporal_ensembling+vat_entmin+pi_model+polyak"


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def whole(make_learner):
    """A learner of all terms, after two epochs' worth of an image's steps."""
    changes = ["vat.xi=0.1", "mean_teacher.ramp_share=0"]
    learner, batches = make_learner(terms_of(SUM, changes), epochs=5, dropout=0.5)
    for step in (0, 0, 1):
        learner.train_on_batch(batches.batch(step))
    return learner, batches


def arrays(learner):
    return [numpy_of(v).copy() for v in checkpoints._variables(learner)]


def test_terms_of_a_sum_share_their_passes(whole, monkeypatch):
    learner, batches = whole
    passes = []
    call = type(learner.network).call

    def counted(self, images, training=False):
        passes.append(images.shape)
        return call(self, images, training)

    monkeypatch.setattr(type(learner.network), "call", counted)
    learner(batches.batch(0))
    # Labelled, weak, weak_2, the teacher's, VAT's gradient, VAT's change.
    assert len(passes) == 6


def test_without_a_change_the_divergence_is_zero(whole):
    # The same dropout masks in all passes, drawn in the clean one.
    learner, batches = whole
    term = Vat(epsilon=0.0)
    views = learner.views_of(batches.batch(0))
    views["draws"] = {term: np.ones((1, *views["weak"].shape), "float32")}
    outcome = term.loss(learner.network, views, None, END)
    assert float(outcome.watch["vat_divergence"]) == 0


def test_extra_passes_leave_statistics_and_draws_as_the_clean_pass_does(whole):
    learner, batches = whole
    network = learner.network
    views = learner.views_of(batches.batch(0))
    begin = [numpy_of(v).copy() for v in network.variables]
    network(views["weak"], training=True)
    expected = [numpy_of(v).copy() for v in network.variables]
    for variable, value in zip(network.variables, begin, strict=True):
        variable.assign(value)
    number = [isinstance(term, Vat) for term in learner.terms].index(True)
    learner.terms[number].loss(network, views, None, END)
    found = [numpy_of(v) for v in network.variables]
    assert any((a != b).any() for a, b in zip(begin, found, strict=True))
    for one, other in zip(expected, found, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_a_restored_sum_goes_on_as_the_uninterrupted_one(whole, make_learner, tmp_path):
    learner, batches = whole
    checkpoints.save(learner, tmp_path, 1)
    again, _ = make_learner(learner.terms, epochs=5, dropout=0.5, seed=3)
    again.draws_seed.state.assign(learner.draws_seed.state)
    assert checkpoints.restore(again, tmp_path) == 1
    before = arrays(learner)
    for one in (learner, again):
        one.train_on_batch(batches.batch(1))
    moved = [np.abs(a - b).max() for a, b in zip(before, arrays(learner), strict=True)]
    assert max(moved) > 1e-3
    for one, other in zip(arrays(learner), arrays(again), strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)


def averages_after(make_learner, term, steps=3):
    """The network after some steps, and pairs of its variables and their averages."""
    learner, batches = make_learner((Supervised(), term), epochs=5)
    history = []
    for step in range(steps):
        learner.train_on_batch(batches.batch(step))
        history.append(numpy_of(learner.network.kernels[0]).copy())
    ((_, values),) = learner.evaluated().items()
    found = {id(v): numpy_of(value) for v, value in values}
    return learner.network, history, found


def test_without_decay_the_teacher_is_the_student(make_learner):
    term = MeanTeacher(decay=0.0, ramp_decay=0.0)
    network, _, found = averages_after(make_learner, term)
    for variable in network.weights:
        assert found[id(variable)] == pytest.approx(numpy_of(variable), abs=1e-7)


def test_the_teachers_decay_by_hand(make_learner):
    # min(0.25, (1 + t) / (10 + t)) is 2/11, 3/12, 0.25; the first average is w0, and
    # what follows is taken from the recorded weights.
    term = MeanTeacher(weight=0.0, decay=0.25, ramp_decay=0.25)
    learner, _ = make_learner((Supervised(), term), epochs=5)
    first = numpy_of(learner.network.kernels[0]).copy()
    network, history, found = averages_after(make_learner, term)
    expected = first
    for weights, decay in zip(history, (2 / 11, 0.25, 0.25), strict=True):
        expected = decay * expected + (1 - decay) * weights
    kernel = network.kernels[0]
    assert found[id(kernel)] == pytest.approx(expected, abs=1e-6)


def test_polyak_averaging_by_hand(make_learner):
    # 48 images in batches of 4: 12 steps an epoch; half-life 1/12: decay 1/2. Of three
    # weights the zero-debiased average is (w1 / 8 + w2 / 4 + w3 / 2) / (7 / 8).
    network, (one, two, three), found = averages_after(
        make_learner, Polyak(half_life=1 / 12)
    )
    expected = (one / 8 + two / 4 + three / 2) * 8 / 7
    kernel = network.kernels[0]
    assert found[id(kernel)] == pytest.approx(expected, abs=1e-6)
    assert np.abs(expected - three).max() > 1e-4


def test_both_teachers_of_a_sum_are_evaluated_and_told_apart(make_learner):
    changes = ["ict.decay=0", "ict.ramp_decay=0"]
    learner, batches = make_learner(terms_of("ict+mean_teacher", changes), epochs=5)
    for step in range(3):
        learner.train_on_batch(batches.batch(step))
    kernel = learner.network.kernels[0]
    found = {
        name: next(numpy_of(value) for v, value in values if v is kernel)
        for name, values in learner.evaluated().items()
    }
    assert found.keys() == {"ict_teacher", "teacher"}
    # Without decay a teacher is the student; the other one is behind.
    assert found["ict_teacher"] == pytest.approx(numpy_of(kernel), abs=1e-7)
    assert np.abs(found["teacher"] - numpy_of(kernel)).max() > 1e-5


def test_weights_are_never_offered_twice_by_one_name(make_learner):
    terms = (Supervised(), Polyak(), Polyak(half_life=2.0))
    learner, _ = make_learner(terms, epochs=5)
    with pytest.raises(ValueError, match="Two terms offer weights by one name"):
        learner.evaluated()


def test_replaced_weights_are_put_back(whole):
    learner, _ = whole
    network = learner.network
    before = [numpy_of(v).copy() for v in network.weights]
    values = learner.evaluated()["teacher"]
    with network.replaced(values):
        inside = [numpy_of(v).copy() for v in network.weights]
    assert max(np.abs(a - b).max() for a, b in zip(before, inside, strict=True)) > 1e-4
    for one, variable in zip(before, network.weights, strict=True):
        assert (one == numpy_of(variable)).all()


@pytest.mark.parametrize(
    "term",
    [PiModel(), TemporalEnsembling(), MeanTeacher(), Vat(), Entropy(), Polyak()],
    ids=lambda term: type(term).__name__,
)
def test_weight_0_is_supervised(term, make_learner):
    # One step: the next ones would draw other augmentations.
    if not isinstance(term, Polyak):
        term = dataclasses.replace(term, weight=0.0, bn_stats="supervised")
    networks = []
    for terms in ((Supervised(),), (Supervised(), term)):
        learner, batches = make_learner(terms, dropout=0.0, labeled_batch=8)
        learner.train_on_batch(batches.batch(0))
        networks.append([numpy_of(v).copy() for v in learner.network.weights])
    for one, other in zip(*networks, strict=True):
        assert one == pytest.approx(other, abs=1e-7)
