"""Images are colourised once per colorizer, then read from the cache."""

import dataclasses

import numpy as np
import pytest

from color_s4l.views.colorized import colorized_images


@dataclasses.dataclass
class Counting:
    """Stands for a colorizer: swaps the channels, and counts how often it is asked."""

    digest: str
    asked: int = 0

    def colorize(self, images):
        self.asked += 1
        return images[..., ::-1]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_colorizes_once(small):
    colorizer = Counting("a")
    first = colorized_images(small.images, colorizer)
    assert (first == small.images[..., ::-1]).all()
    assert first.dtype == np.uint8
    second = colorized_images(small.images, colorizer)
    assert (second == first).all()
    assert colorizer.asked == 1


def test_another_colorizer_or_other_images_colorize_anew(small):
    colorizer, other = Counting("a"), Counting("b")
    colorized_images(small.images, colorizer)
    colorized_images(small.images, other)
    colorized_images(small.images[::-1], colorizer)
    assert (colorizer.asked, other.asked) == (2, 1)
