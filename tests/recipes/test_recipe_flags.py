"""The flags of recipes and of their stages, and labels averaged over views."""

import dataclasses
import typing

import keras
import numpy as np
import pytest
from color_s4l.recipes.flags import stages_of
from color_s4l.recipes.relabeling import averaged

from color_s4l import methods, train
from color_s4l.errors import InputError
from color_s4l.recipes import RECIPES
from color_s4l.recipes.recipe import RANGES
from color_s4l.settings import DataSettings
from color_s4l.terms import Relabeled


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--recipe=rotnet"], "no recipe 'rotnet'. Did you mean 'rotnet_linear'"),
        (["--recipe=refine"], "--recipe=refine begins from a run: name it, --init_"),
        (["--recipe=alternating", "--method=sesemi"], "leave --method out"),
        (
            ["--recipe=alternating", "--set=alternating.cycle=2"],
            "'alternating' has no hyper-parameter 'cycle'. Did you mean 'cycles'",
        ),
        (
            ["--recipe=alternating", "--set=alternating.cycles=0"],
            "Expected cycles to be 1 or more. Received: 0",
        ),
        (
            ["--recipe=alternating", "--set=alternating.share=1.5"],
            "Expected share to be above 0, at most 1. Received: 1.5",
        ),
        (
            ["--recipe=rotnet_linear", "--balance"],
            "Stage 'pretraining': --balance weighs the class loss of the term",
        ),
        (
            ["--recipe=rotnet_linear", "--set=supervised.wieght=2"],
            "Stage 'linear': Term 'supervised' has no hyper-parameter 'wieght'",
        ),
        (
            ["--recipe=rotnet_linear", "--set=supervised.weight=-2"],
            "Stage 'linear': --set=supervised.weight=-2: Expected weight to be 0 or",
        ),
        (
            ["--recipe=moam", "--stage=relabeled.pseudo_labels="],
            "Stage 'relabeled': --method=moam_relabeled learns from labels",
        ),
        (["--recipe=rotnet_linear", "--init_heads"], "name it by --init_from"),
        (
            ["--recipe=rotnet_linear", "--set=polyak.half_life=2"],
            "no stage has a term 'polyak'",
        ),
        (
            ["--recipe=rotnet_linear", "--stage=probe.epochs=2"],
            "no stage 'probe'. There are: pretraining, linear",
        ),
        (
            ["--recipe=rotnet_linear", "--stage=linear.epoch=2"],
            "linear.epoch=2: there is no flag 'epoch'. Did you mean 'epochs'",
        ),
        (["--recipe=rotnet_linear", "--stage=linear.epochs=0"], "--epochs=0: expected"),
        (
            ["--recipe=rotnet_linear", "--stage=linear.stage=linear.epochs=2"],
            "--stage=linear.stage=linear.epochs=2: --stage belongs to the whole",
        ),
        (
            ["--recipe=rotnet_linear", "--stage=linear.flagfile=mine"],
            "there is no flag 'flagfile'",
        ),
        (["--recipe=rotnet_linear", "--stage=epochs=2"], "Expected --stage=STAGE.FLAG"),
        (
            ["--recipe=rotnet_linear", "--stage=pretraining.method=rotnot"],
            "no method 'rotnot'. Did you mean 'rotnet'",
        ),
    ],
)
def test_train_refuses(words, text, base, flags, tmp_path, refused):
    run = dataclasses.replace(base, run_dir=str(tmp_path / "run"))
    assert text in refused(train.main([*flags(run), *words]))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("field", dataclasses.fields(DataSettings))
def test_images_belong_to_the_whole(field, base, tmp_path):
    override = f"linear.{field.name}=1"
    run = dataclasses.replace(base, recipe="rotnet_linear", stage=(override,))
    with pytest.raises(InputError, match=f"--{field.name} belongs to the whole"):
        stages_of(run, tmp_path)


def test_flags_of_one_stage_and_of_its_terms(base, tmp_path):
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


def test_a_stages_set_adds_to_the_recipes_own(base, tmp_path):
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
    # Of the recipe: hard labels; of the whole: 2; of the stage: 3, the last word.
    assert relabeled == Relabeled(weight=3.0, hard=True, bn_stats="supervised")
    assert two.set[0] == "relabeled.hard=true"
    assert temporal.weight == 0.5


def test_settings_go_to_a_stages_own_method(base, tmp_path):
    run = dataclasses.replace(
        base,
        recipe="rotnet_finetune",
        set=("vat.weight=2",),
        stage=("finetuning.method=vat", "finetuning.balance=true"),
    )
    (_, first), (_, second) = stages_of(run, tmp_path)
    assert (first.set, first.balance) == ((), False)
    assert (second.method, second.set, second.balance) == ("vat", run.set, True)


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_of_a_recipe_has_a_range(name):
    kinds = typing.get_type_hints(type(RECIPES[name]))
    numbers = {field for field, kind in kinds.items() if kind in (int, float)}
    # What may be frozen is refused of the stage's flag, --freeze_blocks.
    for field in numbers - {"frozen"}:
        expected = f"Expected {field} to be {RANGES[field].text}. Received: -1"
        with pytest.raises(InputError, match=expected):
            dataclasses.replace(RECIPES[name], **{field: -1})


def test_every_range_is_of_a_field_that_some_recipe_has():
    fields = {
        field.name for one in RECIPES.values() for field in dataclasses.fields(one)
    }
    assert RANGES.keys() <= fields


def test_logits_are_averaged_over_crops_and_turns():
    class Corner(keras.Model):
        """Odds for the first class: 1 + the red of the upper left pixel."""

        def call(self, images):
            odds = 1 + keras.ops.cast(images[:, 0, 0, :1], "float32")
            return keras.ops.concatenate([odds, odds / odds], axis=1) / (1 + odds)

    images = np.zeros((1, 4, 4, 3), "uint8")
    images[0, 0, 0], images[0, 0, 3] = 1, 7  # upper left 1, upper right 7
    model = Corner()
    # Odds 2 : 1 at the corner.
    np.testing.assert_allclose(averaged(model, images, views=1), [[2 / 3, 1 / 3]])
    # Mirrored at the edge by 2 px, crops begin at (-2, -2), (-2, 2), (2, -2), (2, 2)
    # and (0, 0): pixels (1, 1), (1, 2), (2, 1), (2, 2) and (0, 0): only the last is 1.
    odds = 2 ** (1 / 5)
    expected = [[odds / (1 + odds), 1 / (1 + odds)]]
    np.testing.assert_allclose(averaged(model, images, views=5), expected, rtol=1e-5)
    # Turned, the corner holds once 1, once 7 and twice 0: odds 2 * 8 in 20 views.
    odds = (2 * 8) ** (1 / 20)
    expected = [[odds / (1 + odds), 1 / (1 + odds)]]
    np.testing.assert_allclose(averaged(model, images, views=20), expected, rtol=1e-5)
