"""The order of the jobs, the time limit, and continuing; one tiny run at the end."""

import json
import pathlib

import pandas as pd
import pytest

from benchmarks import gpu
from benchmarks.gpu import FLAGS, ROWS, Gpu, Job
from color_s4l import command_line
from color_s4l.errors import InputError
from color_s4l.settings import Run

# Instead of a training: writes a file, fails, or runs for minutes.
SCRIPT = """
import pathlib, sys, time
if sys.argv[1] == "slow":
    time.sleep(600)
if sys.argv[1] == "good":
    pathlib.Path(sys.argv[2]).touch()
else:
    sys.exit(2)
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A function: name and kind to a job that is quick."""
    (tmp_path / "stand_in.py").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(name, kind="good"):
        done = tmp_path / name
        return Job(name, ("stand_in", kind, str(done)), done)

    return make


def test_rows_are_published_ones_in_the_order_of_their_information():
    rows = [row.partition(":") for row in ROWS.split(",")]
    assert all((FLAGS / f"{name}.cfg").is_file() for name, _, _ in rows)
    labels = [f"{name.partition('/')[2]} {labels}" for name, _, labels in rows]
    expected = ["cifar10 4000", "cifar10 1000", "cifar10 all", "cifar100 20000"]
    assert labels[::2] == labels[1::2] == expected


def test_all_rows_come_with_the_first_seed_before_the_second():
    found = list(gpu.jobs(Gpu(seeds="3,4")))
    assert found[0].name == "throughput"
    rows = [job for job in found if job.words[0] == "color_s4l.train"]
    assert [job.name.endswith("seed 3") for job in rows] == [True] * 8 + [False] * 8
    assert rows[0].name == "color_s4l/cifar10:4000, seed 3"
    assert rows[1].name == "sesemi/cifar10:4000, seed 3"
    assert len({job.done for job in rows}) == 16


def test_a_colorizer_comes_before_the_row_that_needs_it():
    found = list(gpu.jobs(Gpu(output="here", data_dir="tfds", throughput="")))
    assert found[0].words == (
        "colorization.train",
        "--dataset=cifar10",
        "--epochs=300",
        f"--output={pathlib.Path('here/cifar10_300.h5')}",
        "--resume",
        "--verbosity=2",
        "--data_dir=tfds",
    )
    assert found[0].done == pathlib.Path("here/cifar10_300.h5")
    assert f"--colorizer={found[0].done}" in found[1].words
    sesemi = next(job for job in found if job.name.startswith("sesemi"))
    assert not [word for word in sesemi.words if word.startswith("--colorizer")]


def test_words_are_flags_of_the_training_and_override_the_file():
    flags = Gpu(dtype_policy="float32", steps_per_execution=7, data_dir="tfds")
    rows = [j for j in gpu.jobs(flags) if j.words[0] == "color_s4l.train"]
    run = command_line.parse(Run, rows[0].words[1:], "")
    assert (run.dtype_policy, run.steps_per_execution) == ("float32", 7)
    assert (run.labels, run.method, run.epochs) == (4000, "color_s4l", 30)
    assert (run.data_dir, run.resume, run.seed) == ("tfds", True, 1)
    assert run.colorizer == str(pathlib.Path("bench_gpu/cifar10_300.h5"))
    assert run.run_dir == str(rows[0].done.parent)
    assert command_line.parse(Run, rows[4].words[1:], "").labels is None


def test_complete_jobs_are_left_and_failed_ones_passed(
    job, tmp_path, monkeypatch, capsys
):
    every = [job("first"), job("second", "bad"), job("third")]
    every[0].done.touch()
    monkeypatch.setattr(gpu, "jobs", lambda flags: iter(every))
    with pytest.raises(InputError, match=r"Failed: second\."):
        gpu.gpu(Gpu(output=str(tmp_path)))
    assert every[2].done.exists()
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [["complete", "first"], ["begins", "second,"], ["begins", "third,"]]


@pytest.mark.parametrize("minutes", [0.01, 1e-9])
def test_the_time_limit_stops_a_job_and_starts_no_other(
    minutes, job, tmp_path, monkeypatch, capsys
):
    every = [job("long", "slow"), job("next")]
    monkeypatch.setattr(gpu, "jobs", lambda flags: iter(every))
    gpu.gpu(Gpu(output=str(tmp_path), minutes=minutes))
    assert not every[1].done.exists()
    assert "the time is used up" in capsys.readouterr().out


def test_a_tiny_run_is_trained_once_and_is_in_the_table(tmp_path, small_dir, capfd):
    (tmp_path / "tiny.cfg").write_text(
        f"--dataset=folder\n--data_dir={small_dir}\n--image_size=16\n"
        "--method=supervised\n--width=0.03\n--epochs=1\n--batch_size=16\n--nozca\n"
    )
    words = [f"--rows={tmp_path / 'tiny'}:16", "--seeds=5", "--throughput="]
    words += [f"--output={tmp_path / 'out'}", "--dtype_policy=float32", "--minutes=9"]
    assert gpu.main(words) == 0
    table = pd.read_csv(tmp_path / "out" / "error_rates.csv")
    assert (table["seed"].tolist(), table["labels"].tolist()) == ([5], [16])
    (path,) = tmp_path.glob("out/runs/*tiny_16_s5/result.json")
    assert table["error"][0] == pytest.approx(json.loads(path.read_text())["error"])
    capfd.readouterr()
    assert gpu.main(words) == 0
    assert "tiny:16, seed 5" in capfd.readouterr().out.split("complete", 1)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--minutes=0"], "Expected --minutes to be more than 0"),
        (["--minutes=soon"], "--minutes"),
        (["--seeds=1,two"], "Expected --seeds to be whole numbers"),
        (["--rows=color_s4l/cifar11:40"], "there is no flagfile"),
        (["--minute=5"], "Did you mean: minutes"),
    ],
)
def test_wrong_settings_are_refused(words, message, refused, tmp_path):
    assert message in refused(gpu.main([*words, f"--output={tmp_path / 'none'}"]))
    assert not (tmp_path / "none").exists()
