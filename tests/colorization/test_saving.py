"""The file: same model back, origin carried, everything else refused in one line."""

import dataclasses
import json
import pathlib
import zipfile

import h5py
import keras
import numpy as np
import pytest

import colorization
from color_s4l.artifacts import keras_files
from color_s4l.artifacts.files import h5_wanted
from color_s4l.errors import InputError
from colorization import safety, saving

HOW = r"Train a colorizer: python -m colorization\.train .*--output=\.\.\.$"


@pytest.fixture(params=[".h5", ".keras"])
def path(request, colorizer, tmp_path):
    path = tmp_path / f"colorizer{request.param}"
    saving.save(colorizer.model, path, colorizer.origin)
    return path


def test_round_trip(path, colorizer, crops):
    again = saving.load(path)
    images = crops(5, 40)
    assert again.predict(images) == pytest.approx(colorizer.predict(images), abs=1e-6)
    assert again.origin == colorizer.origin
    assert again.digest == colorizer.digest


def test_origin_says_where_it_comes_from(path):
    origin = saving.load(path).origin
    assert (origin.dataset, origin.epochs, origin.images) == ("photographs", 8, 400)
    assert (origin.network, origin.image_size) == ("encoder_decoder", 32)
    assert origin.scaling == "lab: L/50-1, ab/127"
    assert origin.versions["keras"] == keras.__version__


@pytest.mark.parametrize("objects", [None, colorization.custom_objects()])
def test_keras_opens_it(path, colorizer, objects):
    model = keras.models.load_model(path, custom_objects=objects, compile=False)
    lightness = np.linspace(-1, 1, 512, dtype="float32").reshape(1, 16, 32, 1)
    expected = np.asarray(colorizer.model(lightness))
    assert np.asarray(model(lightness)) == pytest.approx(expected, abs=1e-6)


def test_nothing_unfinished_remains(path):
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_failed_save_keeps_the_old_file(path, colorizer, monkeypatch):
    before = path.read_bytes()

    def fail(model, unfinished, name, note):
        unfinished.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(keras_files, "_write", fail)
    with pytest.raises(OSError, match="disk full"):
        saving.save(colorizer.model, path, colorizer.origin)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_missing(tmp_path):
    with pytest.raises(InputError, match=rf"there is no such file\. {HOW}"):
        saving.load(tmp_path / "no.h5")


def test_truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=f"damaged or not a colorizer.*{HOW}"):
        saving.load(path)


@pytest.mark.parametrize("name", ["text.h5", "text.keras"])
def test_text_file(tmp_path, name):
    (tmp_path / name).write_text("no model")
    with pytest.raises(InputError, match=f"damaged or not a colorizer.*{HOW}"):
        saving.load(tmp_path / name)


def test_other_suffix():
    with pytest.raises(
        InputError, match=r"end with \.h5 or \.keras\. Received: 'a\.pt'"
    ):
        saving.load("a.pt")


def _save_h5(model, path):
    with h5_wanted():
        model.save(path)


def test_classifier(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(inputs))
    _save_h5(model, tmp_path / "classifier.h5")
    with pytest.raises(InputError, match=f"not a colorizer: no origin.*{HOW}"):
        saving.load(tmp_path / "classifier.h5")


def test_classifier_with_an_origin(tmp_path, colorizer):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(10)(inputs))
    saving.save(model, tmp_path / "classifier.h5", colorizer.origin)
    with pytest.raises(InputError, match=r"it maps \(4,\) to \(10,\)"):
        saving.load(tmp_path / "classifier.h5")


def test_other_scaling(tmp_path, colorizer):
    other = dataclasses.replace(colorizer.origin, scaling="lab: L/100, ab/128")
    saving.save(colorizer.model, tmp_path / "other.h5", other)
    expected = rf"expected the scaling 'lab: L/50-1, ab/127', it has 'lab: L/100.*{HOW}"
    with pytest.raises(InputError, match=expected):
        saving.load(tmp_path / "other.h5")


def _malicious(folder, suffix, origin):
    """A file whose Lambda layer would leave a mark when it is built or called."""
    mark = folder / "executed"

    def attack(values, mark=str(mark)):
        open(mark, "w").close()
        return values

    inputs = keras.Input((None, None, 1))
    colors = keras.layers.Concatenate()([inputs, inputs])
    outputs = keras.layers.Lambda(attack, output_shape=(None, None, 2))(colors)
    path = folder / f"malicious{suffix}"
    saving.save(keras.Model(inputs, outputs), path, origin)
    mark.unlink(missing_ok=True)
    return path, mark


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_lambda_is_refused_and_not_run(tmp_path, colorizer, suffix):
    path, mark = _malicious(tmp_path, suffix, colorizer.origin)
    with pytest.raises(InputError, match=f"could run code: it contains.*Lambda.*{HOW}"):
        saving.load(path)
    assert not mark.exists()


def _replace_in_config(path: pathlib.Path, old: str, new: str) -> None:
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            config = file.attrs["model_config"]
            file.attrs["model_config"] = config.replace(old, new)
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_function_of_another_module_is_refused(path):
    # Keras would look up os.system as the activation.
    call = {"module": "os", "class_name": "function", "config": "system"}
    _replace_in_config(
        path, '"activation": "tanh"', f'"activation": {json.dumps(call)}'
    )
    with pytest.raises(InputError, match=r"could run code: it contains os\.function"):
        saving.load(path)


def test_foreign_classes_at_any_depth():
    config = {"class_name": "Functional", "layers": [{"x": {"class_name": "Evil"}}]}
    assert safety.foreign_classes(config) == ["Evil"]
