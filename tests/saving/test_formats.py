"""Every artefact, loaded by its own runtime, gives the classifier's probabilities."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from color_s4l import export
from color_s4l.artifacts import formats
from color_s4l.errors import InputError


def by_keras(path, images):
    import color_s4l

    classifier = color_s4l.load(path)
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            note = file.attrs["color_s4l"]
    else:
        note = zipfile.ZipFile(path).read("color_s4l.json")
    return classifier.predict(images), note


def by_tensorflow(path, images):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    note = (path / "assets.extra" / "color_s4l.json").read_text(encoding="utf-8")
    return loaded.serve(images).numpy(), note


def by_onnxruntime(path, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(["probabilities"], {"images": images})
    return found, session.get_modelmeta().custom_metadata_map["color_s4l"]


def by_litert(path, images):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    (taken,), (given,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    assert taken["dtype"] == np.uint8
    interpreter.resize_tensor_input(taken["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(taken["index"], images)
    interpreter.invoke()
    note = zipfile.ZipFile(path).read("color_s4l.json")
    return interpreter.get_tensor(given["index"]), note


RUNTIMES = {
    "h5": by_keras,
    "keras": by_keras,
    "saved_model": by_tensorflow,
    "onnx": by_onnxruntime,
    "litert": by_litert,
}


def written(model, about, name, folder):
    path = folder / f"artefact{formats.FORMATS[name].ending}"
    formats.export(model, about, name, path)
    assert [file.name for file in folder.iterdir()] == [path.name]
    return path


@pytest.mark.parametrize("name", formats.FORMATS)
def test_agrees_and_knows_its_classes(name, model, about, expected, small, tmp_path):
    path = written(model, about, name, tmp_path)
    # Another number of images than any that the model has seen.
    found, note = RUNTIMES[name](path, small.test_images[:7])
    assert found == pytest.approx(expected[:7], abs=1e-4)
    assert np.ptp(expected, axis=0).max() > 1e-3, "all images alike: nothing is shown"
    assert json.loads(note)["classes"] == list(about.classes)


def test_the_command_offers_what_exists():
    assert set(formats.FORMATS) == set(RUNTIMES) == set(export._FORMATS)


def test_a_trunk_whose_paddings_onnx_does_not_take(make_model, about, small, tmp_path):
    # A margin before a pooling of one pixel: ONNX Runtime refuses to load it.
    model = make_model("shake_wrn")
    path = written(model, about, "onnx", tmp_path)
    found, _ = by_onnxruntime(path, small.test_images[:3])
    expected = model.predict(small.test_images[:3], verbose=0)
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_model_of_mixed_precision_is_written_in_float32(
    make_model, model, about, expected, small, tmp_path
):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = make_model()
    finally:
        keras.config.set_dtype_policy(before)
    mixed.set_weights(model.get_weights())
    path = written(mixed, about, "onnx", tmp_path)
    found, _ = by_onnxruntime(path, small.test_images)
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_failed_export_leaves_nothing(model, about, tmp_path, monkeypatch):
    def fail(path, **settings):
        raise OSError(28, "No space left on device", str(path))

    for name in ("saved_model", "onnx"):
        monkeypatch.setattr(model, "export", fail)
        path = tmp_path / f"artefact{formats.FORMATS[name].ending}"
        with pytest.raises(OSError, match="No space left"):
            formats.export(model, about, name, path)
        assert list(tmp_path.iterdir()) == []


def test_refuses_before_anything_is_loaded(tmp_path, monkeypatch, model, about):
    (tmp_path / "there.onnx").touch()
    for name, path, text in (
        ("onxn", "a.onnx", "no format 'onxn'. Did you mean 'onnx'"),
        ("onnx", "a.tflite", r"expected --output to end with \.onnx.*a\.tflite"),
        ("saved_model", "a.h5", "to be a folder, without an ending"),
        ("onnx", "there.onnx", "exists already, and nothing is overwritten"),
    ):
        with pytest.raises(InputError, match=text):
            formats.check(name, tmp_path / path)
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package tensorflow and tf2onnx"):
        formats.check("onnx", tmp_path / "a.onnx")
    monkeypatch.undo()
    monkeypatch.setattr(formats.keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="written by Keras on TensorFlow"):
        formats.export(model, about, "litert", tmp_path / "a.tflite")


def test_the_command_writes_what_a_run_has_learned(finished, small, tmp_path, python):
    import color_s4l

    path = tmp_path / "run.onnx"
    words = [f"--model={finished.run_dir}", "--format=onnx", f"--output={path}"]
    # Also for who trains on JAX: the command itself runs on TensorFlow.
    done = python("-m", "color_s4l.export", *words, KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    assert "uint8 RGB (n, 16, 16, 3) to the probabilities of 4 classes" in done.stdout
    found, note = by_onnxruntime(path, small.test_images)
    expected = color_s4l.load(finished.run_dir).predict(small.test_images)
    assert found == pytest.approx(expected, abs=1e-4)
    assert json.loads(note)["classes"] == ["0", "1", "2", "3"]


def test_the_command_refuses(tmp_path, refused, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # put back what main changes
    assert "--model is missing" in refused(export.main([]))
    words = ["--model=no.keras", f"--output={tmp_path / 'a.onnx'}"]
    assert "There is no model at no.keras" in refused(export.main(words))
    assert "--format" in refused(export.main(["--format=pickle"]))
    assert list(tmp_path.iterdir()) == []
