"""The published settings: each flagfile is the row that its path names."""

import pathlib
import re

import pytest

from color_s4l import commands, methods
from color_s4l.config import Run
from color_s4l.training import values

FLAGS = pathlib.Path(__file__).resolve().parents[1] / "flags"
FILES = sorted(FLAGS.rglob("*.cfg"))


def name_of(path):
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_flagfile_is_the_row_that_its_name_says(path):
    run = commands.parse(Run, [f"--flagfile={path}"], "")
    values.check(run)
    assert methods.terms_of(run.method)
    dataset, labels = path.stem.split("_")
    assert run.method == path.parent.name
    assert run.dataset.split("_")[0] == dataset
    assert run.labels == (None if labels == "all" else int(labels))
    # The report's appendix: 30 epochs, batches of 32, rate 0.05, dropout 0.5.
    sizes = (run.epochs, run.batch_size, run.learning_rate, run.dropout)
    assert sizes == (30, 32, 0.05, 0.5)
    # Tran 2019's published code: SVHN unwhitened and unflipped, dropout in the trunk.
    svhn = dataset == "svhn"
    assert (run.zca, run.hflip, run.trunk_dropout == 0.5) == (not svhn, not svhn, svhn)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_flagfile_says_the_published_number_and_its_source(path):
    header = path.read_text(encoding="utf-8")
    assert re.search(r"^# Published: \d+\.\d\d ± \d\.\d\d % \(Chen 2020", header, re.M)
    assert f"--flagfile=flags/{path.parent.name}/{path.name}" in header
