"""What color_s4l.predict writes, and what it refuses."""

import pathlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import color_s4l
from color_s4l import predict
from color_s4l.artifacts import pictures
from color_s4l.prediction import sheet, stream, table


@pytest.fixture(scope="module")
def photographs(small, tmp_path_factory):
    """The test images as files in nested folders, one of them no image."""
    root = tmp_path_factory.mktemp("photographs")
    for number, image in enumerate(small.test_images):
        folder = root / ("a" if number % 2 else "b/ümlaut $x$")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number:02d}.png")
    (root / "a" / "broken.JPG").write_bytes(b"no image")
    (root / "notes.txt").touch()
    return root


@pytest.fixture(scope="module")
def confidence(expected):
    """A threshold that half of the images reach."""
    return round(float(np.median(expected.max(axis=1))), 4)


@pytest.fixture(scope="module")
def results(finished, photographs, confidence, tmp_path_factory):
    """Everything the command writes."""
    folder = tmp_path_factory.mktemp("results")
    flags = [f"--model={finished.run_dir}", f"--images={photographs}"]
    flags += [f"--output={folder / 'new' / 'table.csv'}", "--top_k=2"]
    flags += [f"--sheet={folder / 'sheet.png'}", "--least_certain=10"]
    flags += [f"--relabel={folder / 'labels.csv'}", f"--confidence={confidence}"]
    assert predict.main(flags) == 0
    return folder


@pytest.fixture(scope="module")
def expected(finished, small):
    return color_s4l.load(finished.run_dir).predict(small.test_images)


def number_of(name):
    return int(pathlib.PurePosixPath(name).stem)


def test_the_table_holds_every_readable_image(results, expected, small):
    rows = pd.read_csv(results / "new" / "table.csv", dtype={"label": str})
    assert list(rows.columns) == [
        "filename",
        "label",
        "probability",
        "label_2",
        "probability_2",
    ]
    assert len(rows) == len(small.test_images)
    assert rows["filename"].iloc[0] == "a/01.png"
    assert rows["filename"].iloc[-1] == "b/ümlaut $x$/30.png"
    order = [number_of(name) for name in rows["filename"]]
    probabilities = expected[order]
    best = probabilities.max(axis=1)
    assert rows["probability"].to_numpy() == pytest.approx(best, abs=1e-5)
    assert rows["label"].astype(int).tolist() == probabilities.argmax(axis=1).tolist()
    second = np.sort(probabilities, axis=1)[:, -2]
    assert rows["probability_2"].to_numpy() == pytest.approx(second, abs=1e-5)


def test_the_relabelled_ones_are_the_certain_ones(results, photographs, confidence):
    rows = pd.read_csv(results / "new" / "table.csv")
    labels = pd.read_csv(results / "labels.csv")
    assert list(labels.columns) == ["filename", "label"]
    sure = rows[rows["probability"] >= confidence]
    assert 0 < len(sure) < len(rows), "the threshold must tell some apart"
    # Elsewhere than the table, and so by the whole path.
    whole = [str(photographs / name) for name in sure["filename"]]
    assert labels["filename"].tolist() == whole
    assert labels["label"].tolist() == sure["label"].tolist()


def test_the_sheet_is_a_picture(results):
    with Image.open(results / "sheet.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    # 10 images: two lines of six; the last two places of the second are empty.
    height, width = pixels.shape[:2]
    assert width > height
    assert pixels[height // 2 :, : width // 2].std() > 20
    assert pixels[height // 2 + 30 :, -width // 4 :].min() == 255


def test_a_sheet_bears_names_of_any_script(photographs, tmp_path):
    # Warnings are errors here, and no font need be installed for these letters.
    row = {"filename": "蛙.png", "label": "蛙", "probability": 0.4}
    figure = sheet.sheet([(photographs / "a" / "01.png", row)])
    pictures.save(figure, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert np.asarray(picture.convert("RGB")).std() > 20


def test_a_pattern_and_a_file(finished, photographs, tmp_path, capsys):
    model = f"--model={finished.run_dir}/model.h5"
    for images, count, first in (
        ("a/*", 16, "01.png"),
        ("**/*.png", 32, "a/01.png"),
        ("a/03.png", 1, "03.png"),
    ):
        output = tmp_path / f"{count}.csv"
        words = [model, f"--images={photographs / images}", f"--output={output}"]
        assert predict.main([*words, "--top_k=9"]) == 0
        printed = capsys.readouterr()
        assert ("broken.JPG" in printed.err) == (images == "a/*")
        assert ("left out   1 " in printed.out) == (images == "a/*")
        rows = pd.read_csv(output)
        assert (len(rows), rows["filename"].iloc[0]) == (count, first)
        # There are four classes, whatever was asked for.
        assert list(rows.columns)[-1] == "probability_4"


def test_streams_in_order_with_a_bounded_number_in_memory(tmp_path, monkeypatch):
    decoded = []

    def decode(path, size):
        assert size == 4
        decoded.append(path)
        if int(path) % 7 == 0:
            raise OSError("broken")
        return Image.new("RGB", (8, 8), (int(path), 0, 0))

    monkeypatch.setattr(stream, "BATCH", 10)
    monkeypatch.setattr(stream.image_files, "decode", decode)
    reader = stream.Reader([str(n) for n in range(95)], size=4)
    seen = []
    for number, (paths, images) in enumerate(reader):
        assert images.shape == (len(paths), 4, 4, 3)
        assert images[:, 0, 0, 0].tolist() == [int(path) for path in paths]
        # The batch itself, and those that are decoded ahead.
        assert len(decoded) <= 10 * (number + 1 + stream.AHEAD)
        seen += paths
    assert seen == [str(n) for n in range(95) if n % 7]
    assert reader.unreadable == 14


def test_the_least_certain_ones_of_all_batches():
    doubtful = table.LeastCertain(3)
    for batch in ([0.9, 0.3, 0.5], [0.31, 0.3, 0.99], [0.8]):
        paths = [pathlib.Path(f"{probability}") for probability in batch]
        doubtful.add(paths, pd.DataFrame({"probability": batch, "filename": paths}))
    # Of the two 0.3 both stay, the earlier one first.
    found = [row["probability"] for _, row in doubtful.items()]
    assert found == [0.3, 0.3, 0.31]


def test_ranks_by_hand():
    probabilities = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], "float32")
    rows = table.ranked(["x", "y"], probabilities, ["a", "b", "c"], top=2)
    assert rows["label"].tolist() == ["b", "a"]  # of equals the earlier class
    assert rows["label_2"].tolist() == ["c", "c"]
    assert rows["probability_2"].tolist() == pytest.approx([0.3, 0.4])


def test_refuses_before_anything_is_written(finished, photographs, tmp_path, refused):
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.csv").touch()
    good = {
        "model": finished.run_dir,
        "images": photographs / "a",
        "output": tmp_path / "x.csv",
    }
    for changes, text in (
        ({"model": ""}, "--model is missing"),
        ({"images": ""}, "--images is missing"),
        ({"images": tmp_path / "no"}, "there is no image. Expected a directory"),
        ({"images": tmp_path / "empty"}, "there is no image. Expected files ending"),
        ({"output": tmp_path / "there.csv"}, "there.csv exists already"),
        ({"sheet": tmp_path / "x.csv"}, "another file for each"),
        ({"top_k": 0}, "--top_k=0: expected at least 1"),
        ({"confidence": 1.5}, "--confidence=1.5: expected 0 < p <= 1"),
        ({"model": tmp_path}, "is no run's folder"),
    ):
        words = [f"--{name}={value}" for name, value in {**good, **changes}.items()]
        line = refused(predict.main(words))
        assert text in line, line
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "there.csv"}


def test_nothing_remains_where_no_image_could_be_read(finished, tmp_path, capsys):
    (tmp_path / "x.png").write_bytes(b"no image")
    words = [f"--model={finished.run_dir}", f"--images={tmp_path}"]
    words += [f"--{name}={tmp_path / name}.csv" for name in ("output", "relabel")]
    assert predict.main(words) == 2
    printed = capsys.readouterr().err
    assert "cannot read" in printed
    assert printed.endswith("no image could be read.\n")
    assert "Traceback" not in printed
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
