"""README, the tutorial and the notebook, executed as a user would follow them."""

import collections
import importlib
import json
import pathlib
import re

import nbclient
import nbformat
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


def test_tutorial(photographs, blocks, monkeypatch, capsys):
    monkeypatch.chdir(photographs)
    printed = collections.defaultdict(str)
    for block in blocks("docs/own_photographs.md"):
        for module, words in block.commands():
            name = "color_s4l.report.__main__" if "report" in module else module
            assert not importlib.import_module(name).main(words)
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


def test_python_of_readme(blocks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    smaller = {
        "0.25": "0.06",
        '"epochs": 6': '"epochs": 1, "unlabeled": 192',
        "0.125": "0.03",
        '"epochs": 20': '"epochs": 1',
    }
    names = {}
    for block in blocks("README.md"):
        if block.language == "python":
            text = block.text
            for own, other in smaller.items():
                text = text.replace(own, other)
            exec(text, names)
    printed = capsys.readouterr().out
    for method in ("supervised", "fast"):
        pattern = rf"^{method}: \d+\.\d % of the test images are misclassified$"
        assert re.search(pattern, printed, re.M)
    assert len(names["classifier"].classes) == 10
    assert names["model"].classes_.tolist() == list(range(10))
    assert 0 <= names["accuracy"] <= 1


# The notebook runs in another process; the warnings are those of Jupyter.
@pytest.mark.filterwarnings("ignore")
def test_notebook(tmp_path):
    notebook = nbformat.read(ROOT / "docs" / "main_job.ipynb", as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs")]
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, resources=resources).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    text = "".join(out.get("text", "") for out in outputs)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert f"{result['error']:.1f} % of the test images" in text
    assert len(re.findall(r"^\d predicted as \d, \d+%$", text, re.M)) == 5
    assert (tmp_path / "report.html").stat().st_size > 50_000
