"""Where a number comes from."""

import datetime
import sys

import keras

from color_s4l import origin


def test_versions_are_those_of_what_is_installed(monkeypatch):
    found = origin.versions()
    assert found["keras"] == keras.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    monkeypatch.setattr(origin, "_PACKAGES", ("keras", "no-such-package"))
    assert set(origin.versions()) == {"python", "keras"}


def test_hardware_names_accelerators_first():
    alone = origin.hardware(["CPU"])
    assert "cores" in alone
    assert "GiB" in alone
    assert origin.hardware(["A", "A"]) == f"A, A; {alone}"


def test_command_can_be_typed_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/x/color-s4l-train", "--run_dir=two words"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert origin.command() == "color-s4l-train '--run_dir=two words'"


def test_today_is_a_date():
    assert datetime.date.fromisoformat(origin.today())
