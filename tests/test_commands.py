"""From words to values: flags, flagfiles and help."""

import dataclasses
import errno
import os
import pathlib
import re

import pytest

from color_s4l import command_line, train
from color_s4l.errors import InputError
from color_s4l.settings import Run

FLAGS = [
    "dataset",
    "data_dir",
    "image_size",
    "labels_csv",
    "test_fraction",
    "fit",
    "cache",
    "balance",
    "labels",
    "unlabeled",
    "validation",
    "split_file",
    "colorizer",
    "method",
    "set",
    "network",
    "width",
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "dropout",
    "seed",
    "zca",
    "hflip",
    "bn_stats",
    "dtype_policy",
    "jit_compile",
    "steps_per_execution",
    "devices",
    "deterministic",
    "run_dir",
    "resume",
    "verbosity",
]


def parse(*arguments):
    return command_line.parse(Run, arguments, "")


def test_no_flags_are_the_published_settings():
    run = parse()
    assert run == Run()
    # Chen 2020, appendix 6.2 of the report.
    published = (run.batch_size, run.epochs, run.learning_rate, run.weight_decay)
    assert published == (32, 30, 0.05, 5e-4)
    assert (run.dropout, run.method, run.network, run.width) == (
        0.5,
        "color_s4l",
        "convnet",
        1,
    )


def test_every_flag_becomes_its_field():
    run = parse(
        "--dataset=cifar10",
        "--labels=1000",
        "--width=0.25",
        "--nozca",
        "--hflip=true",
        "--set=proxies.weight=2",
        "--set=supervised.weight=3",
        "--learning_rate",
        "0.1",
        "--resume",
    )
    assert run == Run(
        dataset="cifar10",
        labels=1000,
        width=0.25,
        zca=False,
        hflip=True,
        set=("proxies.weight=2", "supervised.weight=3"),
        learning_rate=0.1,
        resume=True,
    )


def test_a_flagfile_is_the_same_program(tiny, flags, tmp_path):
    words = flags(dataclasses.replace(tiny, set=("proxies.weight=2",)))
    path = tmp_path / "run.cfg"
    path.write_text("# a comment\n\n" + "\n".join(words) + "\n")
    assert parse(f"--flagfile={path}") == parse(*words)
    assert parse(f"--flagfile={path}").set == ("proxies.weight=2",)


def test_the_later_of_flag_and_flagfile_holds(tmp_path):
    path = tmp_path / "run.cfg"
    path.write_text("--epochs=7\n--labels=100\n")
    assert parse(f"--flagfile={path}", "--epochs=3") == Run(epochs=3, labels=100)
    assert parse("--epochs=3", f"--flagfile={path}") == Run(epochs=7, labels=100)


def test_the_repositorys_flagfiles_are_runs():
    folder = pathlib.Path(__file__).parents[1] / "flags"
    for path in folder.rglob("*.cfg"):
        assert isinstance(parse(f"--flagfile={path}"), Run), path


def test_help_names_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        train.main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    named = re.findall(r"^  --(\w+)", text, flags=re.MULTILINE)
    assert set(FLAGS) <= set(named)
    assert named == [field.name for field in dataclasses.fields(Run)]
    assert "[0.05]" in text
    assert "both|supervised" in text
    assert "python -m color_s4l.train --dataset=cifar100" in text


@pytest.mark.parametrize("command", ["train", "evaluate", "report"])
def test_help_loads_no_framework(command, python):
    done = python("-X", "importtime", "-m", f"color_s4l.{command}", "--help")
    assert done.returncode == 0
    assert "python -m color_s4l" in done.stdout
    loaded = set(re.findall(r"\| +(keras|tensorflow|jax)$", done.stderr, re.MULTILINE))
    assert not loaded


def test_words_that_are_no_flags_go_where_they_are_wanted(capsys):
    from color_s4l.report.__main__ import Report

    words = ["a/run", "--output=page.html", "another run"]
    found = command_line.parse(Report, words, "")
    assert found == Report(runs=("a/run", "another run"), output="page.html")
    assert command_line.parse(Report, command_line.spelled(found), "") == found
    with pytest.raises(InputError, match=r"Expected flags .* Received: a/run another"):
        parse("a/run", "another")
    with pytest.raises(SystemExit):
        command_line.parse(Report, ["--help"], "")
    assert "RUN...  Run directories" in capsys.readouterr().out


def test_our_own_faults_keep_their_traceback():
    def broken(record):
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        command_line.run(broken, Run, "", [])
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (
            errno.ENOSPC,
            "No space left on device: x.npz: the same command with --resume",
        ),
        (errno.EACCES, "Permission denied: x.npz\n"),
    ],
)
def test_what_the_disk_refuses_is_one_line(number, text, capsys):
    def refused(record):
        raise OSError(number, os.strerror(number), "x.npz")

    assert command_line.run(refused, Run, "", [], needs_keras=False) == 2
    said = capsys.readouterr().err
    assert text in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("name", ["schedule", "dtype_policy"])
def test_the_closest_choice_is_suggested(name):
    choices = {"schedule": "constant", "dtype_policy": "mixed_bfloat16"}
    with pytest.raises(InputError, match=f"Did you mean '{choices[name]}'"):
        parse(f"--{name}={choices[name][:-1].upper()}")


def test_a_value_after_no_is_one_line():
    with pytest.raises(InputError, match="--nozca=true does not take an argument"):
        parse("--nozca=true")
