"""Every recipe, from its flags to its result, on tiny images."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from color_s4l import train
from color_s4l.recipes import RECIPES

# The others have tests of their own beside this one.
STAGES = {
    "rotnet_finetune": ["pretraining", "finetuning"],
    "exemplar_linear": ["pretraining", "linear"],
    "exemplar_finetune": ["pretraining", "finetuning"],
    "moam": ["mixed", "relabeled", "finetuned"],
}
ELSEWHERE = {"rotnet_linear", "pseudo_label_retrain", "alternating", "refine"}


@pytest.fixture(scope="module", params=STAGES)
def trained(request, base, flags, tmp_path_factory):
    """A recipe's name and its folder."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    run = dataclasses.replace(base, recipe=request.param, run_dir=str(folder))
    assert train.main(flags(run)) == 0
    return request.param, folder


def test_every_recipe_is_run():
    assert set(RECIPES) == STAGES.keys() | ELSEWHERE


def test_its_result_is_the_last_stages(trained):
    name, folder = trained
    result = json.loads((folder / "result.json").read_text())
    assert [stage["stage"] for stage in result["stages"]] == STAGES[name]
    assert result["error"] == result["stages"][-1]["error"]
    assert 0 <= result["error"] <= 100
    assert result["run_dir"] == str(folder)
    assert (folder / "model.keras").read_bytes() == (
        folder / STAGES[name][-1] / "model.keras"
    ).read_bytes()


def test_the_next_stage_begins_with_the_last_ones_weights(trained, arrays):
    name, folder = trained
    first, second = (folder / stage for stage in STAGES[name][:2])
    config = json.loads((second / "config.json").read_text())
    assert pathlib.Path(config["run"]["init_from"]).is_relative_to(first)
    same = [
        np.array_equal(a, b) for a, b in zip(arrays(first), arrays(second), strict=True)
    ]
    if "linear" in STAGES[name]:
        assert all(same)
    else:
        assert not any(same[::6])  # the kernels
    assert config["digests"]["init_from"]
