"""Published or reduced: what the column `settings` says of a number."""

import pathlib

import pytest

from benchmarks import layout
from color_s4l import command_line
from color_s4l.settings import Run

FLAGS = pathlib.Path(__file__).resolve().parents[2] / "flags"
SEEDS = (1, 5, 10, 15)


def said(table, *runs):
    return layout.annotated(table(*runs))["settings"].tolist()


def seeds(count=4, **fields):
    return [(20.0 + seed, {**fields, "seed": seed}) for seed in SEEDS[:count]]


def test_a_flagfiles_run_with_four_seeds_is_published(table):
    path = FLAGS / "sesemi" / "convnet" / "cifar10_1000.cfg"
    run = command_line.parse(Run, [f"--flagfile={path}"], "")
    fields = {name: getattr(run, name) for name in Run.__dataclass_fields__}
    assert said(table, *seeds(**fields)) == ["published"]


def test_the_defaults_are_the_published_settings(table):
    common = {"labels": 4000, "network": "convnet"}
    assert said(table, *seeds(method="sesemi", **common)) == ["published"]
    colorizer = "encoder_decoder, 300 epochs on 50,000 images of cifar10"
    fields = {"method": "color_s4l", "colorizer": colorizer, **common}
    assert said(table, *seeds(**fields)) == ["published"]


def test_the_six_networks_were_published_with_three_runs_of_twenty_epochs(table):
    fields = {"method": "sesemi", "network": "nin", "labels": 2000, "epochs": 20}
    assert said(table, *seeds(3, **fields)) == ["published"]
    assert said(table, *seeds(2, **fields)) == ["reduced: 2 seeds"]


def test_everything_that_was_less_is_named(table):
    fields = {
        "method": "sesemi",
        "labels": 1000,
        "unlabeled": 5000,
        "width": 0.25,
        "epochs": 4,
    }
    assert said(table, *seeds(1, **fields)) == [
        "reduced: width 0.25, 4 epochs, 5,000 unlabelled images, 1 seed"
    ]


def test_smaller_images_are_named(table):
    fields = {"method": "sesemi", "labels": 1000, "image_size": 16}
    (found,) = said(table, *seeds(**fields))
    assert "--image_size=16" in found
    assert said(table, *seeds(**{**fields, "image_size": 32})) == ["published"]


def test_fewer_test_images_are_named(table):
    runs = table(*seeds(method="sesemi", labels=1000)).assign(test_images=1000)
    found = layout.annotated(runs)["settings"].tolist()
    assert found == ["reduced: 1,000 test images"]


def test_a_short_colorizer_is_the_methods_own_reduction(table):
    colorizer = "encoder_decoder, 8 epochs on 10,000 images of cifar10"
    fields = {"method": "color_s4l", "labels": 1000, "colorizer": colorizer}
    assert said(table, *seeds(**fields)) == ["changed: colorizer of 8 epochs"]


def test_what_is_not_less_but_different_is_spelled_as_its_flag(table):
    fields = {"method": "sesemi", "labels": 1000, "learning_rate": 0.1}
    assert said(table, *seeds(**fields)) == ["changed: --learning_rate=0.1"]
    fields = {"method": "sesemi", "labels": 1000, "set": ("proxies.weight=2",)}
    assert said(table, *seeds(**fields)) == ["changed: --set=proxies.weight=2"]


def test_images_without_published_numbers_need_no_four_seeds(table):
    fields = {"dataset": "digits", "method": "sesemi", "labels": 100}
    assert said(table, *seeds(2, **fields)) == ["full"]
    assert said(table, *seeds(2, width=0.5, **fields)) == ["reduced: width 0.5"]


@pytest.mark.parametrize(
    "change", [{"epochs": 4}, {"dtype_policy": "mixed_bfloat16"}, {"zca": False}]
)
def test_runs_of_other_settings_are_never_averaged(table, change):
    fields = {"method": "sesemi", "labels": 1000}
    runs = [*seeds(2, **fields), *seeds(2, **fields, **change)]
    assert layout.annotated(table(*runs))["n"].tolist() == [2, 2]


def test_what_changes_no_result_is_averaged(table):
    runs = [
        (20.0, {"method": "sesemi", "labels": 1000, "seed": 1}),
        (22.0, {"method": "sesemi", "labels": 1000, "seed": 2, "devices": 2}),
    ]
    found = layout.annotated(table(*runs))
    assert found["error"].tolist() == [21.0]
    assert found["seeds"].tolist() == ["1,2"]
