"""Labels of an earlier training: saved, read exactly, and never for other images."""

import dataclasses

import numpy as np
import pytest

from color_s4l import data
from color_s4l.errors import InputError


@pytest.fixture
def labels(small, tmp_path):
    """A file of labels of the images 5, 3 and 40."""
    path = tmp_path / "labels.npz"
    probabilities = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.1, 0.2, 0.3, 0.4]])
    data.save_pseudo_labels(path, small, np.array([5, 3, 40]), probabilities)
    return path


def test_reads_the_rows_that_are_wanted_in_their_order(labels, small):
    found = data.read_pseudo_labels(labels, small, np.array([40, 5]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("changes", "wanted", "text"),
    [
        ({}, [5, 6], "has no label for 1 of 2 unlabelled images"),
        ({"images": lambda images: images[::-1]}, [5], "was made for other images"),
        ({"classes": lambda classes: (*classes, "4")}, [5], "of other classes or im"),
        (
            {
                "images": lambda images: images[:20],
                "labels": lambda labels: labels[:20],
            },
            [5],
            "of other classes or images than 'small'",
        ),
    ],
)
def test_refuses_other_images(labels, small, changes, wanted, text):
    changed = {name: change(getattr(small, name)) for name, change in changes.items()}
    dataset = dataclasses.replace(small, **changed)
    with pytest.raises(InputError, match=text):
        data.read_pseudo_labels(labels, dataset, np.array(wanted))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "Cannot read .*: No such file"),
        (b"PK\x03\x04", "holds no pseudo-labels"),
        (b"filename,label\n", r"holds no pseudo-labels: it is no NPZ file\.$"),
    ],
)
def test_refuses_what_is_no_such_file(tmp_path, small, content, text):
    path = tmp_path / "labels.npz"
    if content:
        path.write_bytes(content)
    with pytest.raises(InputError, match=text):
        data.read_pseudo_labels(path, small, np.array([0]))


def test_batches_hold_the_labels_of_their_images(small):
    split = data.draw_split(small.labels, small.classes, 16, 24, 0, 1)
    targets = np.random.default_rng(1).random((24, 4), "float32")
    batches = data.StepBatches(
        small.images, small.labels, split, 8, 8, 1, targets=targets
    )
    batch = batches.batch(4)
    np.testing.assert_array_equal(batch["targets"], targets[batch["index"]])
    with pytest.raises(ValueError, match="targets of 24 images"):
        data.StepBatches(
            small.images, small.labels, split, 8, 8, 1, targets=targets[:4]
        )
