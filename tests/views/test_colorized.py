"""Images are colourised once per colorizer, then read from the cache."""

import dataclasses

import numpy as np

from color_s4l.views.colorized import colorized_images


@dataclasses.dataclass
class Counting:
    """A stand-in for a colorizer: swaps the channels and counts its calls."""

    digest: str
    calls: int = 0

    def colorize(self, images):
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
