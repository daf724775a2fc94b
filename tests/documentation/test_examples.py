"""README and the tutorials, executed as a user would follow them."""

import collections
import importlib
import pathlib
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLASSES = ("red fox", "rabbit")


def photograph(path, kind, chance):
    """A bright or dark square on a random background, as JPEG."""
    pixels = chance.integers(0, 255, 3) * np.ones((90, 120, 3))
    pixels[20:60, 30:80] = 255 * kind
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype("uint8")).save(path)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """The tutorial's folder: 6 training and 4 test photographs per class."""
    root, chance = tmp_path_factory.mktemp("tutorial"), np.random.default_rng(1)
    for kind, name in enumerate(CLASSES):
        for part, count in (("train", 6), ("test", 4), ("unlabeled", 8)):
            for number in range(count):
                photograph(root / f"photos/{part}/{name}/{number}.jpg", kind, chance)
    for kind, name in enumerate(("one", "two")):
        photograph(root / f"new_photos/{name}.jpg", kind, chance)
    return root


def fill_in(path):
    """Writes the true labels, the names of the folders, into a table of suggestions."""
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows["label"] = [pathlib.Path(name).parent.name for name in rows["filename"]]
    rows.to_csv(path, index=False)


def main_of(module):
    """Returns the function `main` of a command."""
    name = f"{module}.__main__" if module == "color_s4l.report" else module
    return importlib.import_module(name).main


def test_tutorial(photographs, blocks, monkeypatch, capsys):
    monkeypatch.chdir(photographs)
    printed = collections.defaultdict(str)
    for block in blocks("docs/own_photographs.md"):
        for module, words in block.commands():
            assert not main_of(module)(words)
            printed[module] += capsys.readouterr().out
            for word in words:
                if word.startswith("--suggestions="):
                    fill_in(word.partition("=")[2])
        if block.language == "python":
            exec(block.text, {})
    assert capsys.readouterr().out.strip() in CLASSES
    assert "12 labelled, 28 unlabelled" in printed["color_s4l.train"]
    assert "16 labelled, 28 unlabelled" in printed["color_s4l.train"]
    assert "4 of 12 images without a label" in printed["color_s4l.predict"]
    assert "8 test images" in printed["color_s4l.predict"]
    assert "8 test images of photos" in printed["color_s4l.evaluate"]
    page = pathlib.Path("photos.html").read_text(encoding="utf-8")
    assert "12 labels" in page
    assert "red fox" in page
    table = pd.read_csv("new_photos.csv")
    names = sorted(pathlib.Path(name).name for name in table["filename"])
    assert names == ["one.jpg", "two.jpg"]
    assert set(table["label"]) <= set(CLASSES)
    assert pathlib.Path("sure.csv").exists()
    for picture in ("inspection/contact_sheet.png", "round1.png"):
        with Image.open(picture) as sheet:
            assert min(sheet.size) > 100
    assert pathlib.Path("photos.onnx").stat().st_size > 1000
    assert pathlib.Path("photos.keras").stat().st_size > 1000
    assert pathlib.Path("inspection2/wrong_labels.csv").exists()


def test_python_of_readme(blocks, capsys):
    smaller = {
        "width=0.25, epochs=6": "width=0.06, epochs=1",
        "images = drawings.images": "images = drawings.images[:192]",
        "drawings.labels.copy()": "drawings.labels[:192].copy()",
    }
    names = {}
    for block in blocks("README.md"):
        if block.language == "python":
            text = block.text
            for own, other in smaller.items():
                assert own in text
                text = text.replace(own, other)
            exec(text, names)
    accuracy = re.search(r"^accuracy (0\.\d{3})$", capsys.readouterr().out, re.M)
    assert 0 <= float(accuracy[1]) <= 1
    assert names["model"].classes_.tolist() == list(range(10))
    assert names["probabilities"].shape == (1000, 10)


def test_ten_minutes(blocks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in blocks("docs/ten_minutes.md"):
        for module, words in block.commands():
            assert not main_of(module)(words)
        if block.language == "python":
            exec(block.text, {})
    printed = capsys.readouterr().out
    assert len(re.findall(r"^\w+ predicted as \w+, \d+%$", printed, re.M)) == 5
    with Image.open("drawings.png") as row:
        assert row.size == (1280, 128)
    page = pathlib.Path("report.html").read_text(encoding="utf-8")
    for method in ("supervised+polyak", "fast", "color_s4l+polyak"):
        assert method in page
