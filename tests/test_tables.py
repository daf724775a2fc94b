"""Rows of run folders; mean and standard deviation by hand."""

import math

import pandas as pd
import pytest

from color_s4l import tables
from color_s4l.errors import InputError


def table(**columns):
    settings = {
        "dataset": "digits",
        "labels": 100,
        "unlabeled": 1397,
        "network": "convnet",
        "width": 1.0,
        "epochs": 6,
        "batch_size": 32,
    }
    return pd.DataFrame({**columns}).assign(**settings)


def test_mean_and_sample_deviation_over_the_seeds():
    # 10, 12, 17: mean 13, squares 9 + 1 + 16 = 26, deviation sqrt(26 / 2) = 3.61.
    runs = table(
        method=["sesemi", "sesemi", "supervised", "sesemi"],
        error=[10.0, 12.0, 40.0, 17.0],
        error_augmented=[9.0, 9.0, 39.0, 9.0],
    )
    found = tables.summary(runs)
    assert found["method"].tolist() == ["sesemi", "supervised"]
    assert found["n"].tolist() == [3, 1]
    assert found["error"].tolist() == [f"13.00 ± {math.sqrt(13):.2f}", "40.00"]
    assert found["error_augmented"].tolist() == ["9.00 ± 0.00", "39.00"]


def test_text_leaves_out_what_all_rows_share():
    runs = table(method=["a", "b"], error=[1.0, 2.0], error_augmented=[1.0, 2.0])
    head, *lines = tables.text(tables.summary(runs)).splitlines()
    assert head.split() == ["method", "n", "error", "error_augmented"]
    assert lines[0].split() == ["a", "1", "1.00", "1.00"]


def test_a_row_carries_the_runs_origin(finished):
    row = tables.rows([finished.run_dir]).iloc[0]
    assert (row["dataset"], row["method"], row["seed"]) == ("folder", "color_s4l", 1)
    assert (row["labels"], row["unlabeled"], row["test_images"]) == (16, 24, 32)
    assert row["best_note"] == "selected on test"
    assert "keras " in row["versions"]
    assert "cores" in row["hardware"]
    assert "1 epochs on 40 images of digits" in row["colorizer"]
    for name in ("error", "command", "date", "backend", "images_per_second"):
        assert row[name] == row[name], name  # not missing


def test_refuses_a_folder_without_a_result(tmp_path, finished):
    with pytest.raises(InputError, match="is no run's folder"):
        tables.rows([tmp_path])
