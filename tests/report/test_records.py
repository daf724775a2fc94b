"""Reading run directories for a report, and the errors."""

import json
import shutil

import numpy as np
import pytest

import color_s4l
from color_s4l.errors import InputError
from color_s4l.report import __main__ as report
from color_s4l.report.records import read


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the run directory, to be changed."""
    return shutil.copytree(finished.run_dir, tmp_path / "finished")


def test_reads_the_files(finished, copied):
    (record,) = read([finished.run_dir])
    assert (record.name, record.folder) == ("color_s4l, seed 1", "finished")
    assert record.classes == ("0", "1", "2", "3")
    assert record.log["epoch"].tolist() == [1, 2]
    assert record.result["test_images"] == len(record.samples["labels"]) == 32
    # Runs with the same method and seed have their folder or path in the name.
    (copied / "samples.npz").unlink()
    records = read([finished.run_dir, copied])
    name = "color_s4l, seed 1"
    paths = (finished.run_dir, copied)
    assert [one.name for one in records] == [f"{name} ({path})" for path in paths]
    assert records[1].samples == {}
    other = copied.rename(copied.with_name("other"))
    names = [one.name for one in read([finished.run_dir, other])]
    assert names == [f"{name} (finished)", f"{name} (other)"]


def test_other_folders_are_left_out_with_a_line(finished, tmp_path, caplog):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "begun").mkdir()
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    assert len(read([*paths, finished.run_dir])) == 1
    assert caplog.messages == [f"left out   {path}: no finished run" for path in paths]
    with pytest.raises(InputError, match="begun is not a run directory"):
        read(paths)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("samples.npz", ""),
        ("log.csv", ""),
        ("log.csv", "epoch,loss\n"),
        ("log.csv", "loss\n1\n"),
        ("log.csv", "epoch,loss\n1,much\n"),
    ],
)
def test_refuses_damaged_files(copied, name, content):
    (copied / name).write_text(content)
    with pytest.raises(InputError, match=r"The files of .* are damaged"):
        read([copied])


def without(name):
    return lambda content: {k: v for k, v in content.items() if k != name}


@pytest.mark.parametrize("name", ["labels", "mistake_images", "proxy_probabilities"])
def test_refuses_samples_with_a_missing_array(copied, name):
    with np.load(copied / "samples.npz") as stored:
        arrays = without(name)(dict(stored))
    np.savez(copied / "samples.npz", **arrays)
    with pytest.raises(InputError, match=f"are damaged: samples.npz lacks {name}"):
        read([copied])


@pytest.mark.parametrize(
    ("file", "change", "text"),
    [
        ("config.json", without("versions"), "versions"),
        ("config.json", lambda c: {**c, "settings": {}}, "hflip"),
        ("config.json", lambda c: [c], "list"),
        ("result.json", without("error"), "error"),
        ("result.json", lambda c: {**c, "best": {}}, "epoch, error, note"),
        ("result.json", lambda c: {**c, "further": 1}, "'int' object has no"),
    ],
)
def test_damaged_json_is_an_error_of_one_line(copied, file, change, text, refused):
    content = json.loads((copied / file).read_text())
    (copied / file).write_text(json.dumps(change(content)))
    output = copied.parent / "report.html"
    line = refused(report.main([str(copied), f"--output={output}"]))
    assert line.startswith(f"error: {copied / file} is damaged: ")
    assert text in line
    assert not output.exists()
    if file == "config.json":
        with pytest.raises(InputError, match="is damaged"):
            color_s4l.load(copied)


def test_refuses_other_directories(copied, tmp_path):
    with pytest.raises(InputError, match="is given twice"):
        read([copied, f"{copied}/../finished"])
    (copied / "result.json").write_text(
        json.dumps({**json.loads((copied / "result.json").read_text()), "error": None})
    )
    with pytest.raises(InputError, match="has no test error to report"):
        read([copied])
    (copied / "result.json").unlink()
    with pytest.raises(InputError, match="has no result"):
        read([copied])
