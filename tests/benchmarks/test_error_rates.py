"""The grid of runs, and the table that it writes."""

import pandas as pd
import pytest

from benchmarks import error_rates
from benchmarks.error_rates import ErrorRates, grid
from color_s4l.errors import InputError


def test_grid_is_every_combination_with_the_seeds_innermost():
    flags = ErrorRates(labels="100,all", methods="supervised,sesemi", seeds="1,5")
    runs = list(grid(flags))
    found = [(run.labels, run.method, run.seed) for run in runs]
    assert found[:3] == [
        (100, "supervised", 1),
        (100, "supervised", 5),
        (100, "sesemi", 1),
    ]
    assert len(found) == len(set(found)) == 8
    assert found[-1] == (None, "sesemi", 5)
    assert len({run.run_dir for run in runs}) == 8
    assert all(run.resume for run in runs)


def test_every_shared_flag_reaches_the_runs():
    flags = ErrorRates(width=0.5, epochs=3, learning_rate=0.1, dataset="cifar10")
    run = next(grid(flags))
    assert (run.width, run.epochs, run.learning_rate) == (0.5, 3, 0.1)
    assert run.dataset == "cifar10"


@pytest.mark.parametrize("changes", [{"seeds": "1,two"}, {"labels": "many"}])
def test_refuses_what_is_no_number(changes):
    with pytest.raises(InputError, match="expected numbers, comma-separated"):
        list(grid(ErrorRates(**changes)))


def test_writes_one_row_per_run_and_runs_none_twice(
    tmp_path, small_dir, monkeypatch, capsys
):
    words = [
        "--dataset=folder",
        f"--data_dir={small_dir}",
        "--image_size=16",
        "--labels=16",
        "--methods=supervised",
        "--seeds=3",
        "--width=0.03",
        "--epochs=1",
        "--batch_size=16",
        "--verbosity=0",
        f"--runs={tmp_path / 'runs'}",
        f"--output={tmp_path / 'table.csv'}",
    ]
    assert error_rates.main(words) == 0
    first = pd.read_csv(tmp_path / "table.csv")
    assert first["seed"].tolist() == [3]
    assert set(first["method"]) == {"supervised"}
    assert f"{first['error'][0]:.2f}" in capsys.readouterr().out
    assert error_rates.main(words) == 0
    assert capsys.readouterr().out.count("holds the result already") == 1
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), first)
