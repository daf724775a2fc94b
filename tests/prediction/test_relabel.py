"""The labels that color_s4l.predict writes are trained on: the whole way."""

import collections
import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from color_s4l import data, predict, train
from color_s4l.settings import DataSettings


@pytest.fixture(scope="module")
def photos(small_dir, small, tmp_path_factory):
    """Class folders, and below `unlabeled` new images: the test images, turned."""
    root = tmp_path_factory.mktemp("relabel") / "photos"
    shutil.copytree(small_dir, root)
    for number, image in enumerate(small.test_images):
        folder = root / "unlabeled" / ("a b" if number % 2 else "c, d")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rot90(image)).save(folder / f"{number:02d}.png")
    return root


@pytest.fixture(scope="module")
def labels(finished, photos):
    """The labels of the surest half of them."""
    words = [f"--model={finished.run_dir}", f"--images={photos / 'unlabeled'}"]
    words += [f"--output={photos.parent / 'all.csv'}"]
    assert predict.main(words) == 0
    median = pd.read_csv(photos.parent / "all.csv")["probability"].median()
    path = photos.parent / "labels.csv"
    words[-1] = f"--output={photos.parent / 'again.csv'}"
    assert predict.main([*words, f"--relabel={path}", f"--confidence={median}"]) == 0
    return path


@pytest.fixture(scope="module")
def dataset(photos, labels, tiny):
    """What the library reads of both."""
    source = DataSettings(
        "folder", str(photos), tiny.image_size, labels_csv=str(labels)
    )
    return data.load(source)


def test_files_are_named_from_the_tables_folder(labels, photos):
    names = pd.read_csv(labels)["filename"]
    assert 0 < len(names) <= 17  # of 32, the median and what is equal to it
    assert all(name.startswith("photos/unlabeled/") for name in names)
    assert all((labels.parent / name).is_file() for name in names)


def test_the_table_adds_to_the_class_folders(dataset, labels, small):
    given = pd.read_csv(labels, dtype=str)
    count = len(small.labels) + len(given)
    assert (dataset.labels >= 0).sum() == count
    assert len(dataset.images) == len(small.labels) + len(small.test_labels)
    # What the folders say, and what the table says; nothing else.
    counts = collections.Counter(np.array(small.classes)[small.labels])
    counts += collections.Counter(given["label"])
    numbers = collections.Counter(dataset.labels[dataset.labels >= 0].tolist())
    assert {dataset.classes[k]: n for k, n in numbers.items()} == counts
    assert dataset.test_labels.tolist() == small.test_labels.tolist()


def test_trains_on_them(photos, labels, tiny, flags, tmp_path, capsys):
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
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    split = pd.read_csv(tmp_path / "run" / "split.csv")
    added = len(pd.read_csv(labels))
    assert result["labels"] == 48 + added
    assert f"{48 + added} labelled, 80 unlabelled" in capsys.readouterr().out
    assert split["labeled"].sum() == 48 + added
