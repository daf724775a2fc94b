"""The run directory: which directories a run may use, and damaged files."""

import errno
import json
import os
import shutil
import tempfile

import pytest

from color_s4l import settings
from color_s4l.artifacts import run_directory
from color_s4l.artifacts.run_directory import RunDirectory
from color_s4l.errors import InputError
from color_s4l.settings import Run


def values(**changes):
    return settings.to_json(Run(**changes))


def test_the_default_name_says_what_is_trained():
    found = run_directory.default_path(values())
    assert str(found) == "runs/digits_all_color_s4l_convnet_seed1"
    run = values(dataset="a/b", labels=50, recipe="moam", width=0.5, seed=2)
    found = run_directory.default_path(run)
    assert str(found) == "runs/a_b_50_moam_convnet_w0.5_seed2"
    run = values(dataset="folder", data_dir="/home/me/roses")
    found = run_directory.default_path(run)
    assert str(found) == "runs/roses_all_color_s4l_convnet_seed1"


def test_an_unwritable_directory_is_refused(tmp_path, monkeypatch):
    # Simulated: root, the user of containers, may write anywhere.
    def read_only(dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with (
        pytest.raises(InputError, match=r"Cannot write to .*: Read-only"),
        run_directory.created(RunDirectory(tmp_path)),
    ):
        pass


def test_a_directory_is_used_by_one_process_at_a_time(tmp_path):
    directory = RunDirectory(tmp_path / "runs" / "one")
    with run_directory.created(directory):
        for _ in range(2):
            with (
                pytest.raises(
                    InputError, match=r"Another process is training in .*one"
                ),
                run_directory.created(directory),
            ):
                pass
    with run_directory.created(directory):
        assert directory.checkpoints.is_dir()


def test_leftovers_of_a_run_killed_at_its_beginning_are_removed(tmp_path):
    for name in (".unfinished-1", "checkpoints/.unfinished-2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    directory = run_directory.claim(values(run_dir=str(tmp_path), resume=True), "jax")
    with run_directory.created(directory):
        names = {p.name for p in tmp_path.rglob("*")}
    assert names == {"checkpoints", "pictures", ".lock"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"resume": False}, "exists: continue with `resume`, or choose another `run_d"),
        ({"seed": 3, "epochs": 4}, r"`epochs`: 2 before, 4 now, `seed`: 1 before, 3"),
        (
            {"set": ["vat.xi=2"]},
            r"another run \(`set`: \[\] before, \['vat.xi=2'\] now",
        ),
    ],
)
def test_the_directory_of_another_run_is_refused(finished, changes, text):
    found = {**settings.to_json(finished), "resume": True, **changes}
    with pytest.raises(InputError, match=text):
        run_directory.claim(found, "tensorflow")


def test_another_backend_is_refused(finished):
    found = {**settings.to_json(finished), "resume": True}
    with pytest.raises(InputError, match=r"was started on .* backend is another"):
        run_directory.claim(found, "another")


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("config.json", None, "is not a run directory: it has no readable config"),
        ("config.json", "{", r"config\.json is damaged"),
        ("config.json", {"settings": {}}, r"config\.json is damaged: .*dataset"),
        ("result.json", None, "has no result yet: continue the run with `resume`"),
        ("result.json", "[]", r"result\.json is damaged"),
        ("result.json", {"best": {}}, r"result\.json is damaged: .*epoch"),
        ("result.json", {"stages": [{}]}, r"result\.json is damaged: .*stage"),
    ],
)
def test_a_damaged_file_is_one_line(name, change, text, finished, tmp_path):
    for part in ("config.json", "result.json"):
        shutil.copy(f"{finished.run_dir}/{part}", tmp_path)
    path = tmp_path / name
    if change is None:
        path.unlink()
    elif isinstance(change, str):
        path.write_text(change)
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    read = {
        "config.json": run_directory.read_config,
        "result.json": run_directory.read_result,
    }[name]
    with pytest.raises(InputError, match=text) as caught:
        read(RunDirectory(tmp_path))
    assert "\n" not in str(caught.value)
