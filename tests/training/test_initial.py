"""A run that begins with another's trunk, and the files that it refuses."""

import dataclasses
import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
from color_s4l.training.given import initial

from color_s4l import train
from color_s4l.training.session import fit


def trunk_of(run_dir, suffix=".keras"):
    model = keras.models.load_model(pathlib.Path(run_dir) / f"model{suffix}")
    return model.get_layer("trunk")


@pytest.fixture(scope="module")
def probe(tiny, finished, tmp_path_factory):
    """A linear probe on the trunk of `finished`."""
    run = dataclasses.replace(
        tiny,
        method="supervised",
        init_from=finished.run_dir,
        freeze_blocks=-1,
        epochs=1,
        run_dir=str(tmp_path_factory.mktemp("probe") / "run"),
    )
    return run, fit(run)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_linear_probe_leaves_the_trunk_bit_equal(probe, finished, suffix):
    run, _ = probe
    trunk, before = trunk_of(run.run_dir, suffix), trunk_of(finished.run_dir)
    for now, then in zip(trunk.get_weights(), before.get_weights(), strict=True):
        np.testing.assert_array_equal(now, then)
    # A saved model hides no frozen part from who trains it further.
    assert len(trunk.trainable_weights) == len(before.trainable_weights) > 0


def test_the_probe_has_learned_its_classes_and_counts_all_parameters(probe, finished):
    run, result = probe
    whole = json.loads(pathlib.Path(finished.run_dir, "result.json").read_text())
    # The same network without the proxy head: 4 filters x 7 + 7.
    assert whole["parameters"] - result["parameters"] == 35
    config = json.loads(pathlib.Path(run.run_dir, "config.json").read_text())
    assert config["digests"]["init_from"]


def test_partly_frozen_both_files_hold_the_same(tiny, finished, tmp_path):
    run = dataclasses.replace(
        tiny,
        method="supervised",
        init_from=f"{finished.run_dir}/model.h5",
        freeze_blocks=1,
        epochs=1,
        run_dir=str(tmp_path / "run"),
    )
    fit(run)
    first, second = (trunk_of(run.run_dir, s).get_weights() for s in (".keras", ".h5"))
    before = trunk_of(finished.run_dir).get_weights()
    stayed = [np.array_equal(a, b) for a, b in zip(first, before, strict=True)]
    # Three units of convolution and normalisation: 2 + 4 weights each.
    assert stayed == [True] * 18 + [False] * (len(stayed) - 18)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_refuses_to_go_on_from_other_weights(
    probe, tmp_path, refused, flags, monkeypatch
):
    folder = shutil.copytree(probe[0].run_dir, tmp_path / "run")
    (folder / "result.json").unlink()
    read = initial.read

    def changed(path, *, heads):
        found = read(path, heads=heads)
        return dataclasses.replace(found, trunk=(found.trunk[0] + 1, *found.trunk[1:]))

    monkeypatch.setattr(initial, "read", changed)
    run = dataclasses.replace(probe[0], run_dir=str(folder), resume=True)
    line = refused(train.main(flags(run)))
    assert f"--init_from={run.init_from} holds something else than at" in line


def test_heads_count_where_they_are_begun_with(finished, tmp_path):
    folder = shutil.copytree(finished.run_dir, tmp_path / "run")
    bare, whole = (initial.read(folder, heads=heads).digest for heads in (False, True))
    with np.load(folder / "heads.npz") as stored:
        heads = dict(stored)
    heads["class/1"] = heads["class/1"] + 1
    np.savez(folder / "heads.npz", **heads)
    assert initial.read(folder).digest == bare != whole
    assert initial.read(folder, heads=True).digest not in (bare, whole)


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--init_from= --init_heads", "--init_heads are those of a run: name it"),
        ("--init_from=no_such_run", "There is no model at no_such_run"),
        ("--init_from={colorizer}", "give --network=encoder --width=0.0625 (a color"),
        ("--width=0.06", "holds another trunk: give its --network and --width"),
        ("--network=nin", "holds another trunk"),
        ("--freeze_blocks=4", "--freeze_blocks=4: this network has 3 blocks"),
        ("--freeze_blocks=-2", "--freeze_blocks=-2: expected 0 or more, or -1"),
    ],
)
def test_train_refuses(flag, text, tiny, finished, flags, tmp_path, refused):
    run_dir = tmp_path / "run"
    run = dataclasses.replace(tiny, init_from=finished.run_dir, run_dir=str(run_dir))
    flag = flag.format(colorizer=tiny.colorizer)
    assert text in refused(train.main([*flags(run), *flag.split()]))
    assert not run_dir.exists()
