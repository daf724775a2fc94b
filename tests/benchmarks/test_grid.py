"""The runs of a grid, and how those that are there already are recognised."""

import shutil

import numpy as np
import pytest

from benchmarks.error_rates import ErrorRates
from benchmarks.grid import grid, places
from color_s4l.data import read_pseudo_labels, save_pseudo_labels
from color_s4l.errors import InputError
from color_s4l.settings import Run, Settings


def runs_of(**words):
    flags = ErrorRates(**words)
    return grid(
        flags,
        labels=flags.labels,
        networks=flags.networks,
        methods=flags.methods,
        recipes=flags.recipes,
        seeds=flags.seeds,
    )


def place_of(folder, axes, **changes):
    (found,) = places(runs_of(**{**axes, **changes}), folder / "runs")
    return found


def test_grid_is_every_combination_with_the_seeds_innermost():
    runs = runs_of(labels="100,all", methods="supervised,sesemi", seeds="1,5")
    found = [(run.labels, run.method, run.seed) for run in runs]
    assert found[:3] == [
        (100, "supervised", 1),
        (100, "supervised", 5),
        (100, "sesemi", 1),
    ]
    assert len(found) == len(set(found)) == 8
    assert found[-1] == (None, "sesemi", 5)


def test_recipes_stand_beside_methods():
    runs = runs_of(methods="supervised", recipes="moam,alternating", seeds="1,5")
    found = [(run.recipe, run.seed) for run in runs]
    assert found[:4] == [(None, 1), (None, 5), ("moam", 1), ("moam", 5)]
    assert [run.method for run in runs][:2] == ["supervised", "supervised"]
    for words in ({}, {"methods": ""}):
        (alone,) = runs_of(**words, recipes="moam", seeds="1")
        assert (alone.recipe, alone.method) == ("moam", Run.method)
    # Where nothing is named, these are.
    names = [run.method for run in runs_of(seeds="1")]
    assert names == ["supervised", "sesemi", "color_s4l"]


def test_each_run_has_the_settings_that_it_knows():
    words = ("proxies.weight=2", "supervised.weight=3", "rotnet_linear.rate=1")
    stage = ("linear.epochs=2", "finetuned.epochs=3")
    runs = runs_of(
        methods="supervised,sesemi",
        recipes="rotnet_linear,moam",
        seeds="1",
        set=words,
        stage=stage,
    )
    assert [run.set for run in runs] == [words[1:2], words[:2], words, words[:2]]
    assert [run.stage for run in runs] == [(), (), stage[:1], stage[1:]]


def test_a_recipe_goes_on_from_one_run_and_its_labels():
    words = {"methods": "", "recipes": "refine", "init_from": "run"}
    with pytest.raises(InputError, match=r"its seed alone, or --split_file=RUN/split"):
        runs_of(**words, seeds="1,2")
    with pytest.raises(InputError, match="from one run and its labels"):
        runs_of(**words, seeds="1", labels="10,20")
    assert runs_of(**words, seeds="1")[0].init_from == "run"
    assert len(runs_of(**words, seeds="1,2", split_file="split.csv")) == 2


@pytest.mark.parametrize("other", [{"methods": "sesemi"}, {"recipes": "refine,moam"}])
def test_nothing_else_begins_where_a_recipe_goes_on(other):
    words = {"recipes": "refine", "init_from": "run", "seeds": "1"}
    with pytest.raises(InputError, match="all others would, too: give it a command"):
        runs_of(**{**words, **other})


def test_a_recipe_has_the_labels_and_the_seed_of_the_run_it_goes_on_from(finished):
    words = {"recipes": "refine", "init_from": finished.run_dir}
    assert len(runs_of(**words, labels="16", seeds="1")) == 1
    with pytest.raises(InputError, match=r"--seed: 1 then, 2 now.*--split_file=.*csv"):
        runs_of(**words, labels="16", seeds="2")


def test_every_flag_of_training_that_is_no_axis_reaches_the_runs():
    values = {
        "dataset": "cifar10",
        "dropout": 0.2,
        "zca": True,
        "jit_compile": False,
        "steps_per_execution": 10,
        "validation": 500,
        "set": ("proxies.weight=2",),
    }
    run = runs_of(methods="sesemi", **values)[0]
    assert {name: getattr(run, name) for name in values} == values
    shared = set(Settings.__dataclass_fields__)
    own = set(Run.__dataclass_fields__) - shared
    axes = {"labels", "method", "recipe", "network", "seed"}
    assert own == {*axes, "run_dir", "resume"}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"seeds": "1,two"}, "--seeds: expected numbers.*1,two"),
        ({"labels": "many"}, "--labels: expected numbers"),
        ({"seeds": "1,5,1"}, "'1' twice"),
        ({"methods": "sesemi,"}, "an empty word"),
        ({"networks": ""}, "an empty word"),
        ({"methods": ""}, "Expected --methods or --recipes. Received: neither"),
        ({"recipes": "moam,moam"}, "'moam' twice"),
        ({"recipes": "rotnet_linaer"}, "no recipe.*Did you mean 'rotnet_linear'"),
        ({"recipes": "refine"}, "begins from a run: name it, --init_from"),
        ({"set": ("vat.weight=2",)}, r"=2: no run .* a term 'vat'\. They have: super"),
        ({"set": ("proxis.weight=2",)}, "'proxis'. Did you mean 'proxies'"),
        ({"stage": ("linear.epochs=2",)}, "epochs=2: only a --recipe has stages"),
        (
            {"recipes": "moam", "stage": ("mixt.epochs=2",)},
            "Did you mean 'mixed'.* finetuned, mixed, relabeled",
        ),
        ({"recipes": "moam", "stage": ("mixed.epoch=2",)}, "flag 'epoch'. Did you"),
    ],
)
def test_refuses_axes_that_are_no_lists(words, text):
    with pytest.raises(InputError, match=text):
        runs_of(**words)


def test_a_finished_run_is_recognised_whatever_its_folder_is_called(
    tmp_path, axes, copied
):
    path = copied("some other name")
    found = place_of(tmp_path, axes)
    assert found.done
    assert found.run.run_dir == str(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"verbosity": 2},
        {"steps_per_execution": 3},
        {"devices": 2},
        {"jit_compile": True},
    ],
)
def test_what_changes_no_result_does_not_count(tmp_path, axes, copied, changes):
    copied("a")
    assert place_of(tmp_path, axes, **changes).done


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 3},
        {"seeds": "2"},
        {"methods": "sesemi"},
        {"dropout": 0.2},
        {"set": ("proxies.weight=2",)},
        {"data_dir": "elsewhere"},
        {"dtype_policy": "mixed_bfloat16"},
        {"colorizer": None},
    ],
)
def test_what_changes_a_result_counts(tmp_path, axes, copied, changes):
    path = copied("a")
    found = place_of(tmp_path, axes, **changes)
    assert not found.done
    assert found.run.run_dir != str(path)
    # A run of another configuration gets another name, so that none is in the way.
    assert found.run.run_dir != place_of(tmp_path, axes, epochs=7).run.run_dir


def test_fields_that_an_older_folder_lacks_count_as_their_defaults(
    tmp_path, axes, copied
):
    copied("old", forget=("weight_decay", "bn_stats"))
    assert place_of(tmp_path, axes).done
    assert not place_of(tmp_path, axes, weight_decay=1e-4).done


def test_a_colorizer_counts_by_its_content(tmp_path, axes, copied, colorizer_file):
    copied("a")
    elsewhere = tmp_path / "renamed.h5"
    shutil.copy(colorizer_file, elsewhere)
    assert place_of(tmp_path, axes, colorizer=str(elsewhere)).done


def test_pseudo_labels_count_by_their_content(tmp_path, axes, copied, small):
    labels, index = tmp_path / "labels.npz", np.arange(4)
    save_pseudo_labels(labels, small, index, np.eye(4))
    changes = {"methods": "relabeled", "pseudo_labels": str(labels)}
    digest = read_pseudo_labels(labels).digest
    copied(
        "a",
        method="relabeled",
        pseudo_labels="x.npz",
        digests={"pseudo_labels": digest},
    )
    assert place_of(tmp_path, axes, **changes).done
    other = tmp_path / "other.npz"
    save_pseudo_labels(other, small, index, np.eye(4)[::-1])
    assert not place_of(tmp_path, axes, **{**changes, "pseudo_labels": str(other)}).done


def test_a_data_directory_counts_by_where_it_is(tmp_path, axes, copied, monkeypatch):
    copied("a")
    parent, _, name = axes["data_dir"].rpartition("/")
    monkeypatch.chdir(parent)
    assert place_of(tmp_path, axes, data_dir=f"./{name}").done


def test_an_interrupted_run_goes_on_in_its_own_folder(tmp_path, axes, copied):
    path = copied("begun", finish=False)
    found = place_of(tmp_path, axes)
    assert not found.done
    assert found.run.run_dir == str(path)
    assert found.run.resume
    # Begun on one device: on two it would be refused, and is begun anew.
    assert place_of(tmp_path, axes, devices=2).run.run_dir != str(path)


def test_a_damaged_folder_is_named_and_left_out(tmp_path, axes, copied, capsys):
    path = copied("a")
    (path / "config.json").write_text("{")
    assert not place_of(tmp_path, axes).done
    assert "config.json is damaged" in capsys.readouterr().out
