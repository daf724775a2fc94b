"""Rows of run folders; mean and standard deviation by hand."""

import json
import math
import pathlib
import shutil

import pandas as pd
import pytest

from color_s4l.artifacts import tables
from color_s4l.errors import InputError


def table(**columns):
    """Runs of color_s4l.train that differ by what is given."""
    runs = pd.DataFrame(columns)
    commands = [
        f"python -m color_s4l.train --method={method} --seed={number}"
        for number, method in enumerate(runs["method"])
    ]
    return runs.assign(
        command=commands,
        seed=range(len(runs)),
        labels=100,
        unlabeled=1397,
        test_images=400,
        backend="tensorflow",
        hardware="2 cores",
        versions="keras 3",
        date=["2026-11-20"] * (len(runs) - 1) + ["2026-11-21"],
    )


def test_mean_and_sample_deviation_over_the_seeds():
    # 10, 12, 17: mean 13, squares 9 + 1 + 16 = 26, deviation sqrt(26 / 2) = 3.61.
    runs = table(
        method=["sesemi", "sesemi", "supervised", "sesemi"],
        error=[10.0, 12.0, 40.0, 17.0],
        error_augmented=[9.0, 9.0, 39.0, 9.0],
        best_error=[8.0, 8.0, 38.0, 8.0],
    )
    found = tables.summary(runs)
    assert found["averaged_error"].isna().all()  # older files lack it
    runs["averaged_error"] = [8.0, 9.0, None, 10.0]
    found = tables.summary(runs)
    assert found["averaged_error"][0] == 9
    assert math.isnan(found["averaged_error"][1])
    assert found["method"].tolist() == ["sesemi", "supervised"]
    assert found["n"].tolist() == [3, 1]
    assert found["seeds"].tolist() == ["0,1,3", "2"]
    assert found["error"].tolist() == [13.0, 40.0]
    assert found["error_std"][0] == pytest.approx(math.sqrt(13))
    assert math.isnan(found["error_std"][1])
    assert found["error_augmented_std"][0] == 0
    assert found["date"].tolist() == ["2026-11-20; 2026-11-21", "2026-11-20"]


def test_a_measure_that_one_run_lacks_has_no_mean():
    runs = table(method=["sesemi"] * 3, error=[10.0, 12.0, 17.0])
    runs["averaged_error"] = [8.0, None, 10.0]
    (found,) = tables.summary(runs).to_dict("records")
    assert (found["error"], found["n"]) == (13, 3)
    # Of two runs, it would stand beside n = 3.
    assert math.isnan(found["averaged_error"])
    assert math.isnan(found["averaged_error_std"])


def test_a_spread_leaves_out_what_is_missing():
    assert tables.spread(13.0, math.sqrt(13), 3) == "13.00 ± 3.61 (3)"
    assert tables.spread(13.0, float("nan"), 1) == "13.00 (1)"
    assert tables.spread(13.0, None) == "13.00"


def test_a_row_carries_the_runs_origin(finished):
    row = tables.rows([finished.run_dir]).iloc[0]
    assert (row["dataset"], row["method"], row["seed"]) == ("folder", "color_s4l", 1)
    assert (row["labels"], row["unlabeled"], row["test_images"]) == (16, 24, 32)
    assert row["best_note"] == "selected on test"
    assert "keras " in row["versions"]
    assert "cores" in row["hardware"]
    assert "1 epochs on 40 images of digits" in row["colorizer"]
    assert "/" not in row["command"]  # the machine's folders stay on it
    for name in ("error", "command", "date", "backend", "images_per_second"):
        assert row[name] == row[name], name  # not missing


def test_a_teachers_error_stands_beside_the_students(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.run_dir, folder)
    path = folder / "result.json"
    result = json.loads(path.read_text())
    teacher = {"error": 12.5, "error_augmented": 11.0}
    path.write_text(json.dumps({**result, "further": {"teacher": teacher}}))
    found = tables.rows([finished.run_dir, folder])["averaged_error"]
    assert [math.isnan(found[0]), found[1]] == [True, 12.5]


def test_refuses_a_folder_without_a_result(tmp_path, finished):
    with pytest.raises(InputError, match="is no run's folder"):
        tables.rows([tmp_path])


def test_a_rows_command_is_read_back_to_its_run(finished):
    row = tables.rows([finished.run_dir]).iloc[0]
    run = tables.run_of(row["command"])
    names = ("labels", "unlabeled", "validation", "width", "epochs", "method", "seed")
    for name in names:
        assert getattr(run, name) == getattr(finished, name), name
    with pytest.raises(InputError, match="Expected a command of"):
        tables.run_of("python -m color_s4l.evaluate --run=a")


@pytest.fixture
def recipe(finished, tmp_path):
    """A function: a seed, and each stage's unlabelled images, to a recipe's folder."""

    def make(seed, **unlabeled):
        there, folder = pathlib.Path(finished.run_dir), tmp_path / f"seed{seed}"
        config = json.loads((there / "config.json").read_text())
        config["run"]["seed"] = seed
        result = json.loads((there / "result.json").read_text())
        stages = [
            {**result, "stage": name, "unlabeled": count}
            for name, count in unlabeled.items()
        ]
        parts = {one["stage"]: one for one in stages}
        for name, content in {"": {**stages[-1], "stages": stages}, **parts}.items():
            (folder / name).mkdir()
            (folder / name / "config.json").write_text(json.dumps(config))
            (folder / name / "result.json").write_text(json.dumps(content))
        return folder

    return make


def test_seeds_of_a_recipe_are_repetitions_whatever_its_stages_train_on(recipe):
    # The labelled images that were not among the 24 are added: 9 of one seed, 11 of
    # another.
    folders = [recipe(1, first=24, last=33), recipe(2, first=24, last=35)]
    table = tables.rows(folders, stages=True)
    assert table["unlabeled"].tolist() == [24] * 6
    assert tables.summary(table)["seeds"].tolist() == ["1,2"] * 3
    assert tables.summary(tables.rows(folders))["seeds"].tolist() == ["1,2"]


def test_a_recipes_stages_are_rows_on_request(recipe):
    folder = recipe(1, first=24, last=24)
    assert tables.rows([folder])["stage"].tolist() == [None]
    table = tables.rows([folder], stages=True)
    assert table["stage"].fillna("").tolist() == ["", "first", "last"]
    assert tables.summary(table)["n"].tolist() == [1, 1, 1]


def test_what_is_known_of_a_run_before_its_end(finished, tmp_path):
    shutil.copy(pathlib.Path(finished.run_dir) / "config.json", tmp_path)
    about = tables.begun(tmp_path)
    assert (about["method"], about["seed"], about["width"]) == ("color_s4l", 1, 0.03)
    assert "--width=0.03" in about["setting"]
    assert "seed" not in about["setting"]
