"""The whole way on real images, by the commands that a user types."""

import json
import pathlib
import re
import subprocess
import sys

import pandas as pd
import pytest

TRAIN = ["-m", "color_s4l.train", "--dataset=cifar100", "--verbosity=0"]


@pytest.fixture(scope="module")
def images(shared, tmp_path_factory):
    """A TFDS directory: 20 training and 5 test images of each class of CIFAR-100."""
    folder = tmp_path_factory.mktemp("cifar100")
    script = shared / "tools" / "prepare_data.py"
    limits = ["--train-per-class", "20", "--test-per-class", "5"]
    subprocess.run(
        [sys.executable, script, "tfds", "cifar100", folder, *limits],
        check=True,
        capture_output=True,
    )
    return folder


def succeeded(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def colorizer(python, images, tmp_path_factory):
    path = tmp_path_factory.mktemp("colorizer") / "cifar100_1.h5"
    words = ["--dataset=cifar100", f"--data_dir={images}", "--epochs=1"]
    words += ["--width=0.125", "--verbosity=0", f"--output={path}"]
    succeeded(python("-m", "colorization.train", *words))
    return path


@pytest.fixture(scope="module")
def trained(python, images, colorizer, tmp_path_factory):
    """The run folder and what the command printed."""
    run_dir = tmp_path_factory.mktemp("runs") / "first"
    words = [
        f"--data_dir={images}",
        f"--colorizer={colorizer}",
        "--labels=500",
        "--unlabeled=640",
        "--epochs=1",
        "--width=0.05",
        f"--run_dir={run_dir}",
    ]
    return run_dir, succeeded(python(*TRAIN, *words))


def test_the_colorizer_knows_what_it_was_trained_on(colorizer):
    from colorization.colorizer import Colorizer

    origin = Colorizer.load(colorizer).origin
    assert (origin.dataset, origin.images, origin.epochs) == ("cifar100", 2000, 1)


def test_the_run_announces_trains_and_leaves_everything(trained):
    run_dir, output = trained
    assert "100 classes: 2,000 to train on, 500 to test on" in output
    assert "500 labelled, 640 unlabelled" in output
    for name in ("model.keras", "model.h5", "split.csv", "pictures/views.png"):
        assert (run_dir / name).stat().st_size > 0, name
    log = pd.read_csv(run_dir / "log.csv")
    assert log["epoch"].tolist() == [1]
    # ln 7 = 1.95: what an untrained network pays for the seven views.
    assert 0.2 < log["proxy_loss"].iloc[0] < 3
    split = pd.read_csv(run_dir / "split.csv")
    assert split[split.labeled == 1]["label"].value_counts().tolist() == [5] * 100
    config = json.loads((run_dir / "config.json").read_text())
    assert config["resolved"] == {"hflip": True, "zca": True}
    assert "python -m color_s4l.train --dataset=cifar100" in config["command"]


def test_evaluate_prints_the_error_of_the_result(trained, images, python):
    run_dir, output = trained
    result = json.loads((run_dir / "result.json").read_text())
    done = python("-m", "color_s4l.evaluate", f"--run={run_dir}")
    text = succeeded(done)
    found = re.search(r"^error +([0-9.]+) %$", text, re.MULTILINE)
    assert float(found[1]) == pytest.approx(result["error"], abs=0.005)
    assert "500 test images of cifar100" in text
    assert f"{result['error']:.2f} % after the last epoch" in output
    # 500 images: whole steps of 0.2 %.
    assert result["error"] * 5 == pytest.approx(round(result["error"] * 5))


def test_the_split_of_an_earlier_run_is_used_again(trained, images, python, tmp_path):
    run_dir, _ = trained
    second = tmp_path / "second"
    words = [
        f"--data_dir={images}",
        f"--split_file={run_dir}/split.csv",
        "--method=supervised",
        "--seed=2",
        "--epochs=1",
        "--width=0.03",
        "--nozca",
        "--jit_compile=false",
        f"--run_dir={second}",
    ]
    succeeded(python(*TRAIN, *words))
    assert (second / "split.csv").read_bytes() == (
        pathlib.Path(run_dir) / "split.csv"
    ).read_bytes()
    result = json.loads((second / "result.json").read_text())
    assert (result["labels"], result["unlabeled"]) == (500, 640)
