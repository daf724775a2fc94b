"""The colorizer's file: same model and origin back, everything else refused."""

import dataclasses

import keras
import numpy as np
import pytest

import colorization
from color_s4l.artifacts import models
from color_s4l.artifacts.files import h5_wanted
from color_s4l.errors import InputError
from colorization.colorizer import Colorizer

HOW = r"Train a colorizer: python -m colorization\.train .*--output=\.\.\.$"


@pytest.fixture(params=models.SUFFIXES)
def path(request, colorizer, tmp_path):
    path = tmp_path / f"colorizer{request.param}"
    colorizer.save(path)
    return path


def test_round_trip(path, colorizer, crops):
    again = Colorizer.load(path)
    images = crops(5, 40)
    assert again.predict(images) == pytest.approx(colorizer.predict(images), abs=1e-6)
    assert again.origin == colorizer.origin
    assert again.digest == colorizer.digest
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_origin_records_the_training(colorizer):
    origin = colorizer.origin
    assert (origin.dataset, origin.epochs, origin.images) == ("photographs", 8, 400)
    assert (origin.network, origin.image_size) == ("encoder_decoder", 32)
    assert origin.scaling == "lab: L/50-1, ab/127"
    assert origin.versions["keras"] == keras.__version__
    assert origin.versions["backend"] == keras.backend.backend()


@pytest.mark.parametrize("objects", [None, colorization.custom_objects()])
def test_keras_opens_it(path, colorizer, objects):
    model = keras.models.load_model(path, custom_objects=objects, compile=False)
    lightness = np.linspace(-1, 1, 512, dtype="float32").reshape(1, 16, 32, 1)
    expected = np.asarray(colorizer.model(lightness))
    assert np.asarray(model(lightness)) == pytest.approx(expected, abs=1e-6)


def test_failed_save_keeps_the_old_file(path, colorizer, monkeypatch):
    before = path.read_bytes()

    def fail(model, unfinished, name, note):
        unfinished.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(models, "_write", fail)
    with pytest.raises(OSError, match="disk full"):
        colorizer.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_missing_and_damaged_files(path, tmp_path):
    with pytest.raises(InputError, match=rf"there is no such file\. {HOW}"):
        Colorizer.load(tmp_path / "no.h5")
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"no model"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=f"damaged or not a colorizer.*{HOW}"):
            Colorizer.load(path)
    with pytest.raises(
        InputError, match=r"end with \.h5 or \.keras\. Received: 'a\.pt'"
    ):
        Colorizer.load("a.pt")


def test_classifiers_are_refused(tmp_path, colorizer):
    path = tmp_path / "classifier.h5"
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(inputs))
    with h5_wanted():
        model.save(path)
    with pytest.raises(InputError, match=f"not a colorizer: no origin.*{HOW}"):
        Colorizer.load(path)
    dataclasses.replace(colorizer, model=model).save(path)
    with pytest.raises(InputError, match=r"it maps \(4,\) to \(10,\)"):
        Colorizer.load(path)


def test_other_scaling(tmp_path, colorizer):
    other = dataclasses.replace(colorizer.origin, scaling="lab: L/100, ab/128")
    dataclasses.replace(colorizer, origin=other).save(tmp_path / "other.h5")
    expected = rf"expected the scaling 'lab: L/50-1, ab/127', it has 'lab: L/100.*{HOW}"
    with pytest.raises(InputError, match=expected):
        Colorizer.load(tmp_path / "other.h5")


# Further malicious files: tests/artifacts/test_models.py.
@pytest.mark.parametrize("suffix", models.SUFFIXES)
def test_lambda_is_refused_and_not_run(tmp_path, colorizer, suffix):
    mark = tmp_path / "executed"

    def attack(values, mark=str(mark)):
        open(mark, "w").close()
        return values

    inputs = keras.Input((None, None, 1))
    colors = keras.layers.Concatenate()([inputs, inputs])
    outputs = keras.layers.Lambda(attack, output_shape=(None, None, 2))(colors)
    path = tmp_path / f"malicious{suffix}"
    Colorizer(keras.Model(inputs, outputs), colorizer.origin).save(path)
    mark.unlink(missing_ok=True)
    with pytest.raises(InputError, match=f"contains.*Lambda.* could run code.*{HOW}"):
        Colorizer.load(path)
    assert not mark.exists()
