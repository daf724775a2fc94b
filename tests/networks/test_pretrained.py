"""Networks of keras.applications: Keras' features, weight files, and error messages."""

import hashlib
import math
import warnings

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from color_s4l.artifacts import models
from color_s4l.errors import InputError
from color_s4l.networks import Network
from color_s4l.networks.pretrained import APPLICATIONS, SMALLEST_NETWORK
from color_s4l.networks.structure import blocks, freeze
from color_s4l.registry import TRUNKS
from color_s4l.training.inputs import PretrainedWeights
from color_s4l.views.preprocessing import Preprocessing

SHAPE = (32, 32, 3)
MODULES = {
    "MobileNetV3": "mobilenet_v3",
    "EfficientNetV2": "efficientnet_v2",
    "ConvNeXt": "convnext",
    "ResNet": "resnet_v2",
    "DenseNet": "densenet",
}


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("uint8")


def plain(application, monkeypatch):
    """Returns Keras' network, and the address, name and digest of its weight file."""
    found = {}

    def get_file(name, origin, *, cache_subdir, file_hash):
        found.update(name=name, url=origin, folder=cache_subdir, digest=file_hash)

    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras prefers 224 px
        patch.setattr(file_utils, "get_file", get_file)
        patch.setattr(keras.Model, "load_weights", lambda self, path: None)
        build = getattr(keras.applications, application.function)
        model = build(include_top=False, weights="imagenet", input_shape=SHAPE)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        # Other statistics and factors than at the start, so that every layer counts;
        # small factors, so that deep networks do not enlarge rounding errors.
        if len(weight.shape) == 1:
            weight.assign(rng.uniform(0.1, 0.3, weight.shape))
    return model, found


@pytest.mark.parametrize("application", APPLICATIONS, ids=lambda a: a.function)
def test_a_trunk_computes_the_features_of_keras(application, images, monkeypatch):
    model, file = plain(application, monkeypatch)
    # The file that Keras itself downloads.
    imagenet = application.imagenet
    assert (file["url"], file["digest"]) == (imagenet.url, imagenet.digest)
    assert file["name"] == imagenet.url.rpartition("/")[2]
    assert file["folder"] == "models"

    trunk = TRUNKS[f"applications/{application.function.lower()}"](SHAPE)
    trunk.set_weights(model.get_weights())
    (module,) = (m for name, m in MODULES.items() if name in application.function)
    prepare = getattr(keras.applications, module).preprocess_input
    expected = numpy_of(model(prepare(images.astype("float32"))))
    found = numpy_of(trunk(Preprocessing(False, "imagenet")(images)))
    assert np.ptp(expected) > 0
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)

    named = [block for block in blocks(trunk) if block != "stem"]
    assert named == [f"block{n + 1}" for n in range(len(application.blocks))]
    ends = [blocks(trunk)[block][-1].output for block in ("stem", *named)]
    sides = [end.shape[1] for end in ends]
    assert sides == sorted(sides, reverse=True)
    assert ends[-1] is trunk.outputs[0]
    # No layer is left outside: frozen blocks and the rest are the whole trunk.
    freeze(trunk, len(named) - 1)
    frozen = sum(math.prod(v.shape) for v in trunk.trainable_variables)
    assert 0 < frozen < sum(math.prod(v.shape) for v in trunk.weights)
    assert models.refused_classes(trunk.get_config()) == []


def write_keras_2(model, path):
    """Writes weights in the form of the files that Keras downloads."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


@pytest.mark.parametrize("suffix", [".weights.h5", "_notop.h5"])
def test_a_file_of_keras_is_loaded(suffix, images, tmp_path, monkeypatch):
    application = TRUNKS[SMALLEST_NETWORK]
    model, _ = plain(application, monkeypatch)
    path = tmp_path / f"file{suffix}"
    write = keras.Model.save_weights if suffix == ".weights.h5" else write_keras_2
    write(model, path)
    weights = PretrainedWeights(SMALLEST_NETWORK, str(path))
    network = Network(application(SHAPE), {"class": 3}, 0.0)
    network(np.zeros((1, *SHAPE), "float32"))
    head = network.heads["class"].get_weights()
    weights.assign_to(network)
    for one, other in zip(
        network.trunk.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(network.heads["class"].get_weights()[0], head[0])
    assert weights.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_of_another_network_is_refused(tmp_path):
    other = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(4, 3)])
    path = tmp_path / "other.weights.h5"
    other.save_weights(path)
    trunk = TRUNKS[SMALLEST_NETWORK](SHAPE)
    text = r"Expected .*other\.weights\.h5 to contain the weights of .*MobileNetV3Small"
    with pytest.raises(InputError, match=text):
        TRUNKS[SMALLEST_NETWORK].load(trunk, path)


def test_without_a_connection_the_error_says_where_the_file_belongs(
    tmp_path, monkeypatch
):
    def offline(*arguments, **settings):
        raise Exception("URL fetch failure on https://...: None -- unknown host")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    text = (
        r"Cannot download https://.*_small_224_1\.0_float_no_top_v2\.h5: put this file "
        rf"into the folder {tmp_path}/models, or set `weights`"
    )
    weights = PretrainedWeights(SMALLEST_NETWORK, "imagenet")
    assert weights.digest == TRUNKS[SMALLEST_NETWORK].imagenet.digest
    with pytest.raises(InputError, match=text):
        weights.path  # noqa: B018, it downloads


def test_a_file_in_the_folder_is_not_downloaded(tmp_path, monkeypatch):
    imagenet = TRUNKS[SMALLEST_NETWORK].imagenet
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(file_utils, "validate_file", lambda *_, **__: True)
    path = tmp_path / "models" / imagenet.url.rpartition("/")[2]
    path.parent.mkdir()
    path.write_text("weights")
    assert imagenet.fetch() == path


def test_other_widths_and_small_images_are_refused():
    build = TRUNKS[SMALLEST_NETWORK]
    with pytest.raises(InputError, match=r"`width` to be 1.*Received: 0\.5"):
        build(SHAPE, width=0.5)
    with pytest.raises(InputError, match=r"MobileNetV3Small takes images of 32 px"):
        build((31, 32, 3))
