"""Images are colourised once per colorizer, then read from the cache."""

import dataclasses

import numpy as np
from PIL import Image

from color_s4l.data import lazy_images
from color_s4l.views.colorized import colorized_images


@dataclasses.dataclass
class Counting:
    """A stand-in for a colorizer: swaps the channels and counts its calls."""

    digest: str
    calls: int = 0

    def colorize(self, images, batch_size=100):
        self.calls += 1
        return images[..., ::-1]


def test_colorizes_each_image_once_per_colorizer(small, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    colorizer, other = Counting("a"), Counting("b")
    for _ in range(2):
        found = colorized_images(small.images, colorizer)
        assert (found == small.images[..., ::-1]).all()
        assert found.dtype == np.uint8
    assert colorizer.calls == 1
    colorized_images(small.images, other)
    colorized_images(small.images[::-1], colorizer)
    assert (colorizer.calls, other.calls) == (2, 1)


def test_images_on_demand_are_colorized_when_they_are_read(
    small, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path, image in zip(paths, small.images, strict=False):
        Image.fromarray(image).save(path)
    images = lazy_images.Decoded(lazy_images.Paths(paths), 16)
    for calls in (2, 0):
        colorizer = Counting("a")
        found = colorized_images(images, colorizer)
        assert colorizer.calls == 0
        for rows in ([1, 4], [4, 5, 1]):
            assert (found[rows] == small.images[rows][..., ::-1]).all()
        assert colorizer.calls == calls
