"""A user's photographs: every kind of file, upright, at its own size."""

import numpy as np
import pytest
from PIL import Image

from colorization import lab, photographs


def test_exif_rotation(tmp_path, crops):
    # Orientation 6: the camera was turned; rows become columns, clockwise.
    image = crops(1, 16)[0, :, :8]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(photographs.read(tmp_path / "a.png"), np.rot90(image, -1))


def test_sixteen_bits(tmp_path):
    # 65535 is white, 257 * 100 is 100.
    values = np.array([[65535, 25700]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    found = photographs.read(tmp_path / "a.png")
    assert found[0].tolist() == [[255] * 3, [100] * 3]


def test_transparent_is_white(tmp_path):
    Image.new("RGBA", (2, 1), (9, 9, 9, 0)).save(tmp_path / "a.png")
    assert photographs.read(tmp_path / "a.png").tolist() == [[[255] * 3] * 2]


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n half"])
def test_unreadable(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot identify|PNG|truncated"):
        photographs.read(tmp_path / "a.png")


@pytest.mark.parametrize("longest", [1024, 24])
def test_lightness_stays_at_full_resolution(colorizer, longest, crops):
    image = crops(1, 60)[0, :, :45]
    result = photographs.colorize(colorizer, image, longest)
    assert result.shape == image.shape
    before, after = (np.asarray(lab.split(i)[0]) for i in (image, result))
    assert np.median(np.abs(before - after)) < 0.01


def test_small_images_are_predicted_as_they_are(colorizer, crops):
    image = crops(1, 40)[0]
    result = photographs.colorize(colorizer, image, longest=40).astype(int)
    assert np.abs(result - colorizer.colorize(image[None])[0]).max() <= 1


def test_names(tmp_path):
    (tmp_path / "sub").mkdir()
    names = ["a.JPG", "sub/b.gif", "notes.txt"]
    for name in names:
        (tmp_path / name).touch()
    found = photographs.find(tmp_path)
    targets = [photographs.target(p, tmp_path, tmp_path / "out") for p in found]
    relative = [str(t.relative_to(tmp_path)) for t in targets]
    assert relative == ["out/a.JPG", "out/sub/b.gif.png"]
