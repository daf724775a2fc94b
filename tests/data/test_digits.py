import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.data import digits
from color_s4l.errors import InputError
from color_s4l.settings import DataSettings


@pytest.fixture(scope="module")
def dataset():
    return data.load(DataSettings("digits"))


def look(**changed):
    fields = {
        "side": 24,
        "top": 4,
        "left": 8,
        "photograph": 0,
        "window": 32,
        "row": 0.0,
        "column": 0.0,
        "tint": np.array([1.0, 0.0, 0.0]),
        "contrast": 0.5,
        "opacity": 1.0,
        "lighter": True,
    }
    return digits.Look(**(fields | changed))


def grey(level):
    return [Image.new("RGB", (64, 48), (level, level, level))]


def luma(color):
    return float(np.asarray(color) @ [0.299, 0.587, 0.114])


def test_sizes_and_classes(dataset):
    assert dataset.images.shape == (1397, 32, 32, 3)
    assert dataset.test_images.shape == (400, 32, 32, 3)
    assert dataset.classes == tuple("0123456789")
    assert np.bincount(dataset.test_labels).tolist() == [40] * 10
    # scikit-learn has 178 zeros and 174 eights, the fewest.
    counts = np.bincount(dataset.labels)
    assert (counts[0], counts.min(), counts[8]) == (138, 134, 134)


def test_another_process_makes_the_same_bytes(dataset):
    # Also without TensorFlow: the JAX backend must have these images.
    code = (
        "import sys, zlib; sys.modules['tensorflow'] = None\n"
        "from color_s4l import data, settings\n"
        "images = data.load(settings.DataSettings('digits')).images\n"
        "print(zlib.crc32(images.tobytes()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == str(zlib.crc32(dataset.images.tobytes())), run.stderr


def test_images_differ(dataset):
    means = dataset.images.mean((1, 2))
    assert means.std(0).min() > 40
    everything = np.concatenate([dataset.images, dataset.test_images])
    assert len({image.tobytes() for image in everything}) == 1797


def test_a_digit_is_lighter_or_darker_by_the_contrast():
    full = np.full((8, 8), 16.0)
    # Ground 102 / 255 = 0.4: 0.4 + 0.5 = 0.9 of luma, and 0.4 - 0.35 = 0.05.
    light = digits.compose(full, look(), grey(102))[16, 20] / 255
    dark = digits.compose(full, look(lighter=False, contrast=0.35), grey(102))[16, 20]
    assert luma(light) == pytest.approx(0.9, abs=0.004)
    assert luma(dark / 255) == pytest.approx(0.05, abs=0.004)

    # 0.8 + 0.5 > 1, so darker although `lighter` was drawn: 0.8 - 0.5 = 0.3.
    image = digits.compose(full, look(), grey(204))
    assert luma(image[16, 20] / 255) == pytest.approx(0.3, abs=0.004)


def test_a_digit_is_at_its_place_over_the_background():
    image = digits.compose(np.full((8, 8), 16.0), look(), grey(102))
    inside = np.zeros((32, 32), bool)
    inside[4:28, 8:32] = True
    assert (image[~inside] == 102).all()
    assert (image[inside] != 102).any(-1).all()


def test_the_background_has_limited_contrast():
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    pixels = np.zeros((8, 8))
    pixels[4, 4] = 16
    image = digits.compose(pixels, look(opacity=0.0), [Image.fromarray(noise)])
    assert (image / 255 @ [0.299, 0.587, 0.114]).std() == pytest.approx(0.09, abs=0.002)


def test_looks_stay_within_the_image():
    generator = np.random.default_rng(0)
    for _ in range(200):
        drawn = digits.draw_look(generator)
        assert 0 <= drawn.top <= 32 - drawn.side
        assert 0 <= drawn.left <= 32 - drawn.side


def test_refuses_a_directory():
    with pytest.raises(InputError, match=r"does not use `data_dir`.*`dataset`=folder"):
        data.load(DataSettings("digits", "somewhere"))
