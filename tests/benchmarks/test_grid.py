"""The runs of a grid, and how existing runs are recognised."""

import shutil

import numpy as np
import pytest

from benchmarks.grid import grid, places
from color_s4l.data import read_pseudo_labels, save_pseudo_labels
from color_s4l.errors import InputError
from color_s4l.settings import Run, TrainingSettings


def runs_of(**words):
    names = ("labels", "networks", "methods", "recipes", "seeds")
    default = {"labels": "all", "networks": "convnet", "methods": "", "recipes": ""}
    axes = {**default, "seeds": "1"} | {k: words.pop(k) for k in names if k in words}
    return grid(TrainingSettings(**words), **axes)


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
    assert runs[2].method == Run.method


def test_each_run_has_the_settings_that_it_can_use():
    words = ("proxies.weight=2", "supervised.weight=3", "rotnet_finetune.rate=1")
    stage = ("finetuning.epochs=2", "finetuned.epochs=3")
    runs = runs_of(
        methods="supervised,sesemi",
        recipes="rotnet_finetune,moam",
        set=words,
        stage=stage,
        dropout=0.2,
    )
    assert [run.set for run in runs] == [words[1:2], words[:2], words, words[:2]]
    assert [run.stage for run in runs] == [(), (), stage[:1], stage[1:]]
    assert {run.dropout for run in runs} == {0.2}


def test_a_recipe_that_continues_a_run_stands_alone():
    words = {"recipes": "refine", "init_from": "run"}
    assert runs_of(**words)[0].init_from == "run"
    for other in ({"methods": "sesemi"}, {"recipes": "refine,moam"}):
        with pytest.raises(InputError, match="give the recipe its own command"):
            runs_of(**{**words, **other})


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"methods": "sesemi", "seeds": "1,two"}, "`seeds` to be whole.*two"),
        ({"methods": "sesemi", "labels": "many"}, "`labels` to be whole numbers or"),
        ({"methods": "sesemi", "seeds": "1,5,1"}, "`seeds` to be different"),
        ({"methods": "sesemi,"}, "`methods` to be different words"),
        ({"methods": "sesemi", "networks": ""}, "`networks` to be different words"),
        ({}, "Expected `methods` or `recipes`. Received: neither"),
        ({"recipes": "moam,moam"}, "`recipes` to be different words"),
        ({"recipes": "rotnet_linaer"}, "no recipe.*Did you mean 'rotnet_linear'"),
        (
            {"methods": "supervised", "set": ("vat.weight=2",)},
            "no run of this table has a term 'vat'. Known: supervised",
        ),
        (
            {"methods": "sesemi", "set": ("proxis.weight=2",)},
            "'proxis'. Did you mean 'proxies'",
        ),
        ({"methods": "sesemi", "stage": ("linear.epochs=2",)}, "Known: none"),
        ({"recipes": "moam", "stage": ("mixt.epochs=2",)}, "Did you mean 'mixed'"),
        ({"recipes": "moam", "stage": ("mixed.epoch=2",)}, "'epoch'. Did you mean"),
    ],
)
def test_wrong_axes_are_refused(words, text):
    with pytest.raises(InputError, match=text):
        runs_of(**words)


@pytest.mark.parametrize(
    "changes",
    [{}, {"verbosity": 2}, {"steps_per_execution": 3}, {"devices": 2}],
)
def test_a_finished_run_is_recognised_by_its_configuration(
    tmp_path, axes, copied, changes
):
    path = copied("some other name")
    run, done = place_of(tmp_path, axes, **changes)
    assert done
    assert run.run_dir == str(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 3},
        {"seeds": "2"},
        {"methods": "sesemi"},
        {"set": ("proxies.weight=2",)},
        {"data_dir": "elsewhere"},
        {"dtype_policy": "mixed_bfloat16"},
        {"colorizer": None},
    ],
)
def test_settings_that_change_the_result_make_another_run(
    tmp_path, axes, copied, changes
):
    path = copied("a")
    run, done = place_of(tmp_path, axes, **changes)
    assert not done
    assert run.run_dir != str(path)
    assert run.run_dir != place_of(tmp_path, axes, epochs=7)[0].run_dir


def test_input_files_count_by_their_content(
    tmp_path, axes, copied, colorizer_file, small
):
    copied("a")
    elsewhere = tmp_path / "renamed.h5"
    shutil.copy(colorizer_file, elsewhere)
    assert place_of(tmp_path, axes, colorizer=str(elsewhere))[1]
    labels, index = tmp_path / "labels.npz", np.arange(4)
    save_pseudo_labels(labels, small, index, np.eye(4))
    digests = {"pseudo_labels": read_pseudo_labels(labels).digest}
    copied("b", method="relabeled", pseudo_labels="x.npz", digests=digests)
    changes = {"methods": "relabeled", "pseudo_labels": str(labels)}
    assert place_of(tmp_path, axes, **changes)[1]
    other = tmp_path / "other.npz"
    save_pseudo_labels(other, small, index, np.eye(4)[::-1])
    assert not place_of(tmp_path, axes, **{**changes, "pseudo_labels": str(other)})[1]


def test_a_data_directory_counts_by_its_absolute_path(
    tmp_path, axes, copied, monkeypatch
):
    copied("a")
    parent, _, name = axes["data_dir"].rpartition("/")
    monkeypatch.chdir(parent)
    assert place_of(tmp_path, axes, data_dir=f"./{name}")[1]


def test_an_interrupted_run_is_resumed_in_its_own_directory(tmp_path, axes, copied):
    path = copied("begun", finish=False)
    run, done = place_of(tmp_path, axes)
    assert not done
    assert run.run_dir == str(path)
    assert run.resume
    # It was started on one device: with two it would be refused.
    assert place_of(tmp_path, axes, devices=2)[0].run_dir != str(path)


def test_a_damaged_directory_is_logged_and_left_out(tmp_path, axes, copied, caplog):
    path = copied("a")
    (path / "config.json").write_text("{")
    assert not place_of(tmp_path, axes)[1]
    assert "config.json is damaged" in caplog.text
