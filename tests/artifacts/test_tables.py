"""Rows of run directories; means and standard deviations by hand."""

import json
import math
import pathlib
import shutil

import pandas as pd
import pytest

from color_s4l import settings
from color_s4l.artifacts import tables
from color_s4l.errors import InputError
from color_s4l.settings import Run


def table(**columns):
    """Rows of runs that differ by these columns and by the seed."""
    runs = pd.DataFrame(columns)
    texts = [
        tables.settings_text(settings.to_json(Run(method=method, seed=number)))
        for number, method in enumerate(runs["method"])
    ]
    return runs.assign(
        settings=texts,
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
        averaged_error=[8.0, 9.0, None, 10.0],
        best_error=[8.0, None, 38.0, 8.0],
    )
    found = tables.summary(runs)
    assert found["method"].tolist() == ["sesemi", "supervised"]
    assert found["n"].tolist() == [3, 1]
    assert found["seeds"].tolist() == ["0,1,3", "2"]
    assert found["error"].tolist() == [13.0, 40.0]
    assert found["error_std"][0] == pytest.approx(math.sqrt(13))
    assert math.isnan(found["error_std"][1])
    assert found["error_augmented_std"][0] == 0
    assert found["averaged_error"][0] == 9
    assert math.isnan(found["averaged_error"][1])
    # A mean of two runs would be shown beside n = 3.
    assert found["best_error"].isna().tolist() == [True, False]
    assert math.isnan(found["best_error_std"][0])
    assert found["date"].tolist() == ["2026-11-20; 2026-11-21", "2026-11-20"]
    assert tables.summary(runs.drop(columns="best_error"))["best_error"].isna().all()


def test_other_settings_are_no_repetitions():
    runs = table(method=["sesemi"] * 3, error=[10.0, 12.0, 17.0])
    other = [settings.to_json(Run(method="sesemi", **c)) for c in CHANGES]
    runs["settings"] = [tables.settings_text(values) for values in other]
    keys = tables.repetitions(runs).tolist()
    assert keys[0] == keys[1] != keys[2]
    runs["backend"] = ["jax", "tensorflow", "tensorflow"]
    assert tables.repetitions(runs).nunique() == 3


# Devices change the result by rounding only.
CHANGES = ({"seed": 2, "colorizer": "a.h5"}, {"devices": 2}, {"width": 0.5})


def test_missing_parts_of_a_spread_are_left_out():
    assert tables.spread(13.0, math.sqrt(13), 3) == "13.00 ± 3.61 (3)"
    assert tables.spread(13.0, float("nan"), 1) == "13.00 (1)"
    assert tables.spread(13.0, None) == "13.00"
    assert tables.spread(float("nan"), None, 2) == "–"


def test_a_row_has_everything_that_its_numbers_depend_on(finished):
    row = tables.rows([finished.run_dir]).iloc[0]
    folder = pathlib.Path(finished.data_dir).name
    assert (row["dataset"], row["method"], row["seed"]) == (folder, "color_s4l", 1)
    assert (row["labels"], row["unlabeled"], row["test_images"]) == (16, 24, 32)
    assert row["best_note"] == "selected on test"
    assert "keras " in row["versions"]
    assert "cores" in row["hardware"]
    assert "1 epochs on 40 images of digits" in row["colorizer"]
    for name in ("error", "date", "backend", "images_per_second", "seconds"):
        assert row[name] == row[name], name  # not missing
    values = json.loads(row["settings"])
    assert "/" not in row["settings"]
    assert (values["width"], values["labeled_batch"]) == (0.03, 56)
    assert values["hflip"]
    assert not settings.FREE & values.keys()


def test_a_teachers_error_is_a_column_of_its_own(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished.run_dir, folder)
    path = folder / "result.json"
    result = json.loads(path.read_text())
    teacher = {"error": 12.5, "error_augmented": 11.0}
    path.write_text(json.dumps({**result, "further": {"teacher": teacher}}))
    found = tables.rows([finished.run_dir, folder])["averaged_error"]
    assert [math.isnan(found[0]), found[1]] == [True, 12.5]
    with pytest.raises(InputError, match="is not a run directory"):
        tables.rows([tmp_path])


@pytest.fixture
def recipe(finished, tmp_path):
    """A function of a seed and each stage's unlabelled images: a recipe's directory."""

    def make(seed, **unlabeled):
        run, folder = pathlib.Path(finished.run_dir), tmp_path / f"seed{seed}"
        config = json.loads((run / "config.json").read_text())
        config["settings"]["seed"] = seed
        result = json.loads((run / "result.json").read_text())
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


def test_seeds_of_a_recipe_are_repetitions_for_any_images_of_its_stages(recipe):
    # Labelled images that were not among the 24 are added: 9 for one seed, 11 for
    # the other.
    folders = [recipe(1, first=24, last=33), recipe(2, first=24, last=35)]
    table = tables.rows(folders, stages=True)
    assert table["stage"].fillna("").tolist() == ["", "first", "last"] * 2
    assert table["unlabeled"].tolist() == [24] * 6
    found = tables.summary(table)
    assert found["seeds"].tolist() == ["1,2"] * 3
    assert tables.rows(folders)["stage"].tolist() == [None] * 2
    assert tables.summary(tables.rows(folders))["seeds"].tolist() == ["1,2"]


@pytest.mark.parametrize(
    ("errors", "labels", "expected"),
    [
        # The probe has a mean of 20; supervised 25 and 35, fast 22.
        ([19.0, 21.0, 25.0, 35.0, 22.0], [100] * 5, ["(fast) has 22.00 %"]),
        ([22.0, 22.0, 25.0, 35.0, 22.0], [100] * 5, []),
        ([19.0, 21.0, 25.0, 15.0, 22.0], [100] * 5, []),
        # Nothing to compare with.
        ([19.0, 21.0, 25.0, 35.0, 22.0], [100, 100, 50, 50, 50], []),
    ],
)
def test_a_probe_that_wins_is_named(errors, labels, expected):
    names = ["probe", "probe", "supervised", "supervised", "fast"]
    runs = table(method=names, error=errors, dataset=["cifar10"] * 5)
    found = tables.won_by_probe(runs.assign(labels=labels))
    assert len(found) == len(expected)
    for sentence, end in zip(found, expected, strict=True):
        assert "wins on cifar10 with 100 labels" in sentence
        assert "20.00 % error" in sentence
        assert end in sentence
