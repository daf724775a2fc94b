import dataclasses

import numpy as np
import pytest

from color_s4l import data
from color_s4l.errors import InputError


@pytest.fixture
def labels(toy, tmp_path):
    """A file of pseudo-labels for the images 5, 3 and 14."""
    path = tmp_path / "labels.npz"
    probabilities = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    data.save_pseudo_labels(path, toy, np.array([5, 3, 14]), probabilities)
    return path


def test_returns_the_rows_of_the_images_in_their_order(labels, toy):
    found = data.read_pseudo_labels(labels).of(toy, np.array([14, 5]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.2, 0.3, 0.5], [1, 0, 0]])


@pytest.mark.parametrize(
    ("changes", "wanted", "text"),
    [
        ({}, [5, 6], "has no label for 1 of 2 unlabelled images"),
        ({"images": lambda images: images[::-1]}, [5], "was made for other images"),
        ({"classes": lambda classes: (*classes, "4")}, [5], "of other classes or im"),
        (
            {
                "images": lambda images: images[:10],
                "labels": lambda labels: labels[:10],
            },
            [5],
            "of other classes or images than 'toy'",
        ),
    ],
)
def test_refuses_other_images(labels, toy, changes, wanted, text):
    changed = {name: change(getattr(toy, name)) for name, change in changes.items()}
    dataset = dataclasses.replace(toy, **changed)
    found = data.read_pseudo_labels(labels)
    with pytest.raises(InputError, match=text):
        found.of(dataset, np.array(wanted))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "Cannot read .*: No such file"),
        (b"PK\x03\x04", "has no pseudo-labels"),
        (b"filename,label\n", r"has no pseudo-labels: it is not an NPZ file\.$"),
    ],
)
def test_refuses_other_files(tmp_path, content, text):
    path = tmp_path / "labels.npz"
    if content:
        path.write_bytes(content)
    with pytest.raises(InputError, match=text):
        data.read_pseudo_labels(path)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("crc32", None, "no array .crc32"),
        ("index", lambda a: a.astype(float), "index and crc32 to be integers"),
        ("index", lambda a: a[:, None], "index and crc32 to be integers"),
        ("crc32", lambda a: a[:2], "index and crc32 to be integers"),
        ("crc32", lambda a: a.astype(str), "index and crc32 to be integers"),
        ("index", lambda a: a - 4, "index to hold different numbers, 0 or more"),
        ("index", lambda a: a * 0, "index to hold different numbers, 0 or more"),
        ("probabilities", lambda a: a.astype(str), r"numbers \(3, classes\), not <U"),
        ("probabilities", lambda a: a[0], r"numbers \(3, classes\), not float32 \(3,"),
        ("probabilities", lambda a: a[:2], r"numbers \(3, classes\), not .* \(2, 3"),
        ("probabilities", lambda a: a * np.nan, "probabilities from 0 to 1"),
        ("probabilities", lambda a: 1.25 * a - 0.0625, "probabilities from 0 to 1"),
        ("probabilities", lambda a: a / 2, "probabilities whose rows sum to 1"),
    ],
)
def test_refuses_other_arrays(labels, name, change, expected):
    with np.load(labels) as stored:
        arrays = dict(stored)
    array = arrays.pop(name)
    np.savez(labels, **arrays, **({name: change(array)} if change else {}))
    with pytest.raises(InputError, match=f"has no pseudo-labels: .*{expected}"):
        data.read_pseudo_labels(labels)


def test_the_digest_is_of_the_content(labels, tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(labels.read_bytes())
    digest = data.read_pseudo_labels(labels).digest
    assert data.read_pseudo_labels(copy).digest == digest
    with np.load(labels) as stored:
        arrays = dict(stored)
    np.savez(copy, **arrays | {"probabilities": arrays["probabilities"][:, ::-1]})
    assert data.read_pseudo_labels(copy).digest != digest
