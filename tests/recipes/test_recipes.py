"""Recipes end to end on tiny images: what stages hand on, and going on after a kill."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import color_s4l
from color_s4l import evaluate
from color_s4l.artifacts import tables
from color_s4l.errors import InputError
from color_s4l.recipes import flags, procedure
from color_s4l.report import page, records


@pytest.fixture(scope="module")
def probe(base, tmp_path_factory):
    """`rotnet_linear`: its run and its result."""
    run_dir = tmp_path_factory.mktemp("probe") / "run"
    run = dataclasses.replace(base, recipe="rotnet_linear", run_dir=str(run_dir))
    return run, procedure.fit(run)


def test_a_probe_leaves_the_trunk_and_its_statistics_bit_equal(probe, arrays):
    run, _ = probe
    stages = [arrays(f"{run.run_dir}/{name}") for name in ("pretraining", "linear")]
    for before, after in zip(*stages, strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_whole_folder_is_that_of_a_run(probe, small, capsys):
    run, result = probe
    assert [stage["stage"] for stage in result["stages"]] == ["pretraining", "linear"]
    assert result["stages"][0]["error"] is None
    assert result["error"] == result["stages"][1]["error"]
    classifier = color_s4l.load(run.run_dir)
    assert classifier.classes == small.classes
    error = classifier.error_rate(small.test_images, small.test_labels)
    assert error == pytest.approx(result["error"])
    assert evaluate.main([f"--run={run.run_dir}"]) == 0
    assert f"error      {result['error']:.2f} %" in capsys.readouterr().out
    (record,) = records.read([run.run_dir])
    assert "<title>rotnet_linear on folder, 16 labels" in page.render([record])
    row = tables.rows([run.run_dir]).iloc[0]
    assert (row["method"], row["labels"]) == ("rotnet_linear", 16)
    whole = tables.rows([run.run_dir], stages=True)
    assert whole["method"].tolist() == ["rotnet_linear", "rotnet", "supervised"]
    assert whole["stage"].tolist()[1:] == ["pretraining", "linear"]


def test_each_stage_says_what_it_was(probe):
    run, _ = probe
    for name, method in (("pretraining", "rotnet"), ("linear", "supervised")):
        folder = pathlib.Path(run.run_dir, name)
        config = json.loads((folder / "config.json").read_text())
        assert config["run"]["method"] == method
        assert f"--method={method}" in config["command"]
        assert (folder / "log.csv").is_file()
    assert config["run"]["freeze_blocks"] == -1
    splits = [
        pathlib.Path(run.run_dir, name, "split.csv").read_text()
        for name in ("pretraining", "linear", "")
    ]
    assert splits[0] == splits[1] == splits[2]


def test_a_complete_recipe_is_not_run_again(probe, capsys):
    run, result = probe
    assert procedure.fit(dataclasses.replace(run, resume=True)) == result
    assert "holds the result already" in capsys.readouterr().out


def begun(whole, tmp_path):
    """A copy of a recipe's folder that has its first stage only."""
    folder = shutil.copytree(whole.run_dir, tmp_path / "run")
    shutil.rmtree(folder / "linear")
    (folder / "result.json").unlink()
    return dataclasses.replace(whole, run_dir=str(folder), resume=True)


def test_a_recipe_does_not_go_on_with_other_images(probe, small, tmp_path):
    run = begun(probe[0], tmp_path)
    data_dir = pathlib.Path(shutil.copytree(run.data_dir, tmp_path / "images"))
    for number, path in enumerate(sorted(data_dir.glob("train/*/*.png"))):
        Image.fromarray(255 - small.images[number]).save(path)
    # Images may have moved, and are known by their content.
    run = dataclasses.replace(run, data_dir=str(data_dir))
    with pytest.raises(
        InputError, match=r"pretraining/split.csv was saved with other images"
    ):
        procedure.fit(run)
    assert not pathlib.Path(run.run_dir, "linear").exists()


def test_a_recipe_does_not_go_on_with_another_file(probe, finished, base, tmp_path):
    run = dataclasses.replace(
        begun(probe[0], tmp_path), init_from=str(tmp_path / "first")
    )
    shutil.copytree(finished.run_dir, run.init_from)
    config = pathlib.Path(run.run_dir, "config.json")
    content = json.loads(config.read_text())
    assert content["digests"] == dict.fromkeys(
        ("colorizer", "init_from", "pseudo_labels")
    )
    content["run"]["init_from"] = run.init_from
    content["digests"]["init_from"] = "another"
    config.write_text(json.dumps(content))
    with pytest.raises(InputError, match="holds something else than at the beginning"):
        procedure.fit(run)


def test_retraining_has_a_label_for_everything_and_keeps_the_true_ones(
    base, small, tmp_path, arrays
):
    run = dataclasses.replace(
        base, recipe="pseudo_label_retrain", run_dir=str(tmp_path / "run")
    )
    result = procedure.fit(run)
    assert [s["stage"] for s in result["stages"]] == ["labels", "retraining"]
    first = tmp_path / "run" / "labels"
    split = pd.read_csv(first / "split.csv")
    labeled = split["index"][split["labeled"] == 1]
    with np.load(first / "pseudo_labels.npz") as stored:
        index, probabilities = stored["index"], stored["probabilities"]
    # 24 unlabelled images, and all 16 labelled ones with their labels.
    assert set(index) == set(split["index"])
    assert result["unlabeled"] == len(index)
    # In a table it is what was asked for: how many are added is chance.
    assert tables.rows([run.run_dir], stages=True)["unlabeled"].tolist() == [24] * 3
    known = np.isin(index, labeled)
    np.testing.assert_array_equal(
        probabilities[known], np.eye(4)[small.labels[index[known]]]
    )
    assert known.sum() == 16
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    # The second network begins from nothing, with the first one's initial weights.
    assert not np.array_equal(arrays(first)[0], arrays(tmp_path / "run")[0])


def test_alternating_hands_on_labels_one_way_and_weights_the_other(
    alternating, arrays, names
):
    result = json.loads((alternating / "result.json").read_text())
    assert [stage["stage"] for stage in result["stages"]] == names
    prepared = arrays(alternating / "preparation")
    one, two = (arrays(alternating / name) for name in names[1:3])
    # Phase one changes no weight of the trunk.
    assert all(np.array_equal(a, b) for a, b in zip(prepared, one, strict=True))
    # Phase two: block 1 (3 convolutions and normalisations: 18) stays as prepared.
    stayed = [np.array_equal(a, b) for a, b in zip(prepared, two, strict=True)]
    assert stayed == [True] * 18 + [False] * (len(two) - 18)
    # The next phase one is on the trunk of phase two.
    then = arrays(alternating / names[3])
    assert all(np.array_equal(a, b) for a, b in zip(two, then, strict=True))


def test_phase_two_begins_from_the_prepared_weights(alternating, names):
    configs = [
        json.loads((alternating / name / "config.json").read_text()) for name in names
    ]
    digests = [config["digests"]["init_from"] for config in configs]
    # Preparation; then phase one and phase two of both cycles.
    assert digests[0] is None
    assert digests[1] == digests[2] == digests[4] != digests[3]
    heads = [config["run"]["init_heads"] for config in configs]
    assert heads == [False, False, False, True, False]


def test_two_thirds_of_the_images_in_the_first_cycle_all_in_the_last(
    alternating, names
):
    unlabeled = [
        set(table.loc[table["unlabeled"] == 1, "index"])
        for table in (pd.read_csv(alternating / name / "split.csv") for name in names)
    ]
    assert len(unlabeled[0]) == 24
    assert len(unlabeled[2]) == 16
    assert unlabeled[2] < unlabeled[0] == unlabeled[4]
    assert tables.rows([alternating], stages=True)["unlabeled"].tolist() == [24] * 6
    log = pd.read_csv(alternating / names[2] / "log.csv")
    # Nothing to compare with in the first epoch; then there is.
    assert log["temporal_loss"].iloc[0] == 0
    assert log["temporal_loss"].iloc[1] > 0


def test_refine_takes_no_other_labels_than_its_run_has_learned(
    finished, base, tmp_path
):
    folder = tmp_path / "run"
    folder.mkdir()
    for part in ("config.json", "result.json"):
        shutil.copy(pathlib.Path(finished.run_dir, part), folder)
    run = dataclasses.replace(base, recipe="refine", init_from=str(folder))
    flags.check(run)
    for change in ({"labels": 8}, {"seed": 2}):
        (name,) = change
        with pytest.raises(InputError, match=f"learned other labels \\(--{name}: "):
            flags.check(dataclasses.replace(run, **change))
    apart = {"labels": None, "unlabeled": None, "seed": 2}
    flags.check(dataclasses.replace(run, split_file=str(folder / "split.csv"), **apart))
    # What learned no classes knows no labels.
    path = folder / "result.json"
    result = {**json.loads(path.read_text()), "error": None}
    path.write_text(json.dumps(result))
    flags.check(dataclasses.replace(run, seed=2))


def test_refine_begins_from_a_run_with_its_classes(
    finished, base, tmp_path, arrays, names
):
    run = dataclasses.replace(
        base,
        recipe="refine",
        init_from=finished.run_dir,
        init_heads=True,
        set=("refine.cycles=1", "refine.frozen=1"),
        run_dir=str(tmp_path / "run"),
    )
    result = procedure.fit(run)
    assert [s["stage"] for s in result["stages"]] == names[1:3]
    one = pathlib.Path(run.run_dir, names[1])
    for a, b in zip(arrays(finished.run_dir), arrays(one), strict=True):
        np.testing.assert_array_equal(a, b)
    config = json.loads(pathlib.Path(run.run_dir, names[2], "config.json").read_text())
    assert config["run"]["set"] == ["relabeled.hard=false"]
    assert config["run"]["init_heads"]
    with np.load(one / "pseudo_labels.npz") as stored:
        assert stored["probabilities"].max(axis=-1).min() < 1
