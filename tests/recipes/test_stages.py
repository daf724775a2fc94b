"""Settings of recipes and of their stages, and labels averaged over views."""

import dataclasses
import typing

import keras
import numpy as np
import pytest

from color_s4l import methods
from color_s4l.errors import InputError
from color_s4l.fields import ranges_of
from color_s4l.recipes import procedure
from color_s4l.recipes.ensemble_self_training import votes_of
from color_s4l.recipes.procedure import stages_of
from color_s4l.recipes.pseudo_label_retrain import averaged
from color_s4l.registry import RECIPES
from color_s4l.settings import DataSettings
from color_s4l.terms.relabeled import Relabeled


@pytest.mark.parametrize("field", dataclasses.fields(DataSettings))
def test_all_stages_share_the_images(field, base, tmp_path):
    override = f"linear.{field.name}=1"
    run = dataclasses.replace(base, recipe="rotnet_linear", stage=(override,))
    with pytest.raises(InputError, match=f"all stages share '{field.name}'"):
        stages_of(run, tmp_path)


def test_settings_of_one_stage_and_of_its_terms(base, tmp_path):
    run = dataclasses.replace(
        base,
        recipe="rotnet_finetune",
        epochs=10,
        set=(
            "rotnet_finetune.method=proxies",
            "proxies.weight=2",
            "supervised.weight=3",
        ),
        stage=("finetuning.epochs=4", "finetuning.learning_rate=0.01"),
    )
    (_, first), (_, second) = stages_of(run, tmp_path)
    assert (first.method, first.set) == ("proxies", ("proxies.weight=2",))
    assert (first.epochs, first.learning_rate, first.schedule) == (10, 0.1, "steps")
    assert (second.method, second.set) == ("supervised", ("supervised.weight=3",))
    assert (second.epochs, second.learning_rate) == (4, 0.01)
    assert second.schedule == "polynomial"
    assert second.init_from == str(tmp_path / "pretraining")


def test_the_set_of_a_stage_adds_to_that_of_the_recipe(base, tmp_path):
    run = dataclasses.replace(
        base,
        recipe="alternating",
        set=("relabeled.weight=2", "alternating.cycles=1"),
        stage=(
            "phase_two.set=relabeled.bn_stats=supervised",
            "phase_two.set=relabeled.weight=3",
        ),
    )
    *_, (stage, two) = stages_of(run, tmp_path)
    assert stage.kind == "phase_two"
    (relabeled, temporal) = methods.terms_of(two.method, two.set)
    # Recipe: hard labels; whole run: 2; stage: 3, which comes last.
    assert relabeled == Relabeled(weight=3.0, hard=True, bn_stats="supervised")
    assert two.set[0] == "relabeled.hard=true"
    assert temporal.weight == 0.5


@pytest.mark.parametrize(
    ("recipe", "rates"),
    [
        # 0.1 for 256 images per step; the first stage is a supervised run.
        ("pseudo_label_retrain", [0.05, 0.1 * 64 / 256]),
        # 0.1, 0.1 and 5e-4 for 128 images per step.
        ("moam", [0.05, 0.05, 2.5e-4]),
    ],
)
def test_the_rates_of_s4l_are_proportional_to_the_batch_size(
    recipe, rates, base, tmp_path
):
    run = dataclasses.replace(base, recipe=recipe, batch_size=64, learning_rate=0.05)
    found = [stage_run.learning_rate for _, stage_run in stages_of(run, tmp_path)]
    assert found == pytest.approx(rates)


def test_a_probe_of_fixed_features_has_no_dropout(base, tmp_path):
    run = dataclasses.replace(base, recipe="alternating", dropout=0.5)
    for one, stage_run in stages_of(run, tmp_path):
        assert stage_run.dropout == (0 if one.kind == "phase_one" else 0.5)


def test_the_method_of_a_stage_gets_its_settings(base, tmp_path):
    run = dataclasses.replace(
        base,
        recipe="rotnet_finetune",
        set=("vat.weight=2",),
        stage=("finetuning.method=vat", "finetuning.balance=true"),
    )
    (_, first), (_, second) = stages_of(run, tmp_path)
    assert (first.set, first.balance) == ((), False)
    assert (second.method, second.set, second.balance) == ("vat", run.set, True)


def test_settable_names_of_a_method_and_of_a_recipe(base):
    found = procedure.settable(dataclasses.replace(base, method="sesemi"))
    assert found == {"set": {"supervised", "proxies"}, "stage": set()}
    run = dataclasses.replace(
        base, recipe="rotnet_linear", stage=("linear.method=vat", "other.epochs=1")
    )
    assert procedure.settable(run) == {
        "set": {"rotnet_linear", "proxies", "supervised", "vat"},
        "stage": {"pretraining", "linear"},
    }


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_of_a_recipe_has_a_range(name, base):
    recipe = procedure.recipe_of(dataclasses.replace(base, recipe=name))
    hints = typing.get_type_hints(type(recipe), include_extras=True)
    kinds = typing.get_type_hints(type(recipe))
    for field in dataclasses.fields(recipe):
        # `frozen` is checked as the setting `freeze_blocks` of a stage.
        if kinds[field.name] in (int, float) and field.name != "frozen":
            assert ranges_of(hints[field.name]), field.name
            with pytest.raises(InputError, match=f"Expected `{field.name}` to be"):
                dataclasses.replace(recipe, **{field.name: -1})


class Corner(keras.Model):
    """Odds for the first class: 1 + the red of the upper left pixel."""

    def call(self, images):
        odds = 1 + keras.ops.cast(images[:, 0, 0, :1], "float32")
        return keras.ops.concatenate([odds, odds / odds], axis=1) / (1 + odds)


@pytest.mark.parametrize(
    ("views", "odds"),
    [
        # Odds 2 : 1 at the corner.
        (1, 2),
        # With mirrored margins of 2 px, crops begin at (-2, -2), (-2, 2), (2, -2),
        # (2, 2) and (0, 0): pixels (1, 1), (1, 2), (2, 1), (2, 2) and (0, 0). Only
        # the last one is 1.
        (5, 2 ** (1 / 5)),
        # The corner of the rotated images has once 1, once 7 and twice 0: odds 2 * 8
        # in 20 views.
        (20, (2 * 8) ** (1 / 20)),
    ],
)
def test_logits_are_averaged_over_crops_and_rotations(views, odds):
    images = np.zeros((1, 4, 4, 3), "uint8")
    images[0, 0, 0], images[0, 0, 3] = 1, 7  # upper left 1, upper right 7
    expected = [[odds / (1 + odds), 1 / (1 + odds)]]
    found = averaged(Corner(), images, views=views)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_votes_of_an_ensemble_are_shares_of_most_probable_classes():
    tables = (
        [[0.6, 0.4, 0.0], [0.1, 0.2, 0.7]],
        [[0.9, 0.1, 0.0], [0.4, 0.3, 0.3]],
        [[0.0, 0.0, 1.0], [0.2, 0.1, 0.7]],
        [[0.5, 0.4, 0.1], [0.1, 0.2, 0.7]],
    )
    members = [lambda images, table=table: np.array(table) for table in tables]
    found = votes_of(members)(np.zeros((2, 4, 4, 3), "uint8"))
    assert found.dtype == np.float32
    assert found.tolist() == [[0.75, 0, 0.25], [0.25, 0, 0.75]]


def test_the_members_of_an_ensemble_share_the_split_and_differ(base, tmp_path):
    name = "ensemble_self_training"
    run = dataclasses.replace(
        base,
        recipe=name,
        seed=5,
        network="convnet",
        init_from="some_run",
        set=(f"{name}.members=3", f"{name}.networks=nin,convnet"),
    )
    *members, (stage, student) = stages_of(run, tmp_path)
    runs = [member for _, member in members]
    assert [member.network for member in runs] == ["nin", "convnet", "nin"]
    assert [member.seed for member in runs] == [5, 6, 7]
    assert [member.init_from for member in runs] == [None, "some_run", None]
    split = str(tmp_path / "cycle_1_member" / "split.csv")
    assert [member.split_file for member in runs] == [None, split, split]
    assert (stage.name, student.network, student.seed) == ("student", "convnet", 5)
    labels = tmp_path / "cycle_3_member" / "pseudo_labels.npz"
    assert student.pseudo_labels == str(labels)
    run = dataclasses.replace(run, set=(*run.set, f"{name}.members=1"))
    with pytest.raises(InputError, match=r"`members` to be at least 2, .* Received: 1"):
        stages_of(run, tmp_path)
