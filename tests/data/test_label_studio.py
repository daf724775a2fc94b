"""Label Studio's files: tasks that the library writes, and exports that it reads."""

import json
import logging
import pathlib

import pandas as pd
import pytest

from color_s4l.data import label_studio, labels_csv
from color_s4l.errors import InputError

NAMES = ["a/1 ü.jpg", "a/2.jpg", "a/3.jpg"]


@pytest.fixture
def tasks(tmp_path):
    path = tmp_path / "tasks.json"
    rows = pd.DataFrame({"filename": NAMES, "label": ["cat", "dog", "cat"]})
    rows["probability"] = [0.25, 0.5, 1 / 3]
    paths = [pathlib.Path("photos") / name for name in NAMES]
    label_studio.write_tasks(path, rows, paths)
    return json.loads(path.read_text(encoding="utf-8"))


def choice(label):
    return {"type": "choices", "from_name": "choice", "value": {"choices": [label]}}


@pytest.fixture
def read(tmp_path):
    """A function: reads an export, given as a JSON value or as CSV text."""

    def read(content):
        csv = isinstance(content, str)
        path = tmp_path / f"export.{'csv' if csv else 'json'}"
        path.write_text(content if csv else json.dumps(content), encoding="utf-8")
        return labels_csv.read(path)

    return read


def test_tasks_have_an_image_and_a_prediction(tasks):
    assert tasks[0]["data"] == {
        "image": "/data/local-files/?d=photos/a/1%20%C3%BC.jpg",
        "filename": "a/1 ü.jpg",
    }
    (prediction,) = tasks[2]["predictions"]
    assert prediction["score"] == pytest.approx(0.333333)
    (result,) = prediction["result"]
    assert result["value"] == {"choices": ["cat"]}
    assert (result["from_name"], result["to_name"]) == ("choice", "image")
    assert 'name="choice" toName="image"' in label_studio.CONFIG
    ids = [task["predictions"][0]["result"][0]["id"] for task in tasks]
    assert len(set(ids)) == 3


def test_completed_annotations_are_read(tasks, read, caplog):
    skipped = {"was_cancelled": True, "result": [choice("dog")]}
    tasks[0]["annotations"] = [{"was_cancelled": False, "result": [choice("dog")]}]
    tasks[1]["annotations"] = [skipped]
    tasks[2]["annotations"] = [{"result": []}, {"result": [choice("cat")]}]
    empty = {"data": {"image": "x"}, "annotations": []}
    with caplog.at_level(logging.WARNING):
        table = read([*tasks, empty])
    rows = table[["filename", "label"]].values.tolist()
    assert rows == [["a/1 ü.jpg", "dog"], ["a/3.jpg", "cat"]]
    assert "left out 2 of 4 tasks" in caplog.text


def test_tasks_of_other_programs_are_found_by_their_url(read):
    image = "/data/local-files/?d=photos/a/1%20%C3%BC.jpg"
    annotations = [{"result": [choice("dog")]}]
    table = read([{"data": {"image": image}, "annotations": annotations}])
    assert table["filename"].tolist() == ["photos/a/1 ü.jpg"]


def test_csv_export_is_read(read, caplog):
    header = "annotation_id,choice,filename,id,image,lead_time\n"
    rows = "1,dog,a/1.jpg,1,/x,2.5\n2,,a/2.jpg,2,/x,1\n3,dog,a/1.jpg,1,/x,3\n"
    with caplog.at_level(logging.WARNING):
        table = read(header + rows)
    assert table[["filename", "label"]].values.tolist() == [["a/1.jpg", "dog"]]
    assert "left out 1 of 3 tasks" in caplog.text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"image": 1}, "is not a JSON export of Label Studio"),
        ([{"data": {"image": "x"}}], r"list of tasks.*KeyError: 'annotations'"),
        ([], "has no rows"),
        (
            [
                {
                    "data": {"image": "x"},
                    "annotations": [{"result": [choice("b"), choice("a")]}],
                }
            ],
            "several labels for 'x': a, b. Expected one",
        ),
        (
            'annotation_id,choice,image\n1,"{""choices"": [""a"", ""b""]}",x\n',
            "several labels in one row",
        ),
        (
            "annotation_id,choice,image\n1,a,x\n2,b,x\n",
            "repeats a filename: 'x'",
        ),
    ],
)
def test_other_files_are_refused(read, content, text):
    with pytest.raises(InputError, match=text):
        read(content)
