"""Command lines: flags, flagfiles, help, and messages on the terminal."""

import dataclasses
import errno
import logging
import os
import re
import subprocess
import sys

import pytest

from color_s4l import __main__ as main
from color_s4l import command_line, settings, train
from color_s4l.errors import InputError
from color_s4l.fields import operands, option
from color_s4l.settings import Run


def parse(*arguments):
    return command_line.parse(Run, arguments, "")


def run(action):
    return command_line.run(action, Run, "", [], needs_keras=False)


def test_no_flags_are_the_published_settings():
    found = parse()
    assert found == Run()
    # Chen 2020, appendix 6.2 of the report.
    published = (found.batch_size, found.epochs, found.learning_rate)
    assert published == (32, 30, 0.05)
    assert (found.weight_decay, found.dropout, found.width) == (5e-4, 0.5, 1)
    assert (found.method, found.network) == ("color_s4l", "convnet")


def test_every_flag_becomes_its_field():
    words = [
        "--dataset=cifar10",
        "--labels=1000",
        "--width=0.25",
        "--nozca",
        "--hflip=true",
        "--set=proxies.weight=2",
        "--set=supervised.weight=3",
        *("--learning_rate", "0.1"),
        "--resume",
    ]
    expected = Run(
        dataset="cifar10",
        labels=1000,
        width=0.25,
        zca=False,
        hflip=True,
        set=("proxies.weight=2", "supervised.weight=3"),
        learning_rate=0.1,
        resume=True,
    )
    assert parse(*words) == expected
    assert parse(*command_line.spelled(expected)) == expected
    assert command_line.command("color_s4l.train", Run(set=("a.b=(1)",))) == (
        "python -m color_s4l.train '--set=a.b=(1)'"
    )


def test_a_flagfile_is_the_same_command(tmp_path):
    path = tmp_path / "run.cfg"
    path.write_text("# a comment\n\n--epochs=7\n--set=a.b=2\n--labels=100\n")
    found = Run(epochs=7, labels=100, set=("a.b=2",))
    assert parse(f"--flagfile={path}") == found
    # The later one counts.
    assert parse("--epochs=3", f"--flagfile={path}") == found
    changed = dataclasses.replace(found, epochs=3)
    assert parse(f"--flagfile={path}", "--epochs=3") == changed


def test_a_preset_sets_the_flags_that_are_not_given(tmp_path):
    file = tmp_path / "fast.cfg"
    file.write_text("--preset=fast\n--epochs=3\n--nohflip\n")
    for words in (
        ["--preset=fast", "--epochs=3", "--nohflip", "--momentum=0.9"],
        # 0.9 is the default, but it was given.
        ["--momentum=0.9", f"--flagfile={file}"],
    ):
        run = command_line.parse(Run, words, "")
        expected = {"epochs": 3, "hflip": False, "momentum": 0.9}
        assert run == settings.preset("fast", **expected)
    assert run.network == "airbench"
    with pytest.raises(InputError, match=r"Did you mean 'fast'"):
        command_line.parse(Run, ["--preset=fats"], "")
    with pytest.raises(InputError, match=r"no preset 'fats'.*Did you mean 'fast'"):
        settings.preset("fats")


def test_help_names_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        train.main(["--help=all"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    named = re.findall(r"^  --(\w+)", text, flags=re.MULTILINE)
    every = [*(field.name for field in dataclasses.fields(Run)), "preset"]
    assert sorted(named) == sorted(every)
    assert "Other flags" not in text
    for name in ("mean_teacher", "rotnet_finetune", "wrn_28_2", "drawings"):
        assert name in text
    assert "[0.05]" in text
    assert "both|supervised" in text
    assert "python -m color_s4l.train --dataset=cifar100" in text


def test_help_shows_the_common_flags_first(capsys):
    with pytest.raises(SystemExit):
        train.main(["--help"])
    text = capsys.readouterr().out
    named = re.findall(r"^  --(\w+)", text, flags=re.MULTILINE)
    assert tuple(named) == settings.GROUPS["Common flags"]
    assert f"--help=all lists all {len(dataclasses.fields(Run)) + 1} flags" in text


def test_all_commands_have_one_name(capsys):
    assert main.main(["--version"]) == 0
    assert re.fullmatch(r"color-s4l \d+\.\d+.*\n", capsys.readouterr().out)
    assert main.main([]) == 0
    text = capsys.readouterr().out
    for name in main.COMMANDS:
        assert f"  {name} " in text
        with pytest.raises(SystemExit):
            main.main([name, "--help"])
        assert "Flags are written as --name=value" in capsys.readouterr().out
    assert main.main(["trian"]) == 2
    assert "no command 'trian'. Did you mean 'train'?" in capsys.readouterr().err


def test_help_starts_no_framework(python):
    code = (
        "import contextlib, io, runpy, sys\n"
        "for name in ('train', 'evaluate', 'report'):\n"
        "    sys.argv = [name, '--help']\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        runpy.run_module(f'color_s4l.{name}', run_name='__main__')\n"
        "print({'keras', 'tensorflow', 'jax'} & set(sys.modules))\n"
    )
    done = python("-c", code)
    assert done.stdout.count("python -m color_s4l.") >= 3, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"


@dataclasses.dataclass(frozen=True)
class Command:
    files: tuple[str, ...] = operands("FILE", "Files to read.")
    output: str = option("a.html", "File to write.")


def test_arguments_that_are_no_flags_go_to_the_operands(capsys):
    words = ["a/run", "--output=page.html", "another run"]
    found = command_line.parse(Command, words, "")
    assert found == Command(files=("a/run", "another run"), output="page.html")
    assert command_line.parse(Command, command_line.spelled(found), "") == found
    with pytest.raises(InputError, match=r"Expected flags .* Received: a/run another"):
        parse("a/run", "another")
    with pytest.raises(SystemExit):
        command_line.parse(Command, ["--help"], "")
    assert "FILE...  Files to read." in capsys.readouterr().out


def test_wrong_flags_are_refused():
    with pytest.raises(InputError, match="--nozca=true does not take an argument"):
        parse("--nozca=true")
    with pytest.raises(InputError, match="Did you mean 'constant'"):
        parse("--schedule=CONSTAN")
    with pytest.raises(InputError, match="Did you mean 'mixed_bfloat16'"):
        parse("--dtype_policy=mixed_bfloat1")


def test_messages_name_flags(capsys):
    def action(record):
        logging.getLogger("color_s4l.part").info("set `labels` to %s", 1)
        logging.getLogger("color_s4l.part").warning("slow")
        raise InputError("`labels` is no `lobels`.")

    assert run(action) == 2
    assert run(lambda record: None) == 0  # adds no second handler
    captured = capsys.readouterr()
    assert captured.out == "set --labels to 1\n"
    assert captured.err == "slow\nerror: --labels is no `lobels`.\n"


def test_warnings_are_one_line(capsys, monkeypatch):
    monkeypatch.setattr(command_line.warnings, "showwarning", None)
    run(lambda record: None)
    show = command_line.warnings.showwarning
    show("Few labels: set `balance`.", UserWarning, "file.py", 7)
    assert capsys.readouterr().err == "warning: Few labels: set --balance.\n"


def test_plug_ins_are_loaded_first(tmp_path, capsys):
    path = tmp_path / "plugin_of_a_command.py"
    path.write_text("print('loaded')")
    words = [f"--plugins={path}"]
    run = command_line.run(lambda r: print("run"), Run, "", words, needs_keras=False)
    assert run == 0
    assert capsys.readouterr().out == "loaded\nrun\n"
    del sys.modules["plugin_of_a_command"]


def test_errors_of_the_library_keep_their_traceback():
    def broken(record):
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        run(broken)
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "No space left on device: x.npz: the same command with --res"),
        (errno.EACCES, "Permission denied: x.npz\n"),
    ],
)
def test_a_disk_error_is_one_line(number, text, capsys):
    def refused(record):
        raise OSError(number, os.strerror(number), "x.npz")

    assert run(refused) == 2
    shown = capsys.readouterr().err
    assert text in shown
    assert len(shown.splitlines()) == 1


def test_native_messages_are_written_to_a_file(tmp_path):
    code = (
        "import os, sys; from color_s4l import command_line\n"
        "file = command_line.divert_native_messages()\n"
        "os.write(2, b'NCCL failed'); print('shown', file=sys.stderr)\n"
        "print(file.read_text())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("NCCL failed\n", "shown\n")
    (file,) = tmp_path.iterdir()
    assert re.fullmatch(r"color_s4l-\w+\.log", file.name)
