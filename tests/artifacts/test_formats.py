"""Every exported model, run by its own runtime, gives the same probabilities."""

import dataclasses
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from color_s4l import export
from color_s4l.artifacts import formats, models
from color_s4l.errors import InputError
from color_s4l.networks.neighbours import NearestNeighbours
from color_s4l.registry import FORMATS


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
    path = folder / f"exported{FORMATS.options(name)['suffix']}"
    formats.export(model, about, name, path)
    assert [file.name for file in folder.iterdir()] == [path.name]
    return path


@pytest.fixture(scope="module")
def airbench(make_model):
    return make_model("airbench")


@pytest.mark.parametrize("name", RUNTIMES)
def test_own_layers_are_exported(name, airbench, about, small, tmp_path):
    images = small.test_images[:7]
    path = written(airbench, about, name, tmp_path)
    found, _ = RUNTIMES[name](path, images)
    expected = keras.ops.convert_to_numpy(airbench(images))
    assert np.ptp(expected, axis=0).max() > 1e-3
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", FORMATS)
def test_same_probabilities_and_class_names(
    name, model, about, expected, small, tmp_path
):
    path = written(model, about, name, tmp_path)
    if name not in RUNTIMES:
        return
    # A number of images that the model has not seen before.
    found, note = RUNTIMES[name](path, small.test_images[:7])
    assert found == pytest.approx(expected[:7], abs=1e-4)
    assert np.ptp(expected, axis=0).max() > 1e-3, "equal images would prove nothing"
    assert json.loads(note)["classes"] == list(about.classes)


PLAIN = """
import sys
import keras
import numpy as np

images = np.load(sys.argv[1])
for path in sys.argv[2:]:
    model = keras.models.load_model(path, compile=False)
    np.save(f"{path}.npy", model.predict(images, verbose=0))
print({"color_s4l", "colorization"} & set(sys.modules))
"""


def test_keras_opens_the_files_without_this_library(
    model, airbench, about, expected, small, tmp_path, python
):
    np.save(tmp_path / "images.npy", small.test_images)
    files = {}
    for suffix in ("h5", "keras"):
        for name, trained in (("convnet", model), ("airbench", airbench)):
            files[name, suffix] = tmp_path / f"{name}.{suffix}"
            formats.export(trained, about, suffix, files[name, suffix])
        files["any", suffix] = tmp_path / f"any.{suffix}"
        formats.export(model, about, suffix, files["any", suffix], any_size=True)
    done = python("-c", PLAIN, tmp_path / "images.npy", *files.values())
    assert done.stdout.splitlines()[-1:] == ["set()"], done.stderr
    of_airbench = airbench.predict(small.test_images, verbose=0)
    for (name, _), path in files.items():
        wanted = of_airbench if name == "airbench" else expected
        assert np.load(f"{path}.npy") == pytest.approx(wanted, abs=1e-5), path


def test_an_exported_classifier_is_calibrated_once(model, about, small, tmp_path):
    import color_s4l
    from color_s4l.classifier import Classifier

    warm = dataclasses.replace(about, temperature=2.5, calibrated_on="9 test images")
    before = model.get_layer("class").get_weights()
    path = written(model, warm, "keras", tmp_path)
    after = model.get_layer("class").get_weights()
    assert all((x == y).all() for x, y in zip(before, after, strict=True))
    wanted = Classifier(model, warm).predict(small.test_images)
    loaded = color_s4l.load(path)
    assert loaded.about.calibrated_on == "9 test images"
    assert loaded.predict(small.test_images) == pytest.approx(wanted, abs=1e-5)
    plain = loaded.network.predict(small.test_images, verbose=0)
    assert plain == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", ["saved_model", "onnx", "litert"])
def test_an_exported_knn_head_is_calibrated(name, model, about, small, tmp_path):
    from color_s4l.classifier import Classifier

    pooled = model.get_layer("class").input
    head = NearestNeighbours(4, examples=9, neighbours=3, name="class")
    softmax = keras.layers.Softmax(name="probabilities")
    knn = keras.Model(model.input, softmax(head(pooled)), name="classifier")
    features = np.random.default_rng(0).normal(size=(9, pooled.shape[1]))
    head.set_examples(features, np.arange(9) % 4)
    warm = dataclasses.replace(about, temperature=2.5)
    path = written(knn, warm, name, tmp_path)
    found, note = RUNTIMES[name](path, small.test_images)
    expected = Classifier(knn, warm).predict(small.test_images)
    assert found == pytest.approx(expected, abs=1e-4)
    plain = knn.predict(small.test_images, verbose=0)
    assert np.abs(plain - expected).max() > 0.05
    assert json.loads(note)["temperature"] == 1


def test_keras_files_refuse_a_knn_head(model, about, tmp_path):
    head = NearestNeighbours(4, examples=9, neighbours=3, name="class")
    pooled = model.get_layer("class").input
    knn = keras.Model(model.input, keras.layers.Softmax()(head(pooled)))
    with pytest.raises(
        InputError, match=r"'class' \(NearestNeighbours\) is not one of"
    ):
        formats.export(knn, about, "keras", tmp_path / "a.keras")
    assert list(tmp_path.iterdir()) == []


def test_images_of_any_size(model, about, small, tmp_path):
    import color_s4l

    path = tmp_path / "any.keras"
    formats.export(model, about, "keras", path, any_size=True)
    loaded = color_s4l.load(path)
    assert loaded.image_size == 16
    doubled = small.test_images.repeat(2, axis=1).repeat(2, axis=2)
    found = loaded.network.predict(doubled, verbose=0)
    # Pillow rounds the resized values to integers.
    assert found == pytest.approx(loaded.predict(doubled), abs=0.05)
    # Test-time augmentation finds the preprocessed images in the graph.
    assert loaded.predict(doubled[:3], augment=True).shape == (3, 4)
    with pytest.raises(InputError, match="takes images of any size already"):
        formats.export(loaded.network, about, "h5", tmp_path / "a.h5", any_size=True)


def test_a_trunk_with_paddings_that_onnx_refuses(make_model, about, small, tmp_path):
    # ONNX Runtime cannot load a padding before a pooling of one pixel.
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


@pytest.mark.parametrize("name", ["saved_model", "onnx"])
def test_a_failed_export_leaves_nothing(name, model, about, tmp_path, monkeypatch):
    def fail(path, **settings):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(model, "export", fail)
    path = tmp_path / f"exported{FORMATS.options(name)['suffix']}"
    with pytest.raises(OSError, match="No space left"):
        formats.export(model, about, name, path)
    assert list(tmp_path.iterdir()) == []


def test_refuses_before_anything_is_loaded(tmp_path, monkeypatch, model, about):
    (tmp_path / "there.onnx").touch()
    for name, path, text in (
        ("onxn", "a.onnx", "no format 'onxn'. Did you mean 'onnx'"),
        ("onnx", "a.tflite", r"`output` of the format onnx to end with \.onnx.*a\.tfl"),
        ("saved_model", "a.h5", "to be a folder, without an ending"),
        ("onnx", "there.onnx", "exists already, and nothing is overwritten"),
    ):
        with pytest.raises(InputError, match=text):
            formats.check(name, tmp_path / path)
    with pytest.raises(InputError, match=r"h5, keras, saved_model\. Received: onnx"):
        formats.check("onnx", tmp_path / "a.onnx", any_size=True)
    with monkeypatch.context() as patch:
        patch.setattr(formats.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(InputError, match="needs the package tensorflow and"):
            formats.check("onnx", tmp_path / "a.onnx")
    monkeypatch.setattr(formats.keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="written by Keras on TensorFlow"):
        formats.export(model, about, "litert", tmp_path / "a.tflite")


def test_the_command_exports_a_run(finished, small, tmp_path, python):
    import color_s4l

    path = tmp_path / "run.onnx"
    words = [f"--model={finished.run_dir}", "--format=onnx", f"--output={path}"]
    # Also if training uses JAX: the command itself runs on TensorFlow.
    done = python("-m", "color_s4l.export", *words, KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr
    assert "uint8 RGB (n, 16, 16, 3) to the probabilities of 4 classes" in done.stdout
    found, note = by_onnxruntime(path, small.test_images)
    expected = color_s4l.load(finished.run_dir).predict(small.test_images)
    assert found == pytest.approx(expected, abs=1e-4)
    assert json.loads(note)["classes"] == ["0", "1", "2", "3"]


def test_the_command_refuses(tmp_path, refused, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # undoes the change of `main`
    assert "--model is missing" in refused(export.main([]))
    words = ["--model=no.keras", f"--output={tmp_path / 'a.onnx'}"]
    assert "There is no model at no.keras" in refused(export.main(words))
    error = refused(export.main([*words, "--format=pickle"]))
    assert "There is no format 'pickle'" in error
    assert list(tmp_path.iterdir()) == []


PLUGIN = """
import keras
from color_s4l import register_format, register_trunk


@keras.saving.register_keras_serializable(package="mine")
class Gate(keras.layers.Layer):
    def call(self, inputs):
        return inputs * keras.ops.sigmoid(inputs)


@register_trunk("gated")
def gated(input_shape, *, width=1.0, dropout=0.0, synchronized=False):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, Gate()(inputs), name="trunk")


@register_format("shapes", suffix=".txt")
def write_shapes(model, path, about):
    path.write_text(f"{about.network}: {model.output_shape}")
"""
SAVE = """
import pathlib, sys
import numpy as np
from color_s4l import load_plugins, registry
from color_s4l.artifacts import models
from color_s4l.networks import Network, inference_model
from color_s4l.views.preprocessing import Preprocessing

folder = pathlib.Path(sys.argv[1])
load_plugins([str(folder / "my_nets.py")])
trunk = registry.TRUNKS["gated"]((8, 8, 3))
network = Network(trunk, {"class": 2}, 0.0)
network(np.zeros((1, 8, 8, 3), "float32"))
preprocessing = Preprocessing(zca=False)
preprocessing.build((None, 8, 8, 3))
about = models.About(network="gated", plugin=registry.TRUNKS.entry("gated").plugin)
for suffix in models.SUFFIXES:
    path = folder / f"model{suffix}"
    models.save(inference_model(network, preprocessing), path, about)
    assert models.load(path)[1].plugin == "my_nets"
"""


def test_a_plugin_with_a_network_and_a_format(tmp_path, python):
    (tmp_path / "my_nets.py").write_text(PLUGIN)
    done = python("-c", SAVE, tmp_path)
    assert done.returncode == 0, done.stderr
    words = [f"--model={tmp_path / 'model.h5'}", f"--output={tmp_path / 'shapes.txt'}"]
    words += ["--format=shapes", f"--plugins={tmp_path / 'my_nets.py'}"]
    done = python("-m", "color_s4l.export", *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shapes.txt").read_text() == "gated: (None, 2)"
    for suffix in models.SUFFIXES:
        with pytest.raises(InputError, match="'gated' of the plug-in my_nets: load it"):
            models.load(tmp_path / f"model{suffix}")
