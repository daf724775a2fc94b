"""The file: same model back, its classes carried, everything else refused."""

import json
import zipfile

import h5py
import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import color_s4l
from color_s4l.artifacts import classifier_file, keras_files
from color_s4l.artifacts.files import h5_wanted
from color_s4l.errors import InputError
from color_s4l.networks import TRUNKS
from color_s4l.views.preprocessing import Preprocessing
from colorization import saving

BOTH = pytest.mark.parametrize("suffix", keras_files.SUFFIXES)


@pytest.fixture(scope="module")
def files(model, about, tmp_path_factory):
    """The same classifier in both formats: read them, change nothing."""
    folder = tmp_path_factory.mktemp("files")
    paths = {s: folder / f"model{s}" for s in keras_files.SUFFIXES}
    for path in paths.values():
        classifier_file.save(model, path, about)
    return paths


@pytest.fixture
def copy(files, tmp_path):
    """A function: a suffix to a copy that may be changed."""

    def make(suffix):
        path = tmp_path / f"copy{suffix}"
        path.write_bytes(files[suffix].read_bytes())
        return path

    return make


def change(path, member, attribute, new):
    """Replaces a text in the file by what `new` makes of it."""
    if path.suffix == ".h5":
        with h5py.File(path, "a") as file:
            file.attrs[attribute] = new(file.attrs[attribute])
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[member] = new(members[member].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def change_config(path, old, new):
    def replace(text):
        assert old in text
        return text.replace(old, new)

    change(path, "config.json", "model_config", replace)


@BOTH
def test_round_trip(files, suffix, about, expected, small):
    model, again = classifier_file.load(files[suffix])
    assert (again.classes, again.hflip) == (about.classes, about.hflip)
    assert (again.fit, color_s4l.load(files[suffix]).fit) == ("pad", "pad")
    found = model.predict(small.test_images, verbose=0)
    assert found == pytest.approx(expected, abs=1e-6)


@BOTH
def test_a_model_that_keras_wrote_has_no_names(model, suffix, tmp_path):
    path = tmp_path / f"plain{suffix}"
    with h5_wanted():
        model.save(path)
    assert classifier_file.load(path)[1] == classifier_file.About()


def test_every_trunk_consists_of_known_layers():
    known = classifier_file._LAYERS | classifier_file._VALUES
    # The deeper ones are resnet_v2_50's code with more blocks, and slow to build.
    for name in set(TRUNKS) - {"resnet_v2_101", "resnet_v2_152"}:
        config = TRUNKS[name]((32, 32, 3), width=0.03).get_config()
        assert keras_files.foreign_classes(config, known) == [], name


@BOTH
def test_lambda_is_refused_and_not_run(suffix, tmp_path):
    mark = tmp_path / "executed"

    def attack(images, mark=str(mark)):
        open(mark, "w").close()
        return images

    inputs = keras.Input((16, 16, 3), dtype="uint8")
    images = keras.layers.Lambda(attack, output_shape=(16, 16, 3))(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(Preprocessing(zca=False)(images))
    path = tmp_path / f"malicious{suffix}"
    model = keras.Model(inputs, keras.layers.Softmax()(pooled))
    classifier_file.save(model, path, classifier_file.About())
    mark.unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"contains Lambda.*, and could run code"):
        classifier_file.load(path)
    assert not mark.exists()


@BOTH
def test_functions_and_classes_of_elsewhere_are_refused(suffix, copy):
    call = {"module": "os", "class_name": "function", "config": "system"}
    path = copy(suffix)
    change_config(path, '"activation": "linear"', f'"activation": {json.dumps(call)}')
    with pytest.raises(InputError, match=r"contains os\.function, and could run code"):
        classifier_file.load(path)
    path = copy(suffix)
    change_config(path, '"module": "keras.initializers"', '"module": "antigravity"')
    with pytest.raises(InputError, match=r"contains antigravity\.GlorotUniform"):
        classifier_file.load(path)


def test_models_of_another_kind(files, colorizer_file, tmp_path):
    with pytest.raises(InputError, match="it is a colorizer"):
        classifier_file.load(colorizer_file)
    with pytest.raises(InputError, match="not a colorizer: no origin"):
        saving.load(files[".keras"])
    inputs = keras.Input((4,))
    other = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    other.save(tmp_path / "other.keras")
    with pytest.raises(InputError, match=r"maps \(None, 4\) to \(None, 2\)"):
        classifier_file.load(tmp_path / "other.keras")
    (tmp_path / "model.pt").touch()
    with pytest.raises(InputError, match=r"ends in none of \.h5, \.keras"):
        classifier_file.load(tmp_path / "model.pt")


@BOTH
def test_notes_that_do_not_fit(suffix, copy):
    for old, new, text in (
        ('"cat", ', "", "names 3 classes and tells 4 apart"),
        ('"cat"', "1", "names of its classes are no texts"),
        ('{"classes"', '["classes"', "damaged or something else"),
        ('"pad"', '"bend"', "its images were made squares by 'bend'"),
        ('"digest": "', '"digest": "0', "weights are not those that were saved"),
    ):
        path = copy(suffix)
        change(
            path, "color_s4l.json", "color_s4l", lambda t, o=old, n=new: t.replace(o, n)
        )
        with pytest.raises(InputError, match=text):
            classifier_file.load(path)


def test_an_archive_that_claims_to_be_huge(copy, monkeypatch):
    monkeypatch.setattr(keras_files, "_LONGEST", 1000)
    with pytest.raises(InputError, match=r"config\.json is longer than 1000 bytes"):
        classifier_file.load(copy(".keras"))


def unharmed_or_refused(path, files, small, expected):
    """Either one line that says no, or exactly the classifier that was saved."""
    refused = ""
    try:
        model, about = classifier_file.load(path)
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
def test_random_bytes(suffix, content, tmp_path, files, small, expected):
    path = tmp_path / f"random{suffix}"
    path.write_bytes(content)
    unharmed_or_refused(path, files, small, expected)


@BOTH
@QUICK
@given(data=st.data())
def test_damaged_files(suffix, data, tmp_path, files, small, expected):
    content = bytearray(files[suffix].read_bytes())
    place = st.integers(0, len(content) - 1)
    if data.draw(st.booleans(), label="truncated"):
        del content[data.draw(place) :]
    else:
        # Where the structure stands (the first kilobytes, the last), and anywhere.
        near = st.integers(0, 4000)
        places = st.one_of(place, near, near.map(lambda n: len(content) - 1 - n))
        for where in data.draw(st.lists(places, min_size=1, max_size=20)):
            content[where] = data.draw(st.integers(0, 255))
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    unharmed_or_refused(path, files, small, expected)
