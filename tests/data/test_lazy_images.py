"""Images in memory, on disk and in their files are the same images."""

import dataclasses
import os

import numpy as np
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.data import lazy_images
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings

COUNT = 11
pytestmark = pytest.mark.filterwarnings("ignore:.*skipped 1 of 15 files")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """11 training and 3 test images of noise, and one broken file."""
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
    return data.load(DataSettings("folder", str(root), 16, cache=cache))


@pytest.fixture(scope="module")
def sets(root):
    return {cache: load(root, cache) for cache in ("memory", "disk", "none")}


LAZY = pytest.mark.parametrize("cache", ["disk", "none"])


@LAZY
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


@LAZY
def test_subsets_chunks_and_checksums(sets, cache):
    expected, found = sets["memory"].images, sets[cache].images
    index = np.array([5, 1, 8])
    part = data.subset(found, index)
    assert (part[:] == expected[index]).all()
    assert (part[np.array([2, 0])] == expected[[8, 5]]).all()
    sums = data.checksums(expected)
    assert (data.checksums(found) == sums).all()
    assert (data.checksums(part) == sums[index]).all()
    chunks = list(data.chunks(found, 5))
    assert [len(chunk) for chunk in chunks] == [5, 5, 1]
    assert (np.concatenate(chunks) == expected).all()
    assert data.content(found) == data.content(expected) != data.content(part)
    assert data.content(part) == data.content(expected[index])


@LAZY
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


def test_decoded_once_and_bad_files_logged_every_time(root, sets, monkeypatch, logged):
    def never(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(lazy_images.image_files, "load", never)
    assert (load(root, "disk").images[:] == sets["memory"].images).all()
    assert "03.png: cannot identify" in logged()[0]
    dataset = load(root, "none")
    assert "03.png: cannot identify" in logged()[0]
    assert len(dataset.files.training) == len(dataset.images) == COUNT
    assert dataset.files.unreadable[0][0].endswith("03.png")


def test_a_changed_file_is_decoded_anew(root, sets):
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
        with pytest.raises(InputError, match=r"01\.jpg can no longer be read"):
            images[:]
        path.write_bytes(old)
        with pytest.raises(InputError, match=r"01\.jpg has changed since"):
            images[:]
    finally:
        path.write_bytes(old)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_full_disk_is_not_needed(root, sets, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(lazy_images, "written_atomically", full)
    with pytest.warns(match="No space left on device.*decoded each time"):
        images = load(root, "disk").images
    assert isinstance(images, lazy_images.FileImages)
    assert (images[:] == sets["memory"].images).all()
    assert not list((tmp_path / "color_s4l").glob("decoded*"))


def test_images_on_disk_are_computed_once(sets):
    images = sets["memory"].images

    def never():
        raise AssertionError("computed again")
        yield

    parts = iter([images[:4], images[4:]])
    first = lazy_images.on_disk("test", ["a", "b"], images.shape, parts)
    again = lazy_images.on_disk("test", ["a", "b"], images.shape, never())
    assert (first[:] == images).all()
    assert (again[:] == images).all()


def test_cache_is_chosen_by_size(monkeypatch):
    memory = dataclasses.make_dataclass("Memory", ["available"])
    disk = dataclasses.make_dataclass("Disk", ["free"])
    monkeypatch.setattr(lazy_images.psutil, "virtual_memory", lambda: memory(4e9))
    monkeypatch.setattr(lazy_images.shutil, "disk_usage", lambda path: disk(20e9))
    # A quarter of 4 GB holds 6,643 images of 224 px, half of 20 GB 66,430.
    chosen = [lazy_images.choose_cache(n, 224) for n in (6_600, 6_700, 66_000, 67_000)]
    assert chosen == ["memory", "disk", "disk", "none"]
