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
    found = data.read_pseudo_labels(labels).of(small, np.array([40, 5]))
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
    found = data.read_pseudo_labels(labels)
    with pytest.raises(InputError, match=text):
        found.of(dataset, np.array(wanted))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "Cannot read .*: No such file"),
        (b"PK\x03\x04", "holds no pseudo-labels"),
        (b"filename,label\n", r"holds no pseudo-labels: it is no NPZ file\.$"),
    ],
)
def test_refuses_what_is_no_such_file(tmp_path, content, text):
    path = tmp_path / "labels.npz"
    if content:
        path.write_bytes(content)
    with pytest.raises(InputError, match=text):
        data.read_pseudo_labels(path)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("crc32", None, "crc32"),
        ("index", lambda a: a.astype(float), "index and crc32 to be integers"),
        ("index", lambda a: a[:, None], "index and crc32 to be integers"),
        ("crc32", lambda a: a[:2], "index and crc32 to be integers"),
        ("crc32", lambda a: a.astype(str), "index and crc32 to be integers"),
        ("index", lambda a: a - 4, "index to hold different numbers, 0 or more"),
        ("index", lambda a: a * 0, "index to hold different numbers, 0 or more"),
        ("probabilities", lambda a: a.astype(str), r"numbers \(3, classes\), not <U"),
        ("probabilities", lambda a: a[0], r"numbers \(3, classes\), not float32 \(4,"),
        ("probabilities", lambda a: a[:2], r"numbers \(3, classes\), not .* \(2, 4"),
        ("probabilities", lambda a: a * np.nan, "probabilities from 0 to 1"),
        ("probabilities", lambda a: 1.25 * a - 0.0625, "probabilities from 0 to 1"),
        ("probabilities", lambda a: a / 2, "probabilities whose rows sum to 1"),
    ],
)
def test_refuses_arrays_that_are_no_labels(labels, name, change, expected):
    with np.load(labels) as stored:
        arrays = dict(stored)
    array = arrays.pop(name)
    np.savez(labels, **arrays, **({name: change(array)} if change else {}))
    with pytest.raises(InputError, match=f"holds no pseudo-labels: .*{expected}"):
        data.read_pseudo_labels(labels)


def test_labels_are_known_by_their_content(labels, tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(labels.read_bytes())
    digest = data.read_pseudo_labels(labels).digest
    assert data.read_pseudo_labels(copy).digest == digest
    with np.load(labels) as stored:
        arrays = dict(stored)
    np.savez(copy, **arrays | {"probabilities": arrays["probabilities"][:, ::-1]})
    assert data.read_pseudo_labels(copy).digest != digest


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
