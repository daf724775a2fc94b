"""Images in memory, on disk and in their files are the same images."""

import dataclasses
import errno
import io
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.data import lazy_images
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings

COUNT = 11


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """11 training and 3 test images of noise."""
    root = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    for number in range(COUNT + 3):
        part = "train" if number < COUNT else "test"
        folder = root / part / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = noise.integers(0, 256, (30, 40, 3), np.uint8)
        ending = ("jpg", "png")[number % 3 == 0]
        Image.fromarray(pixels).save(folder / f"{number:02d}.{ending}")
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
    again = data.subset(data.subset(found, index), np.arange(3))
    assert len({data.content(images) for images in (found, part, again)}) == 3
    assert data.content(part) == data.content(data.subset(found, index))


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


def test_few_images_are_decoded_for_a_split(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy_images, "CHECKED", 3)
    path, images = tmp_path / "split.csv", sets["none"]
    drawn = data.draw_split(images.labels, ("cat", "dog"), 4, None, 2, seed=1)
    data.save_split(drawn, images, path)
    assert (pd.read_csv(path)["crc32"] > 0).sum() == 3
    for kind in sets:
        assert (data.read_split(path, sets[kind]).labeled == drawn.labeled).all()
    turned = dataclasses.replace(sets["memory"], images=255 - sets["memory"].images)
    with pytest.raises(InputError, match=r"other images.*\(3 of 3 differ\)"):
        data.read_split(path, turned)


def never(*_):
    raise AssertionError("computed again")


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_no_image_is_decoded_at_the_start(root, cache, monkeypatch):
    monkeypatch.setattr(lazy_images.image_files, "load", never)
    assert load(root, cache).images.shape == (COUNT, 16, 16, 3)


def test_decoded_once_on_disk(root, sets, monkeypatch):
    first = sets["disk"].images[2:5]
    monkeypatch.setattr(lazy_images.image_files, "load", never)
    assert (load(root, "disk").images[2:5] == first).all()


def test_a_broken_file_is_left_out_or_black(root, sets, logged, monkeypatch):
    path = root / "train" / "cat" / "03.png"
    path.write_bytes(b"no image")
    try:
        with pytest.warns(match="skipped 1 of 15 files because"):
            dataset = load(root, "memory")
        assert "03.png: cannot identify" in logged()[-1]
        assert len(dataset.files.training) == len(dataset.images) == COUNT
        assert dataset.files.unreadable[0][0].endswith("03.png")
        place = sorted(os.listdir(path.parent)).index(path.name)
        for cache in ("disk", "disk", "none"):
            images = load(root, cache).images
            logged()
            for _ in range(2):
                rows = images[place - 1 : place + 2]
                assert [bool(row.any()) for row in rows] == [True, False, True]
            assert len(logged()) == 1
        monkeypatch.setattr(lazy_images, "BROKEN_COUNT", 0)
        with pytest.raises(InputError, match=r"1 of 1 images cannot .*03\.png: cannot"):
            load(root, "none").images[place]
    finally:
        path.unlink()


def test_a_changed_file_is_decoded_anew(root, sets):
    path = root / "train" / "dog" / "01.jpg"
    old, status = path.read_bytes(), path.stat()
    try:
        Image.new("RGB", (40, 30), "lime").save(path)
        os.utime(path, ns=(1, 1))
        expected = load(root, "memory").images
        for cache in ("disk", "none"):
            assert (load(root, cache).images[:] == expected).all()
    finally:
        path.write_bytes(old)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def stored(root, tmp_path, monkeypatch):
    """A function: opens inverted images in an empty cache; `computed` counts them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    computed = []

    def compute(images):
        computed.append(len(images))
        return 255 - images

    def open_it():
        images = load(root, "none").images
        return lazy_images.Stored("inverted", images, compute, ["a"])

    open_it.computed = computed
    return open_it


def test_stored_rows_are_computed_when_they_are_first_read(stored, sets, tmp_path):
    expected, images = 255 - sets["memory"].images, stored()
    assert stored.computed == []
    assert (images[[2, 7]] == expected[[2, 7]]).all()
    assert (stored()[5:9] == expected[5:9]).all()
    assert stored.computed == [2, 3]
    # Row 2 was half written by a process that was killed.
    (path,) = (tmp_path / "color_s4l").glob("inverted-*.rows")
    with path.open("r+b") as file:
        file.seek(2 * expected[0].size)
        file.write(b"unfinished")
    assert (stored()[:] == expected).all()
    assert stored.computed == [2, 3, 7]


def test_a_full_disk_is_not_needed(stored, sets, monkeypatch, logged):
    class Full(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lazy_images.io, "FileIO", Full)
    images = stored()
    for _ in range(2):
        assert (images[:] == 255 - sets["memory"].images).all()
    assert stored.computed == [COUNT, COUNT]
    (message,) = logged()
    assert "No space left on device): images are computed each time" in message


def test_cache_is_chosen_by_size(monkeypatch):
    memory = dataclasses.make_dataclass("Memory", ["available"])
    disk = dataclasses.make_dataclass("Disk", ["free"])
    monkeypatch.setattr(lazy_images.psutil, "virtual_memory", lambda: memory(4e9))
    monkeypatch.setattr(lazy_images.shutil, "disk_usage", lambda path: disk(20e9))
    # A quarter of 4 GB holds 6,643 images of 224 px, half of 20 GB 66,430.
    chosen = [lazy_images.choose_cache(n, 224) for n in (6_600, 6_700, 66_000, 67_000)]
    assert chosen == ["memory", "disk", "disk", "none"]
    with lazy_images.outside_memory():
        assert lazy_images.choose_cache(1, 224) == "disk"
    assert lazy_images.choose_cache(1, 224) == "memory"
