"""The consistency methods find the two moons where the supervised one does not."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

from benchmarks import points, two_moons

SEEDS = (2, 4)


@pytest.fixture(scope="module")
def errors():
    """A function: method and seed to the test error, the teacher's where it has one."""

    def solved(method, seed):
        _, found, _ = two_moons.solve(method, seed, epochs=300, noise=0.1)
        keras.backend.clear_session()
        return list(found.values())[-1]

    return solved


@pytest.fixture(scope="module")
def supervised(errors):
    return {seed: errors("supervised", seed) for seed in SEEDS}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("method", ["pi_model", "mean_teacher", "vat"])
def test_finds_the_moons(method, seed, errors, supervised):
    assert supervised[seed] > 8
    assert errors(method, seed) <= 5


def test_the_problem_is_a_pure_function_of_its_seed():
    one, again, other = (points.draw_moons(seed) for seed in (1, 1, 2))
    assert (one.points == again.points).all()
    assert (one.points != other.points).any()
    assert sorted(one.labels[one.split.labeled]) == [0, 0, 0, 1, 1, 1]
    assert len(np.unique(one.split.labeled)) == 6


def test_writes_a_table_and_a_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(two_moons, "METHODS", {"supervised": ()})
    assert two_moons.main(["--methods=sesemi", f"--output={tmp_path}"]) == 2
    arguments = ["--methods=supervised", "--seeds=1,2", "--epochs=1"]
    assert two_moons.main([*arguments, f"--output={tmp_path}"]) == 0
    table = pd.read_csv(tmp_path / "two_moons.csv")
    assert table["seed"].tolist() == [1, 2]
    assert table["error"].between(0, 100).all()
    assert json.loads(table["settings"][1])["seed"] == 2
    assert (tmp_path / "two_moons.png").read_bytes().startswith(b"\x89PNG")
