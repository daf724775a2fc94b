"""The order of the jobs, the minutes, and going on; two tiny runs in the end."""

import json
import pathlib

import pandas as pd
import pytest

from benchmarks import gpu
from benchmarks.gpu import FLAGS, ROWS, Gpu, Job
from color_s4l import command_line
from color_s4l.settings import Run

# In place of a training: writes a file, or fails, or takes its time.
SCRIPT = """
import pathlib, sys, time
if sys.argv[1] == "slow":
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        pathlib.Path(sys.argv[2] + ".stopped").touch()
elif sys.argv[1] == "good":
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


@pytest.fixture
def flags(tmp_path):
    return Gpu(output=str(tmp_path / "out"))


def test_rows_are_published_ones_and_stand_in_the_order_of_the_issue():
    names = ROWS.split(",")
    assert all((FLAGS / f"{name}.cfg").is_file() for name in names)
    labels = [name.rpartition("/")[2] for name in names]
    expected = ["cifar10_4000", "cifar10_1000", "cifar10_all", "cifar100_20000"]
    assert labels[::2] == labels[1::2] == expected


def test_all_rows_come_with_the_first_seed_before_the_second():
    found = list(gpu.jobs(Gpu(seeds="3,4")))
    assert found[0].name == "throughput"
    rows = [job for job in found if job.words[0] == "color_s4l.train"]
    assert [job.name.endswith("seed 3") for job in rows] == [True] * 8 + [False] * 8
    assert rows[0].name == "color_s4l/convnet/cifar10_4000, seed 3"
    assert rows[1].name == "sesemi/convnet/cifar10_4000, seed 3"
    assert len({job.done for job in rows}) == 16


def test_a_colorizer_stands_before_the_row_that_needs_it():
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
    row = next(j for j in gpu.jobs(flags) if j.words[0] == "color_s4l.train")
    run = command_line.parse(Run, row.words[1:], "")
    assert (run.dtype_policy, run.steps_per_execution) == ("float32", 7)
    assert (run.labels, run.method, run.epochs) == (4000, "color_s4l", 30)
    assert (run.data_dir, run.resume, run.seed) == ("tfds", True, 1)
    assert run.colorizer == str(pathlib.Path("bench_gpu/cifar10_300.h5"))
    assert run.run_dir == str(row.done.parent)


def test_complete_jobs_are_left_and_failed_ones_passed(job, flags, capsys):
    every = [job("first"), job("second", "bad"), job("third")]
    every[0].done.touch()
    assert gpu.work(every, lambda: 60, flags) == ["second"]
    assert every[2].done.exists()
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert ["complete", "first"] in lines
    assert ["begins", "first,"] not in lines
    assert ["failed", "second"] in lines


def test_the_minutes_stop_a_job_in_its_middle_and_begin_no_other(job, flags, capsys):
    every = [job("long", "slow"), job("next")]
    times = iter([6.0, 6.0, 6.0])
    assert gpu.work(every, lambda: next(times), flags) == []
    assert pathlib.Path(f"{every[0].done}.stopped").exists()  # it was asked to end
    assert not every[1].done.exists()
    assert "the minutes are used up" in capsys.readouterr().out


def test_no_time_left_begins_nothing(job, flags):
    every = [job("one")]
    assert gpu.work(every, lambda: 0.0, flags) == []
    assert not every[0].done.exists()


def test_tiny_runs_are_done_once_and_tabulated(tmp_path, small_dir, capfd):
    (tmp_path / "tiny.cfg").write_text(
        f"--dataset=folder\n--data_dir={small_dir}\n--image_size=16\n--labels=16\n"
        "--method=supervised\n--width=0.03\n--epochs=1\n--batch_size=16\n--nozca\n"
    )
    words = [f"--flags_dir={tmp_path}", "--rows=tiny", "--seeds=5", "--throughput="]
    words += [f"--output={tmp_path / 'out'}", "--dtype_policy=float32", "--minutes=9"]
    assert gpu.main(words) == 0
    table = pd.read_csv(tmp_path / "out" / "error_rates.csv")
    assert table["seed"].tolist() == [5]
    result = json.loads((tmp_path / "out/runs/tiny_s5/result.json").read_text())
    assert table["error"][0] == pytest.approx(result["error"])
    capfd.readouterr()
    assert gpu.main(words) == 0
    assert "complete   tiny, seed 5" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--minutes=0"], "--minutes=0.0: expected more than 0"),
        (["--minutes=soon"], "--minutes"),
        (["--seeds=1,two"], "--seeds: expected numbers, comma-separated"),
        (["--rows=color_s4l/convnet/cifar10_40"], "there is no flagfile"),
        (["--minute=5"], "Did you mean: minutes"),
    ],
)
def test_refuses(words, message, refused, tmp_path):
    assert message in refused(gpu.main([*words, f"--output={tmp_path / 'none'}"]))
    assert not (tmp_path / "none").exists()


def test_a_failed_job_is_named_in_the_end(tmp_path, refused, monkeypatch):
    broken = Job("row", ("no_such_module",), tmp_path / "never")
    monkeypatch.setattr(gpu, "jobs", lambda flags: iter([broken]))
    assert "Failed: row." in refused(gpu.main([f"--output={tmp_path}"]))
