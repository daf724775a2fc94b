"""The main commands on real images: colorizer, training, evaluation."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from color_s4l import evaluate
from colorization import train as colorization_train
from colorization.colorizer import Colorizer


@pytest.fixture(scope="module")
def images(shared, tmp_path_factory):
    """A TFDS directory: 10 training and 3 test images of each class of CIFAR-100."""
    folder = tmp_path_factory.mktemp("cifar100")
    script = shared / "tools" / "prepare_data.py"
    limits = ["--train-per-class", "10", "--test-per-class", "3"]
    subprocess.run(
        [sys.executable, script, "tfds", "cifar100", folder, *limits],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def colorizer(images, tmp_path_factory):
    path = tmp_path_factory.mktemp("colorizer") / "cifar100_1.h5"
    words = ["--dataset=cifar100", f"--data_dir={images}", "--epochs=1"]
    words += ["--width=0.0625", "--verbosity=0", f"--output={path}"]
    assert colorization_train.main(words) == 0
    return path


@pytest.fixture(scope="module")
def trained(python, images, colorizer, tmp_path_factory):
    """The run directory and the output of the command, in a process of its own."""
    run_dir = tmp_path_factory.mktemp("runs") / "first"
    words = [
        "--dataset=cifar100",
        f"--data_dir={images}",
        f"--colorizer={colorizer}",
        "--labels=500",
        "--unlabeled=640",
        "--epochs=1",
        "--width=0.05",
        "--verbosity=0",
        f"--run_dir={run_dir}",
    ]
    done = python("-m", "color_s4l.train", *words)
    assert done.returncode == 0, done.stderr
    return run_dir, done.stdout


def test_the_colorizer_stores_its_origin(colorizer):
    origin = Colorizer.load(colorizer).origin
    assert (origin.dataset, origin.images, origin.epochs) == ("cifar100", 1000, 1)


def test_the_run_prints_its_plan_and_writes_its_files(trained):
    run_dir, output = trained
    assert "100 classes: 1,000 training images, 300 test images" in output
    assert "500 labelled, 640 unlabelled" in output
    for name in ("model.keras", "model.h5", "split.csv", "pictures/views.png"):
        assert (run_dir / name).stat().st_size > 0, name
    log = pd.read_csv(run_dir / "log.csv")
    assert log["epoch"].tolist() == [1]
    # An untrained network has a loss of ln 7 = 1.95 on the seven views.
    assert 0.2 < log["proxy_loss"].iloc[0] < 3
    split = pd.read_csv(run_dir / "split.csv")
    assert split[split.labeled == 1]["label"].value_counts().tolist() == [5] * 100
    config = json.loads((run_dir / "config.json").read_text())
    assert (config["settings"]["hflip"], config["settings"]["zca"]) == (True, True)
    assert "python -m color_s4l.train --dataset=cifar100" in config["command"]


def test_evaluate_prints_the_error_of_the_result(trained, capsys):
    run_dir, output = trained
    result = json.loads((run_dir / "result.json").read_text())
    assert evaluate.main([f"--run={run_dir}"]) == 0
    text = capsys.readouterr().out
    found = re.search(r"^error +([0-9.]+) %$", text, re.MULTILINE)
    assert float(found[1]) == pytest.approx(result["error"], abs=0.005)
    assert "300 test images of cifar100" in text
    assert f"{result['error']:.2f} % after the last epoch" in output
    # 300 images: multiples of 1/3 %.
    assert result["error"] * 3 == pytest.approx(round(result["error"] * 3))
