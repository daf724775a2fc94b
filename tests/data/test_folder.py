import io
import shutil

import numpy as np
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings


def plain(color, size=(8, 8), mode="RGB"):
    return Image.new(mode, size, color)


def put(root, path, image, **options):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    image.save(root / path, **options)


@pytest.fixture
def root(tmp_path):
    """Classes cat and dog with one red and one blue training and test image."""
    for part in ("train", "test"):
        put(tmp_path, f"{part}/cat/a.png", plain("red"))
        put(tmp_path, f"{part}/dog/a.png", plain("blue"))
    return tmp_path


def load(root, image_size=8, **options):
    source = DataSettings("folder", str(root), image_size, **options)
    return data.load_source(source)


def one(root, image, name="b.png", **options):
    """What becomes of one more training image of the first class."""
    put(root, f"train/cat/{name}", image, **options)
    return load(root).images[1]


def test_reads_classes_in_order(root):
    dataset = load(root)
    assert dataset.classes == ("cat", "dog")
    assert dataset.images[:, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255]]
    assert dataset.labels.tolist() == dataset.test_labels.tolist() == [0, 1]
    assert load(root, None).images.shape == (2, 32, 32, 3)


def test_unlabeled_images_come_last_without_label(root):
    put(root, "unlabeled/z.png", plain("white"))
    put(root, "unlabeled/deep/er/y.png", plain("black"))
    dataset = load(root)
    assert dataset.labels.tolist() == [0, 1, -1, -1]
    assert dataset.images[2:, 0, 0, 0].tolist() == [0, 255]


def test_order_is_sorted_and_deterministic(root):
    for level in (30, 10, 20):
        put(root, f"train/cat/sub/{level}.png", plain((level,) * 3))
    first, second = load(root), load(root)
    assert first.images[:, 0, 0, 0].tolist() == [255, 10, 20, 30, 0]
    assert (first.images == second.images).all()


def test_classes_of_any_name_and_one_image_each(tmp_path):
    names = ("Müller's dog", "кот", "猫 2", "NA")
    for level, name in enumerate(names):
        for part in ("train", "test"):
            put(tmp_path, f"{part}/{name}/a b.PNG", plain((level,) * 3))
    dataset = load(tmp_path)
    assert dataset.classes == tuple(sorted(names))
    expected = [names.index(name) for name in dataset.classes]
    assert dataset.images[:, 0, 0, 0].tolist() == expected
    assert dataset.files.training[0].endswith(f"{dataset.classes[0]}/a b.PNG")


def test_empty_classes_are_named_and_left_out(root, capsys):
    (root / "train/ant").mkdir()
    (root / "train/bee").mkdir()
    (root / "train/bee/broken.png").write_bytes(b"")
    put(root, "unlabeled/a.png", plain("white"))
    dataset = load(root)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 1, -1]
    assert dataset.test_labels.tolist() == [0, 1]
    assert "without an image are left out: 'ant', 'bee'" in capsys.readouterr().err
    put(root, "test/bee/a.png", plain("red"))
    with pytest.raises(InputError, match="no training image can be read: bee"):
        load(root)


def test_other_folders_are_named(root, capsys):
    put(root, "unlabelled/a.png", plain("white"))
    assert len(load(root).images) == 2
    assert "passed over folders beside train: unlabelled" in capsys.readouterr().err


def test_a_share_is_held_out_by_name(tmp_path):
    for number in range(10):
        put(tmp_path, f"train/cat/{number}.png", plain((number,) * 3))
    for number in range(3):
        put(tmp_path, f"train/dog/{number}.png", plain((100 + number,) * 3))
    put(tmp_path, "train/one/0.png", plain((200,) * 3))
    put(tmp_path, "unlabeled/0.png", plain((201,) * 3))
    with pytest.raises(InputError, match=r"no test images.*--test_fraction=0\.2"):
        load(tmp_path)
    dataset = load(tmp_path, test_fraction=0.2)
    # 2 of 10, 1 of 3 (at least one), 0 of 1 (one stays).
    assert dataset.test_labels.tolist() == [0, 0, 1]
    assert dataset.labels.tolist() == [0] * 8 + [1] * 2 + [2, -1]
    seen = (
        dataset.images[:, 0, 0, 0].tolist() + dataset.test_images[:, 0, 0, 0].tolist()
    )
    assert len(set(seen)) == 15
    again = load(tmp_path, test_fraction=0.2)
    assert again.files == dataset.files
    assert load(tmp_path, test_fraction=0.5).test_labels.tolist() == [0] * 5 + [1] * 2


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_refuses_shares_that_are_none(root, fraction):
    shutil.rmtree(root / "test")
    with pytest.raises(InputError, match="expected 0 < p < 1"):
        load(root, test_fraction=fraction)


def test_refuses_a_share_of_what_has_none(root):
    with pytest.raises(InputError, match="leave --test_fraction out"):
        load(root, test_fraction=0.5)
    shutil.rmtree(root / "test")
    with pytest.raises(InputError, match="no class has two labelled images"):
        load(root, test_fraction=0.5)


def test_its_flags_are_refused_elsewhere(root):
    with pytest.raises(InputError, match=r"--fit=pad is for --dataset=folder"):
        data.load_source(DataSettings("digits", fit="pad"))


def test_unreadable_files_are_named_counted_and_skipped(root, capsys, monkeypatch):
    encoded = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(encoded, "PNG")
    (root / "train/cat/cut.png").write_bytes(encoded.getvalue()[:5000])
    (root / "train/cat/empty.jpg").write_bytes(b"")
    (root / "test/dog/text.gif").write_text("no image")
    put(root, "unlabeled/huge.png", plain("red", (400, 400)))
    put(root, "unlabeled/vast.png", plain("red", (600, 600)))
    # Warns above this many pixels, raises above twice as many.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    dataset = load(root)
    assert dataset.labels.tolist() == [0, 1]
    said = capsys.readouterr().err
    for name in ("cut.png", "empty.jpg", "text.gif", "huge.png", "vast.png"):
        assert sum(name in line for line in said.splitlines()) == 1
    assert said.splitlines()[-1].endswith(
        "skipped 5 of 9 files that cannot be decoded."
    )


def test_other_files_are_passed_over_with_a_count(root, capsys):
    (root / "train/cat/notes.txt").write_text("")
    (root / "train/cat/.DS_Store").write_text("")
    put(root, "train/stray.png", plain("red"))
    assert len(load(root).images) == 2
    said = capsys.readouterr().err
    assert "train/cat: passed over what is no image: 1 .txt\n" in said
    assert "passed over 1 images outside of a class's folder" in said
    assert "DS_Store" not in said


def test_refuses_a_test_class_that_train_has_not(root):
    put(root, "test/cow/a.png", plain("red"))
    with pytest.raises(InputError, match=r"not: cow\. train has: cat, dog"):
        load(root)


def test_a_class_may_lack_test_images(root):
    put(root, "train/cow/a.png", plain("red"))
    assert load(root).classes == ("cat", "cow", "dog")
    assert load(root).test_labels.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("folders", "text"),
    [
        ([], "no folder .*/train. Expected DIR/train/<class>"),
        (["train", "test"], "/train holds no folders of classes"),
        (["train/cat", "test"], "holds no training image that can be read.*.gif"),
        (["train/cat", "test/cat"], "holds no training image that can be read.*.gif"),
    ],
)
def test_refuses_empty_trees(tmp_path, folders, text):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(InputError, match=text) as raised:
        load(tmp_path)
    assert "\n" not in str(raised.value)


def test_home_directory_is_understood(root, monkeypatch):
    monkeypatch.setenv("HOME", str(root))
    assert len(load("~").images) == 2


def test_refuses_a_missing_directory(tmp_path):
    with pytest.raises(InputError, match="needs --data_dir=DIR"):
        data.load("folder")
    with pytest.raises(InputError, match=r"no folder .*nowhere\."):
        load(tmp_path / "nowhere")
