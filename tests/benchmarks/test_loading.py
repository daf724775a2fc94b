"""Loading beside training: the photographs, the arithmetic, and one real row."""

import pandas as pd
import pytest
from PIL import Image

from benchmarks.speed import loading
from benchmarks.speed.loading import Loading

TINY = Loading(
    images=44,
    image_sizes="16",
    caches="none",
    unlabeled=16,
    network="convnet",
    width=0.03,
    batch_size=4,
    labeled_batch=4,
)


def test_the_photographs_are_what_a_user_has(tmp_path):
    loading.draw_photographs(tmp_path, 43)
    found = sorted(tmp_path.rglob("*.jpg"))
    parts = [path.relative_to(tmp_path).parts[0] for path in found]
    counts = {part: parts.count(part) for part in set(parts)}
    assert counts == {"train": 40, "test": 40, "unlabeled": 3}
    with Image.open(found[0]) as image:
        assert (image.format, image.size) == ("JPEG", (1200, 800))
    # No two are the same.
    assert len({path.read_bytes() for path in found}) == len(found)


def test_images_of_a_step_by_hand():
    # 8 unlabelled photographs in six views and 8 labelled ones: 56 of 16 read.
    assert loading.images_per_step(Loading()) == (56, 16)


def test_a_row_is_what_the_run_has_logged(tmp_path):
    path = tmp_path / "loading.csv"
    words = [f"--{name}={getattr(TINY, name)}" for name in vars(TINY)]
    assert loading.main([*words[:-1], f"--output={path}"]) == 0
    (row,) = pd.read_csv(path).to_dict("records")
    assert (row["image_size"], row["cache"], row["images"]) == (16, "none", 44)
    # Four in six views and four: 28 trained for 8 read.
    needed = row["images_per_second"] * 8 / 28
    assert row["needed_images_per_second"] == pytest.approx(needed, abs=0.1)
    assert row["loading_images_per_second"] > 0
    assert "--caches=none" in row["command"]
    assert str(tmp_path) not in row["command"]
    assert {"versions", "hardware", "date"} <= set(row)


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--images=39", "--images=39: expected at least 40, and as many as"),
        ("--images=499", "as many as --unlabeled=500"),
        ("--image_sizes=96,0", "--image_sizes=96,0: expected sides in pixels, such as"),
        ("--image_sizes=96, 224", "Received: ' 224'"),
        ("--caches=memory,disc", "no cache 'disc'. Did you mean 'disk'"),
        ("--output=x.txt", "expected a name that ends with .csv"),
    ],
)
def test_refuses(flag, text, refused, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert text in refused(loading.main([flag]))
    assert not list(tmp_path.iterdir())


def test_a_failed_training_is_named(tmp_path, refused):
    words = ["--images=40", "--unlabeled=40", "--network=no thing", "--caches=none"]
    line = refused(loading.main([*words, f"--output={tmp_path / 'x.csv'}"]))
    failed = "training at 96 px with --cache=none failed: error:"
    assert f"{failed} There is no network 'no thing'" in line
    assert not list(tmp_path.iterdir())
