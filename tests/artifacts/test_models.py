"""Model files: the same model comes back; damaged and malicious files are refused."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

import color_s4l
from color_s4l import registry
from color_s4l.artifacts import models
from color_s4l.artifacts.files import h5_wanted
from color_s4l.errors import InputError
from color_s4l.networks import Network
from color_s4l.views.preprocessing import Preprocessing
from colorization.colorizer import Colorizer

BOTH = pytest.mark.parametrize("suffix", models.SUFFIXES)


@pytest.fixture(scope="module")
def files(model, about, tmp_path_factory):
    """The same classifier in both formats; not to be changed."""
    folder = tmp_path_factory.mktemp("files")
    paths = {s: folder / f"model{s}" for s in models.SUFFIXES}
    for path in paths.values():
        models.save(model, path, about)
    return paths


@pytest.fixture
def copy(files, tmp_path):
    """A function that returns a copy of a file, which may be changed."""

    def make(suffix):
        path = tmp_path / f"copy{suffix}"
        path.write_bytes(files[suffix].read_bytes())
        return path

    return make


def change(path, member, attribute, old, new):
    """Replaces a text in the note or in the configuration of a file."""
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            assert old in file.attrs[attribute]
            file.attrs[attribute] = file.attrs[attribute].replace(old, new)
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert old.encode() in members[member]
    members[member] = members[member].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def change_config(path, old, new):
    change(path, "config.json", "model_config", old, new)


@BOTH
def test_round_trip(files, suffix, about, expected, small):
    model, again = models.load(files[suffix])
    assert again.classes == about.classes
    assert (again.hflip, again.resize, again.network) == (False, "pad", "convnet")
    assert again.digest == models.digest(model)
    assert color_s4l.load(files[suffix]).about.resize == "pad"
    found = model.predict(small.test_images, verbose=0)
    assert found == pytest.approx(expected, abs=1e-6)


@BOTH
def test_a_model_that_keras_wrote_has_an_empty_note(model, suffix, tmp_path):
    path = tmp_path / f"plain{suffix}"
    with h5_wanted():
        model.save(path)
    assert models.load(path)[1] == models.About()


def test_every_trunk_consists_of_known_classes():
    # For the networks of keras.applications: tests/networks/test_pretrained.py.
    for name, build in registry.TRUNKS.items():
        options = registry.TRUNKS.options(name)
        if not options.get("tested_as") and "pretrained" not in options:
            config = build((32, 32, 3), width=0.03).get_config()
            assert models.refused_classes(config) == [], name


def test_layers_and_operations_of_a_users_network_are_known(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 3, padding="same", kernel_regularizer="l2")(inputs)
    x = keras.Sequential([layers.LayerNormalization(), layers.ELU()])(x)
    x = layers.MultiHeadAttention(1, 2)(x, x) + inputs * 2
    outputs = keras.ops.mean(x[..., :2], axis=(1, 2))
    model = keras.Model(inputs, outputs)
    models.save_with_note(model, tmp_path / "a.keras", "n", "{}")
    configuration, _ = models.read_note(tmp_path / "a.keras", "n")
    again = models.build(tmp_path / "a.keras", configuration)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    assert np.asarray(again(images)) == pytest.approx(np.asarray(model(images)))


# Classes of Keras that run code, read files or call what their configuration names.
@pytest.mark.parametrize(
    "name",
    [
        *("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"),
        *("StringLookup", "IntegerLookup", "TextVectorization", "Pipeline", "Layer"),
    ],
)
@pytest.mark.parametrize("module", [None, "keras.layers", "own"])
def test_other_classes_of_keras_are_refused(name, module):
    module = getattr(keras.layers, name).__module__ if module == "own" else module
    entry = {"class_name": name, "config": {}} | ({"module": module} if module else {})
    hidden = {"class_name": "Functional", "config": {"layers": [{"deep": entry}]}}
    assert models.refused_classes(hidden) == [name]


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        # H5 files ignore `registered_name`: Keras would build a Lambda layer.
        (
            {"class_name": "Lambda", "registered_name": "color_s4l>Preprocessing"},
            "Lambda",
        ),
        (
            {"class_name": "Dense", "module": "keras.src.utils.jax_layer"},
            "Dense",
        ),
        ({"class_name": "Model", "module": "keras"}, "Model"),
        ({"class_name": "Adam", "module": "keras.optimizers"}, "Adam"),
        ({"class_name": "Map", "module": "keras.src.ops.core"}, "Map"),
        ({"class_name": "operator", "module": "keras.src.ops.numpy"}, "operator"),
        ({"class_name": "__lambda__"}, "__lambda__"),
        ({"class_name": "__typespec__", "spec_name": "x"}, "__typespec__"),
        (
            {"class_name": "function", "module": "keras.ops", "config": "relu"},
            "function",
        ),
        ({"class_name": "Gate", "module": "my_nets"}, "my_nets.Gate"),
    ],
)
def test_entries_that_lead_elsewhere_are_refused(entry, named):
    assert models.refused_classes({"config": {}, **entry}) == [named]


def test_registered_classes_and_functions_are_known(monkeypatch):
    def double(values):
        return 2 * values

    monkeypatch.setitem(keras.saving.get_custom_objects(), "mine>double", double)
    for entry in (
        {"class_name": "function", "module": "my_nets", "config": "mine>double"},
        {
            "class_name": "Preprocessing",
            "module": "color_s4l.views.preprocessing",
            "registered_name": "color_s4l>Preprocessing",
        },
        {"class_name": "color_s4l>Preprocessing"},
    ):
        assert models.refused_classes({"config": {}, **entry}) == []


@BOTH
def test_lambda_is_refused_and_not_run(suffix, tmp_path):
    mark = tmp_path / "executed"

    def attack(images, mark=str(mark)):
        open(mark, "w").close()
        return images

    inputs = keras.Input((16, 16, 3), dtype="uint8")
    images = layers.Lambda(attack, output_shape=(16, 16, 3))(inputs)
    pooled = layers.GlobalAveragePooling2D()(Preprocessing(zca=False)(images))
    path = tmp_path / f"malicious{suffix}"
    model = keras.Model(inputs, layers.Softmax()(pooled))
    models.save(model, path, models.About())
    mark.unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"contains Lambda.*, and could run code"):
        models.load(path)
    assert not mark.exists()


@BOTH
def test_functions_and_classes_of_other_modules_are_refused(suffix, copy):
    call = {"module": "os", "class_name": "function", "config": "system"}
    path = copy(suffix)
    change_config(path, '"activation": "linear"', f'"activation": {json.dumps(call)}')
    with pytest.raises(InputError, match=r"contains os\.function, and could run code"):
        models.load(path)
    path = copy(suffix)
    change_config(path, '"module": "keras.initializers"', '"module": "antigravity"')
    with pytest.raises(InputError, match=r"contains antigravity\.GlorotUniform"):
        models.load(path)


def test_models_of_another_kind(files, colorizer_file, tmp_path):
    with pytest.raises(InputError, match="it is a colorizer"):
        models.load(colorizer_file)
    with pytest.raises(InputError, match="not a colorizer: no origin"):
        Colorizer.load(files[".keras"])
    inputs = keras.Input((4,))
    other = keras.Model(inputs, layers.Dense(2)(inputs))
    other.save(tmp_path / "other.keras")
    with pytest.raises(InputError, match=r"maps \(None, 4\) to \(None, 2\)"):
        models.load(tmp_path / "other.keras")
    (tmp_path / "model.pt").touch()
    with pytest.raises(InputError, match=r"does not end with \.h5 or \.keras"):
        models.load(tmp_path / "model.pt")


@BOTH
def test_wrong_notes(suffix, copy):
    for old, new, text in (
        ('"cat", ', "", "names for 3 classes and probabilities for 4"),
        ('"cat"', "1", "Expected `classes` to be strings"),
        ('{"classes"', '["classes"', "damaged or something else"),
        ('"pad"', '"bend"', "Expected `resize` to be crop or pad. Received: 'bend'"),
        ('"digest": "', '"digest": "0', "weights do not match its digest"),
        (
            '"plugin": null',
            '"plugin": "my_nets"',
            r"uses the network 'convnet' of the plug-in my_nets: load it first, with "
            r"`plugins` or color_s4l\.load_plugins",
        ),
    ):
        path = copy(suffix)
        change(path, "color_s4l.json", "color_s4l", old, new)
        with pytest.raises(InputError, match=text):
            models.load(path)


def test_an_archive_that_claims_to_be_huge(copy, monkeypatch):
    monkeypatch.setattr(models, "_LONGEST", 1000)
    with pytest.raises(InputError, match=r"config\.json is longer than 1000 bytes"):
        models.load(copy(".keras"))


def test_declared_sizes_are_checked_first(copy, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("read")

    monkeypatch.setattr(models.keras.models, "load_model", never)
    bomb = tmp_path / "bomb.keras"
    bomb.write_bytes(copy(".keras").read_bytes())
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**8))
    wide = copy(".keras")
    change_config(wide, '"units": 4', '"units": 999999999')
    large = tmp_path / "large.h5"
    large.write_bytes(copy(".h5").read_bytes())
    with h5py.File(large, "a") as file:
        file.create_dataset("extra", (10**9,), "float32")
    for path in (wide, large, bomb):
        with pytest.raises(InputError, match=r"it declares [0-9,]+ MB of weights and"):
            models.load(path)


def test_heads_come_back(tmp_path):
    inputs = keras.Input((8, 8, 3))
    trunk = keras.Model(inputs, layers.ReLU()(inputs))
    network = Network(trunk, {"class": 4, "proxy": 7}, 0.0)
    network(np.zeros((1, 8, 8, 3), "float32"))
    path = models.heads_path(tmp_path / "model_teacher.keras")
    assert path.name == "heads_teacher.npz"
    models.save_heads(network, path)
    heads = models.load_heads(path)
    for name, head in network.heads.items():
        for found, weight in zip(heads[name], head.get_weights(), strict=True):
            assert np.array_equal(found, weight)
    path.write_bytes(b"PK damaged")
    with pytest.raises(InputError, match="is damaged"):
        models.load_heads(path)
    with pytest.raises(InputError, match="leave `init_heads` out"):
        models.load_heads(tmp_path / "missing.npz")


def unharmed_or_refused(path, small, expected):
    """Checks that a file is refused in one line, or is the classifier as saved."""
    refused = ""
    try:
        model, about = models.load(path)
    except InputError as error:
        refused = str(error)
    assert "\n" not in refused
    if not refused and about.digest:
        found = model.predict(small.test_images, verbose=0)
        assert found == pytest.approx(expected, abs=1e-6)


QUICK = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@BOTH
@QUICK
@given(content=st.binary(max_size=2000))
def test_random_bytes(suffix, content, tmp_path, small, expected):
    path = tmp_path / f"random{suffix}"
    path.write_bytes(content)
    unharmed_or_refused(path, small, expected)


@BOTH
@QUICK
@given(data=st.data())
def test_damaged_files(suffix, data, tmp_path, files, small, expected):
    content = bytearray(files[suffix].read_bytes())
    place = st.integers(0, len(content) - 1)
    if data.draw(st.booleans(), label="truncated"):
        del content[data.draw(place) :]
    else:
        # The structure is in the first and last kilobytes; other places as well.
        near = st.integers(0, 4000)
        places = st.one_of(place, near, near.map(lambda n: len(content) - 1 - n))
        for where in data.draw(st.lists(places, min_size=1, max_size=20)):
            content[where] = data.draw(st.integers(0, 255))
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    unharmed_or_refused(path, small, expected)
