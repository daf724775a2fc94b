"""On JAX, the main job runs where TensorFlow is not installed."""

import json
import pathlib
import re

import numpy as np
import pandas as pd

SCRIPT = pathlib.Path(__file__).parent / "without_tensorflow.py"


def test_digits_are_trained_and_evaluated_without_tensorflow(
    python, colorizer_file, tmp_path
):
    done = python(
        SCRIPT,
        tmp_path / "run",
        "--image_size=16",
        "--labels=20",
        "--unlabeled=32",
        "--width=0.03",
        "--epochs=1",
        "--batch_size=16",
        f"--colorizer={colorizer_file}",
        KERAS_BACKEND="jax",
        XLA_FLAGS="--xla_backend_optimization_level=0",
    )
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["backend"] == "jax"
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    printed = re.findall(r"^error +([0-9.]+) %", done.stdout, re.MULTILINE)
    assert {float(error) for error in printed} == {round(result["error"], 2)}
    log = pd.read_csv(tmp_path / "run" / "log.csv")
    assert np.isfinite(log.to_numpy(dtype=float)).all()
    assert (tmp_path / "run" / "model.h5").stat().st_size > 10_000
