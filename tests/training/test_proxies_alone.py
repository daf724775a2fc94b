"""A run that learns no classes: what it measures, leaves and is good for."""

import dataclasses
import pathlib

import keras
import numpy as np
import pandas as pd
import pytest

import color_s4l
from color_s4l import evaluate, train
from color_s4l.artifacts import tables
from color_s4l.training.session import fit


@pytest.fixture(scope="module")
def rotnet(tiny, tmp_path_factory):
    """Rotations alone, two epochs."""
    run = dataclasses.replace(
        tiny, method="rotnet", run_dir=str(tmp_path_factory.mktemp("rotnet") / "run")
    )
    return run, fit(run)


def test_its_error_is_that_of_the_proxy_task(rotnet):
    run, result = rotnet
    log = pd.read_csv(f"{run.run_dir}/log.csv")
    assert {"proxy_loss", "proxy_error", "test_proxy_error"} <= set(log)
    assert not {"class_loss", "test_error", "train_error"} & set(log)
    assert result["error"] is result["error_augmented"] is None
    assert result["proxy_error"] == log["test_proxy_error"].iloc[-1]
    # 32 test images, 4 rotations: multiples of 100 / 128.
    assert (result["proxy_error"] * 1.28) % 1 == pytest.approx(0, abs=1e-6)
    # 4 views of 8 images a step; no labelled ones go through the network.
    assert "best" not in result


def test_it_leaves_an_encoder(rotnet, small):
    run, _ = rotnet
    model = keras.models.load_model(f"{run.run_dir}/model.keras")
    features = model.predict(small.test_images, verbose=0)
    assert features.shape == (32, model.get_layer("trunk").output_shape[-1])
    assert np.ptp(features, axis=0).max() > 0
    with np.load(f"{run.run_dir}/heads.npz") as heads:
        shapes = {name: heads[name].shape for name in heads.files}
    assert shapes == {"proxy/0": (features.shape[1], 4), "proxy/1": (4,)}


def test_nothing_takes_it_for_a_classifier(rotnet, refused):
    run, _ = rotnet
    assert "no classes" in refused(evaluate.main([f"--run={run.run_dir}"]))
    with pytest.raises(color_s4l.InputError, match="no classes: it is a beginning"):
        color_s4l.load(run.run_dir)
    assert pd.isna(tables.rows([run.run_dir])["error"]).all()


def test_heads_of_both_runs_go_along_where_wanted(rotnet, tiny, tmp_path):
    first, _ = rotnet
    run = dataclasses.replace(
        tiny,
        method="supervised+rotnet",
        init_from=first.run_dir,
        init_heads=True,
        learning_rate=1e-12,
        weight_decay=0.0,
        epochs=1,
        run_dir=str(tmp_path / "run"),
    )
    fit(run)
    before, after = (
        dict(np.load(pathlib.Path(r.run_dir, "heads.npz"))) for r in (first, run)
    )
    assert set(after) == {"class/0", "class/1", "proxy/0", "proxy/1"}
    np.testing.assert_allclose(after["proxy/0"], before["proxy/0"], atol=1e-9)


@pytest.mark.parametrize(
    ("flags_of", "text"),
    [
        (["--method=sesemi"], "knows 4 classes of 'proxy', not 6"),
        (["--init_from={run}/model.h5", "--method=sesemi"], "knows 4 classes of 'pr"),
        (
            ["--method=supervised", "--pseudo_labels=no.npz"],
            "--pseudo_labels=no.npz: --method=supervised reads none",
        ),
        (["--stage=linear.epochs=2"], "--stage=linear.epochs=2: only a --recipe has"),
        (["--method=relabeled"], "name their file by --pseudo_labels"),
        (["--method=relabeled", "--pseudo_labels=no.npz"], "Cannot read no.npz"),
        (
            ["--method=relabeled", "--pseudo_labels={run}/heads.npz"],
            "has no pseudo-labels",
        ),
    ],
)
def test_train_refuses(flags_of, text, rotnet, tiny, flags, tmp_path, refused):
    run = dataclasses.replace(
        tiny,
        init_from=rotnet[0].run_dir,
        init_heads=True,
        run_dir=str(tmp_path / "run"),
    )
    words = [word.format(run=rotnet[0].run_dir) for word in flags_of]
    assert text in refused(train.main([*flags(run), *words]))
    assert not (tmp_path / "run").exists()
