"""Recipes on tiny images: their stages, their results, and resuming them."""

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
from color_s4l.recipes import procedure
from color_s4l.registry import RECIPES
from color_s4l.report import __main__ as report
from color_s4l.training import callbacks, session

pytestmark = pytest.mark.usefixtures("untraced")

CYCLES = [f"cycle_{n}_phase_{phase}" for n in (1, 2) for phase in ("one", "two")]
NAMES = ["preparation", *CYCLES]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_its_stages(name, trained, content, arrays):
    folder = trained(name)
    result = content(folder)
    run = color_s4l.settings.from_json(content(folder, "config.json")["run"])
    stages = procedure.stages_of(run, folder)
    names = [stage.name for stage, _ in stages]
    assert [one["stage"] for one in result["stages"]] == names
    assert result["error"] == result["stages"][-1]["error"]
    assert 0 <= result["error"] <= 100
    assert result["run_dir"] == str(folder)
    assert result["seconds"] == sum(one["seconds"] for one in result["stages"])
    last = folder / names[-1]
    for path in ("model.keras", *(f"pictures/{p.name}" for p in last.glob("p*/*"))):
        assert (folder / path).read_bytes() == (last / path).read_bytes()
    for stage, stage_run in stages:
        stored = content(folder / stage.name, "config.json")
        assert stored["run"]["method"] == stage_run.method
        log = pd.read_csv(folder / stage.name / "log.csv")
        if "loss" in log:  # a probe has none
            assert np.isfinite(log["loss"]).all()
        if stage_run.init_from:
            assert stored["digests"]["init_from"]
    # A second stage starts from the first one's weights, or from random ones.
    probed = stages[1][1].method == "probe"
    first, second = arrays(folder / names[0], probed), arrays(folder / names[1])
    same = [np.array_equal(a, b) for a, b in zip(first, second, strict=True)]
    if stages[1][1].freeze_blocks == -1:
        assert all(same)  # with the batch statistics
    elif not stages[1][1].freeze_blocks:
        assert not any(same[::6])  # the kernels


def test_a_recipe_directory_is_a_run_directory(
    trained, content, small, tmp_path, capsys
):
    folder = trained("rotnet_linear")
    result = content(folder)
    assert result["stages"][0]["error"] is None
    classifier = color_s4l.load(folder)
    assert classifier.classes == small.classes
    error = classifier.error_rate(small.test_images, small.test_labels)
    assert error == pytest.approx(result["error"])
    assert evaluate.main([f"--run={folder}"]) == 0
    assert f"error      {result['error']:.2f} %" in capsys.readouterr().out
    row = tables.rows([folder]).iloc[0]
    assert (row["method"], row["labels"]) == ("rotnet_linear", 16)
    whole = tables.rows([folder], stages=True)
    assert whole["method"].tolist() == ["rotnet_linear", "rotnet", "probe"]
    assert whole["stage"].tolist()[1:] == ["pretraining", "linear"]
    texts = [(folder / n / "split.csv").read_text() for n in ("pretraining", "linear")]
    assert texts[0] == texts[1] == (folder / "split.csv").read_text()
    assert report.main([str(folder), f"--output={tmp_path / 'page.html'}"]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    images = pathlib.Path(content(folder, "config.json")["run"]["data_dir"]).name
    assert f"rotnet_linear on {images}, 16 labels" in page
    for text in ("pretraining (no classes)", f"linear {result['error']:.2f} %"):
        assert text in page


def test_a_complete_recipe_is_not_run_again(trained, content, recipe_run, caplog):
    caplog.set_level("INFO", "color_s4l")
    folder = trained("rotnet_linear")
    run = dataclasses.replace(recipe_run("rotnet_linear"), resume=True)
    assert procedure.fit(run) == content(folder)
    assert "already has its result" in caplog.text


def test_a_resumed_recipe_has_the_same_images(trained, recipe_run, small, tmp_path):
    folder = shutil.copytree(trained("rotnet_linear"), tmp_path / "run")
    shutil.rmtree(folder / "linear")
    (folder / "result.json").unlink()
    run = recipe_run("rotnet_linear")
    data_dir = pathlib.Path(shutil.copytree(run.data_dir, tmp_path / "images"))
    for number, path in enumerate(sorted(data_dir.glob("train/*/*.png"))):
        Image.fromarray(255 - small.images[number]).save(path)
    # Images may be moved: they are recognised by their content.
    changes = {"run_dir": str(folder), "resume": True, "data_dir": str(data_dir)}
    run = dataclasses.replace(run, **changes)
    with pytest.raises(InputError, match=r"pretraining/split\.csv .*other images"):
        procedure.fit(run)
    assert not pathlib.Path(run.run_dir, "linear").exists()


def test_retraining_has_labels_for_all_images_and_keeps_the_true_ones(
    trained, content, small, arrays
):
    folder = trained("pseudo_label_retrain")
    first, result = folder / "labels", content(folder)
    split = pd.read_csv(first / "split.csv")
    labeled = split["index"][split["labeled"] == 1]
    with np.load(first / "pseudo_labels.npz") as stored:
        index, probabilities = stored["index"], stored["probabilities"]
    # 24 unlabelled images, and all 16 labelled ones with their labels.
    assert set(index) == set(split["index"])
    assert result["unlabeled"] == len(index)
    # The table has the number of the first stage: how many are added is chance.
    assert tables.rows([folder], stages=True)["unlabeled"].tolist() == [24] * 3
    known = np.isin(index, labeled)
    truth = np.eye(4)[small.labels[index[known]]]
    np.testing.assert_array_equal(probabilities[known], truth)
    assert known.sum() == 16
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


class Interrupted(callbacks.Checkpoints):
    """Stops inside the second stage, after its checkpoint."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if "retraining" in str(self.folder):
            raise KeyboardInterrupt


def _before_the_labels(*arguments, train=session.train, **options):
    """Stops between the stages, before the labels of the first one are written."""
    train(*arguments, **options)
    raise KeyboardInterrupt


def _before_the_result(*_):
    """Stops when all stages are complete."""
    raise KeyboardInterrupt


MOMENTS = (
    (session, "train", _before_the_labels),
    (callbacks, "Checkpoints", Interrupted),
    (procedure, "_copy", _before_the_result),
)


def test_a_stopped_recipe_has_the_result_of_an_uninterrupted_one(
    trained, content, recipe_run, arrays, tmp_path
):
    expected = trained("pseudo_label_retrain")
    folder = tmp_path / "run"
    run = recipe_run("pseudo_label_retrain")
    run = dataclasses.replace(run, run_dir=str(folder))
    for place, name, replacement in MOMENTS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(place, name, replacement)
            with pytest.raises(KeyboardInterrupt):
                procedure.fit(run)
        assert not (folder / "result.json").exists()
        run = dataclasses.replace(run, resume=True)
    procedure.fit(run)
    for name in ("", "labels", "retraining"):
        pairs = zip(arrays(folder / name), arrays(expected / name), strict=True)
        for ours, others in pairs:
            np.testing.assert_allclose(ours, others, rtol=1e-5, atol=1e-6)
    ours, others = (
        dict(np.load(path / "labels" / "pseudo_labels.npz"))
        for path in (folder, expected)
    )
    np.testing.assert_array_equal(ours["index"], others["index"])
    np.testing.assert_allclose(
        ours["probabilities"], others["probabilities"], atol=1e-4
    )
    ours, others = (content(path)["stages"] for path in (folder, expected))
    assert [s["error"] for s in ours] == [s["error"] for s in others]
    assert not list(folder.rglob(".unfinished-*"))


def test_alternating_passes_labels_one_way_and_weights_the_other(
    trained, content, arrays
):
    folder = trained("alternating")
    assert [stage["stage"] for stage in content(folder)["stages"]] == NAMES
    prepared = arrays(folder / "preparation")
    one, two = (arrays(folder / name) for name in NAMES[1:3])
    # Phase one changes no weight of the trunk.
    assert all(np.array_equal(a, b) for a, b in zip(prepared, one, strict=True))
    # Phase two: block 1 (3 convolutions and normalisations: 18) stays as prepared.
    stayed = [np.array_equal(a, b) for a, b in zip(prepared, two, strict=True)]
    assert stayed == [True] * 18 + [False] * (len(two) - 18)
    # The next phase one uses the trunk of phase two.
    then = arrays(folder / NAMES[3])
    assert all(np.array_equal(a, b) for a, b in zip(two, then, strict=True))
    # Phase two starts from the prepared weights in both cycles.
    configs = [content(folder / name, "config.json") for name in NAMES]
    digests = [config["digests"]["init_from"] for config in configs]
    assert digests[0] is None
    assert digests[1] == digests[2] == digests[4] != digests[3]
    heads = [config["run"]["init_heads"] for config in configs]
    assert heads == [False, False, False, True, False]


def test_alternating_uses_two_thirds_of_the_images_except_in_the_last_cycle(trained):
    folder = trained("alternating")
    unlabeled = [
        set(table.loc[table["unlabeled"] == 1, "index"])
        for table in (pd.read_csv(folder / name / "split.csv") for name in NAMES)
    ]
    assert len(unlabeled[0]) == 24
    assert len(unlabeled[2]) == 16
    assert unlabeled[2] < unlabeled[0] == unlabeled[4]
    log = pd.read_csv(folder / NAMES[2] / "log.csv")
    # The first epoch has no predictions to compare with.
    assert log["temporal_loss"].iloc[0] == 0
    assert log["temporal_loss"].iloc[1] > 0


def test_refine_starts_from_a_run_with_its_classes(trained, finished, content, arrays):
    folder = trained("refine")
    assert [s["stage"] for s in content(folder)["stages"]] == NAMES[1:3]
    one = folder / NAMES[1]
    for a, b in zip(arrays(finished.run_dir), arrays(one), strict=True):
        np.testing.assert_array_equal(a, b)
    config = content(folder / NAMES[2], "config.json")
    assert config["run"]["set"] == ["relabeled.hard=false"]
    assert config["run"]["init_heads"]
    with np.load(one / "pseudo_labels.npz") as stored:
        assert stored["probabilities"].max(axis=-1).min() < 1


def test_refine_refuses_labels_of_another_run(finished, base, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for part in ("config.json", "result.json"):
        shutil.copy(pathlib.Path(finished.run_dir, part), folder)
    run = dataclasses.replace(base, recipe="refine", init_from=str(folder))
    procedure.check(run)
    for change in ({"labels": 8}, {"seed": 2}):
        (name,) = change
        with pytest.raises(InputError, match=rf"with other labels \(`{name}`: "):
            procedure.check(dataclasses.replace(run, **change))
    apart = {"labels": None, "unlabeled": None, "seed": 2}
    split_file = str(folder / "split.csv")
    procedure.check(dataclasses.replace(run, split_file=split_file, **apart))
    # A run without classes has used no labels.
    path = folder / "result.json"
    result = {**json.loads(path.read_text()), "error": None}
    path.write_text(json.dumps(result))
    procedure.check(dataclasses.replace(run, seed=2))
