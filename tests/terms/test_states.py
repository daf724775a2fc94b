"""States, shared passes and statistics of the terms in a learner; identities."""

import dataclasses

import keras
import numpy as np
import pytest

from color_s4l.methods import terms_of
from color_s4l.registry import METHODS, TERMS
from color_s4l.terms import Progress, losses
from color_s4l.terms.colorization import Colorization
from color_s4l.terms.mean_teacher import MeanTeacher
from color_s4l.terms.polyak import Polyak
from color_s4l.terms.supervised import Supervised
from color_s4l.terms.vat import Vat
from color_s4l.training import checkpoints

END = Progress(np.int32(100), 100, 10)
SUM = "mean_teacher+temporal_ensembling+vat_entmin+pi_model+polyak"


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def copies(variables):
    return [numpy_of(variable).copy() for variable in variables]


def gap(first, second):
    return max(np.abs(a - b).max() for a, b in zip(first, second, strict=True))


def trained(make_learner, terms, steps=3, **changes):
    """The learner after some steps, and the first kernel after each of them."""
    learner, batches = make_learner(terms, epochs=5, **changes)
    kernels = []
    for step in range(steps):
        learner.reset_metrics()
        learner.train_on_batch(batches.batch(step))
        kernels.append(numpy_of(learner.network.kernels[0]).copy())
    return learner, kernels


def moving(learner):
    return copies(v for v in learner.network.variables if v.name.startswith("moving_"))


@pytest.fixture(scope="module")
def whole(make_learner):
    """A learner with many terms, after three steps, one batch of them twice."""
    changes = ["vat.xi=0.1", "mean_teacher.ramp_share=0"]
    learner, batches = make_learner(terms_of(SUM, changes), epochs=5, dropout=0.5)
    for step in (0, 0, 1):
        learner.train_on_batch(batches.batch(step))
    return learner, batches


def test_terms_of_a_sum_share_their_passes(whole, monkeypatch):
    learner, batches = whole
    passes, call = [], type(learner.network).call

    def counted(self, images, training=False):
        passes.append(images.shape)
        return call(self, images, training)

    monkeypatch.setattr(type(learner.network), "call", counted)
    learner(batches.batch(0))
    # Labelled, weak, weak_2, the teacher's, VAT's gradient, VAT's change.
    assert len(passes) == 6


@pytest.mark.parametrize(
    ("method", "calls"),
    [
        # VAT has two more passes: its gradient and its change.
        ("s4l_rotation", 1),
        ("s4l_exemplar", 1),
        ("s4l_vat_entmin", 3),
        ("moam", 3),
        ("color_s4l+joint_pass", 1),
    ],
)
def test_a_joint_pass_contains_all_views_once(method, calls, make_learner, monkeypatch):
    learner, batches = make_learner(terms_of(method))
    views = learner.views_of(batches.batch(0))
    expected = sum(len(views[name]) for name in learner.joint)
    names = {name for term in learner.terms for name in term.views()}
    assert {*learner.joint} == names
    passes, call = [], type(learner.network).call

    def counted(self, images, training=False):
        passes.append(len(images))
        return call(self, images, training)

    monkeypatch.setattr(type(learner.network), "call", counted)
    learner.losses(views)
    assert passes == [expected] * calls


def test_the_views_of_a_joint_pass_have_common_batch_statistics(make_learner):
    learner, batches = make_learner(terms_of("sesemi+joint_pass"), dropout=0.0)
    network, views = learner.network, learner.views_of(batches.batch(0))
    images = np.concatenate([numpy_of(views[name]) for name in learner.joint])
    outputs = network(images, training=True)
    logits = numpy_of(outputs["class"])[: len(views["labels"])]
    labels = numpy_of(views["labels"])
    expected = numpy_of(losses.label_entropy(labels, logits)).mean()
    outcome, _ = learner.losses(views)
    assert float(outcome.terms["class_loss"]) == pytest.approx(expected, rel=1e-4)
    # Six labels, in the order of the tasks.
    proxies = numpy_of(outputs["proxy"])[len(labels) :]
    tasks = np.repeat(np.arange(6), len(proxies) // 6)
    expected = numpy_of(losses.label_entropy(tasks, proxies)).mean()
    assert float(outcome.terms["proxy_loss"]) == pytest.approx(expected, rel=1e-4)


def test_the_colorization_loss_of_even_histograms(make_learner):
    # Each divergence is ln 8.
    term = Colorization(bins=8, units=16, dropout=0.0)
    learner, batches = make_learner((Supervised(), term))
    for name in ("hue", "chroma"):
        for weight in learner.network.readouts["colorization"].get_layer(name).weights:
            weight.assign(np.zeros(weight.shape))
    views = learner.views_of(batches.batch(0))
    sites = numpy_of(views["draws"][term]).reshape(-1, 128, 2)
    assert sites.min() >= 1
    assert sites.max() <= 14
    colors = numpy_of(views["grey_colors"])
    rows = np.arange(len(colors))[:, None]
    _, chroma, light = np.moveaxis(colors[rows, sites[..., 0], sites[..., 1]], -1, 0)
    certain = np.minimum(1, 3 * np.minimum(light, 1 - light))
    outcome, _ = learner.losses(views)
    expected = np.log(8) * np.mean(certain + 5 * chroma)
    found = float(outcome.terms["colorization_loss"])
    assert found == pytest.approx(expected, rel=1e-4)


def test_vat_changes_only_its_images_in_a_joint_pass(make_learner):
    term = Vat(epsilon=0.0)
    learner, batches = make_learner(
        (*terms_of("supervised+joint_pass"), term), dropout=0.5
    )
    outcome, _ = learner.losses(learner.views_of(batches.batch(0)))
    assert float(outcome.watch["vat_divergence"]) == 0


def test_without_a_change_the_divergence_is_zero(whole):
    # All passes have the dropout masks that the clean one drew.
    learner, batches = whole
    term = Vat(epsilon=0.0)
    views = learner.views_of(batches.batch(0))
    ones = np.ones((1, *views["weak"].shape), "float32")
    views["draws"] = {term: {"weak": ones}}
    outcome = term.loss(learner.network, views, None, END)
    assert float(outcome.watch["vat_divergence"]) == 0


def test_extra_passes_leave_statistics_and_draws_as_the_clean_pass_does(whole):
    learner, batches = whole
    network, views = learner.network, learner.views_of(batches.batch(0))
    begin = copies(network.variables)
    network(views["weak"], training=True)
    expected = copies(network.variables)
    for variable, value in zip(network.variables, begin, strict=True):
        variable.assign(value)
    own = next(term for term in learner.terms if type(term) is Vat)
    vat = dataclasses.replace(own, bn_stats="both")
    views["draws"] = {vat: views["draws"][own]}
    vat.loss(network, views, None, END)
    assert gap(begin, copies(network.variables)) > 0
    for one, other in zip(expected, copies(network.variables), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_a_restored_sum_continues_like_the_uninterrupted_one(
    whole, make_learner, tmp_path
):
    learner, batches = whole
    checkpoints.save(learner, tmp_path, 1)
    again, _ = make_learner(learner.terms, epochs=5, dropout=0.5, seed=3)
    again.draws_seed.state.assign(learner.draws_seed.state)
    assert checkpoints.restore(again, tmp_path) == 1
    before = copies(learner.variables)
    for one in (learner, again):
        one.train_on_batch(batches.batch(1))
    assert gap(before, copies(learner.variables)) > 1e-3
    for one, other in zip(
        copies(learner.variables), copies(again.variables), strict=True
    ):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)


def averages_of(learner):
    """The one set of further weights, by the variables' ids."""
    ((_, values),) = learner.evaluated().items()
    return {id(variable): numpy_of(value) for variable, value in values}


def test_without_decay_the_teacher_is_the_student(make_learner):
    term = MeanTeacher(decay=0.0, ramp_decay=0.0)
    learner, _ = trained(make_learner, (Supervised(), term))
    found = averages_of(learner)
    for variable in learner.network.weights:
        assert found[id(variable)] == pytest.approx(numpy_of(variable), abs=1e-7)


def test_the_teachers_decay_by_hand(make_learner):
    # min(0.25, (1 + t) / (10 + t)) is 2/11, 3/12, 0.25; the first average is w0, the
    # further weights are the recorded ones.
    terms = (Supervised(), MeanTeacher(weight=0.0, decay=0.25, ramp_decay=0.25))
    start, _ = trained(make_learner, terms, steps=0)
    expected = numpy_of(start.network.kernels[0])
    learner, kernels = trained(make_learner, terms)
    for weights, decay in zip(kernels, (2 / 11, 0.25, 0.25), strict=True):
        expected = decay * expected + (1 - decay) * weights
    found = averages_of(learner)[id(learner.network.kernels[0])]
    assert found == pytest.approx(expected, abs=1e-6)


def test_polyak_averaging_by_hand(make_learner):
    # 48 images in batches of 4: 12 steps an epoch; half-life 1/12: decay 1/2. Of three
    # weights the zero-debiased average is (w1 / 8 + w2 / 4 + w3 / 2) / (7 / 8).
    terms = (Supervised(), Polyak(half_life=1 / 12))
    learner, (one, two, three) = trained(make_learner, terms)
    expected = (one / 8 + two / 4 + three / 2) * 8 / 7
    found = averages_of(learner)[id(learner.network.kernels[0])]
    assert found == pytest.approx(expected, abs=1e-6)
    assert np.abs(expected - three).max() > 1e-4


def test_the_teacher_of_fixmatch_by_hand(make_learner):
    # (1 + t) / (10 + t) is 2/11, 3/12 and 4/13 in the first three steps.
    terms = terms_of("fixmatch", ["fixmatch.teacher=0.5"])
    start, _ = trained(make_learner, terms, steps=0)
    expected = numpy_of(start.network.kernels[0])
    learner, kernels = trained(make_learner, terms)
    for weights, decay in zip(kernels, (2 / 11, 3 / 12, 4 / 13), strict=True):
        expected = decay * expected + (1 - decay) * weights
    assert [*learner.evaluated()] == [*terms[1].further_weights()]
    found = averages_of(learner)[id(learner.network.kernels[0])]
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_teacher_predicts_the_pseudo_labels(make_learner):
    # A teacher whose class head always prefers class 2.
    terms = terms_of("fixmatch", ["fixmatch.teacher=0.5", "fixmatch.threshold=0.9"])
    learner, batches = make_learner(terms, epochs=5, dropout=0.0)
    state = next(state for state in learner.states if state is not None)
    bias = learner.network.heads["class"].bias
    for variable, average in zip(
        [v for v, _ in state.teacher.values(learner.network)],
        state.teacher.averages,
        strict=True,
    ):
        if variable is bias:
            average.assign([0, 0, 100, 0])
    views = learner.views_of(batches.batch(0))
    outcome, _ = learner.losses(views)
    assert float(outcome.watch["fixmatch_labeled"]) == 100
    strong = learner.network(views["strong"], training=True)["class"]
    entropy = losses.label_entropy(np.full(len(strong), 2), strong)
    expected = float(keras.ops.mean(entropy))
    assert float(outcome.terms["fixmatch_loss"]) == pytest.approx(expected, rel=1e-4)


def test_the_averages_of_freematch_by_hand(make_learner):
    # Decay 1/2 from 1/4 for each of four classes: after one step half of the start and
    # half of the step's predictions, which sum to 1.
    terms = terms_of("freematch", ["freematch.decay=0.5"])
    learner, _ = trained(make_learner, terms, steps=1)
    state = next(state for state in learner.states if state is not None)
    found = {name: numpy_of(value) for name, value in state.of.items()}
    assert found["predicted"].sum() == pytest.approx(1)
    assert found["labels"].sum() == pytest.approx(1)
    assert 0.25 < found["confidence"] < 0.625
    # Four unlabelled images: shares of labels are quarters.
    assert 8 * found["labels"] - 1 == pytest.approx(np.round(8 * found["labels"] - 1))


def test_both_teachers_of_a_sum_are_evaluated(make_learner):
    terms = terms_of("ict+mean_teacher", ["ict.decay=0", "ict.ramp_decay=0"])
    learner, _ = trained(make_learner, terms)
    kernel = learner.network.kernels[0]
    found = {
        name: next(numpy_of(value) for v, value in values if v is kernel)
        for name, values in learner.evaluated().items()
    }
    assert found.keys() == {"ict_teacher", "teacher"}
    # Without decay a teacher is the student.
    assert found["ict_teacher"] == pytest.approx(numpy_of(kernel), abs=1e-7)
    assert np.abs(found["teacher"] - numpy_of(kernel)).max() > 1e-5


def test_names_of_weights_and_scalars_must_differ(make_learner):
    terms = (Supervised(), Polyak(), Polyak(half_life=2.0))
    learner, batches = make_learner(terms, epochs=5)
    with pytest.raises(ValueError, match=r"Two terms .*average"):
        learner.evaluated()
    learner.terms = (Supervised(), Supervised(weight=2))
    learner.states = [None, None]
    with pytest.raises(ValueError, match=r"Two terms .*class_loss"):
        learner(batches.batch(0))


def test_replaced_weights_are_put_back(whole):
    network = whole[0].network
    before = copies(network.weights)
    with network.replaced(whole[0].evaluated()["teacher"]):
        assert gap(before, copies(network.weights)) > 1e-4
    assert gap(before, copies(network.weights)) == 0


@pytest.mark.parametrize(
    "name",
    ["pi_model", "temporal_ensembling", "mean_teacher", "vat", "entropy", "polyak"],
)
def test_weight_0_is_supervised(name, make_learner):
    # One step: the next ones would draw other augmentations.
    term = TERMS[name]()
    if name != "polyak":
        term = dataclasses.replace(term, weight=0.0, bn_stats="supervised")
    plain, silent = (
        trained(make_learner, terms, steps=1, dropout=0.0, labeled_batch=8)[0]
        for terms in ((Supervised(),), (Supervised(), term))
    )
    weights = (copies(learner.network.weights) for learner in (plain, silent))
    assert gap(*weights) < 1e-7


@pytest.mark.parametrize(("weight", "equal"), [(0, True), (1, False)])
def test_proxy_weight_0_is_supervised(weight, equal, make_learner):
    # Without dropout: the proxy pass takes draws of its own from the same stream.
    terms = terms_of("color_s4l", [f"proxies.weight={weight}"], bn_stats="supervised")
    one, _ = trained(make_learner, terms, dropout=0.0)
    other, _ = trained(make_learner, METHODS["supervised"], dropout=0.0)
    networks = (one.network, other.network)
    weights = [
        copies([*network.trunk.variables, *network.heads["class"].variables])
        for network in networks
    ]
    assert (gap(*weights) < 1e-6) == equal
    found = one.get_metrics_result()
    assert (float(found["proxy_loss"]) == 0) is equal
    assert float(found["proxy_error"]) > 0


def test_bn_stats_changes_the_statistics_and_not_the_weights(make_learner):
    both, alone = (
        trained(make_learner, terms_of("color_s4l", bn_stats=bn_stats))[0]
        for bn_stats in ("both", "supervised")
    )
    weights = (copies(learner.network.trainable_variables) for learner in (both, alone))
    assert gap(*weights) < 1e-6
    assert gap(moving(both), moving(alone)) > 1e-3
    # After one step from equal weights: the statistics of `supervised` itself.
    alone, _ = trained(
        make_learner, terms_of("color_s4l", bn_stats="supervised"), steps=1
    )
    plain, _ = trained(make_learner, METHODS["supervised"], steps=1)
    assert gap(moving(alone), moving(plain)) < 1e-6


def test_weight_decay_is_5e_4_of_the_sum_of_squares_of_all_kernels(
    make_learner, gradients
):
    learner, batches = make_learner(METHODS["sesemi"], network="convnet")
    layers = [*learner.network.trunk.layers, *learner.network.heads.values()]
    kernels = [
        layer.kernel
        for layer in layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    ]
    squares = [np.square(numpy_of(k).astype("float64")).sum() for k in kernels]
    found = learner(batches.batch(0)).terms["weight_decay"]
    assert len(kernels) == 11
    assert float(found) == pytest.approx(5e-4 * sum(squares), rel=1e-5)
    # The gradient is twice the factor times the kernel.
    found = gradients(lambda: learner(batches.batch(0)).terms["weight_decay"], kernels)
    for kernel, gradient in zip(kernels, found, strict=True):
        assert gradient == pytest.approx(1e-3 * numpy_of(kernel), rel=1e-4)
