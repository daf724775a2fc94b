import io
import sys
import types
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.data import tfds as source
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings

tensorflow_datasets = pytest.importorskip("tensorflow_datasets")
features = tensorflow_datasets.features


def load(name, directory=None, image_size=None, **options):
    directory = directory and str(directory)
    return data.load(DataSettings(name, directory, image_size, **options))


@pytest.fixture(scope="module")
def cifar100(cifar100_dir):
    return load("cifar100", cifar100_dir)


@pytest.fixture
def store(tmp_path):
    """A function: writes a small prepared data set and returns its directory."""

    def write(examples, image=None, label=None, name="small", file_format=None):
        tensorflow_datasets.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=features.FeaturesDict(
                {
                    "image": image or features.Image(shape=(8, 8, 3)),
                    "label": label or features.ClassLabel(names=["cat", "dog"]),
                }
            ),
            split_datasets={k: list(enumerate(v)) for k, v in examples.items()},
            data_dir=tmp_path,
            file_format=file_format,
        )
        return str(tmp_path)

    return write


def examples(count, shape=(8, 8, 3), label=None):
    """Examples: image i has value i; labels alternate."""
    return [
        {
            "image": np.full(shape, i, np.uint8),
            "label": i % 2 if label is None else label,
        }
        for i in range(count)
    ]


def test_reads_prepared_images_pixel_for_pixel(cifar100, shared):
    expected = set()
    for part in (shared / "data").glob("cifar100-*.zip"):
        with zipfile.ZipFile(part) as archive:
            for name in archive.namelist():
                folder, label, file = name.split("/")
                if folder == "train" and int(file.split(".")[0]) < 3:
                    image = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
                    expected.add((label, image.tobytes()))
    assert len(expected) == 300
    pairs = zip(cifar100.images, cifar100.labels, strict=True)
    found = {(cifar100.classes[label], image.tobytes()) for image, label in pairs}
    assert found == expected


def test_labels_are_the_fine_ones_and_the_order_is_fixed(cifar100, cifar100_dir):
    assert cifar100.name == "cifar100"
    assert cifar100.classes[:2] == ("apple", "aquarium_fish")
    assert np.bincount(cifar100.labels).tolist() == [3] * 100
    assert np.bincount(cifar100.test_labels).tolist() == [1] * 100
    again = load("cifar100", cifar100_dir)
    assert (again.images == cifar100.images).all()
    assert (again.labels == cifar100.labels).all()


def test_prepared_data_are_resized_and_not_downloaded(cifar100_dir, monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError("download")

    builder = tensorflow_datasets.core.DatasetBuilder
    monkeypatch.setattr(builder, "download_and_prepare", fail)
    assert load("cifar100", cifar100_dir, 8).images.shape == (300, 8, 8, 3)


def test_grey_images_get_three_channels(store):
    directory = store(
        {"train": examples(3, (8, 8, 1)), "test": examples(2, (8, 8, 1))},
        image=features.Image(shape=(8, 8, 1)),
    )
    dataset = load("small", directory)
    assert dataset.images.shape == (3, 8, 8, 3)
    assert (dataset.images == dataset.images[:, :1, :1, :1]).all()
    assert sorted(dataset.images[:, 4, 4, 0]) == [0, 1, 2]
    assert (dataset.labels == dataset.images[:, 0, 0, 0] % 2).all()


def test_images_of_any_size_are_cropped_to_the_centre_and_resized(store):
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 4:20] = 200  # the centre square, and the pixels that its edge reads
    tall = np.full((30, 10, 3), 100, np.uint8)
    several = [{"image": wide, "label": 0}, {"image": tall, "label": 1}]
    directory = store(
        {"train": several, "test": several}, features.Image(shape=(None, None, 3))
    )
    with pytest.raises(InputError, match=r"'small' differ in size: set `image_size`"):
        load("small", directory)
    dataset = load("small", directory, 4)
    by_label = dict(zip(dataset.labels.tolist(), dataset.images, strict=True))
    assert (by_label[0] == 200).all()
    assert (by_label[1] == 100).all()


def test_oblong_images_need_a_size(store):
    oblong = examples(2, (8, 6, 3))
    directory = store(
        {"train": oblong, "test": oblong}, features.Image(shape=(8, 6, 3))
    )
    with pytest.raises(InputError, match="have 8 x 6 pixels: set `image_size`"):
        load("small", directory)


def test_validation_replaces_a_missing_or_unlabelled_test(store):
    unlabelled = examples(3, label=-1)
    directory = store(
        {"train": examples(4), "validation": examples(2), "test": unlabelled}
    )
    with pytest.warns(match="no labelled test split: 'validation' is used as the test"):
        dataset = load("small", directory)
    assert sorted(dataset.test_images[:, 0, 0, 0]) == [0, 1]


def test_a_split_without_labels_joins_the_training_images(store):
    parts = {"train": examples(4), "test": examples(2)}
    dataset = load("small", store(parts | {"unlabelled": examples(3, label=-1)}))
    assert dataset.images.shape == (7, 8, 8, 3)
    assert sorted(dataset.labels) == [-1, -1, -1, 0, 0, 1, 1]


@pytest.fixture
def random_access(store):
    """The directory of a set of 5 + 3 training and 2 test images, in ArrayRecord."""
    parts = {"train": examples(5), "test": examples(2)}
    parts["unlabelled"] = examples(3, label=-1)
    return store(parts, file_format="array_record")


def test_random_access_sets_are_the_same_on_demand(random_access, monkeypatch):
    expected = load("small", random_access, cache="memory")
    assert type(expected.images) is np.ndarray
    assert sorted(expected.labels) == [-1] * 3 + [0] * 3 + [1] * 2
    # The second time, the labels are read from the cache, and no image is read.
    monkeypatch.setattr(source.Records, "_features", None)
    for cache in ("disk", "none"):
        found = load("small", random_access, cache=cache)
        assert isinstance(found.images, data.LazyImages)
        assert (found.labels == expected.labels).all()
    monkeypatch.undo()
    for cache in ("disk", "none"):
        found = load("small", random_access, cache=cache)
        assert (found.images[:] == expected.images).all()
        assert (found.test_images[[1]] == expected.test_images[[1]]).all()


def test_undecodable_records_are_named(random_access, logged):
    found = load("small", random_access, max_megapixels=6e-5, cache="none")
    reason = "8 x 8 pixels are more than `max_megapixels`=6e-05"
    assert not found.images[:2].any()
    assert (
        logged()[-1] == f"cannot read small/1.0.0 train+unlabelled, record 1: {reason}"
    )


def test_other_formats_must_fit_into_the_memory(store, monkeypatch):
    directory = store({"train": examples(5), "test": examples(2)})
    text = (
        r"0\.0 GB at 8 px.* random-access format: `tfds build small --file_format=array"
    )
    with pytest.raises(InputError, match=text):
        load("small", directory, cache="none")
    monkeypatch.setattr(
        source.psutil, "virtual_memory", lambda: types.SimpleNamespace(available=1000)
    )
    with pytest.raises(InputError, match=text):
        load("small", directory)


def test_refuses_sets_without_the_splits(store):
    text = r"split 'test' or 'validation' with labels in 'small'.*Received: train"
    with pytest.raises(InputError, match=text):
        load("small", store({"train": examples(2)}))
    with pytest.raises(InputError, match=r"split 'train' in 'other'\. Received: test"):
        load("other", store({"test": examples(2)}, name="other"))


def test_refuses_other_tasks_than_image_classification(store):
    several = [{"image": np.zeros((8, 8, 3), np.uint8), "label": [0, 1]}]
    directory = store(
        {"train": several, "test": several},
        label=features.Sequence(features.ClassLabel(num_classes=2)),
    )
    text = r"not for image classification.*Received: image, label"
    with pytest.raises(InputError, match=text):
        load("small", directory)


def test_refuses_a_directory_without_the_set(tmp_path, cifar100_dir):
    text = r"has no prepared 'cifar10' .*Without `data_dir`, the data set is"
    for directory in (tmp_path, tmp_path / "nowhere", cifar100_dir):
        with pytest.raises(InputError, match=text):
            load("cifar10", directory)
    with pytest.raises(InputError, match="Did you mean 'cifar10'"):
        load("cifar1O", tmp_path)


def test_damaged_files_are_named(store, tmp_path):
    directory = store({"train": examples(3), "test": examples(3)})
    for record in tmp_path.rglob("*train.tfrecord*"):
        record.write_bytes(record.read_bytes()[:-20])
    with pytest.raises(InputError, match="Cannot read 'train' of 'small'"):
        load("small", directory)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cifar1O", r"no data set 'cifar1O'\. Did you mean 'cifar10'"),
        ("svhn", "Did you mean 'svhn_cropped'"),
        ("CIFAR100", "Did you mean 'cifar100'"),
        ("folders", "Did you mean 'folder'"),
        ("qqqqqq", r"no data set 'qqqqqq'\. There are: digits, drawings, folder, and"),
        ("imdb_reviews", "'imdb_reviews' is not for image classification"),
        ("cifar10/foggy", "Cannot load data set 'cifar10/foggy': .*foggy not found"),
    ],
)
def test_names_that_do_not_exist(name, text):
    with pytest.raises(InputError, match=text) as raised:
        load(name)
    assert "\n" not in str(raised.value)


def test_a_failed_download_is_one_line(monkeypatch):
    def fail(*arguments, **options):
        raise ConnectionError("Max retries exceeded\nwith url: ...")

    builder = tensorflow_datasets.core.DatasetBuilder
    monkeypatch.setattr(builder, "is_prepared", lambda self: False)
    monkeypatch.setattr(builder, "download_and_prepare", fail)
    text = r"^Cannot download 'cifar10': Max retries exceeded with url: \.\.\. \(For"
    with pytest.raises(InputError, match=text):
        load("cifar10")


def test_without_tensorflow_the_error_is_one_line(monkeypatch, tmp_path):
    assert keras.config.backend()  # is imported before TensorFlow is hidden
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    text = "`dataset`=cifar10 needs tensorflow .* use one of: digits, drawings, folder"
    with pytest.raises(InputError, match=text):
        load("cifar10", tmp_path)


def test_another_backend_keeps_the_gpu(monkeypatch, cifar100_dir):
    import tensorflow as tf

    hidden = []
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda *given: hidden.append(given)
    )
    source._require_tensorflow("cifar100")
    assert hidden == [([], "GPU")]
