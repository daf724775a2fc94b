"""Where a number comes from."""

import datetime
import shlex
import sys

import keras

from color_s4l import command_line
from color_s4l.artifacts import provenance
from color_s4l.settings import Run


def test_versions_are_those_of_what_is_installed(monkeypatch):
    found = provenance.versions()
    assert found["keras"] == keras.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    monkeypatch.setattr(provenance, "_PACKAGES", ("keras", "no-such-package"))
    assert set(provenance.versions()) == {"python", "keras"}


def test_hardware_names_accelerators_first():
    alone = provenance.hardware(["CPU"])
    assert "cores" in alone
    assert "GiB" in alone
    assert provenance.hardware(["A", "A"]) == f"A, A; {alone}"


def test_command_can_be_typed_again():
    run = Run(run_dir="two words", labels=100, zca=False, set=("a.b=1", "c.d=2"))
    line = command_line.command("color_s4l.train", run)
    start = "python -m color_s4l.train --labels=100 --set=a.b=1 --set=c.d=2 --nozca "
    assert line == start + "'--run_dir=two words'"
    assert command_line.parse(Run, shlex.split(line)[3:], "") == run


def test_portable_values_keep_files_and_lose_folders():
    run = Run(data_dir="/somewhere/cifar", colorizer="here/colorizer.h5")
    cut = provenance.portable(run)
    assert (cut.data_dir, cut.colorizer) == ("cifar", "here/colorizer.h5")
    assert cut == Run(data_dir="cifar", colorizer="here/colorizer.h5")


def test_portable_settings_lose_folders_too():
    words = ("finetuning.colorizer=/some=where/x.h5", "a.set=b.c=/d/e", "f.epochs=2")
    kept = ("finetuning.colorizer=x.h5", "a.set=b.c=e", "f.epochs=2")
    assert provenance.portable(Run(stage=words)).stage == kept


def test_today_is_a_date():
    assert datetime.date.fromisoformat(provenance.today())
