import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from color_s4l import data
from color_s4l.settings import DataSettings


@pytest.fixture(scope="session")
def cifar100_dir(shared, tmp_path_factory):
    """A TFDS directory: 3 training images and 1 test image per class of CIFAR-100."""
    directory = tmp_path_factory.mktemp("cifar100")
    script = shared / "tools" / "prepare_data.py"
    limits = ["--train-per-class", "3", "--test-per-class", "1"]
    subprocess.run(
        [sys.executable, script, "tfds", "cifar100", directory, *limits],
        check=True,
        capture_output=True,
    )
    return directory


@pytest.fixture
def toy():
    """3 classes, 8 + 6 + 4 labelled and 2 unlabelled images; image i has value i."""
    labels = np.array([0] * 8 + [1] * 6 + [2] * 4 + [-1] * 2, np.int32)
    images = np.zeros((20, 4, 4, 3), np.uint8) + np.arange(20, dtype=np.uint8).reshape(
        20, 1, 1, 1
    )
    return data.Data(
        "toy", ("cat", "NA", "x,y"), images, labels, images[:2], labels[:2]
    )


@pytest.fixture
def put(tmp_path):
    """A function: writes an image, or one of 8 px filled with a level or colour."""

    def write(path, image, **options):
        if not isinstance(image, Image.Image):
            color = (image,) * 3 if isinstance(image, int) else image
            image = Image.new("RGB", (8, 8), color)
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / path, **options)
        return tmp_path / path

    return write


@pytest.fixture
def load(tmp_path):
    """A function: reads `tmp_path` as a folder data set of 8 px."""

    def read(root=tmp_path, image_size=8, **options):
        return data.load(DataSettings("folder", str(root), image_size, **options))

    return read


@pytest.fixture
def logged(caplog):
    """A function: returns the messages logged since the last call."""

    def read():
        messages = list(caplog.messages)
        caplog.clear()
        return messages

    return read
