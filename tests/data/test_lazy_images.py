"""Images in memory, on disk and in their files are the same images everywhere."""

import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.data import decoding, lazy_images
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings

COUNT = 11


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """11 training images and 3 tests of noise, and one broken file."""
    root = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    for number in range(COUNT + 3):
        part = "train" if number < COUNT else "test"
        folder = root / part / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = noise.integers(0, 256, (30, 40, 3), np.uint8)
        ending = ("jpg", "png")[number % 3 == 0]
        Image.fromarray(pixels).save(folder / f"{number:02d}.{ending}")
    (root / "train" / "cat" / "03.png").write_bytes(b"no image")
    return root


def load(root, cache):
    return data.load_source(DataSettings("folder", str(root), 16, cache=cache))


@pytest.fixture(scope="module")
def sets(root):
    return {cache: load(root, cache) for cache in decoding.CACHES}


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_rows_are_those_in_memory(sets, cache):
    expected, found = sets["memory"].images, sets[cache].images
    assert isinstance(found, lazy_images.LazyImages)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert len(found) == len(expected) == COUNT
    for index in (
        0,
        -1,
        slice(2, 9, 3),
        np.array([3, 3, 0, 7]),
        np.array([[1, 2], [2, 1], [0, 0]]),
        np.arange(len(found)) % 2 == 0,
        np.array([], np.int64),
    ):
        rows = found[index]
        assert type(rows) is np.ndarray
        assert (rows.shape, rows.dtype) == (expected[index].shape, np.uint8)
        assert (rows == expected[index]).all()
    assert (np.asarray(found) == expected).all()
    with pytest.raises(IndexError):
        found[len(found)]


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_subsets_chunks_and_checksums(sets, cache):
    expected, found = sets["memory"].images, sets[cache].images
    index = np.array([5, 1, 8])
    part = lazy_images.subset(found, index)
    assert (part[:] == expected[index]).all()
    assert (part[np.array([2, 0])] == expected[[8, 5]]).all()
    sums = lazy_images.checksums(expected)
    assert (lazy_images.checksums(found) == sums).all()
    assert (lazy_images.checksums(part) == sums[index]).all()
    chunks = list(lazy_images.chunks(found, 5))
    assert [len(chunk) for chunk in chunks] == [5, 5, 1]
    assert (np.concatenate(chunks) == expected).all()
    content = lazy_images.content
    assert content(found) == content(expected) != content(part)
    assert content(part) == content(expected[index])


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_unreadable_files_are_named_every_time(root, cache, capsys):
    for _ in range(2):
        dataset = load(root, cache)
        assert len(dataset.files.training) == len(dataset.images)
        assert dataset.files.unreadable[0][0].endswith("03.png")
        assert "03.png: cannot identify" in capsys.readouterr().err


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_splits_and_batches_are_the_same(sets, cache, tmp_path):
    drawn = data.draw_split(sets["memory"].labels, ("cat", "dog"), 4, None, 2, seed=1)
    data.save_split(drawn, sets["memory"], tmp_path / "split.csv")
    split = data.read_split(tmp_path / "split.csv", sets[cache])
    data.save_split(split, sets[cache], tmp_path / "again.csv")
    again = (tmp_path / "again.csv").read_bytes()
    assert again == (tmp_path / "split.csv").read_bytes()
    for step in range(4):
        one, other = (
            data.StepBatches(s.images, s.labels, split, 3, 2, seed=1).batch(step)
            for s in (sets["memory"], sets[cache])
        )
        assert all((one[name] == other[name]).all() for name in one)


def test_decoded_once(root, sets, monkeypatch):
    def never(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(decoding.image_files, "load", never)
    assert (load(root, "disk").images[:] == sets["memory"].images).all()
    assert len(load(root, "none").images) == len(sets["memory"].images)


def test_another_file_of_the_name_is_decoded_anew(root, sets):
    path = root / "train" / "dog" / "01.jpg"
    old, status = path.read_bytes(), path.stat()
    try:
        Image.new("RGB", (40, 30), "lime").save(path)
        os.utime(path, ns=(1, 1))
        expected = load(root, "memory").images
        for cache in ("disk", "none"):
            assert (load(root, cache).images[:] == expected).all()
        images = load(root, "none").images
        path.write_bytes(b"")
        with pytest.raises(InputError, match=r"01\.jpg could be read before, now not"):
            images[:]
        path.write_bytes(old)
        with pytest.raises(InputError, match=r"01\.jpg has changed since"):
            images[:]
    finally:
        path.write_bytes(old)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_disk_that_cannot_be_written_is_done_without(
    root, sets, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def full(path, write):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(decoding, "write_atomically", full)
    images = load(root, "disk").images
    assert isinstance(images, lazy_images.FileImages)
    assert (images[:] == sets["memory"].images).all()
    said = capsys.readouterr().err
    assert "(No space left on device): images are decoded anew" in said
    assert not list((tmp_path / "color_s4l").glob("decoded*"))


def test_chosen_by_size(monkeypatch):
    memory = dataclasses.make_dataclass("Memory", ["available"])
    disk = dataclasses.make_dataclass("Disk", ["free"])
    monkeypatch.setattr(decoding.psutil, "virtual_memory", lambda: memory(4e9))
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda path: disk(20e9))
    # A quarter of 4 GB holds 6,643 images of 224 px, half of 20 GB 66,430.
    chosen = [decoding.choose(count, 224) for count in (6_600, 6_700, 66_000, 67_000)]
    assert chosen == ["memory", "disk", "disk", "none"]
