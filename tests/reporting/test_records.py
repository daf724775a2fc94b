"""Run folders read for a report, and what is refused."""

import pathlib
import shutil

import pytest

from color_s4l.errors import InputError
from color_s4l.reporting.records import read


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
