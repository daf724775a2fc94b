"""`compare`: the interval by hand, the baseline, folds, and resuming."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import color_s4l
from color_s4l import data, methods
from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.errors import InputError
from color_s4l.recipes import comparison, procedure
from color_s4l.report import __main__ as report
from color_s4l.settings import DataSettings, Run, part, preset
from color_s4l.training import session

pytestmark = pytest.mark.usefixtures("untraced")


def wrong(*numbers):
    return np.array(numbers, bool)


@pytest.mark.parametrize(
    ("run", "baseline", "expected", "text"),
    [
        # Every resample has the same difference.
        ([0] * 4, [1] * 4, (100, 100, 100), "lowered the error by 100.0 points (95 %"),
        ([1] * 4, [0] * 4, (-100, -100, -100), "raised the error by 100.0 points (95"),
        (
            [1, 0, 1],
            [1, 0, 1],
            (0, 0, 0),
            "did not help measurably: the error is 66.7 %",
        ),
        # Resamples have Binomial(4, 1/4) such images: at most 0 with probability
        # 0.316, at most 2 with 0.949, at most 3 with 0.996.
        ([0, 1, 0, 1], [1, 1, 0, 1], (25, 0, 75), "is 50.0 % with them and 75.0 % wit"),
    ],
)
def test_the_interval_by_hand(run, baseline, expected, text):
    found = comparison.difference(wrong(*run), wrong(*baseline))
    ends = (found["difference"], found["low"], found["high"])
    assert ends == pytest.approx(expected)
    assert text in found["sentence"]
    assert found["error"] == pytest.approx(100 * np.mean(run))
    assert found["baseline_error"] == pytest.approx(100 * np.mean(baseline))


def test_the_interval_is_that_of_scipy():
    random = np.random.default_rng(0)
    one, other = random.random(300) < 0.3, random.random(300) < 0.4
    found = comparison.difference(one, other)
    expected = stats.bootstrap(
        (100.0 * other, 100.0 * one),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=5000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    # Multiples of 1/3.
    ends = (found["low"], found["high"])
    assert ends == pytest.approx((expected.low, expected.high), abs=0.7)
    assert "(95 % interval" in found["sentence"]


@pytest.fixture(scope="module")
def compared(base, tmp_path_factory):
    """A run with `compare` on a set with test images. Tests do not change it."""
    run = dataclasses.replace(
        base,
        method="sesemi",
        compare=True,
        set=("supervised.label_smoothing=0.1", "proxies.weight=2"),
        run_dir=str(tmp_path_factory.mktemp("compared") / "run"),
    )
    return run, procedure.fit(run)


def test_result_of_a_comparison(compared, tmp_path):
    run, result = compared
    folder = pathlib.Path(run.run_dir)
    assert json.loads((folder / "result.json").read_text()) == result
    found = result["compared"]
    other = json.loads((folder / "compared/labels_only/result.json").read_text())
    assert (found["method"], found["images"], found["folds"]) == (
        "supervised",
        32,
        None,
    )
    assert found["error"] == pytest.approx(result["error"])
    assert found["baseline_error"] == pytest.approx(other["error"])
    assert found["difference"] == pytest.approx(other["error"] - result["error"])
    assert found["low"] <= found["difference"] <= found["high"]
    page = tmp_path / "page.html"
    assert report.main([str(folder), f"--output={page}"]) == 0
    assert found["sentence"] in page.read_text()


def test_the_baseline_has_the_same_labels_steps_and_weights(compared):
    run, _ = compared
    folder = pathlib.Path(run.run_dir)
    config = json.loads((folder / "compared/labels_only/config.json").read_text())
    baseline, own = config["settings"], json.loads((folder / "config.json").read_text())
    assert baseline["set"] == ["supervised.label_smoothing=0.1"]
    assert baseline["labeled_batch"] == own["settings"]["labeled_batch"] == 8 * 6
    for name in ("network", "epochs", "batch_size", "seed", "init_from", "width"):
        assert baseline[name] == own["settings"][name]
    texts = [
        (folder / n / "split.csv").read_text() for n in (".", "compared/labels_only")
    ]
    assert texts[0] == texts[1]


def test_a_resumed_comparison_trains_the_rest_only(compared, tmp_path, monkeypatch):
    run, result = compared
    folder = shutil.copytree(run.run_dir, tmp_path / "run")
    again = dataclasses.replace(run, run_dir=str(folder), resume=True)
    trained = []
    fit = session._fit

    def counted(prepared, *others):
        trained.append(prepared.settings.method)
        return fit(prepared, *others)

    monkeypatch.setattr(session, "_fit", counted)
    assert procedure.fit(again)["compared"] == result["compared"]
    assert trained == []
    # Killed before the end of the baseline.
    (folder / "compared" / "labels_only" / "result.json").unlink()
    stored = {k: v for k, v in result.items() if k != "compared"}
    (folder / "result.json").write_text(json.dumps(stored))
    assert procedure.fit(again)["compared"] == result["compared"]
    assert trained == ["supervised"]
    # `compare` may be added to a complete run.
    plain = dataclasses.replace(again, compare=False)
    assert procedure.fit(plain)["error"] == result["error"]


@pytest.fixture
def stand_in(finished, monkeypatch):
    """A function that "trains" a run by copying the model of a finished run."""
    runs = []

    def train(run, images, callbacks=(), *, shared_process=False):
        runs.append(run)
        folder = pathlib.Path(run.run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("model.keras", "config.json", "samples.npz"):
            shutil.copy(pathlib.Path(finished.run_dir, name), folder)
        return {"test_images": len(images.test_images), "unlabeled": 24}

    return train, runs


def test_without_test_images_there_are_folds(base, small, stand_in, tmp_path):
    train, runs = stand_in
    images = dataclasses.replace(
        small, test_images=small.test_images[:0], test_labels=small.test_labels[:0]
    )
    run = dataclasses.replace(
        base, method="sesemi", compare=True, run_dir=str(tmp_path / "run")
    )
    result = comparison.compared(run, images, (), train)
    found = result["compared"]
    # Every labelled image once; the copied models agree.
    assert (found["folds"], found["images"], found["difference"]) == (3, 16, 0)
    first, *others = runs
    assert first == run
    assert [one.method for one in others] == ["sesemi", "supervised"] * 3
    assert not any(one.compare for one in others)
    whole = data.draw_split(images.labels, images.classes, 16, 24, 0, run.seed)
    held = []
    for one in others[::2]:
        split = data.read_split(one.split_file, images)
        out = np.setdiff1d(whole.labeled, split.labeled)
        assert sorted(np.bincount(images.labels[out])) in (
            [1] * 4,
            [1, 1, 1, 2],
            [1, 1, 2, 2],
        )
        assert not np.intersect1d(split.unlabeled, out).size
        assert set(out) <= set(split.validation)
        held += out.tolist()
    assert sorted(held) == whole.labeled.tolist()
    assert [one.split_file for one in others[1::2]] == [
        one.split_file for one in others[::2]
    ]


def test_folds_need_two_labels_of_each_class(base, small, stand_in, tmp_path):
    images = dataclasses.replace(
        small, test_images=small.test_images[:0], test_labels=small.test_labels[:0]
    )
    run = dataclasses.replace(
        base, method="sesemi", labels=4, compare=True, run_dir=str(tmp_path / "run")
    )
    text = "without test images needs at least 2 labelled images of each class. .*: 1"
    with pytest.raises(InputError, match=text):
        comparison.compared(run, images, (), stand_in[0])
    assert not stand_in[1]


def test_the_baseline_of_averaged_weights_is_averaged(finished):
    run = preset("fast", set=("supervised.weight=2", "freematch.decay=0.9"))
    found = comparison.labels_only(
        run, RunDirectory(pathlib.Path(finished.run_dir)), {}
    )
    assert (found.method, found.final_weights) == ("supervised+polyak", "average")
    expected = ("supervised.weight=2.0", "polyak.half_life=0.3")
    assert found.set == expected
    methods.terms_of(found.method, found.set)
    # A teacher needs the unlabelled images.
    run = Run(method="mean_teacher", final_weights="teacher")
    found = comparison.labels_only(
        run, RunDirectory(pathlib.Path(finished.run_dir)), {}
    )
    assert (found.method, found.final_weights) == ("supervised", None)


def test_the_baseline_of_a_recipe_has_the_steps_of_all_stages(rotnet_linear, base):
    run = dataclasses.replace(base, recipe="rotnet_linear", method=Run.method)
    result = json.loads((rotnet_linear / "result.json").read_text())
    found = comparison.labels_only(run, RunDirectory(rotnet_linear), result)
    # One epoch each of rotations and of the linear probe.
    assert (found.method, found.recipe, found.epochs) == ("supervised", None, 2)
    assert found.run_dir == str(rotnet_linear / "compared" / "labels_only")
    assert pd.read_csv(rotnet_linear / "linear" / "log.csv")["epoch"].max() == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"method": "supervised"}, "needs a method that uses unlabelled images. Recei"),
        ({"method": "probe"}, "needs a method that uses unlabelled images. Received:"),
        ({"method": "rotnet"}, "--compare needs a method that trains a classifier. "),
    ],
)
def test_methods_that_cannot_be_compared(changes, text, train_refuses):
    train_refuses(text, compare=True, **changes)


def test_a_stage_is_not_compared(base):
    run = dataclasses.replace(
        base, recipe="rotnet_linear", stage=("linear.compare=true",)
    )
    with pytest.raises(InputError, match="all stages share 'compare'"):
        procedure.check(run)
    whole = dataclasses.replace(base, recipe="rotnet_linear", compare=True)
    assert not any(stage.compare for stage in procedure.runs_of(whole))


def test_comparing_is_no_other_run(base):
    one = dataclasses.replace(base, compare=True)
    values = [color_s4l.settings.to_json(run) for run in (base, one)]
    first, second = (color_s4l.settings.identity(v, {}, "tensorflow") for v in values)
    assert first == second
    assert part(one, DataSettings) == part(base, DataSettings)
