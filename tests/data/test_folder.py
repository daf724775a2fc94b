import io
import shutil

import numpy as np
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings


@pytest.fixture
def root(tmp_path, put):
    """Classes cat and dog with one red and one blue training and test image."""
    for part in ("train", "test"):
        put(f"{part}/cat/a.png", "red")
        put(f"{part}/dog/a.png", "blue")
    return tmp_path


def levels(images):
    return images[:, 0, 0, 0].tolist()


def test_reads_classes_and_unlabelled_images_in_order(root, put, load):
    for level in (30, 10, 20):
        put(f"train/cat/sub/{level}.png", level)
    put("unlabeled/z.png", "white")
    put("unlabeled/deep/er/y.png", "black")
    dataset = load()
    assert dataset.name == root.name
    assert dataset.classes == ("cat", "dog")
    assert levels(dataset.images) == [255, 10, 20, 30, 0, 0, 255]
    assert dataset.labels.tolist() == [0, 0, 0, 0, 1, -1, -1]
    assert dataset.test_images[:, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255]]
    assert dataset.test_labels.tolist() == [0, 1]
    assert load(image_size=None).images.shape == (7, 32, 32, 3)


def test_class_names_of_any_kind(put, load):
    names = ("Müller's dog", "кот", "猫 2", "NA")
    for level, name in enumerate(names):
        for part in ("train", "test"):
            put(f"{part}/{name}/a b.PNG", level)
    dataset = load()
    assert dataset.classes == tuple(sorted(names))
    assert levels(dataset.images) == [names.index(name) for name in dataset.classes]
    assert dataset.files.training[0].endswith(f"{dataset.classes[0]}/a b.PNG")


def test_empty_classes_are_left_out_with_a_warning(root, put, load):
    (root / "train/ant").mkdir()
    (root / "train/bee").mkdir()
    (root / "train/bee/broken.png").write_bytes(b"")
    put("unlabeled/a.png", "white")
    with (
        pytest.warns(match="without an image are left out: 'ant', 'bee'"),
        pytest.warns(match="skipped 1 of 6 files"),
    ):
        dataset = load()
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 1, -1]
    assert dataset.test_labels.tolist() == [0, 1]
    put("test/bee/a.png", "red")
    with (
        pytest.warns(match="skipped 1 of 7 files"),
        pytest.raises(InputError, match="without a readable training image: bee"),
    ):
        load()


def test_a_class_may_have_no_test_image(root, put, load):
    put("train/cow/a.png", "red")
    dataset = load()
    assert dataset.classes == ("cat", "cow", "dog")
    assert dataset.test_labels.tolist() == [0, 2]


def test_a_share_is_held_out_by_name(tmp_path, put, load):
    for number in range(10):
        put(f"train/cat/{number}.png", number)
    for number in range(3):
        put(f"train/dog/{number}.png", 100 + number)
    put("train/one/0.png", 200)
    put("unlabeled/0.png", 201)
    with pytest.raises(InputError, match=r"no test images.*`test_fraction`=0\.2"):
        load()
    dataset = load(test_fraction=0.2)
    # 2 of 10, 1 of 3 (at least one), 0 of 1 (one stays).
    assert dataset.test_labels.tolist() == [0, 0, 1]
    assert dataset.labels.tolist() == [0] * 8 + [1] * 2 + [2, -1]
    assert len({*levels(dataset.images), *levels(dataset.test_images)}) == 15
    assert load(test_fraction=0.2).files == dataset.files
    assert load(test_fraction=0.5).test_labels.tolist() == [0] * 5 + [1] * 2


def test_the_classes_may_be_the_folders_of_the_data_set(tmp_path, put, load):
    for number in range(4):
        put(f"cat/{number}.png", number)
        put(f"dog/sub/{number}.png", 100 + number)
    with pytest.raises(InputError, match=r"no test images.*`test_fraction`=0\.2"):
        load()
    dataset = load(test_fraction=0.25)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0] * 3 + [1] * 3
    assert dataset.test_labels.tolist() == [0, 1]
    put("unlabeled/cat/9.png", 9)
    dataset = load(test_fraction=0.25)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0] * 3 + [1] * 3 + [-1]
    # A table of guesses for the other images; the class folders keep their labels.
    (tmp_path / "sure.csv").write_text("filename,label\nunlabeled/cat/9.png,dog\n")
    dataset = load(labels_csv="sure.csv", test_fraction=0.25)
    assert sorted(dataset.labels) == [0] * 3 + [1] * 4
    assert 9 in levels(dataset.images)


def test_refuses_wrong_shares(root, load):
    with pytest.raises(
        InputError, match=r"`test_fraction` cannot be used: .*/test has"
    ):
        load(test_fraction=0.5)
    shutil.rmtree(root / "test")
    with pytest.raises(InputError, match="no class has two labelled images"):
        load(test_fraction=0.5)
    for fraction in (0, 1, -0.5, float("nan")):
        with pytest.raises(InputError, match="more than 0 and less than 1"):
            load(test_fraction=fraction)


def test_unreadable_files_are_logged_and_skipped(root, put, load, logged):
    encoded = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(encoded, "PNG")
    (root / "train/cat/cut.png").write_bytes(encoded.getvalue()[:5000])
    (root / "train/cat/empty.jpg").write_bytes(b"")
    (root / "test/dog/text.gif").write_text("no image")
    put("unlabeled/huge.png", Image.new("RGB", (400, 400)))
    put("unlabeled/vast.png", Image.new("RGB", (600, 600)))
    progressive = Image.new("RGB", (500, 500))
    put("unlabeled/progressive.jpg", progressive, progressive=True)
    put("unlabeled/reduced.jpg", Image.new("RGB", (600, 600), "white"))
    with pytest.warns(match="skipped 6 of 11 files because they cannot be decoded"):
        dataset = load(max_megapixels=0.1)
    assert dataset.labels.tolist() == [0, 1, -1]
    assert dataset.images[2].min() > 250
    messages = logged()
    large = ("huge.png", "progressive.jpg", "vast.png")
    for name in ("cut.png", "empty.jpg", "text.gif", *large):
        assert sum(f"{name}: " in message for message in messages) == 1
    names = [name for name, _ in dataset.files.unreadable]
    assert names == [str(root / f"train/cat/{n}") for n in ("cut.png", "empty.jpg")] + [
        str(root / f"unlabeled/{name}") for name in large
    ] + [str(root / "test/dog/text.gif")]


def test_other_files_and_folders_are_ignored_and_named(root, put, load, logged):
    (root / "train/cat/notes.txt").write_text("")
    (root / "train/cat/.DS_Store").write_text("")
    put("train/stray.png", "red")
    put("unlabelled/a.png", "white")
    with (
        pytest.warns(match="train: ignored 1 images outside a class folder"),
        pytest.warns(match="ignored folders other than .*: unlabelled"),
    ):
        assert len(load().images) == 2
    assert logged() == [f"{root}/train/cat: ignored files that are not images: 1 .txt"]


@pytest.mark.parametrize(
    ("folders", "text"),
    [
        ([], "no folder .*/train, and .* two class folders. Expected DIR/train/<cl"),
        (["cats"], "does not contain two class folders"),
        (["Train/cat", "Train/dog", "Test/cat"], "no folder .*/train, and"),
        (["cat", "dog"], "has no training image that can be read"),
        (["train", "test"], "/train has no class folders"),
        (["train/cat", "test"], "has no training image that can be read.*.gif"),
        (["train/cat", "test/cat"], "has no training image that can be read.*.gif"),
    ],
)
def test_refuses_empty_trees(tmp_path, load, folders, text):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(InputError, match=text) as raised:
        load()
    assert "\n" not in str(raised.value)


def test_refuses_a_test_class_that_is_not_in_train(root, put, load):
    put("test/cow/a.png", "red")
    with pytest.raises(InputError, match=r"not in train: cow\. train has: cat, dog"):
        load()


def test_the_directory_must_exist_and_may_be_in_the_home(root, load, monkeypatch):
    monkeypatch.setenv("HOME", str(root))
    assert len(load("~").images) == 2
    with pytest.raises(InputError, match="`dataset`=folder needs `data_dir`"):
        data.load(DataSettings("folder"))
    with pytest.raises(InputError, match=r"no folder .*nowhere\."):
        load(root / "nowhere")
