"""color_s4l.predict: tables, picture, errors, and training on its labels."""

import collections
import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import color_s4l
from color_s4l import data, predict, prediction, suggestions, train
from color_s4l.artifacts import pictures
from color_s4l.settings import DataSettings


@pytest.fixture(scope="module")
def photographs(small, tmp_path_factory):
    """The test images in nested folders, and a file that is not an image."""
    root = tmp_path_factory.mktemp("photographs")
    for number, image in enumerate(small.test_images):
        folder = root / ("a" if number % 2 else "b/ümlaut $x$")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number:02d}.png")
    (root / "a" / "broken.JPG").write_bytes(b"no image")
    (root / "notes.txt").touch()
    return root


@pytest.fixture(scope="module")
def expected(finished, small):
    """Probabilities of the test images."""
    return color_s4l.load(finished.run_dir).predict(small.test_images)


@pytest.fixture(scope="module")
def confidence(expected):
    """A threshold that half of the images reach."""
    return round(float(np.median(expected.max(axis=1))), 4)


@pytest.fixture(scope="module")
def results(finished, photographs, confidence, tmp_path_factory):
    """The folder with everything that the command writes."""
    folder = tmp_path_factory.mktemp("results")
    flags = [f"--model={finished.run_dir}", f"--images={photographs}"]
    flags += [f"--output={folder / 'new' / 'table.csv'}", "--top_k=2"]
    flags += ["--suggest=10", f"--suggestions={folder / 'suggestions.csv'}"]
    flags += [f"--sheet={folder / 'sheet.png'}"]
    flags += [f"--export_labels={folder / 'tasks.json'}"]
    flags += [f"--relabel={folder / 'labels.csv'}", f"--confidence={confidence}"]
    assert predict.main(flags) == 0
    return folder


def test_table_holds_every_readable_image(results, expected, small):
    rows = pd.read_csv(results / "new" / "table.csv", dtype={"label": str})
    assert ",".join(rows) == "filename,label,probability,label_2,probability_2"
    assert len(rows) == len(small.test_images)
    assert rows["filename"].iloc[0] == "a/01.png"
    assert rows["filename"].iloc[-1] == "b/ümlaut $x$/30.png"
    probabilities = expected[[int(pathlib.Path(n).stem) for n in rows["filename"]]]
    ordered = np.sort(probabilities, axis=1)
    assert rows["probability"].to_numpy() == pytest.approx(ordered[:, -1], abs=1e-5)
    assert rows["probability_2"].to_numpy() == pytest.approx(ordered[:, -2], abs=1e-5)
    assert rows["label"].astype(int).tolist() == probabilities.argmax(axis=1).tolist()


def test_relabelled_images_are_the_certain_ones(results, photographs, confidence):
    rows = pd.read_csv(results / "new" / "table.csv")
    labels = pd.read_csv(results / "labels.csv")
    assert list(labels.columns) == ["filename", "label"]
    sure = rows[rows["probability"] >= confidence]
    assert 0 < len(sure) < len(rows), "the threshold must divide the images"
    # The images are not below the folder of the table, so their paths are absolute.
    paths = [str(photographs / name) for name in sure["filename"]]
    assert labels["filename"].tolist() == paths
    assert labels["label"].tolist() == sure["label"].tolist()


def test_suggestions_are_those_of_all_images(results, finished, photographs):
    rows = pd.read_csv(results / "suggestions.csv", dtype=str, keep_default_na=False)
    assert list(rows.columns) == ["filename", "label", "guess", "probability"]
    assert set(rows["label"]) == {""}
    paths = sorted(photographs.rglob("*.png"))
    classifier = color_s4l.load(finished.run_dir)
    probabilities, features = classifier.predict_with_features(paths)
    chosen = suggestions.choose(features, probabilities, 10)
    assert rows["filename"].tolist() == [str(paths[k]) for k in chosen]
    best = probabilities[chosen]
    assert rows["guess"].astype(int).tolist() == best.argmax(axis=1).tolist()
    assert rows["probability"].astype(float).to_numpy() == pytest.approx(
        best.max(axis=1), abs=1e-5
    )
    tasks = json.loads((results / "tasks.json").read_text())
    assert [task["data"]["filename"] for task in tasks] == rows["filename"].tolist()
    start = f"/data/local-files/?d={photographs.name}/"
    assert all(task["data"]["image"].startswith(start) for task in tasks)


def test_the_expected_share_of_wrong_labels(finished, photographs, tmp_path, capsys):
    words = [f"--model={finished.run_dir}", f"--images={photographs / 'b'}"]
    words += [f"--output={tmp_path / 'x.csv'}", f"--relabel={tmp_path / 'y.csv'}"]
    assert predict.main([*words, "--confidence=0.01"]) == 0
    rows = pd.read_csv(tmp_path / "x.csv")
    wrong = 100 * (1 - rows["probability"].mean())
    printed = capsys.readouterr().out
    assert f"{wrong:.1f} % wrong labels by their probabilities, calib" in printed
    assert "calibrated on 8 validation images" in printed
    known = color_s4l.load(finished.run_dir)

    def text(**changes):
        about = dataclasses.replace(known.about, **changes)
        return predict._expected(
            dataclasses.replace(known, about=about), [0.9, 0.99], 0.95
        )

    assert "not known: no image with a label" in text(temperature=None, mistakes=())
    counts = ((0.8, 50, 9), (0.9, 20, 3), (0.99, 0, 0))
    found = text(temperature=2.0, mistakes=counts, counted_on="60 test images")
    # Wilson: (3 + 1.96^2 / 2) / (20 + 1.96^2), plus and minus 0.1549.
    assert found.startswith("15.0 % wrong labels (95 % interval 5.2 to 36.0): 3 of 20")
    assert "at least 0.9 are classified wrongly, among 60 test images; 5.5 %" in found


def test_sheet_is_a_picture(results):
    with Image.open(results / "sheet.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    # 10 images: two lines of six; the last two places of the second are empty.
    height, width = pixels.shape[:2]
    assert width > height
    assert pixels[height // 2 :, : width // 2].std() > 20
    assert pixels[height // 2 + 30 :, -width // 4 :].min() == 255


def test_sheet_with_letters_of_any_script(photographs, tmp_path):
    # Warnings are errors in the tests, and no font may be installed for these letters.
    row = {"filename": "蛙.png", "label": "蛙", "probability": 0.4}
    rows = pd.DataFrame([{**row, "path": photographs / "a" / "01.png"}])
    pictures.save(prediction.sheet(rows), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert np.asarray(picture.convert("RGB")).std() > 20


@pytest.mark.parametrize(
    ("images", "count", "first"),
    [("a/*", 16, "01.png"), ("**/*.png", 32, "a/01.png"), ("a/03.png", 1, "03.png")],
)
def test_pattern_or_file(finished, photographs, tmp_path, capsys, images, count, first):
    output = tmp_path / "table.csv"
    words = [f"--model={finished.run_dir}/model.h5", "--top_k=9"]
    words += [f"--images={photographs / images}", f"--output={output}"]
    assert predict.main(words) == 0
    printed = capsys.readouterr()
    assert ("broken.JPG" in printed.err) == (images == "a/*")
    assert ("left out   1 " in printed.out) == (images == "a/*")
    rows = pd.read_csv(output)
    assert (len(rows), rows["filename"].iloc[0]) == (count, first)
    assert list(rows.columns)[-1] == "probability_4"  # there are only four classes


def test_reader_keeps_the_order_and_few_batches_in_memory(monkeypatch):
    decoded = []

    def decode(path, size, max_megapixels):
        assert (size, max_megapixels) == (4, 50)
        decoded.append(path)
        if int(path) % 7 == 0:
            raise OSError("broken")
        return Image.new("RGB", (8, 8), (int(path), 0, 0))

    monkeypatch.setattr(prediction, "BATCH", 10)
    monkeypatch.setattr(prediction, "AHEAD", 20)
    monkeypatch.setattr(prediction.image_files, "decode", decode)
    reader = prediction.Reader([str(n) for n in range(95)], size=4)
    seen = []
    for paths, images in reader:
        assert images.shape == (len(paths), 4, 4, 3)
        assert images[:, 0, 0, 0].tolist() == [int(path) for path in paths]
        assert len(decoded) <= int(paths[-1]) + 20
        seen += paths
    assert seen == [str(n) for n in range(95) if n % 7]
    assert reader.unreadable == 14


def test_ranked_rows():
    probabilities = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], "float32")
    rows = prediction.ranked(["x", "y"], probabilities, ["a", "b", "c"], top=2)
    assert rows["label"].tolist() == ["b", "a"]  # of equal ones the first class
    assert rows["label_2"].tolist() == ["c", "c"]
    assert rows["probability_2"].tolist() == pytest.approx([0.3, 0.4])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model": ""}, "--model is missing"),
        ({"images": ""}, "--images is missing"),
        ({"images": "no"}, "--images=no: there is no image. Expected a directory"),
        ({"images": "empty"}, "there is no image. Expected files ending"),
        ({"output": "there.csv"}, "there.csv already exists"),
        ({"relabel": "x.csv"}, "a different file for each"),
        ({"sheet": "x.png"}, "--sheet needs --suggest=N"),
        ({"labels_csv": "x.csv"}, "--labels_csv needs --suggest=N"),
        ({"suggest": 0}, "Expected --suggest to be 1 or more. Received: 0"),
        ({"suggest": 2, "labels_csv": "no.csv"}, "Cannot read no.csv"),
        ({"top_k": 0}, "Expected --top_k to be 1 or more. Received: 0"),
        ({"confidence": 1.5}, "Expected --confidence to be from 0 to 1. Received: 1.5"),
        ({"model": "."}, "config.json"),
    ],
)
def test_refuses_and_writes_nothing(
    finished, photographs, tmp_path, refused, monkeypatch, changes, text
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.csv").touch()
    values = {"model": finished.run_dir, "images": photographs / "a", "output": "x.csv"}
    words = [f"--{name}={value}" for name, value in {**values, **changes}.items()]
    line = refused(predict.main(words))
    assert text in line, line
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "there.csv"}


def test_no_file_remains_if_no_image_can_be_read(finished, tmp_path, capsys):
    (tmp_path / "x.png").write_bytes(b"no image")
    words = [f"--model={finished.run_dir}", f"--images={tmp_path}"]
    words += [f"--{name}={tmp_path / name}.csv" for name in ("output", "relabel")]
    assert predict.main(words) == 2
    printed = capsys.readouterr().err
    assert "cannot read" in printed
    assert printed.endswith("no image can be read.\n")
    assert "Traceback" not in printed
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


@pytest.fixture(scope="module")
def relabelled(finished, small_dir, small, tmp_path_factory):
    """Class folders with unlabelled images, and the labels of their certain half."""
    root = tmp_path_factory.mktemp("relabel")
    photos, labels = root / "photos", root / "labels.csv"
    shutil.copytree(small_dir, photos)
    for number, image in enumerate(small.test_images):
        folder = photos / "unlabeled" / ("a b" if number % 2 else "c, d")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rot90(image)).save(folder / f"{number:02d}.png")
    words = [f"--model={finished.run_dir}", f"--images={photos / 'unlabeled'}"]
    assert predict.main([*words, f"--output={root / 'all.csv'}"]) == 0
    median = pd.read_csv(root / "all.csv")["probability"].median()
    words += [f"--output={root / 'again.csv'}", f"--relabel={labels}"]
    assert predict.main([*words, f"--confidence={median}"]) == 0
    return photos, labels


def test_labels_add_to_the_class_folders(relabelled, small, tiny):
    photos, labels = relabelled
    given = pd.read_csv(labels, dtype=str)
    assert 0 < len(given) <= 17  # of 32: the median and equal probabilities
    assert all(given["filename"].str.startswith("photos/unlabeled/"))
    assert all((labels.parent / name).is_file() for name in given["filename"])
    settings = DataSettings(
        "folder", str(photos), tiny.image_size, labels_csv=str(labels)
    )
    dataset = data.load(settings)
    assert len(dataset.images) == len(small.labels) + len(small.test_labels)
    counts = collections.Counter(np.array(small.classes)[small.labels])
    counts += collections.Counter(given["label"])
    numbers = collections.Counter(dataset.labels[dataset.labels >= 0].tolist())
    assert {dataset.classes[k]: n for k, n in numbers.items()} == counts
    assert dataset.test_labels.tolist() == small.test_labels.tolist()


def test_training_on_the_labels(relabelled, tiny, flags, tmp_path, capsys):
    photos, labels = relabelled
    run = dataclasses.replace(
        tiny,
        data_dir=str(photos),
        labels_csv=str(labels),
        method="supervised",
        labels=None,
        validation=0,
        unlabeled=None,
        epochs=1,
        run_dir=str(tmp_path / "run"),
    )
    assert train.main(flags(run)) == 0
    count = 48 + len(pd.read_csv(labels))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["labels"] == count
    assert f"{count} labelled, 80 unlabelled" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "run" / "split.csv")["labeled"].sum() == count


def test_rounds_of_the_labelling_loop(
    finished, small, small_dir, base, flags, tmp_path
):
    """Suggest, label, train: each is one command; the labels are the true ones."""
    photos = tmp_path / "photos"
    shutil.copytree(small_dir / "test", photos / "test")
    (photos / "unlabeled").mkdir()
    for number, image in enumerate(small.images):
        Image.fromarray(image).save(photos / "unlabeled" / f"{number:02d}.png")
    run_dir, table = finished.run_dir, None
    for number, labels in enumerate((20, 26), start=1):
        following = tmp_path / f"round{number}.csv"
        words = [f"--model={run_dir}", f"--images={photos / 'unlabeled'}"]
        words += [f"--output={tmp_path / f'all{number}.csv'}"]
        words += [f"--suggest={20 if number == 1 else 6}"]
        words += [f"--suggestions={following}"]
        words += [f"--labels_csv={table}"] if table else []
        assert predict.main(words) == 0
        rows = pd.read_csv(following, dtype=str, keep_default_na=False)
        assert len(rows) == rows["filename"].nunique() == labels
        assert (rows["label"] != "").sum() == (0 if number == 1 else 20)
        numbers = [int(pathlib.Path(name).stem) for name in rows["filename"]]
        rows["label"] = [small.classes[small.labels[k]] for k in numbers]
        assert rows["label"].nunique() == 4
        rows.to_csv(following, index=False)
        run_dir, table = str(tmp_path / f"run{number}"), following
        run = dataclasses.replace(
            base,
            data_dir=str(photos),
            labels_csv=str(table),
            method="supervised",
            labels=None,
            unlabeled=None,
            run_dir=run_dir,
        )
        assert train.main(flags(run)) == 0
        result = json.loads((pathlib.Path(run_dir) / "result.json").read_text())
        assert result["labels"] == labels
