import datetime
import sys

import keras

from color_s4l.artifacts import provenance


def test_versions_of_installed_packages(monkeypatch):
    found = provenance.versions()
    assert found["keras"] == keras.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    monkeypatch.setattr(provenance, "_PACKAGES", ("keras", "no-such-package"))
    assert set(provenance.versions()) == {"python", "keras"}


def test_hardware_lists_accelerators_first():
    alone = provenance.hardware(["CPU"])
    assert "cores" in alone
    assert "GiB" in alone
    assert provenance.hardware(["A", "A"]) == f"A, A; {alone}"


def test_today_is_a_date():
    assert datetime.date.fromisoformat(provenance.today())
