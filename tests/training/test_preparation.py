"""Which images a run learns from."""

import dataclasses

import numpy as np
import pytest

from color_s4l.artifacts.run_directory import RunFolder
from color_s4l.data import digits
from color_s4l.errors import InputError
from color_s4l.settings import Run
from color_s4l.training import preparation, values

RUN = Run(labels=50, labeled_only=True)


def test_labeled_only_leaves_no_other_image(tmp_path):
    folder = RunFolder(tmp_path)
    images = digits.load()
    split = preparation.split_of(RUN, images, folder)
    np.testing.assert_array_equal(split.unlabeled, split.labeled)
    others = dataclasses.replace(RUN, labeled_only=False)
    assert len(preparation.split_of(others, images, folder).unlabeled) > 1000


@pytest.mark.parametrize("wrong", [{"unlabeled": 100}, {"split_file": "split.csv"}])
def test_labeled_only_contradicts(wrong):
    with pytest.raises(InputError, match="leave --"):
        values.check(dataclasses.replace(RUN, labels=None, **wrong))
