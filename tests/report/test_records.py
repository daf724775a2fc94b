"""Run folders read for a report, and what is refused."""

import json
import pathlib
import shutil

import numpy as np
import pytest

import color_s4l
from color_s4l.errors import InputError
from color_s4l.report import __main__ as report
from color_s4l.report.records import read


def test_a_record_is_the_folders_content(finished):
    (record,) = read([finished.run_dir])
    assert record.name == "finished"
    assert record.classes == ("0", "1", "2", "3")
    assert record.log["epoch"].tolist() == [1, 2]
    assert record.result["test_images"] == len(record.samples["labels"]) == 32


def test_runs_of_one_name_are_told_apart_by_their_paths(finished, tmp_path):
    shutil.copytree(finished.run_dir, tmp_path / "finished")
    names = [record.name for record in read([finished.run_dir, tmp_path / "finished"])]
    assert names == [finished.run_dir, str(tmp_path / "finished")]


def test_a_run_without_samples_is_read(finished, tmp_path):
    folder = shutil.copytree(finished.run_dir, tmp_path / "run")
    (folder / "samples.npz").unlink()
    assert read([folder])[0].samples == {}


@pytest.mark.parametrize("name", ["log.csv", "samples.npz"])
def test_refuses_damaged_files(finished, tmp_path, name):
    folder = shutil.copytree(finished.run_dir, tmp_path / "run")
    (folder / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"The files of .* are damaged"):
        read([folder])


def without(name):
    """A function that takes a name out of a dictionary."""
    return lambda content: {k: v for k, v in content.items() if k != name}


@pytest.mark.parametrize(
    ("file", "change", "text"),
    [
        ("config.json", without("versions"), "it lacks versions"),
        ("config.json", without("run"), "it lacks run"),
        ("config.json", lambda c: {**c, "resolved": {}}, "it lacks zca, hflip"),
        ("config.json", lambda c: [c], "expected an object, not list"),
        ("result.json", without("error"), "it lacks error"),
        ("result.json", lambda c: {**c, "best": {}}, "it lacks epoch, error, note"),
        ("result.json", lambda c: {**c, "further": 1}, "'int' object has no"),
    ],
)
def test_files_that_lack_something_are_one_line(
    finished, tmp_path, file, change, text, refused
):
    folder = shutil.copytree(finished.run_dir, tmp_path / "run")
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(change(content)))
    output = f"--output={tmp_path / 'report.html'}"
    line = refused(report.main([str(folder), output]))
    assert line.startswith(f"error: {folder / file} is damaged: {text}")
    assert not (tmp_path / "report.html").exists()
    if file == "config.json":
        with pytest.raises(InputError, match="is damaged"):
            color_s4l.load(folder)


@pytest.mark.parametrize("name", ["labels", "mistake_images", "proxy_probabilities"])
def test_samples_that_lack_an_array_are_one_line(finished, tmp_path, name):
    folder = shutil.copytree(finished.run_dir, tmp_path / "run")
    with np.load(folder / "samples.npz") as stored:
        arrays = without(name)(dict(stored))
    np.savez(folder / "samples.npz", **arrays)
    with pytest.raises(InputError, match=f"are damaged: samples.npz lacks {name}"):
        read([folder])


@pytest.mark.parametrize("text", ["epoch,loss\n", "loss\n1\n", "epoch,loss\n1,much\n"])
def test_a_log_that_says_nothing_is_one_line(finished, tmp_path, text):
    folder = shutil.copytree(finished.run_dir, tmp_path / "run")
    (folder / "log.csv").write_text(text)
    with pytest.raises(InputError, match=r"The files of .* are damaged"):
        read([folder])


def test_refuses_what_is_no_finished_run(finished, tmp_path):
    with pytest.raises(InputError, match="Expected run folders"):
        read([])
    with pytest.raises(InputError, match="is no run's folder"):
        read([tmp_path])
    with pytest.raises(InputError, match="is given twice"):
        read([finished.run_dir, f"{finished.run_dir}/../finished"])
    folder = pathlib.Path(shutil.copytree(finished.run_dir, tmp_path / "run"))
    (folder / "result.json").unlink()
    with pytest.raises(InputError, match="has no result yet"):
        read([folder])
