"""color_s4l.inspect on a folder with many things that can be wrong."""

import contextlib
import dataclasses
import io
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from color_s4l import inspect


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """12 cats, a dog, 3 unlabelled; a test image is a training image; one is broken."""
    root = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)

    def put(path, size=(24, 16)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        pixels = noise.integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(root / path)

    for number in range(12):
        put(f"train/Katze $x$/{number:02d}.png")
    put("train/犬/0.png", (40, 40))
    for number in range(3):
        put(f"unlabeled/{number}.jpg")
    put("test/犬/0.png")
    (root / "test" / "Katze $x$").mkdir()
    copied = (root / "train" / "Katze $x$" / "03.png").read_bytes()
    (root / "test" / "Katze $x$" / "again.png").write_bytes(copied)
    (root / "unlabeled" / "broken.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def shown(root, colorizer_file, tmp_path_factory):
    """The folder written, and the text printed."""
    folder = tmp_path_factory.mktemp("inspected") / "deeper"
    words = ["--dataset=folder", f"--data_dir={root}", "--image_size=16"]
    words += [f"--colorizer={colorizer_file}", f"--output={folder}", "--cache=memory"]
    with (
        contextlib.redirect_stdout(io.StringIO()) as text,
        contextlib.redirect_stderr(io.StringIO()) as errors,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        assert inspect.main(words) == 0
    assert "skipped 1 of 19 files" in errors.getvalue()
    return folder, text.getvalue()


def test_tables(shown, root):
    folder, text = shown
    tables = {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}
    assert tables["counts"].values.tolist() == [
        ["Katze $x$", 12, 1],
        ["犬", 1, 1],
        ["(no label)", 3, 0],
    ]
    assert ", 2 classes, read at 16 px" in text
    assert "one class has more than 10 times" in text
    cats = [f"{root}/{name}" for name in ("test/Katze $x$", "train/Katze $x$")]
    assert tables["duplicates"].values.tolist() == [
        [f"{cats[0]}/again.png", f"{cats[1]}/03.png", "Katze $x$", "Katze $x$"]
    ]
    assert "duplicates 1 test images are also training images" in text
    assert len(tables["files"]) == 12 + 1 + 3 + 2
    assert tables["files"]["format"].value_counts().to_dict() == {"PNG": 15, "JPEG": 3}
    assert "24 x 16 to 40 x 40 pixels, median 24 x 16; 6 % square" in text
    broken = str(root / "unlabeled" / "broken.png")
    assert tables["unreadable"]["filename"].tolist() == [broken]
    assert "unreadable 1 files" in text


@pytest.mark.parametrize(
    ("name", "least"), [("contact_sheet", (900, 300)), ("views", (700, 700))]
)
def test_pictures(shown, name, least):
    folder, text = shown
    with Image.open(folder / f"{name}.png") as picture:
        assert picture.width > least[0]
        assert picture.height > least[1]
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 1000
    assert "without the colourised view" not in text


def test_views_are_the_published_ones_in_their_order(small):
    axes = inspect.views(small, None).axes
    titles = [axis.get_title().replace("\n", " ") for axis in axes[:6]]
    assert titles[:3] == ["0 identity", "1 rotated 90", "2 rotated 180"]
    assert titles[5] == "5 flipped up down"
    assert len(axes) == 6 * inspect.PICTURED
    # The first image and its rotation by 90 degrees, counter-clockwise.
    first, rotated = (np.asarray(axis.images[0].get_array()) for axis in axes[:2])
    assert (first == small.images[0]).all()
    assert (rotated == np.rot90(small.images[0])).all()


def test_built_in_images_without_a_colorizer(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inspect.main(["--image_size=8"]) == 0
    assert "which needs --colorizer" in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "inspection_digits").iterdir())
    assert names == ["contact_sheet.png", "counts.csv", "duplicates.csv", "views.png"]


def test_wrong_labels_and_similar_images(finished, small_dir, small, tmp_path, capsys):
    root, folder = tmp_path / "photos", tmp_path / "inspected"
    shutil.copytree(small_dir, root)
    # Class 0 has a copy of an image of class 3, a little darker; so has the test set.
    image = small.images[np.flatnonzero(small.labels == 3)[0]]
    darker = Image.fromarray((0.97 * image).astype("uint8"))
    darker.save(root / "train" / "0" / "wrong.png")
    darker.save(root / "test" / "3" / "similar.png")
    words = ["--dataset=folder", f"--data_dir={root}", f"--model={finished.run_dir}"]
    assert inspect.main([*words, f"--output={folder}", "--similarity=0.9"]) == 0
    printed = capsys.readouterr().out
    pairs = pd.read_csv(folder / "near_duplicates.csv", dtype=str)
    assert "similar    " in printed
    assert str(root / "test" / "3" / "similar.png") in pairs["test"].tolist()
    assert pairs["similarity"].astype(float).between(0.9, 1.0001).all()
    labels = pd.read_csv(folder / "wrong_labels.csv", dtype=str)
    assert f"labels     {len(labels)} labels are suspected to be wrong" in printed
    assert list(labels.columns)[:3] == ["image", "given", "suggested"]
    assert (labels["given"] != labels["suggested"]).all()
    assert set(labels["given"]) | set(labels["suggested"]) <= set("0123")


def test_planted_wrong_labels_are_named(small):
    # Features that show the true class.
    features = np.eye(4)[small.labels] + 0.01 * np.arange(48)[:, None]
    tests = np.eye(4)[small.test_labels]
    labels = small.labels.copy()
    labels[5] = (labels[5] + 1) % 4
    planted = dataclasses.replace(small, labels=labels)
    found = inspect.wrong_labels(planted, features, tests)
    assert found["image"].tolist() == ["training[5]"]
    assert found["suggested"].tolist() == [small.classes[small.labels[5]]]


def test_wrong_input_writes_nothing(tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--dataset=folder", "--data_dir=nowhere"]
    assert "nowhere" in refused(inspect.main(words))
    assert "no.h5" in refused(inspect.main(["--colorizer=no.h5"]))
    assert "no.keras" in refused(inspect.main(["--model=no.keras"]))
    assert "--similarity" in refused(inspect.main(["--similarity=2"]))
    assert not list(tmp_path.iterdir())
