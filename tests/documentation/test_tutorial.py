"""The tutorial's commands, as they stand on the page, on drawn photographs."""

import contextlib
import importlib
import io
import pathlib
import shlex

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from color_s4l.classifier import load

# Appended: the page's settings are for a computer and an evening of one's own.
SMALLER = {
    "colorization.train": ["--epochs=1", "--width=0.0625", "--image_size=32"],
    "color_s4l.train": [
        *("--epochs=1", "--width=0.03", "--image_size=32", "--batch_size=8"),
        *("--jit_compile=false", "--nozca"),
    ],
}
CLASSES = ("red fox", "rabbit")


def photograph(path, kind, chance):
    """A disc or a square on a ground of any colour, larger than high, as JPEG."""
    colours = chance.integers(0, 255, (2, 3))
    image = Image.new("RGB", (120, 90), tuple(map(int, colours[0])))
    draw = ImageDraw.Draw(image)
    x, y = map(int, chance.integers(20, 50, 2))
    shape = draw.ellipse if kind else draw.rectangle
    shape((x, y, x + 40, y + 30), fill=tuple(map(int, colours[1])))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The tutorial's folder: 6 photographs of a class to train on, 4 to test on."""
    root, chance = tmp_path_factory.mktemp("tutorial"), np.random.default_rng(1)
    for kind, name in enumerate(CLASSES):
        for part, count in (("train", 6), ("test", 4), ("unlabeled", 8)):
            for number in range(count):
                place = f"holiday/{name}" if part == "unlabeled" else name
                path = root / "photos" / part / place / f"{number}.jpg"
                photograph(path, kind, chance)
    for kind, name in enumerate(("one", "two")):
        photograph(root / "new_photos" / f"{name}.jpg", kind, chance)
    return root


@pytest.fixture(scope="module")
def done(folder, blocks):
    """The page's commands, run in its order; what each printed."""
    printed = {}
    with contextlib.chdir(folder):
        for block in blocks("own_photographs.md"):
            if block.language == "bash":
                python, flag, module, *words = shlex.split(block.text)
                assert (python, flag) == ("python", "-m")
                words += SMALLER.get(module, [])
                main = importlib.import_module(module).main
                printed[module] = said(lambda main=main, words=words: main(words))
            if block.language == "python":
                printed["python"] = said(lambda text=block.text: exec(text, {}))
    return printed


def said(action):
    """What an action prints; it gives 0 or nothing."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert not action()
    return output.getvalue()


def test_the_commands_do_what_the_page_says(done, folder):
    with Image.open(folder / "inspection" / "contact_sheet.png") as sheet:
        assert min(sheet.size) > 100
    assert "12 labelled, 28 unlabelled" in done["color_s4l.train"]
    assert "8 test images of folder" in done["color_s4l.evaluate"]
    page = (folder / "photos.html").read_text(encoding="utf-8")
    assert "color_s4l on folder, 12 labels" in page
    assert "red fox" in page
    table = pd.read_csv(folder / "new_photos.csv")
    assert sorted(pathlib.Path(name).name for name in table["filename"]) == [
        "one.jpg",
        "two.jpg",
    ]
    assert set(table["label"]) <= set(CLASSES)
    assert len(pd.read_csv(folder / "unlabeled.csv")) == 16
    assert "at least 0.95" in done["color_s4l.predict"]
    assert (folder / "sure.csv").exists()
    with Image.open(folder / "label_these.png") as sheet:
        assert min(sheet.size) > 100
    assert "of 2 classes" in done["color_s4l.export"]
    assert (folder / "photos.onnx").stat().st_size > 1000
    classifier = load(folder / "runs" / "photos")
    assert classifier.classes == tuple(sorted(CLASSES))
    assert done["python"].strip() in CLASSES
