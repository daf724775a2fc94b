"""The term and the network that the pages write join the contract tests."""

import json

import keras
import pytest

from color_s4l import methods
from color_s4l.methods import METHODS
from color_s4l.networks import TRUNKS
from color_s4l.terms import TERMS, Supervised
from tests.networks import test_trunks
from tests.terms import test_contract

TERM, NETWORK = "confidence_penalty", "all_convolutional"


@pytest.fixture
def term(blocks, module, tmp_path, monkeypatch):
    """The page's term, entered into the tables by the page's own lines."""
    file, tables = blocks("add_a_term.md")
    assert file.caption == f"color_s4l/terms/{TERM}.py"
    names = {**vars(module(file, tmp_path)), "Supervised": Supervised}
    monkeypatch.setitem(TERMS, TERM, None)
    monkeypatch.setitem(METHODS, TERM, None)
    exec(tables.text, {**names, "TERMS": TERMS, "METHODS": METHODS})
    return TERMS[TERM]


def test_the_new_term_joins_the_contract(term, make_learner, gradients):
    arguments = (TERM, make_learner)
    contract = test_contract
    contract.test_one_step_gives_finite_terms_that_add_up_and_moves_the_weights(
        *arguments
    )
    contract.test_gradient_of_each_scalar_reaches_the_whole_trunk(*arguments, gradients)
    contract.test_a_term_reads_the_views_that_it_names_and_no_others(*arguments)
    contract.test_a_term_asks_for_the_heads_that_it_reads(*arguments)


def test_the_new_terms_hyper_parameter_can_be_set(term):
    found = methods.terms_of(f"color_s4l+{TERM}", [f"{TERM}.weight=0.2"])
    assert found[-1] == term(weight=0.2)
    assert len(found) == 3


def test_the_new_term_is_zero_for_uniform_predictions(term):
    # One image of certainty e^10 : 1: entropy nearly 0 of log 2; one of none.
    class Network:
        """What a pass asks of a network."""

        def __call__(self, images, training):
            return {"class": keras.ops.convert_to_tensor([[10.0, 0.0], [1.0, 1.0]])}

        def random_states(self):
            return []

    batch = test_contract.Recording({"labeled": keras.ops.zeros((2, 1))})
    batch.passes = {}
    outcome = term(weight=1.0).loss(Network(), batch, None, None)
    penalty = float(outcome.terms[TERM])
    # (log 2 - 0.0004994 + 0) / 2, 0.0004994 being the entropy of (1, e^-10) in nats.
    assert penalty == pytest.approx((0.6931472 - 0.0004994) / 2, abs=1e-6)


@pytest.fixture
def trunk(blocks, module, tmp_path, monkeypatch):
    """The page's network, entered into the table by the page's own line."""
    file, table = blocks("add_a_network.md")
    assert file.caption == f"color_s4l/networks/{NETWORK}.py"
    names = vars(module(file, tmp_path))
    monkeypatch.setitem(TRUNKS, NETWORK, None)
    exec(table.text, {**names, "TRUNKS": TRUNKS})
    keras.utils.set_random_seed(1)
    return TRUNKS[NETWORK]((32, 32, 3), width=0.03)


def test_the_new_network_joins_the_contract(trunk, gradients, tmp_path):
    contract, name = test_trunks, NETWORK
    images = contract.images.__wrapped__()
    contract.test_features_are_finite_maps_that_differ_between_images(trunk, images)
    for shape in ((32, 32, 3), (36, 44, 3)):
        contract.test_says_the_shape_it_gives_at_any_image_size(name, shape)
    contract.test_gradient_reaches_every_trainable_weight(trunk, images, gradients)
    contract.test_training_moves_the_statistics_and_inference_does_not(name, images)
    for suffix in (".keras", ".h5"):
        contract.test_a_saved_trunk_is_the_same(trunk, images, suffix, tmp_path)
    contract.test_bfloat16_computes_near_float32(name, trunk, images)
    contract.test_dropout_acts_in_training_only(name, images)


def test_the_new_network_has_the_blocks_that_freezing_goes_by(trunk):
    from color_s4l.networks import parts

    assert [*parts.blocks(trunk)] == ["block1", "block2", "block3"]
    assert trunk.output_shape == (None, 8, 8, 6)  # 192 * 0.03
    full = TRUNKS[NETWORK]((32, 32, 3))
    assert json.loads(full.to_json())["config"]["name"] == "trunk"
